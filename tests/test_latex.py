"""Tables in LaTeX: every text is printed as it is, whatever is in it."""

import latex_reader
import pytest

from rnnids.reporting.latex import PAGE_ROWS, escape, latex_page
from rnnids.reporting.tables import Page, Table, html_page, save, single

HOSTILE = r"50 % of {a} & b_1 # $x$ ~ ^ \ <tag> [1] -- | \end{tabular}"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("DoS Hulk", "DoS Hulk"),
        ("50 %", r"50 \%"),
        ("a & b", r"a \& b"),
        ("tcp_80 #1", r"tcp\_80 \#1"),
        ("$x$ {y}", r"\$x\$ \{y\}"),
        ("~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("\N{INFINITY} \N{MINUS SIGN}1", r"$\infty$ $-$1"),
        ("a -- b - c", "a -{}- b - c"),
        ("[1]", "{[}1{]}"),
        ("a\n b", "a b"),
        (1234, "1234"),
    ],
)
def test_text_is_escaped(text, source):
    assert escape(text) == source


def table(rows, columns=("Attack_type", "Flows"), **more):
    return Table(columns, rows, "Counts & shares of 100 %.", columns[:1], **more)


def test_hostile_cells_stay_in_their_columns():
    rows = [(HOSTILE, 1), ("[2", 3), ("", "")]
    source = latex_page(Page("Counts_1", [table(rows), table(rows * 40)]), "counts")
    latex_reader.check(source)
    (columns, short), (_, long) = latex_reader.tabulars(source)
    assert columns == 2
    assert len(short) == 1 + len(rows)
    assert len(long) == 2 + 40 * len(rows)  # whose head is there for the first page and for the others
    assert r"\label{tab:counts}" in source and r"\label{tab:counts_2}" in source


def test_the_caption_is_that_of_the_page():
    page = single(("A", "B"), [("x", 1)], "Table I: types", caption="Of 100 % of lab_2.", text_columns=("A",))
    source = latex_page(page, "table1")
    assert r"\caption[Table I: types]{\textbf{Table I: types.} Of 100 \% of lab\_2.}" in source
    assert "<b>Table I: types.</b> Of 100 % of lab_2." in html_page(page)
    assert r"\begin{tabular}{@{}lr@{}}" in source


@pytest.mark.parametrize(("columns", "environment"), [(3, "table"), (9, "table*")])
def test_wide_tables_span_both_columns_of_a_paper(columns, environment):
    heads = [f"C{place}" for place in range(columns)]
    source = latex_page(Page("T", [Table(heads, [heads], "", ())]), "t")
    assert latex_reader.environments(source) == [environment, "tabular"]


def test_long_tables_go_on_over_pages():
    source = latex_page(Page("T", [table([("a", 1)] * (PAGE_ROWS + 1))]), "t")
    assert latex_reader.environments(source) == ["longtable"]
    assert "{booktabs,longtable}" in source.splitlines()[0]


def test_columns_of_long_text_break_lines():
    source = latex_page(Page("T", [table([("word " * 20, 1)])]), "t")
    assert r"{@{}p{4cm}r@{}}" in source


def test_files_lie_beside_the_csv(tmp_path):
    save(Page("T", [table([("a", 1)])]), tmp_path / "ars.csv")
    assert (tmp_path / "ars.html").exists()
    assert r"\label{tab:ars}" in (tmp_path / "ars.tex").read_text()


@pytest.mark.parametrize("broken", [r"\begin{table}", r"\end{tabular}", r"\begin{table}\begin{tabular}\end{table}"])
def test_the_reader_finds_what_is_not_balanced(broken):
    with pytest.raises(AssertionError):
        latex_reader.environments(broken)


@pytest.mark.skipif(not latex_reader.TEX, reason="neither pdflatex nor tectonic is here")
def test_hostile_tables_compile(tmp_path):
    rows = [(HOSTILE, 1), ("[2", 3), ("\N{INFINITY} \N{MINUS SIGN} \N{DAGGER} µ × κ", "")]
    latex_reader.compiled(latex_page(Page("Counts_1", [table(rows), table(rows * 40)]), "counts"), tmp_path)

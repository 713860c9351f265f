"""Hostile names of attacks and captures: each is refused in words, or comes through tables and pages as it is.

A table must come back as it was written and hold no formula of a spreadsheet; a page must show the name as text and
have no elements of it; a capture's name must be one word of a command, one name of a file, and nothing that Snakemake
takes for its own.
"""

import csv
import functools
import io
import runpy
import shlex
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from conftest import REPOSITORY
from generated_flows import COLUMNS
from snakemake.exceptions import WorkflowError

from rnnids.errors import InputError
from rnnids.labels.rules import read_rules
from rnnids.reporting.tables import html_page, single
from rnnids.storage import FORMULA, read_csv, write_csv

PIECES = (
    *("=1+1", "@SUM(A1)", "+", "-", "'", '"', "''", '""', ",", ";", "\t", "\r", "\n", "\r\n", " ", "\u00a0", "\0"),
    *("<script>alert(1)</script>", "<b>", "</td>", "&amp;", "&#60;", "-->", "]]>", "\x1b[2J", "\u202e", "\ufeff"),
    *(
        "{dataset}",
        "{}",
        "{{",
        "%s",
        "%00",
        "$(touch x)",
        "`touch x`",
        "$HOME",
        "; rm x",
        "| x",
        "> x",
        "*",
        "?",
        "[a]",
    ),
    *("~", "#", "!", "\\", "\\n", "/", "../", ".", "--output", "-x", "x.pcap", "x.zip!y", "$x_1^2$", "a" * 300),
    *("NaN", "nan", "None", "null", "NA", "inf", "1e5", "0x1", "True", "e\u0301", "\u00e9", "\U0001f600", "DoS Hulk"),
)
CELLS = ("2017-07-05T12:00:00Z", "2017-07-05T12:10:00Z", "10.0.0.1/32", "10.0.0.2/32", "", "tcp", "false")
ELEMENTS = {"html", "meta", "title", "style", "div", "table", "caption", "b", "tr", "th", "td"}
SHOWN = 5  # faults that are told in full
BATCH = 100  # names in one file of rules


def draw(rng):
    """A name of one to four pieces."""
    return "".join(rng.choice(PIECES, rng.integers(1, 5)))


class Texts(HTMLParser):
    """The cells of a page, and all of its elements."""

    def __init__(self, page):
        super().__init__()
        self.cells, self.elements, self.inside = [], set(), False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.add(tag)
        self.inside = tag == "td"
        if self.inside:
            self.cells.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


def check_attacks(names, folder):
    """Names of attacks through rules, a table and a page; Counter of what came of them."""
    own = []
    for name in names:
        row = io.StringIO()
        csv.writer(row).writerow([*CELLS, name, "x"])
        (folder / "rules.csv").write_text(f"{COLUMNS}\n" + row.getvalue(), encoding="utf-8", newline="")
        try:
            own.append(read_rules(folder / "rules.csv")[0].attack)
        except InputError as error:
            assert "rules.csv" in str(error), "the message does not name the file"
    write_csv(folder / "table.csv", [{"attack": name, "value": place} for place, name in enumerate(own)])
    back = read_csv(folder / "table.csv", ["attack"], ["value"])
    assert back.attack.tolist() == own, [pair for pair in zip(own, back.attack, strict=False) if pair[0] != pair[1]][:3]
    raw = pd.read_csv(folder / "table.csv", dtype=str, keep_default_na=False)
    assert not [cell for cell in raw.attack if FORMULA.match(cell) and not cell.startswith("'")]
    table = single(["attack"], [(name,) for name in own], own[0], caption=own[-1], text_columns=["attack"])
    page = Texts(html_page(table))
    assert page.elements <= ELEMENTS, page.elements - ELEMENTS
    assert page.cells == own, [pair for pair in zip(own, page.cells, strict=False) if pair[0] != pair[1]][:3]
    return Counter(refused=len(names) - len(own), kept=len(own))


@functools.cache
def naming():
    """The names of workflow/rules/captures.smk."""
    return SimpleNamespace(**runpy.run_path(str(REPOSITORY / "workflow/rules/captures.smk")))


def check_capture(name):
    """The name of a file, and of a member of an archive; "refused" or "kept"."""
    member = naming().capture_name(f"x.zip!{name}", with_folder=True)
    assert not naming().UNUSABLE.search(member) and "/" not in member, member
    try:
        naming().check_paths([name], "datasets.x.captures")
    except WorkflowError as error:
        assert "datasets.x.captures" in str(error)
        return "refused"
    assert shlex.split(shlex.quote(name)) == [name]
    assert not set(name) & {"{", "}", "<", ">", "\n", "\0"} and not name.startswith("-"), name
    assert name.format() == name, "Snakemake would take it for a wildcard"
    return "kept"


def try_names(count, seed, folder):
    """`count` names of attacks and as many of captures; ({kind: Counter}, list of what is wrong)."""
    rng = np.random.default_rng(seed)
    counts, wrong = {"attacks": Counter(), "captures": Counter()}, []
    for first in range(0, count, BATCH):
        names = [draw(rng) for _ in range(min(BATCH, count - first))]
        try:
            counts["attacks"] += check_attacks(names, Path(folder))
        except Exception as error:
            wrong.append(f"names of attacks: {error!r}")
        for name in names:
            try:
                counts["captures"][check_capture(name)] += 1
            except Exception as error:
                wrong.append(f"names of captures: {name!r}: {error!r}")
    return counts, wrong


def table(counts, wrong):
    """What came of names, as text."""
    lines = [f"{'hostile names':16}{'names':>8}{'refused':>9}{'kept':>8}"]
    for kind, count in counts.items():
        lines.append(f"{kind:16}{count.total():8,}{count['refused']:9,}{count['kept']:8,}")
    return "\n".join([*lines, *wrong[:SHOWN], f"{len(wrong)} wrong"])

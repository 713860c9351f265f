"""Tables as LaTeX, for papers: rules of the package booktabs, text that LaTeX takes as it is meant.

Nothing is needed but booktabs and, for tables longer than a page, longtable; both come with every distribution.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnids.reporting.tables import Page, Table

PAGE_ROWS = 40  # from which on a table goes on over pages
COLUMN_CELLS = 5  # columns that a column of a two-column paper has room for
SMALL_CELLS = 8  # columns from which on letters are smaller
LONG_TEXT = 40  # characters of a cell from which on its column breaks lines
TEXT_WIDTH = "4cm"  # of such a column
# In one pass, so that what stands for a character is not escaped itself. Signs below the line are safe in every font
# encoding; < and > of LaTeX's first one are Spanish marks.
ESCAPED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after the end of a row it would begin a length
    "]": "{]}",  # within the short title of a caption it would end it
    "\N{NON-BREAKING HYPHEN}": r"\mbox{-}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{MINUS SIGN}": "$-$",
    "\N{INFINITY}": r"$\infty$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{GREEK SMALL LETTER KAPPA}": r"$\kappa$",
    "\N{MICRO SIGN}": r"$\mu$",
    "\N{DAGGER}": r"$\dagger$",
    "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{EN DASH}": "--",
    "\N{HORIZONTAL ELLIPSIS}": r"\dots{}",
}
SPECIAL = re.compile("|".join([*map(re.escape, ESCAPED), "-(?=-)"]))  # two hyphens would be a dash


def escape(text: object) -> str:
    """Text as LaTeX source that prints it as it is; a line break becomes a blank."""
    return SPECIAL.sub(lambda found: ESCAPED.get(found[0], "-{}"), re.sub(r"\s*[\n\r\t]\s*", " ", str(text)))


def latex_page(page: "Page", label: str) -> str:
    """LaTeX source of the tables of a page, to be read with \\input.

    Args:
        page: titles, captions and cells. label: of the first table, tab:`label`; those after it end in _2, _3.

    Returns:
        the source as a string, with a remark on what it needs.
    """
    names = [label if place == 1 else f"{label}_{place}" for place in range(1, len(page.tables) + 1)]
    parts = [_table(table, page.title, f"tab:{name}") for table, name in zip(page.tables, names, strict=True)]
    packages = ["booktabs", *(["longtable"] if any(_is_long(table) for table in page.tables) else [])]
    return "\n".join([f"% Needs \\usepackage{{{','.join(packages)}}}.", *parts, ""])


def _is_long(table: "Table") -> bool:
    return len(table.rows) > PAGE_ROWS


def _alignment(table: "Table") -> str:
    """The columns of a tabular: l for words, a paragraph where they are long, r for numbers."""
    kinds = []
    for place, column in enumerate(table.columns):
        longest = max((len(str(row[place])) for row in table.rows), default=0)
        words = f"p{{{TEXT_WIDTH}}}" if longest > LONG_TEXT else "l"
        kinds.append(words if column in table.text_columns or longest > LONG_TEXT else "r")
    return f"@{{}}{''.join(kinds)}@{{}}"


def _row(cells: Sequence[object]) -> str:
    return f"{' & '.join(map(escape, cells))} \\\\"


def _table(table: "Table", title: str, label: str) -> str:
    """One table: a float, or one that goes on over pages."""
    text = f"\\textbf{{{escape(table.title)}.}} {escape(table.caption)}" if table.title else escape(table.caption)
    caption = f"\\caption[{escape(table.title or title)}]{{{text}}}"
    head = ["\\toprule", _row(table.columns), "\\midrule"]
    rows = [_row(row) for row in table.rows]
    size = "\\footnotesize" if len(table.columns) >= SMALL_CELLS else "\\small"
    if _is_long(table):
        begin = f"\\begin{{longtable}}{{{_alignment(table)}}}"
        first = [f"{caption}\\label{{{label}}} \\\\", *head, "\\endfirsthead"]
        heads = [*first, *head, "\\endhead", "\\bottomrule", "\\endfoot"]
        return "\n".join([f"\\begingroup{size}", begin, *heads, *rows, "\\end{longtable}", "\\endgroup"])
    kind = "table" if len(table.columns) <= COLUMN_CELLS else "table*"
    opening = [f"\\begin{{{kind}}}", "\\centering", caption, f"\\label{{{label}}}", size]
    body = [f"\\begin{{tabular}}{{{_alignment(table)}}}", *head, *rows, "\\bottomrule", "\\end{tabular}"]
    return "\n".join([*opening, *body, f"\\end{{{kind}}}"])

"""Tables for people: HTML pages that need nothing but themselves, and LaTeX for papers."""

import argparse
import math
from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from rnnids.reporting.latex import latex_page
from rnnids.storage import atomic_path

PAPER_TITLES = {"cic_ids_2017": "CIC-IDS-2017", "unsw_nb15": "UNSW-NB15"}  # the paper's data sets, as it names them
MINUS, INFINITY = "\N{MINUS SIGN}", "\N{INFINITY}"
STYLE = """body { font: 15px/1.4 sans-serif; margin: 2em; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; margin-bottom: 2.5em; }
caption { text-align: left; max-width: 50em; padding-bottom: 0.8em; }
th { border-bottom: 1px solid; }
th, td { padding: 0.15em 0.8em; text-align: right; }
.text { text-align: left; }
.scroll { overflow-x: auto; }"""


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every table: where to save it, for programs and for people."""
    parser.add_argument("--output", required=True, help="output: the table (CSV)")
    parser.add_argument("--html", default="", help="output: the table for people (HTML); empty: beside --output")
    parser.add_argument("--latex", default="", help="output: the table for papers (LaTeX); empty: beside --output")


def score(value: float) -> str:
    """A score, with infinity and undefined as such."""
    if math.isnan(value):
        return "-"
    return INFINITY if math.isinf(value) else f"{value:.3g}"


def decimal(value: float, scale: float, digits: int) -> str:
    """`scale` times a number, with infinity and undefined as such."""
    if math.isnan(value):
        return "-"
    return INFINITY if math.isinf(value) else f"{scale * value:.{digits}f}".replace("-", MINUS)


def share(value: float) -> str:
    """A share in percent."""
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"


class Table(NamedTuple):
    """One table, whatever it is written as.

    Attributes:
        columns: headings. rows: tuples of as many cells, shown as they are.
        caption: the text above it. text_columns: headings of the columns of words, which are aligned to the left.
        title: said before the caption; empty where the page says it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str
    text_columns: Collection[str]
    title: str = ""


class Page(NamedTuple):
    """Tables that belong together; `heading` stands above them on an HTML page, where it is not empty."""

    title: str
    tables: Sequence[Table]
    heading: str = ""


def single(
    columns: Sequence[str], rows: Sequence[Sequence[object]], title: str, *, caption: str, text_columns: Collection[str]
) -> Page:
    """A page with one table, which has the page's title; arguments as the attributes of :class:`Table`."""
    return Page(title, [Table(columns, rows, caption, text_columns, title)])


def save(page: Page, output: Path | str, *, html: Path | str = "", latex: Path | str = "") -> None:
    """Save the page of the table in `output` as `html` and `latex`; where one is empty, beside it.

    The labels of the LaTeX tables are made of the name of their file: tab:ars for ars.tex.
    """
    with atomic_path(html or Path(output).with_suffix(".html")) as path:
        path.write_text(html_page(page), encoding="utf-8")
    name = Path(latex or Path(output).with_suffix(".tex"))
    with atomic_path(name) as path:
        path.write_text(latex_page(page, name.stem), encoding="utf-8")


def html_page(page: Page) -> str:
    """The page as HTML."""
    head = f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(page.title)}</title>'
    heading = [f"<h1>{escape(page.heading)}</h1>"] if page.heading else []
    return "\n".join([head, f"<style>\n{STYLE}\n</style>", *heading, *map(_html, page.tables), "</html>\n"])


def _html(table: Table) -> str:
    """A table as HTML."""
    classes = [' class="text"' if column in table.text_columns else "" for column in table.columns]

    def line(tag: str, cells: Sequence[object]) -> str:
        styled = zip(classes, cells, strict=True)
        return f"<tr>{''.join(f'<{tag}{style}>{escape(str(cell))}</{tag}>' for style, cell in styled)}</tr>"

    title = f"<b>{escape(table.title)}.</b> " if table.title else ""
    head = f'<div class="scroll">\n<table>\n<caption>{title}{escape(table.caption)}</caption>'
    return "\n".join([head, line("th", table.columns), *(line("td", row) for row in table.rows), "</table>\n</div>"])

"""Tables for people: HTML pages that need nothing but themselves."""

import argparse
import math
from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path

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


def save_page(page: str, output: Path | str, html: Path | str = "") -> None:
    """Save the page of the table in `output` as `html`; where that is empty, beside it."""
    with atomic_path(html or Path(output).with_suffix(".html")) as path:
        path.write_text(page, encoding="utf-8")


def html_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], title: str, *, caption: str, text_columns: Collection[str]
) -> str:
    """An HTML page with one table.

    Args:
        columns: headings. rows: tuples of as many cells, shown as they are.
        title, caption: of the page, and the text above the table.
        text_columns: headings of the columns that are aligned to the left.

    Returns:
        the page as a string.
    """
    above = f"<b>{escape(title)}.</b> {escape(caption)}"
    table = _table(columns, rows, above, text_columns=text_columns)
    return html_page(title, [table])


def captioned_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str, *, text_columns: Collection[str]
) -> str:
    """A table for :func:`html_page`; arguments as those of :func:`html_table`."""
    return _table(columns, rows, escape(caption), text_columns=text_columns)


def html_page(title: str, parts: Sequence[str]) -> str:
    """An HTML page of parts that are HTML already."""
    head = f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>'
    return "\n".join([head, f"<style>\n{STYLE}\n</style>", *parts, "</html>\n"])


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str, *, text_columns: Collection[str]
) -> str:
    """As :func:`captioned_table`, with a caption that is HTML already."""
    classes = [' class="text"' if column in text_columns else "" for column in columns]

    def line(tag: str, cells: Sequence[object]) -> str:
        styled = zip(classes, cells, strict=True)
        return f"<tr>{''.join(f'<{tag}{style}>{escape(str(cell))}</{tag}>' for style, cell in styled)}</tr>"

    head = f'<div class="scroll">\n<table>\n<caption>{caption}</caption>'
    return "\n".join([head, line("th", columns), *(line("td", row) for row in rows), "</table>\n</div>"])

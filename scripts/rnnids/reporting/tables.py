"""Tables for people: HTML pages that need nothing but themselves."""

import html

STYLE = """body { font: 15px/1.4 sans-serif; margin: 2em; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; margin-bottom: 2.5em; }
caption { text-align: left; max-width: 50em; padding-bottom: 0.8em; }
th { border-bottom: 1px solid; }
th, td { padding: 0.15em 0.8em; text-align: right; }
.text { text-align: left; }"""


def html_table(columns, rows, title, caption, text_columns):
    """An HTML page with one table.

    Args:
        columns: headings. rows: tuples of as many cells, shown as they are.
        title, caption: of the page, and the text above the table.
        text_columns: headings of the columns that are aligned to the left.

    Returns:
        the page as a string.
    """
    table = _table(columns, rows, f"<b>{html.escape(title)}.</b> {html.escape(caption)}", text_columns)
    return html_page(title, [table])


def captioned_table(columns, rows, caption, text_columns):
    """A table for :func:`html_page`; arguments as those of :func:`html_table`."""
    return _table(columns, rows, html.escape(caption), text_columns)


def html_page(title, parts):
    """An HTML page of parts that are HTML already."""
    head = f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>'
    return "\n".join([head, f"<style>\n{STYLE}\n</style>", *parts, "</html>\n"])


def _table(columns, rows, caption, text_columns):
    classes = [' class="text"' if column in text_columns else "" for column in columns]

    def line(tag, cells):
        styled = zip(classes, cells, strict=True)
        return f"<tr>{''.join(f'<{tag}{style}>{html.escape(str(cell))}</{tag}>' for style, cell in styled)}</tr>"

    head = f"<table>\n<caption>{caption}</caption>"
    return "\n".join([head, line("th", columns), *(line("td", row) for row in rows), "</table>"])

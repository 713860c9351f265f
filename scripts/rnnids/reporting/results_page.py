"""The results of a data set as one page: a verdict, then tables, figures and charts, grouped by what a reader asks.

The page holds all that it shows, so that it works offline and when sent on; it links to the files beside it.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple
from urllib.parse import quote

from rnnids.reporting.chart_data import chart_data
from rnnids.reporting.contents import CHARTS, DRAWN, SECTIONS, TITLES, Section
from rnnids.reporting.results import Cell, Results, Statement, words
from rnnids.reporting.tables import PAPER_TITLES
from rnnids.reporting.verdict import verdict

PAIRED = ("table3",)  # two tables side by side: sorting one would tear the other
UNFOLDED = ("ars", "transfer")  # however long
WIDE = 12  # columns, beyond which a table is set smaller in print
SHORT = 28  # characters of a cell, up to which it stays on one line
FOLD = 25  # rows, from which on a table is folded
SUFFIXES = {"svg": "image/svg+xml", "png": "image/png"}


class Parts(NamedTuple):
    """What a page is made of besides results: the template, its style, its script, and libraries by name."""

    template: str
    style: str
    script: str
    libraries: Mapping[str, str]


def read_parts(folder: Path) -> Parts:
    """The parts of the page in a folder."""
    template, style, script = (
        (folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")
    )
    libraries = {path.name: path.read_text(encoding="utf-8") for path in sorted((folder / "vendor").glob("*.js"))}
    return Parts(template, style, script, libraries)


def link(path: str, text: str) -> str:
    """A link to a file below the folder of the page."""
    return f'<a href="{quote(path)}">{escape(text)}</a>'


def statements_html(statements: Sequence[Statement]) -> tuple[str, list[Cell]]:
    """The verdict as a list, its numbers as links to the rows of the evidence; and their cells."""
    cells: list[Cell] = []
    items = []
    for statement in statements:
        text = []
        for part in statement.parts:
            if isinstance(part, str):
                text.append(escape(part))
                continue
            cells.append(part)
            where = f"{part.file}, {f'line {part.line}' if part.line else part.how}, column {part.column}"
            text.append(f'<a class="number" href="#n{len(cells)}" title="{escape(where)}">{escape(part.text)}</a>')
        kind = ' class="warning"' if statement.warning else ""
        items.append(f"<div{kind}><dt>{escape(statement.question)}</dt><dd>{''.join(text)}</dd></div>")
    return f'<dl class="verdict">{"".join(items)}</dl>', cells


def evidence_html(cells: Sequence[Cell]) -> str:
    """A table with the cell behind each number of the verdict."""
    rows = []
    for place, cell in enumerate(cells, start=1):
        where = f"line {cell.line}" if cell.line else cell.how
        values = (cell.text, cell.column, where, cell.value)
        shown = "".join(f"<td>{escape(value)}</td>" for value in values[1:])
        first = f'<th scope="row">{escape(cell.text)}</th><td>{link(cell.file, cell.file)}</td>'
        rows.append(f'<tr id="n{place}">{first}{shown}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Number", "File", "Column", "Row", "Value in the file"))
    caption = "<caption>Where each number of the verdict stands; line 1 of a file holds the headings.</caption>"
    return scrolling(
        f'<table class="evidence">{caption}<thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>',
        "Numbers behind the verdict",
    )


def scrolling(content: str, label: str) -> str:
    """Something wide that scrolls inside itself, by keyboard too."""
    return f'<div class="scroll" role="group" tabindex="0" aria-label="{escape(label)}">{content}</div>'


def table_html(results: Results, name: str) -> str:
    """A table that a script of its own made for people, with links to its files; "" if there is none."""
    path = f"tables/{name}.html"
    if path not in results.files:
        return ""
    content = results.files[path].read_text(encoding="utf-8")
    tables = re.findall(r"<table>.*?</table>", content, flags=re.DOTALL)
    rows = content.count("<tr>")
    title = TITLES[name]
    labels = [title if len(tables) == 1 else f"{title}, part {place}" for place in range(1, len(tables) + 1)]
    shown = "".join(
        scrolling(headed(table, name not in PAIRED), label) for table, label in zip(tables, labels, strict=True)
    )
    written = (f"tables/{name}.csv", f"{name}.csv", f"tables/{name}.tex")
    others = [file for file in written if file in results.files]
    links = " · ".join([link(path, "this table alone"), *(link(file, Path(file).name) for file in others)])
    opened = " open" if rows <= FOLD or name in UNFOLDED else ""
    return (
        f'<details id="table-{name}" class="table"{opened}><summary><h3>{escape(title)}</h3></summary>'
        f'{shown}<p class="files">{links}</p></details>'
    )


def headed(table: str, sortable: bool) -> str:
    """A table of ``tables.py`` with its first row as a head, as browsers and screen readers like it."""
    caption, _, rest = table.removeprefix("<table>").removesuffix("</table>").partition("</caption>")
    head, _, body = rest.strip().partition("\n")
    head = head.replace("<th", '<th scope="col"')
    body = re.sub(rf"<td>([^<]{{,{SHORT}}})</td>", r'<td class="short">\1</td>', body)
    body = re.sub(rf'<td class="text">([^<]{{,{SHORT}}})</td>', r'<td class="text short">\1</td>', body)
    kinds = ["sortable"] * sortable + ["wide"] * (head.count("<th") > WIDE)
    return f'<table class="{" ".join(kinds)}">{caption}</caption><thead>{head}</thead><tbody>{body}</tbody></table>'


def variants(results: Results, figure: str) -> list[str]:
    """The files, without suffix, of a figure and of those with other models, in that order."""
    names = {Path(path).stem for path in results.files if path.startswith("figures/")}
    others = sorted(name for name in names if re.fullmatch(rf"{figure}_[a-z0-9_]+", name) and name not in TITLES)
    return [name for name in (figure, *others) if name in names]


def figure_html(results: Results, name: str, figure: str, *, caption: str) -> str:
    """A figure with its caption and links to its files."""
    files = {suffix: f"figures/{name}.{suffix}" for suffix in ("pdf", "svg", "png")}
    there = {suffix: path for suffix, path in files.items() if path in results.files}
    pictures = {suffix: results.files[there[suffix]].read_bytes() for suffix in SUFFIXES if suffix in there}
    if not pictures:
        return ""
    kind = min(pictures, key=lambda suffix: len(pictures[suffix]))  # what makes the smaller page
    source = f"data:{SUFFIXES[kind]};base64,{base64.b64encode(pictures[kind]).decode()}"
    variant = words(name.removeprefix(figure).removeprefix("_"))
    variant = "before and after adversarial training" if variant == "before after" else variant
    title = f"{TITLES[figure]}, {variant}" if variant else TITLES[figure]
    links = " · ".join(link(path, suffix.upper()) for suffix, path in there.items())
    image = f'<img src="{source}" alt="{escape(title)}; the caption says what to read off" decoding="async">'
    return (
        f'<figure id="figure-{name}"><h3>{escape(title)}</h3>{scrolling(image, f"Figure: {title}")}'
        f'<figcaption>{caption}</figcaption><p class="files">{links}</p></figure>'
    )


def chart_html(results: Results, name: str) -> str:
    """The place of an interactive chart, which the script of the page fills; links to the figure that it follows."""
    title, caption = CHARTS[name]
    links = [
        link(f"figures/{variant}.{suffix}", f"{variant}.{suffix}")
        for variant in (variants(results, DRAWN[name]) if name in DRAWN else [])
        for suffix in ("pdf", "svg", "png")
        if f"figures/{variant}.{suffix}" in results.files
    ]
    files = f'<p class="files">In print: {" · ".join(links)}</p>' if links else ""
    return (
        f'<figure class="chart" id="chart-{name}"><h3>{escape(title)}</h3>'
        f'<form class="choices" aria-label="Choices of {escape(title)}"></form>'
        f'<div class="plot"></div><p class="reading" role="status"></p>'
        f"<figcaption>{escape(caption)}</figcaption>{files}<noscript><p>This chart needs JavaScript.</p></noscript>"
        f'<details class="rows"><summary>Numbers of this chart</summary><div></div></details></figure>'
    )


def rendered_caption(text: str, dataset: str, settings: Mapping[str, str]) -> str:
    """A caption of the report (workflow/report/*.rst) as HTML.

    Args:
        settings: {"explanations.sanity.orders": "10"}, the values of the configuration that captions name.
    """

    def value(found: re.Match[str]) -> str:
        if "wildcards.dataset" in found[1]:
            return dataset
        keys = ".".join(re.findall(r'\["(\w+)"\]', found[1]))
        return settings.get(keys, "?")

    text = escape(re.sub(r"\{\{(.*?)\}\}", value, " ".join(text.split())), quote=False)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)


def section_html(results: Results, section: Section, *, captions: Mapping[str, str], data: Mapping[str, Any]) -> str:
    """One question with all that answers it."""
    parts = [table_html(results, name) for name in section.tables]
    charts = [chart_html(results, name) for name in section.charts if data[name]]
    drawn = {DRAWN[name] for name in section.charts if data[name] and name in DRAWN}
    figures = [
        figure_html(results, name, figure, caption=captions.get(figure, captions.get(f"table_{figure}", "")))
        for figure in section.figures
        if figure not in drawn
        for name in variants(results, figure)
    ]
    found = [part for part in (*charts, *parts, *figures) if part]
    nothing = "<p>Nothing of this is there yet: <code>snakemake --cores 8 page</code> makes it.</p>"
    content = "".join(found) or nothing
    name = section.anchor
    heading = f'<h2 id="{name}-title">{section.question}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}{content}</section>'


def files_html(results: Results) -> str:
    """Links to all files that the page rests on, by folder."""
    folders: dict[str, list[str]] = {}
    for path in sorted(results.files):
        folders.setdefault(str(Path(path).parent), []).append(path)
    parts = []
    for folder, paths in folders.items():
        items = " ".join(f"<li>{link(path, Path(path).name)}</li>" for path in paths)
        name = "this folder" if folder == "." else folder
        parts.append(f"<details><summary>{escape(name)} ({len(paths)})</summary><ul>{items}</ul></details>")
    return "".join(parts)


def embedded(data: object) -> str:
    """JSON that can stand in a script element."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def results_page(
    results: Results, dataset: str, *, parts: Parts, captions: Mapping[str, str], settings: Mapping[str, str]
) -> str:
    """The page of one data set.

    Args:
        dataset: its name.
        captions: {name of a figure: text of its caption in the report}.
        settings: values of the configuration that captions name, by dotted key.

    Returns:
        the page as HTML.
    """
    data = chart_data(results)
    told, cells = statements_html(verdict(results))
    rendered = {name: rendered_caption(text, dataset, settings) for name, text in captions.items()}
    libraries = "\n".join(f"<script>{text}</script>" for text in parts.libraries.values())
    return Template(parts.template).substitute(
        dataset=escape(PAPER_TITLES.get(dataset, words(dataset))),
        style=parts.style,
        navigation="".join(f'<li><a href="#{section.anchor}">{section.question}</a></li>' for section in SECTIONS),
        verdict=told,
        evidence=evidence_html(cells),
        sections="".join(section_html(results, section, captions=rendered, data=data) for section in SECTIONS),
        files=files_html(results),
        libraries=libraries if any(data.values()) else "",
        data=embedded(data),
        script=parts.script,
    )

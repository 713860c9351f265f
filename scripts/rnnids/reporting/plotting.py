"""One style for all figures, one place that saves them, and the parts that several figures share.

Widths are those of the paper's columns, so that text keeps its size in print; where a smaller one is asked
for, fewer panels stand beside each other and the figure is as much higher. The palette is that of Okabe and
Ito, which colour-blind readers can tell apart.
"""

import argparse
import logging
import math
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure, FigureBase
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.scale import SymmetricalLogScale
from matplotlib.ticker import FixedLocator, NullLocator

from rnnids.cli import optional, positive
from rnnids.errors import InputError
from rnnids.storage import atomic_path, read_csv

COLUMN_WIDTH, PAGE_WIDTH = 3.5, 7.16  # inches, IEEE
NARROW = 5.5  # inches of a figure, below which what is made for the page has fewer panels in a row
LETTERS = 15  # small ones to an inch
ASKED: dict[str, float | None] = {"width": None}  # inches, by --width; None: each figure's own
BLACK, GREY, PALE = "#000000", "#8c8c8c", "#d9d9d9"
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY = "#cc79a7", "#56b4e9"
INFINITY = "\N{INFINITY}"
ALL, BENIGN = "All", "Benign"
SMALL_SAMPLE = 20  # flows; below, a share moves by 5 points with each flow
THIN = 5  # flows; below, what is drawn over the packets of flows is faint
MODEL_COLORS = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)
LOG_RATIO = 30  # largest to smallest value from which an axis is logarithmic

STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are the same on every machine
    "font.size": 8,
    "figure.labelsize": 8,
    "figure.titlesize": 9,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "rnnids",
    "path.simplify": False,
    "text.parse_math": False,  # the names of attack types are the user's, dollars included
}
matplotlib.rcParams.update(cast(Any, STYLE))  # whose keys are a type of their own
logging.getLogger("fontTools").setLevel(logging.WARNING)  # it reports every glyph that it embeds


def read_models(paths: Sequence[Path | str], text: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """The tables of several models below each other, with a column `model`: results/lab/MODEL/explanations/pdp.csv.

    Raises:
        InputError: as :func:`read_csv`, or two files of one model.
    """
    frames = {Path(path).absolute().parent.parent.name: read_csv(path, text, numbers) for path in paths}
    if len(frames) < len(paths):
        raise InputError(f"{' '.join(map(str, paths))}: two tables of one model; give one of each")
    return pd.concat([frame.assign(model=model) for model, frame in frames.items()], ignore_index=True)


def model_colors(table: pd.DataFrame) -> dict[str, str]:
    """{model: colour} of a table with a column `model`, in its order."""
    models = list(dict.fromkeys(table["model"]))
    return {model: MODEL_COLORS[place % len(MODEL_COLORS)] for place, model in enumerate(models)}


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every figure: where to save it, three times."""
    parser.add_argument("--output", required=True, help="output: the figure (PDF)")
    parser.add_argument("--svg", default="", help="output: the figure (SVG); empty: beside --output")
    parser.add_argument("--png", default="", help="output: the figure (PNG, 200 dots per inch); empty: beside --output")
    parser.add_argument("--width", type=_inches, default=None, help="of the figure in inches; none: its own")


def _inches(text: str) -> float | None:
    """An argparse type: inches, or None where it is "none"."""
    return None if optional(text) is None else positive(float)(text)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a figure's script; figures are from now on as wide as it asks for."""
    args = parser.parse_args(argv)
    ASKED["width"] = args.width
    return args


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, whose parts are kept from overlapping; as wide as asked for, if anything was."""
    return Figure(figsize=(ASKED["width"] or width, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))


def narrow() -> bool:
    """Whether a figure that is made for the page has to be narrower than that."""
    return ASKED["width"] is not None and ASKED["width"] < NARROW


def in_a_row(count: int) -> int:
    """How many panels, or entries of a legend, stand beside each other where the whole page has room for `count`."""
    return max(1, int(count * cast(float, ASKED["width"]) / PAGE_WIDTH + 0.25)) if narrow() else count


def in_rows(count: int, columns: int = 0) -> int:
    """Rows of `count` panels, of which the whole page has room for `columns`, or for all, beside each other."""
    return math.ceil(count / in_a_row(columns or count))


def beside(figure: FigureBase, count: int, **options: Any) -> list[Axes]:
    """`count` panels beside each other or, where that is too much for the figure, below each other."""
    rows = in_rows(count)
    if rows > 1:
        options.pop("width_ratios", None)
    panels: list[Axes] = figure.subplots(rows, in_a_row(count), squeeze=False, **options).ravel().tolist()
    return panels[:count]


def fitted(text: str) -> str:
    """A line of small letters for the whole page, on as many lines as a narrower figure needs."""
    return wrapped(text, int(cast(float, ASKED["width"]) * LETTERS)) if narrow() else text


def save(figure: Figure, output: Path | str, *, svg: Path | str = "", png: Path | str = "") -> None:
    """Save `figure` three times, without dates: equal runs, equal bytes.

    Args:
        output: path of the PDF. svg, png: paths of the others; empty: that of the PDF with their suffix.

    Raises:
        InputError: two of the files would have the same name.
    """
    files = {
        "pdf": Path(output),
        "svg": Path(svg or Path(output).with_suffix(".svg")),
        "png": Path(png or Path(output).with_suffix(".png")),
    }
    if len(set(files.values())) < len(files):
        raise InputError(f"{output}: PDF, SVG and PNG need a name each; give --output one that ends in .pdf")
    undated: dict[str, dict[str, None]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    for kind, name in files.items():
        with atomic_path(name) as path:
            figure.savefig(path, format=kind, dpi=200, metadata=undated[kind])
        figure.set_layout_engine("none")  # what the first one found holds for all, and takes as long as drawing


def small_multiples(figure: FigureBase, count: int, columns: int) -> list[Axes]:
    """`count` panels in rows of `columns`, fewer in a narrow figure, left to right."""
    columns = min(in_a_row(columns), count)
    panels: list[Axes] = figure.subplots(math.ceil(count / columns), columns, squeeze=False).ravel().tolist()
    for panel in panels[count:]:
        panel.remove()
    return panels[:count]


def by_category(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` (columns attack, category) with the types of a category together, in order of first appearance."""
    first = {category: position for position, category in reversed(list(enumerate(frame["category"])))}
    return frame.sort_values("category", key=lambda column: column.map(first), kind="stable").reset_index(drop=True)


def wrapped(name: str, width: int = 18) -> str:
    """`name` on as many lines of at most `width` characters as it takes."""
    return textwrap.fill(name, width, break_long_words=False)


def flagged(flows: int) -> str:
    """A number of flows as text, with a dagger where it is small."""
    return f"{flows:,}\N{DAGGER}" if flows < SMALL_SAMPLE else f"{flows:,}"


def note_small_samples(figure: FigureBase, flows: Iterable[int]) -> None:
    """A footnote that explains the dagger, where there is one."""
    if min(flows) < SMALL_SAMPLE:
        figure.supxlabel(f"\N{DAGGER} fewer than {SMALL_SAMPLE} flows", fontsize=7, x=0.99, ha="right")


def spans_decades(values: Iterable[float]) -> bool:
    """Whether the positive finite `values` call for a logarithmic axis."""
    positive = [value for value in values if 0 < value < math.inf]
    return bool(positive) and max(positive) > LOG_RATIO * min(positive)


def log_axis(axis: XAxis | YAxis, ticks: Sequence[float]) -> None:
    """Logarithmic ticks on a matplotlib axis at exactly `ticks`, labelled where there is room."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    gap = (ticks[-1] / ticks[0]) ** (1 / 5.5)  # room for five labels or so
    labels, last = [], 0.0
    for tick in ticks:
        roomy = tick >= gap * last
        labels.append(f"{tick:g}" if roomy else "")
        last = tick if roomy else last
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels(labels)


def distance_axis(axis: XAxis | YAxis, values: Iterable[float], room: float = 1.05) -> None:
    """An axis from 0 to `room` times the largest of `values`, logarithmic but for 0 if they span decades."""
    finite = [value for value in values if 0 < value < math.inf]
    top = max(finite, default=1.0) * room
    if spans_decades(finite):
        lowest = 10.0 ** math.floor(math.log10(min(finite)))
        decades = round(math.log10(top / lowest)) + 1
        ticks = [0.0, *(lowest * 10.0**power for power in range(decades + 1))]
        axis.axes.set(**{f"{axis.axis_name}scale": SymmetricalLogScale(axis, linthresh=lowest, linscale=0.4)})
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")
    axis.axes.set(**{f"{axis.axis_name}lim": (0, top)})


def whiskers(value: Iterable[float], low: Iterable[float], high: Iterable[float]) -> list[list[float]]:
    """Intervals as matplotlib's `err`: two lists of lengths, 0 where a bound is unknown or infinite."""

    def length(distance: float) -> float:
        return max(0.0, distance) if math.isfinite(distance) else 0.0

    return [
        [length(v - b) for v, b in zip(value, low, strict=True)],
        [length(b - v) for v, b in zip(value, high, strict=True)],
    ]

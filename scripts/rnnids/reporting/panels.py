"""Panels over the packets of flows: for each attack type its packet lengths and, beside, interarrival times."""

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import FigureBase
from matplotlib.scale import SymmetricalLogScale
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from rnnids.datasets.features import FEATURES, MANIPULABLE_FEATURES
from rnnids.reporting import plotting

LENGTH, INTERARRIVAL = (FEATURES[index] for index in MANIPULABLE_FEATURES)
LABELS = {LENGTH: "Length in bytes", INTERARRIVAL: "Interarrival time"}
ROW_HEIGHT = 1.12  # inches
TYPES_PER_ROW = 2
TICK_WIDTHS = [digit * 10**power for power in range(10) for digit in (1, 2, 5)]


def figure_height(count: int) -> float:
    """Height in inches of a figure with :func:`paired_panels` for `count` attack types without a legend."""
    return ROW_HEIGHT * plotting.in_rows(count, TYPES_PER_ROW) + 0.2


def paired_panels(figure: FigureBase, titles: Sequence[str]) -> list[dict[str, Axes]]:
    """Two panels for each of `titles`, two titles in a row, or one in a narrow figure.

    Returns:
        list of {feature: axes}, one for each title.
    """
    blocks, rows = plotting.in_a_row(TYPES_PER_ROW), plotting.in_rows(len(titles), TYPES_PER_ROW)
    grid = figure.add_gridspec(rows, 3 * blocks - 1, width_ratios=(1, 1, *(0.02, 1, 1) * (blocks - 1)))
    pairs = []
    for place, title in enumerate(titles):
        row, block = divmod(place, blocks)
        pair = {name: figure.add_subplot(grid[row, 3 * block + i]) for i, name in enumerate((LENGTH, INTERARRIVAL))}
        pair[LENGTH].set_title(title, loc="left", fontsize=7, fontweight="bold", pad=3)
        for name, panel in pair.items():
            panel.set_ylabel(LABELS[name], fontsize=6, labelpad=2)
            panel.tick_params(labelsize=6, pad=1.5)
        pairs.append(pair)
    return pairs


def step_axis(panel: Axes, last: int) -> None:
    """Steps 1 to `last` below a panel, half a step of air on both sides; ticks at 1 and at round numbers."""
    between = next(width for width in TICK_WIDTHS if last <= 5 * width)
    ticks = range(between, last + 1, between)
    panel.set(xlim=(0.5, last + 0.5), xticks=sorted({1, *(tick for tick in ticks if tick > 1 + between / 3)}))


def label_steps(figure: FigureBase, flows: Iterable[int]) -> None:
    """Label of the common horizontal axis, with a footnote where one of the numbers `flows` is small."""
    note = f" (\N{DAGGER} fewer than {plotting.SMALL_SAMPLE} flows)" if min(flows) < plotting.SMALL_SAMPLE else ""
    figure.supxlabel(f"Packet of the flow{note}")


def duration_text(milliseconds: float, _: object = None) -> str:
    """A time with the unit that suits it: 0.002 -> 2 µs."""
    for unit, size in (("s", 1000), ("ms", 1), ("µs", 0.001)):
        if milliseconds >= size * (1 - 1e-9):
            return f"{milliseconds / size:g} {unit}"
    return f"{milliseconds * 1000:.2g} µs" if milliseconds > 0 else "0"


def length_axis(axis: XAxis | YAxis, values: Iterable[float]) -> None:
    """An axis of lengths around the finite `values`, in whole bytes."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0), max(finite, default=1)
    air = max(0.05 * (high - low), 2)
    axis.axes.set(**{f"{axis.axis_name}lim": (max(0, low - air), high + air)})
    axis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def duration_axis(axis: XAxis | YAxis, values: Iterable[float]) -> None:
    """An axis of times from 0, units at its ticks; logarithmic but for 0 if the `values` (ms) span decades."""
    finite = [value for value in values if 0 < value < math.inf]
    top = 1.1 * max(finite, default=1e-3)
    axis.set_major_locator(MaxNLocator(nbins=3))
    if plotting.spans_decades(finite):
        lowest, highest = math.floor(math.log10(min(finite))), math.floor(math.log10(top))
        decades = highest - lowest + 1
        # The part from 0 is as high as a line of text.
        scale = SymmetricalLogScale(axis, linthresh=10.0**lowest, linscale=0.18 * decades)
        axis.axes.set(**{f"{axis.axis_name}scale": scale})
        powers = [power for power in range(lowest, highest + 1) if decades <= 3 or power % 3 == 0]
        axis.set_major_locator(FixedLocator([0.0, *(10.0**power for power in powers)]))
        axis.set_minor_locator(NullLocator())
        top *= 1.3
    axis.set_major_formatter(duration_text)
    axis.axes.set(**{f"{axis.axis_name}lim": (0, top)})

"""Draw Fig. 1: share of attack flows that are detected, unmodified and after each attack, per attack type.

Input: comparison.csv (compare_attacks.py). Whiskers are 95 % intervals. All attack flows come first;
they are not a mean over the types, since types have different numbers of flows. The methods are those
of the table, in the order of METHODS; under "search, no alarm at all" a flow is detected where any packet is.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnids import cli
from rnnids.errors import InputError
from rnnids.reporting import plotting
from rnnids.reporting.plotting import ALL, BLACK, BLUE, GREEN, ORANGE, PURPLE, RED
from rnnids.storage import read_csv

METHODS = {  # as they stand below each other; the attacks from the paper's weakest to its strongest
    "unmodified": {"color": BLACK, "marker": "|", "markersize": 6, "markeredgewidth": 1.5, "label": "unmodified"},
    "fgsm": {"color": GREEN, "marker": "^", "label": "FGSM"},
    "pgd": {"color": ORANGE, "marker": "D", "markersize": 3, "label": "PGD"},
    "cw": {"color": RED, "marker": "o", "label": "Carlini and Wagner"},
    "search": {"color": BLUE, "marker": "s", "markersize": 3, "label": "search"},
    "search, no alarm at all": {"color": PURPLE, "marker": "v", "label": "search, no alarm"},
}
NUMBERS = ("flows", "accuracy", "low", "high")
BAND, ROW_HEIGHT = "#f4f4f4", 0.06  # inches for each method


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--comparison", required=True, help="detection accuracy per attack type and method (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def read_comparison(path: Path | str) -> pd.DataFrame:
    """The table of one model.

    Raises:
        InputError: a method has no name in ``METHODS``.
    """
    comparison = read_csv(path, ("attack", "method"), NUMBERS)
    if unknown := set(comparison["method"]) - set(METHODS):
        raise InputError(f"{path}: unknown method {', '.join(sorted(unknown))}; the figure knows {', '.join(METHODS)}")
    return comparison


def draw_method(panel: Axes, method: str, rows: pd.DataFrame, *, places: Sequence[float]) -> None:
    """Points with whiskers of one method, in percent."""
    accuracy, low, high = (100 * rows[name] for name in ("accuracy", "low", "high"))
    error = {"elinewidth": 0.8, "clip_on": False}
    interval = plotting.whiskers(accuracy, low, high)
    panel.errorbar(accuracy, places, xerr=interval, linestyle="", **{"markersize": 3.5} | METHODS[method], **error)


def draw(comparison: pd.DataFrame) -> Figure:
    """The figure of a table with one row per attack type and method."""
    attacks = sorted(dict.fromkeys(comparison["attack"]), key=lambda attack: attack != ALL)
    places = {attack: row + 0.4 * (row > 0 and attacks[0] == ALL) for row, attack in enumerate(attacks)}
    methods = [method for method in METHODS if method in set(comparison["method"])]
    columns = 4 if "search" not in " ".join(methods) else 3  # names of searches are long
    row_height, lines = ROW_HEIGHT * max(5, len(methods)), math.ceil(len(methods) / columns)
    figure = plotting.new_figure(plotting.COLUMN_WIDTH, 0.6 + 0.15 * lines + row_height * (places[attacks[-1]] + 1))
    panel = figure.subplots()
    for place in list(places.values())[::2]:
        panel.axhspan(place - 0.5, place + 0.5, color=BAND, zorder=0)
    for position, method in enumerate(methods):
        rows = comparison[comparison["method"] == method]
        below = 0.76 * ((position + 0.5) / len(methods) - 0.5)
        draw_method(panel, method, rows, places=[places[attack] + below for attack in rows["attack"]])
    flows = comparison.groupby("attack")["flows"].max()
    names = [f"{'All attack flows' if name == ALL else name} ({plotting.flagged(flows[name])})" for name in attacks]
    panel.set_yticks(list(places.values()), names)
    panel.tick_params(axis="y", length=0, pad=5)  # away from markers at 0
    panel.set(xlim=(0, 100), ylim=(places[attacks[-1]] + 0.55, -0.55), xlabel="Detected flows in %")
    panel.grid(axis="x")
    figure.legend(loc="outside upper right", ncols=columns, columnspacing=1, handletextpad=0.2)
    plotting.note_small_samples(figure, flows)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    figure = draw(read_comparison(args.comparison))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

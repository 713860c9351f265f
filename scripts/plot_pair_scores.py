"""Draw the scores of all pairs of features (Eq. 4): how much of what one knows the other knows as well.

Input: pair_scores.csv (drop_features.py). At 1 the drops in accuracy add up; above, each feature replaces
the other, so that only the loss of both hurts. Scores are in grey where their 95 % interval holds 1 or where they
rest on drops within the sampling noise; hatched ones are 0/0, and infinite ones x/0. Features that are constant
in the data are left out and named.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Patch, Rectangle

from rnnids import cli
from rnnids.datasets.features import FEATURE_LABELS, FEATURES
from rnnids.errors import InputError
from rnnids.reporting import plotting
from rnnids.reporting.plotting import GREY, INFINITY, PALE
from rnnids.storage import read_csv

NUMBERS = ("drop_1", "drop_2", "drop_both", "score", "low", "high")
STATUSES = ("ok", "undefined", "infinite", "noise", "constant")
COLORS = "PuOr_r"
LABELS = dict(zip(FEATURES, FEATURE_LABELS, strict=True))
DARK = "#666666"  # grey that is legible as text


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--pair-scores", required=True, help="scores of all pairs of features (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def counts(scores: pd.DataFrame) -> pd.Series:
    """Whether each score differs from 1 beyond the sampling noise."""
    return scores["status"].isin(["ok", "infinite"]) & ((scores["low"] > 1) | (scores["high"] < 1))


def constant_features(scores: pd.DataFrame) -> list[str]:
    """The features of which every pair is constant, in their order."""
    varying = scores[scores["status"] != "constant"]
    return [name for name in FEATURES if name not in {*varying["feature_1"], *varying["feature_2"]}]


def colour_scale(scores: pd.DataFrame) -> TwoSlopeNorm:
    """From 0 over 1, where the drops add up, to the highest score that counts."""
    counted = scores["score"][counts(scores) & (scores["status"] == "ok")]
    return TwoSlopeNorm(1, vmin=0, vmax=max(2, counted.max() if len(counted) else 2))


def cell(row: Any, norm: TwoSlopeNorm) -> tuple[Any, str | None, str, str]:
    """(face colour, hatch, text, text colour) of one pair."""
    if row.status == "undefined":
        return "white", "/////", "", DARK
    infinite = row.status == "infinite"
    text = INFINITY if infinite else f"{row.score:.1f}" if row.score < 9.95 else f"{row.score:.0f}"
    if not row.counts:
        return PALE, None, text, DARK
    if infinite:
        return "black", None, text, "white"
    red, green, blue, _ = color = colormaps[COLORS](norm(row.score))
    return color, None, text, "black" if 0.3 * red + 0.6 * green + 0.1 * blue > 0.5 else "white"


def draw_cells(panel: Axes, scores: pd.DataFrame, norm: TwoSlopeNorm, *, shown: Sequence[str]) -> None:
    """A square for each pair of the features `shown`, below the diagonal."""
    for row in scores.assign(counts=counts(scores)).itertuples():
        if row.status == "constant":
            continue
        first, second = sorted((shown.index(row.feature_1), shown.index(row.feature_2)))
        face, hatch, text, color = cell(row, norm)
        corner = (first - 0.5, second - 0.5)
        # A hatch has the colour of its square's edge, which is to be white: two squares.
        panel.add_patch(Rectangle(corner, 1, 1, facecolor=face, hatch=hatch, edgecolor=GREY, linewidth=0))
        panel.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="white", linewidth=0.8))
        if not plotting.narrow():  # where squares are smaller than numbers, pair_scores.csv has them
            panel.text(first, second, text, ha="center", va="center", fontsize=6.5, color=color)


def draw_legend(figure: FigureBase, panel: Axes, norm: TwoSlopeNorm) -> None:
    """The scale of the colours and the other kinds of cells, in the empty corner."""
    bar = panel.inset_axes([0.5, 0.93, 0.5, 0.03])
    figure.colorbar(ScalarMappable(norm, COLORS), cax=bar, orientation="horizontal")
    ticks = [0, 0.5, 1, norm.vmax]
    bar.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    bar.set_title("Score (1: the drops add up)", fontsize=7)
    handles = [
        Patch(facecolor="black", label=f"infinite ({INFINITY}): neither drops accuracy alone"),
        Patch(facecolor=PALE, label="within the sampling noise of 1, or of no drop"),
        Patch(facecolor="white", edgecolor=GREY, hatch="/////", label="undefined: no drop at all"),
    ]
    look: dict[str, float] = {"handlelength": 1.2, "handleheight": 1.2}
    if plotting.narrow():
        figure.legend(handles=handles, loc="outside upper left", **look)
    else:
        panel.legend(handles=handles, loc="upper right", bbox_to_anchor=(1.01, 0.87), **look)


def draw(scores: pd.DataFrame) -> Figure:
    """The figure of a table with one row per pair of features."""
    figure = plotting.new_figure(5.2, 4.2 if plotting.narrow() else 4.9)
    panel = figure.subplots()
    norm, constant = colour_scale(scores), constant_features(scores)
    shown = [name for name in FEATURES if name not in constant]
    labels = [LABELS[name] for name in shown]
    draw_cells(panel, scores, norm, shown=shown)
    panel.set(xlim=(-0.5, len(shown) - 1.5), ylim=(len(shown) - 0.5, 0.5), aspect="equal")
    panel.set_xticks(range(len(shown) - 1), labels[:-1], rotation=90)
    panel.set_yticks(range(1, len(shown)), labels[1:])
    if constant:
        names = plotting.wrapped(f"Constant in the data: {', '.join(LABELS[name] for name in constant)}", 80)
        figure.supxlabel(names, fontsize=7)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    draw_legend(figure, panel, norm)
    return figure


def read_scores(path: Path | str) -> pd.DataFrame:
    """The table of scores.

    Raises:
        InputError: a feature or a status that the figure does not know.
    """
    scores = read_csv(path, ("feature_1", "feature_2", "status"), NUMBERS)
    for column, known in (("feature_1", FEATURES), ("feature_2", FEATURES), ("status", STATUSES)):
        if unknown := sorted(set(scores[column]) - set(known)):
            raise InputError(f"{path}: column {column}: unknown {', '.join(unknown)}; expected {', '.join(known)}")
    return scores


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    figure = draw(read_scores(args.pair_scores))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

"""Draw Fig. 3: recall of the unmodified flows and Adversarial Robustness Score (ARS, Eq. 3) per attack type.

Input: recall.csv (evaluate.py) and ars.csv (score_robustness.py). Whiskers are 95 % intervals. An
arrow to the end of the axis is an infinite ARS: fewer than half of the flows could be turned
benign; "n/a" is an undefined one. Attack types of one category stand together. "!" marks a score
against which the independent check found something, an outline one that is proven for most of
the flows behind it, and an asterisk an infinity that is proven: no attack can make half of the
flows benign. None shows where ars.csv has no column `verdict`, `exact` or `ars_lower`.
"""

import argparse
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnids import cli
from rnnids.reporting import plotting
from rnnids.reporting.plotting import BLACK, BLUE, GREY, INFINITY, PALE, RED
from rnnids.storage import read_csv

RECALL = ("flows", "recall", "low", "high")
ARS = ("flows", "ars", "low", "high")
OK = "ok"  # the verdict of check_robustness.py that needs no mark
MARKS = ("doubted", "proven", "certain")
MOSTLY = 0.5  # share of the flows behind a score above which it is shown as proven
WARNING_NOTE = "! the check found nearer or other evasions, or a fault; see table_ars"
CERTAIN_NOTE = f"{INFINITY}*: proven, whatever the threat model allows hides fewer than half of the flows"
PROVEN_NOTE = "outlined: proven for more than half of the flows behind the score"
WHISKER = {"ecolor": BLACK, "elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--recall", required=True, help="recall per attack type (CSV)")
    parser.add_argument("--ars", required=True, help="ARS per attack type (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def combine(recall: pd.DataFrame, ars: pd.DataFrame) -> pd.DataFrame:
    """One row per attack type of either table, recall and ARS side by side, missing values NaN."""
    keys = ["attack", "category"]
    doubted = ars["verdict"].notna() & (ars["verdict"] != OK) if "verdict" in ars else False
    proven = ars["exact"] > MOSTLY if "exact" in ars else False
    certain = np.isinf(ars["ars_lower"]) if "ars_lower" in ars else False
    ars = ars[[*keys, *ARS]].assign(doubted=doubted, proven=proven, certain=certain)
    both = recall[[*keys, *RECALL]].merge(ars, "outer", keys, suffixes=("_recall", "_ars"))
    both = both.assign(**{name: both[name].eq(True) for name in MARKS})
    order = list(dict.fromkeys([*recall["attack"], *ars["attack"]]))
    both = both.fillna({"flows_recall": 0, "flows_ars": 0}).astype({"flows_recall": int, "flows_ars": int})
    return plotting.by_category(both.sort_values("attack", key=lambda column: column.map(order.index)))


def rows_of(types: pd.DataFrame) -> list[float]:
    """Vertical place of each type, with some air between categories."""
    steps = types["category"] != types["category"].shift()
    return [position + 0.4 * step for position, step in enumerate(steps.cumsum())]


def draw_recall(panel: Axes, types: pd.DataFrame, places: Sequence[float]) -> None:
    """Bars of recall in percent, with the name and the number of flows of each type."""
    recall, low, high = (100 * types[name] for name in ("recall", "low_recall", "high_recall"))
    panel.barh(places, recall, height=0.75, color=BLUE)
    interval = plotting.whiskers(recall, low, high)
    panel.errorbar(recall, places, xerr=interval, fmt="none", clip_on=False, **WHISKER)
    for place, value in zip(places, recall, strict=True):
        if math.isnan(value):
            panel.text(1, place, "n/a", va="center", fontsize=7)
    panel.set(xlim=(0, 100), xlabel="Recall of unmodified flows in %")
    panel.set_yticks(places, [f"{row.attack}  ({plotting.flagged(row.flows_recall)})" for row in types.itertuples()])


def draw_ars(panel: Axes, types: pd.DataFrame, places: Sequence[float]) -> None:
    """Bars of the ARS, with the number of flows behind each."""
    plotting.distance_axis(panel.xaxis, [*types["ars"], *types["low_ars"], *types["high_ars"]], room=1.3)
    for place, row in zip(places, types.itertuples(), strict=True):
        draw_score(panel, place, row.ars, low=row.low_ars, high=row.high_ars, proven=row.proven, certain=row.certain)
    panel.set(xlabel="ARS: L1 distance in z-scores,\nsummed over packets")
    marks = types["doubted"].map({True: "! ", False: ""})
    names = [f"{mark}({plotting.flagged(flows)})" for mark, flows in zip(marks, types["flows_ars"], strict=True)]
    if plotting.narrow():  # names of attack types stand beside the other panel, which is above this one
        names = [f"{attack}  {name}" for attack, name in zip(types["attack"], names, strict=True)]
    panel.set_yticks(places, names)


def draw_score(panel: Axes, place: float, ars: float, *, low: float, high: float, proven: bool, certain: bool) -> None:
    """One ARS with its interval; what is infinite goes to the end of the axis and has an arrow there."""
    if math.isnan(ars):
        panel.text(0, place, " n/a", va="center", fontsize=7)
        return
    end = panel.get_xlim()[1]
    style = {"color": RED} if math.isfinite(ars) else {"color": PALE, "hatch": "/////", "edgecolor": "white"}
    panel.barh(place, min(ars, end), height=0.75, linewidth=0, **style)
    if proven:
        corners = [place - 0.375, place - 0.375, place + 0.375, place + 0.375]
        panel.plot([0, min(ars, end), min(ars, end), 0], corners, color=BLACK, linewidth=1, clip_on=False)
    if ars == 0:
        panel.plot(0, place, "D", color=RED, markersize=4, clip_on=False)
    if low < high:
        panel.plot([min(low, end), min(high, end)], [place, place], color=BLACK, linewidth=0.8)
        ends = [bound for bound in (low, high) if math.isfinite(bound)]
        panel.plot(ends, [place] * len(ends), "|", color=BLACK, markersize=4, markeredgewidth=0.8)
    if math.isinf(max(ars, high)):
        color = BLACK if math.isinf(ars) else GREY
        panel.plot(end, place, ">", color=color, markersize=4, clip_on=False)
        text = f"{INFINITY}*" if certain else INFINITY
        panel.annotate(text, (end, place), (5, 0), textcoords="offset points", va="center", color=color, fontsize=9)


def draw(types: pd.DataFrame) -> Figure:
    """The figure of the table of :func:`combine`."""
    places = rows_of(types)
    height = 0.8 + 0.2 * (places[-1] + 1)
    figure = plotting.new_figure(plotting.PAGE_WIDTH, height * plotting.in_rows(2))
    left, right = plotting.beside(figure, 2)
    draw_recall(left, types, places)
    draw_ars(right, types, places)
    for panel in (left, right):
        panel.set_ylim(places[-1] + 0.6, places[0] - 0.6)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x")
    # The layout makes room for an annotation, where names are short, and not for a title.
    above = {"xytext": (0, 6), "textcoords": "offset points", "fontsize": 7}
    left.annotate("Attack type (flows)", (0, 1), xycoords="axes fraction", ha="right", **above)
    if plotting.narrow():
        right.annotate("Attack type (flows)", (0, 1), xycoords="axes fraction", ha="right", **above)
    else:
        right.set_title("(flows)", loc="left", x=0, ha="right", fontsize=7)
    plotting.note_small_samples(figure, [*types["flows_recall"], *types["flows_ars"]])
    add_notes(figure, types)
    return figure


def add_notes(figure: Figure, types: pd.DataFrame) -> None:
    """Footnotes that explain the marks there are, below the one that may be there."""
    marks = ((types["doubted"], WARNING_NOTE), (types["proven"], PROVEN_NOTE), (types["certain"], CERTAIN_NOTE))
    notes = [plotting.fitted(note) for shown, note in marks if shown.any()]
    if notes:
        above = [text for text in [figure.get_supxlabel()] if text]
        figure.supxlabel("\n".join([*above, *notes]), fontsize=7, x=0.99, ha="right")


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    keys = ("attack", "category")
    figure = draw(combine(read_csv(args.recall, keys, RECALL), read_csv(args.ars, keys, ARS)))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

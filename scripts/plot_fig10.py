"""Draw Fig. 10: ARS (Eq. 3) of each attack type and the flows that still evade, over adversarial training.

Input: ars_by_epoch.csv (train_adversarially.py), by a single descent, and robustness.csv of the baseline and of the
trained model: what the search for evasions says at both ends, drawn in black. Bands are 95 % intervals. In the
grey zone at the top the ARS, or the end of its interval, is infinite: fewer than half of the flows could be turned
benign. An undefined ARS is left out. "!" marks what the check of the search found fault with. All panels have the
same axes; types of one category stand together.
"""

import argparse
import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from rnnids import cli
from rnnids.reporting import plotting
from rnnids.reporting.plotting import BLACK, BLUE, INFINITY, PALE, RED
from rnnids.storage import read_csv

NUMBERS = ("epoch", "flows", "ars", "low", "high", "success_ratio")
SCORE = {"color": RED, "marker": "s", "markersize": 3, "label": "ARS and its 95 % interval (left axis)"}
INFINITE = {"color": RED, "linestyle": "", "marker": "^", "markersize": 4, "label": f"infinite ARS ({INFINITY})"}
EVADING = {"color": BLUE, "linewidth": 0.8, "marker": "o", "markersize": 2.5} | {
    "label": "flows benign under attack (right axis)"
}
OK, DOUBTED = "ok", ("refuted", "invalid", "no gradient")  # verdicts of check_robustness.py
SEARCHED = {"color": BLACK, "linestyle": "", "zorder": 4, "clip_on": False, "markerfacecolor": "none"}
SEARCHED_SCORE = SEARCHED | {"marker": "s", "markersize": 5, "label": "ARS by the search"}
SEARCHED_SHARE = SEARCHED | {"marker": "o", "markersize": 5, "label": "flows benign by the search"}
COLUMNS = 5
ZONE = 0.84  # of a panel's height: where the zone of infinite values begins
MOST_TICKS = 5


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--scores", required=True, help="ARS per epoch and attack type (CSV)")
    parser.add_argument("--before", help="robustness.csv of the baseline, by the search")
    parser.add_argument("--after", help="robustness.csv of the model after the last epoch, by the search")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def score_axis(panel: Axes, values: Sequence[float]) -> float:
    """An axis for the finite `values` below the zone of infinite ones; returns the place of infinity on it."""
    plotting.distance_axis(panel.yaxis, values)
    highest = panel.get_ylim()[1]
    to_axis = panel.yaxis.get_transform()
    height = to_axis.transform([highest])[0] / ZONE
    end, infinity = to_axis.inverted().transform([height, height * (1 + ZONE) / 2])
    ticks = [tick for tick in panel.get_yticks() if tick <= highest]
    first = 1 if len(ticks) < MOST_TICKS else 2  # the lowest decade is too near to 0
    ticks = [0.0, *ticks[first :: math.ceil(len(ticks) / MOST_TICKS)]]
    panel.set_ylim(0, end)
    panel.yaxis.set_major_locator(FixedLocator([*ticks, infinity]))
    panel.yaxis.set_ticklabels([*(f"{tick:g}" for tick in ticks), INFINITY])
    return infinity


def draw_score(panel: Axes, rows: pd.DataFrame, infinity: float) -> None:
    """ARS with its interval over the epochs; what is infinite stands in its zone."""
    rows = rows.dropna(subset="ars").replace(math.inf, infinity)
    if rows.empty:
        return
    panel.fill_between(rows["epoch"], rows["low"], rows["high"], color=RED, alpha=0.18, linewidth=0)
    infinite = rows["ars"] == infinity
    panel.plot(rows["epoch"], rows["ars"], clip_on=False, markevery=(~infinite).tolist(), **SCORE)
    if infinite.any():  # a line without points would upset the layout
        panel.plot(rows["epoch"][infinite], rows["ars"][infinite], clip_on=False, **INFINITE)


def draw_evading(panel: Axes, rows: pd.DataFrame) -> Axes:
    """Share of flows that are benign under attack, on an axis to the right; above its 100 % is the zone."""
    shares = panel.twinx()
    shares.axhspan(100, 100 / ZONE, color=PALE, alpha=0.6, linewidth=0)
    shares.plot(rows["epoch"], 100 * rows["success_ratio"], clip_on=False, **EVADING)
    shares.set(ylim=(0, 100 / ZONE), yticks=(0, 50, 100))
    shares.spines["right"].set(visible=True, color=BLUE)
    shares.tick_params(color=BLUE, labelcolor=BLUE)
    panel.set_zorder(shares.get_zorder() + 1)
    panel.patch.set_visible(False)
    return shares


def draw_searched(panel: Axes, shares: Axes, rows: pd.DataFrame, infinity: float) -> None:
    """What the search says of an attack type, at the first and the last epoch."""
    panel.plot(rows["epoch"], rows["ars"].replace(math.inf, infinity), **SEARCHED_SCORE)
    shares.plot(rows["epoch"], 100 * rows["success_ratio"], **SEARCHED_SHARE)


def draw_type(panel: Axes, rows: pd.DataFrame, every: pd.DataFrame, *, column: int, columns: int) -> None:
    """One attack type; the axes are labelled in the first and the last column."""
    infinity = score_axis(panel, [*every["ars"], *every["low"], *every["high"]])
    searched = rows[rows["searched"]]
    rows = rows[~rows["searched"]]
    shares = draw_evading(panel, rows)
    draw_score(panel, rows, infinity)
    doubted = False
    if len(searched):
        draw_searched(panel, shares, searched, infinity)
        doubted = bool(searched["verdict"].isin(DOUBTED).any())
    panel.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    panel.tick_params(axis="y", labelleft=column == 0, labelcolor=RED)
    if column == columns - 1:
        shares.set_ylabel("Flows in %", color=BLUE, fontsize=7, labelpad=2)
    else:
        shares.tick_params(labelright=False)
    flows = plotting.flagged(int(rows["flows"].max()))
    panel.set_title(f"{plotting.wrapped(rows['attack'].iloc[0])}\nN = {flows}{' !' * doubted}", fontsize=7)


def by_search(scores: pd.DataFrame, path: str | None, epoch: int) -> pd.DataFrame:
    """Rows of a robustness.csv, under its main threat model, as those of the scores."""
    if path is None:
        return scores.iloc[:0].assign(searched=True)
    found = read_csv(path, ("attack", "category", "threat_model", "goal"), NUMBERS[1:])
    found = found[(found["threat_model"] == found["threat_model"].iloc[0]) & (found["goal"] == "last")]
    verdict = found.get("verdict", OK)
    return found.assign(epoch=epoch, searched=True, verdict=verdict)[[*scores.columns, "searched", "verdict"]]


def draw(scores: pd.DataFrame) -> Figure:
    """The figure of scores with one row per epoch and attack type, and `searched` those that the search made."""
    if "searched" not in scores:
        scores = scores.assign(searched=False)
    scores = plotting.by_category(scores.sort_values("epoch", kind="stable"))
    types = [rows for _, rows in scores.groupby("attack", sort=False)]
    figure = plotting.new_figure(plotting.PAGE_WIDTH, 0.8 + 1.35 * plotting.in_rows(len(types), COLUMNS))
    panels, columns = plotting.small_multiples(figure, len(types), COLUMNS), plotting.in_a_row(COLUMNS)
    for place, (rows, panel) in enumerate(zip(types, panels, strict=True)):
        draw_type(panel, rows, scores, column=place % columns, columns=min(columns, len(types)))
    styles = [SCORE, INFINITE, EVADING] + ([SEARCHED_SCORE, SEARCHED_SHARE] if scores["searched"].any() else [])
    handles = [Line2D([], [], **style) for style in styles]
    figure.legend(handles=handles, loc="outside upper center", ncols=plotting.in_a_row(3), columnspacing=1.5)
    figure.supylabel("ARS (L1, z-scores)", color=RED)
    few = scores["flows"].min() < plotting.SMALL_SAMPLE
    note = f" (\N{DAGGER} fewer than {plotting.SMALL_SAMPLE} flows)" if few else ""
    if "verdict" in scores and scores["verdict"].isin(DOUBTED).any():
        note += " (! the check of the search found nearer or other evasions, or a fault; see table_ars)"
    figure.supxlabel(plotting.fitted(f"Epoch of adversarial training{note}"))
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    scores = read_csv(args.scores, ("attack", "category"), NUMBERS)
    last = scores["epoch"].max()
    ends = [by_search(scores, args.before, 0), by_search(scores, args.after, last)]
    figure = draw(pd.concat([scores.assign(searched=False), *ends]))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

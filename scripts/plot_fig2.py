"""Draw Fig. 2: success ratio and mean L1 distance of the CW attack over its trade-off kappa.

Input: attacks/cw/summary.csv (summarise_attacks.py). Above all attack flows together, with the attack
types as grey lines; below one panel for each type, success on the left and distance on the right axis.
The distance is that of the successful flows; where there is none, it is missing.
"""

import argparse
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MultipleLocator

from rnnids import cli
from rnnids.reporting import plotting
from rnnids.reporting.plotting import ALL, BLUE, GREY, RED, SKY
from rnnids.storage import read_csv

NUMBERS = ("kappa", "flows", "success_ratio", "success_ratio_delta", "mean_l1")
SUCCESS = {"color": BLUE, "marker": "o", "label": "classified as benign (logit \u2264 0)"}
MARGIN = {"color": SKY, "marker": "o", "linestyle": (0, (3, 2)), "markerfacecolor": "white"} | {
    "label": "with a margin (logit \u2264 \u03b4)"
}
DISTANCE = {"color": RED, "marker": "s", "label": "mean L1 distance, successful flows"}
SUCCESS_LABEL, DISTANCE_LABEL = "Success ratio in %", "L1 distance (z-scores,\nsummed over packets)"
COLUMNS = 7


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--summary", required=True, help="success and distance per attack type and kappa (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def set_axes(panel: Axes, distances: Axes, summary: pd.DataFrame) -> None:
    """Kappa below, success on the axis of `panel`, distance on that of `distances`; the same in all panels."""
    panel.set(ylim=(0, 100))
    panel.yaxis.set_major_locator(MultipleLocator(25))
    plotting.log_axis(panel.xaxis, sorted(set(summary["kappa"])))
    plotting.distance_axis(distances.yaxis, summary["mean_l1"])


def draw_lines(panel: Axes, distances: Axes, flows: pd.DataFrame, **line: float) -> None:
    """Success in `panel` and distance in `distances`."""
    panel.plot(flows["kappa"], 100 * flows["success_ratio"], clip_on=False, **SUCCESS | line)
    panel.plot(flows["kappa"], 100 * flows["success_ratio_delta"], clip_on=False, **MARGIN | line)
    distances.plot(flows["kappa"], flows["mean_l1"], clip_on=False, **DISTANCE | line)


def draw_together(figure: FigureBase, summary: pd.DataFrame) -> None:
    """Two panels: all attack flows, and each type in grey."""
    panel, distances = plotting.beside(figure, 2)
    for _, flows in summary[summary["attack"] != ALL].groupby("attack", sort=False):
        grey = {"color": GREY, "linewidth": 0.6, "alpha": 0.7}
        panel.plot(flows["kappa"], 100 * flows["success_ratio"], clip_on=False, **grey)
        distances.plot(flows["kappa"], flows["mean_l1"], clip_on=False, **grey)
    together = summary[summary["attack"] == ALL]
    draw_lines(panel, distances, together, linewidth=2, markersize=5)
    panel.plot([], [], color=GREY, linewidth=0.6, label="one attack type")
    set_axes(panel, distances, summary)
    plotting.log_axis(distances.xaxis, sorted(set(summary["kappa"])))
    panel.set(ylabel=SUCCESS_LABEL, title=f"All {int(together['flows'].max()):,} attack flows: success")
    distances.set(ylabel=DISTANCE_LABEL, title="All attack flows: distance")
    for axes in (panel, distances):
        axes.grid(axis="y")


def draw_types(figure: FigureBase, summary: pd.DataFrame, attacks: Sequence[str]) -> None:
    """A small panel with two axes for each attack type."""
    panels, columns = plotting.small_multiples(figure, len(attacks), COLUMNS), plotting.in_a_row(COLUMNS)
    for place, (attack, panel) in enumerate(zip(attacks, panels, strict=True)):
        flows = summary[summary["attack"] == attack]
        distances = panel.twinx()
        distances.spines["right"].set_visible(True)
        draw_lines(panel, distances, flows, linewidth=1, markersize=2.5)
        set_axes(panel, distances, summary)
        panel.tick_params(labelleft=place % columns == 0, labelcolor=BLUE, axis="y")
        if place % columns == columns - 1 or place == len(attacks) - 1:
            distances.tick_params(labelcolor=RED)
            distances.set_ylabel("L1 distance", color=RED)
        else:
            distances.tick_params(labelright=False)
        title = f"{plotting.wrapped(attack, 16)}\nN = {plotting.flagged(int(flows['flows'].max()))}"
        panel.set_title(title, fontsize=7)
    figure.supylabel(SUCCESS_LABEL, color=BLUE)


def draw(summary: pd.DataFrame) -> Figure:
    """The figure of a summary with one row per attack type and kappa."""
    summary = summary.sort_values("kappa", kind="stable")
    attacks = [attack for attack in dict.fromkeys(summary["attack"]) if attack != ALL]
    rows = plotting.in_rows(len(attacks), COLUMNS)
    heights = [2.3 * plotting.in_rows(2), 1.35 * rows + 0.2]
    figure = plotting.new_figure(plotting.PAGE_WIDTH, sum(heights) + 0.3)
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    draw_together(above, summary)
    draw_types(below, summary, attacks)
    handles = {handle.get_label(): handle for axes in above.axes for handle in axes.get_legend_handles_labels()[0]}
    figure.legend(
        handles=list(handles.values()),
        loc="outside upper center",
        ncols=1 if plotting.narrow() else 4,
        columnspacing=1.5,
    )
    figure.supxlabel("Trade-off \u03ba (Eq. 1)")
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    figure = draw(read_csv(args.summary, ("attack",), NUMBERS))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

"""Draw what models detect against their false alarms: precision over recall, and missed attacks over false alarms.

Input: detection_curves.csv and operating_points.csv (measure_detection.py). Left: precision over recall of
flows, in the test split's mixture of attacks and benign flows, which is not that of a network. Right: detection error
tradeoff, both axes logarithmic, with false alarms an hour above, if benign flows came as often as in the captures.
Dots: the models' own thresholds; lines: 1 % and 0.1 % false alarms.
"""

import argparse
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from rnnids import cli
from rnnids.reporting import plotting
from rnnids.reporting.plotting import ALL, GREY
from rnnids.storage import read_csv

RATES = (1.0, 0.1)  # percent
OWN = "own threshold"
FLOOR = 0.01  # percent: what is below stands on the edge


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--curves", required=True, help="curves of the models (CSV)")
    parser.add_argument("--operating-points", required=True, help="operating points of the models (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def draw_model(panels: Sequence[Axes], curve: pd.DataFrame, own: pd.Series, *, color: str) -> None:
    """Both curves of one model, in percent, with a dot at its own threshold."""
    defined = curve.dropna(subset="precision")
    panels[0].plot(
        100 * defined["recall"], 100 * defined["precision"], color=color, label=own["model"].replace("_", " ")
    )
    missed = (100 * (1 - curve["recall"])).clip(lower=FLOOR)
    panels[1].plot((100 * curve["false_alarms"]).clip(lower=FLOOR), missed, color=color)
    nearest = curve.loc[(curve["threshold"] - own["threshold"]).abs().idxmin()]
    panels[0].plot(100 * nearest["recall"], 100 * nearest["precision"], "o", color=color)
    at = max(FLOOR, 100 * own["false_alarms"]), max(FLOOR, 100 * (1 - own["recall"]))
    panels[1].plot(*at, "o", color=color)


def draw(curves: pd.DataFrame, points: pd.DataFrame) -> Figure:
    """The figure of two tables of all models."""
    figure = plotting.new_figure(plotting.PAGE_WIDTH, 3.2 * plotting.in_rows(2))
    panels = plotting.beside(figure, 2)
    own = points[(points["point"] == OWN) & (points["attack"] == ALL)].set_index("model", drop=False)
    for model, color in plotting.model_colors(curves).items():
        draw_model(panels, curves[curves["model"] == model], own.loc[model], color=color)
    panels[0].set(xlabel="Recall in %", ylabel="Precision in %", xlim=(0, 101), ylim=(0, 101))
    panels[1].set(xlabel="False alarms in % of benign flows", ylabel="Missed attack flows in %")
    for axis in (panels[1].xaxis, panels[1].yaxis):
        plotting.log_axis(axis, [0.01, 0.1, 1, 10, 100])
        axis.axes.set(**{f"{axis.axis_name}lim": (FLOOR, 100)})
    for rate in RATES:
        panels[1].axvline(rate, color=GREY, linewidth=0.7, linestyle=(0, (4, 3)))
    for panel in panels:
        panel.grid()
    at_rate = own[own["false_alarms"] > 0]
    if len(at_rate):
        hourly = at_rate["per_hour"].iloc[0] / (100 * at_rate["false_alarms"].iloc[0])  # for each percent
        above = panels[1].secondary_xaxis("top", functions=(lambda x: x * hourly, lambda x: x / hourly))
        above.set_xlabel(plotting.fitted("False alarms an hour, at the captures' rate of benign flows"), fontsize=7)
        above.xaxis.set_major_formatter("{x:,g}")
        ticks = [10.0**power for power in range(-3, 9) if FLOOR * hourly <= 10.0**power <= 100 * hourly]
        above.xaxis.set_major_locator(FixedLocator(ticks))
        above.xaxis.set_minor_locator(NullLocator())
        above.tick_params(labelsize=6)
    figure.legend(loc="outside lower center", ncols=plotting.in_a_row(3))
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    curves = read_csv(args.curves, ("model",), ("threshold", "false_alarms", "recall", "precision"))
    numbers = ("threshold", "false_alarms", "per_hour", "recall")
    points = read_csv(args.operating_points, ("model", "point", "attack"), numbers)
    plotting.save(draw(curves, points), args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

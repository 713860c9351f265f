"""Draw the Shapley values of the features beside what the loss of each alone costs (Sec. V-A3).

Input: shapley.csv (measure_shapley.py) and feature_dropout.csv (drop_features.py) of the model that was trained with
feature dropout. Bars are Shapley values of flow accuracy, rings the drops in it without the feature, lines 95 %
intervals over flows. What is high in the first and near 0 in the second is known to other features as well.
"""

import argparse
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from rnnids import cli
from rnnids.datasets.features import FEATURE_LABELS, FEATURES
from rnnids.errors import InputError
from rnnids.reporting import plotting
from rnnids.reporting.plotting import BLACK, BLUE
from rnnids.storage import read_csv

NUMBERS = ("value", "low", "high")
WHISKER = {"elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--shapley", required=True, help="Shapley values (CSV)")
    parser.add_argument("--drops", required=True, help="accuracy drops without features (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def of_flows(path: str, metric: str) -> pd.DataFrame:
    """A metric of flows in percent by feature, all 15; anything else in the file is an :class:`InputError`."""
    table = read_csv(path, ("metric", "level", "feature"), NUMBERS)
    chosen = table[(table["metric"] == metric) & (table["level"] == "flow")].set_index("feature")
    if set(chosen.index) != set(FEATURES) or len(chosen) != len(FEATURES):
        raise InputError(f"{path}: no {metric} of flows for each of the {len(FEATURES)} features; make it anew")
    return 100 * chosen.loc[list(FEATURES), list(NUMBERS)]


def draw(shapley: pd.DataFrame, drops: pd.DataFrame) -> Figure:
    """The figure of two tables of value, low and high in percent by feature, the largest Shapley value above."""
    order = shapley["value"].sort_values(ascending=False, kind="stable").index
    labels = dict(zip(FEATURES, FEATURE_LABELS, strict=True))
    figure = plotting.new_figure(plotting.COLUMN_WIDTH, 3.4)
    panel = figure.subplots()
    rows = list(range(len(order)))
    for table, style in ((shapley.loc[order], {"ecolor": BLACK}), (drops.loc[order], {"ecolor": "#666666"})):
        interval = plotting.whiskers(table["value"], table["low"], table["high"])
        panel.errorbar(table["value"], rows, xerr=interval, fmt="none", zorder=2, **WHISKER | style)
    panel.barh(rows, shapley.loc[order, "value"], height=0.7, color=BLUE, zorder=1, label="Shapley value")
    ring = {"color": BLACK, "markerfacecolor": "white", "markersize": 3.5, "markeredgewidth": 0.8}
    panel.plot(drops.loc[order, "value"], rows, "o", zorder=3, label="drop without it alone", **ring)
    panel.set_yticks(rows, [labels[name] for name in order])
    panel.set_ylim(len(rows) - 0.4, -0.6)
    panel.axvline(0, color=BLACK, linewidth=0.6)
    panel.grid(axis="x")
    panel.tick_params(axis="y", length=0)
    panel.set_xlabel("Flow accuracy in percentage points")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    figure = draw(of_flows(args.shapley, "shapley"), of_flows(args.drops, "feature_dropout"))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

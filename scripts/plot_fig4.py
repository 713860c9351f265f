"""Draw Fig. 4: importance and sensitivity of the features by all metrics, each as a share of its sum.

Input: any of weights.csv, input_perturbation.csv, feature_dropout.csv and mutual_information.csv (rank_weights.py,
perturb_inputs.py, drop_features.py, measure_mutual_information.py), with columns metric, level, feature, value,
low, high. As in the paper, negative values count as 0 and each metric is divided by its sum. Bars are for the
prediction of flows, with 95 % intervals; circles for that of packets. Blue metrics measure importance, red
ones sensitivity.
"""

import argparse
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnids import cli
from rnnids.datasets.features import FEATURE_LABELS, FEATURES
from rnnids.errors import InputError
from rnnids.reporting import plotting
from rnnids.reporting.plotting import BLACK, BLUE, GREY, ORANGE, RED
from rnnids.storage import read_csv

METRICS = {  # name in the table -> title, colour by what the metric asks
    "weights": ("Weights", GREY),
    "input_perturbation": ("Input\nperturbation", BLUE),
    "feature_dropout": ("Feature\ndropout", BLUE),
    "mutual_information_observed": ("Mutual inf.,\nobserved values", RED),
    "mutual_information_attacker": ("Mutual inf.,\nattacker's values", RED),
    "mutual_information_binned": ("Mutual inf.,\nbinned (paper)", ORANGE),
}
WHISKER = {"ecolor": BLACK, "elinewidth": 0.8, "capsize": 1.2, "capthick": 0.8}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--importance", required=True, nargs="+", help="metrics of the features (CSV), several files")
    plotting.add_output_arguments(parser)
    return parser.parse_args(argv)


def read_importance(paths: Sequence[str]) -> pd.DataFrame:
    """The rows of all files together.

    Raises:
        InputError: a metric or a feature that the figure does not know, or a metric in two files.
    """
    tables = [read_csv(path, ("metric", "level", "feature"), ("value", "low", "high")) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        for column, known in (("metric", METRICS), ("feature", FEATURES)):
            if unknown := sorted(set(table[column]) - set(known)):
                raise InputError(f"{path}: column {column}: unknown {', '.join(unknown)}; give a table of Sec. V-A")
    importance = pd.concat(tables, ignore_index=True)
    keys = ["metric", "level", "feature"]
    if (twice := importance[importance.duplicated(keys)]).size:
        raise InputError(f"{' '.join(paths)}: metric {twice['metric'].iloc[0]} comes twice; give each table once")
    return importance


def shares(importance: pd.DataFrame, metric: str, level: str) -> pd.DataFrame:
    """One metric as shares in percent: value, low and high by feature, all 15; of nothing if no value is above 0."""
    chosen = importance[(importance["metric"] == metric) & (importance["level"] == level)]
    table = chosen.set_index("feature")[["value", "low", "high"]].reindex(FEATURES)
    total = table["value"].clip(lower=0).sum()
    return 100 * table.clip(lower=0) / total if total > 0 else table.clip(0, 0)


def draw_metric(panel: Axes, importance: pd.DataFrame, metric: str) -> None:
    """Bars of one metric for flows, circles for packets."""
    title, color = METRICS[metric]
    rows = list(range(len(FEATURES)))
    flow, packet = (shares(importance, metric, level) for level in ("flow", "packet"))
    panel.barh(rows, flow["value"].fillna(0), height=0.72, color=color)
    interval = plotting.whiskers(flow["value"], flow["low"], flow["high"])
    panel.errorbar(flow["value"], rows, xerr=interval, fmt="none", **WHISKER)
    panel.plot(packet["value"], rows, "o", color=BLACK, markerfacecolor="white", markersize=2.8, markeredgewidth=0.7)
    panel.set_title(title, fontsize=7, pad=4)
    panel.set_xlim(0, 1.08 * max(1, flow[["value", "high"]].max(axis=None), packet["value"].max()))
    panel.grid(axis="x")
    panel.tick_params(axis="y", length=0)


def draw(importance: pd.DataFrame) -> Figure:
    """The figure of rows metric, level, feature, value, low, high."""
    metrics = [metric for metric in METRICS if metric in set(importance["metric"])]
    figure = plotting.new_figure(plotting.PAGE_WIDTH, 3.6)
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for metric, panel in zip(metrics, panels, strict=True):
        draw_metric(panel, importance, metric)
    panels[0].set_yticks(range(len(FEATURES)), FEATURE_LABELS)
    panels[0].set_ylim(len(FEATURES) - 0.4, -0.6)
    figure.supxlabel("Share of the metric's sum in %  (bars: prediction of flows, circles: of packets)")
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    figure = draw(read_importance(args.importance))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

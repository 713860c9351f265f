"""Draw Fig. 4: importance and sensitivity of the features by all metrics, each as a share of its sum.

Input: any of weights.csv, input_perturbation.csv, feature_dropout.csv, shapley.csv and mutual_information.csv
(rank_weights.py, perturb_inputs.py, drop_features.py, measure_shapley.py, measure_mutual_information.py), with columns
metric, level, feature, value, low, high. As in the paper, negative values count as 0 and each metric is divided by its
sum. Bars are for the prediction of flows, circles for that of packets, both with 95 % intervals. Blue metrics measure
importance, red ones sensitivity. The last panel has bits instead of shares, since there a feature that varies in one
packet can be compared with the same feature in all packets of the flow.
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
    "shapley": ("Shapley\nvalues", BLUE),
    "mutual_information_observed": ("Mutual inf.,\nobserved values", RED),
    "mutual_information_attacker": ("Mutual inf.,\nattacker's values", RED),
    "mutual_information_binned": ("Mutual inf.,\nbinned (paper)", ORANGE),
}
BITS = {  # metrics beside each other in the last panel -> label, colour, marker
    "mutual_information_attacker": ("attacker's values, one packet*", RED, "o"),
    "mutual_information_whole_flow": ("observed values, whole flow", BLACK, "s"),
    "mutual_information_feasible": ("within the constraints, whole flow", BLUE, "D"),
}
COLUMNS = 4
ROW_HEIGHT = 3.3  # inches
WHISKER = {"ecolor": BLACK, "elinewidth": 0.8, "capsize": 1.2, "capthick": 0.8}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--importance", required=True, nargs="+", help="metrics of the features (CSV), several files")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def read_importance(paths: Sequence[str]) -> pd.DataFrame:
    """The rows of all files together.

    Raises:
        InputError: a metric or a feature that the figure does not know, or a metric in two files.
    """
    tables = [read_csv(path, ("metric", "level", "feature"), ("value", "low", "high")) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        for column, known in (("metric", METRICS | BITS), ("feature", FEATURES)):
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
    interval = plotting.whiskers(packet["value"], packet["low"], packet["high"])
    panel.errorbar(packet["value"], rows, xerr=interval, fmt="none", **WHISKER | {"ecolor": GREY})
    panel.plot(packet["value"], rows, "o", color=BLACK, markerfacecolor="white", markersize=2.8, markeredgewidth=0.7)
    panel.set_title(title, fontsize=7, pad=4)
    panel.set_xlim(0, 1.08 * max(1, *(table[["value", "high"]].max(axis=None) for table in (flow, packet))))
    panel.grid(axis="x")
    panel.tick_params(axis="y", length=0)


def draw_bits(panel: Axes, importance: pd.DataFrame) -> None:
    """Mutual information with the prediction of flows in bits, in one packet and in all of them."""
    for place, (metric, (label, color, marker)) in enumerate(BITS.items()):
        chosen = importance[(importance["metric"] == metric) & (importance["level"] == "flow")]
        table = chosen.set_index("feature")[["value", "low", "high"]].reindex(FEATURES).dropna()
        rows = [FEATURES.index(name) + 0.22 * (place - 1) for name in table.index]
        interval = plotting.whiskers(table["value"], table["low"], table["high"])
        panel.errorbar(
            table["value"], rows, xerr=interval, fmt=marker, color=color, markersize=3, label=label, **WHISKER
        )
    panel.set_title("Mutual inf.,\nin bits", fontsize=7, pad=4)
    panel.set_xlim(left=0)
    panel.grid(axis="x")
    panel.tick_params(axis="y", length=0)


def draw(importance: pd.DataFrame) -> Figure:
    """The figure of rows metric, level, feature, value, low, high."""
    present = set(importance["metric"])
    metrics = [metric for metric in METRICS if metric in present]
    count = len(metrics) + bool(present & (BITS.keys() - METRICS.keys()))
    figure = plotting.new_figure(plotting.PAGE_WIDTH, ROW_HEIGHT * plotting.in_rows(count, COLUMNS) + 0.3)
    panels, columns = plotting.small_multiples(figure, count, COLUMNS), plotting.in_a_row(COLUMNS)
    for metric, panel in zip(metrics, panels, strict=False):
        draw_metric(panel, importance, metric)
    for place, panel in enumerate(panels):
        panel.set_yticks(range(len(FEATURES)), FEATURE_LABELS if place % columns == 0 else [])
        panel.set_ylim(len(FEATURES) - 0.4, -0.6)
    if count > len(metrics):
        draw_bits(panels[-1], importance)
        title = "Last panel (*: ports and protocol in the whole flow)"
        handles, labels = panels[-1].get_legend_handles_labels()
        ncols = plotting.in_a_row(3)
        figure.legend(handles, labels, loc="outside upper center", ncols=ncols, title=title, title_fontsize=7)
    figure.supxlabel(
        plotting.fitted("Share of the metric's sum in %  (bars: prediction of flows, circles: of packets)")
    )
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    figure = draw(read_importance(args.importance))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

"""Draw at which packet which feature matters: importance and sensitivity over the packets of a flow (Sec. V).

Input: the tables of steps of several metrics (perturb_inputs.py, drop_features.py, measure_mutual_information.py).
The shade is the drop in accuracy of the predictions at this packet, or the bits that its value tells of them, over
all flows that have so many packets. Perturbation and dropout take the feature from the whole flow, mutual information
varies it in this packet alone (*: in the whole flow). Packets that fewer than five flows have are grey, features
that never matter are left out.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnids import cli
from rnnids.datasets.features import CONSTANT_FEATURES, FEATURE_LABELS, FEATURES
from rnnids.errors import InputError
from rnnids.reporting import panels, plotting
from rnnids.reporting.plotting import PALE
from rnnids.storage import read_csv

METRICS = {  # name in the table -> title, unit, colours
    "input_perturbation": ("Input perturbation", "drop in accuracy in %", "Blues"),
    "feature_dropout": ("Feature dropout", "drop in accuracy in %", "Blues"),
    "mutual_information_observed": ("Mutual information, observed values", "bits", "Oranges"),
    "mutual_information_attacker": ("Mutual information, attacker's values", "bits", "Oranges"),
}
STEPS = 30  # shown; later packets change little
NEGLIGIBLE = 0.005  # of a metric's unit: a feature that stays below everywhere is left out
COLUMNS = 2


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--steps", required=True, nargs="+", help="metrics of features by step (CSV), several files")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def read_steps(paths: Sequence[str]) -> pd.DataFrame:
    """The rows of all files together that the figure shows.

    Raises:
        InputError: no metric that the figure knows, an unknown feature, or a metric in two files.
    """
    steps = pd.concat([read_csv(path, ("metric", "feature"), ("step", "flows", "value")) for path in paths])
    shown = steps[steps["metric"].isin(METRICS)]
    where = " ".join(map(str, paths))
    if shown.empty:
        raise InputError(f"{where}: none of the metrics {', '.join(METRICS)}; give tables of steps")
    if unknown := sorted(set(shown["feature"]) - set(FEATURES)):
        raise InputError(f"{where}: column feature: unknown {', '.join(unknown)}; give tables of Sec. V-A")
    if (twice := shown[shown.duplicated(["metric", "feature", "step"])]).size:
        raise InputError(f"{where}: metric {twice['metric'].iloc[0]} comes twice; give each table once")
    return shown


def shown_features(steps: pd.DataFrame) -> list[str]:
    """The features that matter to some metric at some packet that enough flows have."""
    enough = steps[(steps["flows"] >= plotting.THIN) & (steps["step"] <= STEPS)]
    largest = enough["value"].abs().groupby(enough["feature"]).max()
    return [name for name in FEATURES if largest.get(name, 0.0) >= NEGLIGIBLE]


def draw_metric(panel: Axes, rows: pd.DataFrame, features: Sequence[str], *, metric: str) -> None:
    """The heat map of one metric."""
    title, unit, colors = METRICS[metric]
    factor = 100 if unit.endswith("%") else 1
    table = rows[rows["step"] <= STEPS].pivot(index="feature", columns="step", values="value").reindex(features)
    flows = rows.drop_duplicates("step").set_index("step")["flows"].reindex(table.columns)
    values = np.ma.masked_array(factor * table, np.broadcast_to(flows < plotting.THIN, table.shape))
    panel.set_facecolor(PALE)
    edges = np.append(table.columns - 0.5, table.columns[-1] + 0.5)
    borders = np.arange(len(features) + 1) - 0.5
    shade = panel.pcolormesh(edges, borders, values, cmap=colors, vmin=0, vmax=max(values.max(), 1e-9))
    bar = panel.figure.colorbar(shade, ax=panel, pad=0.02, fraction=0.05)
    bar.set_label(unit, fontsize=7)
    bar.ax.tick_params(labelsize=6)
    last = int(table.columns[-1])
    panel.set_title(f"{title}\n{flows.iloc[0]:,} flows, {flows.iloc[-1]:,} have {last} packets", fontsize=7)
    constant = {FEATURES[feature] for feature in CONSTANT_FEATURES} if unit == "bits" else set()
    labels = [FEATURE_LABELS[FEATURES.index(name)] + ("*" if name in constant else "") for name in features]
    panel.set_yticks(range(len(features)), labels)
    panel.invert_yaxis()
    panels.step_axis(panel, last)
    panel.tick_params(labelsize=6)


def draw(steps: pd.DataFrame) -> Figure:
    """The figure of rows metric, feature, step, flows, value."""
    metrics = [metric for metric in METRICS if metric in set(steps["metric"])]
    features = shown_features(steps) or list(FEATURES)
    rows = plotting.in_rows(len(metrics), COLUMNS)
    figure = plotting.new_figure(plotting.PAGE_WIDTH, 0.3 + rows * (0.8 + 0.14 * len(features)))
    for metric, panel in zip(metrics, plotting.small_multiples(figure, len(metrics), COLUMNS), strict=True):
        draw_metric(panel, steps[steps["metric"] == metric], features, metric=metric)
    figure.supxlabel(plotting.fitted("Packet of the flow  (*: varied in the whole flow)"))
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    plotting.save(draw(read_steps(args.steps)), args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

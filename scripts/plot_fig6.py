"""Draw Fig. 6: the prediction of whole flows if all of a type had the same value of a feature (Eq. 6).

Input: pdp.csv and pdp_values.csv (partial_dependence.py). The line is the mean probability of attack;
ticks below it are the values that flows of the type really have, the darker the more often. Ports
stand on a cube-root axis, which shows well-known and ephemeral ones alike.
"""

import argparse
import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.scale import FuncScale

from rnnids import cli
from rnnids.datasets.features import FEATURE_LABELS, FEATURES
from rnnids.reporting import plotting
from rnnids.reporting.panels import INTERARRIVAL, duration_axis, length_axis
from rnnids.reporting.plotting import BENIGN, BLUE, GREEN, GREY
from rnnids.storage import read_csv

PORTS = {"source_port", "destination_port"}
PORT_TICKS = {0: "0", 80: "80", 1024: "1k", 8192: "8k", 32768: "32k", 65535: "64k"}
COLUMNS = 5
RUG = 12  # percent of a panel's height, below 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dependence", required=True, help="prediction per attack type, feature and value (CSV)")
    parser.add_argument("--values", required=True, help="observed values per attack type and feature (CSV)")
    plotting.add_output_arguments(parser)
    return parser.parse_args(argv)


def value_axis(panel: Axes, feature: str, values: Iterable[float]) -> None:
    """The horizontal axis of a feature."""
    if feature in PORTS:
        panel.set_xscale(FuncScale(panel.xaxis, (np.cbrt, lambda root: root**3)))
        panel.set_xticks(list(PORT_TICKS), list(PORT_TICKS.values()))
        panel.set_xlim(0, 65535)
    elif feature == INTERARRIVAL:
        duration_axis(panel.xaxis, values)
    else:
        length_axis(panel.xaxis, values)


def draw_type(panel: Axes, attack: str, dependence: pd.DataFrame, *, values: pd.DataFrame) -> None:
    """Line and rug of one attack type and feature."""
    panel.axhline(50, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)))
    color = GREEN if attack == BENIGN else BLUE
    panel.plot(dependence["value"], 100 * dependence["prediction"], color=color)
    strength = 0.25 + 0.75 * np.sqrt(values["count"] / values["count"].max())
    panel.vlines(values["value"], -RUG, -2, colors="black", linewidths=0.7, alpha=strength.to_numpy())
    panel.spines["bottom"].set_position(("data", -RUG))
    panel.set(ylim=(-RUG, 103), yticks=(0, 50, 100))
    panel.set_title(plotting.wrapped(attack, 22), fontsize=7, pad=3)
    panel.tick_params(labelsize=6, pad=2)


def draw_feature(figure: FigureBase, feature: str, dependence: pd.DataFrame, *, values: pd.DataFrame) -> None:
    """Panels of all attack types for one feature."""
    attacks = list(dict.fromkeys(dependence["attack"]))
    panels = plotting.small_multiples(figure, len(attacks), COLUMNS)
    for place, (attack, panel) in enumerate(zip(attacks, panels, strict=True)):
        rows = dependence[dependence["attack"] == attack].sort_values("value")
        draw_type(panel, attack, rows, values=values[values["attack"] == attack])
        value_axis(panel, feature, dependence["value"])
        panel.tick_params(labelleft=place % COLUMNS == 0)
    figure.supxlabel(FEATURE_LABELS[FEATURES.index(feature)])
    figure.supylabel("Probability of attack in %")


def draw(dependence: pd.DataFrame, values: pd.DataFrame) -> Figure:
    """The figure of the two tables: a block for each feature."""
    features = list(dict.fromkeys(dependence["feature"]))
    rows = math.ceil(dependence["attack"].nunique() / COLUMNS)
    figure = plotting.new_figure(plotting.PAGE_WIDTH, len(features) * (0.3 + 1.15 * rows))
    blocks = figure.subfigures(len(features), 1, squeeze=False)[:, 0]
    for feature, block in zip(features, blocks, strict=True):
        predictions, observed = (table[table["feature"] == feature] for table in (dependence, values))
        draw_feature(block, feature, predictions, values=observed)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    keys = ("attack", "feature")
    tables = read_csv(args.dependence, keys, ("value", "prediction")), read_csv(args.values, keys, ("value", "count"))
    figure = draw(*tables)
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

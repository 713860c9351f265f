"""Draw Fig. 6: the prediction of whole flows if all of a type had the same value of a feature (Eq. 6).

Input: pdp.csv of one model or several, and pdp_values.csv (partial_dependence.py). The line is the mean probability
of attack over N flows, the band holds the middle 80 % of them; ticks below are the values that flows of the type
really have, the darker the more often. Ports stand on a cube-root axis, which shows well-known and ephemeral
ones alike; features that are categories, as flags, are bars.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.scale import FuncScale

from rnnids import cli
from rnnids.datasets.features import FEATURE_LABELS, FEATURES
from rnnids.reporting import plotting
from rnnids.reporting.panels import INTERARRIVAL, LENGTH, duration_axis, length_axis
from rnnids.reporting.plotting import BENIGN, GREEN, GREY
from rnnids.storage import read_csv

PORTS = {"source_port", "destination_port"}
PORT_TICKS = {0: "0", 80: "80", 1024: "1k", 8192: "8k", 32768: "32k", 65535: "64k"}
CONTINUOUS = {*PORTS, LENGTH, INTERARRIVAL}
FLAG = {0: "not set", 1: "set"}
CATEGORIES = {"protocol": {1: "ICMP", 6: "TCP", 17: "UDP"}, "direction": {0: "forward", 1: "reverse"}}
COLUMNS = 5
LEGEND_HEIGHT = 0.3  # inches
RUG = 12  # percent of a panel's height, below 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--dependence",
        required=True,
        nargs="+",
        help="prediction per type, feature and value (CSV) of each model, in MODEL/explanations",
    )
    parser.add_argument("--values", required=True, help="observed values per attack type and feature (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


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


def draw_lines(panel: Axes, dependence: pd.DataFrame, *, colors: Mapping[str, str]) -> None:
    """A line with its band for each model."""
    for model, rows in dependence.groupby("model", sort=False):
        ordered = rows.sort_values("value")
        band = 100 * ordered["low"], 100 * ordered["high"]
        panel.fill_between(ordered["value"], *band, color=colors[model], alpha=0.18, linewidth=0)
        panel.plot(ordered["value"], 100 * ordered["prediction"], color=colors[model])


def draw_bars(panel: Axes, feature: str, dependence: pd.DataFrame, *, colors: Mapping[str, str]) -> None:
    """A bar at each value for each model, the middle 80 % of the flows as a line on it."""
    values = sorted(dependence["value"].unique())
    width = 0.8 / len(colors)
    for place, (model, rows) in enumerate(dependence.groupby("model", sort=False)):
        table = 100 * rows.set_index("value")[["prediction", "low", "high"]].reindex(values)
        places = np.arange(len(values)) + (place - (len(colors) - 1) / 2) * width
        panel.bar(places, table["prediction"], width=0.9 * width, color=colors[model], alpha=0.75)
        panel.vlines(places, table["low"], table["high"], color="black", linewidth=0.8)
    names = CATEGORIES.get(feature, FLAG)
    panel.set_xticks(range(len(values)), [names.get(value, f"{value:g}") for value in values])
    panel.set_xlim(-0.6, len(values) - 0.4)


def draw_rug(panel: Axes, values: pd.DataFrame) -> None:
    """Marks at the values that occur, the darker the more often."""
    strength = 0.25 + 0.75 * np.sqrt(values["count"] / values["count"].max())
    panel.vlines(values["value"], -RUG, -2, colors="black", linewidths=0.7, alpha=strength.to_numpy())


def draw_type(
    panel: Axes, attack: str, dependence: pd.DataFrame, *, values: pd.DataFrame, colors: Mapping[str, str]
) -> None:
    """One attack type and feature; `values` are those that its flows have."""
    feature = dependence["feature"].iloc[0]
    panel.axhline(50, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)))
    if feature in CONTINUOUS:
        draw_rug(panel, values)
        draw_lines(panel, dependence, colors=colors)
    else:
        draw_bars(panel, feature, dependence, colors=colors)
    panel.spines["bottom"].set_position(("data", -RUG))
    panel.set(ylim=(-RUG, 103), yticks=(0, 50, 100))
    flows = plotting.flagged(int(dependence["flows"].iloc[0]))
    panel.set_title(f"{plotting.wrapped(attack, 22)}\nN = {flows}", fontsize=7, pad=3)
    panel.tick_params(labelsize=6, pad=2)


def draw_feature(
    figure: FigureBase, feature: str, dependence: pd.DataFrame, *, values: pd.DataFrame, colors: Mapping[str, str]
) -> None:
    """Panels of all attack types for one feature."""
    attacks = list(dict.fromkeys(dependence["attack"]))
    panels, columns = plotting.small_multiples(figure, len(attacks), COLUMNS), plotting.in_a_row(COLUMNS)
    for place, (attack, panel) in enumerate(zip(attacks, panels, strict=True)):
        rows = dependence[dependence["attack"] == attack]
        own = {next(iter(colors)): GREEN} if attack == BENIGN and len(colors) == 1 else colors
        draw_type(panel, attack, rows, values=values[values["attack"] == attack], colors=own)
        if feature in CONTINUOUS:
            value_axis(panel, feature, dependence["value"])
        panel.tick_params(labelleft=place % columns == 0)
    figure.supxlabel(FEATURE_LABELS[FEATURES.index(feature)])
    figure.supylabel("Probability of attack in %")


def draw(dependence: pd.DataFrame, values: pd.DataFrame) -> Figure:
    """The figure of the two tables, the first with a column `model`: a block for each feature."""
    features, colors = list(dict.fromkeys(dependence["feature"])), plotting.model_colors(dependence)
    rows = plotting.in_rows(dependence["attack"].nunique(), COLUMNS)
    legend = LEGEND_HEIGHT if len(colors) > 1 else 0.0
    block = 0.3 + 1.25 * rows
    figure = plotting.new_figure(plotting.PAGE_WIDTH, len(features) * block + legend)
    heights = [legend] * (len(colors) > 1) + [block] * len(features)
    blocks = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    if len(colors) > 1:
        handles = [Line2D([], [], color=color, label=model.replace("_", " ")) for model, color in colors.items()]
        blocks[0].legend(handles=handles, loc="center", ncols=len(handles))
    for feature, part in zip(features, blocks[-len(features) :], strict=True):
        predictions, observed = (table[table["feature"] == feature] for table in (dependence, values))
        draw_feature(part, feature, predictions, values=observed, colors=colors)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    keys = ("attack", "feature")
    dependence = plotting.read_models(args.dependence, keys, ("value", "prediction", "low", "high", "flows"))
    figure = draw(dependence, read_csv(args.values, keys, ("value", "count")))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

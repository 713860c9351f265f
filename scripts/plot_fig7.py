"""Draw Fig. 7: the detector's confidence after each packet, per attack type, and the flows that reach it.

Input: confidence.csv (confidence_per_step.py) of one model or several. Confidence is the probability given to the
flow's true class. The line is the median, the bands hold the middle 50 and 80 % of the flows (of several models:
the middle 50 %); grey on the right axis is the number of flows with at least so many packets. Where fewer than
five flows are left the line is dotted and has no band. All panels have the same axes, so that types can
be compared; steps are logarithmic, as the first packets matter most.
"""

import argparse
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnids import cli
from rnnids.reporting import plotting
from rnnids.reporting.panels import label_steps
from rnnids.reporting.plotting import GREY, PALE, SKY

QUANTILES = ("q10", "q25", "median", "q75", "q90")
DARK = "#666666"  # grey that is legible as text
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # ticks
COLUMNS = 5


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--confidence",
        required=True,
        nargs="+",
        help="quantiles of confidence per attack type and step (CSV) of each model, in MODEL/explanations",
    )
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def as_stairs(steps: pd.Series, *columns: pd.Series) -> list[np.ndarray]:
    """Steps and values such that each value is drawn half a step around its own, one step alone too."""
    edges = np.repeat([*(steps - 0.5), steps.iloc[-1] + 0.5], 2)[1:-1]
    return [edges, *(np.repeat(column, 2) for column in columns)]


def draw_confidence(panel: Axes, rows: pd.DataFrame, color: str, *, label: str, wide: bool) -> None:
    """Median and bands of one attack type and model, in percent; bands only where enough flows are left."""
    enough = rows[rows["flows"] >= plotting.THIN]
    if len(enough):
        edges, low, lower, upper, high = as_stairs(
            enough["step"], *(100 * enough[name] for name in ("q10", "q25", "q75", "q90"))
        )
        if wide:
            panel.fill_between(edges, low, high, color=SKY, alpha=0.3, linewidth=0, label="middle 80 % of the flows")
        panel.fill_between(
            edges, lower, upper, color=SKY if wide else color, alpha=0.8 if wide else 0.25, linewidth=0,
            label="middle 50 %" if wide else None,
        )  # fmt: skip
        panel.plot(*as_stairs(enough["step"], 100 * enough["median"]), color=color, clip_on=False, label=label)
    thin = rows[rows["step"] >= enough["step"].max()] if len(enough) else rows
    if len(thin) > (len(enough) > 0):
        panel.plot(*as_stairs(thin["step"], 100 * thin["median"]), color=color, linewidth=0.8, linestyle=":", zorder=1)


def draw_flows(panel: Axes, rows: pd.DataFrame, most: int) -> Axes:
    """Number of flows on an axis to the right, behind what `panel` shows."""
    counts = panel.twinx()
    edges, flows = as_stairs(rows["step"], rows["flows"])
    counts.fill_between(edges, 0.5, flows, color=PALE, alpha=0.6, linewidth=0)
    counts.plot(edges, flows, color=GREY, linewidth=0.7, label="flows that reach the packet (right axis)")
    plotting.log_axis(counts.yaxis, [10**power for power in range(int(math.log10(most)) + 1)])
    counts.yaxis.set_major_formatter("{x:,.0f}")
    counts.set_ylim(0.5, 2 * most)
    counts.spines["right"].set(visible=True, color=GREY)
    counts.tick_params(color=GREY, labelcolor=DARK)
    panel.set_zorder(counts.get_zorder() + 1)
    panel.patch.set_visible(False)
    return counts


def set_axes(panel: Axes, counts: Axes, *, column: int, columns: int) -> None:
    """Labels of the confidence left of each row, of the flows right of it."""
    panel.set(ylim=(0, 100), yticks=range(0, 101, 25))
    panel.axhline(50, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)))
    panel.tick_params(labelleft=column == 0)
    if column == columns - 1:
        counts.set_ylabel("Flows", color=DARK, fontsize=7, labelpad=2)
    else:
        counts.tick_params(labelright=False)


def draw_type(panel: Axes, rows: pd.DataFrame, most: int, *, colors: Mapping[str, str]) -> Axes:
    """One attack type; returns the axis of the numbers of flows, which are the same for all models."""
    one = len(colors) == 1
    counts = draw_flows(panel, rows[rows["model"] == rows["model"].iloc[0]], most)
    for model, of_model in rows.groupby("model", sort=False):
        label = "median confidence" if one else f"median, {model.replace('_', ' ')}"
        draw_confidence(panel, of_model.sort_values("step"), colors[model], label=label, wide=one)
    flows = plotting.flagged(int(rows["flows"].max()))
    panel.set_title(f"{plotting.wrapped(rows['attack'].iloc[0])}\nN = {flows}", fontsize=7)
    return counts


def draw(table: pd.DataFrame) -> Figure:
    """The figure of a table with one row per model, attack type and step."""
    attacks = list(dict.fromkeys(table["attack"]))
    last, most, colors = table["step"].max(), table["flows"].max(), plotting.model_colors(table)
    figure = plotting.new_figure(plotting.PAGE_WIDTH, 0.75 + 1.35 * plotting.in_rows(len(attacks), COLUMNS))
    panels, columns = plotting.small_multiples(figure, len(attacks), COLUMNS), plotting.in_a_row(COLUMNS)
    handles: dict[str, Artist] = {}
    for place, (attack, panel) in enumerate(zip(attacks, panels, strict=True)):
        rows = table[table["attack"] == attack].sort_values("step", kind="stable")
        counts = draw_type(panel, rows, most, colors=colors)
        plotting.log_axis(panel.xaxis, [tick for tick in STEPS if tick <= last])
        panel.set_xlim(0.5, last + 0.5)
        set_axes(panel, counts, column=place % columns, columns=min(columns, len(attacks)))
        for axes in (panel, counts):
            handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(
        handles=list(handles.values()),
        loc="outside upper center",
        ncols=1 if plotting.narrow() else 4,
        columnspacing=1.5,
    )
    figure.supylabel("Confidence in %")
    label_steps(figure, table.groupby("attack")["flows"].max())
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    figure = draw(plotting.read_models(args.confidence, ("attack",), ("step", "flows", *QUANTILES)))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

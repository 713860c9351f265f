"""Draw Fig. 9: lengths and interarrival times over the packets of a flow, per attack type and direction.

Input: trajectories.csv (feature_trajectories.py). Dots are medians over the flows of the type, bars
hold their middle 50 %. The fewer of the type's flows have a packet of the direction there, the paler
they are; steps that fewer than 2 % of the flows reach are left out.
"""

import argparse
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnids import cli
from rnnids.reporting import panels, plotting
from rnnids.reporting.panels import INTERARRIVAL, LENGTH
from rnnids.reporting.plotting import BLUE, RED
from rnnids.storage import read_csv

COLORS = {"forward": BLUE, "reverse": RED}
LEAST_SHARE = 0.02  # of a type's flows
PALEST = 0.25  # opacity
OFFSETS = {"forward": -0.15, "reverse": 0.15}  # steps, so that bars do not hide each other


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--trajectories", required=True, help="quantiles per attack type, step and direction (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def common_steps(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of one attack type and feature at steps that enough of its flows reach, with their `share` of them."""
    total = rows.loc[rows["step"] == 1, "flows"].sum()
    reaching = rows.groupby("step")["flows"].transform("sum")
    return rows.assign(share=rows["flows"] / total)[reaching >= LEAST_SHARE * total]


def draw_direction(panel: Axes, rows: pd.DataFrame, direction: str) -> None:
    """Medians and middle halves of one direction."""
    rows = rows[rows["direction"] == direction]
    colors = [to_rgba(COLORS[direction], max(PALEST, min(1.0, share))) for share in rows["share"]]
    steps = rows["step"] + OFFSETS[direction]
    panel.vlines(steps, rows["q25"], rows["q75"], colors=colors, linewidth=1)
    panel.scatter(steps, rows["median"], c=colors, s=5, linewidths=0, clip_on=False, zorder=3)


def draw_type(pair: Mapping[str, Axes], table: pd.DataFrame) -> None:
    """Both features of one attack type."""
    for name, panel in pair.items():
        rows = common_steps(table[table["feature"] == name])
        for direction in COLORS:
            draw_direction(panel, rows, direction)
        values = [*rows["q25"], *rows["median"], *rows["q75"]]
        axis = panels.length_axis if name == LENGTH else panels.duration_axis
        axis(panel.yaxis, values)
        panels.step_axis(panel, rows["step"].max())


def number_of_flows(rows: pd.DataFrame) -> int:
    """Flows of one attack type: those with a first packet."""
    return int(rows.loc[(rows["feature"] == INTERARRIVAL) & (rows["step"] == 1), "flows"].sum())


def draw(table: pd.DataFrame) -> Figure:
    """The figure of a table with one row per attack type, step, direction and feature."""
    types = dict(iter(table.groupby("attack", sort=False)))
    flows = {attack: number_of_flows(rows) for attack, rows in types.items()}
    figure = plotting.new_figure(plotting.PAGE_WIDTH, 0.3 + panels.figure_height(len(types)))
    titles = [f"{attack}, N = {plotting.flagged(number)}" for attack, number in flows.items()]
    for pair, rows in zip(panels.paired_panels(figure, titles), types.values(), strict=True):
        draw_type(pair, rows)
    handles = [
        Line2D([], [], color=color, marker="o", markersize=3, linewidth=1, label=f"{direction}: median, middle 50 %")
        for direction, color in COLORS.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=plotting.in_a_row(2))
    panels.label_steps(figure, flows.values())
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    numbers = ("step", "flows", "median", "q25", "q75")
    figure = draw(read_csv(args.trajectories, ("attack", "direction", "feature"), numbers))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

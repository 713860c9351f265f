"""Draw the share of flows that has raised the alarm against the packets seen of them, by each alarm rule.

Input: alarms_by_packet.csv (measure_latency.py). A panel for benign flows, whose alarms are false, and one for attacks:
unmodified, and under each attack. Rules at thresholds of equal false alarms are drawn in full, at logit 0 dashed.
"""

import argparse
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from rnnids import cli
from rnnids.reporting import plotting
from rnnids.reporting.alarms import ALL_ATTACKS, BENIGN, CASE, RATE, TEST_FLOWS, traffic_label
from rnnids.reporting.plotting import BLACK, BLUE, RED
from rnnids.storage import read_csv

COLORS = (BLACK, BLUE, RED)  # last, any, k of n
COLUMNS, HEIGHT = 4, 1.6  # panels in a row; inches of a panel


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--by-packet", required=True, help="alarms against packets seen (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def panels_of(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """{title: its rows}: benign flows of the whole test split first, then attacks by traffic."""
    shown = {"Benign test flows": table[(table["traffic"] == TEST_FLOWS) & (table["attack"] == BENIGN)]}
    attacks = table[table["attack"] == ALL_ATTACKS]
    for traffic, rows in attacks.groupby("traffic", sort=False):
        name = "Attacks, all test flows" if traffic == TEST_FLOWS else traffic_label(str(traffic))
        shown[name] = rows
    return {title: rows for title, rows in shown.items() if len(rows)}


def draw_panel(panel: Axes, rows: pd.DataFrame, rules: Sequence[str]) -> None:
    """A line for each rule and threshold."""
    for (source, rule), line in rows.groupby(["threshold_from", "rule"], sort=False):
        style = {"color": COLORS[list(rules).index(str(rule)) % len(COLORS)], "clip_on": False}
        if source == RATE:
            panel.plot(line["packets"], 100 * line["share"], label=f"{rule}, equal false alarms", **style)
        else:
            panel.plot(line["packets"], 100 * line["share"], linestyle=(0, (2, 1.5)), label=f"{rule}, logit 0", **style)
    last = max(2, int(rows["packets"].max()))
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator([tick for tick in (1, 3, 10, 30, 100, 300, 1000) if tick <= last]))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.set(xlim=(1, last), ylim=(0, None))
    panel.grid(axis="y")


def draw(table: pd.DataFrame) -> Figure:
    """The figure of alarms_by_packet.csv."""
    shown, rules = panels_of(table), list(dict.fromkeys(table["rule"]))
    rows = plotting.in_rows(len(shown), COLUMNS)
    figure = plotting.new_figure(plotting.PAGE_WIDTH, HEIGHT * rows + 0.7)
    panels = plotting.small_multiples(figure, len(shown), COLUMNS)
    for panel, (title, lines) in zip(panels, shown.items(), strict=True):
        draw_panel(panel, lines, rules)
        panel.set_title(plotting.wrapped(title, 26), fontsize=7)
        if title != next(iter(shown)):  # false alarms are few, and have a scale of their own
            panel.set_ylim(0, 100)
    figure.supxlabel("Packets seen of a flow")
    figure.supylabel("Flows that have raised the alarm in %")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=plotting.in_a_row(3))
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    table = read_csv(args.by_packet, ["model", *CASE, "attack"], ["packets", "share"])
    plotting.save(draw(table), args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

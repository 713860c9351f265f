"""Draw the probability that evasions survive network jitter against the margin that they keep.

Input: survival under each threat model (measure_jitter.py). Above a panel for each threat model, all attack types
together, with the 95 % interval over flows; below the attack types under the first. A line for each size of the jitter.
"""

import argparse
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MultipleLocator

from rnnids import cli
from rnnids.reporting import plotting
from rnnids.reporting.plotting import ALL, BLUE, GREEN, ORANGE, PURPLE, RED, SKY
from rnnids.storage import read_csv

TEXT = ("threat_model", "attack", "version")
NUMBERS = ("delta", "jitter_ms", "flows", "survival", "low", "high")
COLORS = (SKY, BLUE, ORANGE, RED, PURPLE, GREEN)
COLUMNS = 7


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--jitter", required=True, nargs="+", help="survival under each threat model (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def draw_panel(panel: Axes, rows: pd.DataFrame, *, band: bool) -> None:
    """Survival over the margin, a line for each size of the jitter."""
    for place, (size, own) in enumerate(rows.sort_values("delta").groupby("jitter_ms")):
        color = COLORS[place % len(COLORS)]
        line = {"color": color, "marker": "o", "markersize": 2.5, "label": f"{size:g} ms"}
        panel.plot(own["delta"], 100 * own["survival"], clip_on=False, **line)
        if band:
            panel.fill_between(own["delta"], 100 * own["low"], 100 * own["high"], color=color, alpha=0.15, linewidth=0)
    panel.set(ylim=(0, 100))
    panel.invert_xaxis()
    panel.yaxis.set_major_locator(MultipleLocator(25 if band else 50))
    panel.grid(axis="y")


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the tables of all threat models, one after the other."""
    table = table[(table["version"] == "evasion") & (table["jitter_ms"] > 0)]
    threats, main = list(dict.fromkeys(table["threat_model"])), table["threat_model"].iloc[0]
    together, types = table[table["attack"] == ALL], table[(table["attack"] != ALL) & (table["threat_model"] == main)]
    attacks = list(dict.fromkeys(types["attack"]))
    top = 0.6 + 2 * plotting.in_rows(len(threats))
    heights = [top, 1.15 * plotting.in_rows(len(attacks), COLUMNS) + 0.5] if attacks else [top]
    figure = plotting.new_figure(plotting.PAGE_WIDTH, sum(heights))
    above, *rest = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel()
    panels = plotting.beside(above, len(threats))
    for threat, panel in zip(threats, panels, strict=True):
        own = together[together["threat_model"] == threat]
        draw_panel(panel, own, band=True)
        panel.set_title(f"{threat.replace('_', ' ').capitalize()}, N = {int(own['flows'].max()):,}")
        panel.set_xlabel("Logit of the evasion, delta")
    panels[0].set_ylabel("Still benign in %")
    heading = "Jitter of each gap, standard deviation"
    lines = panels[0].get_legend_handles_labels()
    columns = plotting.in_a_row(len(COLORS))
    above.legend(*lines, loc="outside upper center", ncols=columns, title=heading, title_fontsize=8)
    for below in rest:  # none where no flow of any type evades
        draw_types(below, types, attacks)
    return figure


def draw_types(below: SubFigure, types: pd.DataFrame, attacks: Sequence[str]) -> None:
    """Small panels, one for each attack type."""
    small, columns = plotting.small_multiples(below, len(attacks), COLUMNS), plotting.in_a_row(COLUMNS)
    for place, (attack, panel) in enumerate(zip(attacks, small, strict=True)):
        own = types[types["attack"] == attack]
        draw_panel(panel, own, band=False)
        panel.tick_params(labelleft=place % columns == 0, labelbottom=place + columns >= len(attacks), labelsize=6)
        panel.set_title(f"{plotting.wrapped(attack, 16)}\nN = {plotting.flagged(int(own['flows'].max()))}", fontsize=7)
    below.supylabel("Still benign in %")
    plotting.note_small_samples(below, types["flows"])


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    figure = draw(pd.concat([read_csv(path, TEXT, NUMBERS) for path in args.jitter], ignore_index=True))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

"""Draw the share of attack flows that evade within a budget of added bytes and of added seconds.

Input: budget.csv (measure_budget.py) of each model. Above a line for each model, all attack flows together, under the
first threat model; below the attack types of the first model, a line for each threat model. Shares count flows that
are benign unmodified. The evasions are the nearest in z-scores, so that each line is a lower bound of what an attack
would reach that spares bytes, or seconds, alone.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.scale import SymmetricalLogScale
from matplotlib.ticker import FixedLocator, MultipleLocator, NullLocator

from rnnids import cli
from rnnids.reporting import plotting
from rnnids.reporting.plotting import ALL, BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY
from rnnids.storage import read_csv

TEXT = ("model", "threat_model", "goal", "attack", "unit")
NUMBERS = ("flows", "budget", "share")
LABELS = {"bytes": "Bytes added to a flow, at most", "seconds": "Time added to a flow, at most"}
TICKS = {  # the axis is linear from 0 to the second, logarithmic beyond
    "bytes": {0: "0", 1: "1", 10: "10", 100: "100", 1000: "1 k", 10_000: "10 k", 100_000: "100 k"},
    "seconds": {0: "0", 1e-3: "1 ms", 1e-2: "10 ms", 0.1: "100 ms", 1: "1 s", 10: "10 s", 100: "100 s", 1000: "1000 s"},
}
SMALL_TICKS = {"bytes": (0, 1, 100, 10_000), "seconds": (0, 1e-3, 1, 100)}  # the second without its label
MODEL_COLORS = (BLACK, BLUE, RED, GREEN, PURPLE, ORANGE, SKY)
THREAT_LINES = ((BLUE, "-"), (RED, (0, (4, 1.5))), (GREEN, (0, (1, 1))), (PURPLE, (0, (4, 1, 1, 1))))
COLUMNS = 7


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--budget", required=True, nargs="+", help="shares within budgets, a file a model (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def budget_axis(panel: Axes, unit: str, *, small: bool = False) -> None:
    """A logarithmic axis of budgets that shows 0, and shares in percent."""
    ticks = SMALL_TICKS[unit] if small else tuple(TICKS[unit])
    panel.set_xscale(SymmetricalLogScale(panel.xaxis, linthresh=ticks[1], linscale=0.5))
    panel.xaxis.set_major_locator(FixedLocator(ticks))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticklabels([TICKS[unit][tick] if not small or tick != ticks[1] else "" for tick in ticks])
    panel.set(xlim=(0, max(TICKS[unit])), ylim=(0, 100))
    panel.yaxis.set_major_locator(MultipleLocator(50 if small else 25))
    panel.grid(axis="y")


def draw_line(panel: Axes, rows: pd.DataFrame, **line: Any) -> None:
    """Shares of one group of flows over the budgets."""
    rows = rows.sort_values("budget")
    panel.plot(rows["budget"], 100 * rows["share"], clip_on=False, **line)


def add_legend(figure: FigureBase, panel: Axes, heading: str) -> None:
    """The lines of `panel` above a part of the figure, below its heading."""
    lines = panel.get_legend_handles_labels()
    title, columns = plotting.fitted(heading), plotting.in_a_row(5)
    figure.legend(*lines, loc="outside upper center", ncols=columns, columnspacing=1.5, title=title, title_fontsize=8)


def draw_models(figure: FigureBase, table: pd.DataFrame) -> None:
    """A panel for each unit, a line for each model."""
    models = list(dict.fromkeys(table["model"]))
    panels = plotting.beside(figure, len(LABELS))
    for panel, (unit, label) in zip(panels, LABELS.items(), strict=True):
        for place, model in enumerate(models):
            color = MODEL_COLORS[place % len(MODEL_COLORS)]
            style = "-" if place < len(MODEL_COLORS) else "--"
            rows = table[(table["model"] == model) & (table["unit"] == unit)]
            draw_line(panel, rows, color=color, linestyle=style, label=model.replace("_", " "))
        budget_axis(panel, unit)
        panel.set_xlabel(label)
    panels[0].set_ylabel("Classified as benign in %")
    heading = f"All {int(table['flows'].max()):,} attack flows, threat model {table['threat_model'].iloc[0]}"
    add_legend(figure, panels[0], heading.replace("_", " "))


def draw_types(figure: FigureBase, table: pd.DataFrame, unit: str) -> list[Axes]:
    """A small panel for each attack type of one model, a line for each threat model."""
    attacks = list(dict.fromkeys(table["attack"]))
    threats = list(dict.fromkeys(table["threat_model"]))
    panels, columns = plotting.small_multiples(figure, len(attacks), COLUMNS), plotting.in_a_row(COLUMNS)
    for place, (attack, panel) in enumerate(zip(attacks, panels, strict=True)):
        own = table[(table["attack"] == attack) & (table["unit"] == unit)]
        for number, threat in enumerate(threats):
            color, style = THREAT_LINES[number % len(THREAT_LINES)]
            rows = own[own["threat_model"] == threat]
            draw_line(panel, rows, color=color, linestyle=style, label=threat.replace("_", " "))
        budget_axis(panel, unit, small=True)
        panel.tick_params(labelleft=place % columns == 0, labelbottom=place + columns >= len(attacks), labelsize=6)
        title = f"{plotting.wrapped(attack, 16)}\nN = {plotting.flagged(int(own['flows'].max()))}"
        panel.set_title(title, fontsize=7)
    panels[(len(panels) - 1) // columns * columns].set_xlabel(LABELS[unit], loc="left")
    figure.supylabel("Classified as benign in %")
    return panels


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the tables of all models, one after the other."""
    table = table[table["goal"] == table["goal"].iloc[0]]
    main_threat, model = table["threat_model"].iloc[0], table["model"].iloc[0]
    together = table[(table["attack"] == ALL) & (table["threat_model"] == main_threat)]
    types = table[(table["attack"] != ALL) & (table["model"] == model)]
    rows = plotting.in_rows(types["attack"].nunique(), COLUMNS)
    heights = [2.3 * plotting.in_rows(len(LABELS)), 1.15 * rows + 0.7, 1.15 * rows + 0.3]
    figure = plotting.new_figure(plotting.PAGE_WIDTH, sum(heights) + 0.4)
    above, *below = figure.subfigures(3, 1, height_ratios=heights)
    draw_models(above, together)
    for part, unit in zip(below, LABELS, strict=True):
        panels = draw_types(part, types, unit)
    add_legend(below[0], panels[0], f"{model.replace('_', ' ').capitalize()}, attack types under each threat model")
    plotting.note_small_samples(below[-1], types["flows"])
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    figure = draw(pd.concat([read_csv(path, TEXT, NUMBERS) for path in args.budget], ignore_index=True))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

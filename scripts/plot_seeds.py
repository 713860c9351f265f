"""Draw how values vary between trainings that differ in their seed alone.

Input: seed_values.csv and seeds.csv (compare_seeds.py). A dot for each training, the first one black with its interval
over flows in black; the grey band is the interval of the mean over trainings and flows. A panel for flow accuracy, the
share of flows that evade, the recall and the ARS of each attack type, and the features' drops of accuracy.
"""

import argparse
import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnids import cli
from rnnids.reporting import plotting
from rnnids.reporting.plotting import BLACK, INFINITY, ORANGE, PALE
from rnnids.storage import read_csv

PANELS = (  # quantity, axis, scale, whether rows are models (else attack types or features of the first model)
    ("flow accuracy", "Flow accuracy in %", 100, True),
    ("evading flows", "Flows that evade in %", 100, True),
    ("recall", "Recall in %", 100, False),
    ("ARS", "ARS in z-scores", 1, False),
    ("accuracy drop", "Drop of flow accuracy in points", 100, False),
)
ROW = 0.155  # inches of a row
KEYS = ["model", "quantity", "of"]
NOTE = "black: first training, with its 95 % interval over flows; orange: others; grey: 95 % of the mean"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--values", required=True, help="the value of each training (CSV)")
    parser.add_argument("--seeds", required=True, help="mean and interval of each quantity (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def rows_of(table: pd.DataFrame, quantity: str, *, models: bool) -> pd.DataFrame:
    """The rows of a panel: every model, or everything that the first model has."""
    own = table[table["quantity"] == quantity]
    return own if models or own.empty else own[own["model"] == own["model"].iloc[0]]


def draw_panel(panel: Axes, values: pd.DataFrame, summary: pd.DataFrame, *, scale: float, models: bool) -> None:
    """A row for each model, attack type or feature."""
    names = summary["model"] if models else summary["of"]
    finite = [value for value in [*values["value"], *summary["high"]] if math.isfinite(value)]
    end = scale * max(finite, default=1.0) * 1.15 if values["value"].map(math.isinf).any() else math.inf
    for place, row in enumerate(summary.itertuples()):
        own = values[(values["model"] == row.model) & (values["of"].fillna("") == ("" if pd.isna(row.of) else row.of))]
        if math.isfinite(row.low) and math.isfinite(row.high):
            panel.barh(place, scale * (row.high - row.low), left=scale * row.low, height=0.8, color=PALE, linewidth=0)
        low, high = (min(scale * bound, end) for bound in (row.first_low, row.first_high))
        panel.plot([low, high], [place, place], color=BLACK, linewidth=0.8, clip_on=False)
        others, first = own["value"].iloc[1:], own["value"].iloc[0]
        for shown, color in ((others, ORANGE), (pd.Series([first]), BLACK)):
            places = [min(scale * value, end) for value in shown]
            panel.plot(places, [place] * len(places), ".", color=color, markersize=5, clip_on=False)
        if math.isfinite(end) and own["value"].map(math.isinf).any():
            panel.annotate(
                f"{INFINITY} {int(row.infinite)}/{int(row.seeds)}",
                (end, place),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontsize=6,
            )
    panel.set_yticks(range(len(summary)), [str(name).replace("_", " ") for name in names])
    panel.set_ylim(len(summary) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x")


def draw(values: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """The figure of both tables."""
    shown = [entry for entry in PANELS if len(rows_of(summary, entry[0], models=entry[3]))]
    heights = [len(rows_of(summary, quantity, models=models)) for quantity, *_, models in shown]
    columns = plotting.in_a_row(2)
    grid = [max(heights[place : place + columns]) for place in range(0, len(shown), columns)]
    figure = plotting.new_figure(plotting.PAGE_WIDTH, ROW * sum(grid) + 0.55 * len(grid) + 0.3)
    panels = figure.subplots(len(grid), columns, squeeze=False, gridspec_kw={"height_ratios": grid}).ravel()
    for panel in panels[len(shown) :]:
        panel.remove()
    for panel, (quantity, label, scale, models) in zip(panels, shown, strict=False):
        own = rows_of(values, quantity, models=models)
        draw_panel(panel, own, rows_of(summary, quantity, models=models), scale=scale, models=models)
        panel.set_xlabel(label if models else f"{label}, {own['model'].iloc[0].replace('_', ' ')}")
    figure.supxlabel(plotting.fitted(NOTE), fontsize=7, x=0.99, ha="right")
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    values = read_csv(args.values, KEYS, ("seed", "value", "low", "high"))
    names = ("seeds", "low", "high", "first_low", "first_high", "infinite")
    plotting.save(draw(values, read_csv(args.seeds, KEYS, names)), args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

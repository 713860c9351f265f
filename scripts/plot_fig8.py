"""Draw Fig. 8: sequential partial dependence (Eq. 7) on length and interarrival time, per attack type.

Input: sequential_pdp.csv and sequential_means.csv (sequential_dependence.py) of one model or several, which then
stand side by side. The shade is the mean probability of attack if the packet alone had the value on the vertical
axis; orange is attack, blue is benign, white undecided. Where fewer than five flows reach the packet it is
faint. The lines are mean lengths and median delays of the flows that evaded detection, before and after the
attack; where none evaded, of all flows. Grey: beyond what any flow showed.
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D

from rnnids import cli
from rnnids.reporting import panels, plotting
from rnnids.reporting.panels import INTERARRIVAL, LENGTH
from rnnids.reporting.plotting import BLACK, PALE

SHADES = LinearSegmentedColormap.from_list("confidence", ["#6fb7e4", "#ffffff", "#f0a35e"])
SCALE = Normalize(0, 100)
HALO = [patheffects.withStroke(linewidth=3, foreground="white")]
LINES = {  # the adversarial mean is thinner and above, so that both show where they are equal
    "original": {"color": BLACK, "linewidth": 2, "label": "original flows", "path_effects": HALO},
    "adversarial": {"color": "#9b1b6e", "linewidth": 0.9, "marker": "o", "markersize": 2, "label": "adversarial"},
}
LEGEND_HEIGHT = 0.5  # inches


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    of_models = "of each model, in MODEL/explanations (CSV)"
    parser.add_argument("--dependence", required=True, nargs="+", help=f"confidence per step and value {of_models}")
    parser.add_argument("--means", required=True, nargs="+", help=f"means and medians per step {of_models}")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def cell_edges(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    """(W + 1,) borders between W sorted values, halfway, for times halfway on their logarithmic axis."""
    if len(values) == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    between = (values[1:] + values[:-1]) / 2
    if logarithmic:
        between = np.where(values[:-1] > 0, np.sqrt(values[1:] * values[:-1]), between)
    return np.concatenate([values[:1], between, values[-1:]])


def draw_shade(panel: Axes, rows: pd.DataFrame, logarithmic: bool) -> None:
    """Confidence over step and value."""
    cells = rows.pivot(index="value", columns="step", values="confidence")
    steps = np.array([*(cells.columns - 0.5), cells.columns[-1] + 0.5])
    edges = cell_edges(cells.index.to_numpy(), logarithmic)
    panel.set_facecolor(PALE)
    panel.pcolormesh(steps, edges, 100 * cells, cmap=SHADES, norm=SCALE, rasterized=True)
    thin = rows.loc[rows["flows"] < plotting.THIN, "step"].unique()
    if len(thin):
        panel.axvspan(thin.min() - 0.5, thin.max() + 0.5, color=PALE, alpha=0.75, linewidth=0, zorder=1.5)


def draw_type(pair: Mapping[str, Axes], dependence: pd.DataFrame, means: pd.DataFrame) -> None:
    """Both features of one attack type."""
    for name, panel in pair.items():
        shade, lines = dependence[dependence["feature"] == name], means[means["feature"] == name]
        draw_shade(panel, shade, name == INTERARRIVAL)
        for kind, style in LINES.items():
            alone = {"marker": "o", "markersize": 2 + style["linewidth"]} if len(lines) == 1 else {}
            # The mean of delays is that of the longest one.
            column = f"{kind}_median" if name == INTERARRIVAL else kind
            panel.plot(lines["step"], lines[column], clip_on=False, **style | alone)
        axis = panels.length_axis if name == LENGTH else panels.duration_axis
        axis(panel.yaxis, shade["value"])
        panels.step_axis(panel, shade["step"].max())


def title(attack: str, means: pd.DataFrame, *, model: str) -> str:
    """The attack type with the number of flows behind the lines, and the model where there are several."""
    kind = "evaded" if means["adversarial"].notna().any() else "flows, none evaded"
    flows = f"{plotting.flagged(int(means['flows'].max()))} {kind}"
    return f"{attack}\n{model.replace('_', ' ')}: {flows}" if model else f"{attack} ({flows})"


def draw_legend(figure: FigureBase) -> None:
    """The lines to the left, the colours of the shade to the right."""
    handles = [Line2D([], [], **style) for style in LINES.values()]
    narrow = plotting.narrow()
    place, bar_place = ((0.05, 0.72), (0.1, 0.35, 0.8, 0.1)) if narrow else ((0.05, 0.65), (0.55, 0.62, 0.4, 0.24))
    figure.legend(handles=handles, loc="center left", bbox_to_anchor=place, ncols=1 if narrow else 2)
    axes = figure.add_axes(bar_place)
    bar = figure.colorbar(ScalarMappable(SCALE, SHADES), cax=axes, orientation="horizontal")
    bar.set_label("Confidence that the flow is an attack, in %", fontsize=7, labelpad=1)


def draw(dependence: pd.DataFrame, means: pd.DataFrame) -> Figure:
    """The figure of the two tables, both with a column `model`."""
    shades, lines = (dict(iter(table.groupby(["attack", "model"], sort=False))) for table in (dependence, means))
    models = list(dict.fromkeys(dependence["model"]))
    attacks = list(dict.fromkeys(dependence["attack"]))
    shown = [(attack, model) for attack in attacks for model in models if (attack, model) in shades]
    height = panels.figure_height(len(shown)) * (1.15 if len(models) > 1 else 1)  # titles have two lines then
    legend = LEGEND_HEIGHT * (2.4 if plotting.narrow() else 1)
    figure = plotting.new_figure(plotting.PAGE_WIDTH, legend + height)
    above, below = figure.subfigures(2, 1, height_ratios=(legend, height))
    draw_legend(above)
    titles = [title(key[0], lines[key], model=key[1] if len(models) > 1 else "") for key in shown]
    for key, pair in zip(shown, panels.paired_panels(below, titles), strict=True):
        draw_type(pair, shades[key], lines[key])
    panels.label_steps(below, [lines[key]["flows"].max() for key in shown])
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    keys = ("attack", "feature")
    dependence = plotting.read_models(args.dependence, keys, ("step", "value", "confidence", "flows"))
    columns = ("step", "flows", *(f"{kind}{reduced}" for kind in LINES for reduced in ("", "_median")))
    figure = draw(dependence, plotting.read_models(args.means, keys, columns))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

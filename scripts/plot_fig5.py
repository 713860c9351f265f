"""Draw Fig. 5: two distributions of equal accuracy, in which a feature decides little and everything.

Input: fig5.csv (compare_distributions.py). Shown is the joint density of a feature and the prediction,
the predictions stacked on each other; the accuracy on attack flows is the area of "attack".
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LinearLocator

from rnnids import cli
from rnnids.reporting import plotting
from rnnids.reporting.plotting import PALE, RED
from rnnids.storage import read_csv

NUMBERS = ("x", "p_x", "p_attack_given_x", "accuracy", "mutual_information")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--distributions", required=True, help="the distributions, one row a value (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def draw_distribution(panel: Axes, rows: pd.DataFrame) -> None:
    """Joint densities of one distribution, its values being the middles of equal cells."""
    x = rows["x"].to_numpy()
    width = (x[-1] - x[0]) / (len(x) - 1)
    edges = np.repeat([*(x - width / 2), x[-1] + width / 2], 2)[1:-1]
    density = np.repeat(rows["p_x"] / width, 2)
    attack = density * np.repeat(rows["p_attack_given_x"], 2)
    panel.fill_between(edges, attack, density, color=PALE, linewidth=0, label="predicted benign")
    panel.fill_between(edges, 0, attack, color=RED, linewidth=0, label="predicted attack")
    panel.margins(0)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(LinearLocator(3))
        axis.set_major_formatter("{x:.2g}")
    panel.set_xlabel("Feature value $x$", parse_math=True)
    accuracy, information = rows["accuracy"].iloc[0], rows["mutual_information"].iloc[0]
    panel.set_title(f"Accuracy {100 * accuracy:.0f} %\nMutual information {information:.2f} bits", fontsize=7)


def draw(distributions: pd.DataFrame) -> Figure:
    """The figure of a table with one row per distribution and value."""
    names = list(dict.fromkeys(distributions["distribution"]))
    figure = plotting.new_figure(plotting.COLUMN_WIDTH, 2.0)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for name, panel in zip(names, panels, strict=True):
        draw_distribution(panel, distributions[distributions["distribution"] == name].sort_values("x"))
    panels[0].set_ylabel("Joint density")
    handles = panels[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    figure = draw(read_csv(args.distributions, ("distribution",), NUMBERS))
    plotting.save(figure, args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

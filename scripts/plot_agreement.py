"""Draw whether explanations predict attacks: rank correlation of each method, per attack type and in the mean.

Input: the tables of tabulate_agreement.py. Left: mean correlation with attacks on single features and positions, with
its 95 % interval over attack types. Right: the correlation of each type; purple: the method ranks cells as attacks do,
orange: the other way round, grey: it says the same of all cells, or there are fewer than three.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnids import cli
from rnnids.reporting import plotting
from rnnids.reporting.plotting import BLACK, BLUE, GREY, PALE
from rnnids.storage import read_csv

LABELS = {
    "weights": "Weights*",
    "input_perturbation": "Input perturbation",
    "feature_dropout": "Feature dropout*",
    "shapley": "Shapley values*",
    "mutual_information_observed": "Mutual inf., observed",
    "mutual_information_attacker": "Mutual inf., attacker's",
    "sequential_dependence": "Sequential dependence",
    "gradient": "Gradient",
    "integrated_gradients": "Integrated gradients",
}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--agreement", required=True, help="mean correlation of each method (CSV)")
    parser.add_argument("--by-type", required=True, help="correlation of each method and attack type (CSV)")
    plotting.add_output_arguments(parser)
    return plotting.parse(parser, argv)


def draw(agreement: pd.DataFrame, by_type: pd.DataFrame) -> Figure:
    """The figure of the two tables."""
    methods = agreement["method"].tolist()
    rows = list(range(len(methods)))
    mean_over_models = by_type.groupby(["method", "attack"], sort=False)["rho"].mean().unstack("attack")
    table = mean_over_models.reindex(methods)[list(dict.fromkeys(by_type["attack"]))]
    below = plotting.in_rows(2) - 1
    figure = plotting.new_figure(plotting.PAGE_WIDTH, 1.9 + 0.22 * len(methods) + below * (0.6 + 0.22 * len(methods)))
    left, right = plotting.beside(figure, 2, width_ratios=(1, 1.4), sharey=True)
    interval = plotting.whiskers(agreement["rho"], agreement["low"], agreement["high"])
    left.errorbar(agreement["rho"], rows, xerr=interval, fmt="o", color=BLUE, ecolor=BLACK, elinewidth=0.8, capsize=2)
    left.axvline(0, color=GREY, linewidth=0.7)
    left.set(xlim=(-1.02, 1.02), xlabel="Mean rank correlation with attacks")
    left.set_yticks(rows, [LABELS.get(method, method) for method in methods])
    left.set_ylim(len(rows) - 0.5, -0.5)
    left.grid(axis="x")
    right.set_facecolor(PALE)
    values = np.ma.masked_invalid(table.to_numpy(dtype=float))
    shade = right.imshow(values, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    right.set_xticks(range(len(table.columns)), table.columns, rotation=90, fontsize=6)
    right.tick_params(length=0)
    bar = figure.colorbar(shade, ax=right, pad=0.02)
    bar.set_label("Rank correlation", fontsize=7)
    note = "* knows features and no positions; grey: fewer than three cells, or the same of all"
    figure.supxlabel(plotting.fitted(note), fontsize=7)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    agreement = read_csv(args.agreement, ("method",), ("rho", "low", "high", "p_value", "types"))
    by_type = read_csv(args.by_type, ("attack", "method"), ("rho",))
    plotting.save(draw(agreement, by_type), args.output, svg=args.svg, png=args.png)


if __name__ == "__main__":
    cli.run(main)

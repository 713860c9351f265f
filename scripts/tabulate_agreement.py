"""Do explanations predict attacks? Rank correlation of each method with attacks on single features and positions.

Input: cells and moves of one model or several (compare_explanations.py). Within each attack type of each model, the
cells (length or delay of packet 1, 2-3, 4-10, later) are ranked by what attacks reach there and by what each method
says; `rho` is the mean of Spearman's correlation over types, with its 95 % interval over types, and `p_value` the share
of random orders within the types whose mean is as far from 0. The second table shows the reference attack beside the
sequential partial dependence.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.explanations.rank_agreement import mean_agreement, rank_correlation
from rnnids.reporting import tables
from rnnids.storage import read_csv, write_csv

METHODS = {  # quantity -> name, in the order of the table
    "weights": "Weights",
    "input_perturbation": "Input perturbation",
    "feature_dropout": "Feature dropout",
    "shapley": "Shapley values",
    "mutual_information_observed": "Mutual information, observed values",
    "mutual_information_attacker": "Mutual information, attacker's values",
    "sequential_dependence": "Sequential partial dependence",
    "gradient": "Gradient",
    "integrated_gradients": "Integrated gradients",
}
WITHOUT_POSITION = ("weights", "feature_dropout", "shapley")
SIGNIFICANT = 0.05
CAPTION = (
    "Attacks on {dataset} that may change the length, or the delay, of packet 1, 2-3, 4-10 or later ones alone: how "
    "far they lower the logit, against what each method says of the same feature and position. Rank correlation within "
    "each attack type, mean and 95 % interval over {groups} types{models}; p: of the mean if the method knew nothing. "
    "Methods marked * know features and no positions: all that they say is whether length or delay matters more, so "
    "that their p is too small. {finding}"
)
MOVES = (
    "The flows that Carlini and Wagner's attack made evade: the share of its changes that go down the sequential "
    "partial dependence of the type, and the change of the logit that the changed packets predict one by one, summed, "
    "beside the real one at the last packet."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    of_models = "of each model, in MODEL/explanations (CSV)"
    parser.add_argument("--cells", required=True, nargs="+", help=f"attacks and explanations by cell {of_models}")
    parser.add_argument(
        "--moves", required=True, nargs="+", help=f"the reference attack and the dependence {of_models}"
    )
    parser.add_argument("--by-type", default="", help="output: correlation of each type (CSV); empty: beside --output")
    parser.add_argument("--dataset", default="", help="name of the data set; empty: the folder above the first model's")
    parser.add_argument("--seed", default=0, type=int, help="of the bootstrap and of the random orders")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def read_models(
    paths: Sequence[str], text: Sequence[str], numbers: Sequence[str], *, may_be_empty: bool = False
) -> pd.DataFrame:
    """The tables of all models with a column `model`."""
    frames = [
        read_csv(path, text, numbers, may_be_empty=may_be_empty).assign(model=Path(path).absolute().parent.parent.name)
        for path in paths
    ]
    return pd.concat(frames, ignore_index=True)


def correlations(cells: pd.DataFrame) -> tuple[dict[str, list[tuple[np.ndarray, np.ndarray]]], pd.DataFrame]:
    """{method: pairs of (attack, method) over the cells of each type}, and rows model, attack, method, cells, rho."""
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {method: [] for method in METHODS}
    rows = []
    for (model, attack), group in cells.groupby(["model", "attack"], sort=False):
        table = group.pivot(index=["feature", "position"], columns="quantity", values="value")
        for method in METHODS:
            if method in table:
                pair = table["drop"].to_numpy(), table[method].to_numpy()
                pairs[method].append(pair)
                numbers = {"cells": len(table), "rho": rank_correlation(*pair)}
                rows.append({"model": model, "attack": attack, "method": method} | numbers)
    return pairs, pd.DataFrame(rows)


def agreement(pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]], seed: int) -> pd.DataFrame:
    """Rows method, rho, low, high, p_value, types."""
    rows = []
    for place, (method, groups) in enumerate(pairs.items()):
        if groups:
            found = mean_agreement(groups, rng=np.random.default_rng([seed, place]))
            numbers = {"rho": found.value, "low": found.low, "high": found.high, "p_value": found.p_value}
            rows.append({"method": method} | numbers | {"types": found.groups})
    return pd.DataFrame(rows)


def finding(table: pd.DataFrame) -> str:
    """What the data show, in a sentence."""
    # Bonferroni: as many methods are tried as the table has rows.
    differs = table[table["p_value"] * len(table) < SIGNIFICANT].sort_values("rho", ascending=False)
    better, worse = (
        [METHODS[method].lower() for method in differs["method"][sign]]
        for sign in (differs["rho"] > 0, differs["rho"] < 0)
    )
    found = f"At 5 %, corrected for the number of methods, better than chance: {', '.join(better) or 'none'}"
    return found + (f"; the other way round: {', '.join(worse)}." if worse else ".")


def number(value: float, digits: int = 2) -> str:
    """A number with a proper minus; nothing where there is none."""
    return "" if pd.isna(value) else f"{value:.{digits}f}".replace("-", tables.MINUS)


def page(table: pd.DataFrame, moves: pd.DataFrame, dataset: str, *, models: int) -> tables.Page:
    """Both tables, for people."""
    rows = [
        (
            METHODS[row.method] + ("*" if row.method in WITHOUT_POSITION else ""),
            number(row.rho),
            f"{number(row.low)} to {number(row.high)}" if row.types else "",
            number(row.p_value, 3),
            row.types,
        )
        for row in table.itertuples()
    ]
    headings = ("Method", "Rank correlation", "95 % interval", "p", "Types")
    of_models = f" of {models} trainings" if models > 1 else ""
    text = CAPTION.format(dataset=dataset, groups=int(table["types"].max()), models=of_models, finding=finding(table))
    title = "Do explanations predict attacks?"
    parts = [tables.Table(headings, rows, text, text_columns=headings[:1])]
    columns = ("Model", "Attack type", "Flows", "Changes", "Down, %", "Predicted change", "Real change")
    lines = [
        (
            row.model.replace("_", " "),
            row.attack,
            row.flows,
            row.changes,
            number(100 * row.share_down, 0),
            number(row.predicted),
            number(row.real),
        )
        for row in moves.itertuples()
    ]
    if lines:
        parts.append(tables.Table(columns, lines, MOVES, text_columns=columns[:2]))
    return tables.Page(title, parts, heading=title)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or Path(args.cells[0]).resolve().parent.parent.parent.name
    cells = read_models(args.cells, ("attack", "feature", "position", "quantity"), ("flows", "value"))
    numbers = ("flows", "changes", "share_down", "predicted", "real")
    moves = read_models(args.moves, ("attack",), numbers, may_be_empty=True)  # no flow evaded
    pairs, by_type = correlations(cells)
    table = agreement(pairs, args.seed)
    write_csv(args.output, table, dataset=dataset)
    write_csv(
        args.by_type or Path(args.output).with_name(f"{Path(args.output).stem}_by_type.csv"), by_type, dataset=dataset
    )
    tables.save(
        page(table, moves, dataset, models=cells["model"].nunique()), args.output, html=args.html, latex=args.latex
    )


if __name__ == "__main__":
    cli.run(main)

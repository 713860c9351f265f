"""Which explanation passes which sanity check.

Input: sanity.csv (check_explanations.py). The CSV is tidy, one row a metric and test; on the page tests are columns.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.reporting import tables
from rnnids.storage import read_csv, write_csv

TESTS = {
    "planted": "Planted feature: place",
    "random_weights": "Random weights: correlation",
    "permuted_labels": "Permuted labels: correlation",
    "deletion": "Deletion: random orders as good",
    "insertion": "Insertion: random orders as good",
}
NAMES = {
    "weights": "Weights",
    "input_perturbation": "Input perturbation",
    "feature_dropout": "Feature dropout",
    "shapley": "Shapley values",
    "mutual_information_observed": "Mutual information, observed values",
    "mutual_information_attacker": "Mutual information, attacker's values",
    "integrated_gradients": "Integrated gradients",
}
CAPTION = (
    "Tests of the metrics on {dataset}, on small samples. Planted: where the label is the packets' length alone, this "
    "has to come first. Random weights, permuted labels: the rank correlation (without its sign) of what the metric "
    "says of the detector with what it says of one with random weights, or trained on labels in random order; 0 where "
    "it says the same of all features; at {same} or above, the explanation does not hang on what was learnt. Deletion, "
    "insertion: the share of random orders of the features that take accuracy away, or bring it, as soon as the "
    "metric's order; mutual information and gradients ask how far a decision can be moved, not what accuracy rests on, "
    "and need not pass. A check is one draw: a failed one is a reason to look."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--sanity", required=True, help="values and limits of the tests (CSV)")
    parser.add_argument("--dataset", default="", help="name of the data set; empty: the folder above the model's")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def page(table: pd.DataFrame, dataset: str) -> tables.Page:
    """The table, for people."""
    rows = []
    for metric, group in table.groupby("metric", sort=False):
        of_tests = group.set_index("test")
        cells = []
        for test in TESTS:
            value, passed = of_tests.loc[test, "value"], of_tests.loc[test, "passed"]
            text = f"{value:.0f}" if test == "planted" else f"{value:.2f}"
            cells.append(f"{text} {'passed' if passed else 'failed'}")
        rows.append((NAMES.get(str(metric), str(metric)), *cells))
    same = table.loc[table["test"] == "random_weights", "limit"].iloc[0]
    headings, caption = ("Metric", *TESTS.values()), CAPTION.format(dataset=dataset, same=f"{same:g}")
    title = "Sanity checks of explanations"
    return tables.single(headings, rows, title, caption=caption, text_columns=headings[:1])


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or Path(args.sanity).resolve().parent.parent.parent.name
    table = read_csv(args.sanity, ("metric", "test"), ("value", "limit", "passed"))
    write_csv(args.output, table, dataset=dataset)
    tables.save(page(table, dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

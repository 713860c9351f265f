"""Recall of each attack type at the models' own thresholds and at fixed rates of false alarms.

Input: operating_points.csv (measure_detection.py). The CSV is tidy, one row per model, operating
point and attack type; on the page, models and points are rows and attack types columns.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.reporting import tables
from rnnids.storage import read_csv, write_csv

NUMBERS = ("threshold", "false_alarms", "per_hour", "flows", "recall", "low", "high")
CAPTION = (
    "Flows of the test split of {dataset} that raise the alarm at their last packet, in percent, with 95 % intervals: "
    "at each model's own threshold, and with the threshold that 1 % and 0.1 % of the benign flows exceed. False alarms "
    "an hour: if benign flows came as often as in the captures; another network has another rate and other flows. "
    "Intervals are of flows of one training: models that differ by less than they do between trainings do not differ."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--operating-points", required=True, help="operating points of the models (CSV)")
    parser.add_argument("--dataset", default="", help="name of the data set; empty: the folder of --operating-points")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def recall(row: pd.Series) -> str:
    """A recall with its interval, in percent."""
    return f"{100 * row['recall']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def page(table: pd.DataFrame, dataset: str) -> tables.Page:
    """The table, for people."""
    attacks = list(dict.fromkeys(table["attack"]))
    rows = []
    for (model, point), group in table.groupby(["model", "point"], sort=False):
        cells = {row["attack"]: recall(row) for _, row in group.iterrows()}
        first = group.iloc[0]
        alarms = f"{100 * first['false_alarms']:.2f}", f"{first['per_hour']:.1f}"
        rows.append((str(model).replace("_", " "), point, *alarms, *(cells.get(attack, "") for attack in attacks)))
    headings = ("Model", "Operating point", "False alarms in % of benign flows", "an hour", *attacks)
    title, caption = "Detection at rates of false alarms", CAPTION.format(dataset=dataset)
    return tables.single(headings, rows, title, caption=caption, text_columns=headings[:2])


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or Path(args.operating_points).resolve().parent.name
    table = read_csv(args.operating_points, ("model", "point", "attack"), NUMBERS)
    write_csv(args.output, table, dataset=dataset)
    tables.save(page(table, dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

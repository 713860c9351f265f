"""Table III: accuracy drop of each feature by input perturbation and by feature dropout, beside the paper's.

Input: input_perturbation.csv (perturb_inputs.py) and feature_dropout.csv (drop_features.py). Features
are ordered by the drop of flow accuracy. The CSV is tidy, one row per method, level and feature; on
the page the two methods stand side by side, as in the paper.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.datasets.features import FEATURE_LABELS, FEATURES
from rnnids.errors import InputError
from rnnids.reporting import tables
from rnnids.storage import read_csv, write_csv

METHODS = {"input_perturbation": "(a) Input perturbation", "feature_dropout": "(b) Feature dropout"}
LABELS = dict(zip(FEATURES, FEATURE_LABELS, strict=True))
KEYS = ["method", "feature"]
CAPTION = (
    "Drop in accuracy on the test split of {dataset}, with 95 % intervals from resampled flows, ordered by the drop "
    "per flow; a negative one is a gain. (a) Random values from the data set, in a model trained as usual. (b) The "
    "feature withheld from a model that learnt to do without. The paper's numbers are of its own data: beside another "
    "data set they show which features mattered there, not a difference."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--input-perturbation", required=True, help="accuracy drops by random values (CSV)")
    parser.add_argument("--feature-dropout", required=True, help="accuracy drops without features (CSV)")
    parser.add_argument("--paper", required=True, help="the paper's Table III (CSV)")
    parser.add_argument("--dataset", default="", help="name of the data set; empty: the folder above the first model's")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def read_drops(path: Path | str, method: str) -> pd.DataFrame:
    """Accuracy drops of one method; anything else in the file is an :class:`InputError`."""
    drops = read_csv(path, ("metric", "level", "feature"), ("value", "low", "high"))
    if set(drops["metric"]) != {method}:
        raise InputError(f"{path}: column metric: {', '.join(sorted(set(drops['metric'])))}; expected {method}")
    return drops


def table3(importance: pd.DataFrame, paper: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Tidy rows dataset, method, level, feature, drop, low, high, paper_drop, ordered by the drop per flow."""
    drops = importance.rename(columns={"metric": "method", "value": "drop"})
    per_flow = drops[drops["level"] == "flow"].set_index(KEYS)["drop"].rename("order")
    theirs = paper.set_index(KEYS)["accuracy_drop"].rename("paper_drop")
    table = drops.join(per_flow, on=KEYS).join(theirs, on=KEYS).assign(dataset=dataset)
    table = table.sort_values("order", ascending=False, kind="stable")
    table = table.sort_values(["method", "level"], key=rank, kind="stable")
    return table[["dataset", "method", "level", "feature", "drop", "low", "high", "paper_drop"]].round(5)


def rank(column: pd.Series) -> pd.Series:
    """Places of methods and levels: (a) before (b), flow before packet."""
    return column.map({name: place for place, name in enumerate([*METHODS, "flow", "packet"])})


def number(value: float) -> str:
    """A drop with three decimals, as the paper prints it, with a proper minus and no minus 0."""
    return "" if pd.isna(value) else f"{round(value, 3) + 0:.3f}".replace("-", tables.MINUS)


def column_group(rows: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Cells of one method: feature, drop per flow with interval, drop per packet, the paper's."""
    packet = rows[rows["level"] == "packet"].set_index("feature")["drop"]
    return [
        (
            LABELS[row.feature],
            f"{number(row.drop)} ({number(row.low)} to {number(row.high)})",
            number(packet[row.feature]),
            number(row.paper_drop),
        )
        for row in rows[rows["level"] == "flow"].itertuples()
    ]


def page(table: pd.DataFrame, dataset: str) -> tables.Page:
    """The table, for people."""
    groups = [column_group(table[table["method"] == method]) for method in METHODS]
    headings = [[f"{title}: feature", "Drop per flow", "Drop per packet", "Paper"] for title in METHODS.values()]
    rows = [left + right for left, right in zip(*groups, strict=True)]
    columns = headings[0] + headings[1]
    caption, text = CAPTION.format(dataset=dataset), (columns[0], columns[4])
    return tables.single(columns, rows, "Table III: accuracy drop", caption=caption, text_columns=text)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or Path(args.input_perturbation).resolve().parent.parent.parent.name
    importance = pd.concat([read_drops(getattr(args, method), method) for method in METHODS])
    table = table3(importance, read_csv(args.paper, KEYS, ("accuracy_drop",)), dataset)
    write_csv(args.output, table)
    tables.save(page(table, dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

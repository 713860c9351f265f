"""Table II: performance per packet and per flow, a pair of rows per model on its page, beside the paper's.

Input: metrics.csv of each model (evaluate.py) and of the perceptron on flow statistics. The CSV is
tidy, in percent; the page for people has the 95 % intervals and the paper's numbers for both of its
data sets.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.reporting import tables
from rnnids.storage import read_csv, write_csv

METRICS = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "youden_j": "Youden's J",
    "roc_auc": "Area under ROC",
    "average_precision": "Average precision",
}
LEVELS = ("packet", "flow")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--metrics", required=True, nargs="+", help="metrics of each model (CSV)")
    parser.add_argument("--paper", required=True, help="the paper's Table II (CSV)")
    parser.add_argument("--dataset", default="", help="name of the data set; empty: the folder above the first model's")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def table2(metrics: pd.DataFrame, paper: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Tidy rows in percent: source ("ours" or "paper"), dataset, model, level, metric, value, low, high."""
    ours = metrics.assign(source="ours", dataset=dataset)
    ours[["value", "low", "high"]] *= 100
    theirs = paper.rename(columns={"value_percent": "value"}).assign(source="paper")
    columns = ["source", "dataset", "model", "level", "metric", "value", "low", "high"]
    return pd.concat([ours, theirs]).reindex(columns=columns).round(3)


def cell(rows: pd.DataFrame) -> str:
    """A value with its interval, as text."""
    if rows.empty:
        return ""
    row = rows.iloc[0]
    return f"{row.value:.1f}" if pd.isna(row.low) else f"{row.value:.1f} ({row.low:.1f} to {row.high:.1f})"


def page(table: pd.DataFrame, dataset: str) -> tables.Page:
    """The table as HTML, a row per model and level: ours, then the paper's."""
    rows = []
    for (source, data, model), group in table.groupby(["source", "dataset", "model"], sort=False):
        place = f"{data} (ours)" if source == "ours" else f"{tables.PAPER_TITLES.get(data, data)} (paper)"
        for level in (level for level in LEVELS if (group["level"] == level).any()):
            found = group[group["level"] == level]
            cells = [cell(found[found["metric"] == metric]) for metric in METRICS]
            rows.append((place, model.replace("_", " "), level, *cells))
    caption = (
        f"Test split of {dataset}, in percent, with 95 % intervals from resampled flows; a flow's prediction is that "
        "of its last packet. The paper's numbers are those of its data sets: beside another data set they show the "
        "form of the table, not a difference."
    )
    headings = ("Data set", "Model", "Per", *METRICS.values())
    title = "Table II: performance per packet and per flow"
    return tables.single(headings, rows, title, caption=caption, text_columns=headings[:3])


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or Path(args.metrics[0]).resolve().parent.parent.name
    keys = ("model", "level", "metric")
    metrics = pd.concat([read_csv(path, keys, ("value", "low", "high")) for path in args.metrics])
    table = table2(metrics, read_csv(args.paper, ("dataset", *keys), ("value_percent",)), dataset)
    write_csv(args.output, table)
    tables.save(page(table, dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

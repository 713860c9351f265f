"""What varies between trainings that differ in their seed alone, and which conclusions hold in all of them.

Input: seeds.csv and seed_conclusions.csv (compare_seeds.py). The CSV has the rows of the former.
"""

import argparse
import math
from collections.abc import Iterator, Sequence

import pandas as pd

from rnnids import cli
from rnnids.reporting import tables
from rnnids.storage import read_csv, write_csv

TITLE = "Over several trainings"
NUMBERS = ("seeds", "mean", "deviation", "low", "high", "smallest", "largest", "first", "first_low", "first_high")
NUMBERS += ("outside", "infinite")
SECTIONS = {  # quantity -> heading, scale, digits
    "packet accuracy": ("Packet accuracy in %", 100, 1),
    "flow accuracy": ("Flow accuracy in %", 100, 1),
    "flow precision": ("Flow precision in %", 100, 1),
    "flow recall": ("Flow recall in %", 100, 1),
    "false alarms": ("False alarms in % of benign flows", 100, 2),
    "evading flows": ("Flows that evade in %", 100, 0),
    "recall": ("Recall in %", 100, 0),
    "ARS": ("ARS", 1, 2),
    "accuracy drop": ("Drop of flow accuracy in points", 100, 1),
}
HEADINGS = ("Model", "Quantity", "Of", "Mean", "95 % interval", "Between trainings", "First training", "Outside")
CAPTION = (
    "{dataset}: mean over {seeds} trainings that differ in their seed alone. Its 95 % interval is over trainings and"
    " flows: both another training and other test flows would have given other values. Between trainings: smallest and"
    " largest. First training: the one that all other tables and figures show, with its interval over flows alone."
    " Outside: other trainings whose value lies outside that interval; the more there are, the less an interval of one"
    " training says. {infinity}: an ARS of fewer than half of the flows; where one training has it, the mean has no"
    " interval."
)
CONCLUSIONS = (
    "What the first training shows, and in how many trainings it is so. What does not hold in all of them is a"
    " property of one training, not of the model."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--seeds", required=True, help="mean and interval of each quantity (CSV)")
    parser.add_argument("--conclusions", required=True, help="what holds in how many trainings (CSV)")
    parser.add_argument("--dataset", default="", help="name of the data set")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def span(low: float, high: float, scale: float, digits: int) -> str:
    """Two numbers, or one mark where there is none."""
    return "-" if math.isnan(low) else f"{tables.decimal(low, scale, digits)} to {tables.decimal(high, scale, digits)}"


def cells(table: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """The cells of each row, quantity by quantity."""
    for quantity, (heading, scale, digits) in SECTIONS.items():
        for row in table[table["quantity"] == quantity].itertuples():
            others = int(row.seeds) - 1
            yield (
                row.model.replace("_", " "),
                heading,
                "" if pd.isna(row.of) else str(row.of).replace("_", " "),
                tables.decimal(row.mean, scale, digits),
                span(row.low, row.high, scale, digits),
                span(row.smallest, row.largest, scale, digits),
                f"{tables.decimal(row.first, scale, digits)} ({span(row.first_low, row.first_high, scale, digits)})",
                f"{int(row.outside)} of {others}" if others else "-",
            )


def conclusion_cells(table: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """The cells of each conclusion."""
    for row in table.itertuples():
        holds = "" if pd.isna(row.same) else f"{int(row.same)} of {int(row.seeds)}"
        words = (row.subject, row.first, holds, "" if pd.isna(row.others) else row.others)
        yield tuple(word.replace("_", " ").replace(" -", f" {tables.MINUS}") for word in words)


def page(table: pd.DataFrame, conclusions: pd.DataFrame, dataset: str) -> tables.Page:
    """Both tables, for people, what holds first."""
    caption = CAPTION.format(dataset=dataset, seeds=int(table["seeds"].max()), infinity=tables.INFINITY)
    held = ("What the first training shows", "It says", "In trainings", "Others say")
    parts = []
    if len(conclusions):
        parts.append(tables.Table(held, list(conclusion_cells(conclusions)), CONCLUSIONS, text_columns=held))
    parts.append(tables.Table(HEADINGS, list(cells(table)), caption, text_columns=HEADINGS[:3]))
    return tables.Page(TITLE, parts, heading=TITLE)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    table = read_csv(args.seeds, ("model", "quantity", "of"), NUMBERS)
    text, numbers = ("subject", "first", "others"), ("same", "seeds")
    conclusions = read_csv(args.conclusions, text, numbers, may_be_empty=True)
    write_csv(args.output, table)
    tables.save(page(table, conclusions, args.dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

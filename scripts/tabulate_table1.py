"""Table I: how often each attack type occurs, beside the paper's proportions.

Of the paper's two data sets the one is shown that has the more attack types in common with the data
set. The paper prints proportions below 0.01 % as "<0.01%": they stand as an upper bound.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.reporting import tables
from rnnids.storage import read_csv, write_csv

HEADINGS = ("Attack type", "Category", "Flows", "Proportion", "Paper: attack type", "Paper: proportion", "Note")
PAPER_TEXT = ("dataset", "attack", "attack_in_rules", "note")
PAPER_NUMBERS = ("proportion_percent", "upper_bound_percent")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--counts", required=True, help="flows of each attack type (CSV)")
    parser.add_argument("--paper", required=True, help="the paper's Table I (CSV)")
    parser.add_argument("--dataset", default="", help="name of the data set; empty: that of the folder of --counts")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def table1(counts: pd.DataFrame, paper: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Counts with their share of all flows in percent and, where there is one, the paper's of the same attack."""
    shared = paper[paper["attack_in_rules"].isin(counts["attack"])]["dataset"]
    paper = paper[paper["dataset"] == (shared.mode().iloc[0] if len(shared) else None)]
    ours = counts[["attack", "category", "flows"]].copy()
    ours.insert(0, "dataset", dataset)
    ours["proportion_percent"] = (100 * ours["flows"] / ours["flows"].sum()).round(4)
    theirs = paper.set_index("attack_in_rules").add_prefix("paper_")
    return ours.join(theirs, on="attack")


def percent(value: float, bound: float | None = None) -> str:
    """A proportion as the paper prints it: two digits, or an upper bound."""
    if pd.notna(bound):
        return f"<{bound:.2f} %"
    if pd.isna(value):
        return ""
    return "<0.01 %" if 0 < value < 0.005 else f"{value:.2f} %"


def page(table: pd.DataFrame, dataset: str) -> tables.Page:
    """The table, for people."""
    rows = [
        (
            row.attack,
            row.category,
            f"{row.flows:,}",
            percent(row.proportion_percent),
            row.paper_attack if pd.notna(row.paper_attack) else "",
            percent(row.paper_proportion_percent, row.paper_upper_bound_percent),
            row.paper_note if pd.notna(row.paper_note) else "",
        )
        for row in table.itertuples()
    ]
    papers = [tables.PAPER_TITLES.get(name, name) for name in table["paper_dataset"].dropna().unique()]
    beside = f" Beside it the paper's proportions in {papers[0]}, of all its flows." if papers else ""
    caption = f"Flows of each attack type in {dataset} and their share of its {table['flows'].sum():,} flows.{beside}"
    title, text = "Table I: flow occurrence frequency of attack types", (*HEADINGS[:2], *HEADINGS[4::2])
    return tables.single(HEADINGS, rows, title, caption=caption, text_columns=text)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or Path(args.counts).resolve().parent.name
    counts = read_csv(args.counts, ("attack", "category"), ("flows",))
    table = table1(counts, read_csv(args.paper, PAPER_TEXT, PAPER_NUMBERS), dataset)
    write_csv(args.output, table)
    tables.save(page(table, dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

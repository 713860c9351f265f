"""Table I: how often each attack type occurs, beside the paper's proportions.

Of the paper's two data sets the one is shown that has the more attack types in common with the data
set. The paper prints proportions below 0.01 % as "<0.01%": they stand as an upper bound.
"""

import pandas as pd

from rnnids import cli
from rnnids.reporting.tables import html_table
from rnnids.storage import atomic_path

HEADINGS = ("Attack type", "Category", "Flows", "Proportion", "Paper: attack type", "Paper: proportion", "Note")
TITLES = {"cic_ids_2017": "CIC-IDS-2017", "unsw_nb15": "UNSW-NB15"}


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--counts", required=True, help="flows of each attack type (CSV)")
    parser.add_argument("--paper", required=True, help="the paper's Table I (CSV)")
    parser.add_argument("--dataset", required=True, help="name of the data set")
    parser.add_argument("--output", required=True, help="output: the table (CSV)")
    parser.add_argument("--html", required=True, help="output: the table for people (HTML)")
    return parser.parse_args()


def table1(counts, paper, dataset):
    """Counts with their share of all flows in percent and, where there is one, the paper's of the same attack."""
    shared = paper[paper["attack_in_rules"].isin(counts["attack"])]["dataset"]
    paper = paper[paper["dataset"] == (shared.mode().iloc[0] if len(shared) else None)]
    ours = counts[["attack", "category", "flows"]].copy()
    ours.insert(0, "dataset", dataset)
    ours["proportion_percent"] = (100 * ours["flows"] / ours["flows"].sum()).round(4)
    theirs = paper.set_index("attack_in_rules").add_prefix("paper_")
    return ours.join(theirs, on="attack")


def percent(value, bound=None):
    """A proportion as the paper prints it: two digits, or an upper bound."""
    if pd.notna(bound):
        return f"<{bound:.2f} %"
    if pd.isna(value):
        return ""
    return "<0.01 %" if 0 < value < 0.005 else f"{value:.2f} %"


def page(table, dataset):
    """The table as HTML."""
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
    papers = [TITLES.get(name, name) for name in table["paper_dataset"].dropna().unique()]
    beside = f" Beside it the paper's proportions in {papers[0]}, of all its flows." if papers else ""
    caption = f"Flows of each attack type in {dataset} and their share of its {table['flows'].sum():,} flows.{beside}"
    return html_table(
        HEADINGS, rows, "Table I: flow occurrence frequency of attack types", caption, (*HEADINGS[:2], *HEADINGS[4::2])
    )


def main():
    args = arguments()
    counts, paper = pd.read_csv(args.counts), pd.read_csv(args.paper)
    table = table1(counts, paper, args.dataset)
    with atomic_path(args.output) as path:
        table.to_csv(path, index=False)
    with atomic_path(args.html) as path:
        path.write_text(page(table, args.dataset), encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)

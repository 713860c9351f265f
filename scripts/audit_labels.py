"""Audit the labels of a data set: what each rule matched, what may have been missed, what the test repeats.

Five tables: flows per rule, with the rules that matched none or share flows with others; counts of the
labelling; benign flows between attacker and victim of an attack, shortly before or after it; how well a
capture, an hour, an address or a port alone tells attacks from benign flows; and, for each way to split,
the test flows that have a duplicate or near duplicate in the training split. The CSV holds the same
numbers, one a line.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli, settings
from rnnids.datasets.audit import COUNTED, LabelAudit, clues, read_flow_columns, twins_by_split, unlabelled_neighbours
from rnnids.datasets.build import DatasetOptions
from rnnids.datasets.near_duplicates import LENGTH_STEP
from rnnids.datasets.report import format_time
from rnnids.reporting.page import (
    CLUES,
    COUNTS,
    NEIGHBOURS,
    RULES,
    TWINS,
    label_counts,
    page,
    rule_table,
    tidy,
    with_shares,
)
from rnnids.reporting.tables import save
from rnnids.storage import write_csv

# Settings of a data set that the audit has no use for.
OF_BUILDING = {field.name for field in settings.fields(DatasetOptions)} - {"test_fraction"}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--label-report", required=True, help="flows of each rule (CSV)")
    parser.add_argument("--report", required=True, help="counts of flows and packets (CSV)")
    settings.add_options(parser, LabelAudit)
    settings.add_options(parser, DatasetOptions, leave_out=OF_BUILDING)
    parser.add_argument("--seed", type=int, default=0, help="of the split by flow")
    parser.add_argument("--name", default="", help="name of the data set; empty: that of its folder")
    parser.add_argument("--output", required=True, help="output: all numbers (CSV)")
    parser.add_argument("--html", required=True, help="output: the tables for people (HTML)")
    parser.add_argument("--latex", default="", help="output: the tables for papers (LaTeX); empty: beside --html")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    audit = settings.from_args(LabelAudit, args)
    flows, attacks = read_flow_columns(args.dataset)
    neighbours = unlabelled_neighbours(flows, attacks, round(audit.margin * 1e9))
    for end in ("first", "last"):
        neighbours[end] = [format_time(time) if time else "" for time in neighbours[end]]
    ways = {"prefix_packets": audit.prefix_packets, "test_fraction": args.test_fraction, "seed": args.seed}
    twins = with_shares(twins_by_split(args.dataset, flows, attacks, **ways), *COUNTED[1:])
    sections = [
        ("rules", rule_table(args.label_report), ["rule", "attack"], RULES),
        ("labels", label_counts(args.report), ["item"], COUNTS),
        ("neighbours", neighbours, ["attack"], NEIGHBOURS.format(margin=audit.margin)),
        ("clues", with_shares(clues(flows, attacks), "recognised"), ["clue", "attack"], CLUES),
        ("twins", twins, ["split", "attack"], TWINS.format(prefix=audit.prefix_packets, step=LENGTH_STEP)),
    ]
    write_csv(args.output, pd.concat([tidy(*section[:3]) for section in sections], ignore_index=True))
    shown = page(args.name or Path(args.dataset).resolve().parent.name, sections)
    save(shown, args.output, html=args.html, latex=args.latex or Path(args.html).with_suffix(".tex"))


if __name__ == "__main__":
    cli.run(main)

"""Audit the labels of a data set: what each rule matched, what may have been missed, what the test repeats.

Four tables: flows per rule, with the rules that matched none or share flows with others; counts of the
labelling; benign flows between attacker and victim of an attack, shortly before or after it; and, for
each way to split, the test flows that have a duplicate or near duplicate in the training split. The CSV
holds the same numbers, one a line.
"""

import pandas as pd

from rnnids import cli
from rnnids.datasets.audit import read_flows, twins_by_split, unlabelled_neighbours
from rnnids.datasets.near_duplicates import LENGTH_STEP
from rnnids.datasets.report import format_time
from rnnids.reporting.audit_page import (
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
from rnnids.storage import atomic_path, write_csv


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--label-report", required=True, help="flows of each rule (CSV)")
    parser.add_argument("--report", required=True, help="counts of flows and packets (CSV)")
    parser.add_argument("--test-fraction", required=True, type=float, help="of splits by flow and by time")
    parser.add_argument("--seed", required=True, type=int, help="of the split by flow")
    parser.add_argument("--margin", required=True, type=cli.positive(float), help="seconds around an attack flow")
    parser.add_argument("--prefix-packets", required=True, type=cli.positive(int), help="that near duplicates share")
    parser.add_argument("--name", required=True, help="name of the data set")
    parser.add_argument("--output", required=True, help="output: all numbers (CSV)")
    parser.add_argument("--html", required=True, help="output: the tables for people (HTML)")
    return parser.parse_args()


def main():
    args = arguments()
    flows, attacks = read_flows(args.dataset)
    neighbours = unlabelled_neighbours(flows, attacks, round(args.margin * 1e9))
    for end in ("first", "last"):
        neighbours[end] = [format_time(time) if time else "" for time in neighbours[end]]
    twins = with_shares(
        twins_by_split(args.dataset, flows, attacks, args.test_fraction, args.seed, args.prefix_packets)
    )
    sections = [
        ("rules", rule_table(args.label_report), ["rule", "attack"], RULES),
        ("labels", label_counts(args.report), ["item"], COUNTS),
        ("neighbours", neighbours, ["attack"], NEIGHBOURS.format(margin=args.margin)),
        ("twins", twins, ["split", "attack"], TWINS.format(prefix=args.prefix_packets, step=LENGTH_STEP)),
    ]
    write_csv(args.output, pd.concat([tidy(*section[:3]) for section in sections], ignore_index=True))
    with atomic_path(args.html) as path:
        path.write_text(page(args.name, sections), encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)

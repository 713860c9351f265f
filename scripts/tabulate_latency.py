"""How early the alarm comes, by each rule, unmodified and under each attack, at which false alarms.

Input: latency.csv (measure_latency.py). The table for programs is that file; the one for people has all attacks
together above, and below each attack type at thresholds of equal false alarms, where they could be measured.
"""

import argparse
from collections.abc import Iterator, Sequence

import pandas as pd

from rnnids import cli
from rnnids.reporting import tables
from rnnids.reporting.alarms import ALL_ATTACKS, BENIGN, CASE, RATE, TEST_FLOWS, traffic_label
from rnnids.reporting.panels import duration_text
from rnnids.storage import read_csv, write_csv

TEXT = ["model", *CASE, "attack"]
QUANTITIES = ("packets", "bytes", "milliseconds")
NUMBERS = ["threshold", "flows", "detected", "share", "low", "high", "before_last_packet"]
NUMBERS += [f"{name}_{quantile}" for name in QUANTITIES for quantile in (50, 90)]
CAPTION = (
    "{model} on the test split of {dataset}. Of the flows that raise the alarm, the median and in brackets the 90 %"
    " quantile of packets, bytes and time up to the first alarm. Rules: last, the flow's last packet, so that the flow"
    " has ended; any packet; k of n in a row. Each rule at logit 0, and at the threshold that a set share of benign"
    " validation flows exceeds, so that rules compare at equal false alarms; false alarms are shares of all benign test"
    " flows. An early alarm is no alarm against an attacker who evades all packets; the search with the goal of"
    " all packets is that attacker, who knows the threshold of logit 0 alone."
)
BY_TYPE = (
    "Each attack type, {threshold}. Share of flows that raise the alarm and, in brackets, the median of the packets up"
    " to it."
)
HEADINGS = [
    "Traffic",
    "Threshold",
    "Rule",
    "False alarms in %",
    "Recall in %",
    "95 % interval",
    "Before last packet in %",
]
HEADINGS += ["Packets", "Bytes", "Time"]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--latency", required=True, help="how early, per attack type (CSV)")
    parser.add_argument("--dataset", default="", help="its name, for the caption")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def spread(row: pd.Series, quantity: str) -> str:
    """Median and 90 % quantile up to the alarm, as a cell."""
    middle, high = (row[f"{quantity}_{quantile}"] for quantile in (50, 90))
    if pd.isna(middle):
        return ""
    words = duration_text if quantity == "milliseconds" else lambda value: f"{value:,.0f}"
    return f"{words(middle)} ({words(high)})"


def overall(table: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Rows of the table of all attacks together."""
    benign = table[(table["traffic"] == TEST_FLOWS) & (table["attack"] == BENIGN)]
    false_alarms = benign.set_index(["threshold_from", "rule"])["share"]
    for _, row in table[table["attack"] == ALL_ATTACKS].iterrows():
        share = false_alarms.get((row["threshold_from"], row["rule"]))
        yield (
            traffic_label(row["traffic"]),
            f"{row['threshold']:.2f}".replace("-", tables.MINUS),
            row["rule"],
            "" if share is None else f"{100 * share:.1f}",
            f"{100 * row['share']:.1f}",
            f"{100 * row['low']:.1f} to {100 * row['high']:.1f}",
            "" if pd.isna(row["before_last_packet"]) else f"{100 * row['before_last_packet']:.0f}",
            *(spread(row, quantity) for quantity in QUANTITIES),
        )


def by_type(table: pd.DataFrame) -> tuple[list[str], list[tuple[str, ...]]]:
    """(headings, rows) of the table of attack types: a row for each type and traffic, a column for each rule."""
    rules = list(dict.fromkeys(table["rule"]))
    rows = []
    for (attack, traffic), group in table.groupby(["attack", "traffic"], sort=False):
        if attack == ALL_ATTACKS or (attack == BENIGN and traffic != TEST_FLOWS):
            continue
        own = group.set_index("rule")
        cells = [f"{100 * own.share[rule]:.0f} ({own.packets_50[rule]:.0f})".replace("(nan)", "") for rule in rules]
        flows = f"{int(group['flows'].iloc[0]):,}"
        rows.append((str(attack), traffic_label(str(traffic)), flows, *cells))
    rows.sort(key=lambda row: list(dict.fromkeys(table["attack"])).index(row[0]))
    return ["Flows of type", "Traffic", "N", *(f"{rule}, %" for rule in rules)], rows


def page(table: pd.DataFrame, dataset: str) -> tables.Page:
    """Both tables, for people."""
    model = table["model"].iloc[0].replace("_", " ").capitalize()
    above = tables.Table(
        HEADINGS,
        list(overall(table)),
        CAPTION.format(model=model, dataset=dataset or "the data set"),
        text_columns=[HEADINGS[0], "Rule"],
    )
    equal = table[table["threshold_from"] == RATE]
    threshold = "thresholds of equal false alarms" if len(equal) else "threshold of logit 0"
    headings, rows = by_type(equal if len(equal) else table)
    below = tables.Table(headings, rows, BY_TYPE.format(threshold=threshold), text_columns=headings[:2])
    return tables.Page("Early detection", [above, below], heading="Early detection")


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    table = read_csv(args.latency, TEXT, NUMBERS)
    write_csv(args.output, table)
    tables.save(page(table, args.dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

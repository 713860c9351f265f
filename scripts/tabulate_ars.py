"""Adversarial Robustness Score per model, threat model, goal and attack type, with what it rests on (Sec. IV, Eq. 3).

Input: robustness.csv (score_robustness.py) of each model. The CSV has all its rows, shares between 0 and 1.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.reporting import tables
from rnnids.storage import read_csv, write_csv

KEYS = ("model", "threat_model", "goal", "attack")
NUMBERS = ("flows", "immovable", "already_benign", "success_ratio")
NUMBERS += ("ars", "low", "high", "ars_margin", "exact", "early_alarm")
HEADINGS = ("Model", "Threat model", "Goal", "Attack type", "Flows", "Immovable", "Benign unmodified", "Evade")
HEADINGS += (
    "ARS",
    "At least",
    "95 % interval",
    "ARS with margin",
    "Proven",
    "Cannot be hidden",
    "Earlier alarm",
    "Verdict",
)
CAPTION = (
    "Test split of {dataset}. ARS (Eq. 3): mean L1 distance, in z-scores, of the easier half of an attack type's"
    " flows; {infinity} where fewer evade. It is an upper bound: a better attack can only lower it, but never below At"
    " least, the same score of proven lower bounds (0 where most flows were not bounded; target bracket bounds them)."
    " Evade: share of the flows that are benign under attack. ARS with margin: of the nearest flows whose logit is at"
    " most delta. Proven: share of the flows behind the score whose distance is known to be the least: all values were"
    " tried, or the lower bound reaches it. Cannot be hidden: share of the flows of which it is proven that nothing the"
    " threat model allows makes them benign."
    " Immovable: flows in which the attacker sends nothing that may change. Earlier alarm: share of the evasions"
    " of which an earlier packet raises the alarm. Goal all: no packet may raise it. Verdict: what an independent"
    " check, with random flows and its own reading of the constraints, says of the search; ok: nothing against it."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--robustness", required=True, nargs="+", help="scores of each model, in the table's order (CSV)"
    )
    parser.add_argument("--dataset", default="", help="its name; empty: that of the folder above the first model's")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def cells(row: pd.Series) -> tuple[str, ...]:
    """The cells of one row."""
    interval = "-" if math.isnan(row["low"]) else f"{tables.score(row['low'])} to {tables.score(row['high'])}"
    return (
        row["model"].replace("_", " "),
        row["threat_model"].replace("_", " "),
        row["goal"],
        row["attack"],
        *(f"{int(row[name]):,}" for name in ("flows", "immovable", "already_benign")),
        tables.share(row["success_ratio"]),
        tables.score(row["ars"]),
        tables.score(row["ars_lower"]),
        interval,
        tables.score(row["ars_margin"]),
        tables.share(row["exact"]),
        tables.share(row["certified"]),
        tables.share(row["early_alarm"]),
        row["verdict"],
    )


def page(table: pd.DataFrame, dataset: str) -> tables.Page:
    """The table, for people."""
    rows = [cells(row) for _, row in table.iterrows()]
    caption, text = CAPTION.format(dataset=dataset, infinity=tables.INFINITY), (*HEADINGS[:4], "Verdict")
    return tables.single(HEADINGS, rows, "Adversarial robustness scores", caption=caption, text_columns=text)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or Path(args.robustness[0]).resolve().parent.parent.name
    table = pd.concat([read_csv(path, KEYS, NUMBERS) for path in args.robustness])
    for name, unknown in (("verdict", "not checked"), ("ars_lower", math.nan), ("certified", math.nan)):
        if name not in table:
            table[name] = unknown
    table["verdict"] = table["verdict"].fillna("not checked")
    write_csv(args.output, table, dataset=dataset)
    tables.save(page(table, dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

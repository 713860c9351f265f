"""The share of evasions that are still benign once they are packets and have been read again.

Input: round_trip.csv (check_round_trip.py) of each model. The CSV has all its rows, shares between 0 and 1; the page
shows each attack with all types together, and each type under the threat models of the searches.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.reporting import tables
from rnnids.storage import read_csv, write_csv

TEXT = ("model", "method", "goal", "threat_model", "attack", "reasons")
NUMBERS = ("kappa", "flows", "written", "found", "same_packets", "same_logits", "benign", "share", "others_changed")
COUNTED = ("flows", "written", "found", "same_packets", "same_logits", "benign")
KEYS = ["model", "method", "kappa", "goal", "threat_model"]
HEADINGS = ("Model", "Attack", "Goal", "Threat model", "Evasions", "Written", "Found again", "Same packets")
HEADINGS += ("Same logits", "Still benign", "Share", "Other flows changed", "Reasons of the rest")
CAPTION = (
    "Test split of {dataset}. Each evasion was written to a copy of its capture, the copy's flows were extracted with"
    " the same settings, and the detector asked again. Evasions: detected flows that an attack made benign."
    " Found again: a flow of the same ends begins where it should, with as many packets. Same packets: lengths,"
    " interarrival times, directions and flags are those of the attack. Same logits: of all packets, within 1e-6."
    " Other flows changed: between other hosts, by their start, duration and packets. All attack types together."
)
TYPES_CAPTION = "Evasions that are still benign, of all of a type, per model and threat model of the search."
METHODS = {"cw": "CW", "pgd": "PGD", "fgsm": "FGSM", "search": "Search"}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--round-trips", required=True, nargs="+", help="what survives, a file a model (CSV)")
    parser.add_argument("--dataset", default="", help="its name; empty: that of the folder above the first model's")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def method_name(method: str, kappa: float) -> str:
    """An attack as it is called in print."""
    name = METHODS.get(method, method)
    return name if pd.isna(kappa) else f"{name}, kappa {kappa:g}"


def percent(part: float, whole: float) -> str:
    """A share in percent, rounded down so that 100 % means all."""
    return f"{int(1000 * part / whole) / 10:g} %" if whole else "-"


def merged(reasons: Sequence[str]) -> str:
    """Counted reasons of several rows, "2 x; 1 y", together."""
    counts: Counter[str] = Counter()
    for text in reasons:
        for part in filter(None, text.split("; ")):
            count, _, reason = part.partition(" ")
            counts[reason] += int(count)
    return "; ".join(f"{count} {reason}" for reason, count in counts.most_common())


def attack_rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Cells of each attack, all types together."""
    rows = []
    for (model, method, kappa, goal, threat_model), own in table.groupby(KEYS, sort=False, dropna=False):
        counts = own[list(COUNTED)].sum()
        first = (model.replace("_", " "), method_name(method, kappa), goal or "last", threat_model.replace("_", " "))
        numbers = tuple(f"{count:,}" for count in counts)
        share = percent(counts["benign"], counts["flows"])
        rows.append((*first, *numbers, share, f"{own.others_changed.sum():,}", merged(own.reasons)))
    return rows


def type_rows(table: pd.DataFrame) -> tuple[list[str], list[tuple[str, ...]]]:
    """(headings, rows) of the attack types under each search of each model."""
    table = table[(table.method == "search") & (table.flows > 0)]
    searches = table.goal + ", " + table.threat_model.str.replace("_", " ")
    columns = list(dict.fromkeys(searches))
    rows = []
    for (model, attack), own in table.groupby(["model", "attack"], sort=False):
        cells = own.set_index(searches[own.index])[["benign", "flows"]]
        shown = [f"{cells.benign[name]} of {cells.flows[name]}" if name in cells.index else "-" for name in columns]
        rows.append((model.replace("_", " "), attack, *shown))
    return ["Model", "Attack type", *columns], rows


def page(table: pd.DataFrame, dataset: str) -> tables.Page:
    """The table, for people."""
    title, text = "From adversarial flows to packets and back", (*HEADINGS[:4], HEADINGS[-1])
    caption = f"{title}. {CAPTION.format(dataset=dataset)}"
    headings, rows = type_rows(table)
    parts = [
        tables.Table(HEADINGS, attack_rows(table), caption, text_columns=text),
        tables.Table(headings, rows, TYPES_CAPTION, text_columns=headings[:2]),
    ]
    return tables.Page(title, parts)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or Path(args.round_trips[0]).resolve().parent.parent.name
    table = pd.concat([read_csv(path, TEXT, NUMBERS) for path in args.round_trips], ignore_index=True)
    write_csv(args.output, table, dataset=dataset)
    texts = list(TEXT)
    tables.save(page(table.assign(**table[texts].fillna("")), dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

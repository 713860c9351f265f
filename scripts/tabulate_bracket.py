"""Bracket the robustness scores: what is proven from below beside what was found, per model and attack type.

Input: bounds of each model under each threat model (bound_distances.py). The CSV has a row per model, threat model and
attack type, and one of all attack types together.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.attacks.ars import adversarial_robustness_score
from rnnids.attacks.files import read_attack
from rnnids.errors import InputError
from rnnids.reporting import tables
from rnnids.storage import write_csv

ALL = "All attack types"
HEADINGS = ("Model", "Threat model", "Attack type", "Flows", "ARS at least", "ARS at most", "Bracket closed")
HEADINGS += ("Cannot be hidden", "With a bound", "Above a byte", "At most / at least")
CAPTION = (
    "Test split of {dataset}, goal last. ARS at least: score (Eq. 3) of proven lower bounds, which no attack can"
    " undercut; at most: of the nearest evasions that were found, {infinity} where fewer than half evade. Bracket"
    " closed: share of the flows whose distance is known to a thousandth, or of which it is proven that none evades."
    " Cannot be hidden: share of the latter. With a bound: share of the detected flows whose bound is above 0; Above a"
    " byte: and above the distance of one byte. At most / at least: median ratio of the two of flows with both."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--bounds", required=True, nargs="+", help="bounds, in the table's order (HDF5)")
    parser.add_argument("--models", required=True, nargs="+", help="the model of each file")
    parser.add_argument("--dataset", required=True, help="its name")
    tables.add_output_arguments(parser)
    args = parser.parse_args(argv)
    if len(args.models) != len(args.bounds):
        raise InputError(f"models: {len(args.models)} for {len(args.bounds)} files; name the model of each file")
    return args


def bracket_row(flows: pd.DataFrame) -> dict:
    """What is known of some flows: columns `lower`, `upper`, `closed` and `byte`, the distance of one byte."""
    lower, upper = flows["lower"].to_numpy(), flows["upper"].to_numpy()
    detected = upper > 0
    both = detected & (lower > 0) & np.isfinite(upper)
    return {
        "flows": len(flows),
        "ars_lower": adversarial_robustness_score(lower),
        "ars": adversarial_robustness_score(upper),
        "closed": float(flows["closed"].mean()),
        "certified": float(np.isinf(lower).mean()),
        "bounded": float((lower[detected] > 0).mean()) if detected.any() else np.nan,
        "above_a_byte": float((lower >= flows["byte"])[detected].mean()) if detected.any() else np.nan,
        "ratio": float(np.median(upper[both] / lower[both])) if both.any() else np.nan,
    }


def rows_of(path: str, model: str) -> list[dict]:
    """The rows of one file, attack type by attack type and all together."""
    flows = read_attack(path)
    flows["byte"] = flows.attrs["byte"]
    names = flows.attrs["attacks"]
    first = {"model": model, "threat_model": flows.attrs["threat_model"]}
    groups = [(names[kind], own) for kind, own in flows.groupby("attack")]
    return [first | {"attack": name} | bracket_row(own) for name, own in [*groups, (ALL, flows)] if len(own)]


def cells(row: pd.Series) -> tuple[str, ...]:
    """The cells of one row."""
    return (
        row["model"].replace("_", " "),
        row["threat_model"].replace("_", " "),
        row["attack"],
        f"{int(row['flows']):,}",
        *(tables.score(row[name]) for name in ("ars_lower", "ars")),
        *(tables.share(row[name]) for name in ("closed", "certified", "bounded", "above_a_byte")),
        tables.score(row["ratio"]),
    )


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    rows = [row for path, model in zip(args.bounds, args.models, strict=True) for row in rows_of(path, model)]
    table = pd.DataFrame(rows)
    write_csv(args.output, table, dataset=args.dataset)
    caption = CAPTION.format(dataset=args.dataset, infinity=tables.INFINITY)
    lines = [cells(row) for _, row in table.iterrows()]
    page = tables.single(HEADINGS, lines, "Brackets of scores", caption=caption, text_columns=HEADINGS[:3])
    tables.save(page, args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

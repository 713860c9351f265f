"""Adversarial Robustness Score (Eq. 3) of each attack type, from what searches found (search_evasions.py).

Writes one row per threat model, goal and attack type. A flow that is benign unmodified has distance 0; `ars_detected`
leaves those out, `ars_margin` is the score of the nearest flows whose logit is at most delta. `exact` is the share of
the flows behind a score whose distance is proven, by enumeration or by bounds that meet; `immovable` counts flows of
which nothing can change, and `early_alarm` is the share of evasions of which an earlier packet raises the alarm.
`ars_lower` is the score of the proven lower bounds (bound_distances.py), which no attack can undercut, and `certified`
the share of flows that nothing can hide. Intervals come from resampled flows. `verdict` is that of check_robustness.py,
whose better flows count.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.attacks.ars import CLOSE, robustness_rows
from rnnids.attacks.files import read_attack, with_better
from rnnids.errors import InputError
from rnnids.storage import read_csv, write_csv

KEYS = ("threat_model", "goal", "attack")
ROUNDING = 1 + 1e-12  # by which sums of the same changes may differ


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--searches", required=True, nargs="+", help="what searches found, each in all its chunks (HDF5)"
    )
    parser.add_argument("--indicators", nargs="*", default=[], help="verdicts of check_robustness.py (CSV)")
    parser.add_argument("--better", nargs="*", default=[], help="nearer flows that it found, one file a search (HDF5)")
    parser.add_argument("--bounds", nargs="*", default=[], help="lower bounds, a file a threat model (HDF5)")
    parser.add_argument("--bootstrap-samples", default=1000, type=cli.positive(int), help="behind the intervals")
    parser.add_argument("--seed", default=0, type=int, help="of the resampling")
    parser.add_argument("--model-name", help="name in the column `model`; none: the folder of --output")
    parser.add_argument("--ars", help="output: the rows of the first search alone (CSV)")
    parser.add_argument("--output", required=True, help="output: score per threat model, goal and attack type (CSV)")
    args = parser.parse_args(argv)
    args.model_name = args.model_name or Path(args.output).absolute().parent.name
    return args


def with_lower(flows: pd.DataFrame, bounds: pd.DataFrame | None) -> pd.DataFrame:
    """The flows of a search with the distance that is proven to be needed at least; enumerated ones need no bounds.

    Bounds are of the goal `last`. To raise no alarm at all takes a last packet without one, so they hold for `all` too.
    """
    lower = np.where(flows.exact, flows.l1, 0.0)
    if bounds is None:
        return flows.assign(lower=lower)
    own = flows.row.map(bounds.set_index("row").lower).fillna(0.0).to_numpy()
    if (own > ROUNDING * flows.l1).any():
        name = bounds.attrs["threat_model"]
        raise InputError(f"bounds under {name}: above distances that were found; they are of another model, bound anew")
    lower = np.maximum(lower, np.minimum(own, flows.l1))
    return flows.assign(lower=lower, exact=flows.exact | (lower >= (1 - CLOSE) * flows.l1))


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    rows: list[dict] = []
    bounds = {frame.attrs["threat_model"]: frame for frame in map(read_attack, args.bounds)}
    for place, path in enumerate(args.searches):
        flows = read_attack(path)
        attributes = flows.attrs
        if args.better:
            flows = with_better(flows, args.better[place])
        flows = with_lower(flows, bounds.get(attributes["threat_model"]))
        rng = np.random.default_rng(args.seed)
        found = robustness_rows(flows, samples=args.bootstrap_samples, rng=rng)
        for row in found:
            row |= {
                "attack": attributes["attacks"][row["attack"]],
                "category": attributes["categories"][row["category"]],
            }
        rows += [{name: attributes[name] for name in KEYS[:2]} | row for row in found]
    table = pd.DataFrame(rows)
    if args.indicators and rows:
        verdicts = pd.concat([read_csv(path, (*KEYS, "verdict"), ()) for path in args.indicators])
        table = table.merge(verdicts[[*KEYS, "verdict"]], how="left", on=list(KEYS))
    write_csv(args.output, table, model=args.model_name)
    if rows:
        first = [row for row in rows if all(row[name] == rows[0][name] for name in KEYS[:2])]
        infinite = sum(math.isinf(row["ars"]) for row in first)
        finite = [row["ars"] for row in first if math.isfinite(row["ars"])]
        middle = f"{np.median(finite):.2g}" if finite else "none"
        cli.tell("%s: ARS of %d types, median %s; %d infinite", args.model_name, len(first), middle, infinite)
    if args.ars:
        if rows:  # none where there was nothing to attack
            first = (table["threat_model"] == rows[0]["threat_model"]) & (table["goal"] == rows[0]["goal"])
            table = table[first].drop(columns=["threat_model", "goal"])
        write_csv(args.ars, table, model=args.model_name)


if __name__ == "__main__":
    cli.run(main)

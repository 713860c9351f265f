"""Adversarial Robustness Score (Eq. 3) of each attack type, from the distances of minimise_distances.py.

Flows that are benign unmodified have distance 0; the score without them is in the column
`ars_detected`. The intervals come from resampled flows. After a search of rising kappa, `kappa`,
`rounds` and `stopped` say how it ended.
"""

import argparse
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.attacks.ars import ars_rows
from rnnids.storage import read_hdf5, write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--distances", required=True, nargs="+", help="distance of each flow, chunk by chunk (HDF5)")
    parser.add_argument("--bootstrap-samples", default=1000, type=cli.positive(int), help="behind the intervals")
    parser.add_argument("--seed", default=0, type=int, help="of the resampling")
    parser.add_argument("--model-name", default="", help="name in the column `model`")
    parser.add_argument("--output", required=True, help="output: score per attack type (CSV)")
    return parser.parse_args(argv)


def read_distances(paths: Sequence[str]) -> tuple[pd.DataFrame, list[str], list[str]]:
    """(frame of one row an attacked flow, names of attack types, names of categories)."""
    frames = []
    for path in paths:
        with read_hdf5(path) as file:
            frames.append(pd.DataFrame({name: column[:] for name, column in file["flows"].items()}))
            names = [json.loads(file.attrs[name]) for name in ("attacks", "categories")]
    return pd.concat(frames, ignore_index=True), *names


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    flows, attacks, categories = read_distances(args.distances)
    rng = np.random.default_rng(args.seed)
    rows = ars_rows(
        flows.attack.to_numpy(), flows.category.to_numpy(), flows.l1.to_numpy(), samples=args.bootstrap_samples, rng=rng
    )
    searches = flows.groupby("attack").first()
    for row in rows:
        if "kappa" in flows:
            search = searches.loc[row["attack"]]
            row |= {"kappa": search.kappa, "rounds": int(search.rounds)}
            row |= {"stopped": "half_found" if search.half_found else "max_rounds"}
        row |= {"attack": attacks[row["attack"]], "category": categories[row["category"]]}
    write_csv(args.output, rows, model=args.model_name)


if __name__ == "__main__":
    cli.run(main)

"""Success and distance of attacks, per attack type and over all (Fig. 2; with several methods, Fig. 1).

One row per attack file and attack type. Distances are means over the successful flows, in z-scores;
a flow that is benign unmodified counts as a success at distance 0.
"""

import argparse
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.storage import read_hdf5, write_csv

ALL = "All"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--attacks", required=True, nargs="+", help="adversarial flows (HDF5), one file per kappa")
    parser.add_argument("--model-name", default="", help="name in the column `model`")
    parser.add_argument("--output", required=True, help="output: summary (CSV)")
    return parser.parse_args(argv)


def summary_row(flows: pd.DataFrame) -> dict[str, float]:
    """Success ratios and distances of a frame of attacked flows."""
    fooled = flows[flows.success]
    return {
        "flows": len(flows),
        "already_benign": int(flows.already_benign.sum()),
        "success_ratio": flows.success.mean(),
        "success_ratio_delta": flows.success_delta.mean(),
        "mean_l1": fooled.l1.mean(),
        "median_l1": fooled.l1.median(),
        "mean_linf": fooled.linf.mean(),
    }


def summarise(path: str) -> list[dict]:
    """Rows of the summary for one attack file: all types together, then each."""
    with read_hdf5(path) as file:
        columns = ("attack", "l1", "linf", "success", "success_delta", "already_benign")
        flows = pd.DataFrame({name: file[f"flows/{name}"][:] for name in columns})
        names = json.loads(file.attrs["attacks"])
        common = {name: file.attrs.get(name, np.nan) for name in ("method", "kappa", "epsilon")}
    if flows.empty:
        return []
    groups = [(ALL, flows), *((names[attack], group) for attack, group in flows.groupby("attack"))]
    return [{"attack": name, **common, **summary_row(group)} for name, group in groups]


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    summary = [row for path in args.attacks for row in summarise(path)]
    write_csv(args.output, summary, model=args.model_name)


if __name__ == "__main__":
    cli.run(main)

"""What an operator asks of a detector: recall at a rate of false alarms, and false alarms an hour (beyond the paper).

Of flows, whose score is the logit of their last packet. The first table has points of the curve over all thresholds:
share of benign flows that raise the alarm, recall, precision. The second has, at the detector's own threshold (logit 0)
and where 1 % and 0.1 % of the benign flows of the test split raise the alarm, the recall of each attack type with its
95 % interval, and the false alarms an hour if benign flows came as often as in the captures.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.datasets.flow_data import BENIGN, load_dataset
from rnnids.detectors.metrics import proportion_interval
from rnnids.detectors.operating_points import RATES, benign_flows_per_hour, curve, thinned, threshold_at
from rnnids.errors import InputError
from rnnids.storage import read_hdf5, write_csv

POINTS = 400  # of a curve, at most
ALL = "All"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument(
        "--predictions",
        required=True,
        nargs="+",
        help="logits of the test split, in folders of the models' names (HDF5)",
    )
    parser.add_argument("--curves", required=True, help="output: points of the curves (CSV)")
    parser.add_argument("--operating-points", required=True, help="output: recall at rates of false alarms (CSV)")
    return parser.parse_args(argv)


def read_scores(path: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(attack types (N,), last logits (N,), names of the types) of predictions.

    Raises:
        InputError: there are no benign flows, or no attack flows.
    """
    with read_hdf5(path) as file:
        attack, logits = file["flows/attack"][:].astype(int), file["flows/logit"][:].astype(float)
        names = json.loads(file.attrs["attacks"])
    if not (attack == BENIGN).any() or not (attack != BENIGN).any():
        raise InputError(f"{path}: flows of one class only; choose a test split with benign and attack flows")
    return attack, logits, names


def operating_points(
    attack: np.ndarray, logits: np.ndarray, names: Sequence[str], *, per_hour: float
) -> list[dict[str, Any]]:
    """Rows of the second table.

    Args:
        attack: (N,) indices into `names`. logits: (N,). per_hour: benign flows an hour.
    """
    benign, rows = logits[attack == BENIGN], []
    points = {"own threshold": 0.0} | {f"{100 * rate:g} % false alarms": threshold_at(benign, rate) for rate in RATES}
    kinds = {ALL: attack != BENIGN} | {names[kind]: attack == kind for kind in np.unique(attack[attack != BENIGN])}
    for point, threshold in points.items():
        alarms = float((benign > threshold).mean()) if len(benign) else np.nan
        shared = {"point": point, "threshold": threshold, "false_alarms": alarms, "per_hour": alarms * per_hour}
        for name, chosen in kinds.items():
            total, found = int(chosen.sum()), int((logits[chosen] > threshold).sum())
            low, high = proportion_interval(found, total)
            recall = found / total if total else np.nan
            rows.append(shared | {"attack": name, "flows": total, "recall": recall, "low": low, "high": high})
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    per_hour = benign_flows_per_hour(load_dataset(args.dataset))
    curves, points = [], []
    for path in args.predictions:
        model = Path(path).absolute().parent.name
        attack, logits, names = read_scores(path)
        columns = thinned(curve(attack != BENIGN, logits), POINTS)._asdict()
        curves.append(pd.DataFrame({"model": model} | columns))
        points.append(pd.DataFrame(operating_points(attack, logits, names, per_hour=per_hour)).assign(model=model))
    write_csv(args.curves, pd.concat(curves))
    write_csv(args.operating_points, pd.concat(points))


if __name__ == "__main__":
    cli.run(main)

"""Detection accuracy of attack flows, unmodified and attacked, per attack type (Fig. 1).

Every file must hold attacks on the same flows. Columns: attack (or "All"), method ("unmodified" or
the file's; "search", and "search, no alarm at all" where no packet may raise the alarm), flows,
accuracy, low, high: the share that is still detected, with its 95 % interval, mean_l1: the distance
of the flows that are not, in z-scores, and early_alarm: the share of the evasions of which an
earlier packet raises the alarm, where the file tells.
"""

import argparse
import math
from collections.abc import Sequence

import pandas as pd

from rnnids import cli
from rnnids.attacks.files import read_attack
from rnnids.detectors.metrics import proportion_interval
from rnnids.errors import InputError
from rnnids.storage import write_csv

ALL = "All"
SEARCHES = {"last": "search", "all": "search, no alarm at all"}  # goal -> method


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--attacks", required=True, nargs="+", help="adversarial flows (HDF5), one file per method")
    parser.add_argument("--searches", nargs="*", default=[], help="what searches found (HDF5), one file a goal")
    parser.add_argument("--model-name", default="", help="name in the column `model`")
    parser.add_argument("--output", required=True, help="output: accuracies (CSV)")
    return parser.parse_args(argv)


def accuracy_rows(method: str, flows: pd.DataFrame, attacks: Sequence[str]) -> list[dict]:
    """Rows of one method, all types together and each; `flows` has a column `detected`."""
    groups = [(ALL, flows), *((attacks[index], group) for index, group in flows.groupby("attack"))]
    rows = []
    for attack, group in groups:
        low, high = proportion_interval(group.detected.sum(), len(group))
        row = {"attack": attack, "method": method, "flows": len(group), "accuracy": group.detected.mean()}
        row |= {"low": low, "high": high, "mean_l1": group.l1[~group.detected].mean(), "early_alarm": math.nan}
        if "early_alarm" in group:
            row["early_alarm"] = group.early_alarm[~group.detected & ~group.already_benign].mean()
        rows.append(row)
    return rows


def method_of(flows: pd.DataFrame) -> str:
    """What the flows of an attack file are called in the table."""
    return SEARCHES[flows.attrs["goal"]] if "goal" in flows.attrs else flows.attrs["method"]


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    rows, targets = [], None
    for path in [*args.attacks, *args.searches]:
        flows = read_attack(path).sort_values("row", ignore_index=True)
        attacks = flows.attrs["attacks"]
        if targets is None:
            targets = flows.row
            rows += accuracy_rows("unmodified", flows.assign(detected=~flows.already_benign, l1=0.0), attacks)
        if not targets.equals(flows.row):
            raise InputError(f"{path}: attacks other flows than {args.attacks[0]}; make both with the same settings")
        rows += accuracy_rows(method_of(flows), flows.assign(detected=~flows.success), attacks)
    write_csv(args.output, pd.DataFrame(rows), model=args.model_name)


if __name__ == "__main__":
    cli.run(main)

"""What evasions cost an attacker in bytes and seconds, and how many flows evade within a budget of either.

Input: what searches found (search_evasions.py). Writes a row per threat model, goal, attack type (or "All"), unit and
budget: `share` of the type's flows whose nearest evasion adds at most `budget` bytes, or seconds, to the flow. A flow
that is benign unmodified adds nothing. `median_bytes`, `median_ms` and `median_packets` are those added by, and
touched in, the `evasions` of detected flows. The evasions are the nearest in z-scores: others may add fewer bytes, so
each share is a lower bound.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.attacks.files import read_attack
from rnnids.datasets.flow_data import TEST, FlowData, load_dataset
from rnnids.errors import InputError
from rnnids.flows.ranges import ragged_arange
from rnnids.storage import read_hdf5, write_csv

ALL = "All"
BUDGETS = {  # 1, 2, 5, 10, ... of each unit
    "bytes": [0.0, *(float(f"{digit}e{power}") for power in range(5) for digit in (1, 2, 5)), 1e5],
    "seconds": [0.0, *(float(f"{digit}e{power}") for power in range(-3, 3) for digit in (1, 2, 5)), 1e3],
}
COLUMNS = [
    *("threat_model", "goal", "attack", "category", "flows", "evasions", "unit", "budget", "share"),
    *("median_bytes", "median_ms", "median_packets"),
]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set that was attacked (HDF5)")
    parser.add_argument("--searches", required=True, nargs="+", help="what searches found (HDF5)")
    parser.add_argument(
        "--better", nargs="*", default=[], help="nearer flows of check_robustness.py, one file a search (HDF5)"
    )
    parser.add_argument("--model-name", help="name in the column `model`; none: the folder of --output")
    parser.add_argument("--output", required=True, help="output: cost of evasions, shares within budgets (CSV)")
    args = parser.parse_args(argv)
    args.model_name = args.model_name or Path(args.output).absolute().parent.name
    if args.better and len(args.better) != len(args.searches):
        parser.error("--better: give one file for each of --searches, in the same order")
    return args


def added(path: str, data: FlowData, frame: pd.DataFrame) -> pd.DataFrame:
    """What the flows of an attack file add to the original ones.

    Args:
        frame: the file's flows, of :func:`read_attack`.

    Returns:
        columns bytes, seconds and packets (touched), one row a flow, in the order of `frame`.

    Raises:
        InputError: the file holds flows of another data set.
    """
    columns = ["bytes", "seconds", "packets"]
    if frame.empty:
        return pd.DataFrame(columns=columns, dtype=float)
    places = np.searchsorted(data.row, frame.row.to_numpy()).clip(max=len(data) - 1)
    original = data.take(places)
    if not np.array_equal(original.row, frame.row) or not np.array_equal(original.packet_count, frame.packet_count):
        raise InputError(f"{path}: holds flows of another data set; search this one")
    packet_rows = ragged_arange(frame.offset.to_numpy(), frame.packet_count.to_numpy())
    with read_hdf5(path) as file:
        length, iat_ns = (
            file[f"packets/{name}"][:][packet_rows].astype(np.int64) - original.packets[name].astype(np.int64)
            for name in ("length", "iat_ns")
        )
    sums = [np.add.reduceat(each, original.start) for each in (length, iat_ns, (length != 0) | (iat_ns != 0))]
    return pd.DataFrame({"bytes": sums[0], "seconds": sums[1] / 1e9, "packets": sums[2]}, columns=columns, dtype=float)


def costs(path: str, better_path: str | None, data: FlowData) -> pd.DataFrame:
    """The flows of a search with what their nearest evasions add; infinite where nothing evades."""
    frame = read_attack(path)
    attributes = frame.attrs
    flows = frame.join(added(path, data, frame))
    cost = ["bytes", "seconds", "packets"]
    if better_path:
        better = read_attack(better_path)
        better = better.join(added(better_path, data, better)).set_index("row")
        nearer = flows.row.map(better.l1).fillna(np.inf) < flows.l1
        rows = flows.row[nearer]
        flows.loc[nearer, [*cost, "l1"]] = better.loc[rows, [*cost, "l1"]].to_numpy()
        flows.loc[nearer, "success"] = True
    flows.loc[~flows.success, cost] = np.inf
    flows.attrs = attributes
    return flows


def budget_rows(flows: pd.DataFrame) -> list[dict]:
    """Rows of one group of flows of :func:`costs`."""
    evasions = flows[flows.success & ~flows.already_benign]
    common = {
        "flows": len(flows),
        "evasions": len(evasions),
        "median_bytes": evasions.bytes.median(),
        "median_ms": 1000 * evasions.seconds.median(),
        "median_packets": evasions.packets.median(),
    }
    return [
        common | {"unit": unit, "budget": budget, "share": (flows[unit] <= budget).mean()}
        for unit, budgets in BUDGETS.items()
        for budget in budgets
    ]


def measure(flows: pd.DataFrame) -> list[dict]:
    """Rows of one search: all types together, then each."""
    if flows.empty:
        return []
    names, categories = flows.attrs["attacks"], flows.attrs["categories"]
    first = {"threat_model": flows.attrs["threat_model"], "goal": flows.attrs["goal"]}
    rows = [first | {"attack": ALL, "category": ALL} | row for row in budget_rows(flows)]
    for kind, group in flows.groupby("attack"):
        labels = {"attack": names[kind], "category": categories[group.category.iloc[0]]}
        rows += [first | labels | row for row in budget_rows(group)]
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    data = load_dataset(args.dataset, TEST)
    rows = []
    for path, better in zip(args.searches, args.better or [None] * len(args.searches), strict=True):
        rows += measure(costs(path, better, data))
    write_csv(args.output, pd.DataFrame(rows, columns=COLUMNS), model=args.model_name)


if __name__ == "__main__":
    cli.run(main)

"""Check what a search for evasions says, by code that shares nothing with it: the gate before every robustness score.

All stored evasions are checked against the constraints, their distances and logits computed anew; on a sample of each
attack type random draws try to evade where the search did not, or nearer. What they find is written, and counts.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnnids import cli
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.files import read_attack
from rnnids.attacks.indicators import Found, Gate, Report, challenge, indicator_row, verify
from rnnids.cli import Progress, log
from rnnids.datasets.flow_data import TEST, FlowData, load_dataset
from rnnids.detectors.lstm import load_detector, pick_device
from rnnids.detectors.protocol import has_gradient
from rnnids.errors import InputError
from rnnids.settings import add_options, from_args
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, provenance, read_hdf5, write_csv

COLUMNS = ("l1", "logit", "original_logit", "exact")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    parser.add_argument("--search", required=True, help="what the search found (HDF5)")
    add_options(parser, ThreatModel)
    add_options(parser, Gate)
    parser.add_argument("--seed", default=12345, type=int, help="of the draws; another than the search's")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    parser.add_argument("--better", required=True, help="output: nearer evasions that the check found (HDF5)")
    parser.add_argument("--output", required=True, help="output: verdict per attack type (CSV)")
    return parser.parse_args(argv)


def read_found(path: str, data: FlowData) -> tuple[FlowData, Found, dict[str, str]]:
    """The flows of a search in its order, what it found of them, and its attributes."""
    frame = read_attack(path)
    if len(frame) and (frame.row.max() > data.row.max() or not np.isin(frame.row, data.row).all()):
        raise InputError(f"{path}: holds flows of another data set; search this one")
    flows = data.take(np.searchsorted(data.row, frame.row.to_numpy()))
    if not np.array_equal(flows.packet_count, frame.packet_count):
        raise InputError(f"{path}: holds flows of another data set; search this one")
    with read_hdf5(path) as file:
        packets = [file[f"packets/{name}"][:] for name in ("length", "iat_ns")]
    return flows, Found(*packets, *(frame[name].to_numpy() for name in COLUMNS)), frame.attrs


def write_better(path: str | Path, flows: FlowData, reports: Sequence[Report], made_by: str) -> None:
    """Write the nearer evasions in the layout of attack files."""
    better = [report for report in reports if report.added is not None]
    own = flows.take(np.array([report.row for report in better], dtype=np.int64))
    columns = {"row": own.row, "offset": own.start, "packet_count": own.packet_count}
    columns |= {name: np.array([getattr(report, name) for report in better], dtype=float) for name in ("l1", "logit")}
    with create_hdf5(path, made_by) as file:
        file.attrs["attacks"], file.attrs["method"] = json.dumps(flows.attacks), "gate"
        for name, column in columns.items():
            file.create_dataset(f"flows/{name}", data=column, **COLUMN_OPTIONS)
        for place, name in enumerate(("length", "iat_ns")):
            added = [report.added[place] for report in better if report.added is not None]
            values = own.packets[name] + np.concatenate(added or [np.empty(0)]).astype(own.packets[name].dtype)
            file.create_dataset(f"packets/{name}", data=values, **COLUMN_OPTIONS)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    data = load_dataset(args.dataset, TEST)
    detector = load_detector(args.weights, data, pick_device(args.device))
    threat, gate = from_args(ThreatModel, args), from_args(Gate, args)
    flows, found, attributes = read_found(args.search, data)
    goal = attributes["goal"]
    faults, errors = verify(detector, flows, found, threat=threat, goal=goal)
    rng = np.random.default_rng(args.seed)
    rows, reports = [], []
    kinds = np.unique(flows.flows["attack"])
    with Progress("checking", total=len(kinds), unit="attack types") as progress:
        for kind in kinds:
            own = np.flatnonzero(flows.flows["attack"] == kind)
            open_flows = own[~found.exact[own] & (found.l1[own] > 0)]
            chosen = np.sort(rng.choice(open_flows, min(gate.flows, len(open_flows)), replace=False))
            of_type = [
                challenge(detector, flows, row, found=found, threat=threat, goal=goal, gate=gate, seed=args.seed)
                for row in chosen.tolist()
            ]
            verdict = indicator_row(
                of_type, faults=faults[own], errors=errors[own], draws=gate.draws, gradient=has_gradient(detector)
            )
            name = flows.attacks[kind]
            row = {"threat_model": attributes["threat_model"], "goal": goal, "attack": name, "flows": len(own)}
            rows.append(row | verdict)
            reports += of_type
            log.info("%s, goal %s, %s: %s, %s", row["threat_model"], goal, name, verdict["verdict"], verdict["reason"])
            progress.update()
    write_csv(args.output, rows)
    made_by = provenance("check_robustness.py", vars(args), [args.dataset, args.weights, args.search])
    write_better(args.better, flows, reports, made_by)


if __name__ == "__main__":
    cli.run(main)

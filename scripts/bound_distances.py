"""Bound the distance of each attack flow's nearest evasion from below: what no attack can undercut (goal `last`).

A search (search_evasions.py) says how near an evasion is at most; this says how near it is at least, so that together
they bracket the Adversarial Robustness Score. Where the lower bound is infinite nothing that the threat model allows
makes the flow's last packet benign. An interrupted run goes on from its checkpoint.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from rnnids import cli
from rnnids.attacks.bounds import DistanceBounds
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.files import read_attack, with_better, write_bounds
from rnnids.cli import log
from rnnids.datasets.flow_data import TEST, load_dataset
from rnnids.detectors.lstm import load_detector, pick_device
from rnnids.errors import InputError
from rnnids.settings import add_options, from_args
from rnnids.storage import fingerprint, provenance


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    parser.add_argument("--search", required=True, help="what a search for the goal `last` found (HDF5)")
    parser.add_argument("--better", help="nearer flows that check_robustness.py found (HDF5)")
    add_options(parser, ThreatModel)
    add_options(parser, DistanceBounds)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    parser.add_argument("--checkpoint", help="kept meanwhile, removed at the end; none: beside --output")
    parser.add_argument("--output", required=True, help="output: bounds of each flow's distance (HDF5)")
    args = parser.parse_args(argv)
    args.checkpoint = args.checkpoint or Path(args.output).with_name(f".{Path(args.output).name}.checkpoint")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    data = load_dataset(args.dataset, TEST)
    detector = load_detector(args.weights, data, pick_device(args.device))
    found = read_attack(args.search)
    if found.attrs["goal"] != "last":
        raise InputError(f"{args.search}: of the goal `{found.attrs['goal']}`; bounds are of the goal `last`")
    if not np.isin(found.row, data.row).all():
        raise InputError(f"{args.search}: holds flows of another data set; search this one")
    if args.better:
        found = with_better(found, args.better)
    flows = data.take(np.searchsorted(data.row, found.row))
    name = found.attrs["threat_model"]
    bounds, threat_model = from_args(DistanceBounds, args), from_args(ThreatModel, args)
    inputs = [path for path in (args.dataset, args.weights, args.search, args.better) if path]
    made_by = provenance("bound_distances.py", vars(args), inputs)
    bracket = bounds(
        detector,
        flows,
        found.l1.to_numpy(),
        exact=found.exact.to_numpy(),
        threat_model=threat_model,
        label=f"bounding, {name}",
        checkpoint=args.checkpoint,
        run=json.dumps([asdict(bounds), asdict(threat_model), *map(fingerprint, inputs)]),
    )
    write_bounds(args.output, flows, bracket, made_by=made_by, free=found.free.to_numpy(), threat_model=name)
    Path(args.checkpoint).unlink(missing_ok=True)
    log.info(
        "%s: %d of %d distances proven, %d flows that nothing can hide, %d with no bound",
        *(name, int(bracket.closed.sum()), len(flows), int(np.isinf(bracket.lower).sum())),
        int(((bracket.lower == 0) & (bracket.upper > 0)).sum()),
    )


if __name__ == "__main__":
    cli.run(main)

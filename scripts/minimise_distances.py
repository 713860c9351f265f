"""Distance of the nearest adversarial flow to each attack flow, the measure behind the ARS (Sec. IV).

The attack flows of the test split count (or at most `--max-flows` of each type); those that are
benign unmodified have distance 0, those that no attack fooled an infinite one. Searched by the fast
minimum-norm attack (Pintor et al. 2021) or, as in the paper, by CW attacks of rising kappa; that one
resumes after the last finished round, and its chunks keep an attack type together, since its search
ends as a whole.
"""

import argparse
import json
import math
import os
from collections.abc import Sequence

import numpy as np

from rnnids import cli
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.files import add_target_options, load_targets
from rnnids.attacks.gradient import CarliniWagner
from rnnids.attacks.minimum_norm import MinimumNorm
from rnnids.attacks.rising_kappa import HALF_FOUND, RisingKappa, search
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.protocol import Detector
from rnnids.settings import add_options, from_args
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, provenance

MINIMUM_NORM, RISING_KAPPA = SEARCHES = ("minimum_norm", "rising_kappa")
OUTPUTS = ("output", "checkpoint")  # arguments that do not change the result


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_target_options(parser)
    parser.add_argument("--search", default=MINIMUM_NORM, choices=SEARCHES, help="how to search")
    add_options(parser, MinimumNorm, prefix="search_", leave_out=["delta"])
    add_options(parser, RisingKappa)
    add_options(parser, CarliniWagner, leave_out=["kappa"])
    parser.add_argument("--output", required=True, help="output: distance of each flow (HDF5)")
    parser.add_argument("--checkpoint", default="", help="kept after every round of rising kappa, removed at the end")
    return parser.parse_args(argv)


def raise_kappa(args: argparse.Namespace, detector: Detector, flows: FlowData, run: str) -> dict[str, np.ndarray]:
    """Columns of the flows by the search of rising kappa, a round each."""
    state = search(
        detector,
        flows,
        from_args(CarliniWagner, args, kappa=1.0),
        kappas=from_args(RisingKappa, args).kappas,
        threat_model=from_args(ThreatModel, args),
        batch_packets=args.batch_packets,
        checkpoint=args.checkpoint,
        run=run,
    )
    types = state.attack.tolist()
    return {
        "l1": state.distances,
        "kappa": np.array([state.kappa[attack] for attack in types]),
        "rounds": np.array([state.rounds[attack] for attack in types]),
        "half_found": np.array([state.stopped[attack] == HALF_FOUND for attack in types]),
    }


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    detector, flows = load_targets(args, whole_types=args.search == RISING_KAPPA)
    settled = {name: value for name, value in vars(args).items() if name not in OUTPUTS}
    run = provenance("minimise_distances.py", settled, [args.dataset, args.weights])
    if args.search == MINIMUM_NORM:
        attack = from_args(MinimumNorm, args, prefix="search_", delta=args.delta)
        result = attack(
            detector,
            flows,
            threat_model=from_args(ThreatModel, args),
            batch_packets=args.batch_packets,
            label="minimum norm",
        )
        columns = {"l1": np.where(result.success, result.l1, math.inf)}
    else:
        columns = raise_kappa(args, detector, flows, run)
    columns |= {"row": flows.row} | {name: flows.flows[name] for name in ("attack", "category")}
    with create_hdf5(args.output, run) as file:
        file.attrs["attacks"], file.attrs["categories"] = json.dumps(flows.attacks), json.dumps(flows.categories)
        for name, column in columns.items():
            file.create_dataset(f"flows/{name}", data=column, **COLUMN_OPTIONS)
    if args.checkpoint and os.path.exists(args.checkpoint):
        os.unlink(args.checkpoint)


if __name__ == "__main__":
    cli.run(main)

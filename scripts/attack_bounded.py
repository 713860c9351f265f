"""Attack a detector within an L-infinity bound: PGD (Sec. III-B) or FGSM (Sec. III-C, Eq. 2).

The bound of each attack type is, as for Fig. 1, the mean L-infinity distance of the successful
flows of a CW attack (kappa 1), times `--epsilon-factor`; a type on which CW never succeeded takes
the mean over all types.
"""

import argparse
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from rnnids import cli
from rnnids.attacks.descent import Batch, Kept, attack_flows, tell_outcome
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.files import read_attack, write_attack
from rnnids.attacks.gradient import FastGradientSign, ProjectedGradientDescent
from rnnids.attacks.targets import add_target_options, load_targets
from rnnids.detectors.protocol import Detector
from rnnids.settings import add_options, from_args
from rnnids.storage import provenance

METHODS: dict[str, type[ProjectedGradientDescent | FastGradientSign]] = {
    "pgd": ProjectedGradientDescent,
    "fgsm": FastGradientSign,
}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_target_options(parser)
    add_options(parser, ProjectedGradientDescent, leave_out=["epsilon"])
    parser.add_argument("--method", default="pgd", choices=tuple(METHODS), help="attack; FGSM takes one step")
    parser.add_argument("--reference", required=True, help="adversarial flows of CW that set the bounds (HDF5)")
    parser.add_argument("--epsilon-factor", default=1.0, type=cli.positive(float), help="times CW's mean distance")
    parser.add_argument("--output", required=True, help="output: adversarial flows (HDF5)")
    return parser.parse_args(argv)


def bounds(reference: pd.DataFrame, attacks: Sequence[str]) -> np.ndarray:
    """Mean L-infinity distance of the changed, successful flows of each attack type: (len(attacks),)."""
    fooled = reference[reference.success & ~reference.already_benign]
    overall = fooled.linf.mean() if len(fooled) else math.nan
    by_type = fooled.groupby("attack").linf.mean().reindex(range(len(attacks)))
    return by_type.fillna(overall).fillna(0.0).to_numpy()


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    detector, flows = load_targets(args)
    of_types = args.epsilon_factor * bounds(read_attack(args.reference), flows.attacks)
    epsilon = of_types[np.asarray(flows.flows["attack"], dtype=int)]
    attack = from_args(METHODS[args.method], args)

    def within_bounds(detector: Detector, batch: Batch) -> Kept:
        return attack.run(detector, batch, torch.from_numpy(epsilon[batch.rows]).to(detector.device))

    result = attack_flows(
        detector,
        flows,
        within_bounds,
        threat_model=from_args(ThreatModel, args),
        batch_packets=args.batch_packets,
        label=args.method.upper(),
    )
    label = f"{cli.training_of(args.weights)}: {args.method.upper()}"
    tell_outcome(label, flows, result.adversarial, evades=result.success, detected=~result.already_benign)
    made_by = provenance("attack_bounded.py", vars(args), [args.dataset, args.weights, args.reference])
    write_attack(args.output, args.method, result, made_by=made_by, delta=args.delta, more={"epsilon": epsilon})


if __name__ == "__main__":
    cli.run(main)

"""Attack a detector with Carlini and Wagner's method (Eq. 1) at one kappa.

The attack flows of the test split are changed as little as possible, in L1 distance, until their
last packet is classified as benign, under the constraints of real traffic (Sec. III).
"""

import argparse
from collections.abc import Sequence

from rnnids import cli
from rnnids.attacks.descent import tell_outcome
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.files import write_attack
from rnnids.attacks.gradient import CarliniWagner
from rnnids.attacks.targets import add_target_options, load_targets
from rnnids.settings import add_options, from_args
from rnnids.storage import provenance


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_target_options(parser)
    add_options(parser, CarliniWagner)
    parser.add_argument("--output", required=True, help="output: adversarial flows (HDF5)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    detector, flows = load_targets(args)
    attack = from_args(CarliniWagner, args)
    result = attack(
        detector,
        flows,
        threat_model=from_args(ThreatModel, args),
        batch_packets=args.batch_packets,
        label=f"CW, kappa {args.kappa:g}",
    )
    label = f"{cli.training_of(args.weights)}: CW, kappa {args.kappa:g}"
    tell_outcome(label, flows, result.adversarial, evades=result.success, detected=~result.already_benign)
    made_by = provenance("attack_cw.py", vars(args), [args.dataset, args.weights])
    write_attack(args.output, "cw", result, made_by=made_by, delta=args.delta, more={"kappa": args.kappa})


if __name__ == "__main__":
    cli.run(main)

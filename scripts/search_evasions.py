"""Search for the nearest evasion of each attack flow, by a portfolio of attacks (Sec. IV).

The distances behind the Adversarial Robustness Score, under one threat model and for one goal of the attacker: that the
flow's last packet is benign, or that no packet raises the alarm. What other attacks found is taken up where the threat
model allows it. The flows themselves are written, so that each distance can be checked.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from rnnids import cli
from rnnids.attacks.candidates import MEMBERS
from rnnids.attacks.descent import tell_outcome
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.files import read_versions, write_search
from rnnids.attacks.search import RobustSearch
from rnnids.attacks.targets import add_target_options, load_targets
from rnnids.cli import log
from rnnids.detectors.inference import packet_logits
from rnnids.settings import add_options, from_args
from rnnids.storage import provenance


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_target_options(parser)
    add_options(parser, RobustSearch)
    parser.add_argument("--threat-model", default="paper", help="its name, that the options describe")
    parser.add_argument("--known", nargs="*", default=[], help="what other attacks made of the flows (HDF5)")
    parser.add_argument("--output", required=True, help="output: nearest evasions (HDF5)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    detector, flows = load_targets(args)
    search, threat_model = from_args(RobustSearch, args), from_args(ThreatModel, args)
    result = search(
        detector,
        flows,
        threat_model=threat_model,
        known=[read_versions(path, flows) for path in args.known],
        seed=args.seed,
        batch_packets=args.batch_packets,
        label=f"{args.threat_model}, goal {args.goal}",
    )
    logits = packet_logits(detector, result.adversarial(), batch_packets=args.batch_packets)
    alarms = np.maximum.reduceat(logits, flows.start) > 0 if len(flows) else np.empty(0, dtype=bool)
    made_by = provenance("search_evasions.py", vars(args), [args.dataset, args.weights, *args.known])
    write_search(
        args.output,
        result,
        made_by=made_by,
        search=search,
        members=MEMBERS,
        threat_model=args.threat_model,
        early_alarm=alarms & result.success,
    )
    detected = result.original_logit > 0
    label = f"{cli.training_of(args.weights)}: search, {args.threat_model}, goal {args.goal}"
    tell_outcome(label, flows, result.adversarial(), evades=result.success, detected=detected)
    fixed, enumerated = (result.free == 0).sum(), (result.exact & (result.free > 0)).sum()
    log.info("%d of %d flows cannot move, %d were enumerated", fixed, len(flows), enumerated)


if __name__ == "__main__":
    cli.run(main)

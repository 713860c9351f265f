"""Mutual information between each feature and the prediction, in bits (Sec. V-A4, Eq. 5).

Values as observed, values as an attacker might choose them, and the latter by the paper's estimator, which bins
the values and corrects no bias, for all features: ports and protocol for the whole flow, the others in one packet.
Beside them length and interarrival time in all packets of a flow at once: `whole_flow` with values as observed,
`feasible` with what the threat model leaves to an attacker. Level "packet" averages over all packets; "flow" over the
last ones, whose prediction is the flow's.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from rnnids import cli
from rnnids.attacks.feasible_set import ThreatModel, reachable_values
from rnnids.datasets.features import MANIPULABLE_FEATURES
from rnnids.datasets.selection import sample_flows
from rnnids.explanations.importance import importance_rows, step_rows
from rnnids.explanations.mutual_information import MutualInformation, mutual_information
from rnnids.explanations.options import add_explanation_options, load_explained
from rnnids.settings import add_options, from_args
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_explanation_options(parser, MutualInformation, bootstrap=True)
    add_options(parser, ThreatModel)
    parser.add_argument("--output", required=True, help="output: metric, level, feature, value, low, high (CSV)")
    parser.add_argument("--steps", required=True, help="output: metric, feature, step, flows, value (CSV)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    detector, flows = load_explained(args.dataset, args.weights, device=args.device)
    chosen = sample_flows(flows, args.max_flows, args.seed)
    threat_model = from_args(ThreatModel, args)
    draws = (int(chosen.packet_count.sum()), args.draws)
    reachable = {
        feature: reachable_values(
            chosen, threat_model, feature=feature, uniform=np.random.default_rng((args.seed, feature)).random(draws)
        )
        for feature in MANIPULABLE_FEATURES
    }
    information = mutual_information(
        detector,
        chosen,
        pool=flows,
        reachable=reachable,
        draws=args.draws,
        bins=args.bins,
        bootstrap_samples=args.bootstrap_samples,
        seed=args.seed,
        batch_packets=args.batch_packets,
    )
    metrics = {f"mutual_information_{name}": importance for name, importance in information._asdict().items()}
    write_csv(args.output, importance_rows(metrics))
    write_csv(args.steps, step_rows(chosen, metrics))


if __name__ == "__main__":
    cli.run(main)

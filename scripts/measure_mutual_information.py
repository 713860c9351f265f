"""Mutual information between each feature and the prediction, in bits (Sec. V-A4, Eq. 5).

Three metrics: values as observed, values as an attacker might choose them, and the latter by the
paper's estimator, which bins the values and corrects no bias. Level "packet" averages over
flows, then steps; "flow" takes the last packets, whose prediction is the flow's.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli
from rnnids.datasets.selection import sample_flows
from rnnids.explanations.importance import importance_rows
from rnnids.explanations.mutual_information import MutualInformation, mutual_information
from rnnids.explanations.options import add_explanation_options, load_explained
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_explanation_options(parser, MutualInformation, bootstrap=True)
    parser.add_argument("--output", required=True, help="output: metric, level, feature, value, low, high (CSV)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    detector, flows = load_explained(args.dataset, args.weights, device=args.device)
    information = mutual_information(
        detector,
        sample_flows(flows, args.max_flows, args.seed),
        pool=flows,
        draws=args.draws,
        bins=args.bins,
        bootstrap_samples=args.bootstrap_samples,
        seed=args.seed,
        batch_packets=args.batch_packets,
    )
    metrics = {f"mutual_information_{name}": importance for name, importance in information._asdict().items()}
    write_csv(args.output, importance_rows(metrics))


if __name__ == "__main__":
    cli.run(main)

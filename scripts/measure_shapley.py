"""Shapley values of the features: their shares of the accuracy of flows (Sec. V-A3).

From a model trained with feature dropout, which can be asked without any set of features. Each value is the mean, over
orders in which the features come in, of what the feature adds to the accuracy; they add up to the accuracy with all
features less that with none. Orders are sampled until the standard error of every value is at most `--standard-error`;
the column `standard_error` has it, and low and high the 95 % interval over flows.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli
from rnnids.cli import log
from rnnids.datasets.features import FEATURES
from rnnids.datasets.selection import sample_flows
from rnnids.explanations.options import add_explanation_options, load_explained
from rnnids.explanations.shapley import Shapley, shapley_values
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_explanation_options(parser, Shapley, bootstrap=True)
    parser.add_argument("--output", required=True, help="output: metric, level, feature, value, low, high, ... (CSV)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    detector, flows = load_explained(args.dataset, args.weights, device=args.device)
    chosen = sample_flows(flows, args.max_flows, args.seed)
    found = shapley_values(
        detector,
        chosen,
        standard_error=args.standard_error,
        max_rounds=args.max_rounds,
        bootstrap_samples=args.bootstrap_samples,
        seed=args.seed,
        batch_packets=args.batch_packets,
    )
    largest = found.standard_error.max()
    log.info(
        "%d rounds on %d flows, largest standard error %.2g%s; accuracy %.4f with all features, %.4f with none",
        *(found.rounds, len(chosen), largest, "" if largest <= args.standard_error else ", above what was asked for"),
        *(found.all_features, found.no_features),
    )
    columns = zip(FEATURES, *(values.tolist() for values in (*found.estimate, found.standard_error)), strict=True)
    names = ("feature", "value", "low", "high", "standard_error")
    rows = [{"metric": "shapley", "level": "flow"} | dict(zip(names, row, strict=True)) for row in columns]
    write_csv(args.output, [row | {"rounds": found.rounds, "flows": len(chosen)} for row in rows])


if __name__ == "__main__":
    cli.run(main)

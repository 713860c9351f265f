"""Sanity checks of explanations: do they see what they must, and does what they see hang on the detector?

Each metric of the features is put to five tests. planted: a detector is trained on flows whose label is their packets'
length alone, which must come first. random_weights: with weights drawn anew the ranks must not stay what they were
(Adebayo et al. 2018). permuted_labels: nor with a detector trained on labels in random order. deletion and insertion:
taking features away, or bringing them in, in the metric's order must cost, or bring, accuracy sooner than random ones.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnids import cli
from rnnids.cli import log
from rnnids.datasets.features import PACKET_LENGTH
from rnnids.datasets.flow_data import TRAIN, FlowData, load_dataset
from rnnids.datasets.selection import constant_features, first_packets, sample_flows
from rnnids.detectors.lstm import LSTMDetector
from rnnids.errors import InputError
from rnnids.explanations.options import add_explanation_options, load_explained
from rnnids.explanations.rank_agreement import rank_correlation
from rnnids.explanations.sanity import (
    METRICS,
    Curves,
    Sanity,
    all_metrics,
    curves,
    fitted,
    planted,
    shuffled,
    untrained,
)
from rnnids.settings import from_args
from rnnids.storage import write_csv

SAME = 0.5  # rank correlation from which an explanation is taken for the same
CHANCE = 0.1  # share of random orders that may do as well


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_explanation_options(parser, Sanity)
    parser.add_argument("--output", required=True, help="output: metric, test, value, limit, passed (CSV)")
    return parser.parse_args(argv)


def rows_of(test: str, values: dict[str, float], limit: float) -> list[dict[str, Any]]:
    """Rows of a test that is passed by values of at most `limit`; a value that is not there passes nothing."""
    return [
        {"metric": metric, "test": test, "value": value, "limit": limit, "passed": bool(value <= limit)}
        for metric, value in values.items()
    ]


def ranks(metrics: dict[str, np.ndarray], feature: int) -> dict[str, float]:
    """{metric: place of a feature, 1 the first; of equal ones the last}."""
    return {metric: float((values >= values[feature]).sum()) for metric, values in metrics.items()}


def similarity(first: dict[str, np.ndarray], second: dict[str, np.ndarray], varying: np.ndarray) -> dict[str, float]:
    """{metric: rank correlation over the features that vary}; 0 where one says the same of all."""
    found = {metric: rank_correlation(first[metric][varying], second[metric][varying]) for metric in METRICS}
    return {metric: abs(float(np.nan_to_num(value))) for metric, value in found.items()}


def order_tests(
    detector: LSTMDetector, flows: FlowData, metrics: dict[str, np.ndarray], *, orders: int, seed: int
) -> list[dict[str, Any]]:
    """Rows of deletion and insertion: the share of random orders that do as well as the metric's."""
    rng = np.random.default_rng(seed)
    random = [curves(detector, flows, rng.permutation(len(values))) for values in [metrics[METRICS[0]]] * orders]
    own = {metric: curves(detector, flows, np.argsort(-values, kind="stable")) for metric, values in metrics.items()}
    rows = []
    for place, (test, sign) in enumerate(zip(Curves._fields, (1, -1), strict=True)):
        chance = np.array([sign * each[place] for each in random])
        as_well = {metric: float((chance <= sign * each[place]).mean()) for metric, each in own.items()}
        rows += rows_of(test, as_well, CHANCE)
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    options = from_args(Sanity, args)
    detector, data = load_explained(args.dataset, args.weights, device=args.device)
    if not detector.feature_dropout:
        raise InputError(f"{args.weights}: trained without feature dropout; take a model with `feature_dropout: true`")
    flows = first_packets(sample_flows(data, options.max_flows, args.seed), options.max_steps)
    training = first_packets(
        sample_flows(load_dataset(args.dataset, TRAIN), options.training_flows, args.seed), options.max_steps
    )
    explained = all_metrics(detector, flows, seed=args.seed)
    log.info("explained the detector")
    of_planted = all_metrics(
        fitted(planted(training, args.seed), options, seed=args.seed), planted(flows, args.seed + 1), seed=args.seed
    )
    size = detector.architecture["hidden_size"], detector.architecture["num_layers"]
    of_random = all_metrics(untrained(*size, seed=args.seed).requires_grad_(False), flows, seed=args.seed)
    of_permuted = all_metrics(fitted(shuffled(training, args.seed), options, seed=args.seed), flows, seed=args.seed)
    varying = ~constant_features(flows)
    rows = rows_of("planted", ranks(of_planted, PACKET_LENGTH), 1)
    rows += rows_of("random_weights", similarity(explained, of_random, varying), SAME)
    rows += rows_of("permuted_labels", similarity(explained, of_permuted, varying), SAME)
    rows += order_tests(detector, flows, explained, orders=options.orders, seed=args.seed)
    write_csv(args.output, rows)
    log.info("%d of %d tests passed", sum(row["passed"] for row in rows), len(rows))


if __name__ == "__main__":
    cli.run(main)

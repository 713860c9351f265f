"""Train and score a multilayer perceptron on flow statistics (Table II's third column).

Same flows, same split and the same packets as the recurrent detectors, aggregated per flow: what it
lacks or gains beside them is what reading packet by packet buys. There is no metric per packet,
since it decides when a flow is over.
"""

import argparse
import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rnnids import cli
from rnnids.datasets.flow_data import TEST, TRAIN, load_dataset
from rnnids.detectors import metrics
from rnnids.detectors.flow_statistics import FlowStatistics, flow_statistics
from rnnids.settings import add_options
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--model-name", default="flow_statistics", help="name in the column `model`")
    parser.add_argument("--metrics", required=True, help="output: metrics per flow (CSV)")
    parser.add_argument("--recall", required=True, help="output: recall per attack type (CSV)")
    add_options(parser, FlowStatistics)
    parser.add_argument("--seed", default=0, type=int, help="of weights, batches and bootstrap")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    data, test = load_dataset(args.dataset, TRAIN), load_dataset(args.dataset, TEST)
    classifier = MLPClassifier(list(args.hidden_layers), max_iter=args.epochs, random_state=args.seed)
    pipeline = make_pipeline(StandardScaler(), classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is the user's choice
        pipeline.fit(flow_statistics(data)[1], data.is_attack)
    # Above 0 exactly where the perceptron says attack, as the logits of the recurrent detectors are.
    margin = pipeline.predict_proba(flow_statistics(test)[1])[:, 1] - 0.5
    ones = np.ones(len(test), dtype=np.int64)
    rng = np.random.default_rng(args.seed)
    rows = metrics.metric_rows(
        "flow", test.is_attack, margin, packet_count=ones, samples=args.bootstrap_samples, rng=rng
    )
    write_csv(args.metrics, rows, model=args.model_name)
    write_csv(args.recall, metrics.recall_rows(test, margin), model=args.model_name)


if __name__ == "__main__":
    cli.run(main)

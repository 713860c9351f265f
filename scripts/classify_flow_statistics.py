"""Train and score a multilayer perceptron on flow statistics (Table II's third column).

Same flows, same split and the same packets as the recurrent detectors, aggregated per flow: what it
lacks or gains beside them is what reading packet by packet buys. There is no metric per packet,
since it decides when a flow is over.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rnnids import cli
from rnnids.datasets.flow_data import TEST, TRAIN, load_dataset
from rnnids.detectors import metrics
from rnnids.detectors.flow_statistics import flow_statistics
from rnnids.storage import write_csv


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--model-name", required=True, help="name in the column `model`")
    parser.add_argument("--metrics", required=True, help="output: metrics per flow (CSV)")
    parser.add_argument("--recall", required=True, help="output: recall per attack type (CSV)")
    parser.add_argument("--hidden-layers", required=True, nargs="+", type=cli.positive(int), help="units of each layer")
    parser.add_argument("--epochs", required=True, type=cli.positive(int), help="passes over the training flows")
    parser.add_argument("--bootstrap-samples", required=True, type=cli.positive(int), help="behind the intervals")
    parser.add_argument("--seed", required=True, type=int, help="of weights, batches and bootstrap")
    return parser.parse_args()


def main():
    args = arguments()
    data, test = load_dataset(args.dataset, TRAIN), load_dataset(args.dataset, TEST)
    classifier = MLPClassifier(args.hidden_layers, max_iter=args.epochs, random_state=args.seed)
    pipeline = make_pipeline(StandardScaler(), classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is the user's choice
        pipeline.fit(flow_statistics(data)[1], data.is_attack)
    # Above 0 exactly where the perceptron says attack, as the logits of the recurrent detectors are.
    margin = pipeline.predict_proba(flow_statistics(test)[1])[:, 1] - 0.5
    ones = np.ones(len(test), dtype=np.int64)
    rng = np.random.default_rng(args.seed)
    rows = metrics.metric_rows("flow", test.is_attack, margin, ones, args.bootstrap_samples, rng)
    write_csv(args.metrics, rows, model=args.model_name)
    write_csv(args.recall, metrics.recall_rows(test, margin), model=args.model_name)


if __name__ == "__main__":
    cli.run(main)

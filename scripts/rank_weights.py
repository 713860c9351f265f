"""Importance of features by the weights that lead from them to the prediction (Sec. V-A1).

The sum, over all paths of one step, of the products of absolute weights: of each layer's input
weights, the four gates of a cell added up, and of the read-out. Given for comparison, as in the
paper; it has no interval and no level, so packet and flow rows are the same.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli
from rnnids.datasets.features import FEATURES
from rnnids.detectors.lstm import load_detector
from rnnids.explanations.importance import LEVELS, weight_importance
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    parser.add_argument("--output", required=True, help="output: metric, level, feature, value, low, high (CSV)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    importance = weight_importance(load_detector(args.weights))
    rows = [
        {"metric": "weights", "level": level, "feature": feature, "value": value, "low": None, "high": None}
        for level in LEVELS
        for feature, value in zip(FEATURES, importance.tolist(), strict=True)
    ]
    write_csv(args.output, rows)


if __name__ == "__main__":
    cli.run(main)

"""Confidence of the detector after each packet, per attack type, with the flows that reach it (Fig. 7).

Confidence is the probability given to the flow's true class. Steps count from 1.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli
from rnnids.explanations.per_step import quantile_frame, read_confidence
from rnnids.storage import write_csv

QUANTILES = {"median": 0.5, "q10": 0.1, "q25": 0.25, "q75": 0.75, "q90": 0.9}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--predictions", required=True, help="logits of the test split (HDF5)")
    parser.add_argument("--output", required=True, help="output: attack, step, flows and quantiles (CSV)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    confidence, attacks = read_confidence(args.predictions)
    table = quantile_frame(confidence, ["attack", "step"], column="confidence", quantiles=QUANTILES)
    write_csv(args.output, table.assign(attack=[attacks[index] for index in table.attack]))


if __name__ == "__main__":
    cli.run(main)

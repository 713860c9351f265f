"""Two distributions of equal accuracy and different mutual information (Sec. V-A4, Fig. 5).

Accuracy alone cannot tell a prediction that a feature decides from one that it merely shifts. Both
numbers are computed from the tabulated distributions.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli
from rnnids.explanations.entropy import compare_distributions
from rnnids.storage import write_csv

POINTS = 200


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--output", required=True, help="output: the distributions, one row a value (CSV)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    write_csv(arguments(argv).output, compare_distributions(POINTS))


if __name__ == "__main__":
    cli.run(main)

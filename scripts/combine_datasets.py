"""Put the training flows of some data sets and the test flows of another into one data set.

Evaluated, attacked or explained on it, a detector is tried on traffic that was recorded elsewhere (`transfer` in the
configuration, target table_transfer). Features are normalised by its training flows; with one data set to train on, by
that one's own mean and standard deviation, so that detectors trained there go with it.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli
from rnnids.datasets.combine import combine_datasets
from rnnids.storage import provenance


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--train", required=True, nargs="+", help="data sets whose training flows are taken (HDF5)")
    parser.add_argument("--test", required=True, help="data set whose test flows are taken (HDF5)")
    parser.add_argument("--output", required=True, help="output: data set (HDF5)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    made_by = provenance("combine_datasets.py", vars(args), [*args.train, args.test])
    combine_datasets(args.train, args.test, args.output, made_by=made_by)


if __name__ == "__main__":
    cli.run(main)

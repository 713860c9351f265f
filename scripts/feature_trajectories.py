"""Length and interarrival time over the packets of each attack type's flows (Sec. V-C, Fig. 9).

Medians and quartiles over the flows of the whole data set that have a packet of the direction at
the step; lengths in bytes, interarrival times in ms, steps count from 1.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli
from rnnids.datasets.flow_data import load_dataset
from rnnids.explanations.per_step import trajectories
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--output", required=True, help="output: attack, step, direction, flows, feature, ... (CSV)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    flows = load_dataset(args.dataset)
    table = trajectories(flows)
    write_csv(args.output, table.assign(attack=[flows.attacks[index] for index in table.attack]))


if __name__ == "__main__":
    cli.run(main)

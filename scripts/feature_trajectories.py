"""Length and interarrival time over the packets of each attack type's flows (Sec. V-C, Fig. 9).

Medians and quartiles over the flows of the whole data set that have a packet of the direction at
the step; lengths in bytes, interarrival times in ms, steps count from 1.
"""

from rnnids import cli
from rnnids.datasets.flow_data import load_dataset
from rnnids.explanations.per_step import trajectories
from rnnids.storage import write_csv


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--output", required=True, help="output: attack, step, direction, flows, feature, ... (CSV)")
    return parser.parse_args()


def main():
    args = arguments()
    data = load_dataset(args.dataset)
    table = trajectories(data)
    write_csv(args.output, table.assign(attack=[data.attacks[index] for index in table.attack]))


if __name__ == "__main__":
    cli.run(main)

"""Sequential partial dependence on length and interarrival time, per attack type (Eq. 7, Fig. 8).

One packet is varied, the packets before it are not. `confidence` is the mean probability of
attack over the flows that reach the step. The second table holds the means of the flows as they
were and as the attack made them: of those that evaded detection, or, where none did, of all, with
no adversarial mean. Steps count from 1, values are bytes and ms.
"""

import numpy as np

from rnnids import cli
from rnnids.attacks.files import read_adversarial_flows
from rnnids.datasets.features import FEATURES, MANIPULABLE_FEATURES
from rnnids.datasets.selection import first_packets
from rnnids.explanations.options import add_explanation_arguments, load_explained
from rnnids.explanations.partial_dependence import mean_rows, sequential_rows
from rnnids.storage import write_csv


def arguments():
    parser = cli.parser(__doc__)
    add_explanation_arguments(parser)
    parser.add_argument("--attacks", required=True, help="adversarial flows (HDF5)")
    parser.add_argument("--grid-size", required=True, type=cli.positive(int), help="values of a feature, at most")
    parser.add_argument("--max-steps", required=True, type=cli.positive(int), help="packets of a flow, at most")
    parser.add_argument("--output", required=True, help="output: attack, feature, step, value, confidence (CSV)")
    parser.add_argument("--means", required=True, help="output: attack, feature, step, flows and means (CSV)")
    return parser.parse_args()


def main():
    args = arguments()
    model, data, device = load_explained(args)
    original, adversarial, evaded = read_adversarial_flows(args.attacks, data)
    original, adversarial = first_packets(original, args.max_steps), first_packets(adversarial, args.max_steps)
    dependence, means = [], []
    for index in np.unique(original.flows["attack"]):
        chosen = original.flows["attack"] == index
        before, after = original.take(chosen), adversarial.take(chosen)
        for feature in MANIPULABLE_FEATURES:
            names = {"attack": data.attacks[index], "feature": FEATURES[feature]}
            rows = sequential_rows(model, before, after, feature, args.grid_size, args.batch_packets, device)
            dependence += [names | row for row in rows]
            means += [names | row for row in mean_rows(before, after, evaded[chosen], feature)]
    write_csv(args.output, dependence)
    write_csv(args.means, means)


if __name__ == "__main__":
    cli.run(main)

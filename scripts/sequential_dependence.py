"""Sequential partial dependence on length and interarrival time, per attack type (Eq. 7, Fig. 8).

One packet is varied, the packets before it are not. `confidence` is the mean probability of
attack over the `flows` that reach the step. The second table holds means and medians of the flows as they
were and as the attack made them: of those that evaded detection, or, where none did, of all, with
no adversarial value. Steps count from 1, values are bytes and ms.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from rnnids import cli
from rnnids.attacks.files import read_adversarial_flows
from rnnids.datasets.features import FEATURES, MANIPULABLE_FEATURES
from rnnids.datasets.selection import first_packets, packet_values
from rnnids.explanations.options import add_explanation_options, load_explained
from rnnids.explanations.partial_dependence import (
    SequentialDependence,
    StepDependence,
    StepMeans,
    sequential_partial_dependence,
    step_means,
    value_grid,
)
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_explanation_options(parser, SequentialDependence)
    parser.add_argument("--attacks", required=True, help="adversarial flows (HDF5)")
    parser.add_argument("--output", required=True, help="output: attack, feature, step, value, confidence, flows (CSV)")
    parser.add_argument("--means", required=True, help="output: attack, feature, step, flows, means and medians (CSV)")
    return parser.parse_args(argv)


def dependence_rows(found: StepDependence) -> list[dict[str, float]]:
    """Rows step, value, confidence, flows of a sequential dependence."""
    steps = enumerate(zip(found.prediction.tolist(), found.flows.tolist(), strict=True), start=1)
    return [
        {"step": step, "value": value, "confidence": confidence, "flows": flows}
        for step, (line, flows) in steps
        for value, confidence in zip(found.value.tolist(), line, strict=True)
    ]


def mean_rows(means: StepMeans) -> list[dict[str, float]]:
    """Rows step and what the means have of it."""
    lines = zip(*(column.tolist() for column in means), strict=True)
    return [{"step": step} | dict(zip(means._fields, line, strict=True)) for step, line in enumerate(lines, start=1)]


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    detector, flows = load_explained(args.dataset, args.weights, device=args.device)
    original, adversarial, evaded = read_adversarial_flows(args.attacks, flows)
    original, adversarial = first_packets(original, args.max_steps), first_packets(adversarial, args.max_steps)
    dependence, means = [], []
    for index in np.unique(original.flows["attack"]):
        chosen = original.flows["attack"] == index
        before, after = original.take(chosen), adversarial.take(chosen)
        for feature in MANIPULABLE_FEATURES:
            names = {"attack": flows.attacks[index], "feature": FEATURES[feature]}
            both = np.concatenate([packet_values(each, feature) for each in (before, after)])
            grid = value_grid(both, feature, size=args.grid_size)
            found = sequential_partial_dependence(
                detector, before, feature=feature, grid=grid, batch_packets=args.batch_packets
            )
            dependence += [names | row for row in dependence_rows(found)]
            of_steps = step_means(before, after, feature, evaded=evaded[chosen])
            means += [names | row for row in mean_rows(of_steps)]
    write_csv(args.output, dependence)
    write_csv(args.means, means)


if __name__ == "__main__":
    cli.run(main)

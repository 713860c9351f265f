"""Conditional partial dependence of the flow's prediction on a feature, per attack type (Eq. 6, Fig. 6).

The value is written into all packets of a flow; its prediction is that of its last packet, as a
probability of attack. `low` and `high` hold the middle 80 % of the flows (`flows` of them): where they are
far apart, the mean is no single flow's dependence. The second table counts the values that the flows of the
type (features that vary in a flow: their packets) really have; elsewhere the dependence is extrapolated.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli
from rnnids.datasets.features import FEATURES
from rnnids.datasets.selection import flows_by_type, packet_values
from rnnids.explanations.options import add_explanation_options, load_explained
from rnnids.explanations.partial_dependence import PartialDependence, observed_counts, partial_dependence, value_grid
from rnnids.settings import from_args
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_explanation_options(parser, PartialDependence)
    parser.add_argument("--output", required=True, help="output: attack, feature, value, prediction, ... (CSV)")
    parser.add_argument("--values", required=True, help="output: attack, feature, value, count (CSV)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    settings = from_args(PartialDependence, args)
    detector, flows = load_explained(args.dataset, args.weights, device=args.device)
    chosen = flows_by_type(flows, settings.max_flows, args.seed)
    everything = flows_by_type(flows, None, args.seed)
    predictions, counts = [], []
    for feature in map(FEATURES.index, settings.features):
        grid = value_grid(packet_values(flows, feature), feature, size=settings.grid_size)
        for attack, of_type in chosen.items():
            names = {"attack": attack, "feature": FEATURES[feature]}
            found = partial_dependence(detector, of_type, feature=feature, grid=grid, batch_packets=args.batch_packets)
            columns = {name: getattr(found, name).tolist() for name in ("value", "prediction", "low", "high")}
            lines = zip(*columns.values(), strict=True)
            predictions += [names | dict(zip(columns, line, strict=True)) | {"flows": found.flows} for line in lines]
            observed = observed_counts(everything[attack], feature, grid=grid)
            pairs = zip(observed.value.tolist(), observed.occurrences.tolist(), strict=True)
            counts += [names | {"value": value, "count": count} for value, count in pairs]
    write_csv(args.output, predictions)
    write_csv(args.values, counts)


if __name__ == "__main__":
    cli.run(main)

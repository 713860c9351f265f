"""Conditional partial dependence of the flow's prediction on a feature, per attack type (Eq. 6, Fig. 6).

The value is written into all packets of a flow; its prediction is that of its last packet, as a
probability of attack. The second table counts the values that the flows of the type (features
that vary in a flow: their packets) really have; elsewhere the dependence is extrapolated.
"""

from rnnids import cli
from rnnids.datasets.features import FEATURES
from rnnids.datasets.selection import flows_by_type, packet_values
from rnnids.explanations.options import add_explanation_arguments, load_explained
from rnnids.explanations.partial_dependence import observed_rows, partial_dependence, value_grid
from rnnids.storage import write_csv


def arguments():
    parser = cli.parser(__doc__)
    add_explanation_arguments(parser)
    parser.add_argument("--features", required=True, nargs="+", choices=FEATURES, help="features to vary, one by one")
    parser.add_argument("--grid-size", required=True, type=cli.positive(int), help="values of a feature, at most")
    parser.add_argument("--max-flows", type=cli.positive(int), help="flows per type, at most; all if not given")
    parser.add_argument("--output", required=True, help="output: attack, feature, value, prediction (CSV)")
    parser.add_argument("--values", required=True, help="output: attack, feature, value, count (CSV)")
    return parser.parse_args()


def main():
    args = arguments()
    model, data, device = load_explained(args)
    chosen = flows_by_type(data, args.max_flows, args.seed)
    everything = flows_by_type(data, None, args.seed)
    predictions, observed = [], []
    for feature in map(FEATURES.index, args.features):
        grid = value_grid(packet_values(data, feature), feature, args.grid_size)
        for attack, flows in chosen.items():
            names = {"attack": attack, "feature": FEATURES[feature]}
            mean = partial_dependence(model, flows, feature, grid, args.batch_packets, device)
            pairs = zip(grid.tolist(), mean.tolist(), strict=True)
            predictions += [names | {"value": value, "prediction": prediction} for value, prediction in pairs]
            observed += [names | row for row in observed_rows(everything[attack], feature, grid)]
    write_csv(args.output, predictions)
    write_csv(args.values, observed)


if __name__ == "__main__":
    cli.run(main)

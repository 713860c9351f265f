"""Drop in accuracy where one feature takes random values of the data set (Sec. V-A2, Table III a).

Values are drawn from the packets of the test split: once per flow for ports and protocol, which
are constant in a flow, and for each packet otherwise.
"""

from rnnids import cli
from rnnids.datasets.selection import sample_flows
from rnnids.explanations.importance import perturbation_rows
from rnnids.explanations.options import add_explanation_arguments, load_explained
from rnnids.storage import write_csv


def arguments():
    parser = cli.parser(__doc__)
    add_explanation_arguments(parser)
    parser.add_argument("--max-flows", type=cli.positive(int), help="flows to predict, at most; all if not given")
    parser.add_argument("--repeats", required=True, type=cli.positive(int), help="passes with new draws, per feature")
    parser.add_argument("--bootstrap-samples", required=True, type=cli.positive(int), help="resamples of flows")
    parser.add_argument("--output", required=True, help="output: metric, level, feature, value, low, high (CSV)")
    return parser.parse_args()


def main():
    args = arguments()
    model, data, device = load_explained(args)
    sample = sample_flows(data, args.max_flows, args.seed)
    settings = (args.repeats, args.bootstrap_samples, args.seed, args.batch_packets, device)
    write_csv(args.output, perturbation_rows(model, sample, data, *settings), metric="input_perturbation")


if __name__ == "__main__":
    cli.run(main)

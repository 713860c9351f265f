"""Mutual information between each feature and the prediction, in bits (Sec. V-A4, Eq. 5).

Three metrics: values as observed, values as an attacker might choose them, and the latter by the
paper's estimator, which bins the values and corrects no bias. Level "packet" averages over
flows, then steps; "flow" takes the last packets, whose prediction is the flow's.
"""

from rnnids import cli
from rnnids.datasets.selection import sample_flows
from rnnids.explanations.mutual_information import mutual_information_rows
from rnnids.explanations.options import add_explanation_arguments, load_explained
from rnnids.storage import write_csv


def arguments():
    parser = cli.parser(__doc__)
    add_explanation_arguments(parser)
    parser.add_argument("--max-flows", type=cli.positive(int), help="flows to vary, at most; all if not given")
    parser.add_argument("--draws", required=True, type=cli.positive(int), help="values per flow and step")
    parser.add_argument("--bins", required=True, type=cli.positive(int), help="of the paper's estimator")
    parser.add_argument("--bootstrap-samples", required=True, type=cli.positive(int), help="resamples of flows")
    parser.add_argument("--output", required=True, help="output: metric, level, feature, value, low, high (CSV)")
    return parser.parse_args()


def main():
    args = arguments()
    model, data, device = load_explained(args)
    sample = sample_flows(data, args.max_flows, args.seed)
    settings = (args.draws, args.bins, args.bootstrap_samples, args.seed, args.batch_packets, device)
    write_csv(args.output, mutual_information_rows(model, sample, data, *settings))


if __name__ == "__main__":
    cli.run(main)

"""Drop in accuracy where one feature takes random values of the data set (Sec. V-A2, Table III a).

Values are drawn from the packets of the test split: once per flow for ports and protocol, which
are constant in a flow, and for each packet otherwise. The second table has the drop at each step of a flow.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli
from rnnids.datasets.selection import sample_flows
from rnnids.explanations.importance import InputPerturbation, importance_rows, permutation_importance, step_rows
from rnnids.explanations.options import add_explanation_options, load_explained
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_explanation_options(parser, InputPerturbation, bootstrap=True)
    parser.add_argument("--output", required=True, help="output: metric, level, feature, value, low, high (CSV)")
    parser.add_argument("--steps", required=True, help="output: metric, feature, step, flows, value (CSV)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    detector, flows = load_explained(args.dataset, args.weights, device=args.device)
    chosen = sample_flows(flows, args.max_flows, args.seed)
    importance = permutation_importance(
        detector,
        chosen,
        pool=flows,
        repeats=args.repeats,
        bootstrap_samples=args.bootstrap_samples,
        seed=args.seed,
        batch_packets=args.batch_packets,
    )
    metrics = {"input_perturbation": importance}
    write_csv(args.output, importance_rows(metrics))
    write_csv(args.steps, step_rows(chosen, metrics))


if __name__ == "__main__":
    cli.run(main)

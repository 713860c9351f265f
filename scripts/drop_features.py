"""Drop in accuracy of a model trained with feature dropout, without each feature and each pair (Sec. V-A3).

The pair scores (Eq. 4, of flow accuracy) say how much two features replace each other, with 95 % intervals from
resampled flows. `status` is "ok"; "noise" where the intervals of both single drops hold 0; "undefined" for 0/0 (score
blank); "infinite" for x/0 (score inf); "constant" where a feature has one value in all flows. Scores other than "ok",
and those whose interval holds 1, should not be ranked.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli
from rnnids.datasets.features import FEATURES
from rnnids.datasets.selection import sample_flows
from rnnids.explanations.feature_pairs import PairScores
from rnnids.explanations.importance import FeatureDropout, dropout_importance, importance_rows, step_rows
from rnnids.explanations.options import add_explanation_options, load_explained
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_explanation_options(parser, FeatureDropout, bootstrap=True)
    parser.add_argument("--drops", required=True, help="output: metric, level, feature, value, low, high (CSV)")
    parser.add_argument("--steps", required=True, help="output: metric, feature, step, flows, value (CSV)")
    parser.add_argument("--pair-scores", required=True, help="output: scores of all pairs of features (CSV)")
    return parser.parse_args(argv)


def pair_columns(pairs: PairScores) -> dict[str, list[str] | list[float]]:
    """Columns of the table of pairs."""
    columns = {name: values.tolist() for name, values in pairs._asdict().items()}
    names = {f"feature_{number}": columns.pop(name) for number, name in ((1, "first"), (2, "second"))}
    return {name: [FEATURES[index] for index in indices] for name, indices in names.items()} | columns


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    detector, flows = load_explained(args.dataset, args.weights, device=args.device)
    chosen = sample_flows(flows, args.max_flows, args.seed)
    found = dropout_importance(
        detector,
        chosen,
        bootstrap_samples=args.bootstrap_samples,
        seed=args.seed,
        batch_packets=args.batch_packets,
    )
    metrics = {"feature_dropout": found.importance}
    write_csv(args.drops, importance_rows(metrics))
    write_csv(args.steps, step_rows(chosen, metrics))
    write_csv(args.pair_scores, pair_columns(found.pairs))


if __name__ == "__main__":
    cli.run(main)

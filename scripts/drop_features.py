"""Drop in accuracy of a model trained with feature dropout, without each feature and each pair (Sec. V-A3).

The pair scores (Eq. 4, of flow accuracy) say how much two features replace each other. `status`
is "ok"; "noise" where the 95 % intervals of both single drops hold 0; "undefined" for 0/0 (score
blank); "infinite" for x/0 (score inf). Scores other than "ok" should not be ranked.
"""

import numpy as np

from rnnids import cli
from rnnids.datasets.selection import sample_flows
from rnnids.errors import InputError
from rnnids.explanations.importance import dropout_losses, dropout_rows, pair_rows
from rnnids.explanations.options import add_explanation_arguments, load_explained
from rnnids.storage import write_csv


def arguments():
    parser = cli.parser(__doc__)
    add_explanation_arguments(parser)
    parser.add_argument("--max-flows", type=cli.positive(int), help="flows to predict, at most; all if not given")
    parser.add_argument("--bootstrap-samples", required=True, type=cli.positive(int), help="resamples of flows")
    parser.add_argument("--drops", required=True, help="output: metric, level, feature, value, low, high (CSV)")
    parser.add_argument("--pair-scores", required=True, help="output: scores of all pairs of features (CSV)")
    return parser.parse_args()


def main():
    args = arguments()
    model, data, device = load_explained(args)
    if not model.feature_dropout:
        raise InputError(f"{args.weights}: trained without feature dropout; take a model with `feature_dropout: true`")
    sample = sample_flows(data, args.max_flows, args.seed)
    losses = dropout_losses(model, sample, args.batch_packets, device)
    drops = dropout_rows(sample, losses, args.bootstrap_samples, np.random.default_rng(args.seed))
    write_csv(args.drops, drops, metric="feature_dropout")
    write_csv(args.pair_scores, pair_rows(losses, drops))


if __name__ == "__main__":
    cli.run(main)

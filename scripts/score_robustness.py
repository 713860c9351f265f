"""Adversarial Robustness Score (Eq. 3) of each attack type, by CW attacks of rising kappa (Sec. IV).

All attack flows of the test split count (or at most `--max-flows` of each type); those that are
benign unmodified have distance 0. The score without them is in the column `ars_detected`. The
search resumes after the last finished round.
"""

import os

import numpy as np

from rnnids import cli
from rnnids.attack_files import add_attack_arguments, load_targets, settings_of
from rnnids.cli import positive
from rnnids.robustness import ars_rows, search
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, provenance, write_csv

OUTPUTS = ("output", "distances", "checkpoint")  # arguments that do not change the result


def arguments():
    parser = cli.parser(__doc__)
    add_attack_arguments(parser)
    parser.add_argument("--kappa-start", required=True, type=positive(float), help="kappa of the first round")
    parser.add_argument("--kappa-step", required=True, type=positive(float), help="added to kappa each round")
    parser.add_argument("--max-rounds", required=True, type=positive(int), help="rounds before giving up")
    parser.add_argument("--bootstrap-samples", required=True, type=positive(int), help="resamples behind the intervals")
    parser.add_argument("--model-name", required=True, help="name in the column `model`")
    parser.add_argument("--output", required=True, help="output: score per attack type (CSV)")
    parser.add_argument("--distances", required=True, help="output: distance of each flow (HDF5)")
    parser.add_argument("--checkpoint", required=True, help="kept after every round, removed at the end")
    return parser.parse_args()


def main():
    args = arguments()
    model, data, rows = load_targets(args)
    kappas = [args.kappa_start + args.kappa_step * step for step in range(args.max_rounds)]
    settled = {name: value for name, value in vars(args).items() if name not in OUTPUTS}
    run = provenance("score_robustness.py", settled, [args.dataset, args.weights])
    state = search(model, data, rows, settings_of(args), kappas, args.batch_packets, args.checkpoint, run)
    scores = ars_rows(state, data, args.bootstrap_samples, np.random.default_rng(args.seed))
    write_csv(args.output, scores, model=args.model_name)
    with create_hdf5(args.distances, run) as file:
        for name, column in {"row": data.row[rows], "attack": state.attack, "l1": state.distances}.items():
            file.create_dataset(name, data=column, **COLUMN_OPTIONS)
    if os.path.exists(args.checkpoint):
        os.unlink(args.checkpoint)


if __name__ == "__main__":
    cli.run(main)

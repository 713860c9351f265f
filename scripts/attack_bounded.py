"""Attack a detector within an L-infinity bound: PGD (Sec. III-B) or FGSM (Sec. III-C, Eq. 2).

The bound of each attack type is, as for Fig. 1, the mean L-infinity distance of the successful
flows of a CW attack (kappa 1), times `--epsilon-factor`; a type on which CW never succeeded takes
the mean over all types.
"""

import math

import numpy as np
import torch

from rnnids import cli
from rnnids.attacks.files import add_attack_arguments, load_targets, read_attack, settings_of, write_attack
from rnnids.attacks.gradient import attack_flows, fast_gradient_sign, projected_gradient_descent

METHODS = {"pgd": projected_gradient_descent, "fgsm": fast_gradient_sign}


def arguments():
    parser = cli.parser(__doc__)
    add_attack_arguments(parser)
    parser.add_argument("--method", required=True, choices=METHODS, help="attack")
    parser.add_argument("--reference", required=True, help="adversarial flows of CW that set the bounds (HDF5)")
    parser.add_argument("--epsilon-factor", required=True, type=cli.positive(float), help="times CW's mean distance")
    parser.add_argument("--output", required=True, help="output: adversarial flows (HDF5)")
    return parser.parse_args()


def bounds(reference, attacks):
    """Mean L-infinity distance of the changed, successful flows of each attack type: (len(attacks),)."""
    fooled = reference[reference.success & ~reference.already_benign]
    overall = fooled.linf.mean() if len(fooled) else math.nan
    by_type = fooled.groupby("attack").linf.mean().reindex(range(len(attacks)))
    return by_type.fillna(overall).fillna(0.0).to_numpy()


def main():
    args = arguments()
    model, data, rows = load_targets(args)
    settings = settings_of(args)
    epsilon = args.epsilon_factor * bounds(read_attack(args.reference), data.attacks)
    by_type = torch.from_numpy(epsilon).to(next(model.parameters()).device)

    def attack(model, batch):
        return METHODS[args.method](model, batch, by_type[batch.attack], settings)

    result = attack_flows(model, data, rows, attack, settings, args.batch_packets, args.method.upper())
    result["epsilon"] = epsilon[np.asarray(data.flows["attack"][rows], dtype=int)]
    write_attack(args.output, args.method, args, data, rows, result)


if __name__ == "__main__":
    cli.run(main)

"""Attack a detector with Carlini and Wagner's method (Eq. 1) at one kappa.

The attack flows of the test split are changed as little as possible, in L1 distance, until their
last packet is classified as benign, under the constraints of real traffic (Sec. III).
"""

from rnnids import cli
from rnnids.attacks.files import add_attack_arguments, load_targets, settings_of, write_attack
from rnnids.attacks.gradient import attack_flows, carlini_wagner


def arguments():
    parser = cli.parser(__doc__)
    add_attack_arguments(parser)
    parser.add_argument("--kappa", required=True, type=cli.positive(float), help="weight of the hinge in Eq. 1")
    parser.add_argument("--output", required=True, help="output: adversarial flows (HDF5)")
    return parser.parse_args()


def main():
    args = arguments()
    model, data, rows = load_targets(args)
    settings = settings_of(args)
    result = attack_flows(
        model,
        data,
        rows,
        lambda model, batch: carlini_wagner(model, batch, args.kappa, settings),
        settings,
        args.batch_packets,
        f"CW, kappa {args.kappa:g}",
    )
    write_attack(args.output, "cw", args, data, rows, result)


if __name__ == "__main__":
    cli.run(main)

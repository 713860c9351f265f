"""Distance of the nearest adversarial flow to each attack flow, the measure behind the ARS (Sec. IV).

The attack flows of the test split count (or at most `--max-flows` of each type); those that are
benign unmodified have distance 0, those that no attack fooled an infinite one. Searched by the fast
minimum-norm attack (Pintor et al. 2021) or, as in the paper, by CW attacks of rising kappa; that one
resumes after the last finished round, and its chunks keep an attack type together, since its search
ends as a whole.
"""

import json
import os

from rnnids import cli
from rnnids.attacks.files import (
    add_attack_arguments,
    add_search_arguments,
    load_targets,
    search_settings,
    settings_of,
)
from rnnids.attacks.minimum_norm import nearest_distances
from rnnids.attacks.rising_kappa import HALF_FOUND, search
from rnnids.cli import positive
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, provenance

MINIMUM_NORM, RISING_KAPPA = SEARCHES = ("minimum_norm", "rising_kappa")
OUTPUTS = ("output", "checkpoint")  # arguments that do not change the result


def arguments():
    parser = cli.parser(__doc__)
    add_attack_arguments(parser)
    parser.add_argument("--search", required=True, choices=SEARCHES, help="how to search")
    add_search_arguments(parser)
    parser.add_argument("--kappa-start", required=True, type=positive(float), help="kappa of the first round")
    parser.add_argument("--kappa-step", required=True, type=positive(float), help="added to kappa each round")
    parser.add_argument("--max-rounds", required=True, type=positive(int), help="rounds before giving up")
    parser.add_argument("--output", required=True, help="output: distance of each flow (HDF5)")
    parser.add_argument("--checkpoint", required=True, help="kept after every round, removed at the end")
    return parser.parse_args()


def raise_kappa(args, model, data, rows, run):
    """Columns of the flows by the search of rising kappa, a round each."""
    kappas = [args.kappa_start + args.kappa_step * step for step in range(args.max_rounds)]
    state = search(model, data, rows, settings_of(args), kappas, args.batch_packets, args.checkpoint, run)
    types = state.attack.tolist()
    return {
        "l1": state.distances,
        "kappa": [state.kappa[attack] for attack in types],
        "rounds": [state.rounds[attack] for attack in types],
        "half_found": [state.stopped[attack] == HALF_FOUND for attack in types],
    }


def main():
    args = arguments()
    model, data, rows = load_targets(args, whole_types=args.search == RISING_KAPPA)
    settled = {name: value for name, value in vars(args).items() if name not in OUTPUTS}
    run = provenance("minimise_distances.py", settled, [args.dataset, args.weights])
    if args.search == MINIMUM_NORM:
        settings = search_settings(args)
        columns = {"l1": nearest_distances(model, data, rows, settings, args.batch_packets, "minimum norm")}
    else:
        columns = raise_kappa(args, model, data, rows, run)
    columns |= {"row": data.row[rows]} | {name: data.flows[name][rows] for name in ("attack", "category")}
    with create_hdf5(args.output, run) as file:
        file.attrs["attacks"], file.attrs["categories"] = json.dumps(data.attacks), json.dumps(data.categories)
        for name, column in columns.items():
            file.create_dataset(f"flows/{name}", data=column, **COLUMN_OPTIONS)
    if os.path.exists(args.checkpoint):
        os.unlink(args.checkpoint)


if __name__ == "__main__":
    cli.run(main)

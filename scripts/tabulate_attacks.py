"""What each member of the search found, and what that cost, per model, threat model and goal.

Input: what searches found (search_evasions.py). A flow counts for the member that found its nearest evasion; flows that
are benign unmodified, that cannot move or for which nothing was found count apart.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.attacks.files import read_attack
from rnnids.errors import InputError
from rnnids.reporting import tables
from rnnids.storage import write_csv

CAPTION = (
    "Test split of {dataset}. Of each search, the flows whose nearest evasion a member found. Members: enumeration of"
    " all values of flows with one free number; known, taken up from CW, PGD, FGSM and narrower threat models; descent"
    " from the original by the minimum-norm attack; random points; segment, drawn in straight towards the original;"
    " descents from far points; evolution of the point of least logit; coordinates, single numbers value by value;"
    " polish, single changes lowered or dropped; near descents from random points within the distance found; fine"
    " descents in short steps from the best. Evaluations and gradients are means over all flows."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--searches", required=True, nargs="+", help="what searches found (HDF5)")
    parser.add_argument(
        "--models",
        nargs="*",
        default=[],
        help="name of the model behind each; none given: that of <model>/attacks/search/<goal>/<threat model>.h5",
    )
    parser.add_argument("--dataset", default="", help="its name; empty: the folder above the first model's")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def model_folder(path: Path | str) -> Path:
    """The folder of the model whose search is `path`: <model>/attacks/search/<goal>/<threat model>.h5."""
    return Path(path).resolve().parent.parent.parent.parent


def contributions(path: Path | str, model: str) -> Mapping[str, str | float]:
    """One row: flows by the member that found their nearest evasion, and the cost.

    Raises:
        InputError: the file is not that of a search.
    """
    flows = read_attack(path)
    if "members" not in flows.attrs:
        raise InputError(f"{path}: not what a search found; give files of search_evasions.py")
    return {
        "model": model,
        "threat_model": flows.attrs["threat_model"],
        "goal": flows.attrs["goal"],
        "flows": len(flows),
        "benign_unmodified": int(flows.already_benign.sum()),
        "immovable": int(((flows.free == 0) & ~flows.already_benign).sum()),
        **{name: int((flows.member == number).sum()) for number, name in enumerate(flows.attrs["members"])},
        "none_found": int((~flows.success & (flows.free > 0)).sum()),
        "evaluations": flows.evaluations.mean(),
        "gradients": flows.gradients.mean(),
    }


def page(table: pd.DataFrame, dataset: str) -> tables.Page:
    """The table, for people."""
    headings = [name.replace("_", " ").capitalize() for name in table]
    rows = [
        tuple(f"{cell:,.0f}" if isinstance(cell, float) else str(cell).replace("_", " ") for cell in row)
        for row in table.itertuples(index=False)
    ]
    caption = CAPTION.format(dataset=dataset)
    return tables.single(headings, rows, "What finds evasions", caption=caption, text_columns=headings[:3])


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    models = args.models or [model_folder(path).name for path in args.searches]
    if len(models) != len(args.searches):
        raise InputError(f"--models: {len(models)} names for {len(args.searches)} searches; give one for each")
    dataset = args.dataset or model_folder(args.searches[0]).parent.name
    table = pd.DataFrame([contributions(*pair) for pair in zip(args.searches, models, strict=True)])
    write_csv(args.output, table)
    tables.save(page(table, dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

"""What each member of the search found, and what that cost, per model, threat model and goal.

Input: what searches found (search_evasions.py). A flow counts for the member that found its nearest evasion; flows that
are benign unmodified, that cannot move or for which nothing was found count apart.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.attacks.files import read_attack
from rnnids.reporting import tables
from rnnids.storage import write_csv

CAPTION = (
    "Test split of {dataset}. Of each search, the flows whose nearest evasion a member found. Members: enumeration of"
    " all values of flows with one free number; known, taken up from CW, PGD, FGSM and narrower threat models; descent"
    " from the original by the minimum-norm attack; random points; segment, drawn in straight towards the original;"
    " descents from far points; evolution of the point of least logit; coordinates, single numbers value by value;"
    " polish, single changes lowered or dropped. Evaluations and gradients are means over all flows."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--searches", required=True, nargs="+", help="what searches found (HDF5)")
    parser.add_argument("--models", required=True, nargs="+", help="name of the model behind each")
    parser.add_argument("--dataset", default="", help="its name; empty: not shown")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def contributions(path: str, model: str) -> dict:
    """One row: flows by the member that found their nearest evasion, and the cost."""
    flows = read_attack(path)
    names = flows.attrs["members"]
    row = {
        "model": model,
        "threat_model": flows.attrs["threat_model"],
        "goal": flows.attrs["goal"],
        "flows": len(flows),
    }
    row |= {"benign_unmodified": int(flows.already_benign.sum())}
    row |= {"immovable": int(((flows.free == 0) & ~flows.already_benign).sum())}
    row |= {name: int((flows.member == number).sum()) for number, name in enumerate(names)}
    row["none_found"] = int((~flows.success & (flows.free > 0)).sum())
    return row | {"evaluations": flows.evaluations.mean(), "gradients": flows.gradients.mean()}


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    table = pd.DataFrame([contributions(*pair) for pair in zip(args.searches, args.models, strict=True)])
    headings = [name.replace("_", " ").capitalize() for name in table]
    rows = [
        tuple(f"{cell:,.0f}" if isinstance(cell, float) else str(cell).replace("_", " ") for cell in row)
        for row in table.itertuples(index=False)
    ]
    caption = CAPTION.format(dataset=args.dataset or Path(args.output).parent.parent.name)
    page = tables.html_table(headings, rows, "What finds evasions", caption=caption, text_columns=headings[:3])
    write_csv(args.output, table)
    tables.save_page(page, args.output, args.html)


if __name__ == "__main__":
    cli.run(main)

"""Probability that evasions survive network jitter, per threat model, margin and size of the jitter.

Input: survival per attack type (measure_jitter.py). The CSV has all its rows; the page shows all types together.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.reporting import tables
from rnnids.storage import read_csv, write_csv

ALL = "All"
TEXT = ("model", "threat_model", "goal", "attack", "version")
NUMBERS = ("delta", "jitter_ms", "chosen", "reached", "flows", "draws", "survival", "low", "high")
CAPTION = (
    "Test split of {dataset}. Probability that a flow is classified as benign after every gap between its packets has"
    " changed by normal noise of the standard deviation in the column, with its 95 % interval over flows; {draws} draws"
    " a flow. Margin: the logit that the evasion reaches; 0 is the verdict itself, the paper's delta -0.2. Unmodified:"
    " the same flows before the attack. Reach it: chosen flows of which an evasion with this margin was found;"
    " probabilities are those of the flows that reach every margin, {flows}. All attack types together."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--jitter", required=True, nargs="+", help="survival under each threat model (CSV)")
    parser.add_argument("--dataset", default="", help="its name; empty: that of the folder above the first model's")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def model_folder(path: Path | str) -> Path:
    """The folder of the model whose survival is in <model>/attacks/jitter/<goal>/<threat model>.csv."""
    return Path(path).resolve().parent.parent.parent.parent


def percent(row: pd.Series) -> str:
    """A probability with its interval."""
    if math.isnan(row["survival"]):
        return "-"
    middle, low, high = (100 * row[name] for name in ("survival", "low", "high"))
    return f"{middle:.0f} % ({low:.0f} to {high:.0f})"


def page(table: pd.DataFrame, dataset: str) -> tables.Page:
    """The table, for people."""
    table = table[table["attack"] == ALL]
    sizes = sorted(table["jitter_ms"].unique())
    columns = ["Model", "Goal", "Threat model", "Margin", "Reach it"]
    columns += ["No jitter" if size == 0 else f"{size:g} ms" for size in sizes]
    rows = []
    keys = ["model", "goal", "threat_model", "version", "delta"]
    for (model, goal, threat_model, version, delta), own in table.groupby(keys, sort=False, dropna=False):
        margin = "unmodified" if version == "original" else f"{delta:g}"
        first = own.iloc[0]
        of_size = {row["jitter_ms"]: percent(row) for _, row in own.iterrows()}
        named = (model.replace("_", " "), goal, threat_model.replace("_", " "), margin)
        rows.append((*named, f"{first['reached']:g} of {first['chosen']:g}", *(of_size[size] for size in sizes)))
    flows = ", ".join(f"{count:g}" for count in dict.fromkeys(table["flows"]))
    caption = CAPTION.format(dataset=dataset, draws=f"{table['draws'].max():g}", flows=flows)
    return tables.single(columns, rows, "Evasions under jitter", caption=caption, text_columns=columns[:4])


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or model_folder(args.jitter[0]).parent.name
    table = pd.concat([read_csv(path, TEXT, NUMBERS) for path in args.jitter], ignore_index=True)
    write_csv(args.output, table, dataset=dataset)
    tables.save(page(table, dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

"""Detectors on another recording than they were trained on, beside their own test split.

Input: for each row the files of a detector on a test split: metrics.csv, confusion.csv and recall.csv (evaluate.py); of
the baseline, where trained on what the first row is, ars.csv (score_robustness.py) and input_perturbation.csv
(perturb_inputs.py). The CSV is tidy, one row per detector, test split and measure; shares are not in percent.
"""

import argparse
import math
from collections.abc import Iterator, Sequence

import pandas as pd

from rnnids import cli
from rnnids.errors import InputError
from rnnids.reporting import tables
from rnnids.storage import read_csv, write_csv

TITLE = "Across data sets"
MEASURES = {  # (level, metric) -> heading
    ("packet", "accuracy"): "Packet accuracy in %",
    ("packet", "f1"): "Packet F1 in %",
    ("flow", "accuracy"): "Flow accuracy in %",
    ("flow", "precision"): "Flow precision in %",
    ("flow", "recall"): "Flow recall in %",
    ("flow", "false alarms"): "False alarms in % of benign flows",
}
KEYS = ["trained_on", "tested_on", "model"]
BASELINE = "baseline"
CAPTION = (
    "What a detector finds on its own recording says little of another one: compare the rows trained and tested on the"
    " same recording with those below. Splits at random flatter: {near} of the test flows of {dataset} have their like"
    " in the training split (label audit). Every row is of the test split of the data set in the second column,"
    " features normalised as in training; 95 % intervals from resampled flows. Rows trained on both recordings have"
    " seen other flows of the one they are tested on, and are flattered again. Models that leave features out show"
    " whether those were what did not carry over. Nothing was chosen by these numbers."
)
OF_TYPES = "Recall of each attack type in %, a flow's verdict being that of its last packet. {none}: no such flow."
OF_ARS = (
    "Adversarial Robustness Score of the baseline (Eq. 3) under the main threat model, with its 95 % interval; on"
    " another recording, of fewer flows of each type. A flow that is missed unmodified has distance 0, so a low recall"
    " lowers the score."
)
OF_FEATURES = (
    "What the baseline rests on: drop of flow accuracy, in percentage points, where a feature takes random values of"
    " the test split (Sec. V-A2)."
)
NONE = "-"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--metrics", required=True, nargs="+", help="metrics, a file a row (CSV)")
    parser.add_argument("--confusion", required=True, nargs="+", help="confusion counts, a file a row (CSV)")
    parser.add_argument("--recall", required=True, nargs="+", help="recall per attack type, a file a row (CSV)")
    parser.add_argument("--ars", nargs="*", default=[], help="ARS per attack type, of rows of the baseline (CSV)")
    parser.add_argument(
        "--importance", nargs="*", default=[], help="drops of accuracy per feature, of rows of the baseline (CSV)"
    )
    parser.add_argument("--audit", help="label audit of the training set, for the caption (CSV)")
    parser.add_argument("--trained-on", required=True, nargs="+", help="data sets behind each row")
    parser.add_argument("--tested-on", required=True, nargs="+", help="data set of each row's test split")
    parser.add_argument("--models", required=True, nargs="+", help="model of each row")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def read_rows(args: argparse.Namespace) -> pd.DataFrame:
    """The tidy table: trained_on, tested_on, model, measure, of, value, low, high.

    Raises:
        InputError: not as many files as rows.
    """
    names = list(zip(args.trained_on, args.tested_on, args.models, strict=False))
    baselines = [row for row in names if row[2] == BASELINE and row[0] == names[0][0]]
    parts = []
    for option, rows, read in (
        ("metrics", names, read_metrics),
        ("confusion", names, read_false_alarms),
        ("recall", names, read_recall),
        ("ars", baselines, read_ars),
        ("importance", baselines, read_importance),
    ):
        paths = getattr(args, option)
        if len(paths) != len(rows) and (paths or rows is names):
            raise InputError(f"--{option}: {len(paths)} files for {len(rows)} rows; give one for each")
        parts += [
            read(path).assign(**dict(zip(KEYS, row, strict=True))) for path, row in zip(paths, rows, strict=False)
        ]
    return pd.concat(parts, ignore_index=True)[[*KEYS, "measure", "of", "value", "low", "high"]]


def read_metrics(path: str) -> pd.DataFrame:
    """Rows of metrics per packet and per flow."""
    frame = read_csv(path, ("level", "metric"), ("value",))
    return frame.rename(columns={"metric": "measure", "level": "of"})


def read_false_alarms(path: str) -> pd.DataFrame:
    """The row of the share of benign flows that are called attacks."""
    frame = read_csv(path, ("level", "true", "predicted"), ("count",))
    benign = frame[(frame["level"] == "flow") & (frame["true"] == "benign")].set_index("predicted")["count"]
    share = benign["attack"] / benign.sum()
    return pd.DataFrame([{"measure": "false alarms", "of": "flow", "value": share, "low": math.nan, "high": math.nan}])


def read_recall(path: str) -> pd.DataFrame:
    """Rows of recall per attack type."""
    frame = read_csv(path, ("attack",), ("recall", "low", "high"))
    return frame.rename(columns={"attack": "of", "recall": "value"}).assign(measure="recall of type")


def read_ars(path: str) -> pd.DataFrame:
    """Rows of the ARS per attack type."""
    frame = read_csv(path, ("attack",), ("ars", "low", "high"))
    return frame.rename(columns={"attack": "of", "ars": "value"}).assign(measure="ars")


def read_importance(path: str) -> pd.DataFrame:
    """Rows of the drop of flow accuracy per feature."""
    frame = read_csv(path, ("metric", "level", "feature"), ("value", "low", "high"))
    frame = frame[frame["level"] == "flow"]
    return frame.rename(columns={"feature": "of"}).assign(measure="accuracy drop")


def cell(row: pd.Series | None, scale: float, digits: int) -> str:
    """A value with its interval, if there is one."""
    if row is None or pd.isna(row["value"]):
        return NONE
    value, low, high = (tables.decimal(row[name], scale, digits) for name in ("value", "low", "high"))
    return value if pd.isna(row["low"]) else f"{value} ({low} to {high})"


def cases(table: pd.DataFrame) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """((trained on, tested on, model), its rows by measure and what they are of), in the order of the table."""
    for keys, rows in table.groupby(KEYS, sort=False):
        yield tuple(map(str, keys)), rows.set_index(["measure", "of"])


def overview(table: pd.DataFrame) -> tuple[list[str], list[tuple[str, ...]]]:
    """(headings, rows) of the first table: a row for each detector and test split."""
    rows = []
    for keys, own in cases(table):
        found = [own.loc[(metric, level)] if (metric, level) in own.index else None for level, metric in MEASURES]
        words = [name.replace("_", " ") for name in keys]
        rows.append((*words, *(cell(row, 100, 1) for row in found)))
    return ["Trained on", "Tested on", "Model", *MEASURES.values()], rows


def side_by_side(
    table: pd.DataFrame, measure: str, *, scale: float, digits: int
) -> tuple[list[str], list[tuple[str, ...]]]:
    """(headings, rows) of one measure: a row for each attack type or feature, a column for each detector and split."""
    chosen = table[table["measure"] == measure]
    names, columns = list(dict.fromkeys(chosen["of"])), list(cases(chosen))
    headings = [
        f"{trained} \N{RIGHTWARDS ARROW} {tested}, {model}".replace("_", " ") for (trained, tested, model), _ in columns
    ]
    rows = [
        (
            name.replace("_", " ") if measure == "accuracy drop" else name,
            *(
                cell(own.loc[(measure, name)] if (measure, name) in own.index else None, scale, digits)
                for _, own in columns
            ),
        )
        for name in names
    ]
    return ["Feature" if measure == "accuracy drop" else "Attack type", *headings], rows


def near_duplicates(path: str | None) -> str:
    """The share of test flows that have their like in the training split, in words."""
    if not path:
        return "many"
    audit = read_csv(path, ("section", "subject", "measure", "value"), ())
    found = audit[(audit["subject"] == "as built / All") & (audit["measure"] == "near_duplicates_percent")]["value"]
    return f"{float(found.iloc[0]):.0f} %" if len(found) else "many"


def page(table: pd.DataFrame, near: str) -> tables.Page:
    """All tables, for people."""
    caption = CAPTION.format(near=near, dataset=table["trained_on"].iloc[0])
    parts = [shown(overview(table), caption, text=3)]
    for measure, words, scale, digits in (
        ("recall of type", OF_TYPES.format(none=NONE), 100, 0),
        ("ars", OF_ARS, 1, 2),
        ("accuracy drop", OF_FEATURES, 100, 1),
    ):
        if (table["measure"] == measure).any():
            parts.append(shown(side_by_side(table, measure, scale=scale, digits=digits), words, text=1))
    return tables.Page(TITLE, parts, heading=TITLE)


def shown(content: tuple[list[str], list[tuple[str, ...]]], caption: str, *, text: int) -> tables.Table:
    """A table with its caption; the first `text` columns are words."""
    headings, rows = content
    return tables.Table(headings, rows, caption, text_columns=headings[:text])


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    table = read_rows(args)
    write_csv(args.output, table)
    tables.save(page(table, near_duplicates(args.audit)), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

"""What each defence costs and buys: detection and robustness, one row per model (Sec. VI).

Input: metrics.csv (evaluate.py) of each model and ars.csv (score_robustness.py) of those that can be
attacked; where given, confusion.csv for false alarms and predictions.h5 for the recall at a fixed rate of
them (both evaluate.py). The CSV is tidy, one row per model, measure and, for ARS and success ratio, attack
type; `verdict` is that of the independent check of the score (check_robustness.py).
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.detectors.metrics import proportion_interval
from rnnids.detectors.operating_points import threshold_at
from rnnids.reporting import tables
from rnnids.storage import read_csv, read_hdf5, write_csv

MEASURES = {  # metrics in the table: (level, metric) -> heading
    ("packet", "accuracy"): "Packet accuracy in %",
    ("flow", "accuracy"): "Flow accuracy in %",
    ("flow", "recall"): "Flow recall in %",
    ("packet", "precision"): "Packet precision in %",
    ("flow", "precision"): "Flow precision in %",
    ("packet", "false alarms"): "False alarms in % of benign packets",
    ("flow", "false alarms"): "False alarms in % of benign flows",
    ("flow", "recall at 1 % false alarms"): "Flow recall in % at 1 % false alarms",
    ("flow", "recall at 0.1 % false alarms"): "at 0.1 %",
}
RATES = {0.01: "recall at 1 % false alarms", 0.001: "recall at 0.1 % false alarms"}
OK = "ok"  # the verdict that needs no mark
BENIGN = "Flows benign under attack"
NONE = "-"
CAPTION = (
    "Test split of {dataset}. Cost: what a defence takes from accuracy and recall beside the first model (95 % "
    "intervals from resampled flows). Gain: Adversarial Robustness Score of each attack type (Eq. 3: mean L1 "
    "distance, in z-scores, of the easier half of its flows) and, in brackets, the share of its flows that are benign "
    "under attack; {infinity} where these are fewer than half. Flows that are benign unmodified have distance 0, so a "
    "low recall lowers the score, too; !: the independent check found something against the score (table_ars). False "
    "alarms: benign packets and flows that are called attacks. Recall at 1 % false alarms: with the threshold that so "
    "many benign flows exceed, a comparison in which no model is ahead by raising more alarms. {none}: undefined or "
    "not measured."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--metrics", required=True, nargs="+", help="metrics of each model, in the table's order (CSV)")
    parser.add_argument("--ars", required=True, nargs="+", help="ARS per attack type of each attacked model (CSV)")
    parser.add_argument("--confusion", nargs="*", default=[], help="confusion counts of models (CSV)")
    parser.add_argument(
        "--predictions", nargs="*", default=[], help="predictions of models, in folders of their names (HDF5)"
    )
    parser.add_argument("--dataset", default="", help="name of the data set; empty: the folder above the first model's")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def false_alarms(confusion: pd.DataFrame) -> pd.DataFrame:
    """Rows of metrics: the share of benign packets, and flows, that are called attacks."""
    benign = confusion[confusion["true"] == "benign"].assign(alarm=lambda rows: rows["predicted"] == "attack")
    rows = []
    for (model, level), group in benign.groupby(["model", "level"], sort=False):
        alarms, total = int(group.loc[group["alarm"], "count"].sum()), int(group["count"].sum())
        # Packets of one flow are not independent, so that their share has no interval of this kind.
        low, high = proportion_interval(alarms, total) if level == "flow" else (math.nan, math.nan)
        value = alarms / total if total else math.nan
        rows.append(
            {"model": model, "level": level, "metric": "false alarms", "value": value, "low": low, "high": high}
        )
    return pd.DataFrame(rows)


def recall_at(is_attack: np.ndarray, logits: np.ndarray, rate: float) -> tuple[int, int]:
    """(flows detected, attack flows) with the lowest threshold that at most `rate` of the benign flows exceed.

    Args:
        is_attack: (N,) bool. logits: (N,), of the flows' last packets.
    """
    return int((logits[is_attack] > threshold_at(logits[~is_attack], rate)).sum()), int(is_attack.sum())


def recalls(path: str) -> pd.DataFrame:
    """Rows of metrics: flow recall at fixed rates of false alarms; the model has the name of the file's folder."""
    with read_hdf5(path) as file:
        is_attack, logits = file["flows/attack"][:] != 0, file["flows/logit"][:]
    rows = []
    for rate, metric in RATES.items():
        found, total = recall_at(is_attack, logits, rate)
        low, high = proportion_interval(found, total)
        value = found / total if total and not is_attack.all() else math.nan
        rows.append({"level": "flow", "metric": metric, "value": value, "low": low, "high": high})
    return pd.DataFrame(rows).assign(model=Path(path).absolute().parent.name)


def defences(metrics: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Tidy rows model, measure, attack, flows, value, low, high, model by model in the order of `metrics`."""
    wanted = [(row.level, row.metric) in MEASURES for row in metrics.itertuples()]
    detection = metrics[wanted].assign(measure=lambda rows: rows["level"] + " " + rows["metric"])
    robustness = scores.rename(columns={"ars": "value"}).assign(measure="ARS")
    success = scores.rename(columns={"success_ratio": "value"}).assign(measure="success ratio")
    columns = ["model", "measure", "attack", "flows", "value", "low", "high", "verdict"]
    success[["low", "high"]] = math.nan
    success["verdict"] = None
    table = pd.concat([rows.reindex(columns=columns) for rows in (detection, robustness, success)])
    order = list(dict.fromkeys([*metrics["model"], *scores["model"]]))
    table["flows"] = table["flows"].astype("Int64")
    return table.sort_values("model", key=lambda column: column.map(order.index), kind="stable")


def percent(rows: pd.DataFrame) -> str:
    """A metric with its interval."""
    if rows.empty or math.isnan(rows["value"].iloc[0]):
        return NONE
    value, low, high = 100 * rows[["value", "low", "high"]].iloc[0].astype(float)
    return f"{value:.1f}" if math.isnan(low) else f"{value:.1f} ({low:.1f} to {high:.1f})"


def score(ars: pd.Series, success: pd.Series, verdict: pd.Series) -> str:
    """An ARS with the share of flows that are benign under attack, and a mark where the check found something."""
    if ars.empty or math.isnan(ars.iloc[0]):
        return NONE
    shown = tables.INFINITY if math.isinf(ars.iloc[0]) else f"{ars.iloc[0]:.2f}"
    mark = "" if verdict.empty or pd.isna(verdict.iloc[0]) or verdict.iloc[0] == OK else " !"
    return f"{shown} ({success.iloc[0]:.0%})".replace("%", " %") + mark


def all_types(rows: pd.DataFrame) -> str:
    """Share of the attack flows of all types that are benign under attack."""
    rows = rows[rows["measure"] == "success ratio"].dropna(subset="value")
    flows = rows["flows"].sum()
    return f"{100 * (rows['value'] * rows['flows']).sum() / flows:.0f} %" if flows else NONE


def cells(model: str, rows: pd.DataFrame, attacks: Sequence[str]) -> tuple[str, ...]:
    """The cells of one model."""
    metrics = [percent(rows[rows["measure"] == " ".join(measure)]) for measure in MEASURES]
    groups = dict(iter(rows.groupby(["measure", "attack"])))
    scores = []
    for attack in attacks:
        ars, success = (groups.get((measure, attack), rows.iloc[:0]) for measure in ("ARS", "success ratio"))
        scores.append(score(ars["value"], success["value"], ars["verdict"]))
    return (model.replace("_", " "), *metrics, all_types(rows), *scores)


def page(table: pd.DataFrame, dataset: str) -> tables.Page:
    """The table as HTML, a row per model and a column per attack type."""
    attacks = list(dict.fromkeys(table["attack"].dropna()))
    rows = [cells(model, group, attacks) for model, group in table.groupby("model", sort=False)]
    headings = ("Model", *MEASURES.values(), BENIGN, *(f"ARS: {attack}" for attack in attacks))
    caption = CAPTION.format(dataset=dataset, infinity=tables.INFINITY, none=NONE)
    title = "What each defence costs and buys"
    return tables.single(headings, rows, title, caption=caption, text_columns=headings[:1])


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or Path(args.metrics[0]).resolve().parent.parent.name
    numbers = ("value", "low", "high")
    metrics = pd.concat([read_csv(path, ("model", "level", "metric"), numbers) for path in args.metrics])
    more = [recalls(path) for path in args.predictions]
    if args.confusion:
        read = [read_csv(path, ("model", "level", "true", "predicted"), ("count",)) for path in args.confusion]
        more.append(false_alarms(pd.concat(read)))
    metrics = pd.concat([metrics, *more], ignore_index=True)
    numbers = ("flows", "ars", "low", "high", "success_ratio")
    scores = pd.concat([read_csv(path, ("model", "attack"), numbers) for path in args.ars])
    table = defences(metrics, scores)
    write_csv(args.output, table, dataset=dataset)
    tables.save(page(table, dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

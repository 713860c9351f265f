"""What each defence costs and buys: detection and robustness, one row per model (Sec. VI).

Input: metrics.csv (evaluate.py) of each model and ars.csv (score_robustness.py) of those that can be
attacked. The CSV is tidy, one row per model, measure and, for ARS and success ratio, attack type.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.reporting import tables
from rnnids.reporting.plotting import INFINITY
from rnnids.storage import read_csv, write_csv

MEASURES = {  # metrics in the table: (level, metric) -> heading
    ("packet", "accuracy"): "Packet accuracy in %",
    ("flow", "accuracy"): "Flow accuracy in %",
    ("flow", "recall"): "Flow recall in %",
}
BENIGN = "Flows benign under attack"
NONE = "-"
CAPTION = (
    "Test split of {dataset}. Cost: what a defence takes from accuracy and recall beside the first model (95 % "
    "intervals from resampled flows). Gain: Adversarial Robustness Score of each attack type (Eq. 3: mean L1 "
    "distance, in z-scores, of the easier half of its flows) and, in brackets, the share of its flows that are benign "
    "under attack; {infinity} where these are fewer than half. Flows that are benign unmodified have distance 0, so a "
    "low recall lowers the score, too. {none}: undefined or not measured."
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--metrics", required=True, nargs="+", help="metrics of each model, in the table's order (CSV)")
    parser.add_argument("--ars", required=True, nargs="+", help="ARS per attack type of each attacked model (CSV)")
    parser.add_argument("--dataset", default="", help="name of the data set; empty: the folder above the first model's")
    tables.add_output_arguments(parser)
    return parser.parse_args(argv)


def defences(metrics: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Tidy rows model, measure, attack, flows, value, low, high, model by model in the order of `metrics`."""
    wanted = [(row.level, row.metric) in MEASURES for row in metrics.itertuples()]
    detection = metrics[wanted].assign(measure=lambda rows: rows["level"] + " " + rows["metric"])
    robustness = scores.rename(columns={"ars": "value"}).assign(measure="ARS")
    success = scores.rename(columns={"success_ratio": "value"}).assign(measure="success ratio")
    columns = ["model", "measure", "attack", "flows", "value", "low", "high"]
    success[["low", "high"]] = math.nan
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


def score(ars: pd.Series, success: pd.Series) -> str:
    """An ARS with the share of flows that are benign under attack."""
    if ars.empty or math.isnan(ars.iloc[0]):
        return NONE
    shown = INFINITY if math.isinf(ars.iloc[0]) else f"{ars.iloc[0]:.2f}"
    return f"{shown} ({success.iloc[0]:.0%})".replace("%", " %")


def all_types(rows: pd.DataFrame) -> str:
    """Share of the attack flows of all types that are benign under attack."""
    rows = rows[rows["measure"] == "success ratio"].dropna(subset="value")
    flows = rows["flows"].sum()
    return f"{100 * (rows['value'] * rows['flows']).sum() / flows:.0f} %" if flows else NONE


def cells(model: str, rows: pd.DataFrame, attacks: Sequence[str]) -> tuple[str, ...]:
    """The cells of one model."""
    metrics = [percent(rows[rows["measure"] == " ".join(measure)]) for measure in MEASURES]
    value = {key: group["value"] for key, group in rows.groupby(["measure", "attack"])}
    nothing = pd.Series(dtype=float)
    pairs = [[value.get((measure, attack), nothing) for measure in ("ARS", "success ratio")] for attack in attacks]
    return (model.replace("_", " "), *metrics, all_types(rows), *(score(*pair) for pair in pairs))


def page(table: pd.DataFrame, dataset: str) -> str:
    """The table as HTML, a row per model and a column per attack type."""
    attacks = list(dict.fromkeys(table["attack"].dropna()))
    rows = [cells(model, group, attacks) for model, group in table.groupby("model", sort=False)]
    headings = ("Model", *MEASURES.values(), BENIGN, *(f"ARS: {attack}" for attack in attacks))
    caption = CAPTION.format(dataset=dataset, infinity=INFINITY, none=NONE)
    title = "What each defence costs and buys"
    return tables.html_table(headings, rows, title, caption=caption, text_columns=headings[:1])


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or Path(args.metrics[0]).resolve().parent.parent.name
    numbers = ("value", "low", "high")
    metrics = pd.concat([read_csv(path, ("model", "level", "metric"), numbers) for path in args.metrics])
    numbers = ("flows", "ars", "low", "high", "success_ratio")
    scores = pd.concat([read_csv(path, ("model", "attack"), numbers) for path in args.ars])
    table = defences(metrics, scores)
    write_csv(args.output, table, dataset=dataset)
    tables.save_page(page(table, dataset), args.output, args.html)


if __name__ == "__main__":
    cli.run(main)

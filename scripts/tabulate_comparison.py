"""Every number that the paper prints beside ours, with the difference and its reason.

The paper's numbers are those of Tables I to III and of the text (`resources/paper`). A result on a
data set that is not the paper's own stands beside the numbers of CIC-IDS-2017, whose attack types
the laboratory captures follow; the column `reason` says so, as it says where the labels are other ones.
Where the paper prints a bound alone (`paper_is_bound`), the difference is how far ours exceeds it. Fractions
throughout, not percent.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.datasets.features import FEATURE_LABELS, FEATURES
from rnnids.reporting.tables import MINUS, PAPER_TITLES, Page, add_output_arguments, save, single
from rnnids.storage import read_csv, write_csv

KEYS = ["quantity", "model", "level", "item"]
PRINTED = {  # of each file of the paper's numbers: columns of text, and of numbers
    "table1": (("dataset", "attack_in_rules"), ("proportion_percent", "upper_bound_percent")),
    "table2": (("dataset", "metric", "model", "level"), ("value_percent",)),
    "table3": (("method", "feature"), ("accuracy_drop",)),
    "text": (("dataset", "place", *KEYS), ("paper",)),
}
OURS = {  # the same of our files
    "counts": (("attack",), ("flows",)),
    "metrics": (("model", "level", "metric"), ("value",)),
    "importance": (("metric", "level", "feature"), ("value",)),
    "pair_scores": (("feature_1", "feature_2"), ("score",)),
    "comparison": (("model", "attack", "method"), ("accuracy",)),
}
SEVERAL = ("metrics", "importance")  # options that take several files
LABELS = dict(zip(FEATURES, FEATURE_LABELS, strict=True))
QUANTITIES = {"f1": "F1", "youden_j": "Youden's J"}  # on the page, where underscores as blanks do not do
OTHER_DATA, NOT_MADE = "another data set", "not made: no such attack type, or model not selected"
BELOW_BOUND = "below the paper's bound"
OWN_LABELS = {"cic_ids_2017": "corrected labels and repaired captures; cic_ids_2017_published has the paper's"}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    for table in PRINTED:
        parser.add_argument(f"--{table}", required=True, help=f"the paper's numbers, {table} (CSV)")
    parser.add_argument("--counts", required=True, help="flows of each attack type (CSV)")
    parser.add_argument("--metrics", required=True, nargs="+", help="metrics of the models (CSV)")
    parser.add_argument("--importance", required=True, nargs="+", help="importance of the features (CSV)")
    parser.add_argument("--pair-scores", required=True, help="scores of pairs of features (CSV)")
    parser.add_argument("--comparison", required=True, help="detection under attack (CSV)")
    parser.add_argument("--dataset", default="", help="name of the data set; empty: that of the folder of --counts")
    add_output_arguments(parser)
    return parser.parse_args(argv)


def paper_numbers(
    *, table1: pd.DataFrame, table2: pd.DataFrame, table3: pd.DataFrame, text: pd.DataFrame
) -> pd.DataFrame:
    """Every printed number: dataset, place, the columns of ``KEYS``, `paper` and `paper_is_bound`."""
    shares = table1.assign(
        place="Table I", quantity="proportion", model="", level="flow", item=table1["attack_in_rules"]
    )
    shares["paper"] = shares["proportion_percent"].fillna(shares["upper_bound_percent"]) / 100
    shares["paper_is_bound"] = shares["proportion_percent"].isna()
    metrics = table2.assign(place="Table II", quantity=table2["metric"], item="", paper=table2["value_percent"] / 100)
    drops = table3.assign(dataset="cic_ids_2017", place="Table III", level="flow", item=table3["feature"])
    drops["quantity"] = "accuracy drop, " + drops["method"].str.replace("_", " ")
    drops["model"] = drops["method"].map({"feature_dropout": "feature_dropout"}).fillna("baseline")
    drops["paper"] = drops["accuracy_drop"]
    numbers = pd.concat([shares, metrics, drops, text])[["dataset", "place", *KEYS, "paper", "paper_is_bound"]]
    numbers["paper_is_bound"] = numbers["paper_is_bound"].eq(True)
    return numbers.fillna(dict.fromkeys(KEYS, ""))


def our_numbers(
    *,
    counts: pd.DataFrame,
    metrics: pd.DataFrame,
    importance: pd.DataFrame,
    pair_scores: pd.DataFrame,
    comparison: pd.DataFrame,
) -> pd.DataFrame:
    """Our numbers under the same keys: the columns of ``KEYS`` and `ours`."""
    shares = counts.assign(quantity="proportion", model="", level="flow", item=counts["attack"])
    shares["ours"] = shares["flows"] / shares["flows"].sum()
    scores = metrics.assign(quantity=metrics["metric"], item="", ours=metrics["value"])
    drops = importance.assign(quantity="accuracy drop, " + importance["metric"].str.replace("_", " "))
    drops["model"] = drops["metric"].map({"feature_dropout": "feature_dropout"}).fillna("baseline")
    drops = drops.assign(item=drops["feature"], ours=drops["value"])
    pairs = pair_scores.assign(quantity="pair_score", model="feature_dropout", level="flow", ours=pair_scores["score"])
    # Sorted as text.csv names its pair: flags are in capitals and so come first.
    pairs["item"] = pairs[["feature_1", "feature_2"]].apply(lambda pair: " and ".join(sorted(pair)), axis=1)
    fooled = comparison[comparison["method"] == "cw"].assign(level="flow", item=lambda frame: frame["attack"])
    success = fooled.assign(quantity="success_ratio", ours=1 - fooled["accuracy"])
    recall = fooled.assign(quantity="adversarial_recall", ours=fooled["accuracy"])
    return pd.concat([shares, scores, drops, pairs, success, recall])[[*KEYS, "ours"]]


def compare(paper: pd.DataFrame, ours: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The paper's numbers of `dataset`, or of CIC-IDS-2017, joined with ours."""
    is_paper = dataset.split("_published")[0] in PAPER_TITLES
    chosen = paper[paper["dataset"] == (dataset.split("_published")[0] if is_paper else "cic_ids_2017")]
    table = chosen.merge(ours, "left", KEYS, validate="many_to_one").rename(columns={"dataset": "paper_dataset"})
    table["difference"] = table["ours"] - table["paper"]
    within = table["paper_is_bound"] & (table["ours"] <= table["paper"])
    table.loc[within, "difference"] = 0.0
    table["reason"] = OWN_LABELS.get(dataset, "") if is_paper else OTHER_DATA
    table.loc[within, "reason"] = BELOW_BOUND
    table.loc[table["ours"].isna(), "reason"] = NOT_MADE
    table.insert(0, "dataset", dataset)
    return table


def number(value: float) -> str:
    """A number with four digits and a proper minus; nothing where there is none."""
    return "" if pd.isna(value) else f"{value:.4g}".replace("-", MINUS)


def label(item: str) -> str:
    """Attack types as they are, features and pairs of them as other tables call them."""
    parts = item.split(" and ")
    return " and ".join(LABELS[part] for part in parts) if set(parts) <= LABELS.keys() else item


def page(table: pd.DataFrame, dataset: str) -> Page:
    """The comparison, for people."""
    headings = ("Place", "Quantity", "Model", "Per", "Of", "Paper", "Ours", "Difference", "Reason")
    rows = []
    for row in table.itertuples():
        quantity = QUANTITIES.get(row.quantity, row.quantity.replace("_", " "))
        numbers = [number(value) for value in (row.paper, row.ours, row.difference)]
        numbers[0] = f"< {numbers[0]}" if row.paper_is_bound else numbers[0]
        names = (row.place, quantity, row.model.replace("_", " "), row.level, label(row.item))
        rows.append((*names, *numbers, row.reason))
    source = PAPER_TITLES[table["paper_dataset"].iloc[0]]
    caption = (
        f"Printed numbers for {source} beside those of {dataset}, as fractions. Where the paper prints a bound (<), the"
        " difference is how far ours exceeds it."
    )
    text = (*headings[:5], headings[-1])
    return single(headings, rows, "The paper's numbers and ours", caption=caption, text_columns=text)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    dataset = args.dataset or Path(args.counts).resolve().parent.name
    paper = paper_numbers(**{name: read_csv(getattr(args, name), *columns) for name, columns in PRINTED.items()})
    several = {name: [read_csv(path, *OURS[name]) for path in getattr(args, name)] for name in SEVERAL}
    single = {name: read_csv(getattr(args, name), *OURS[name]) for name in OURS if name not in SEVERAL}
    ours = our_numbers(**single, **{name: pd.concat(tables) for name, tables in several.items()})
    table = compare(paper, ours, dataset)
    write_csv(args.output, table)
    save(page(table, dataset), args.output, html=args.html, latex=args.latex)


if __name__ == "__main__":
    cli.run(main)

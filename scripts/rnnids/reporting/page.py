"""The label audit as a table of numbers and as tables for people."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rnnids.reporting.tables import Page, Table
from rnnids.storage import read_csv

Section = tuple[str, pd.DataFrame, list[str], str]  # name, table, columns that say of what, caption
TIMES = ("start", "end", "first", "last")  # shown to the second; the CSV has them in full
ON_ONE_LINE = str.maketrans({"T": "\N{NO-BREAK SPACE}", "-": "\N{NON-BREAKING HYPHEN}"})
RULES = (
    "Flows of each rule, times in UTC. A rule without flows is marked; of several rules that match a flow the last one"
    " labels it."
)
COUNTS = (
    "Rows of the label file that were left out, if any; flows that rules matched, that several matched, and that got"
    " the label of the connection they continue."
)
NEIGHBOURS = (
    "Benign flows between attacker and victim of an attack flow, at most {margin:g} s before or after it: a window"
    " may be too short. Same port: those of them to the port that was attacked."
)
CLUES = (
    "Test flows whose class, attack or benign, is told by one circumstance alone, where a value counts as an attack if"
    " most of its training flows are attacks; none: all flows judged as most are. Where an address or an hour tells"
    " nearly all, high scores do not show that a detector has learned more than where and when attacks were recorded."
)
TWINS = (
    "Test flows with a duplicate in the training split: same protocol, destination port, and lengths, directions and"
    " flags of all packets; near duplicates: of the first {prefix} packets, lengths in steps of {step} bytes."
    " Contradictions: near duplicates of the other class anywhere. For capture, each capture is tested in turn."
)


def rule_table(path: Path | str) -> pd.DataFrame:
    """The label report with a remark on each rule that matched nothing."""
    frame = read_csv(path, ("attack", "category"), ("rule", "flows", "rows", "rows_without_flows"))
    frame["remark"] = frame["flows"].eq(0).map({True: "matches no flow", False: ""})
    return frame.drop(columns="category").fillna("")


def label_counts(path: Path | str) -> pd.DataFrame:
    """Section `labels` of the data set report."""
    frame = read_csv(path, ("section", "item"), ("count",))
    return frame[frame["section"].isin(["labels", "skipped_label_rows"])].drop(columns="section")


def with_shares(counts: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Counts with the share that columns `names` are of the flows tested, in percent; empty where none is tested."""
    tested = counts["flows"].where(counts["flows"] > 0)
    return counts.assign(**{f"{name}_percent": (100 * counts[name] / tested).round(2) for name in names})


def tidy(section: str, frame: pd.DataFrame, subjects: list[str]) -> pd.DataFrame:
    """One row a number: section, subject, measure, value."""
    subject = frame[subjects].astype(str).agg(" / ".join, axis=1)
    values = frame.drop(columns=subjects).astype(object).assign(section=section, subject=subject)
    long = values.melt(id_vars=["section", "subject"], var_name="measure")
    return long[long["value"].astype(str).ne("") & long["value"].notna()]


def page(name: str, sections: Sequence[Section]) -> Page:
    """The tables of a data set, for people."""
    parts = []
    for _, frame, subjects, caption in sections:
        shown = frame.astype(object).where(frame.notna(), "")
        for column in shown.columns.intersection(list(TIMES)):
            shown[column] = shown[column].str[:19].str.translate(ON_ONE_LINE)
        headings = [str(column).replace("_percent", ", %").replace("_", " ") for column in shown]
        text = [column.replace("_", " ") for column in (*subjects, *TIMES, "source", "destination", "remark")]
        rows = [tuple(_cell(value) for value in row) for row in shown.itertuples(index=False)]
        parts.append(Table(headings, rows, caption, text_columns=text))
    return Page(f"Label audit of {name}", parts, heading=f"Label audit of {name}")


def _cell(value: str | float) -> str:
    """A number with separators or with two digits, a key in words, any other text as it is."""
    if isinstance(value, str):
        return value.replace("_", " ")
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}"

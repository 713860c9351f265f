"""Table II: every number is in its place, ours and the paper's."""

from pathlib import Path

import pandas as pd
import pytest

import tabulate_table2
from rnnids.reporting.tables import html_page

PAPER = Path(__file__).parents[1] / "resources/paper/table2.csv"


@pytest.fixture
def table():
    metrics = pd.DataFrame(
        [
            ("baseline", "packet", "accuracy", 0.91, 0.90, 0.92),
            ("baseline", "flow", "accuracy", 0.97, 0.96, 0.98),
            ("baseline", "flow", "roc_auc", 0.995, None, None),
            ("flow_statistics", "flow", "accuracy", 0.98, 0.975, 0.985),
        ],
        columns=["model", "level", "metric", "value", "low", "high"],
    )
    return tabulate_table2.table2(metrics, pd.read_csv(PAPER), "lab")


def test_percent_and_source(table):
    ours = table[table["source"] == "ours"].set_index(["model", "level", "metric"])
    assert ours.loc[("baseline", "flow", "accuracy"), ["value", "low", "high"]].tolist() == [97, 96, 98]
    assert set(ours["dataset"]) == {"lab"}


def test_paper_is_whole_and_consistent():
    """The five metrics printed for one classifier follow from precision, recall and each other."""
    paper = pd.read_csv(PAPER).pivot_table("value_percent", ["dataset", "model", "level"], "metric")
    assert paper.notna().all(axis=None)
    assert len(paper) == 6
    harmonic = 2 * paper["precision"] * paper["recall"] / (paper["precision"] + paper["recall"])
    assert (harmonic - paper["f1"]).abs().max() < 0.11  # printed with one digit
    assert (paper["youden_j"] < paper["recall"]).all()


def test_page_has_a_row_per_model_and_level(table):
    page = html_page(tabulate_table2.page(table, "lab"))
    rows = [line for line in page.splitlines() if line.startswith("<tr><td")]
    assert len(rows) == 3 + 6
    assert "97.0 (96.0 to 98.0)" in rows[1]
    assert "99.5" in rows[1]
    assert "CIC-IDS-2017 (paper)" in rows[3]
    assert ">99.1<" in rows[3]


def test_the_name_is_that_of_the_folder_above_the_first_model(tmp_path, table):
    metrics = tmp_path / "lab/baseline/metrics.csv"
    metrics.parent.mkdir(parents=True)
    ours = table[table["source"] == "ours"].drop(columns=["source", "dataset"])
    ours.assign(**{name: ours[name] / 100 for name in ("value", "low", "high")}).to_csv(metrics, index=False)
    words = ["--metrics", metrics, "--paper", PAPER, "--output", tmp_path / "table2.csv"]
    tabulate_table2.main([str(word) for word in words])
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table2.csv"), table.reset_index(drop=True))

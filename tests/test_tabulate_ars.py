"""The table of robustness scores: its cells, its numbers and what is said where nothing was checked."""

import math

import pandas as pd
import pytest
from pages import Cells

import tabulate_ars
from rnnids.errors import InputError

ROW = {"model": "feature_dropout", "threat_model": "payload_3s", "goal": "all", "attack": "DoS Hulk", "category": "DoS"}
ROW |= {"flows": 1234, "immovable": 5, "already_benign": 7, "success_ratio": 0.256, "ars": 1.23456, "low": 0.5}
ROW |= {"high": math.inf, "ars_margin": math.inf, "exact": 0.5, "early_alarm": 0.125, "verdict": "refuted"}
ROW |= {"ars_lower": 0.0625, "certified": 0.375}
EMPTY = ROW | {"attack": "Bot", "ars": math.nan, "low": math.nan, "high": math.nan, "exact": math.nan}
EMPTY |= {"ars_lower": math.nan, "certified": math.nan} | {
    "early_alarm": math.nan,
    "success_ratio": 0.0,
    "verdict": None,
}


def tabulate(folder, *tables, dataset=None):
    paths = []
    for place, table in enumerate(tables):
        paths.append(folder / "lab" / f"model_{place}" / "robustness.csv")
        paths[-1].parent.mkdir(parents=True)
        table.to_csv(paths[-1], index=False)
    words = ["--robustness", *paths, "--output", folder / "ars.csv", "--html", folder / "ars.html"]
    tabulate_ars.main([str(word) for word in words + ([f"--dataset={dataset}"] if dataset else [])])
    page = (folder / "ars.html").read_text()
    return pd.read_csv(folder / "ars.csv", keep_default_na=False), Cells(page).rows, page


def test_each_cell_is_what_its_column_says(tmp_path):
    _, rows, page = tabulate(tmp_path, pd.DataFrame([ROW, EMPTY]), dataset="mine")
    assert rows[0] == list(tabulate_ars.HEADINGS)
    assert rows[1] == [
        *("feature dropout", "payload 3s", "all", "DoS Hulk", "1,234", "5", "7", "26 %"),
        *("1.23", "0.0625", "0.5 to ∞", "∞", "50 %", "38 %", "12 %", "refuted"),
    ]
    assert rows[2][7:] == ["0 %", "-", "-", "-", "∞", "-", "-", "-", "not checked"]
    assert "Test split of mine" in page


def test_models_follow_one_another_with_all_columns_in_the_csv(tmp_path):
    other = pd.DataFrame([ROW | {"model": "baseline"}]).drop(columns="verdict")
    table, rows, _ = tabulate(tmp_path, pd.DataFrame([ROW]), other)
    assert table["model"].tolist() == ["feature_dropout", "baseline"] and table["dataset"].tolist() == ["lab", "lab"]
    assert table["verdict"].tolist() == ["refuted", "not checked"]
    assert table["ars"].tolist() == [1.23456, 1.23456] and table["category"].tolist() == ["DoS", "DoS"]
    assert [row[0] for row in rows[1:]] == ["feature dropout", "baseline"]


def test_a_score_without_a_verdict_at_all_is_not_checked(tmp_path):
    table, _, _ = tabulate(tmp_path, pd.DataFrame([ROW]).drop(columns="verdict"))
    assert table["verdict"].tolist() == ["not checked"]


def test_a_table_without_its_columns_is_refused(tmp_path):
    with pytest.raises(InputError, match="ars_margin"):
        tabulate(tmp_path, pd.DataFrame([ROW]).drop(columns="ars_margin"))

"""The table of robustness scores: what they rest on, and what the check says of them."""

import math

import pandas as pd
import pytest
from pages import Cells

import tabulate_ars
from rnnids.errors import InputError
from rnnids.reporting.plotting import INFINITY


def scores(model, **change):
    """Scores of two attack types: one whose flows evade easily, and one whose flows cannot."""
    row = {"model": model, "threat_model": "paper", "goal": "last", "category": "DoS", "flows": 1200}
    row |= {"immovable": 3, "already_benign": 1, "exact": 0.25, "early_alarm": math.nan}
    easy = {"attack": "Flood", "success_ratio": 0.75, "ars": 0.1234, "low": 0.1, "high": math.inf, "ars_margin": 2.0}
    hard = {"attack": "Scan", "success_ratio": 0.1, "ars": math.inf, "low": math.nan, "high": math.nan}
    return pd.DataFrame([row | easy, row | hard | {"ars_margin": math.inf}]).assign(**change)


@pytest.fixture
def tabulate(tmp_path):
    """Runs the script on data frames; tabulate(*frames) -> (table, rows of the page, bytes of both)."""

    def call(*frames, words=("--dataset", "lab")):
        files = [tmp_path / f"lab_{place}" / "robustness.csv" for place in range(len(frames))]
        for file, frame in zip(files, frames, strict=True):
            file.parent.mkdir(exist_ok=True)
            frame.to_csv(file, index=False)
        output = tmp_path / "table_ars.csv"
        tabulate_ars.main([str(word) for word in ("--robustness", *files, *words, "--output", output)])
        both = output.read_bytes(), output.with_suffix(".html").read_bytes()
        return pd.read_csv(output), Cells(both[1].decode()).rows, both

    return call


def test_the_page_shows_every_score_with_what_it_rests_on(tabulate):
    _, rows, _ = tabulate(scores("reduced_both", verdict=["ok", "refuted"]))
    first = ["reduced both", "paper", "last"]
    assert rows == [
        list(tabulate_ars.HEADINGS),
        [*first, "Flood", "1,200", "3", "1", "75 %", "0.123", f"0.1 to {INFINITY}", "2", "25 %", "-", "ok"],
        [*first, "Scan", "1,200", "3", "1", "10 %", INFINITY, "-", INFINITY, "25 %", "-", "refuted"],
    ]


def test_the_table_has_all_rows_of_all_models_in_the_order_given(tabulate):
    table, _, _ = tabulate(scores("b"), scores("a", verdict="ok"))
    assert table["model"].tolist() == ["b", "b", "a", "a"] and set(table["dataset"]) == {"lab"}
    assert table["verdict"].tolist() == ["not checked"] * 2 + ["ok"] * 2
    assert table["ars"].tolist() == [0.1234, math.inf] * 2


def test_a_table_without_scores_is_refused_by_name(tabulate):
    with pytest.raises(InputError, match=r"robustness\.csv: no column ars, early_alarm"):
        tabulate(scores("a").drop(columns=["ars", "early_alarm"]))


def test_the_name_is_that_of_the_folder_above_the_first_model(tabulate, tmp_path):
    table, _, _ = tabulate(scores("a"), words=())
    assert set(table["dataset"]) == {tmp_path.name}


def test_two_runs_are_byte_identical(tabulate):
    assert tabulate(scores("a"))[2] == tabulate(scores("a"))[2]

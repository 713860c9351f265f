"""Table I beside the paper's."""

import re
from pathlib import Path

import pandas as pd
import pytest
from pages import Cells

import tabulate_table1
from rnnids.labels.rules import read_rules

REPOSITORY = Path(__file__).parents[1]
PRINTED = REPOSITORY / "resources/paper/table1.csv"
PAPER = REPOSITORY.parent / "shared/paper/paper.md"
COUNTS = """attack,category,flows,packets,train_flows,test_flows
Benign,Benign,19899,9,9,9
DoS Hulk,DoS,100,9,9,9
Web Attack - Sql Injection,Web Attack,1,9,9,9
Heartbleed,DoS,0,0,0,0
<b>&,Own,0,0,0,0
"""


@pytest.fixture
def tabulate(tmp_path):
    """Runs the script on counts; tabulate(text) -> (table, page, bytes of both)."""

    def call(counts, dataset="lab"):
        (tmp_path / "counts.csv").write_text(counts)
        words = ["--counts", tmp_path / "counts.csv", "--paper", PRINTED, "--dataset", dataset]
        words += ["--output", tmp_path / "table1.csv", "--html", tmp_path / "table1.html"]
        tabulate_table1.main([str(word) for word in words])
        both = (tmp_path / "table1.csv").read_bytes(), (tmp_path / "table1.html").read_bytes()
        return pd.read_csv(tmp_path / "table1.csv").set_index("attack"), both[1].decode(), both

    return call


def test_proportions_stand_beside_those_of_the_paper(tabulate):
    table, _, _ = tabulate(COUNTS)
    assert table["proportion_percent"].tolist() == [99.495, 0.5, 0.005, 0, 0]
    assert table.loc["DoS Hulk", ["paper_dataset", "paper_proportion_percent"]].tolist() == ["cic_ids_2017", 10.1]
    assert table["paper_upper_bound_percent"].dropna().to_dict() == {
        "Web Attack - Sql Injection": 0.01,
        "Heartbleed": 0.01,
    }
    assert table.loc[["Benign", "<b>&"], "paper_attack"].isna().all()


def test_the_page_shows_the_table(tabulate):
    _, page, _ = tabulate(COUNTS)
    rows = Cells(page).rows
    assert rows[2][:6] == ["DoS Hulk", "DoS", "100", "0.50 %", "DoS Hulk", "10.10 %"]
    assert rows[3][3:6] == ["0.01 %", "SQL injection", "<0.01 %"]
    assert rows[5][:6] == ["<b>&", "Own", "0", "0.00 %", "", ""]
    assert "20,000 flows" in page and "CIC-IDS-2017" in page and "nan" not in page
    assert Cells(tabulate(COUNTS.replace("Benign,19899", "Benign,99899"))[1]).rows[3][3] == "<0.01 %"


def test_the_paper_data_set_is_the_one_with_the_same_attacks(tabulate):
    counts = "attack,category,flows\nBenign,Benign,7\nDoS,DoS,2\nWorms,Worms,1\n"
    table, page, _ = tabulate(counts, "unsw_nb15")
    assert set(table["paper_dataset"].dropna()) == {"unsw_nb15"} and "UNSW-NB15" in page
    table, page, _ = tabulate("attack,category,flows\nBenign,Benign,7\nMine,Mine,2\n", "mine")
    assert table["paper_attack"].isna().all() and "paper's proportions" not in page


def test_name_and_page_come_from_the_files_where_they_are_not_given(tmp_path):
    counts = tmp_path / "mine" / "counts.csv"
    counts.parent.mkdir()
    counts.write_text(COUNTS)
    tabulate_table1.main(["--counts", str(counts), "--paper", str(PRINTED), "--output", str(tmp_path / "a.csv")])
    assert set(pd.read_csv(tmp_path / "a.csv")["dataset"]) == {"mine"}
    assert "each attack type in mine" in (tmp_path / "a.html").read_text()


def test_names_that_mean_nothing_elsewhere_stay_as_written(tabulate):
    _, page, (table, _) = tabulate("attack,category,flows\nBenign,Benign,3\nNA,None,1\nnull,nan,1\n")
    assert [line.split(b",")[1:3] for line in table.splitlines()[2:]] == [[b"NA", b"None"], [b"null", b"nan"]]
    cells = [row[:2] for row in Cells(page).rows[-2:]]
    assert cells == [["NA", "None"], ["null", "nan"]]


def test_two_runs_are_byte_identical(tabulate):
    assert tabulate(COUNTS)[2] == tabulate(COUNTS)[2]


def test_the_names_are_those_of_the_shipped_rules():
    printed = pd.read_csv(PRINTED)
    cic = set(printed["attack_in_rules"][printed["dataset"] == "cic_ids_2017"])
    for name in ("corrected", "published"):
        assert cic <= {rule.attack for rule in read_rules(REPOSITORY / f"config/labels/cic_ids_2017_{name}.csv")}
    assert not printed.duplicated(["dataset", "attack_in_rules"]).any()


@pytest.mark.shared
@pytest.mark.skipif(not PAPER.exists(), reason="the paper's text is not here")
def test_the_numbers_are_those_that_the_paper_prints():
    lines = PAPER.read_text().split("TABLE I:")[1].split("TABLE II:")[0].splitlines()
    cells = [(cell, row[i + 1]) for row in (line.split("\t") for line in lines) for i, cell in enumerate(row[:-1])]
    expected = {attack: value for attack, value in cells if re.fullmatch(r"<?\d+\.\d\d%", value)}
    assert len(expected) == 23
    printed = pd.read_csv(PRINTED).set_index("attack")
    bound, value = printed["upper_bound_percent"], printed["proportion_percent"]
    assert expected == {
        attack: f"<{bound[attack]:.2f}%" if pd.isna(value[attack]) else f"{value[attack]:.2f}%"
        for attack in printed.index
    }

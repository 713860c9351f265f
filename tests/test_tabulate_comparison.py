"""The paper's numbers beside ours: every printed number stands there once, with the difference or the reason."""

import pandas as pd
import pytest
from conftest import REPOSITORY
from pages import Cells

import tabulate_comparison
from rnnids.errors import InputError

PAPER = REPOSITORY / "resources/paper"
OURS = {
    "counts": pd.DataFrame({"attack": ["Benign", "DoS Hulk"], "category": ["Benign", "DoS"], "flows": [75, 25]}),
    "metrics": pd.DataFrame({"model": ["baseline"], "level": ["flow"], "metric": ["accuracy"], "value": [0.9]}),
    "importance": pd.DataFrame(
        {"metric": ["input_perturbation"], "level": ["flow"], "feature": ["protocol"], "value": [0.107]}
    ),
    "pair_scores": pd.DataFrame({"feature_1": ["protocol"], "feature_2": ["RST"], "score": [9.5]}),
    "comparison": pd.DataFrame({"model": ["baseline"], "attack": ["All"], "method": ["cw"], "accuracy": [0.3]}),
}


@pytest.fixture
def tabulate(tmp_path):
    """Runs the script; tabulate(dataset, **frames) -> (table, page, bytes of both)."""

    def call(dataset="lab", **change):
        words = [
            word for name in ("table1", "table2", "table3", "text") for word in (f"--{name}", PAPER / f"{name}.csv")
        ]
        for name, frame in (OURS | change).items():
            frame.to_csv(tmp_path / f"{name}.csv", index=False)
            words += [f"--{name.replace('_', '-')}", tmp_path / f"{name}.csv"]
        output = tmp_path / "paper_comparison.csv"
        tabulate_comparison.main([str(word) for word in (*words, "--dataset", dataset, "--output", output)])
        both = output.read_bytes(), output.with_suffix(".html").read_bytes()
        return pd.read_csv(output, keep_default_na=False, na_values={"ours": [""]}), both[1].decode(), both

    return call


def test_every_printed_number_of_the_data_set_has_a_row(tabulate):
    printed = {name: pd.read_csv(PAPER / f"{name}.csv") for name in ("table1", "table2", "text")}
    for dataset in ("cic_ids_2017", "unsw_nb15"):
        count = sum((frame["dataset"] == dataset).sum() for frame in printed.values())
        count += len(pd.read_csv(PAPER / "table3.csv")) if dataset == "cic_ids_2017" else 0
        table, _, _ = tabulate(dataset)
        assert len(table) == count and set(table["paper_dataset"]) == {dataset}


def test_our_numbers_stand_beside_those_of_the_same_quantity(tabulate):
    table, _, _ = tabulate()
    made = table.dropna(subset="ours").set_index(["quantity", "model", "level", "item"])
    expected = {
        ("proportion", "", "flow", "DoS Hulk"): (0.101, 0.25),
        ("accuracy", "baseline", "flow", ""): (0.997, 0.9),
        ("accuracy drop, input perturbation", "baseline", "flow", "protocol"): (0.207, 0.107),
        ("pair_score", "feature_dropout", "flow", "RST and protocol"): (8.5, 9.5),
        ("success_ratio", "baseline", "flow", "All"): (0.8, 0.7),
    }
    assert set(made.index) == set(expected)
    for key, (paper, ours) in expected.items():
        row = made.loc[[key]].iloc[0]
        assert (row["paper"], row["ours"]) == pytest.approx((paper, ours), abs=1e-9)
        assert float(row["difference"]) == pytest.approx(ours - paper)


def test_what_differs_has_a_reason(tabulate):
    table, _, _ = tabulate()
    missing = table["ours"].isna()
    assert set(table["reason"][missing]) == {tabulate_comparison.NOT_MADE}
    assert set(table["reason"][~missing]) == {tabulate_comparison.OTHER_DATA}
    table, _, _ = tabulate("cic_ids_2017_published")
    assert set(table["reason"][table["ours"].notna()]) == {""}
    table, _, _ = tabulate("cic_ids_2017")
    assert all("corrected labels" in reason for reason in table["reason"][table["ours"].notna()])
    assert not missing.all()


def test_a_bound_is_no_number_to_differ_from(tabulate):
    bounds = pd.read_csv(PAPER / "table1.csv").query("dataset == 'cic_ids_2017' and proportion_percent.isna()")
    item = bounds["attack_in_rules"].iloc[0]
    for flows, difference, reason in ((0, 0, tabulate_comparison.BELOW_BOUND), (25, 0.25 - 1e-4, "")):
        counts = pd.DataFrame({"attack": ["Benign", item], "flows": [100 - flows - (flows == 0), flows or 1]})
        counts.loc[1, "flows"] = flows
        counts.loc[0, "flows"] = 100 - flows
        table, page, _ = tabulate("cic_ids_2017_published", counts=counts)
        row = table[(table["item"] == item) & (table["quantity"] == "proportion")].iloc[0]
        assert row["paper_is_bound"] and float(row["difference"]) == pytest.approx(difference)
        assert row["reason"] == reason
        assert "&lt; 0.0001" in page


def test_the_page_has_a_line_for_each_number(tabulate):
    table, page, _ = tabulate()
    rows = Cells(page).rows
    assert len(rows) == len(table) + 1 and "CIC-IDS-2017 beside those of lab" in page and "nan" not in page
    assert ["Table I", "proportion", "", "flow", "DoS Hulk", "0.101", "0.25"] in [row[:7] for row in rows]


def test_bad_tables_are_named(tabulate):
    with pytest.raises(InputError, match=r"comparison\.csv: no column accuracy"):
        tabulate(comparison=OURS["comparison"].drop(columns="accuracy"))


def test_two_runs_are_byte_identical(tabulate):
    assert tabulate()[2] == tabulate()[2]


def test_the_page_names_features_as_other_tables_do_and_has_a_proper_minus(tabulate):
    rows = [row for row in Cells(tabulate()[1]).rows if row[6]]
    shown = {(row[1], row[4]): row[7] for row in rows}
    assert shown["accuracy drop, input perturbation", "Protocol"] == "−0.1"
    assert ("pair score", "RST flag and Protocol") in shown
    assert {"F1", "Youden's J"} <= {row[1] for row in Cells(tabulate()[1]).rows}

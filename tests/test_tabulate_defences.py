"""The table of defences: what they cost and what they buy."""

import math

import pandas as pd
import pytest
from pages import Cells

import tabulate_defences
from rnnids.reporting.plotting import INFINITY

HEAD = ["Model", "Packet accuracy in %", "Flow accuracy in %", "Flow recall in %", "Flows benign under attack"]


def metrics(model, levels=("packet", "flow")):
    """Metrics of a model; F1 is none of the table's."""
    rows = [
        {"model": model, "level": level, "metric": metric, "value": value, "low": value - 0.01, "high": value + 0.01}
        for level in levels
        for metric, value in (("accuracy", 0.9), ("recall", 0.8 + 0.1 * (level == "flow")), ("f1", 0.123))
    ]
    return pd.DataFrame(rows)


def scores(model, attacks):
    """ARS of a model from {attack: (flows, ARS, success ratio)}."""
    rows = [
        {
            "model": model,
            "attack": attack,
            "flows": flows,
            "success_ratio": success,
            "ars": ars,
            "low": 0,
            "high": math.inf,
        }
        for attack, (flows, ars, success) in attacks.items()
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def tabulate(tmp_path):
    """Runs the script on lists of data frames; tabulate(metrics=, ars=) -> (table, rows of the page, bytes of both)."""

    def call(**tables):
        words = ["--dataset", "lab", "--output", tmp_path / "table.csv", "--html", tmp_path / "table.html"]
        for option, frames in tables.items():
            words.append(f"--{option}")
            for place, frame in enumerate(frames):
                words.append(tmp_path / f"{option}{place}.csv")
                frame.to_csv(words[-1], index=False)
        tabulate_defences.main([str(word) for word in words])
        both = (tmp_path / "table.csv").read_bytes(), (tmp_path / "table.html").read_bytes()
        return pd.read_csv(tmp_path / "table.csv"), Cells(both[1].decode()).rows, both

    return call


STUDY = {
    "metrics": [metrics("baseline"), metrics("reduced_both"), metrics("flow_statistics", ("flow",))],
    "ars": [
        scores("baseline", {"DoS": (30, 1.234, 1.0), "Bots": (10, 0.0, 0.5)}),
        scores("reduced_both", {"DoS": (30, math.inf, 0.1), "Scan": (0, math.nan, math.nan)}),
    ],
}


def test_the_page_has_a_row_per_model_and_a_column_per_attack_type(tabulate):
    _, rows, _ = tabulate(**STUDY)
    accuracy, recall = "90.0 (89.0 to 91.0)", "90.0 (89.0 to 91.0)"
    assert rows == [
        [*HEAD, "ARS: DoS", "ARS: Bots", "ARS: Scan"],
        ["baseline", accuracy, accuracy, recall, "88 %", "1.23 (100 %)", "0.00 (50 %)", "-"],
        ["reduced both", accuracy, accuracy, recall, "10 %", f"{INFINITY} (10 %)", "-", "-"],
        ["flow statistics", "-", accuracy, recall, "-", "-", "-", "-"],
    ]


def test_the_table_is_tidy_and_keeps_infinity_and_nothing_apart(tabulate):
    table, _, _ = tabulate(**STUDY)
    ars = table[table["measure"] == "ARS"].set_index(["model", "attack"])["value"]
    assert ars["reduced_both", "DoS"] == math.inf and math.isnan(ars["reduced_both", "Scan"])
    assert set(table["measure"]) == {"packet accuracy", "flow accuracy", "flow recall", "ARS", "success ratio"}
    assert not table.duplicated(["model", "measure", "attack"]).any()
    assert table["model"].drop_duplicates().tolist() == ["baseline", "reduced_both", "flow_statistics"]
    assert table.loc[table["measure"] == "success ratio", ["low", "high"]].isna().all().all()


def test_models_stand_in_the_order_given(tabulate):
    _, rows, _ = tabulate(metrics=STUDY["metrics"][::-1], ars=STUDY["ars"])
    assert [row[0] for row in rows] == ["Model", "flow statistics", "reduced both", "baseline"]


def test_the_name_is_that_of_the_folder_above_the_first_model(tmp_path):
    files = {"metrics": tmp_path / "lab/baseline/metrics.csv", "ars": tmp_path / "lab/baseline/ars.csv"}
    files["metrics"].parent.mkdir(parents=True)
    for option, file in files.items():
        STUDY[option][0].to_csv(file, index=False)
    words = [word for option, file in files.items() for word in (f"--{option}", str(file))]
    tabulate_defences.main([*words, "--output", str(tmp_path / "table.csv")])
    assert set(pd.read_csv(tmp_path / "table.csv")["dataset"]) == {"lab"}
    assert "Test split of lab" in (tmp_path / "table.html").read_text()


def test_two_runs_are_byte_identical(tabulate):
    assert tabulate(**STUDY)[2] == tabulate(**STUDY)[2]

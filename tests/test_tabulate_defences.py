"""The table of defences: what they cost and what they buy."""

import math

import numpy as np
import pandas as pd
import pytest
from pages import Cells

import tabulate_defences
from rnnids.reporting.plotting import INFINITY
from rnnids.storage import create_hdf5

HEAD = ["Model", *tabulate_defences.MEASURES.values(), "Flows benign under attack"]


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
    nothing = ["-"] * 6  # precision and false alarms, which these files do not have
    assert rows == [
        [*HEAD, "ARS: DoS", "ARS: Bots", "ARS: Scan"],
        ["baseline", accuracy, accuracy, recall, *nothing, "88 %", "1.23 (100 %)", "0.00 (50 %)", "-"],
        ["reduced both", accuracy, accuracy, recall, *nothing, "10 %", f"{INFINITY} (10 %)", "-", "-"],
        ["flow statistics", "-", accuracy, recall, *nothing, "-", "-", "-", "-"],
    ]


def test_a_wide_table_scrolls_and_not_the_page(tabulate):
    page = tabulate(**STUDY)[2][1].decode()
    assert '<div class="scroll">\n<table>' in page and ".scroll { overflow-x: auto; }" in page
    assert page.count("<div") == page.count("</div>") == page.count("<table>") == 1


def test_the_table_is_tidy_and_keeps_infinity_and_nothing_apart(tabulate):
    table, _, _ = tabulate(**STUDY)
    ars = table[table["measure"] == "ARS"].set_index(["model", "attack"])["value"]
    assert ars["reduced_both", "DoS"] == math.inf and math.isnan(ars["reduced_both", "Scan"])
    assert set(table["measure"]) == {"packet accuracy", "flow accuracy", "flow recall", "ARS", "success ratio"}
    assert not table.duplicated(["model", "measure", "attack"]).any()
    assert table["model"].drop_duplicates().tolist() == ["baseline", "reduced_both", "flow_statistics"]
    assert table.loc[table["measure"] == "success ratio", ["low", "high"]].isna().all().all()


def test_scores_that_the_check_refutes_are_marked(tabulate):
    ars = scores("baseline", {"DoS": (30, 1.5, 1.0), "Bots": (10, 2.0, 0.5), "Scan": (10, 2.0, 0.5)})
    table, rows, _ = tabulate(metrics=STUDY["metrics"][:1], ars=[ars.assign(verdict=["refuted", "ok", None])])
    assert rows[1][-3:] == ["1.50 (100 %) !", "2.00 (50 %)", "2.00 (50 %)"]
    verdicts = table[table["measure"] == "ARS"].set_index("attack")["verdict"]
    assert verdicts["DoS"] == "refuted" and verdicts["Bots"] == "ok"


def test_false_alarms_are_shares_of_what_is_benign(tabulate):
    counts = {("attack", "attack"): 50, ("benign", "attack"): 3, ("benign", "benign"): 97, ("attack", "benign"): 5}
    confusion = pd.DataFrame(
        [
            {"model": "baseline", "level": level, "true": true, "predicted": predicted, "count": times * count}
            for level, times in (("packet", 10), ("flow", 1))
            for (true, predicted), count in counts.items()
        ]
    )
    table, rows, _ = tabulate(**STUDY, confusion=[confusion])
    values = table.set_index(["model", "measure"])["value"].to_dict()
    assert values["baseline", "packet false alarms"] == values["baseline", "flow false alarms"] == 0.03
    cells = dict(zip(*rows[:2], strict=True))
    assert cells["False alarms in % of benign packets"] == "3.0"
    assert cells["False alarms in % of benign flows"] == "3.0 (1.0 to 8.5)"


def test_recall_at_a_rate_of_false_alarms_is_that_of_the_best_threshold():
    rng = np.random.default_rng(0)
    for _ in range(50):
        is_attack, logits = rng.random(80) < 0.4, rng.integers(-5, 6, 80).astype(float)
        for rate in (0.0, 0.01, 0.1, 0.3):
            allowed = [
                (logits[is_attack] > threshold).sum()
                for threshold in [*logits, -math.inf]
                if (logits[~is_attack] > threshold).sum() <= rate * (~is_attack).sum()
            ]
            assert tabulate_defences.recall_at(is_attack, logits, rate) == (max(allowed), is_attack.sum())


def test_recalls_read_predictions_of_the_model_of_their_folder(tmp_path):
    (tmp_path / "baseline").mkdir()
    with create_hdf5(tmp_path / "baseline/predictions.h5", "test") as file:
        file["flows/attack"] = np.repeat([0, 2], [1000, 4])
        file["flows/logit"] = np.r_[np.arange(1000.0), 988.0, 990.0, 999.0, 1001.0]
    rows = tabulate_defences.recalls(str(tmp_path / "baseline/predictions.h5")).set_index("metric")
    assert set(rows["model"]) == {"baseline"}
    assert rows["value"].to_dict() == {"recall at 1 % false alarms": 0.75, "recall at 0.1 % false alarms": 0.5}


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

"""Table III beside the paper's."""

import re

import pandas as pd
import pytest
from conftest import REPOSITORY
from pages import Cells

import tabulate_table3
from rnnids.datasets.features import FEATURE_LABELS, FEATURES
from rnnids.errors import InputError

PRINTED = REPOSITORY / "resources/paper/table3.csv"
PAPER = REPOSITORY.parent / "shared/paper/paper.md"


def drops(method, per_flow):
    """Accuracy drops of a method: `per_flow` by feature, 0 for the others; per packet half of that."""
    rows = []
    for feature in FEATURES:
        value = per_flow.get(feature, 0.0)
        row = {"metric": method, "feature": feature}
        rows += [row | {"level": "packet", "value": value / 2, "low": value / 2 - 0.01, "high": value / 2 + 0.01}]
        rows += [row | {"level": "flow", "value": value, "low": value - 0.01, "high": value + 0.01}]
    return pd.DataFrame(rows)


PERTURBED = drops("input_perturbation", {"packet_length": 0.2, "RST": 0.3, "NS": -0.05, "ACK": -0.0001})
DROPPED = drops("feature_dropout", {"destination_port": 0.04})


@pytest.fixture
def tabulate(tmp_path):
    """Runs the script; tabulate(perturbed, dropped) -> (table, rows of the page, bytes of both)."""

    def call(perturbed=PERTURBED, dropped=DROPPED):
        words = ["--paper", PRINTED, "--dataset", "lab"]
        for name, frame in (("input-perturbation", perturbed), ("feature-dropout", dropped)):
            frame.to_csv(tmp_path / f"{name}.csv", index=False)
            words += [f"--{name}", tmp_path / f"{name}.csv"]
        words += ["--output", tmp_path / "table3.csv", "--html", tmp_path / "table3.html"]
        tabulate_table3.main([str(word) for word in words])
        both = (tmp_path / "table3.csv").read_bytes(), (tmp_path / "table3.html").read_bytes()
        return pd.read_csv(tmp_path / "table3.csv"), Cells(both[1].decode()).rows, both

    return call


def test_features_are_ordered_by_their_drop_per_flow_beside_those_of_the_paper(tabulate):
    table, _, _ = tabulate()
    for level in ("flow", "packet"):
        chosen = table[(table["method"] == "input_perturbation") & (table["level"] == level)]
        assert chosen["feature"].tolist()[:2] == ["RST", "packet_length"] and chosen["feature"].iloc[-1] == "NS"
        assert chosen["paper_drop"].tolist()[:2] == [0.057, 0.165]
    assert table["drop"].iloc[[0, 15]].tolist() == [0.3, 0.15]
    assert table["method"].tolist() == ["input_perturbation"] * 30 + ["feature_dropout"] * 30
    assert table["dataset"].unique().tolist() == ["lab"]


def test_the_page_has_both_methods_side_by_side(tabulate):
    _, rows, _ = tabulate()
    assert len(rows) == 16 and {len(row) for row in rows} == {8}
    assert rows[1] == [
        *("RST flag", "0.300 (0.290 to 0.310)", "0.150", "0.057"),
        *("Destination port", "0.040 (0.030 to 0.050)", "0.020", "0.025"),
    ]
    assert rows[15][:2] == ["NS flag", "−0.050 (−0.060 to −0.040)"]
    assert "−0.000" not in str(rows) and {row[4] for row in rows[1:]} == set(FEATURE_LABELS)


def test_equal_features_keep_their_order(tabulate):
    table, _, _ = tabulate()
    last = table[(table["method"] == "feature_dropout") & (table["level"] == "flow")]["feature"].tolist()[1:]
    assert last == [feature for feature in FEATURES if feature != "destination_port"]


def test_the_name_is_that_of_the_data_set_s_folder(tmp_path):
    files = [tmp_path / "lab" / model / "explanations/drops.csv" for model in ("baseline", "feature_dropout")]
    for file, frame in zip(files, (PERTURBED, DROPPED), strict=True):
        file.parent.mkdir(parents=True)
        frame.to_csv(file, index=False)
    words = ["--input-perturbation", files[0], "--feature-dropout", files[1], "--paper", PRINTED]
    tabulate_table3.main([str(word) for word in (*words, "--output", tmp_path / "table3.csv")])
    assert set(pd.read_csv(tmp_path / "table3.csv")["dataset"]) == {"lab"}


def test_two_runs_are_byte_identical(tabulate):
    assert tabulate()[2] == tabulate()[2]


def test_files_that_change_places_are_noticed(tabulate):
    with pytest.raises(InputError, match=r"input-perturbation\.csv: .*feature_dropout; expected input_perturbation"):
        tabulate(DROPPED, PERTURBED)


@pytest.mark.shared
@pytest.mark.skipif(not PAPER.exists(), reason="the paper's text is not here")
def test_the_numbers_are_those_that_the_paper_prints():
    lines = PAPER.read_text().split("TABLE III:")[1].split("- **Lack of")[0].splitlines()
    rows = [line.split("\t") for line in lines if re.search(r"\t[\d.]+\t", line)]
    assert len(rows) == 15
    names = {label.lower(): feature for label, feature in zip(FEATURE_LABELS, FEATURES, strict=True)}
    printed = pd.read_csv(PRINTED)
    for place, method in enumerate(tabulate_table3.METHODS):
        expected = [(names[row[2 * place].lower()], float(row[2 * place + 1])) for row in rows]
        chosen = printed[printed["method"] == method]
        assert list(zip(chosen["feature"], chosen["accuracy_drop"], strict=True)) == expected

"""The table across data sets: every number is that of the file it comes from."""

import detectors
import pandas as pd
import pytest


def write(folder, shift, inf=False):
    """The files of a row, with numbers of its own."""
    folder.mkdir()
    metrics = [("packet", "accuracy", 0.9), ("packet", "f1", 0.8), ("flow", "accuracy", 0.7), ("flow", "recall", 0.5)]
    frames = {
        "metrics": [
            {"level": level, "metric": name, "value": value - shift, "low": value - shift - 0.01, "high": value}
            for level, name, value in metrics
        ],
        "confusion": [
            {"level": "flow", "true": "benign", "predicted": "attack", "count": 5 + 100 * shift},
            {"level": "flow", "true": "benign", "predicted": "benign", "count": 95 - 100 * shift},
        ],
        "recall": [
            {"attack": name, "recall": value - shift, "low": 0.1, "high": 0.9}
            for name, value in (("Scan", 0.6), ("Bot", 0.4))
        ],
        "ars": [{"attack": "Scan", "ars": float("inf") if inf else 1.25, "low": 1.0, "high": float("inf")}],
        "importance": [
            {
                "metric": "input_perturbation",
                "level": "flow",
                "feature": "source_port",
                "value": 0.05 - shift,
                "low": 0.0,
                "high": 0.1,
            }
        ],
    }
    for name, rows in frames.items():
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    place = tmp_path_factory.mktemp("rows")
    audit = [("twins", "as built / All", "near_duplicates_percent", 83.1)]
    pd.DataFrame(audit, columns=["section", "subject", "measure", "value"]).to_csv(place / "audit.csv", index=False)
    return place, [write(place / "own", 0.0), write(place / "other", 0.25, inf=True), write(place / "reduced", 0.1)]


def tabulate(place, folders, output, **change):
    files = {name: tuple(folder / f"{name}.csv" for folder in folders) for name in ("metrics", "confusion", "recall")}
    files |= {name: tuple(folder / f"{name}.csv" for folder in folders[:2]) for name in ("ars", "importance")}
    names = {"trained_on": ("lab",) * 3, "tested_on": ("lab", "lab2", "lab2")}
    names["models"] = ("baseline", "baseline", "reduced_both")
    options = files | names | {"audit": place / "audit.csv", "output": output} | change
    return detectors.run_script("tabulate_transfer.py", **options)


def test_numbers_are_those_of_the_files(rows, tmp_path):
    assert tabulate(*rows, tmp_path / "transfer.csv") == 0
    table = pd.read_csv(tmp_path / "transfer.csv").set_index(["tested_on", "model", "measure", "of"]).value
    assert table["lab2", "baseline", "accuracy", "flow"] == pytest.approx(0.45)
    assert table["lab", "baseline", "false alarms", "flow"] == pytest.approx(0.05)
    assert table["lab2", "reduced_both", "recall of type", "Bot"] == pytest.approx(0.3)
    assert table["lab", "baseline", "ars", "Scan"] == 1.25
    page = (tmp_path / "transfer.html").read_text()
    for words in (
        "83 % of the test flows of lab",
        "lab → lab2, baseline",
        "reduced both",
        "∞ (1.00 to ∞)",
        "source port",
        "−20.0",
    ):
        assert words in page


def test_files_and_rows_that_do_not_fit(rows, tmp_path, capsys):
    place, folders = rows
    assert tabulate(place, folders, tmp_path / "t.csv", metrics=(folders[0] / "metrics.csv",)) == 2
    assert "--metrics: 1 files for 3 rows; give one for each" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()

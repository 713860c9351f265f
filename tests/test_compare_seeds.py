"""Several trainings side by side: values are those of their files, and what holds in all is counted."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

import compare_seeds
import plot_seeds
import tabulate_seeds
from rnnids.detectors import metrics
from rnnids.errors import InputError
from rnnids.storage import create_hdf5, write_csv

ATTACKS = ["Benign", "Scan", "Flood"]


def training(folder, seed, *, easier="Scan", drops=(0.1, 0.3), missed=3):
    """The files of one training, whose detector misses the first `missed` attack flows; their options."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    attack = np.repeat([0, 1, 2], [60, 20, 20])
    count = 1 + np.arange(100) % 4
    logit = np.where(attack > 0, 1.0, -1.0)
    logit[[60 + flow for flow in range(missed)]] = -1
    logit[:2] = 1
    packets = np.repeat(logit, count) + 0.1 * rng.random(count.sum())
    start = np.cumsum(count) - count
    with create_hdf5(folder / "predictions.h5", "test") as file:
        file.attrs["attacks"] = json.dumps(ATTACKS)
        columns = {"row": np.arange(100), "attack": attack, "logit": logit, "offset": start, "packet_count": count}
        for name, column in columns.items():
            file[f"flows/{name}"] = column
        file["packets/logit"] = packets
    rows = []
    for level, values, times in (("packet", packets, count), ("flow", logit, np.ones(100, dtype=int))):
        rows += metrics.metric_rows(level, attack > 0, values, packet_count=times, samples=50, rng=rng)
    write_csv(folder / "metrics.csv", rows)
    found = [int((logit[attack == kind] > 0).sum()) for kind in (1, 2)]
    recall = [
        {"attack": ATTACKS[kind], "recall": found[kind - 1] / 20, "low": low, "high": high}
        for kind in (1, 2)
        for low, high in [metrics.proportion_interval(found[kind - 1], 20)]
    ]
    write_csv(folder / "recall.csv", recall)
    write_search(folder / "search.h5", easier)
    write_search(folder / "better.h5", easier, rows=0)
    importance = [
        {"metric": "p", "level": "flow", "feature": feature, "value": drop, "low": drop - 0.01, "high": drop + 0.01}
        for feature, drop in zip(("port", "length"), drops, strict=True)
    ]
    write_csv(folder / "importance.csv", importance)
    return {
        "predictions": folder / "predictions.h5",
        "metrics": folder / "metrics.csv",
        "recall": folder / "recall.csv",
        "searches": folder / "search.h5",
        "better": folder / "better.h5",
        "importance": folder / "importance.csv",
    }


def write_search(path, easier, rows=8):
    """Evasions of `rows` flows: one type at distance 1 and 2, the other at 3 and, half of them, not at all."""
    kinds = np.resize([1, 2], rows)
    near = kinds == ATTACKS.index(easier)
    distance = np.where(near, 1.0 + np.arange(rows) % 2, np.where(np.arange(rows) < 4, 3.0, np.inf))
    with create_hdf5(path, "test") as file:
        file.attrs["attacks"] = json.dumps(ATTACKS)
        for name, column in {
            "row": np.arange(rows),
            "attack": kinds,
            "l1": distance,
            "success": np.isfinite(distance),
            "exact": np.zeros(rows, dtype=bool),
        }.items():
            file[f"flows/{name}"] = column


@pytest.fixture
def compared(tmp_path):
    """Two models, the first with three trainings and the second with two: the three tables."""
    trainings = {
        ("baseline", 0): training(tmp_path / "a", 0),
        ("baseline", 1): training(tmp_path / "b", 1, missed=6, drops=(0.2, 0.25)),
        ("baseline", 2): training(tmp_path / "c", 2, easier="Flood", drops=(0.4, 0.3)),
        ("adversarial_training", 0): training(tmp_path / "d", 0, missed=5),
        ("adversarial_training", 1): training(tmp_path / "e", 1, missed=4),
    }
    words = []
    for name in compare_seeds.FILES:
        words += [f"--{name}", *(files[name] for files in trainings.values())]
    words += ["--importance", *(files["importance"] for (model, _), files in trainings.items() if model == "baseline")]
    words += ["--models", *(model for model, _ in trainings), "--seeds", *(seed for _, seed in trainings)]
    outputs = {name: tmp_path / f"{name}.csv" for name in ("output", "values", "conclusions")}
    for name, path in outputs.items():
        words += [f"--{name}", path]
    compare_seeds.main([str(word) for word in words])
    return {name: pd.read_csv(path) for name, path in outputs.items()} | {"paths": outputs}


def row(table, **wanted):
    """The one row with some values."""
    for name, value in wanted.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_values_are_those_of_the_files(compared):
    values = compared["values"].fillna({"of": ""})
    assert row(values, model="baseline", seed=0, quantity="recall", of="Scan").value == 17 / 20
    assert row(values, model="baseline", seed=1, quantity="recall", of="Scan").value == 14 / 20
    assert row(values, model="baseline", seed=0, quantity="false alarms").value == pytest.approx(2 / 60, rel=1e-14)
    assert row(values, model="baseline", seed=0, quantity="flow accuracy").value == 95 / 100
    assert row(values, model="baseline", seed=0, quantity="evading flows").value == 6 / 8
    assert row(values, model="baseline", seed=0, quantity="ARS", of="Scan").value == 1
    assert row(values, model="baseline", seed=2, quantity="ARS", of="Scan").value == 3
    assert set(values[values.quantity == "accuracy drop"].model) == {"baseline"}


def test_means_and_intervals_cover_all_trainings(compared):
    table = compared["output"].fillna({"of": ""})
    recall = row(table, model="baseline", quantity="recall", of="Scan")
    assert recall["mean"] == pytest.approx((17 + 14 + 17) / 60)
    assert (recall.smallest, recall.largest, recall.seeds) == (0.7, 0.85, 3)
    assert recall.low < recall["first_low"]  # another training has other misses
    assert 0.5 < recall.flows_shared <= 1
    equal = row(table, model="baseline", quantity="recall", of="Flood")
    assert equal["mean"] == 1
    assert equal.low < 1  # twenty of twenty is not all


def test_what_the_first_says_is_counted_in_the_others(compared):
    table = compared["conclusions"].set_index("subject")
    weakest = table.loc["Attack type by which baseline is evaded most easily"]
    assert (weakest["first"], weakest.same, weakest.seeds, weakest.others) == ("Scan", 2, 3, "Flood")
    accuracy = table.loc["Flow accuracy of adversarial_training, against baseline"]
    assert (accuracy["first"], accuracy.same, accuracy.seeds, accuracy.others) == ("lower", 1, 2, "higher")
    feature = table.loc["Feature that matters most to baseline"]
    assert (feature["first"], feature.same, feature.seeds, feature.others) == ("length", 2, 3, "port")


def test_both_tables_and_the_figure_show_them(compared, tmp_path):
    paths = compared["paths"]
    html = tmp_path / "seeds.html"
    words = ["--seeds", paths["output"], "--conclusions", paths["conclusions"], "--dataset", "tiny"]
    tabulate_seeds.main([str(word) for word in (*words, "--output", tmp_path / "seeds.csv", "--html", html)])
    text = html.read_text()
    assert "mean over 3 trainings" in text
    assert '<td class="text">2 of 3</td>' in text
    words = ["--values", paths["values"], "--seeds", paths["output"], "--output", tmp_path / "seeds.pdf"]
    plot_seeds.main([str(word) for word in words])
    assert (tmp_path / "seeds.pdf").read_bytes().startswith(b"%PDF")


def test_as_many_files_as_trainings(compared, tmp_path):
    words = [word for name in compare_seeds.FILES for word in (f"--{name}", "x.h5", "y.h5")]
    words += ["--models", "a", "--seeds", "0"]
    with pytest.raises(InputError, match="--predictions: 2 for 1 trainings; give one for each"):
        compare_seeds.main([*words, "--values", "v", "--conclusions", "c", "--output", "o"])


def test_a_search_that_found_no_flow_of_a_type(tmp_path):
    files = training(tmp_path / "a", 0)
    with h5py.File(files["searches"]) as file:
        assert len(file["flows/row"]) == 8
    files["searches"] = files["better"]
    found = dict(compare_seeds.robustness({name: str(path) for name, path in files.items()}, np.random.default_rng, 10))
    assert found == {}

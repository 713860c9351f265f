"""Recall at rates of false alarms against counting, and the table and figure that show it."""

import numpy as np
import pandas as pd
import pytest
from explained import make_flows
from legibility import faults
from pages import Cells
from sklearn.metrics import precision_recall_curve, roc_curve

import measure_detection
import plot_detection
import tabulate_detection
from rnnids.detectors.operating_points import RATES, benign_flows_per_hour, curve, thinned, threshold_at
from rnnids.errors import InputError
from rnnids.storage import create_hdf5


def scores(count=600, seed=0):
    """Attack types (N,), of which 0 is benign, and logits that tell them apart but for some."""
    rng = np.random.default_rng(seed)
    attack = rng.choice(3, count, p=[0.6, 0.3, 0.1])
    return attack, (rng.normal(0, 1, count) + np.array([-1.5, 1.5, 0.5])[attack]).round(2)


def test_curves_are_those_of_another_library():
    attack, logits = scores()
    found = curve(attack > 0, logits)
    false_alarms, recall, threshold = roc_curve(attack > 0, logits, drop_intermediate=False)
    places = np.searchsorted(-threshold, -found.threshold, side="left") - 1  # ours: above; theirs: at least
    np.testing.assert_allclose(found.false_alarms[1:], false_alarms[places[1:]])
    np.testing.assert_allclose(found.recall[1:], recall[places[1:]])
    precision, recall, _ = precision_recall_curve(attack > 0, logits)
    for value, at in zip(found.precision[1:20], found.recall[1:20], strict=True):
        assert (np.isclose(recall, at) & np.isclose(precision, value)).any()
    assert (found.false_alarms[0], found.recall[0]) == (0, 0) and np.isnan(found.precision[0])


def test_a_thinned_curve_keeps_its_ends_and_a_few_of_its_points():
    full = curve(*(column > 0 if place == 0 else column for place, column in enumerate(scores(5000))))
    few = thinned(full, 50)
    assert len(few.threshold) <= 52
    assert (few.threshold[0], few.threshold[-1]) == (full.threshold[0], full.threshold[-1])
    assert set(few.threshold) <= set(full.threshold)
    assert thinned(few, 100) is few


@pytest.mark.parametrize("rate", [*RATES, 0.5, 0.0])
def test_a_threshold_lets_no_more_benign_flows_pass_than_it_says_and_no_lower_one_does(rate):
    benign = np.random.default_rng(1).normal(size=2345).round(3)
    threshold = threshold_at(benign, rate)
    assert (benign > threshold).mean() <= rate
    below = benign[benign < threshold].max()
    assert (benign > below).mean() > rate
    assert threshold_at(np.empty(0), rate) == np.inf


def test_an_hour_is_that_of_the_captures_without_the_time_between_them():
    data = make_flows(
        np.ones(6),
        capture=np.repeat([0, 1], 3),
        start_ns=np.array([0, 10, 20, 10**6, 10**6, 10**6 + 10]) * 10**9,
        duration_ns=np.array([0, 0, 10, 0, 0, 20]) * 10**9,
    )
    assert benign_flows_per_hour(data) == 3600 * 3 / 60  # three benign flows in 30 s and 30 s


@pytest.fixture
def predictions(tmp_path):
    """predictions.h5 of a model called plain, and the scores in it."""
    attack, logits = scores()
    (tmp_path / "plain").mkdir()
    with create_hdf5(tmp_path / "plain/predictions.h5", "made by a test") as file:
        file["flows/attack"], file["flows/logit"] = attack, logits
        file.attrs["attacks"] = '["Benign", "Flood", "Bot"]'
    return tmp_path / "plain/predictions.h5", attack, logits


def test_recall_at_each_point_is_what_counting_gives(predictions):
    path, attack, logits = predictions
    rows = measure_detection.operating_points(*measure_detection.read_scores(str(path)), per_hour=1000.0)
    table = pd.DataFrame(rows)
    assert list(dict.fromkeys(table["attack"])) == ["All", "Flood", "Bot"]
    assert list(dict.fromkeys(table["point"])) == ["own threshold", "1 % false alarms", "0.1 % false alarms"]
    for row in table.itertuples():
        chosen = attack > 0 if row.attack == "All" else attack == ["Benign", "Flood", "Bot"].index(row.attack)
        assert row.recall == (logits[chosen] > row.threshold).mean() and row.flows == chosen.sum()
        assert row.false_alarms == (logits[attack == 0] > row.threshold).mean()
        assert row.per_hour == pytest.approx(1000 * row.false_alarms)
        assert row.low <= row.recall <= row.high


def test_figure_and_table_show_the_points(predictions, tmp_path):
    _, attack, logits = predictions
    points = pd.DataFrame(measure_detection.operating_points(attack, logits, ["Benign", "Flood", "Bot"], per_hour=1e4))
    points = points.assign(model="plain")
    curves = pd.DataFrame(thinned(curve(attack > 0, logits), 100)._asdict()).assign(model="plain")
    two = [pd.concat([table, table.assign(model="hardened")], ignore_index=True) for table in (curves, points)]
    figure = plot_detection.draw(*two)
    assert not faults(figure)
    precision, tradeoff = figure.axes[:2]
    dot = next(line for line in tradeoff.lines if line.get_marker() == "o")
    own = points[(points["point"] == "own threshold") & (points["attack"] == "All")].iloc[0]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == pytest.approx((100 * own.false_alarms, 100 * (1 - own.recall)))
    assert [line.get_label() for line in precision.lines if not line.get_label().startswith("_")] == [
        "plain",
        "hardened",
    ]
    two[1].to_csv(tmp_path / "points.csv", index=False)
    output = tmp_path / "detection.csv"
    tabulate_detection.main(["--operating-points", str(tmp_path / "points.csv"), "--output", str(output)])
    rows = Cells(output.with_suffix(".html").read_text()).rows
    assert rows[0][:5] == ["Model", "Operating point", "False alarms in % of benign flows", "an hour", "All"]
    assert len(rows) == 1 + 2 * 3 and rows[1][4].startswith(f"{100 * own.recall:.1f} (")
    assert len(pd.read_csv(output)) == len(two[1])


def test_predictions_of_one_class_are_refused(predictions):
    path, _, _ = predictions
    with create_hdf5(path, "made by a test") as file:
        file["flows/attack"], file["flows/logit"] = np.zeros(5, dtype=int), np.zeros(5)
        file.attrs["attacks"] = '["Benign"]'
    with pytest.raises(InputError, match=r"predictions\.h5: flows of one class only"):
        measure_detection.read_scores(str(path))

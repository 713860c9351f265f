"""Metrics against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sklearn_metrics

from rnnids.detectors import metrics


@pytest.fixture
def scored():
    """(labels, logits, packets) of 300 flows, the logits better than chance."""
    rng = np.random.default_rng(0)
    label, count = rng.random(300) < 0.3, rng.integers(1, 9, 300)
    return label, rng.normal(np.repeat(label, count) * 1.5 - 0.7), count


def test_values_against_scikit_learn(scored):
    label, logits, count = scored
    true, predicted = np.repeat(label, count), logits > 0
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(true, predicted),
        "precision": sklearn_metrics.precision_score(true, predicted),
        "recall": sklearn_metrics.recall_score(true, predicted),
        "f1": sklearn_metrics.f1_score(true, predicted),
        "youden_j": sklearn_metrics.balanced_accuracy_score(true, predicted, adjusted=True),
        "roc_auc": sklearn_metrics.roc_auc_score(true, logits),
        "average_precision": sklearn_metrics.average_precision_score(true, logits),
    }
    rows = metrics.metric_rows("packet", label, logits, packet_count=count, samples=10, rng=np.random.default_rng(0))
    assert {row["metric"]: row["value"] for row in rows} == pytest.approx(expected)
    tn, fp, fn, tp = sklearn_metrics.confusion_matrix(true, predicted).ravel().tolist()
    assert metrics.confusion(true, logits) == {"tp": tp, "fp": fp, "tn": tn, "fn": fn}


def test_interval_is_that_of_resampled_flows(scored):
    """Packets of a flow agree here, so resampling packets would give an interval half as wide."""
    label, logits, count = scored
    logits = np.repeat(logits[np.cumsum(count) - 1], count)
    rng = np.random.default_rng(1)
    flows = np.split(np.arange(len(logits)), np.cumsum(count)[:-1])
    right = np.array([((logits[flow] > 0) == label[index]).sum() for index, flow in enumerate(flows)])
    drawn = [rng.integers(0, len(label), len(label)) for _ in range(4000)]
    expected = np.quantile([right[rows].sum() / count[rows].sum() for rows in drawn], metrics.INTERVAL)
    rows = metrics.metric_rows("packet", label, logits, packet_count=count, samples=4000, rng=rng)
    assert [rows[0]["low"], rows[0]["high"]] == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize(("successes", "total"), [(0, 5), (5, 5), (3, 7), (80, 100)])
def test_proportion_interval_is_wilsons(successes, total):
    expected = binomtest(successes, total).proportion_ci(method="wilson")
    assert metrics.proportion_interval(successes, total) == pytest.approx((expected.low, expected.high))


def test_a_proportion_interval_reaches_the_share_that_was_observed():
    for total in range(1, 400):
        assert metrics.proportion_interval(total, total)[1] == 1
        assert metrics.proportion_interval(0, total)[0] == 0


@pytest.mark.parametrize("attacks", [True, False])
@pytest.mark.filterwarnings("error")
def test_one_class_leaves_areas_undefined(attacks):
    label, logits = np.full(9, attacks), np.linspace(-1, 2, 9)
    rows = metrics.metric_rows(
        "flow", label, logits, packet_count=np.ones(9, int), samples=20, rng=np.random.default_rng(0)
    )
    value = {row["metric"]: row["value"] for row in rows}
    assert value["accuracy"] == ((logits > 0) == attacks).mean()
    assert np.isnan([value["youden_j"], value["roc_auc"], value["average_precision"]]).all()


def test_undefined():
    assert np.isnan(metrics.metrics_of([0, 0, 5, 0])["precision"])
    assert np.isnan(metrics.metrics_of([0, 0, 5, 0])["recall"])
    assert np.isnan(metrics.proportion_interval(0, 0)).all()

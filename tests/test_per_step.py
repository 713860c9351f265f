"""Confidence and features over the packets of flows, against small cases worked out by hand."""

import json
import math

import h5py
import numpy as np
import pytest
from explained import make_flows

from rnnids.datasets.flow_data import is_packet
from rnnids.datasets.selection import sample_flows
from rnnids.errors import InputError
from rnnids.explanations.per_step import quantile_frame, read_confidence, trajectories

QUANTILES = {"median": 0.5, "low": 0.0, "high": 1.0}


@pytest.fixture
def predictions(tmp_path):
    """Flows of 3, 1, 2 and 2 packets; the first two attacks."""
    path = tmp_path / "predictions.h5"
    with h5py.File(path, "w") as file:
        file["flows/attack"] = np.array([1, 1, 0, 0])
        file["flows/packet_count"] = np.array([3, 1, 2, 2])
        file["packets/logit"] = np.array([1, 2, 30, -1, -2, 0, 2, -4], dtype=np.float32)
        file.attrs["attacks"] = json.dumps(["Benign", "Flood"])
    return path


def sigmoid(logit):
    return 1 / (1 + math.exp(-logit))


def test_confidence_is_in_the_true_class_and_counts_the_flows_that_reach_a_step(predictions):
    frame, attacks = read_confidence(predictions)
    assert attacks == ["Benign", "Flood"]
    table = quantile_frame(frame, ["attack", "step"], column="confidence", quantiles=QUANTILES)
    rows = {(row.attack, row.step): row for row in table.itertuples()}
    assert {key: row.flows for key, row in rows.items()} == {(0, 1): 2, (0, 2): 2, (1, 1): 2, (1, 2): 1, (1, 3): 1}
    assert rows[1, 1].high == pytest.approx(sigmoid(1))
    assert rows[1, 1].low == pytest.approx(sigmoid(-1))
    assert rows[0, 1].high == pytest.approx(sigmoid(2))  # logit -2 of a benign flow
    assert rows[0, 1].low == pytest.approx(sigmoid(-2))
    assert rows[0, 2].median == pytest.approx((sigmoid(0) + sigmoid(4)) / 2)
    assert rows[1, 3].median == pytest.approx(1)


def test_predictions_without_names_of_attacks_are_refused(predictions):
    with h5py.File(predictions, "a") as file:
        del file.attrs["attacks"]
    with pytest.raises(InputError, match="damaged, or not written"):
        read_confidence(predictions)


def test_confidence_counts_agree_with_flow_lengths(tmp_path):
    rng = np.random.default_rng(0)
    count = rng.integers(1, 20, 300)
    path = tmp_path / "p.h5"
    with h5py.File(path, "w") as file:
        file["flows/attack"], file["flows/packet_count"] = np.ones(300, dtype=int), count
        file["packets/logit"] = rng.normal(size=count.sum())
        file.attrs["attacks"] = '["Benign", "Flood"]'
    frame, _ = read_confidence(path)
    table = quantile_frame(frame, ["attack", "step"], column="confidence", quantiles=QUANTILES)
    assert table.flows.tolist() == is_packet(count).sum(axis=0).tolist()


def test_trajectories_of_a_small_case():
    data = make_flows(
        [2, 3, 1],
        attack=[1, 1, 0],
        direction=[0, 1, 0, 0, 1, 0],
        length=[60, 100, 80, 200, 300, 999],
        iat_ns=[0, 2_000_000, 0, 500_000, 1, 0],
    )
    table = trajectories(data)
    rows = {(row.attack, row.step, row.direction, row.feature): row for row in table.itertuples()}
    assert len(rows) == len(table) == 2 * 5
    first = rows[1, 1, "forward", "packet_length"]
    assert (first.flows, first.median, first.q25, first.q75) == (2, 70, 65, 75)
    assert rows[1, 2, "reverse", "packet_length"].median == 100
    assert rows[1, 2, "forward", "interarrival_time"].median == 0.5  # milliseconds
    assert rows[1, 3, "reverse", "interarrival_time"].median == 1e-6
    assert rows[0, 1, "forward", "packet_length"].median == 999


def test_samples_keep_the_order_and_hold_each_flow_once():
    data = make_flows(np.ones(50))
    sample = sample_flows(data, 20, 0)
    assert len(sample) == 20
    assert (np.diff(sample.row) > 0).all()
    assert sample.row.tolist() != sample_flows(data, 20, 1).row.tolist()
    assert sample_flows(data, None, 0) is data

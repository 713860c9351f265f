"""Feature importance against models whose importances are known."""

import itertools
import math

import numpy as np
import pytest
import torch
from explained import BATCH, INDEX, StandIn, flag, make_flows

from rnnids.datasets.features import FEATURES
from rnnids.detectors.lstm import LSTMDetector
from rnnids.errors import InputError
from rnnids.explanations.feature_pairs import pair_score, pair_status, score_interval
from rnnids.explanations.importance import (
    accuracy_drop,
    draw_values,
    dropout_importance,
    importance_rows,
    permutation_importance,
    step_rows,
    weight_importance,
)

SYN, ACK, PORT = INDEX["SYN"], INDEX["ACK"], INDEX["source_port"]


def test_weights_are_summed_over_all_paths():
    torch.manual_seed(0)
    hidden = 3
    model = LSTMDetector(hidden, 2)
    first, second = (getattr(model.lstm, f"weight_ih_l{layer}").detach().abs().numpy() for layer in (0, 1))
    readout = model.readout.weight.detach().abs().numpy()[0]
    expected = np.zeros(15)
    gates, units = range(4), range(hidden)
    for gate_1, unit_1, gate_2, unit_2 in itertools.product(gates, units, gates, units):
        path = first[gate_1 * hidden + unit_1] * second[gate_2 * hidden + unit_2, unit_1]
        expected += path * readout[unit_2]
    np.testing.assert_allclose(weight_importance(model), expected, rtol=1e-5)


def test_weights_leave_suppression_inputs_out():
    assert weight_importance(LSTMDetector(4, 1, feature_dropout=True)).shape == (15,)


def perturbed(model, data, repeats=3):
    found = permutation_importance(model, data, repeats=repeats, bootstrap_samples=500, batch_packets=BATCH)
    rows = importance_rows({"input_perturbation": found})
    return {(row["level"], row["feature"]): (row["value"], row["low"], row["high"]) for row in rows}


def test_perturbing_the_deciding_feature_costs_half_and_an_ignored_one_nothing():
    ports = np.where(np.arange(2000) % 2, 50_000, 2_000)
    data = make_flows(np.arange(2000) % 3 + 1, source_port=ports)
    drops = perturbed(StandIn(lambda inputs: inputs[..., PORT]), data)
    value, low, high = drops["flow", "source_port"]
    # Packets choose what is drawn; attack flows hold half of them, give or take one in a thousand.
    assert low < 0.5 < high
    assert abs(value - 0.5) < 0.03
    for (level, feature), (value, low, high) in drops.items():
        assert (level, feature) in drops
        if feature != "source_port":
            assert low <= 0 <= high, feature
            assert abs(value) <= 0.01


def test_noise_of_a_barely_used_feature_lies_within_its_interval():
    data = make_flows(np.full(600, 2), attack=np.random.default_rng(5).integers(0, 2, 600))
    # Labels are random, so no feature can help or hurt, though the model reads this one.
    value, low, high = perturbed(StandIn(lambda inputs: inputs[..., SYN]), data)["flow", "SYN"]
    assert low < 0 < high
    assert low < value < high


def test_values_are_drawn_from_the_pool():
    data = make_flows(np.arange(200) % 3 + 1, flags=flag("SYN", np.zeros(399, dtype=bool)))
    pool = make_flows([1, 1], flags=flag("SYN", np.array([True, True])))
    model = StandIn(lambda inputs: inputs[..., SYN])
    kept = permutation_importance(model, data, repeats=1, batch_packets=BATCH)
    drawn = permutation_importance(model, data, pool=pool, repeats=1, batch_packets=BATCH)
    assert kept.flow.value[SYN] == 0
    # SYN is set everywhere, so that every flow is taken for an attack, as half of them are, and not for benign.
    attacks = np.repeat(data.is_attack, data.packet_count).mean()
    assert drawn.packet.value[SYN] == pytest.approx(1 - 2 * attacks)


def test_values_are_constant_in_a_flow_only_for_constant_features():
    data = make_flows(np.full(50, 4))
    pool, rng = np.arange(10_000), np.random.default_rng(0)
    for feature, name in enumerate(FEATURES):
        drawn = draw_values(data, pool, feature=feature, rng=rng).reshape(50, 4)
        constant = (drawn == drawn[:, :1]).all()
        assert constant == (name in ("source_port", "destination_port", "protocol"))


def test_interval_of_a_drop_resamples_flows_not_packets():
    rng = np.random.default_rng(0)
    lost, total = np.repeat([0, 100], 50), np.full(100, 100)
    value, low, high = accuracy_drop(lost, total, bootstrap_samples=2000, rng=rng)
    assert value == 0.5
    # 100 flows, half of them lost: a binomial interval of flows, not of their 10,000 packets.
    assert abs((high - low) - 2 * 1.96 * math.sqrt(0.25 / 100)) < 0.02


def scored(model, data):
    """{pair of names: its row of PairScores}."""
    pairs = dropout_importance(model, data, bootstrap_samples=200, batch_packets=BATCH).pairs
    columns = pairs._asdict()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*pairs, strict=True)]
    return {(FEATURES[row["first"]], FEATURES[row["second"]]): row for row in rows}


def test_dropout_takes_a_detector_that_was_trained_with_it():
    with pytest.raises(InputError, match="trained without feature dropout"):
        dropout_importance(LSTMDetector(4, 1), make_flows([2, 1]))


def set_to(names, is_set):
    return sum(flag(name, is_set[name]) for name in names)


def test_identical_features_score_high_and_disjoint_ones_1():
    flows = np.arange(400)
    attack = flows % 2 == 1
    # SYN and ACK say the same, but for 5 + 5 flows that only one of them betrays; RST and PSH share nothing.
    syn, ack = attack & (flows % 80 != 1), attack & (flows % 80 != 3)
    flags = set_to(("SYN", "ACK"), {"SYN": syn, "ACK": ack})
    data = make_flows(np.ones(400), attack=attack, flags=flags)
    redundant = StandIn(lambda inputs: (inputs[..., [SYN, ACK]].clamp(min=0)).sum(-1) - 0.5)
    pair = scored(redundant, data)["SYN", "ACK"]
    assert pair["drop_1"] == pair["drop_2"] == 5 / 400
    assert pair["drop_both"] == 0.5
    assert pair["score"] == pytest.approx(20)
    assert pair["status"] == "ok"

    rst, psh = attack & (flows % 4 == 1), attack & (flows % 4 == 3)
    data = make_flows(np.ones(400), attack=attack, flags=set_to(("RST", "PSH"), {"RST": rst, "PSH": psh}))
    columns = [INDEX["RST"], INDEX["PSH"]]
    disjoint = StandIn(lambda inputs: (inputs[..., columns].clamp(min=0)).sum(-1) - 0.5)
    pair = scored(disjoint, data)["RST", "PSH"]
    assert pair["drop_1"] == pair["drop_2"] == 0.25
    assert pair["score"] == 1


def test_features_that_are_needed_together_score_one_half():
    flows = np.arange(400)
    attack = flows % 4 == 3
    flags = set_to(("RST", "PSH"), {"RST": flows % 2 == 1, "PSH": flows % 4 >= 2})
    data = make_flows(np.ones(400), attack=attack, flags=flags)
    both = StandIn(lambda inputs: inputs[..., [INDEX["RST"], INDEX["PSH"]]].amin(-1) - 0.5)
    pair = scored(both, data)["RST", "PSH"]
    assert pair["drop_1"] == pair["drop_2"] == pair["drop_both"] == 0.25
    assert pair["score"] == 0.5


def test_pairs_without_a_drop_are_undefined_and_all_pairs_are_there():
    pairs = scored(StandIn(lambda inputs: inputs[..., SYN]), make_flows(np.full(40, 2)))
    assert len(pairs) == 105
    unread = pairs["ECE", "URG"] if ("ECE", "URG") in pairs else pairs["URG", "ECE"]
    assert np.isnan(unread["score"])
    assert unread["status"] == "undefined"


@pytest.mark.parametrize(
    ("drops", "score"),
    [
        ((0.02, 0.02, 0.01), 0.25),  # no negative drop, and yet below 0.5
        ((-0.1, 0.02, 0.02), 1.0),
        ((0.1, 0.1, -0.1), 0.0),
        ((-0.1, 0.0, 0.1), math.inf),
        ((0.0, -0.1, 0.0), math.nan),
    ],
)
def test_drops_are_floored_at_0(drops, score):
    assert pair_score(*drops) == pytest.approx(score, nan_ok=True)


def test_status_of_scores():
    statuses = [
        pair_status(score, noise=noise)
        for score, noise in ((1.0, False), (1.0, True), (math.nan, True), (math.inf, True))
    ]
    assert statuses == ["ok", "noise", "undefined", "infinite"]
    assert pair_status(math.inf, noise=False, constant=True) == "constant"


def test_pairs_with_a_feature_that_never_varies_say_so():
    data = make_flows(np.full(40, 2), flags=flag("SYN", np.arange(80) % 2 == 0))
    pairs = scored(StandIn(lambda inputs: inputs[..., SYN]), data)
    varying = {"source_port", "destination_port", "protocol", "packet_length", "interarrival_time", "direction", "SYN"}
    for names, row in pairs.items():
        assert (row["status"] == "constant") == (not set(names) <= varying), names


def test_the_interval_of_a_score_holds_the_truth_as_often_as_it_says():
    # Of the flows 10 % need the first feature, 5 % the second, 5 % either of them: the true score is 4/3.
    rng, held = np.random.default_rng(0), 0
    needs = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]])
    for _ in range(200):
        lost = needs[rng.choice(4, 400, p=[0.1, 0.05, 0.05, 0.8])]
        low, high = score_interval(lost, bootstrap_samples=300, rng=rng)
        held += low <= 4 / 3 <= high
    assert 0.90 <= held / 200 <= 0.99


def test_a_score_that_hangs_on_one_flow_is_no_finding():
    lost = np.zeros((1500, 3), dtype=int)
    lost[0, 2] = 1  # infinite: neither feature alone costs anything
    low, high = score_interval(lost, bootstrap_samples=500, rng=np.random.default_rng(0))
    assert (low, high) == (0, math.inf)


def test_drops_by_step_are_those_of_the_predictions_there():
    # Attacks are the flows with SYN in their first packet; what comes after it says nothing.
    attack = np.arange(60) % 2 == 1
    count = np.where(attack, 3, 2)
    first = np.cumsum(count) - count
    syn = np.zeros(count.sum(), dtype=bool)
    syn[first[attack]] = True
    data = make_flows(count, attack=attack, flags=flag("SYN", syn))
    model = StandIn(lambda inputs: inputs[..., SYN] - 0.5)
    found = dropout_importance(model, data, bootstrap_samples=20, batch_packets=BATCH).importance
    # At step 1 half of the flows are lost without it; later ones are wrong in any case, or right.
    np.testing.assert_allclose(found.by_step[SYN], [0.5, 0, 0])
    assert not np.delete(found.by_step, SYN, axis=0).any()
    rows = [row for row in step_rows(data, {"feature_dropout": found}) if row["feature"] == "SYN"]
    assert [(row["step"], row["flows"]) for row in rows] == [(1, 60), (2, 60), (3, 30)]


def test_a_score_between_drops_within_noise_is_marked():
    # One flow in 40 hangs on each feature: a drop of 0.025 whose interval reaches 0.
    flows = np.arange(40)
    attack = flows < 2
    data = make_flows(np.ones(40), attack=attack, flags=flag("RST", flows == 0) + flag("PSH", flows == 1))
    columns = [INDEX["RST"], INDEX["PSH"]]
    pair = scored(StandIn(lambda inputs: (inputs[..., columns].clamp(min=0)).sum(-1) - 0.5), data)["RST", "PSH"]
    assert pair["drop_1"] == pair["drop_2"] == 1 / 40
    assert pair["status"] == "noise"

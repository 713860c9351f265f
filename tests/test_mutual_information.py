"""Entropy and mutual information against closed forms."""

import math

import numpy as np
import pytest
import torch
from explained import BATCH, INDEX, StandIn, flag, make_flows

from rnnids.datasets.features import CONSTANT_FEATURES
from rnnids.detectors.lstm import LSTMDetector
from rnnids.explanations import mutual_information as information_module
from rnnids.explanations.entropy import (
    compare_distributions,
    corrected_entropy,
    joint_counts,
    joint_information,
    plugin_entropy,
)
from rnnids.explanations.mutual_information import (
    Trial,
    attacker_values,
    averages,
    mutual_information,
    observed_values,
    packet_information,
)

DRAWS, BINS = 100, 50
SYN, PORT, IAT = INDEX["SYN"], INDEX["source_port"], INDEX["interarrival_time"]
LENGTH = INDEX["packet_length"]


def binary_entropy(p):
    return -sum(share * math.log2(share) for share in (p, 1 - p) if share > 0)


def expected_entropy(estimator, p):
    """The mean of an estimator over all samples of DRAWS Bernoulli values."""
    seen = np.arange(DRAWS + 1)
    chance = [math.comb(DRAWS, k) * p**k * (1 - p) ** (DRAWS - k) for k in seen.tolist()]
    return estimator(np.stack([seen, DRAWS - seen], axis=1)) @ np.array(chance)


@pytest.mark.parametrize("p", [0.003, 0.01, 0.03, 0.1, 0.3, 0.5])
def test_correction_lowers_the_bias_of_entropy(p):
    truth = binary_entropy(p)
    bias, corrected = (expected_entropy(estimator, p) - truth for estimator in (plugin_entropy, corrected_entropy))
    assert bias < -0.005
    assert abs(corrected) < min(0.004, 0.7 * abs(bias))


def test_a_certain_value_has_no_entropy():
    for estimator in (plugin_entropy, corrected_entropy):
        assert estimator(np.array([[DRAWS, 0], [0, 1]])).tolist() == [0, 0]


def test_entropy_of_known_probabilities():
    assert plugin_entropy(np.array([0.25, 0.75, 0])) == pytest.approx(binary_entropy(0.25))
    assert plugin_entropy(np.ones(8)) == pytest.approx(3)


def noisy_channel(noise, bins):
    """Mean estimates of I between a uniform value and whether it is in the upper half, flipped with chance `noise`."""
    rng = np.random.default_rng(0)
    value = rng.integers(0, bins, (40_000 // bins, DRAWS))
    seen = (value >= bins // 2) ^ (rng.random(value.shape) < noise)
    counts = joint_counts(value, seen, bins=bins)
    return (joint_information(counts, estimator).mean() for estimator in (plugin_entropy, corrected_entropy))


@pytest.mark.parametrize("noise", [0.1, 0.25, 0.5])
def test_noisy_channel_has_the_known_information_after_correction(noise):
    plugin, corrected = noisy_channel(noise, 2)
    truth = 1 - binary_entropy(noise)
    assert plugin - truth > 0.005
    assert corrected == pytest.approx(truth, abs=0.002)


@pytest.mark.parametrize("noise", [0.1, 0.25, 0.5])
def test_two_draws_a_bin_are_too_few_for_any_correction_but_it_helps(noise):
    plugin, corrected = noisy_channel(noise, BINS)
    truth = 1 - binary_entropy(noise)
    assert truth < corrected < plugin


def test_binned_estimate_of_an_independent_prediction_is_0_41_bits():
    plugin, _ = noisy_channel(0.5, BINS)
    assert plugin == pytest.approx(0.41, abs=0.01)


def test_joint_counts_are_those_of_pairs():
    counts = joint_counts(
        np.array([[0, 2, 2], [1, 1, 0]]), np.array([[True, False, True], [True, True, False]]), bins=3
    )
    assert counts.tolist() == [[[0, 1], [0, 0], [1, 1]], [[1, 0], [0, 2], [0, 0]]]


def test_joint_information_of_a_noiseless_channel_is_the_entropy():
    assert joint_information(np.diag([1, 3])) == pytest.approx(binary_entropy(0.25))
    assert joint_information(np.outer([1, 3], [2, 5])) == pytest.approx(0, abs=1e-12)


def information(model, data, feature, values):
    trial = Trial(feature=feature, distribution=values(data, feature, draws=DRAWS), draws=DRAWS, seed=(0,))
    return next(packet_information(model, data, [trial], bins=BINS, batch_packets=BATCH))


def test_a_flag_that_decides_carries_the_entropy_of_its_distribution():
    data = make_flows(np.full(50, 4), flags=flag("SYN", np.arange(200) % 10 == 0))
    model = StandIn(lambda inputs: inputs[..., SYN])
    seen, _ = information(model, data, SYN, observed_values)
    chosen, _ = information(model, data, SYN, attacker_values)
    np.testing.assert_allclose(seen, binary_entropy(0.1))  # a tenth of the packets has it
    np.testing.assert_allclose(chosen, 1)  # the attacker sets it half of the time


def test_a_threshold_on_a_drawn_value_gives_the_known_entropy_in_the_mean():
    ports = np.linspace(1000, 41_000, 400).astype(int)
    data = make_flows(np.full(400, 2), source_port=ports)
    cut = (31_000 - data.mean[PORT]) / data.std[PORT]  # a quarter of the range lies above
    model = StandIn(lambda inputs: inputs[..., PORT] - cut)
    for values in (observed_values, attacker_values):
        exact, binned = information(model, data, PORT, values)
        assert exact.mean() == pytest.approx(binary_entropy(0.25), abs=0.01)
        assert binned.mean() < exact.mean()


def test_interarrival_times_of_an_attacker_are_log_uniform():
    data = make_flows(np.full(10, 4), iat_ns=np.tile([0, 1_000_000, 10_000_000, 100_000_000], 10))
    quantile = attacker_values(data, IAT, draws=DRAWS).quantile
    np.testing.assert_allclose(quantile(np.array([0, 0.5, 1])), [1, 10, 100])


def test_ports_and_lengths_of_an_attacker_reach_both_ends_of_their_range():
    data = make_flows(np.full(3, 2), source_port=[80, 81, 1079])
    quantile = attacker_values(data, PORT, draws=DRAWS).quantile
    assert quantile(np.array([0, 0.9999, 0.0005, 0.0015])).tolist() == [80, 1079, 80, 81]


def small_information(model, data, **options):
    """:func:`mutual_information` with few draws and resamples."""
    few = {"draws": 5, "bins": 4, "bootstrap_samples": 10, "batch_packets": BATCH}
    return mutual_information(model, data, **few | options)


def test_an_ignored_feature_carries_nothing():
    data = make_flows(np.full(20, 3))
    model = StandIn(lambda inputs: inputs[..., SYN])
    found = small_information(model, data, draws=20, bins=10, bootstrap_samples=50)
    ignored = np.arange(15) != SYN
    for of_metric in (found.observed, found.attacker):
        for estimate in of_metric[:2]:
            for numbers in estimate:
                assert numbers.shape == (15,)
                assert (numbers[ignored] == 0).all()
    assert found.attacker.packet.value[SYN] == found.attacker.flow.value[SYN] == 1


def test_ports_and_protocol_vary_for_the_whole_flow_and_other_features_for_one_packet(monkeypatch):
    data, whole, single = make_flows(np.full(9, 4)), [], []

    def answer_flows(detector, flows, feature, *, values, batch_packets):
        whole.append(feature)
        return np.zeros(values.shape, dtype=np.float32)

    def answer_steps(detector, flows, variations, *, batch_packets):
        single.extend(feature for feature, _ in variations)
        return [np.zeros(values.shape, dtype=np.float32) for _, values in variations]

    monkeypatch.setattr(information_module, "vary_flows", answer_flows)
    monkeypatch.setattr(information_module, "vary_steps", answer_steps)
    found = small_information(None, data)
    # Length and interarrival time come both ways.
    assert set(whole) == {*CONSTANT_FEATURES, LENGTH, IAT} and set(single) == set(range(15)) - set(CONSTANT_FEATURES)
    assert all((numbers == 0).all() for of_metric in found[:3] for estimate in of_metric[:2] for numbers in estimate)


def test_states_are_computed_once_for_all_features(monkeypatch):
    data, runs = make_flows(np.full(20, 3)), []
    states = LSTMDetector.states
    monkeypatch.setattr(LSTMDetector, "states", lambda *given: runs.append(given) or states(*given))
    torch.manual_seed(0)
    small_information(LSTMDetector(8, 2), data)
    assert len(runs) == 1


def test_values_that_occur_are_those_of_the_pool():
    data = make_flows(np.full(50, 4), flags=flag("SYN", np.arange(200) % 10 == 0))
    pool = make_flows([4], flags=flag("SYN", np.array([True, False, False, False])))
    model = StandIn(lambda inputs: inputs[..., SYN])
    assert small_information(model, data).observed.flow.value[SYN] == pytest.approx(binary_entropy(0.1))
    assert small_information(model, data, pool=pool).observed.flow.value[SYN] == pytest.approx(binary_entropy(0.25))


def test_averages_count_each_packet_and_each_flow():
    data = make_flows([1, 3])
    values = np.array([4.0, 0, 1, 3])
    weights = np.array([[1, 1], [0, 2], [3, 1]])
    found = averages(data, values, weights)
    np.testing.assert_allclose(found["packet"], [8 / 4, 8 / 6, 16 / 6])
    np.testing.assert_allclose(found["flow"], [3.5, 3, 15 / 4])


def test_length_that_decides_in_the_whole_flow_is_seen_only_by_varying_it_there():
    # An attack is a flow of which more than half of the packets so far are long: no single packet decides.
    def logit(inputs):
        long = (inputs[..., LENGTH] > 0).float()
        return long.cumsum(-1) / torch.arange(1, long.shape[-1] + 1) - 0.5

    data = make_flows(np.full(30, 9), length=np.repeat([40, 1400] * 15, 9))
    found = small_information(StandIn(logit), data, draws=200)
    single, whole = found.observed.flow.value[LENGTH], found.whole_flow.flow.value[LENGTH]
    assert whole == pytest.approx(1, abs=0.02)  # of nine packets five or more are long: even chances
    assert single == 0
    assert np.isnan(found.feasible.flow.value).all() and np.isnan(found.whole_flow.flow.value[SYN])


def test_what_an_attacker_can_reach_bounds_the_information():
    data = make_flows(np.full(30, 3), length=np.full(90, 100))
    model = StandIn(lambda inputs: inputs[..., LENGTH] - 300)
    values = np.tile(np.linspace(100, 700, 400), (90, 1))
    cut = data.mean[LENGTH] + 300 * data.std[LENGTH]
    within = small_information(model, data, reachable={LENGTH: values}).feasible
    share = (values[0] > cut).mean()
    assert within.flow.value[LENGTH] == pytest.approx(binary_entropy(share), abs=0.01)
    assert small_information(model, data, reachable={LENGTH: values[:, :1]}).feasible.flow.value[LENGTH] == 0


def test_fig5_has_equal_accuracy_and_different_information():
    rows = compare_distributions(200)
    summary = {(row["distribution"], row["accuracy"], round(row["mutual_information"], 3)) for row in rows}
    assert {(name, round(accuracy, 9), bits) for name, accuracy, bits in summary} == {
        ("gradual", 0.5, 0.279),
        ("deterministic", 0.5, 1.0),
    }
    for name in ("gradual", "deterministic"):
        mass = [row["p_x"] * row["p_attack_given_x"] for row in rows if row["distribution"] == name]
        assert sum(mass) == pytest.approx(0.5)

"""Shapley values against exact enumeration of all subsets, and what must hold for any game."""

import numpy as np
import pytest
import torch
from explained import BATCH, INDEX, StandIn, flag, make_flows

from rnnids.detectors.lstm import LSTMDetector
from rnnids.errors import InputError
from rnnids.explanations.shapley import exact_shapley_values, shapley_values

SYN, ACK, PSH, PORT = (INDEX[name] for name in ("SYN", "ACK", "PSH", "source_port"))


def game(count=400, seed=0):
    """Flows and a detector that reads four features, two of which say nearly the same."""
    rng = np.random.default_rng(seed)
    attack = np.arange(count) % 2 == 1
    syn, ack, psh = (attack ^ (rng.random(count) < noise) for noise in (0.1, 0.15, 0.3))
    ports = np.where(attack ^ (rng.random(count) < 0.2), 50_000, 2_000)
    flags = flag("SYN", syn) + flag("ACK", ack) + flag("PSH", psh)
    data = make_flows(np.ones(count), attack=attack, flags=flags, source_port=ports)
    weights = torch.zeros(15)
    weights[[SYN, ACK, PSH, PORT]] = torch.tensor([1.0, 0.9, 0.4, 0.6])
    return StandIn(lambda inputs: inputs @ weights - 0.05), data


@pytest.mark.parametrize("seed", [0, 1])
def test_sampled_values_are_the_exact_ones_within_their_error(seed):
    model, data = game()
    features = (SYN, ACK, PSH, PORT)
    exact = exact_shapley_values(model, data, features, batch_packets=BATCH)
    found = shapley_values(model, data, standard_error=0.002, seed=seed, bootstrap_samples=50, batch_packets=BATCH)
    assert found.standard_error.max() <= 0.002
    assert np.abs(found.estimate.value[list(features)] - exact).max() < 4 * 0.002
    # The others are never read: no order gives them anything.
    assert not np.delete(found.estimate.value, features).any()
    assert exact.min() > 0.01  # each matters, else anything would agree


def test_exact_values_follow_from_the_definition():
    # Of two features either suffices and neither is wrong: both get half of the gain; the third is not read.
    attack = np.arange(40) % 2 == 1
    data = make_flows(np.ones(40), attack=attack, flags=flag("SYN", attack) + flag("ACK", attack))
    model = StandIn(lambda inputs: inputs[..., [SYN, ACK]].sum(-1) - 1e-6)
    found = exact_shapley_values(model, data, (SYN, ACK, PSH), batch_packets=BATCH)
    np.testing.assert_allclose(found, [0.25, 0.25, 0], atol=1e-12)


def test_values_add_up_to_the_gain_of_all_features_and_flows_of_several_packets_have_orders_of_their_own():
    torch.manual_seed(0)
    model = LSTMDetector(6, 1, feature_dropout=True).requires_grad_(False)
    data = make_flows(np.arange(60) % 4 + 1)
    found = shapley_values(model, data, standard_error=1.0, bootstrap_samples=20, batch_packets=40)
    assert found.rounds == 4
    assert found.estimate.value.sum() == pytest.approx(found.all_features - found.no_features)
    assert (found.estimate.low <= found.estimate.value).all() and (found.estimate.value <= found.estimate.high).all()


def test_batches_change_nothing_and_seeds_the_sample():
    model, data = game(60)
    options = {"standard_error": 1.0, "bootstrap_samples": 20}
    first = shapley_values(model, data, batch_packets=7, **options).estimate.value
    np.testing.assert_array_equal(first, shapley_values(model, data, batch_packets=BATCH, **options).estimate.value)
    assert (first != shapley_values(model, data, seed=1, **options).estimate.value).any()


def test_rounds_end_where_they_are_said_to():
    model, data = game(60)
    found = shapley_values(model, data, standard_error=1e-9, max_rounds=5, bootstrap_samples=20)
    assert found.rounds == 5 and found.standard_error.max() > 1e-9


def test_a_detector_without_feature_dropout_is_refused():
    with pytest.raises(InputError, match="trained without feature dropout"):
        shapley_values(LSTMDetector(4, 1), make_flows([2, 1]))

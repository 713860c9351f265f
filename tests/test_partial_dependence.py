"""Partial dependence against closed forms and against computing everything anew."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from explained import BATCH, INDEX, StandIn, Stateless, make_flows

from rnnids.attacks.files import read_adversarial_flows
from rnnids.datasets.features import FEATURES, MANIPULABLE_FEATURES
from rnnids.datasets.selection import first_packets, flows_by_type, packet_values
from rnnids.detectors.inference import packet_logits
from rnnids.detectors.lstm import LSTMDetector
from rnnids.detectors.protocol import is_stateful
from rnnids.errors import InputError
from rnnids.explanations.partial_dependence import (
    PartialDependence,
    observed_counts,
    partial_dependence,
    sequential_partial_dependence,
    step_means,
    value_grid,
)
from rnnids.explanations.per_step import mean_by_step, median_by_step
from rnnids.explanations.variation import vary_flows, vary_steps

LENGTH, IAT, PORT = INDEX["packet_length"], INDEX["interarrival_time"], INDEX["source_port"]
COUNTS = [1, 7, 3, 1, 12, 5, 5, 2, 9]


def detector(**variant):
    torch.manual_seed(1)
    return LSTMDetector(8, 2, **variant).requires_grad_(False)


def line(weights):
    """A model whose attack probability is linear in the z-scores: 0.5 + weights of features, by name."""

    def logit(inputs):
        share = 0.5 + sum(weight * inputs[..., INDEX[name]] for name, weight in weights.items())
        return torch.logit(share.double())

    return StandIn(logit)


@pytest.mark.parametrize("name", ["source_port", "packet_length"])
def test_partial_dependence_of_a_linear_model_is_a_line_of_its_slope(name):
    data = make_flows(COUNTS, seed=3)
    grid = value_grid(packet_values(data, INDEX[name]), INDEX[name], size=30)
    model = line({name: 0.07, "destination_port": 0.05})
    found = partial_dependence(model, data, feature=name, grid=grid, batch_packets=BATCH).prediction
    slope = 0.07 / data.std[INDEX[name]]
    np.testing.assert_allclose(np.diff(found) / np.diff(grid), slope, rtol=1e-3)
    # Elsewhere the line's height is the mean of the other feature, over flows and not packets.
    port = ((data.flows["destination_port"] - data.mean[1]) / data.std[1]).mean()
    at = (grid[0] - data.mean[INDEX[name]]) / data.std[INDEX[name]]
    assert found[0] == pytest.approx(0.5 + 0.07 * at + 0.05 * port, abs=1e-6)


def test_partial_dependence_is_that_of_the_flow_and_conditional():
    data = make_flows(COUNTS, seed=3)
    grid = np.array([100.0, 50_000.0])
    groups = flows_by_type(data, None, 0)
    assert list(groups) == ["Benign", "Flood"]
    for flows in groups.values():
        found = partial_dependence(detector(), flows, feature=PORT, grid=grid, batch_packets=BATCH).prediction
        expected = []
        for value in grid:
            ports = np.full(len(flows), value)
            changed = replace(flows, flows={**flows.flows, "source_port": ports})
            logits = packet_logits(detector(), changed, batch_packets=BATCH)[changed.start + changed.packet_count - 1]
            expected.append((1 / (1 + np.exp(-logits.astype(float)))).mean())
        np.testing.assert_allclose(found, expected, atol=1e-6)


def vary_one(model, data, feature, *, values, batch_packets):
    """:func:`vary_steps` of a single variation."""
    return vary_steps(model, data, [(feature, values)], batch_packets=batch_packets)[0]


@pytest.mark.parametrize("vary", [vary_flows, vary_one])
@pytest.mark.parametrize("variant", [{}, {"suppress": "forward"}, {"feature_dropout": True}])
@pytest.mark.parametrize("feature", range(len(FEATURES)))
def test_at_the_observed_value_every_step_is_the_plain_prediction(vary, variant, feature):
    data, model = make_flows(COUNTS), detector(**variant)
    found = vary(model, data, feature, values=packet_values(data, feature)[:, None], batch_packets=BATCH)[:, 0]
    np.testing.assert_allclose(found, packet_logits(model, data, batch_packets=BATCH), atol=1e-6)


def naive_steps(model, data, feature, values):
    """Every flow run anew from its first packet, for every step and value."""
    logits = np.empty(values.shape)
    z_scores = (values - data.mean[feature]) / data.std[feature]
    for flow in range(len(data)):
        inputs = torch.from_numpy(data.padded(np.array([flow])))
        for step in range(int(data.packet_count[flow])):
            packet = data.start[flow] + step
            for column, value in enumerate(z_scores[packet].tolist()):
                changed = inputs[:, : step + 1].clone()
                changed[0, step, feature] = value
                logits[packet, column] = model(changed)[0, step]
    return logits


@pytest.mark.parametrize("batch_packets", [1, 40, BATCH])
@pytest.mark.parametrize("feature", [LENGTH, IAT, INDEX["direction"]])
def test_kept_states_give_what_running_all_prefixes_gives(feature, batch_packets):
    data, model = make_flows(COUNTS), detector()
    rng = np.random.default_rng(0)
    values = rng.choice(packet_values(data, feature), (sum(COUNTS), 6))
    found = vary_one(model, data, feature, values=values, batch_packets=batch_packets)
    expected = naive_steps(model, data, feature, values)
    assert expected.std(axis=1).max() > 1e-4  # the feature matters, else anything would agree
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("variant", [{"suppress": "forward"}, {"suppress": "both"}, {"feature_dropout": True}])
def test_variants_of_the_detector_and_several_features_at_once_give_the_same(variant):
    data, model = make_flows(COUNTS), detector(**variant)
    rng = np.random.default_rng(0)
    features = (INDEX["direction"], LENGTH, INDEX["SYN"])
    variations = [(feature, rng.choice(packet_values(data, feature), (sum(COUNTS), 3))) for feature in features]
    logits = vary_steps(model, data, variations, batch_packets=64)
    for (feature, values), found in zip(variations, logits, strict=True):
        np.testing.assert_allclose(found, naive_steps(model, data, feature, values), atol=1e-6)


@pytest.mark.parametrize("batch_packets", [1, 40, BATCH])
@pytest.mark.parametrize("variant", [{}, {"suppress": "forward"}, {"feature_dropout": True}])
def test_a_detector_without_states_gives_the_same_by_running_prefixes(variant, batch_packets):
    data, model = make_flows(COUNTS), detector(**variant)
    assert is_stateful(model) and not is_stateful(Stateless(model))
    rng = np.random.default_rng(0)
    variations = [
        (feature, rng.choice(packet_values(data, feature), (sum(COUNTS), width)))
        for feature, width in ((LENGTH, 6), (INDEX["direction"], 2))
    ]
    expected = vary_steps(model, data, variations, batch_packets=batch_packets)
    found = vary_steps(Stateless(model), data, variations, batch_packets=batch_packets)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_every_packet_is_run_once_and_every_value_once(monkeypatch):
    data, model = make_flows(COUNTS), detector()
    kept, varied, states, next_logits = [], [], LSTMDetector.states, LSTMDetector.next_logits
    monkeypatch.setattr(LSTMDetector, "states", lambda *given: kept.append(given[2]) or states(*given))
    monkeypatch.setattr(LSTMDetector, "next_logits", lambda *given: varied.append(given[2]) or next_logits(*given))
    variations = [(LENGTH, np.full((sum(COUNTS), 20), 60.0)), (IAT, np.full((sum(COUNTS), 3), 1.0))]
    vary_steps(model, data, variations, batch_packets=100)
    assert sum(lengths.sum() for lengths in kept) == sum(COUNTS)
    assert sum(inputs[..., 0].numel() for inputs in varied) == sum(COUNTS) * 23


def test_varying_flows_changes_all_packets_at_once():
    data = make_flows(COUNTS)
    values = np.random.default_rng(0).integers(40, 1500, (sum(COUNTS), 3))
    found = vary_flows(detector(), data, LENGTH, values=values, batch_packets=50)
    for column in range(3):
        changed = replace(data, packets={**data.packets, "length": values[:, column]})
        np.testing.assert_allclose(found[:, column], packet_logits(detector(), changed, batch_packets=BATCH), atol=1e-6)


def test_sequential_dependence_averages_over_the_flows_that_reach_a_step():
    data, model = make_flows(COUNTS), detector()
    grid = np.array([40.0, 900.0, 1500.0])
    found = sequential_partial_dependence(model, data, feature=LENGTH, grid=grid, batch_packets=BATCH).prediction
    logits = naive_steps(model, data, LENGTH, np.tile(grid, (sum(COUNTS), 1)))
    for step in range(max(COUNTS)):
        packets = [start + step for start, count in zip(data.start, COUNTS, strict=True) if count > step]
        np.testing.assert_allclose(found[step], (1 / (1 + np.exp(-logits[packets]))).mean(axis=0), atol=1e-6)


def test_mean_by_step_of_a_small_case():
    assert mean_by_step(make_flows([2, 1, 3]), np.array([1.0, 2, 5, 0, 4, 6])).tolist() == [2, 3, 6]
    assert median_by_step(make_flows([2, 1, 3]), np.array([1, 2, 5, 0, 4, 6])).tolist() == [1, 3, 6]


def test_the_band_holds_single_flows_and_their_number_is_told():
    data = make_flows(np.ones(100), source_port=np.arange(100) + 2000, destination_port=np.arange(100))
    found = partial_dependence(line({"destination_port": 0.1}), data, feature="source_port", grid=np.array([1.0]))
    z_scores = 0.5 + 0.1 * (np.arange(100) - data.mean[1]) / data.std[1]
    np.testing.assert_allclose((found.low[0], found.high[0]), np.quantile(z_scores, (0.1, 0.9)), atol=1e-6)
    assert found.flows == 100


def test_without_a_grid_the_values_of_the_flows_are_spanned():
    data = make_flows([3, 2], length=[40, 60, 60, 40, 700])
    found = sequential_partial_dependence(detector(), data, feature="packet_length", grid_size=10)
    assert (found.value[0], found.value[-1], len(found.value)) == (40, 700, 10)
    assert found.prediction.shape == (3, 10)
    assert found.flows.tolist() == [2, 2, 1]
    found = partial_dependence(detector(), data, feature="packet_length", grid_size=10)
    assert (found.value[0], found.value[-1], found.prediction.shape) == (40, 700, (10,))


@pytest.mark.parametrize("feature", ["port", 15, -1])
def test_a_feature_that_does_not_exist_is_refused(feature):
    with pytest.raises(ValueError, match="expected"):
        partial_dependence(detector(), make_flows([1]), feature=feature)


def test_settings_without_features_are_refused():
    with pytest.raises(InputError, match="at least one"):
        PartialDependence(features=())


def test_means_are_over_flows_that_evaded():
    original = make_flows([3, 2, 1], length=[40, 60, 60, 40, 50, 1000])
    changed = np.array([140, 60, 62, 240, 50, 9000])
    adversarial = replace(original, packets={**original.packets, "length": changed})
    means = step_means(original, adversarial, LENGTH, evaded=np.array([True, True, False]))
    assert means.flows.tolist() == [2, 2, 1]
    assert means.original.tolist() == [40, 55, 60]
    assert means.adversarial.tolist() == [190, 55, 62]
    means = step_means(original, adversarial, LENGTH, evaded=np.zeros(3, dtype=bool))
    assert means.flows.tolist() == [3, 2, 1]
    assert means.original[0] == 360
    assert np.isnan(means.adversarial).all() and np.isnan(means.adversarial_median).all()
    assert means.original_median[0] == 40


def test_a_port_grid_spans_the_range_and_holds_the_frequent_ports():
    ports = np.concatenate([np.repeat([22, 80], 50), np.arange(1, 60_000, 37)])
    grid = value_grid(ports, INDEX["destination_port"], size=100)
    assert len(grid) <= 100
    assert (grid[0], grid[-1]) == (ports.min(), ports.max())
    assert {22, 80} <= set(grid)
    assert np.diff(grid).max() <= 60_000 / 48


def test_other_grids():
    assert value_grid(np.array([17, 6, 6]), INDEX["protocol"], size=100).tolist() == [6, 17]
    assert value_grid(np.array([40, 1500, 60]), LENGTH, size=5).tolist() == [40, 405, 770, 1135, 1500]
    np.testing.assert_allclose(value_grid(np.array([0, 0.01, 3, 100]), IAT, size=6), [0, 0.01, 0.1, 1, 10, 100])
    assert value_grid(np.zeros(3), IAT, size=6).tolist() == [0]
    assert value_grid(np.array([0, 0, 0.3]), IAT, size=6).tolist() == [0, 0.3]


def test_observed_values_are_counted():
    data = make_flows([2, 1, 1], destination_port=[80, 22, 80], iat_ns=[0, 900_000, 0, 4_000_000])
    ports = observed_counts(data, INDEX["destination_port"], grid=np.array([22.0, 80]))
    assert (ports.value.tolist(), ports.occurrences.tolist()) == ([22, 80], [1, 2])
    times = observed_counts(data, IAT, grid=np.array([0.0, 1, 10]))
    assert (times.value.tolist(), times.occurrences.tolist()) == ([0, 1], [2, 2])


def test_first_packets_are_those_of_each_flow():
    data = make_flows(COUNTS)
    cut = first_packets(data, 3)
    assert cut.packet_count.tolist() == [min(count, 3) for count in COUNTS]
    for feature in MANIPULABLE_FEATURES:
        whole, part = packet_values(data, feature), packet_values(cut, feature)
        for flow, count in enumerate(cut.packet_count):
            rows = slice(cut.start[flow], cut.start[flow] + count)
            assert part[rows].tolist() == whole[data.start[flow] : data.start[flow] + count].tolist()


def test_adversarial_flows_replace_length_and_time_of_their_rows(tmp_path):
    data = make_flows(COUNTS)
    data = replace(data, row=data.row + 100)
    flows = data.take([1, 4, 7])
    path = tmp_path / "attack.h5"
    columns = {"row": flows.row, "attack": flows.flows["attack"], "packet_count": flows.packet_count}
    columns |= {"success": np.array([1, 1, 0], dtype=bool), "already_benign": np.array([0, 1, 0], dtype=bool)}
    length = flows.packets["length"] + 5
    with h5py.File(path, "w") as file:
        file.attrs.update(method="cw", delta=-0.2, attacks=json.dumps(data.attacks))
        for name, column in columns.items():
            file[f"flows/{name}"] = column
        file["packets/length"], file["packets/iat_ns"] = length, flows.packets["iat_ns"] * 2
    original, adversarial, evaded = read_adversarial_flows(path, data)
    assert original.row.tolist() == [101, 104, 107]
    assert evaded.tolist() == [True, False, False]
    np.testing.assert_array_equal(adversarial.packets["length"], original.packets["length"] + 5)
    np.testing.assert_array_equal(adversarial.packets["flags"], flows.packets["flags"])
    with pytest.raises(InputError, match="another data set"):
        read_adversarial_flows(path, data.take([0, 1, 4]))

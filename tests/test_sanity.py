"""Sanity checks of explanations: a planted feature on several architectures, curves against counting, the table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from detectors import flows as some_flows
from detectors import run_script, write_dataset
from explained import INDEX, StandIn, flag, make_flows
from gru import GRUDetector
from pages import Cells
from torch import nn

import check_explanations
import tabulate_sanity
from rnnids.detectors.lstm import LSTMDetector, save_detector
from rnnids.explanations.gradients import integrated_gradients
from rnnids.explanations.importance import permutation_importance
from rnnids.explanations.mutual_information import mutual_information
from rnnids.explanations.sanity import METRICS, Sanity, all_metrics, curves, fitted, planted, shuffled, untrained

LENGTH = INDEX["packet_length"]
SMALL = Sanity(epochs=6, hidden_size=12)


class Perceptron(nn.Module):
    """A detector without memory, as the others are trained."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(15, 12), nn.ReLU(), nn.Linear(12, 1))

    def forward(self, inputs, lengths=None):
        return self.layers(inputs).squeeze(-1)


def trained_on(model, data, epochs=60):
    """The model after gradient steps on all packets of all flows at once."""
    inputs, target = torch.from_numpy(data.padded(np.arange(len(data)))), torch.from_numpy(data.is_attack).float()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    packet = torch.from_numpy(np.arange(inputs.shape[1]) < data.packet_count[:, None])
    for _ in range(epochs):
        optimiser.zero_grad()
        logits = model(inputs, data.packet_count)
        wanted = target[:, None].expand_as(logits)
        nn.functional.binary_cross_entropy_with_logits(logits[packet], wanted[packet]).backward()
        optimiser.step()
    return model.requires_grad_(False)


@pytest.mark.parametrize("build", [lambda: LSTMDetector(12, 1), lambda: GRUDetector(12), Perceptron])
def test_a_planted_feature_comes_first_whatever_the_architecture(build):
    torch.manual_seed(0)
    data = planted(some_flows(120), 1)
    model = trained_on(build(), data)
    attributions = np.abs(integrated_gradients(model, data, steps=8).integrated).sum(axis=0)
    information = mutual_information(model, data, draws=8, bins=4, bootstrap_samples=2)
    for found in (
        permutation_importance(model, data, repeats=1, bootstrap_samples=2).flow.value,
        information.observed.flow.value,
        attributions,
    ):
        assert found.argmax() == LENGTH


def test_all_metrics_but_those_of_other_values_rank_the_planted_feature_first():
    data = planted(some_flows(160), 1)
    metrics = all_metrics(fitted(data, SMALL, seed=0), data)
    assert tuple(metrics) == METRICS and all(values.shape == (15,) for values in metrics.values())
    ranks = check_explanations.ranks(metrics, LENGTH)
    of_other_values = {"mutual_information_attacker", "weights"}
    assert {metric for metric, rank in ranks.items() if rank == 1} >= set(METRICS) - of_other_values


def test_labels_are_shuffled_and_planted_by_seed_and_nothing_else_changes():
    data = some_flows(80)
    other = shuffled(data, 3)
    assert sorted(other.flows["attack"]) == sorted(data.flows["attack"])
    assert (other.flows["attack"] != data.flows["attack"]).any()
    np.testing.assert_array_equal(other.packets["length"], data.packets["length"])
    plant = planted(data, 3)
    length = plant.packets["length"]
    assert set(np.unique(length)) == {60, 1200}
    assert (np.repeat(plant.is_attack, plant.packet_count) == (length == 1200)).all()


def test_random_weights_differ_by_seed_and_leave_the_state_of_torch_alone():
    state = torch.get_rng_state()
    first, second = (untrained(4, 1, seed=seed).readout.weight for seed in (0, 1))
    assert (first != second).any() and (torch.get_rng_state() == state).all()


def test_curves_are_lowest_and_highest_for_the_order_of_what_matters():
    attack = np.arange(80) % 2 == 1
    data = make_flows(np.ones(80), attack=attack, flags=flag("SYN", attack))
    model = StandIn(lambda inputs: inputs[..., INDEX["SYN"]])
    first = [INDEX["SYN"], *(feature for feature in range(15) if feature != INDEX["SYN"])]
    best, worst = (curves(model, data, np.array(order)) for order in (first, first[::-1]))
    assert best == (0.5, 1.0)  # gone at once; there at once
    assert worst == pytest.approx((1.0, 0.5))


def test_script_and_table_say_what_passed(tmp_path):
    folder = tmp_path / "results/tiny/feature_dropout"
    data = some_flows(120)
    dataset = write_dataset(tmp_path / "dataset.h5", data, np.arange(120) % 2)
    detector = fitted(data, replace(SMALL, epochs=2), seed=0)
    folder.mkdir(parents=True)
    save_detector(folder / "weights.safetensors", detector, data.mean, std=data.std, training={})
    output = folder / "explanations/sanity.csv"
    few = {"max_flows": 20, "epochs": 1, "hidden_size": 4, "orders": 2}
    options = {"dataset": dataset, "weights": folder / "weights.safetensors", "output": output}
    assert run_script("check_explanations.py", **options, **few) == 0
    table = pd.read_csv(output)
    assert len(table) == 5 * len(METRICS) and set(table["test"]) == set(tabulate_sanity.TESTS)
    assert (table["passed"] == (table["value"] <= table["limit"])).all()
    assert run_script("tabulate_sanity.py", sanity=output, output=tmp_path / "sanity_table.csv") == 0
    rows = Cells((tmp_path / "sanity_table.html").read_text()).rows
    assert len(rows) == 1 + len(METRICS)
    first = table[(table["metric"] == "weights") & (table["test"] == "planted")].iloc[0]
    assert rows[1][1] == f"{first['value']:.0f} {'passed' if first['passed'] else 'failed'}"


def test_a_model_without_feature_dropout_is_refused(tmp_path, capsys):
    data = some_flows(40)
    dataset = write_dataset(tmp_path / "dataset.h5", data, np.arange(40) % 2)
    save_detector(tmp_path / "weights.safetensors", LSTMDetector(4, 1), data.mean, std=data.std, training={})
    options = {"dataset": dataset, "weights": tmp_path / "weights.safetensors", "output": tmp_path / "sanity.csv"}
    assert run_script("check_explanations.py", **options) == 2
    assert "feature_dropout: true" in capsys.readouterr().err and not (tmp_path / "sanity.csv").exists()

"""Adversarial training: equal work on both sides, warm starts, resuming."""

from dataclasses import replace

import detectors
import numpy as np
import pytest
import torch

from rnnids.attacks import adversarial_training as adversarial
from rnnids.attacks import gradient as attacks
from rnnids.attacks import minimum_norm
from rnnids.detectors.lstm import Detector

ATTACK = attacks.Settings(delta=-0.2, learning_rate=0.1, iterations=10, objective="all_packets", keep="last", mtu=1500)
SCHEDULE = adversarial.Schedule(
    training=replace(detectors.SETTINGS, epochs=3),
    attack=ATTACK,
    kappa=1.0,
    batch_packets=64,
    score_every=2,
    search=minimum_norm.Settings(delta=-0.2, iterations=20, step=5, gamma=0.2, mtu=1500),
    score_flows=10,
    samples=20,
)


def fit(checkpoint, schedule=SCHEDULE):
    trained, data = detectors.trained()
    model = Detector(**trained.architecture)
    model.load_state_dict(trained.state_dict())
    curve, scores, flows = adversarial.fit(model, data, data, schedule, checkpoint)
    return model.state_dict(), curve, scores, flows


def test_both_sides_cost_the_same(tmp_path, monkeypatch):
    """Counted where the gradients are taken, not where they are reported."""
    detectors.trained()  # before anything is counted
    counted = {"training": 0, "attack": 0}
    loss, gradient = adversarial.training.summed_loss, attacks.logits_and_gradient

    def counting_loss(model, batch, *rest):
        counted["training"] += len(batch.rows)
        return loss(model, batch, *rest)

    def counting_gradient(model, batch, values, function):
        counted["attack"] += len(batch.last)
        return gradient(model, batch, values, function)

    monkeypatch.setattr(adversarial.training, "summed_loss", counting_loss)
    monkeypatch.setattr(attacks, "logits_and_gradient", counting_gradient)
    monkeypatch.setattr(adversarial, "score", lambda *_: [{"epoch": 0}])  # scoring is not training
    _, curve, _, _ = fit(tmp_path / "checkpoint")
    assert counted["training"] == sum(row["training_passes"] for row in curve)
    assert counted["attack"] == sum(row["attack_passes"] for row in curve)
    assert counted["attack"] == pytest.approx(counted["training"], rel=0.1)


def test_adversarial_flows_only_grow_and_stay_feasible(tmp_path):
    *_, flows = fit(tmp_path / "checkpoint")
    change = {name: flows.flows.packets[name] - flows.source.packets[name] for name in ("length", "iat_ns")}
    assert (change["length"] >= 0).all()
    assert (change["length"] > 0).any()
    forward = flows.source.packets["direction"] == 0
    of_flood = np.repeat(flows.source.flows["attack"] == 1, flows.source.packet_count)
    assert not change["length"][of_flood & ~forward].any()
    assert not change["iat_ns"][flows.source.start].any()


def test_visits_go_on_where_they_left():
    model, data = detectors.trained()
    flows = adversarial.AdversarialFlows(data)
    device = torch.device("cpu")
    flows.improve(model, 5, 1.0, ATTACK, 64, device)
    first = flows.flows.packets["length"].copy()
    changed = np.flatnonzero(np.add.reduceat(first != flows.source.packets["length"], flows.source.start))
    assert set(changed) <= set(range(5))
    flows.improve(model, len(flows.source), 1.0, ATTACK, 64, device)
    assert flows.visited == 5 + len(flows.source)


def test_it_makes_the_model_harder_to_fool(tmp_path):
    long = replace(SCHEDULE, training=replace(SCHEDULE.training, epochs=30), score_every=30)
    _, _, scores, _ = fit(tmp_path / "checkpoint", long)
    assert sorted({row["epoch"] for row in scores}) == [0, 30]
    of_flood = {row["epoch"]: row["ars"] for row in scores if row["attack"] == "Flood"}
    assert of_flood[30] > of_flood[0]


def test_interrupted_run_ends_the_same(tmp_path, monkeypatch):
    whole, curve, scores, flows = fit(tmp_path / "whole")
    once, calls = adversarial._epoch, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return once(*arguments)

    monkeypatch.setattr(adversarial, "_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "checkpoint")
    monkeypatch.setattr(adversarial, "_epoch", once)
    resumed, resumed_curve, resumed_scores, resumed_flows = fit(tmp_path / "checkpoint")
    assert (resumed_curve, resumed_scores) == (curve, scores)
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert np.array_equal(resumed_flows.flows.packets["iat_ns"], flows.flows.packets["iat_ns"])

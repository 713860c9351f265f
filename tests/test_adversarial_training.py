"""Adversarial training: equal work on both sides, warm starts, resuming."""

from dataclasses import replace

import detectors
import numpy as np
import pytest
import torch

from rnnids.attacks import adversarial_training as adversarial
from rnnids.attacks import descent
from rnnids.attacks.adversarial_training import AdversarialTraining, Schedule, far_start
from rnnids.attacks.descent import decisive_logits, make_batch
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.gradient import CarliniWagner
from rnnids.attacks.minimum_norm import MinimumNorm

SETTINGS = AdversarialTraining(epochs=3, score_every=2, score_flows=10, bootstrap_samples=20)
SCHEDULE = Schedule(
    settings=SETTINGS,
    training=replace(detectors.TRAINING, epochs=3),
    attack=CarliniWagner(iterations=10, keep="last"),
    search=MinimumNorm(iterations=20),
    threat_model=ThreatModel(),
    batch_packets=64,
)


def fit(checkpoint, schedule=SCHEDULE):
    model, data = detectors.trained()
    curve, scores, flows = adversarial.fit(model, data, data, schedule=schedule, checkpoint=checkpoint)
    return model.state_dict(), curve, scores, flows


def test_both_sides_cost_the_same(tmp_path, monkeypatch):
    """Counted where the gradients are taken, not where they are reported."""
    detectors.trained()  # before anything is counted
    counted = {"training": 0, "attack": 0}
    loss, slope = adversarial.training.summed_loss, descent.logits_and_gradient

    def counting_loss(model, batch, *rest, **options):
        counted["training"] += len(batch.rows)
        return loss(model, batch, *rest, **options)

    def counting_gradient(model, batch, *rest, **options):
        counted["attack"] += len(batch.last)
        return slope(model, batch, *rest, **options)

    monkeypatch.setattr(adversarial.training, "summed_loss", counting_loss)
    monkeypatch.setattr(descent, "logits_and_gradient", counting_gradient)
    monkeypatch.setattr(adversarial, "score", lambda *_, **options: [{"epoch": 0}])  # scoring is not training
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
    flows.improve(model, 5, SCHEDULE)
    first = flows.flows.packets["length"].copy()
    changed = np.flatnonzero(np.add.reduceat(first != flows.source.packets["length"], flows.source.start))
    assert set(changed) <= set(range(5))
    flows.improve(model, len(flows.source), SCHEDULE)
    assert flows.visited == 5 + len(flows.source)


def test_it_makes_the_model_harder_to_fool(tmp_path):
    long = replace(
        SCHEDULE,
        settings=replace(SETTINGS, epochs=30, score_every=30),
        training=replace(SCHEDULE.training, epochs=30),
    )
    _, _, scores, _ = fit(tmp_path / "checkpoint", long)
    assert sorted({row["epoch"] for row in scores}) == [0, 30]
    of_flood = {row["epoch"]: row["ars"] for row in scores if row["attack"] == "Flood"}
    assert of_flood[30] > of_flood[0]


def test_interrupted_run_ends_the_same(tmp_path, monkeypatch):
    whole, curve, scores, flows = fit(tmp_path / "whole")
    once, calls = adversarial._epoch, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return once(*arguments, **options)

    monkeypatch.setattr(adversarial, "_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "checkpoint")
    monkeypatch.setattr(adversarial, "_epoch", once)
    resumed, resumed_curve, resumed_scores, resumed_flows = fit(tmp_path / "checkpoint")
    assert (resumed_curve, resumed_scores) == (curve, scores)
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert np.array_equal(resumed_flows.flows.packets["iat_ns"], flows.flows.packets["iat_ns"])


def test_attacks_can_begin_at_the_best_of_far_points():
    detector, data = detectors.trained()
    rows = np.flatnonzero(data.is_attack)[:12]
    rows = rows[np.argsort(-data.packet_count[rows], kind="stable")]
    batch = make_batch(data, rows, ThreatModel())
    original = batch.feasible.original
    assert far_start(detector, batch, original, draws=0, visit=0) is original
    first, again = (far_start(detector, batch, original, draws=8, visit=0) for _ in range(2))
    assert torch.equal(first, again)
    assert batch.feasible.contains(first).all()
    before, after = (decisive_logits(detector, batch, values) for values in (original, first))
    assert (after <= before).all() and (after < before).any()
    # Nothing better among them: the attack goes on from where it was.
    assert torch.equal(far_start(detector, batch, first, draws=8, visit=0), first)

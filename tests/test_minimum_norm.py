"""The fast minimum-norm attack: its projection against brute force, its results recomputed and beside CW's."""

import math
from dataclasses import replace

import detectors
import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from rnnids.attacks.ars import adversarial_robustness_score
from rnnids.attacks.descent import changed_inputs, make_batch
from rnnids.attacks.feasible_set import ThreatModel, raw_scale
from rnnids.attacks.gradient import CarliniWagner
from rnnids.attacks.minimum_norm import MinimumNorm, project_onto_ball
from rnnids.attacks.rising_kappa import search
from rnnids.attacks.targets import select_flows
from rnnids.detectors.inference import last_of_flow, packet_logits

ATTACK = MinimumNorm(iterations=40)


@pytest.mark.parametrize("radius", [0.0, 0.3, 2.0, math.inf])
def test_projection_is_the_nearest_feasible_point(radius):
    rng = np.random.default_rng(int(10 * min(radius, 9)))
    change, limit = rng.normal(1, 1, (1, 3, 2)), rng.uniform(0, 2, (1, 3, 2))
    limit[0, 1, 0] = 0
    found = (
        project_onto_ball(*map(torch.from_numpy, (change, limit)), torch.tensor([radius], dtype=torch.float64))
        .numpy()
        .ravel()
    )
    assert (found >= 0).all() and (found <= limit.ravel()).all() and found.sum() <= radius + 1e-9
    best = minimize(
        lambda d: ((d - change.ravel()) ** 2).sum(),
        np.zeros(6),
        bounds=[(0, high) for high in limit.ravel()],
        constraints=[{"type": "ineq", "fun": lambda d: min(radius, 99) - d.sum()}],
        tol=1e-12,
    )
    np.testing.assert_allclose(found, best.x, atol=1e-5)


def targets():
    model, data = detectors.trained()
    return model, data.take(select_flows(data, None, 0))


def distances(model, flows, attack=ATTACK):
    """(N,) of the nearest flow found, infinite where there is none."""
    result = attack(model, flows, batch_packets=64)
    return np.where(result.success, result.l1, math.inf)


def test_distances_hold_when_recomputed():
    model, flows = targets()
    result = ATTACK(model, flows, batch_packets=64)
    changed = result.adversarial
    logit = last_of_flow(packet_logits(model, changed, batch_packets=64), flows.packet_count)
    np.testing.assert_allclose(logit, result.logit, rtol=1e-4, atol=1e-4)
    growth = {name: changed.packets[name].astype(float) - flows.packets[name] for name in ("length", "iat_ns")}
    assert (growth["length"] >= 0).all() and (growth["iat_ns"] >= 0).all()
    moved = growth["length"] / flows.std[3] + growth["iat_ns"] / 1e6 / flows.std[4]
    np.testing.assert_allclose(np.add.reduceat(moved, flows.start), result.l1, rtol=1e-9, atol=1e-12)
    assert ((result.l1 == 0) & result.success == (result.original_logit <= 0)).all()


def test_it_comes_nearer_than_the_search_of_rising_kappa_with_a_tenth_of_the_gradients():
    model, flows = targets()
    kappas = [0.5, 2.5, 4.5, 6.5]  # 560 gradients a flow
    attack = CarliniWagner(objective="last")
    rising = search(model, flows, attack, kappas=kappas, threat_model=ThreatModel(), batch_packets=64).distances
    nearest = distances(model, flows)
    for kind in (1, 2):
        own = flows.flows["attack"] == kind
        assert adversarial_robustness_score(nearest[own]) <= adversarial_robustness_score(rising[own])


def test_more_iterations_come_nearer():
    model, flows = targets()
    few, many = (distances(model, flows, MinimumNorm(iterations=iterations)) for iterations in (8, 80))
    assert np.isfinite(many).sum() >= np.isfinite(few).sum()
    assert adversarial_robustness_score(many) < adversarial_robustness_score(few)


def test_it_tells_of_every_iterate_and_can_begin_elsewhere():
    model, flows = targets()
    batch = make_batch(flows, np.arange(6), ThreatModel())
    seen = []
    plain = ATTACK.run(model, batch, observe=lambda values, logit: seen.append((values, logit)))
    assert len(seen) == ATTACK.iterations + 1
    assert torch.equal(seen[0][0], batch.feasible.original)
    assert all(batch.feasible.contains(values).all() for values, _ in seen)
    nearest = torch.stack([torch.where(logit <= -0.2, distances_of(batch, values), math.inf) for values, logit in seen])
    reached = plain.rank == 2
    assert reached.any()
    torch.testing.assert_close(nearest.amin(dim=0)[reached], plain.l1[reached])
    again = replace(ATTACK, iterations=1).run(model, batch, start=plain.values)
    torch.testing.assert_close(again.l1[reached], torch.minimum(again.l1, plain.l1)[reached])


def distances_of(batch, values):
    """(B,) L1 in z-scores."""
    return ((values - batch.feasible.original) / raw_scale(batch.std)).sum(dim=(1, 2))


def test_the_goal_all_lowers_every_packet():
    model, flows = targets()
    batch = make_batch(flows, np.flatnonzero(flows.packet_count > 2)[:12], ThreatModel())
    kept = ATTACK.run(model, batch, goal="all")
    found = (kept.logit <= 0).numpy()
    assert found.any()
    logits = model(changed_inputs(batch, kept.values), batch.lengths)
    for flow in np.flatnonzero(found):
        assert (logits[flow, : batch.lengths[flow]] <= 1e-5).all()
    assert (kept.l1 >= ATTACK.run(model, batch).l1 - 1e-9)[kept.rank == 2].float().mean() > 0.8  # one packet is easier


def test_some_flows_of_a_batch_are_attacked_as_alone():
    detector, data = detectors.trained()
    rows = select_flows(data, 8, 0)
    rows = rows[np.argsort(-data.packet_count[rows], kind="stable")]
    batch, attack = make_batch(data, rows, ThreatModel()), MinimumNorm(iterations=5)
    shorter = torch.from_numpy(np.flatnonzero(data.packet_count[rows] < data.packet_count[rows].max()))
    assert len(shorter)
    kept = attack.run(detector, batch.take(shorter))
    alone = attack.run(detector, make_batch(data, rows[shorter.numpy()], ThreatModel()))
    steps = alone.values.shape[1]
    assert torch.allclose(kept.logit, alone.logit, atol=1e-4)
    assert torch.equal(kept.values[:, :steps], alone.values)

"""The fast minimum-norm attack: its projection against brute force, its results recomputed and beside CW's."""

import math

import detectors
import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from rnnids.attacks import gradient as attacks
from rnnids.attacks.ars import adversarial_robustness_score
from rnnids.attacks.minimum_norm import Settings, fast_minimum_norm, nearest_distances, project_onto_ball
from rnnids.attacks.rising_kappa import search
from rnnids.attacks.targets import select_flows
from rnnids.detectors.inference import last_of_flow, packet_logits

SETTINGS = Settings(delta=-0.2, iterations=40, step=5, gamma=0.2, mtu=1500)


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
    return model, data, select_flows(data, None, 0)


def test_distances_hold_when_recomputed():
    model, data, rows = targets()
    attack = lambda *batch: fast_minimum_norm(*batch, SETTINGS)  # noqa: E731
    result = attacks.attack_flows(model, data, rows, attack, SETTINGS, 64, "")
    flows = data.take(rows)
    changed = detectors.replace(
        flows, packets=flows.packets | {name: np.concatenate(result[name]) for name in ("length", "iat_ns")}
    )
    logit = last_of_flow(packet_logits(model, changed, 64), flows.packet_count)
    np.testing.assert_allclose(logit, result["logit"], rtol=1e-4, atol=1e-4)
    growth = np.concatenate(result["length"]) - flows.packets["length"].astype(int)
    assert (growth >= 0).all()
    distances = nearest_distances(model, data, rows, SETTINGS, 64, "")
    assert np.array_equal(np.isfinite(distances), result["logit"] <= 0)
    assert ((distances == 0) == (result["original_logit"] <= 0)).all()


def test_it_comes_nearer_than_the_search_of_rising_kappa_with_a_tenth_of_the_gradients():
    model, data, rows = targets()
    cw = attacks.Settings(delta=-0.2, learning_rate=0.1, iterations=40, objective="last", keep="best", mtu=1500)
    rising = search(model, data, rows, cw, [0.5, 2.5, 4.5, 6.5], 64).distances  # 560 gradients a flow
    nearest = nearest_distances(model, data, rows, SETTINGS, 64, "")
    for kind in (1, 2):
        own = data.flows["attack"][rows] == kind
        assert adversarial_robustness_score(nearest[own]) <= adversarial_robustness_score(rising[own])


def test_more_iterations_come_nearer():
    model, data, rows = targets()
    few, many = (
        nearest_distances(model, data, rows, Settings(-0.2, iterations, 5, 0.2, 1500), 64, "") for iterations in (8, 80)
    )
    assert np.isfinite(many).sum() >= np.isfinite(few).sum()
    assert adversarial_robustness_score(many) < adversarial_robustness_score(few)

"""Attacks: exact gradients, results that hold when recomputed from scratch, and the expected order."""

import math
from dataclasses import replace

import detectors
import numpy as np
import pytest
import torch

from rnnids.attacks import feasible_set as constraints
from rnnids.attacks import gradient as attacks
from rnnids.attacks.targets import select_flows
from rnnids.detectors.inference import last_of_flow, packet_logits

SETTINGS = attacks.Settings(
    delta=-0.2, learning_rate=0.1, iterations=25, objective="all_packets", keep="best", mtu=1500
)
BATCH_PACKETS = 64


def cw(kappa=1.0, **changes):
    """Result of CW on all attack flows of the tiny detector, and what it was run on."""
    model, data = detectors.trained()
    settings = replace(SETTINGS, **changes)
    rows = select_flows(data, None, 0)
    result = attacks.attack_flows(
        model, data, rows, lambda *batch: attacks.carlini_wagner(*batch, kappa, settings), settings, BATCH_PACKETS, ""
    )
    return model, data, rows, result


def attacked(data, rows, result):
    """The flows `rows` with the packets of the adversarial flows."""
    flows = data.take(rows)
    flows.packets.update({name: np.concatenate(result[name]) for name in ("length", "iat_ns")})
    return flows


@pytest.mark.parametrize("objective", attacks.OBJECTIVES)
@pytest.mark.parametrize("loss", [lambda objective: attacks.hinge(-0.2, objective), attacks.negative_loss])
def test_gradient_against_finite_differences(objective, loss):
    model, data = detectors.trained()
    model = model.double()
    batch = attacks.make_batch(data, np.flatnonzero(data.is_attack)[:5], 1500)
    batch = replace(batch, inputs=batch.inputs.double())
    function = loss(objective)

    def value(changed):
        inputs = batch.inputs.clone()
        inputs[..., [3, 4]] = torch.where(batch.mask[..., None], changed, 0.0)
        return float(function(model(inputs), batch).sum())

    start = batch.inputs[..., [3, 4]].clone()
    variable = start.clone().requires_grad_()
    inputs = batch.inputs.clone()
    inputs[..., [3, 4]] = torch.where(batch.mask[..., None], variable, 0.0)
    (gradient,) = torch.autograd.grad(function(model(inputs), batch).sum(), variable)
    step = 1e-6
    for index in np.ndindex(*start.shape):
        ahead, behind = start.clone(), start.clone()
        ahead[index] += step
        behind[index] -= step
        assert float(gradient[index]) == pytest.approx((value(ahead) - value(behind)) / (2 * step), abs=1e-6)
    model.float()


def reference_cw(model, data, row, kappa, settings):
    """One flow, unpadded, step by step from Eq. 1; (best L1 beyond delta or benign, its logit)."""
    flow = data.take([row])
    feasible = constraints.feasible_set(flow, np.array([0]), settings.mtu)
    mean, std = constraints.manipulable_statistics(flow)
    scale = std * torch.tensor([1.0, 1e6], dtype=torch.float64)
    values, change, best = feasible.original, torch.zeros_like(feasible.original), {}
    for _ in range(math.ceil(settings.iterations * kappa) + 1):
        changed = constraints.normalise(values, mean, std).requires_grad_()
        inputs = torch.from_numpy(flow.padded(np.array([0])))
        logits = model(torch.cat([inputs[..., :3], changed, inputs[..., 5:]], dim=-1))
        hinge = logits.clamp(min=settings.delta)
        (gradient,) = torch.autograd.grad(hinge.sum() if settings.objective == "all_packets" else hinge[0, -1], changed)
        last = float(logits[0, -1].detach())
        rank = (last <= 0) + (last <= settings.delta)
        l1 = float(((values - feasible.original) / scale).sum())
        if rank and l1 < best.get(rank, (math.inf,))[0]:
            best[rank] = (l1, last)
        change = (change - settings.learning_rate / kappa * (kappa * gradient + 1)).clamp(min=0)
        change = torch.minimum(change, (feasible.upper - feasible.original) / scale)
        values = constraints.project(feasible.original + change * scale, feasible)
    return best[max(best)] if best else (None, None)


@pytest.mark.parametrize("objective", attacks.OBJECTIVES)
def test_engine_equals_a_plain_loop(objective):
    model, data, rows, result = cw(2.0, objective=objective)
    fooled = 0
    for index, row in list(enumerate(rows))[::2]:
        if result["original_logit"][index] <= 0:
            continue
        l1, logit = reference_cw(model, data, row, 2.0, replace(SETTINGS, objective=objective))
        assert (result["logit"][index] <= 0) == (l1 is not None)
        if l1 is not None:
            fooled += 1
            assert result["l1"][index] == pytest.approx(l1, abs=1e-5)
            assert result["logit"][index] == pytest.approx(logit, abs=1e-4)  # float32, other order of sums
    assert fooled > 10


def test_results_hold_when_recomputed():
    model, data, rows, result = cw()
    flows = attacked(data, rows, result)
    logits = last_of_flow(packet_logits(model, flows, 10**6), flows.packet_count)
    np.testing.assert_allclose(logits, result["logit"], atol=1e-5)
    original = data.take(rows)
    change = np.stack(
        [
            (flows.packets["length"] - original.packets["length"].astype(float)) / data.std[3],
            (flows.packets["iat_ns"] - original.packets["iat_ns"]) / 1e6 / data.std[4],
        ]
    )
    assert (change >= 0).all()
    np.testing.assert_allclose(np.add.reduceat(change.sum(axis=0), flows.start), result["l1"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.maximum.reduceat(change.max(axis=0), flows.start), result["linf"], rtol=1e-9)
    assert (result["logit"] <= 0).mean() > 0.5
    evaded = (result["original_logit"] > 0) & (result["logit"] <= 0)
    assert (result["iteration"] > 0).tolist() == evaded.tolist()
    assert result["iteration"].max() <= SETTINGS.iterations


@pytest.mark.parametrize("keep", attacks.KEEP)
def test_benign_flows_stay_as_they_are(keep):
    model, data = detectors.trained()
    rows = np.flatnonzero(~data.is_attack)
    settings = replace(SETTINGS, delta=-20, iterations=1, keep=keep)  # strong enough to move even these
    attack = lambda *batch: attacks.carlini_wagner(*batch, 20.0, settings)  # noqa: E731
    result = attacks.attack_flows(model, data, rows, attack, SETTINGS, BATCH_PACKETS, "")
    benign = result["original_logit"] <= 0
    assert benign.any()
    assert not result["l1"][benign].any()
    for index in np.flatnonzero(benign):
        start, count = data.start[rows[index]], data.packet_count[rows[index]]
        assert np.array_equal(result["iat_ns"][index], data.packets["iat_ns"][start : start + count])


def test_best_is_no_farther_than_last():
    best, last = cw(1.0)[3], cw(1.0, keep="last")[3]
    both = (best["logit"] <= SETTINGS.delta) & (last["logit"] <= SETTINGS.delta)
    assert both.any()
    assert (best["l1"][both] <= last["l1"][both] + 1e-12).all()
    assert (best["logit"] <= 0).sum() >= (last["logit"] <= 0).sum()


def kept_of(*iterates, keep="best"):
    """What is kept of one flow of one packet whose iterates have a length growth (bytes) and a last logit."""
    _, data = detectors.trained()
    batch = attacks.make_batch(data, np.flatnonzero(data.is_attack & (data.packet_count == 1))[:1], 1500)
    kept = attacks.Kept(batch, -0.2, keep)
    for iteration, (growth, logit) in enumerate(iterates):
        values = batch.feasible.original + torch.tensor([float(growth), 0.0])
        kept.update(values, torch.tensor([logit]), iteration)
    growth = (kept.values - batch.feasible.original)[0, 0, 0]
    scale = 1 / data.std[3]
    assert kept.l1.item() == pytest.approx(growth.item() * scale)
    assert kept.last_l1.item() == pytest.approx(iterates[-1][0] * scale)
    return kept.iteration.item(), kept.logit.item()


def test_what_is_kept():
    fails, benign, beyond = 1.0, -0.1, -0.3
    assert kept_of((0, fails), (5, fails))[0] == 0  # no success: the original
    assert kept_of((0, fails), (5, benign), (3, benign), (4, benign))[0] == 2  # the nearest
    assert kept_of((0, fails), (9, beyond), (5, benign))[0] == 1  # delta counts before distance
    assert kept_of((0, fails), (9, beyond), (5, beyond), (1, fails))[0] == 2
    assert kept_of((0, fails), (5, 0.0), (6, fails))[0] == 1  # a logit of 0 is benign
    assert kept_of((0, fails), (5, benign), (6, fails), keep="last") == (2, fails)


def test_padding_changes_no_result():
    """One flow a batch and all flows in one batch give the same adversarial flows, up to the order of sums."""
    model, data, rows, result = cw(1.0)
    attack = lambda *batch: attacks.carlini_wagner(*batch, 1.0, SETTINGS)  # noqa: E731
    other = attacks.attack_flows(model, data, rows[::-1], attack, SETTINGS, 10**6, "")
    for name in ("l1", "linf", "last_l1", "logit", "original_logit"):
        np.testing.assert_allclose(other[name][::-1], result[name], atol=1e-4)


def test_large_kappa_never_lowers_success():
    success = [(cw(kappa)[3]["logit"] <= 0).mean() for kappa in (0.1, 1, 8)]
    assert success == sorted(success)
    assert success[0] < success[-1]


def bounded(method, epsilon, **changes):
    """Share of attack flows that are benign after PGD or FGSM, and the mean L-infinity distance."""
    model, data = detectors.trained()
    settings = replace(SETTINGS, **changes)
    rows = select_flows(data, None, 0)

    def attack(model, batch):
        return method(model, batch, torch.full(batch.last.shape, epsilon, dtype=torch.float64), settings)

    result = attacks.attack_flows(model, data, rows, attack, settings, BATCH_PACKETS, "")
    return (result["logit"] <= 0).mean(), result["linf"]


def test_bounded_attacks_stay_in_their_ball():
    for method in (attacks.projected_gradient_descent, attacks.fast_gradient_sign):
        _, linf = bounded(method, 0.3)
        tick = 1e-3 / detectors.trained()[1].std[4]  # rounding to the clock may go over by half a tick
        byte = 1 / detectors.trained()[1].std[3]
        assert linf.max() <= 0.3 + max(tick, byte)
        assert linf.max() > 0.25


def test_pgd_gains_from_a_larger_ball_and_beats_fgsm():
    pgd = [bounded(attacks.projected_gradient_descent, epsilon)[0] for epsilon in (0.1, 0.5, 1.0, math.inf)]
    fgsm = [bounded(attacks.fast_gradient_sign, epsilon)[0] for epsilon in (0.1, 0.5, 1.0)]
    assert max(pgd) == pgd[-1]
    assert pgd[0] < pgd[-1]
    assert np.mean(fgsm) <= np.mean(pgd[:-1])


def test_cw_needs_less_than_pgd_at_equal_success():
    model, data, rows, result = cw(4.0)
    fooled = result["logit"] <= 0
    settings = SETTINGS

    def pgd(model, batch):
        return attacks.projected_gradient_descent(model, batch, torch.full(batch.last.shape, math.inf), settings)

    other = attacks.attack_flows(model, data, rows, pgd, replace(settings, keep="last"), BATCH_PACKETS, "")
    both = fooled & (other["logit"] <= 0) & (result["original_logit"] > 0)
    assert both.sum() > 10
    assert result["l1"][both].mean() < other["l1"][both].mean()


def test_nothing_to_attack():
    model, data = detectors.trained()
    result = attacks.attack_flows(model, data, np.empty(0, int), None, SETTINGS, BATCH_PACKETS, "")
    assert len(result["l1"]) == 0

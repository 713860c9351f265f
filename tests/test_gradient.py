"""Attacks: exact gradients, results that hold when recomputed from scratch, and the expected order."""

import math
from dataclasses import replace

import detectors
import numpy as np
import pytest
import torch

from rnnids.attacks import descent, gradient
from rnnids.attacks import feasible_set as constraints
from rnnids.attacks.descent import attack_flows, make_batch
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.gradient import CarliniWagner, FastGradientSign, ProjectedGradientDescent
from rnnids.attacks.targets import select_flows
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.errors import InputError

ATTACK = CarliniWagner(iterations=25)
AS_PUBLISHED = CarliniWagner(iterations=25, learning_rate=0.1, final_rate=1.0, gradient_norm=None)
BATCH_PACKETS = 64


def targets():
    """The tiny detector and all attack flows that it was trained on."""
    model, data = detectors.trained()
    return model, data.take(select_flows(data, None, 0))


def cw(kappa=1.0, **changes):
    """Result of CW on all attack flows of the tiny detector, and what it was run on."""
    model, flows = targets()
    result = replace(ATTACK, kappa=kappa, **changes)(model, flows, batch_packets=BATCH_PACKETS)
    return model, flows, result


@pytest.mark.parametrize("objective", gradient.OBJECTIVES)
@pytest.mark.parametrize("loss", [lambda objective: gradient.hinge(-0.2, objective), gradient.negative_loss])
def test_gradient_against_finite_differences(objective, loss):
    model, data = detectors.trained()
    model = model.double()
    batch = make_batch(data, np.flatnonzero(data.is_attack)[:5], ThreatModel())
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
    (slope,) = torch.autograd.grad(function(model(inputs), batch).sum(), variable)
    step = 1e-6
    for index in np.ndindex(*start.shape):
        ahead, behind = start.clone(), start.clone()
        ahead[index] += step
        behind[index] -= step
        assert float(slope[index]) == pytest.approx((value(ahead) - value(behind)) / (2 * step), abs=1e-6)


def reference_cw(model, data, row, attack):
    """One flow, unpadded, step by step from Eq. 1; (L1 of the nearest of the best iterates, its logit)."""
    flow = data.take([row])
    feasible = constraints.feasible_set(flow, np.array([0]), ThreatModel())
    mean, std = constraints.manipulable_statistics(flow)
    scale = std * torch.tensor([1.0, 1e6], dtype=torch.float64)
    inputs, best = torch.from_numpy(flow.padded(np.array([0]))), {}

    def look(values):
        """The slope of the hinge at raw values, whose distance and logit are noted."""
        changed = constraints.normalise(values, mean, std).requires_grad_()
        logits = model(torch.cat([inputs[..., :3], changed, inputs[..., 5:]], dim=-1))
        hinge = logits.clamp(min=attack.delta)
        (slope,) = torch.autograd.grad(hinge.sum() if attack.objective == "all_packets" else hinge[0, -1], changed)
        last = float(logits[0, -1].detach())
        rank = (last <= 0) + (last <= attack.delta)
        l1 = float(((values - feasible.original) / scale).sum())
        if rank and l1 < best.get(rank, (math.inf,))[0]:
            best[rank] = (l1, last, values)
        return slope, rank

    values, change = feasible.original, torch.zeros_like(feasible.original)
    iterations = math.ceil(attack.iterations * attack.kappa)
    for iteration in range(iterations):
        slope, _ = look(values)
        if attack.gradient_norm is not None:
            slope = torch.where((change <= 0) & (slope > 0), 0.0, slope)
            slope = slope * min(1.0, attack.gradient_norm / max(float(slope.norm()), 1e-12))
        falling = (1 + math.cos(math.pi * iteration / iterations)) / 2
        step = attack.learning_rate / attack.kappa * (attack.final_rate + (1 - attack.final_rate) * falling)
        change = (change - step * (attack.kappa * slope + 1)).clamp(min=0)
        change = torch.minimum(change, (feasible.upper - feasible.original) / scale)
        values = constraints.project(feasible.original + change * scale, feasible)
    look(values)
    if not best:
        return None, None
    rank, low, high = max(best), 0.0, 1.0
    far = best[rank][2] - feasible.original
    for _ in range(descent.HALVINGS):
        middle = (low + high) / 2
        evades = look(constraints.project(feasible.original + middle * far, feasible))[1] >= rank
        low, high = (low, middle) if evades else (middle, high)
    return best[max(best)][:2]


# Other orders of float32 sums: the errors grow over the iterations with the first step.
@pytest.mark.parametrize(("attack", "within"), [(ATTACK, 2e-3), (AS_PUBLISHED, 1e-5)], ids=["default", "as published"])
@pytest.mark.parametrize("objective", gradient.OBJECTIVES)
def test_engine_equals_a_plain_loop(objective, attack, within):
    model, flows = targets()
    attack = replace(attack, kappa=2.0, objective=objective)
    result = attack(model, flows, batch_packets=BATCH_PACKETS)
    fooled = 0
    for row in range(0, len(flows), 2):
        if result.original_logit[row] <= 0:
            continue
        l1, logit = reference_cw(model, flows, row, attack)
        assert result.success[row] == (l1 is not None)
        if l1 is not None:
            fooled += 1
            assert result.l1[row] == pytest.approx(l1, abs=within)
            assert result.logit[row] == pytest.approx(logit, abs=max(10 * within, 1e-3))  # rounded to another tick
    assert fooled > 10


def test_results_hold_when_recomputed():
    model, original, result = cw()
    flows = result.adversarial
    logits = last_of_flow(packet_logits(model, flows, batch_packets=10**6), flows.packet_count)
    np.testing.assert_allclose(logits, result.logit, rtol=1e-4, atol=1e-5)
    change = np.stack(
        [
            (flows.packets["length"] - original.packets["length"].astype(float)) / original.std[3],
            (flows.packets["iat_ns"] - original.packets["iat_ns"]) / 1e6 / original.std[4],
        ]
    )
    assert (change >= 0).all()
    np.testing.assert_allclose(np.add.reduceat(change.sum(axis=0), flows.start), result.l1, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.maximum.reduceat(change.max(axis=0), flows.start), result.linf, rtol=1e-9)
    assert (result.success == (result.logit <= 0)).all()
    assert result.success.mean() > 0.5
    evaded = (result.original_logit > 0) & (result.logit <= 0)
    assert (result.iteration > 0).tolist() == evaded.tolist()
    assert result.iteration.max() <= ATTACK.iterations


def test_the_flows_attacked_are_left_as_they_were():
    model, data = detectors.trained()
    flows, before = data.take(data.is_attack), data.take(data.is_attack)
    result = ATTACK(model, flows)
    assert flows.digest() == before.digest()
    assert result.adversarial.digest() != before.digest()
    assert result.adversarial.row.tolist() == flows.row.tolist()


@pytest.mark.parametrize("keep", gradient.KEEP)
def test_benign_flows_stay_as_they_are(keep):
    model, data = detectors.trained()
    flows = data.take(~data.is_attack)
    attack = CarliniWagner(kappa=20.0, delta=-20, iterations=1, keep=keep)  # strong enough to move even these
    result = attack(model, flows, batch_packets=BATCH_PACKETS)
    benign = result.original_logit <= 0
    assert benign.any()
    assert (result.already_benign == benign).all()
    assert not result.l1[benign].any()
    for row in np.flatnonzero(benign):
        packets = flows.packet_rows(np.array([row]))
        for name in ("length", "iat_ns"):
            assert np.array_equal(result.adversarial.packets[name][packets], flows.packets[name][packets])


def test_best_is_no_farther_than_last():
    best, last = cw(1.0)[2], cw(1.0, keep="last")[2]
    both = (best.logit <= ATTACK.delta) & (last.logit <= ATTACK.delta)
    assert both.any()
    assert (best.l1[both] <= last.l1[both] + 1e-12).all()
    assert best.success.sum() >= last.success.sum()


def kept_of(*iterates, keep="best"):
    """What is kept of one flow of one packet whose iterates have a length growth (bytes) and a last logit."""
    _, data = detectors.trained()
    batch = make_batch(data, np.flatnonzero(data.is_attack & (data.packet_count == 1))[:1], ThreatModel())
    kept = descent.Kept(batch, -0.2, keep)
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
    model, flows, result = cw(1.0)
    other = ATTACK(model, flows.take(np.arange(len(flows))[::-1]), batch_packets=10**6)
    for name in ("l1", "linf", "last_l1", "logit", "original_logit"):
        np.testing.assert_allclose(getattr(other, name)[::-1], getattr(result, name), atol=1e-4)


def test_large_kappa_never_lowers_success():
    success = [cw(kappa)[2].success.mean() for kappa in (0.1, 1, 8)]
    assert success == sorted(success)
    assert success[0] < success[-1]


@pytest.mark.parametrize(("kappa", "passes"), [(0.1, 3), (1, 25), (2.5, 63)])
def test_a_flow_costs_as_many_gradients_as_it_says(kappa, passes, monkeypatch):
    counted, plain = [], descent.logits_and_gradient

    def counting(detector, batch, *rest, **options):
        counted.append(len(batch.last))
        return plain(detector, batch, *rest, **options)

    monkeypatch.setattr(descent, "logits_and_gradient", counting)
    _, _, result = cw(kappa)
    assert replace(ATTACK, kappa=kappa).passes == passes
    assert sum(counted) == passes * (result.original_logit > 0).sum()


def bounded(method, epsilon):
    """Share of attack flows that are benign after PGD or FGSM, and the L-infinity distances."""
    model, flows = targets()
    attack = method(iterations=25) if method is ProjectedGradientDescent else method()

    def of_flows(model, batch):
        return attack.run(model, batch, torch.full(batch.last.shape, epsilon, dtype=torch.float64))

    result = attack_flows(model, flows, of_flows, batch_packets=BATCH_PACKETS)
    return result.success.mean(), result.linf


@pytest.mark.parametrize("method", [ProjectedGradientDescent, FastGradientSign])
def test_bounded_attacks_stay_in_their_ball(method):
    _, linf = bounded(method, 0.3)
    std = detectors.trained()[1].std
    tick, byte = 1e-3 / std[4], 1 / std[3]  # rounding to the clock may go over by half a tick
    assert linf.max() <= 0.3 + max(tick, byte)
    assert linf.max() > 0.25


@pytest.mark.parametrize("method", [ProjectedGradientDescent, FastGradientSign])
def test_one_bound_for_all_is_a_bound_of_each(method):
    model, flows = targets()
    result = method(epsilon=0.3)(model, flows, batch_packets=BATCH_PACKETS)
    assert result.linf.max() > 0.25

    def of_flows(model, batch):
        return method().run(model, batch, torch.full(batch.last.shape, 0.3, dtype=torch.float64))

    each = attack_flows(model, flows, of_flows, batch_packets=BATCH_PACKETS)
    np.testing.assert_array_equal(each.l1, result.l1)
    np.testing.assert_array_equal(each.logit, result.logit)


def test_pgd_gains_from_a_larger_ball_and_beats_fgsm():
    pgd = [bounded(ProjectedGradientDescent, epsilon)[0] for epsilon in (0.1, 0.5, 1.0, math.inf)]
    fgsm = [bounded(FastGradientSign, epsilon)[0] for epsilon in (0.1, 0.5, 1.0)]
    assert max(pgd) == pgd[-1]
    assert pgd[0] < pgd[-1]
    assert np.mean(fgsm) <= np.mean(pgd[:-1])


def test_cw_needs_less_than_pgd_at_equal_success():
    model, flows, result = cw(4.0)
    attack = ProjectedGradientDescent(iterations=25)

    def pgd(model, batch):
        return attack.run(model, batch, torch.full(batch.last.shape, math.inf))

    other = attack_flows(model, flows, pgd, batch_packets=BATCH_PACKETS)
    both = result.success & other.success & (result.original_logit > 0)
    assert both.sum() > 10
    assert result.l1[both].mean() < other.l1[both].mean()


def test_a_narrower_threat_model_is_kept_to():
    model, flows = targets()
    threat_model = ThreatModel(bytes_per_packet=300, delay_per_flow=0.1)
    result = CarliniWagner(kappa=4.0)(model, flows, threat_model=threat_model)
    growth = {
        name: result.adversarial.packets[name].astype(float) - flows.packets[name] for name in ("length", "iat_ns")
    }
    assert 0 < growth["length"].max() <= 300
    assert 0 < np.add.reduceat(growth["iat_ns"], flows.start).max() <= 1e8
    assert 0 < result.success.mean() < cw(4.0)[2].success.mean()


def test_settings_that_cannot_be_are_refused():
    for attack, wrong in (
        (CarliniWagner, {"kappa": 0}),
        (CarliniWagner, {"keep": "first"}),
        (ProjectedGradientDescent, {"epsilon": -1}),
        (FastGradientSign, {"objective": "none"}),
    ):
        with pytest.raises(InputError, match=next(iter(wrong))):
            attack(**wrong)


def test_nothing_to_attack():
    model, data = detectors.trained()
    result = ATTACK(model, data.take(np.empty(0, int)), batch_packets=BATCH_PACKETS)
    assert len(result.l1) == len(result.adversarial) == len(result.success) == 0

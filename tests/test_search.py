"""The search for the nearest evasions: nothing simpler beats it, and what it says of its flows holds."""

import functools
import math
from dataclasses import replace

import detectors
import feasibility
import numpy as np
import pytest
import rugged
import torch
from explained import StandIn

from rnnids.attacks.candidates import MEMBERS, Nearest, Problem, largest_growth
from rnnids.attacks.descent import make_batch
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.gradient import CarliniWagner
from rnnids.attacks.indicators import decisive, distance, draw, rules_of
from rnnids.attacks.minimum_norm import MinimumNorm
from rnnids.attacks.random_points import random_changes
from rnnids.attacks.refinement import coordinates
from rnnids.attacks.search import RobustSearch
from rnnids.detectors.inference import packet_logits

SEARCH = RobustSearch(iterations=20, far_iterations=15, draws=64, generations=15, values=12, polish_rounds=6)
PAPER = ThreatModel()
THREATS = {
    "paper": PAPER,
    "payload": ThreatModel(padding="payload"),
    "caps of a packet": ThreatModel(bytes_per_packet=900, delay_per_packet=4),
    "caps of a flow": ThreatModel(bytes_per_flow=700, delay_per_flow=1.1),
    "payload and caps": ThreatModel(mtu=1200, padding="payload", bytes_per_flow=900, delay_per_packet=3),
}
DETECTORS = {"lstm": lambda: detectors.trained()[0], "ridge": rugged.ridge, "steps": rugged.steps}


@functools.cache
def searched(name, threat="paper", goal="last"):
    """(detector, flows, result) of one search; not to be changed."""
    detector, flows = DETECTORS[name](), rugged.targets(24)
    return detector, flows, replace(SEARCH, goal=goal)(detector, flows, threat_model=THREATS[threat])


def decided(detector, flows, goal):
    """(N,) logits that decide, from the packets' own."""
    logits = np.split(packet_logits(detector, flows, batch_packets=10**6), flows.start[1:])
    return np.array([own[-1] if goal == "last" else own.max() for own in logits])


@pytest.mark.parametrize("goal", ["last", "all"])
@pytest.mark.parametrize("threat", THREATS)
@pytest.mark.parametrize("name", DETECTORS)
def test_all_that_is_said_of_a_flow_holds(name, threat, goal):
    detector, flows, result = searched(name, threat, goal)
    original = decided(detector, flows, goal)
    np.testing.assert_allclose(result.original_logit, original, atol=1e-4)
    for place, threshold in enumerate((0.0, SEARCH.delta)):
        changed, found = result.adversarial(place), np.isfinite(result.l1[place])
        assert not feasibility.violations(flows, changed, THREATS[threat])
        more = changed.packets["length"].astype(float) - flows.packets["length"]
        later = changed.packets["iat_ns"].astype(float) - flows.packets["iat_ns"]
        far = np.add.reduceat(more / flows.std[3] + later / 1e6 / flows.std[4], flows.start)
        np.testing.assert_allclose(far[found], result.l1[place][found], atol=1e-9)
        assert not far[~found].any()
        np.testing.assert_allclose(decided(detector, changed, goal)[found], result.logit[place][found], atol=1e-4)
        assert (result.logit[place][found] <= threshold).all() and np.isinf(result.logit[place][~found]).all()
        assert ((result.l1[place] == 0) == (result.original_logit <= threshold)).all()
        assert ((result.member[place] >= 0) == (found & (result.l1[place] > 0))).all()
    assert (result.l1[0] <= result.l1[1]).all()
    assert ((result.l1[0] > 0) & result.success).sum() > 1
    assert (result.success == np.isfinite(result.l1[0])).all()


def test_threat_models_that_allow_less_are_farther():
    """With every success of the narrower attacker known to the wider one, as the workflow has it."""
    detector, flows, narrow = searched("ridge", "payload and caps")
    wide = SEARCH(detector, flows, known=[narrow.adversarial(0), narrow.adversarial(1)])
    assert (wide.l1 <= narrow.l1 + 1e-9).all() and (wide.success & ~narrow.success).any()


@pytest.mark.parametrize("name", DETECTORS)
def test_it_is_no_farther_than_its_members_alone(name):
    detector, flows, result = searched(name)
    batch = make_batch(flows, np.argsort(-flows.packet_count, kind="stable"), PAPER)
    everything = torch.arange(len(flows))
    problem = Problem(detector, batch, "last", (0.0, SEARCH.delta), 8192, largest_growth(batch))

    def descended(nearest):
        attack = MinimumNorm(delta=0, iterations=SEARCH.iterations, step=SEARCH.step, gamma=SEARCH.gamma)
        attack.run(detector, batch, observe=lambda values, logit: nearest.consider(values, everything, logit, member=2))

    def drawn(nearest):
        for flow in range(len(flows)):
            rng = np.random.default_rng([0, int(flows.row[batch.rows[flow]])])
            change = np.zeros((SEARCH.draws, *problem.limit[flow].shape))
            own = problem.limit[flow, : batch.lengths[flow]].numpy()
            change[:, : len(own)] = random_changes(own, SEARCH.draws, rng)
            nearest.try_changes(torch.from_numpy(change), torch.full((len(change),), flow), member=3)

    def one_at_a_time(nearest):
        nearest.l1[0] = nearest.l1[0].clamp(max=1000.0)  # try all values, also the far ones
        coordinates(problem, nearest, everything, values=SEARCH.values, depth=SEARCH.depth)
        nearest.l1[0][nearest.member[0] < 0] = math.inf

    beaten = 0
    # What single numbers reach depends on the values tried, which follow from what was found before.
    for member, tolerance in ((descended, 1e-6), (drawn, 1e-6), (one_at_a_time, 0.01)):
        nearest = Nearest(problem)
        member(nearest)
        alone = nearest.l1[0].numpy()
        mine = result.l1[0][batch.rows]
        assert (mine <= alone * (1 + tolerance) + 1e-9).all()
        beaten += int((mine < 0.99 * alone).sum())
    assert beaten > 5


@pytest.mark.parametrize("name", ["lstm", "ridge"])
def test_ten_thousand_random_draws_do_not_beat_it(name):
    detector, flows, _ = searched(name)
    flows = flows.take(np.flatnonzero(flows.packet_count > 1)[:10])
    result = RobustSearch()(detector, flows)
    rng, nearest = np.random.default_rng(987), np.full(len(flows), math.inf)
    for flow in range(len(flows)):
        rules = rules_of(flows, flow, PAPER)
        more, later = draw(rules, flows, float(result.l1[0, flow]), count=10_000, rng=rng)
        logit = decisive(detector, flows, flow, added_bytes=more, added_delay=later, goal="last")
        if (logit <= 0).any():
            nearest[flow] = distance(flows, more, later)[logit <= 0].min()
    assert np.isfinite(nearest).sum() > 1
    assert not (np.isfinite(nearest) & ~result.success).any()
    assert (result.l1[0] <= nearest / 0.99).all()


@pytest.mark.parametrize("name", ["lstm", "ridge"])
def test_what_other_attacks_found_counts(name):
    detector, flows, rich = searched(name)
    poor = RobustSearch(
        iterations=1,
        far_iterations=1,
        near_starts=0,
        fine_iterations=1,
        draws=8,
        generations=0,
        values=2,
        depth=0,
        polish_rounds=0,
        nearer_rounds=0,
        exact_values=1,
    )
    attacks = [CarliniWagner(iterations=20, objective="last"), MinimumNorm(iterations=60)]
    found = [attack(detector, flows) for attack in attacks]
    alone = poor(detector, flows)
    result = poor(detector, flows, known=[*(other.adversarial for other in found), rich.adversarial()])
    for success, far in (*((other.success, other.l1) for other in found), (rich.success, rich.l1[0])):
        assert (result.l1[0] <= np.where(success, far, math.inf) + 1e-9).all()
    taken = result.member[0] == MEMBERS.index("known")
    assert taken.any() and (result.l1[0] <= alone.l1[0] + 1e-9)[taken].all()


def test_what_the_threat_model_forbids_does_not_count():
    detector, flows, wide = searched("ridge")
    threat = THREATS["payload and caps"]
    result = SEARCH(detector, flows, threat_model=threat, known=[wide.adversarial()])
    assert not feasibility.violations(flows, result.adversarial(), threat)
    assert feasibility.violations(flows, wide.adversarial(), threat)  # there was something to refuse


@pytest.mark.parametrize("name", ["lstm", "ridge"])
def test_batches_and_chunks_change_nothing(name):
    detector, flows, whole = searched(name)
    alike = SEARCH(detector, flows, batch_packets=40)
    halves = [SEARCH(detector, flows.take(rows)) for rows in (np.arange(0, 24, 2), np.arange(1, 24, 2))]
    apart = np.empty_like(whole.l1)
    apart[:, ::2], apart[:, 1::2] = halves[0].l1, halves[1].l1
    for other in (alike.l1, apart):
        # Sums of float32 in another order may end a descent elsewhere, by little.
        assert (np.isfinite(other) == np.isfinite(whole.l1)).all()
        found = np.isfinite(other)
        np.testing.assert_allclose(other[found], whole.l1[found], rtol=0.02 if name == "lstm" else 1e-9)


def test_the_seed_decides_and_nothing_else():
    detector, flows, first = searched("ridge")
    again, other = SEARCH(detector, flows), SEARCH(detector, flows, seed=1)
    for name in ("l1", "logit", "member", "evaluations", "gradients", "exact"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name
    assert all(np.array_equal(*pair) for pair in zip(first.iat_ns, again.iat_ns, strict=True))
    assert not np.array_equal(first.l1, other.l1)


def test_flows_that_cannot_move_and_flows_that_are_benign_already():
    detector, flows, _ = searched("ridge")
    flows.flows["manipulable"][:6] = 0  # nothing is sent by the attacker
    packets = flows.packets["length"]
    packets[flows.packet_rows(np.arange(6, 9))] = 1500
    flows.flows["duration_ns"][6:9] = 1800 * 10**9  # nor room for delay
    inputs = np.array([decided(detector, flows, "last")[flow] for flow in range(24)])
    shifted = StandIn(lambda x: detector(x) - float(np.median(inputs)))
    result = SEARCH(shifted, flows)
    assert not result.free[:9].any() and (result.free[9:] > 0).all() and result.exact[:9].all()
    benign = result.original_logit <= 0
    assert 5 < benign.sum() < 20
    assert (result.l1[0][benign] == 0).all() and (result.l1[0][~benign] > 0).all()
    assert np.isinf(result.l1[0][:9][~benign[:9]]).all()
    assert (result.l1[1][~(result.original_logit <= SEARCH.delta)] > 0).all()
    assert not result.evaluations[:9].any() and not result.gradients[:9].any()
    searched.cache_clear()


def test_a_detector_without_gradient_is_evaded_too():
    flows = rugged.targets(24)
    detector = rugged.without_gradient()
    result = SEARCH(detector, flows)
    assert not result.gradients.any()
    assert result.success.sum() > 15
    assert not feasibility.violations(flows, result.adversarial(), PAPER)
    assert set(np.unique(result.member[0][result.success])) <= {
        MEMBERS.index(name) for name in MEMBERS if "descent" not in name
    }


def test_a_detector_that_ignores_what_changes_costs_little():
    flows = rugged.targets(24)
    result = SEARCH(rugged.inert(), flows)
    assert not result.success.any() and np.isinf(result.l1).all()
    drawn = result.evaluations[~result.exact]
    assert len(drawn) and (drawn == SEARCH.draws).all() and not result.gradients.any()


def test_nothing_to_attack():
    flows = rugged.targets(4).take(np.empty(0, dtype=int))
    result = SEARCH(rugged.ridge(), flows)
    assert result.l1.shape == (2, 0) and len(result.adversarial()) == 0

"""Descents of the search: near ones stay within what was found and find what one misses; fine ones end nearer."""

import math

import numpy as np
import pytest
import rugged
import torch
from explained import INDEX, StandIn

from rnnids.attacks.candidates import MEMBERS, Nearest, Problem, largest_growth
from rnnids.attacks.descent import make_batch
from rnnids.attacks.descents import fine_descents, follow, near_descents
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.minimum_norm import MinimumNorm

LENGTH = INDEX["packet_length"]


def problem_of(detector, flows, goal="last"):
    batch = make_batch(flows, np.argsort(-flows.packet_count, kind="stable"), ThreatModel())
    return Problem(detector, batch, goal, (0.0, -0.2), 8192, largest_growth(batch))


def generators(count):
    return {flow: np.random.default_rng([3, flow]) for flow in range(count)}


def descended(problem, iterations=20):
    """What one minimum-norm descent from the originals finds."""
    nearest = Nearest(problem)
    everything = torch.arange(len(problem.limit))
    attack = MinimumNorm(delta=0, iterations=iterations)
    follow(problem, nearest, everything, attack=attack, member="descent")
    return nearest, everything


@pytest.mark.parametrize("goal", ["last", "all"])
def test_near_descents_find_nearer_evasions_than_as_many_gradients_of_one_descent(goal):
    problem = problem_of(rugged.ridge(), rugged.targets(24), goal)
    one, everything = descended(problem, iterations=200)
    nearest, _ = descended(problem)
    before = nearest.l1[0].clone()
    taken = near_descents(problem, nearest, everything, rngs=generators(24), starts=12, iterations=15)
    assert taken == 180
    assert (nearest.l1[0] <= before).all()
    movable = one.l1[0] > 0
    ratio = nearest.l1[0][movable].clamp(max=1e3) / one.l1[0][movable].clamp(max=1e3)
    assert ratio.log().mean().exp() < 0.8 and (ratio < 0.99).sum() > 3 * (ratio > 1.01).sum()
    assert (nearest.member[0] == MEMBERS.index("near_descent")).any()


def test_near_descents_look_no_farther_than_what_was_found():
    problem = problem_of(rugged.ridge(), rugged.targets(24))
    nearest, everything = descended(problem)
    near_descents(problem, nearest, everything, rngs=generators(24), starts=4, iterations=5)
    chosen, farthest = nearest.moved(everything), []
    found, consider = nearest.l1[0].clone(), nearest.consider

    def watched(values, owner, logit, *, member):
        l1 = consider(values, owner, logit, member=member)
        farthest.append((l1 - found[owner]).max().item())
        return l1

    nearest.consider = watched
    near_descents(problem, nearest, chosen, rngs=generators(24), starts=3, iterations=5)
    assert len(chosen) > 5 and len(farthest) == 3 * (1 + 5)
    assert max(farthest) < 0.05  # whole bytes and ticks round up what lies at the very bound


def test_fine_descents_reach_the_nearest_evasion_of_a_linear_detector():
    """The nearest is known: bytes go onto the packets of the largest weights, as far as each can grow."""
    weight = torch.tensor([0.7, 1.0, 0.9, 1.1, 0.8, 1.2])
    detector = StandIn(lambda x: 0.8 - (x[..., LENGTH] * weight[: x.shape[1]]).cumsum(dim=1) + 0 * x[..., LENGTH])
    problem = problem_of(detector, rugged.targets(40))
    nearest, everything = descended(problem, iterations=60)
    before = nearest.l1[0].clone()
    attack = MinimumNorm(delta=0, iterations=20)
    assert fine_descents(problem, nearest, everything, place=0, attack=attack) == 40
    logit = problem.evaluate(problem.batch.feasible.original, everything)
    limit, lengths, ratios = problem.limit[..., 0], problem.batch.lengths, []
    for flow in nearest.moved(everything).tolist():
        left, least = float(logit[flow]), 0.0
        for packet in torch.argsort(-weight[: lengths[flow]]).tolist():
            used = min(left / float(weight[packet]), float(limit[flow, packet]))
            left, least = left - used * float(weight[packet]), least + used
        ratios.append((float(nearest.l1[0][flow]) / least, float(before[flow]) / least))
    after, before = np.array(ratios).T
    assert len(ratios) > 10 and after.min() > 0.999
    assert after.max() < 1.005 and (after - 1).mean() < 0.5 * (before - 1).mean()


def test_without_gradient_there_are_none():
    problem = problem_of(rugged.without_gradient(), rugged.targets(8))
    nearest = Nearest(problem)
    nearest.l1[0] = math.inf
    attack = MinimumNorm(delta=0, iterations=3)
    assert fine_descents(problem, nearest, torch.arange(8), place=0, attack=attack) == 0
    assert near_descents(problem, nearest, torch.arange(8), rngs=generators(8), starts=2, iterations=2) == 0
    assert not nearest.evaluations.any()

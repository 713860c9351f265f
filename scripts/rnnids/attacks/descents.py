"""Members of the search that follow gradients, from the original, from far points and from points near by."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rnnids.attacks.candidates import NUMBER, Nearest, Problem, own_packets, padded_changes
from rnnids.attacks.descent import Batch, cosine, decision, largest_change, logits_and_gradient
from rnnids.attacks.feasible_set import project, raw_scale
from rnnids.attacks.minimum_norm import MinimumNorm, step_down, without_cancelled
from rnnids.attacks.random_points import random_changes, sparse_changes
from rnnids.detectors.protocol import has_gradient

POOL = 16  # random points, of which the one of least logit is where a descent begins
REACH = 20.0  # z-scores: of a larger distance, steps are as of this
FIRST, LAST = 0.05, 0.05  # step of a near descent, of the distance; of the first step, what it falls to
WITHIN = 0.98  # of the distance found: the bound of a near descent
FINE = ((0.1, 0.25), (0.02, 0.05))  # of the first step and bound of a minimum-norm descent: those of fine ones


def follow(
    problem: Problem,
    nearest: Nearest,
    flows: Tensor,
    *,
    attack: MinimumNorm,
    member: str,
    start: Tensor | None = None,
) -> int:
    """Run a descent on some flows of the batch and consider all its iterates; gradients a flow.

    Args:
        member: its name among ``MEMBERS``. start: (n, T, 2) raw values to begin with; None: the originals.
    """
    if not len(flows) or not has_gradient(problem.detector):
        return 0

    def consider(values: Tensor, logit: Tensor) -> None:
        nearest.consider(values, flows, logit, member=NUMBER[member])

    attack.run(problem.detector, problem.batch.take(flows), start=start, goal=problem.goal, observe=consider)
    return attack.iterations


def fine_descents(problem: Problem, nearest: Nearest, flows: Tensor, *, place: int, attack: MinimumNorm) -> int:
    """Short steps from the nearest evasions at a threshold, where those of others are too long; gradients a flow.

    Args:
        attack: the descent of which they are a finer version.
    """
    found, taken = nearest.moved(flows, place), 0
    for of_step, of_gamma in FINE:
        fine = replace(attack, step=attack.step * of_step, gamma=attack.gamma * of_gamma)
        start = nearest.values[place][found]
        taken += follow(problem, nearest, found, attack=fine, member="fine_descent", start=start)
    return taken


def near_descents(
    problem: Problem,
    nearest: Nearest,
    flows: Tensor,
    *,
    rngs: dict[int, np.random.Generator],
    starts: int,
    iterations: int,
) -> int:
    """Descend the logit within the distance found, from random points there; gradients a flow.

    Where a detector was trained against descents, the logit is rugged, and an evasion near by lies in a hollow of its
    own. A minimum-norm descent ends in the first; here the distance is given, so that all goes into looking around
    within it, and each evasion found narrows it.
    """
    if not len(flows) or not has_gradient(problem.detector):
        return 0
    batch, limits = problem.batch.take(flows), own_packets(problem, problem.limit)
    original, scale, limit = batch.feasible.original, raw_scale(batch.std), largest_change(batch)

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        return decision(logits, problem.goal, last=batch.last, mask=batch.mask)

    for _ in range(starts):
        values = _least_of_pool(problem, nearest, flows, limits=limits, rngs=rngs)
        for iteration in range(iterations):
            logit, gradient = logits_and_gradient(problem.detector, batch, values, loss=loss, goal=problem.goal)
            nearest.consider(values, flows, logit, member=NUMBER["near_descent"])
            radius, change = nearest.l1[0][flows] * WITHIN, (values - original) / scale
            gradient = without_cancelled(gradient, change, limit)
            step = FIRST * (LAST + (1 - LAST) * cosine(iteration, iterations)) * radius.clamp(max=REACH)[:, None, None]
            change = step_down(change, gradient, step=step, limit=limit, radius=radius)
            values = project(original + change * scale, batch.feasible)
    return starts * iterations


def _least_of_pool(
    problem: Problem,
    nearest: Nearest,
    flows: Tensor,
    *,
    limits: list[np.ndarray],
    rngs: dict[int, np.random.Generator],
) -> Tensor:
    """(n, T, 2) raw values: of random points within the distance found, of each flow the one of least logit."""
    distance, drawn = nearest.l1[0].cpu().numpy(), []
    for flow in flows.tolist():
        if math.isfinite(distance[flow]):
            drawn.append(sparse_changes(limits[flow], distance[flow], POOL, rng=rngs[flow]))
        else:
            drawn.append(random_changes(limits[flow], POOL, rng=rngs[flow]))
    owner = flows.repeat_interleave(POOL)
    values, logit = nearest.try_changes(padded_changes(problem, drawn), owner, member=NUMBER["random"])
    least = logit.reshape(len(flows), POOL).argmin(dim=1)
    return values[torch.arange(len(flows), device=least.device) * POOL + least]

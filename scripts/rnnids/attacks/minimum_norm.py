"""The fast minimum-norm attack (Pintor et al. 2021) in L1, under the constraints of Sec. III.

It looks for the nearest adversarial flow itself: no trade-off kappa has to be searched. The bound
epsilon on the distance shrinks while the flow is adversarial and grows while it is not.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from rnnids.attacks.feasible_set import project, raw_scale
from rnnids.attacks.gradient import Kept, attack_flows, largest_change, last_logits, logits_and_gradient, over_packets


@dataclass(frozen=True)
class Settings:
    """How to search.

    Attributes:
        delta: logit that an adversarial flow should reach (Eq. 1).
        iterations: gradients a flow.
        step: first length of a step, z-scores in L2; falls to a hundredth along half a cosine.
        gamma: first relative change of epsilon; falls in the same way, to a fiftieth.
        mtu: bytes.
    """

    delta: float
    iterations: int
    step: float
    gamma: float
    mtu: int


def fast_minimum_norm(model, batch, settings):
    """The nearest flow found whose last packet is below `delta`.

    Args:
        batch: attacks.Batch.

    Returns:
        attacks.Kept, over the original and all iterates.
    """
    original, scale, limit = batch.feasible.original, raw_scale(batch.std), largest_change(batch)
    # The decision alone: lowering the logits of all packets leads farther away.
    loss = over_packets(lambda logits: logits.clamp(min=settings.delta), "last")
    kept = Kept(batch, settings.delta, "best")
    values, epsilon = original, kept.l1
    for iteration in range(settings.iterations):
        logit, gradient = logits_and_gradient(model, batch, values, loss)
        kept.update(values, logit, iteration)
        decay = 0.5 * (1 + math.cos(math.pi * iteration / settings.iterations))
        gradient = torch.where(limit > 0, gradient, 0.0)
        epsilon = next_bound(epsilon, kept, logit, gradient, settings, settings.gamma * (0.02 + 0.98 * decay))
        length = gradient.pow(2).sum(dim=(1, 2), keepdim=True).sqrt().clamp(min=1e-12)
        step = settings.step * (0.01 + 0.99 * decay) * gradient / length
        change = project_onto_ball((values - original) / scale - step, limit, epsilon)
        values = project(original + change * scale, batch.feasible)
    kept.update(values, last_logits(model, batch, values), settings.iterations)
    return kept


def nearest_distances(model, data, rows, settings, batch_packets, label):
    """(N,) L1 distance of the nearest success on each of the flows `rows` of a FlowData, as of Eq. 3.

    A flow that is benign unmodified has distance 0, one without success an infinite distance.
    """
    result = attack_flows(
        model, data, rows, lambda *batch: fast_minimum_norm(*batch, settings), settings, batch_packets, label
    )
    return np.where(result["logit"] <= 0, result["l1"], math.inf)


def next_bound(epsilon, kept, logit, gradient, settings, gamma):
    """(B,) bound on the L1 distance of the next iterate: below the best success, or where the logit's slope leads."""
    best = torch.where(kept.rank == 2, kept.l1, math.inf)
    slope = gradient.abs().amax(dim=(1, 2)).clamp(min=1e-12)
    linear = kept.last_l1 + (logit - settings.delta).clamp(min=0) / slope
    widened = torch.where(best.isfinite(), torch.minimum(epsilon * (1 + gamma), best), linear)
    return torch.where(logit <= settings.delta, torch.minimum(epsilon, best) * (1 - gamma), widened)


def project_onto_ball(change, limit, radius):
    """The nearest point of {0 <= d <= limit, sum of d <= radius} to each flow's `change`.

    Where the box alone lets the sum pass the radius, all changes are lowered by the same amount, found exactly:
    the sum is piecewise linear in it, with a bend where a change reaches 0 or its limit.

    Args:
        change, limit: (B, T, 2) z-scores. radius: (B,), may be infinite.
    """
    boxed = torch.minimum(change.clamp(min=0), limit)
    outside = boxed.sum(dim=(1, 2)) > radius
    if not outside.any():
        return boxed
    flat, bound = change.flatten(1), limit.flatten(1)
    bends, order = torch.cat([flat, flat - bound], dim=1).sort(dim=1, descending=True)
    # From above: a change counts from its own bend on, until it is at its limit.
    moving = torch.where(order < flat.shape[1], 1, -1).cumsum(dim=1)
    sums = ((bends[:, :-1] - bends[:, 1:]) * moving[:, :-1]).cumsum(dim=1)
    last = (sums <= radius[:, None]).sum(dim=1, keepdim=True)  # bend down to which the sum stays within the radius
    reached = torch.cat([torch.zeros_like(radius)[:, None], sums], dim=1).gather(1, last)
    lowered = bends.gather(1, last) - (radius[:, None] - reached) / moving.gather(1, last)
    inside = torch.minimum((change - lowered[..., None]).clamp(min=0), limit)
    return torch.where(outside[:, None, None], inside, boxed)

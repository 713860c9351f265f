"""The fast minimum-norm attack (Pintor et al. 2021) in L1, under the constraints of Sec. III.

It looks for the nearest adversarial flow itself: no trade-off kappa has to be searched. The bound
epsilon on the distance shrinks while the flow is adversarial and grows while it is not.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnids.attacks.descent import (
    Batch,
    FlowAttack,
    Kept,
    cosine,
    decision,
    decisive_logits,
    largest_change,
    logits_and_gradient,
)
from rnnids.attacks.feasible_set import project, raw_scale
from rnnids.detectors.protocol import Detector
from rnnids.settings import check, setting


@dataclass(frozen=True, kw_only=True)
class MinimumNorm(FlowAttack):
    """The fast minimum-norm attack: the nearest flow whose last packet is below `delta`."""

    delta: float = setting(-0.2, "logit to reach; below 0 is a margin", maximum=0)
    iterations: int = setting(60, "gradients a flow", minimum=1)
    step: float = setting(5.0, "first step, z-scores in L2; falls to a hundredth along half a cosine", above=0)
    gamma: float = setting(0.2, "first relative change of the bound on the distance; falls to a fiftieth", above=0)

    def __post_init__(self) -> None:
        check(self)

    def run(
        self,
        detector: Detector,
        batch: Batch,
        *,
        start: Tensor | None = None,
        goal: str = "last",
        observe: Callable[[Tensor, Tensor], object] = lambda values, logit: None,
    ) -> Kept:
        """Attack one padded batch; considers the start and all iterates.

        Args:
            start: (B, T, 2) feasible raw values to begin with; None: the originals.
            goal: "last", the logit of the last packet, or "all", the largest of all.
            observe: told of each iterate's raw values and decisive logits.
        """
        original, scale, limit = batch.feasible.original, raw_scale(batch.std), largest_change(batch)

        # The decision alone: lowering the logits of all packets leads farther away.
        def loss(logits: Tensor, batch: Batch) -> Tensor:
            return decision(logits, goal, last=batch.last, mask=batch.mask).clamp(min=self.delta)

        kept = Kept(batch, self.delta, "best")
        values = original if start is None else start
        epsilon = kept.l1
        for iteration in range(self.iterations):
            logit, gradient = logits_and_gradient(detector, batch, values, loss=loss, goal=goal)
            kept.update(values, logit, iteration)
            observe(values, logit)
            decay = cosine(iteration, self.iterations)
            change = (values - original) / scale
            gradient = without_cancelled(gradient, change, limit)
            gamma = self.gamma * (0.02 + 0.98 * decay)
            epsilon = next_bound(epsilon, kept, logit, gradient=gradient, delta=self.delta, gamma=gamma)
            step = self.step * (0.01 + 0.99 * decay)
            change = step_down(change, gradient, step=step, limit=limit, radius=epsilon)
            values = project(original + change * scale, batch.feasible)
        logit = decisive_logits(detector, batch, values, goal=goal)
        kept.update(values, logit, self.iterations)
        observe(values, logit)
        return kept


def without_cancelled(gradient: Tensor, change: Tensor, limit: Tensor) -> Tensor:
    """The gradient (B, T, 2) but for directions that limits cancel, which must not take up the length of a step."""
    cancelled = ((change <= 0) & (gradient > 0)) | ((change >= limit) & (gradient < 0))
    return gradient.masked_fill(cancelled, 0.0)


def step_down(change: Tensor, gradient: Tensor, *, step: float | Tensor, limit: Tensor, radius: Tensor) -> Tensor:
    """The change (B, T, 2) after a step of L2 length `step` down the gradient, within limits and radius."""
    length = gradient.pow(2).sum(dim=(1, 2), keepdim=True).sqrt().clamp(min=1e-12)
    return project_onto_ball(change - step * gradient / length, limit, radius)


def next_bound(epsilon: Tensor, kept: Kept, logit: Tensor, *, gradient: Tensor, delta: float, gamma: float) -> Tensor:
    """(B,) bound on the L1 distance of the next iterate: below the best success, or where the logit's slope leads."""
    best = torch.where(kept.rank == 2, kept.l1, math.inf)
    slope = gradient.abs().amax(dim=(1, 2)).clamp(min=1e-12)
    linear = kept.last_l1 + (logit - delta).clamp(min=0) / slope
    widened = torch.where(best.isfinite(), torch.minimum(epsilon * (1 + gamma), best), linear)
    return torch.where(logit <= delta, torch.minimum(epsilon, best) * (1 - gamma), widened)


def project_onto_ball(change: Tensor, limit: Tensor, radius: Tensor) -> Tensor:
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

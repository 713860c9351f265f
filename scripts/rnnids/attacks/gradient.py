"""Adversarial attacks of Sec. III: one descent, of which CW, PGD and FGSM differ in loss and step.

An attack is an object with its own settings, called with a detector and flows:

    CarliniWagner(kappa=2)(detector, flows).success
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rnnids.attacks.descent import (
    KEEP,
    Batch,
    FlowAttack,
    Kept,
    Loss,
    at_last,
    cosine,
    descend,
    largest_change,
    pull_back,
)
from rnnids.detectors.protocol import Detector
from rnnids.settings import check, setting

OBJECTIVES = ("all_packets", "last")


@dataclass(frozen=True, kw_only=True)
class CarliniWagner(FlowAttack):
    """CW (Eq. 1) with L1 distance: proximal gradient descent on d(X, X') + kappa * hinge.

    `kappa` is Carlini and Wagner's trade-off constant c, not their confidence. The step shrinks and
    the number of iterations grows with kappa (Sec. III-D), so a large kappa takes longer.
    """

    kappa: float = setting(1.0, "weight of the hinge in Eq. 1", above=0)
    delta: float = setting(-0.2, "logit to reach; below 0 is a margin", maximum=0)
    learning_rate: float = setting(1.0, "first step on the hinge, z-scores; on the distance divided by kappa", above=0)
    final_rate: float = setting(
        0.01, "share of it that is left at the end, along half a cosine; 1: no decay", above=0, maximum=1
    )
    gradient_norm: float | None = setting(5.0, "L2 norm to which the hinge's gradient is cut; none: not", above=0)
    iterations: int = setting(40, "per unit of kappa", minimum=1)
    objective: str = setting("all_packets", "packets whose logits count", choices=OBJECTIVES)
    keep: str = setting("best", "the nearest successful iterate or, as published, the last", choices=KEEP)

    def __post_init__(self) -> None:
        check(self)

    @property
    def passes(self) -> int:
        """Backward passes on one flow: the iterations; what is only looked at does not count."""
        return math.ceil(self.iterations * self.kappa)

    def run(self, detector: Detector, batch: Batch, start: Tensor | None = None) -> Kept:
        """Attack one padded batch, from raw values `start` (B, T, 2) if given."""
        steps = iter(range(self.passes))

        def update(change: Tensor, gradient: Tensor) -> Tensor:
            decay = cosine(next(steps), self.passes)
            step = self.learning_rate / self.kappa * (self.final_rate + (1 - self.final_rate) * decay)
            if self.gradient_norm is not None:
                # An LSTM's gradients span orders of magnitude: uncut, one step leads far beyond the boundary.
                gradient = gradient.masked_fill((change <= 0) & (gradient > 0), 0.0)
                norm = gradient.pow(2).sum(dim=(1, 2), keepdim=True).sqrt()
                gradient = gradient / (norm / self.gradient_norm).clamp(min=1)
            # d >= 0 makes the L1 term linear: its proximal step is subtraction and clipping at 0.
            return change - step * (self.kappa * gradient + 1)

        kept = Kept(batch, self.delta, self.keep)
        descend(
            detector,
            batch,
            kept,
            loss=hinge(self.delta, self.objective),
            update=update,
            iterations=self.passes,
            start=start,
        )
        if self.keep == "best":
            pull_back(detector, batch, kept, iteration=self.passes)
        return kept


@dataclass(frozen=True, kw_only=True)
class ProjectedGradientDescent(FlowAttack):
    """L-infinity-bounded PGD on the network's loss (Sec. III-B), with signed steps."""

    epsilon: float = setting(1.0, "bound of each value's change, z-scores", above=0)
    delta: float = setting(-0.2, "logit to reach; below 0 is a margin", maximum=0)
    iterations: int = setting(40, "steps", minimum=1)
    objective: str = setting("all_packets", "packets whose logits count", choices=OBJECTIVES)

    def __post_init__(self) -> None:
        check(self)

    def run(self, detector: Detector, batch: Batch, epsilon: Tensor | None = None) -> Kept:
        """Attack one padded batch, with a bound (B,) of each flow's own if given; it may be infinite."""
        reach = torch.minimum(largest_change(batch), bound_of(batch, self.epsilon, epsilon))
        # ASSUME: steps that cross the ball 2.5 times, as Madry et al.; the authors step by the raw gradient of
        # a mean loss, which hardly moves.
        step = 2.5 * reach / self.iterations

        def update(change: Tensor, gradient: Tensor) -> Tensor:
            return torch.minimum(change - step * gradient.sign(), reach)

        kept = Kept(batch, self.delta, "best")
        loss = negative_loss(self.objective)
        return descend(detector, batch, kept, loss=loss, update=update, iterations=self.iterations)


@dataclass(frozen=True, kw_only=True)
class FastGradientSign(FlowAttack):
    """FGSM (Eq. 2): one signed step up the network's loss, then projected."""

    epsilon: float = setting(1.0, "the step, z-scores", above=0)
    delta: float = setting(-0.2, "logit to reach; below 0 is a margin", maximum=0)
    objective: str = setting("all_packets", "packets whose logits count", choices=OBJECTIVES)

    def __post_init__(self) -> None:
        check(self)

    def run(self, detector: Detector, batch: Batch, epsilon: Tensor | None = None) -> Kept:
        """Attack one padded batch, with a step (B,) of each flow's own if given."""
        step = bound_of(batch, self.epsilon, epsilon)

        def update(change: Tensor, gradient: Tensor) -> Tensor:
            return change - step * gradient.sign()

        kept = Kept(batch, self.delta, "best")
        return descend(detector, batch, kept, loss=negative_loss(self.objective), update=update, iterations=1)


def bound_of(batch: Batch, epsilon: float, of_flows: Tensor | None) -> Tensor:
    """(B, 1, 1) bound of each flow: its own, or `epsilon`."""
    if of_flows is None:
        return batch.feasible.original.new_full((len(batch.last), 1, 1), epsilon)
    return of_flows[:, None, None]


def hinge(delta: float, objective: str) -> Loss:
    """The second term of Eq. 1 without kappa: max(Z, delta) over all packets or the last one."""
    # ASSUME: Eq. 1 leaves open which logit Z is; the published results sum over all packets.
    return over_packets(lambda logits: logits.clamp(min=delta), objective)


def negative_loss(objective: str) -> Loss:
    """The negative cross-entropy of the label attack, summed over all packets or of the last one."""
    return over_packets(lambda logits: -functional.softplus(-logits), objective)


def over_packets(function: Callable[[Tensor], Tensor], objective: str) -> Loss:
    """`function` of the logits, summed over a flow's packets or at its last one: a loss for `descend`."""

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        values = function(logits)
        if objective == "last":
            return at_last(values, batch)
        return (values * batch.mask).sum(dim=1)

    return loss

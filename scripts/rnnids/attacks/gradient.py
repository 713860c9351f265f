"""Adversarial attacks of Sec. III: one descent, of which CW, PGD and FGSM differ in loss and step.

Every iterate is projected onto the feasible set before the detector sees it, so a success counts for
a flow that can really be sent. Because only increases are feasible, the change d is never negative
and its L1 norm is its plain sum.

An attack is an object with its own settings, called with a detector and flows:

    CarliniWagner(kappa=2)(detector, flows).success
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rnnids.attacks.feasible_set import (
    FeasibleSet,
    ThreatModel,
    distances,
    feasible_set,
    manipulable_statistics,
    normalise,
    packet_values,
    project,
    raw_scale,
)
from rnnids.cli import Progress
from rnnids.datasets.features import MANIPULABLE_FEATURES
from rnnids.datasets.flow_data import FlowData, batches_by_length, is_packet
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.protocol import Detector
from rnnids.settings import check, setting

OBJECTIVES = ("all_packets", "last")
KEEP = ("best", "last")
BATCH_PACKETS = 8192
HALVINGS = 8
Loss = Callable[[Tensor, "Batch"], Tensor]
Update = Callable[[Tensor, Tensor], Tensor]
Attack = Callable[[Detector, "Batch"], "Kept"]


@dataclass(frozen=True)
class Batch:
    """A padded batch of B flows to attack.

    Attributes:
        rows: (B,) rows of the flows in the FlowData. inputs: (B, T, 15) z-scores of the original flows.
        lengths: (B,) packets of each. mask: (B, T) bool, true for packets. last: (B,) index of each flow's last packet.
        feasible: their feasible set. mean, std: (2,) of length and interarrival time.
    """

    rows: np.ndarray
    inputs: Tensor
    lengths: np.ndarray
    mask: Tensor
    last: Tensor
    feasible: FeasibleSet
    mean: Tensor
    std: Tensor

    def take(self, flows: Tensor) -> "Batch":
        """Some flows of the batch, by their numbers, rising."""
        places = flows.cpu().numpy()
        return Batch(
            rows=self.rows[places],
            inputs=self.inputs[flows],
            lengths=self.lengths[places],
            mask=self.mask[flows],
            last=self.last[flows],
            feasible=self.feasible.take(flows),
            mean=self.mean,
            std=self.std,
        )


@dataclass(frozen=True)
class AttackResult:
    """What an attack made of N flows, in their order.

    Attributes:
        adversarial: FlowData of the flows as they would be sent.
        original_logit, logit: (N,) of the last packet, before and after.
        l1, linf: (N,) distances of the flow that is kept, in z-scores; 0 where the flow was benign unmodified.
        last_l1: (N,) distance of the last iterate. iteration: (N,) of the one kept.
    """

    adversarial: FlowData
    original_logit: np.ndarray
    logit: np.ndarray
    l1: np.ndarray
    linf: np.ndarray
    last_l1: np.ndarray
    iteration: np.ndarray

    @property
    def success(self) -> np.ndarray:
        """(N,) bool: classified as benign (logit <= 0)."""
        return self.logit <= 0

    @property
    def already_benign(self) -> np.ndarray:
        """(N,) bool: classified as benign unmodified."""
        return self.original_logit <= 0


@dataclass(frozen=True, kw_only=True)
class CarliniWagner:
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

    def run(self, detector: Detector, batch: Batch, start: Tensor | None = None) -> "Kept":
        """Attack one padded batch, from raw values `start` (B, T, 2) if given."""
        steps = iter(range(self.passes))

        def update(change: Tensor, gradient: Tensor) -> Tensor:
            decay = 0.5 * (1 + math.cos(math.pi * next(steps) / self.passes))
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
            pull_back(detector, batch, kept, self.passes)
        return kept

    def __call__(self, detector: Detector, flows: FlowData, **options: Any) -> AttackResult:
        """Attack `flows`; options as of :func:`attack_flows`."""
        return attack_flows(detector, flows, self.run, **options)


@dataclass(frozen=True, kw_only=True)
class ProjectedGradientDescent:
    """L-infinity-bounded PGD on the network's loss (Sec. III-B), with signed steps."""

    epsilon: float = setting(1.0, "bound of each value's change, z-scores", above=0)
    delta: float = setting(-0.2, "logit to reach; below 0 is a margin", maximum=0)
    iterations: int = setting(40, "steps", minimum=1)
    objective: str = setting("all_packets", "packets whose logits count", choices=OBJECTIVES)

    def __post_init__(self) -> None:
        check(self)

    def run(self, detector: Detector, batch: Batch, epsilon: Tensor | None = None) -> "Kept":
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

    def __call__(self, detector: Detector, flows: FlowData, **options: Any) -> AttackResult:
        """Attack `flows`; options as of :func:`attack_flows`."""
        return attack_flows(detector, flows, self.run, **options)


@dataclass(frozen=True, kw_only=True)
class FastGradientSign:
    """FGSM (Eq. 2): one signed step up the network's loss, then projected."""

    epsilon: float = setting(1.0, "the step, z-scores", above=0)
    delta: float = setting(-0.2, "logit to reach; below 0 is a margin", maximum=0)
    objective: str = setting("all_packets", "packets whose logits count", choices=OBJECTIVES)

    def __post_init__(self) -> None:
        check(self)

    def run(self, detector: Detector, batch: Batch, epsilon: Tensor | None = None) -> "Kept":
        """Attack one padded batch, with a step (B,) of each flow's own if given."""
        step = bound_of(batch, self.epsilon, epsilon)

        def update(change: Tensor, gradient: Tensor) -> Tensor:
            return change - step * gradient.sign()

        kept = Kept(batch, self.delta, "best")
        return descend(detector, batch, kept, loss=negative_loss(self.objective), update=update, iterations=1)

    def __call__(self, detector: Detector, flows: FlowData, **options: Any) -> AttackResult:
        """Attack `flows`; options as of :func:`attack_flows`."""
        return attack_flows(detector, flows, self.run, **options)


def bound_of(batch: Batch, epsilon: float, of_flows: Tensor | None) -> Tensor:
    """(B, 1, 1) bound of each flow: its own, or `epsilon`."""
    if of_flows is None:
        return batch.feasible.original.new_full((len(batch.last), 1, 1), epsilon)
    return of_flows[:, None, None]


def make_batch(
    data: FlowData, rows: np.ndarray, threat_model: ThreatModel, *, device: torch.device | str = "cpu"
) -> Batch:
    """The padded batch of flows `rows` of a FlowData."""
    count = data.packet_count[rows]
    mean, std = manipulable_statistics(data, device)
    return Batch(
        rows=rows,
        inputs=torch.from_numpy(data.padded(rows)).to(device),
        lengths=count,
        mask=torch.from_numpy(is_packet(count)).to(device),
        last=torch.from_numpy(count.astype(np.int64) - 1).to(device),
        feasible=feasible_set(data, rows, threat_model, device=device),
        mean=mean,
        std=std,
    )


def logits_and_gradient(
    detector: Detector, batch: Batch, values: Tensor, *, loss: Loss, goal: str = "last"
) -> tuple[Tensor, Tensor]:
    """Evaluate flows with raw `values` in place of the originals.

    Args:
        values: (B, T, 2) feasible raw values.
        loss: function of (logits (B, T), batch) -> (B,).

    Returns:
        (decisive logits (B,), gradient of the loss over z-scored length and interarrival time (B, T, 2)).
    """
    inputs = changed_inputs(batch, values).requires_grad_()
    logits = detector(inputs, batch.lengths)
    (gradient,) = torch.autograd.grad(loss(logits, batch).sum(), inputs)
    decisive = decision(logits.detach(), goal, last=batch.last, mask=batch.mask)
    return decisive, gradient[..., list(MANIPULABLE_FEATURES)]


@torch.no_grad()
def decisive_logits(detector: Detector, batch: Batch, values: Tensor, *, goal: str = "last") -> Tensor:
    """(B,) decisive logits of flows with raw `values` in place of the originals."""
    logits = detector(changed_inputs(batch, values), batch.lengths)
    return decision(logits, goal, last=batch.last, mask=batch.mask)


def changed_inputs(batch: Batch, values: Tensor) -> Tensor:
    """(B, T, 15) z-scores of the flows with raw `values` (B, T, 2); padding keeps its zeros."""
    inputs = batch.inputs.clone()
    changed = normalise(values, batch.mean, batch.std)
    inputs[..., list(MANIPULABLE_FEATURES)] = torch.where(batch.mask[..., None], changed, 0.0)
    return inputs


def at_last(logits: Tensor, batch: Batch) -> Tensor:
    """(B, T) -> (B,), at each flow's last packet."""
    return logits.gather(1, batch.last[:, None]).squeeze(1)


def decision(logits: Tensor, goal: str, *, last: Tensor, mask: Tensor) -> Tensor:
    """(B, T) logits -> (B,) the one that decides: of the last packet, or for goal "all" the largest."""
    if goal == "last":
        return logits.gather(1, last[:, None]).squeeze(1)
    return logits.masked_fill(~mask, -math.inf).amax(dim=1)


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


class Kept:
    """The iterate that is reported of each flow: the nearest of the most successful so far.

    An iterate beyond `delta` is preferred over one that is merely benign (logit <= 0), and that
    over one that is not; among equals the nearer one wins. With keep "last", the newest wins.

    Attributes:
        values: (B, T, 2) raw. rank: (B,) 2 beyond delta, 1 benign, 0 neither, -1 nothing seen.
        l1, linf, logit, iteration: (B,) of the iterate kept. last_l1: (B,) of the newest.
    """

    def __init__(self, batch: Batch, delta: float, keep: str) -> None:
        self.batch, self.delta, self.keep = batch, delta, keep
        flows = len(batch.last)
        self.values = batch.feasible.original.clone()
        self.rank = torch.full((flows,), -1, device=batch.last.device)
        self.l1, self.linf = (batch.feasible.original.new_full((flows,), math.inf) for _ in range(2))
        self.logit = batch.inputs.new_full((flows,), math.inf)
        self.iteration = torch.zeros_like(batch.last)
        self.last_l1 = self.l1

    def update(self, values: Tensor, logit: Tensor, iteration: int) -> None:
        """Consider raw `values` (B, T, 2) with last logits `logit` (B,)."""
        l1, linf = distances(values, self.batch.feasible, self.batch.std)
        rank = (logit <= 0).long() + (logit <= self.delta)
        better = (rank > self.rank) | ((rank == self.rank) & (rank > 0) & (l1 < self.l1))
        if self.keep == "last":
            better = torch.ones_like(better)
        self.values = torch.where(better[:, None, None], values, self.values)
        for name, new in (("rank", rank), ("l1", l1), ("linf", linf), ("logit", logit)):
            setattr(self, name, torch.where(better, new, getattr(self, name)))
        self.iteration = torch.where(better, iteration, self.iteration)
        self.last_l1 = l1


def descend(
    detector: Detector,
    batch: Batch,
    kept: Kept,
    *,
    loss: Loss,
    update: Update,
    iterations: int,
    start: Tensor | None = None,
) -> Kept:
    """Descend `loss` from the original flows, or from `start`, under the constraints.

    Args:
        kept: takes note of the start and of all `iterations` iterates.
        loss: function of (logits, batch) -> (B,), to be minimised.
        update: function of (change, gradient) -> change, both (B, T, 2) in z-scores.
        start: (B, T, 2) feasible raw values.

    Returns:
        `kept`.
    """
    original, scale = batch.feasible.original, raw_scale(batch.std)
    limit = largest_change(batch)
    values = original if start is None else start
    change = (values - original) / scale
    for iteration in range(iterations):
        logit, gradient = logits_and_gradient(detector, batch, values, loss=loss)
        kept.update(values, logit, iteration)
        change = torch.minimum(update(change, gradient).clamp(min=0), limit)
        values = project(original + change * scale, batch.feasible)
    kept.update(values, decisive_logits(detector, batch, values), iterations)
    return kept


def pull_back(detector: Detector, batch: Batch, kept: Kept, iteration: int) -> None:
    """Halve the way between each flow and what is kept of it while that evades as it does."""
    original, far, rank = batch.feasible.original, kept.values, kept.rank
    low, high = (kept.l1.new_full(kept.l1.shape, share) for share in (0.0, 1.0))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        values = project(original + (far - original) * middle[:, None, None], batch.feasible)
        logit = decisive_logits(detector, batch, values)
        kept.update(values, logit, iteration)
        evades = (logit <= 0).long() + (logit <= kept.delta) >= rank
        low, high = torch.where(evades, low, middle), torch.where(evades, middle, high)


def largest_change(batch: Batch) -> Tensor:
    """(B, T, 2) z-scores by which each value may grow at most."""
    return (batch.feasible.upper - batch.feasible.original) / raw_scale(batch.std)


def attack_flows(
    detector: Detector,
    flows: FlowData,
    attack: Attack,
    *,
    threat_model: ThreatModel | None = None,
    batch_packets: int = BATCH_PACKETS,
    label: str = "attacking",
) -> AttackResult:
    """Attack flows in batches of similar length.

    A flow that is benign unmodified is left as it is, at distance 0.

    Args:
        attack: function of (detector, Batch) -> Kept, such as ``CarliniWagner().run``.
        threat_model: what the attacker can do; None: the paper's.
        batch_packets: padded packets per batch, at most.
        label: of the progress bar.
    """
    threat_model = threat_model or ThreatModel()
    count, device = flows.packet_count, detector.device
    logit = last_of_flow(packet_logits(detector, flows, batch_packets=batch_packets), count)
    found = {name: np.zeros(len(flows)) for name in ("l1", "linf", "last_l1", "iteration")}
    found["logit"] = logit.astype(float)
    packets = {name: flows.packets[name].copy() for name in ("length", "iat_ns")}
    detected = np.flatnonzero(logit > 0)
    with Progress(label, total=len(detected), unit="flows") as progress:
        for chosen in batches_by_length(count[detected], batch_packets):
            rows = detected[chosen]
            kept = attack(detector, make_batch(flows, rows, threat_model, device=device))
            for name, column in found.items():
                column[rows] = getattr(kept, name).cpu().numpy()
            packet_rows = flows.packet_rows(rows)
            packets["length"][packet_rows], packets["iat_ns"][packet_rows] = packet_values(kept.values, count[rows])
            progress.update(len(rows))
    adversarial = replace(flows, packets=flows.packets | packets)
    return AttackResult(adversarial=adversarial, original_logit=logit, **found)

"""Adversarial attacks of Sec. III: one descent, of which CW, PGD and FGSM differ in loss and step.

Every iterate is projected onto the feasible set before the model sees it, so a success counts for
a flow that can really be sent. Because only increases are feasible, the change d is never negative
and its L1 norm is its plain sum.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from rnnids.attacks.feasible_set import (
    FeasibleSet,
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
from rnnids.datasets.flow_data import batches_by_length, is_packet
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.packed_lstm import Packing, pack

OBJECTIVES = ("all_packets", "last")
KEEP = ("best", "last")


@dataclass(frozen=True)
class Batch:
    """A padded batch of B flows to attack.

    Attributes:
        inputs: (B, T, 15) z-scores of the original flows.
        packing: of their packets. mask: (B, T) bool, true for packets. last: (B,) index of each flow's last packet.
        attack: (B,) attack type of each flow.
        feasible: their feasible set. mean, std: (2,) of length and interarrival time.
    """

    inputs: torch.Tensor
    packing: Packing
    mask: torch.Tensor
    last: torch.Tensor
    attack: torch.Tensor
    feasible: FeasibleSet
    mean: torch.Tensor
    std: torch.Tensor


@dataclass(frozen=True)
class Settings:
    """How to attack.

    Attributes:
        delta: logit that an adversarial flow should reach (Eq. 1); negative is beyond benign.
        learning_rate: step on the logits' hinge; on the distance it is learning_rate / kappa.
        iterations: per unit of kappa.
        objective: whose logits count: "all_packets" (as published) or the "last".
        keep: "best", the nearest successful iterate, or the "last" iterate (as published).
        mtu: bytes.
    """

    delta: float
    learning_rate: float
    iterations: int
    objective: str
    keep: str
    mtu: int


def make_batch(data, rows, mtu, device="cpu"):
    """The padded batch of flows `rows` of a FlowData."""
    count = data.packet_count[rows]
    mean, std = manipulable_statistics(data, device)
    return Batch(
        inputs=torch.from_numpy(data.padded(rows)).to(device),
        packing=pack(count, device),
        mask=torch.from_numpy(is_packet(count)).to(device),
        last=torch.from_numpy(count.astype(np.int64) - 1).to(device),
        attack=torch.from_numpy(data.flows["attack"][rows].astype(np.int64)).to(device),
        feasible=feasible_set(data, rows, mtu, device),
        mean=mean,
        std=std,
    )


def logits_and_gradient(model, batch, values, loss):
    """Evaluate flows with raw `values` in place of the originals.

    Args:
        values: (B, T, 2) feasible raw values.
        loss: function of (logits (B, T), batch) -> (B,).

    Returns:
        (last logits (B,), gradient of the loss over z-scored length and interarrival time (B, T, 2)).
    """
    inputs = changed_inputs(batch, values).requires_grad_()
    logits = model(inputs, packing=batch.packing)
    (gradient,) = torch.autograd.grad(loss(logits, batch).sum(), inputs)
    return at_last(logits.detach(), batch), gradient[..., list(MANIPULABLE_FEATURES)]


@torch.no_grad()
def last_logits(model, batch, values):
    """(B,) logits of the last packets of flows with raw `values` in place of the originals."""
    return at_last(model(changed_inputs(batch, values), packing=batch.packing), batch)


def changed_inputs(batch, values):
    """(B, T, 15) z-scores of the flows with raw `values` (B, T, 2); padding keeps its zeros."""
    inputs = batch.inputs.clone()
    changed = normalise(values, batch.mean, batch.std)
    inputs[..., list(MANIPULABLE_FEATURES)] = torch.where(batch.mask[..., None], changed, 0.0)
    return inputs


def at_last(logits, batch):
    """(B, T) -> (B,), at each flow's last packet."""
    return logits.gather(1, batch.last[:, None]).squeeze(1)


def hinge(delta, objective):
    """The second term of Eq. 1 without kappa: max(Z, delta) over all packets or the last one."""

    # ASSUME: Eq. 1 leaves open which logit Z is; the published results sum over all packets.
    return over_packets(lambda logits: logits.clamp(min=delta), objective)


def negative_loss(objective):
    """The negative cross-entropy of the label attack, summed over all packets or of the last one."""
    return over_packets(lambda logits: -functional.softplus(-logits), objective)


def over_packets(function, objective):
    """`function` of the logits, summed over a flow's packets or at its last one: a loss for `descend`."""

    def loss(logits, batch):
        values = function(logits)
        if objective == "last":
            return at_last(values, batch)
        return (values * batch.mask).sum(dim=1)

    return loss


class Kept:
    """The iterate that is reported of each flow: the nearest of the most successful so far.

    An iterate beyond `delta` is preferred over one that is merely benign (logit <= 0), and that
    over one that is not; among equals the nearer one wins. With keep "last", the newest wins.
    """

    def __init__(self, batch, delta, keep):
        self.batch, self.delta, self.keep = batch, delta, keep
        flows = len(batch.last)
        self.values = batch.feasible.original.clone()
        self.rank = torch.full((flows,), -1, device=batch.last.device)
        self.l1, self.linf = (batch.feasible.slack.new_full((flows,), math.inf) for _ in range(2))
        self.logit = batch.inputs.new_full((flows,), math.inf)
        self.iteration = torch.zeros_like(batch.last)
        self.last_l1 = self.l1

    def update(self, values, logit, iteration):
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


def descend(model, batch, loss, update, iterations, settings, start=None):
    """Descend `loss` from the original flows, or from `start`, under the constraints.

    Args:
        loss: function of (logits, batch) -> (B,), to be minimised.
        update: function of (change, gradient) -> change, both (B, T, 2) in z-scores.
        start: (B, T, 2) feasible raw values.

    Returns:
        Kept, over the start and all `iterations` iterates.
    """
    original, scale = batch.feasible.original, raw_scale(batch.std)
    limit = largest_change(batch)
    values = original if start is None else start
    change = (values - original) / scale
    kept = Kept(batch, settings.delta, settings.keep)
    for iteration in range(iterations):
        logit, gradient = logits_and_gradient(model, batch, values, loss)
        kept.update(values, logit, iteration)
        change = torch.minimum(update(change, gradient).clamp(min=0), limit)
        values = project(original + change * scale, batch.feasible)
    kept.update(values, last_logits(model, batch, values), iterations)
    return kept


def largest_change(batch):
    """(B, T, 2) z-scores by which each value may grow at most."""
    return (batch.feasible.upper - batch.feasible.original) / raw_scale(batch.std)


def carlini_wagner(model, batch, kappa, settings, start=None):
    """CW (Eq. 1) with L1 distance: proximal gradient descent on d(X, X') + kappa * hinge.

    `kappa` is Carlini and Wagner's trade-off constant c, not their confidence. The step shrinks and
    the number of iterations grows with kappa (Sec. III-D), so a large kappa takes longer.
    """
    step = settings.learning_rate / kappa

    def update(change, gradient):
        # d >= 0 makes the L1 term linear: its proximal step is subtraction and clipping at 0.
        return change - step * (kappa * gradient + 1)

    iterations = math.ceil(settings.iterations * kappa)
    return descend(model, batch, hinge(settings.delta, settings.objective), update, iterations, settings, start)


def projected_gradient_descent(model, batch, epsilon, settings):
    """L-infinity-bounded PGD on the network's loss (Sec. III-B), with signed steps.

    Args:
        epsilon: (B,) z-score bound of each flow; infinite leaves the feasible set alone as bound.
    """
    reach = torch.minimum(largest_change(batch), epsilon[:, None, None])
    # ASSUME: steps that cross the ball 2.5 times, as Madry et al.; the authors step by the raw gradient of
    # a mean loss, which hardly moves.
    step = 2.5 * reach / settings.iterations

    def update(change, gradient):
        return torch.minimum(change - step * gradient.sign(), reach)

    return descend(model, batch, negative_loss(settings.objective), update, settings.iterations, settings)


def fast_gradient_sign(model, batch, epsilon, settings):
    """FGSM (Eq. 2): one signed step of `epsilon` (B,) up the network's loss, then projected."""

    def update(change, gradient):
        return change - epsilon[:, None, None] * gradient.sign()

    return descend(model, batch, negative_loss(settings.objective), update, 1, settings)


RESULT_COLUMNS = ("l1", "linf", "last_l1", "logit", "iteration")


def attack_flows(model, data, rows, attack, settings, batch_packets, label):
    """Attack flows `rows` of a FlowData, in batches of similar length.

    A flow that is benign unmodified is left as it is, at distance 0.

    Args:
        attack: function of (model, batch) -> Kept.
        batch_packets: padded packets per batch, at most.
        label: of the progress bar.

    Returns:
        dict of (N,) columns in the order of `rows`: ``RESULT_COLUMNS`` and `original_logit`; and of
        two lists of N integer arrays, `length` and `iat_ns`: the packets of each kept flow.
    """
    count = data.packet_count[rows]
    device = next(model.parameters()).device
    original = data.take(rows)
    logit = last_of_flow(packet_logits(model, original, batch_packets, device), count)
    result = {name: np.zeros(len(rows)) for name in RESULT_COLUMNS}
    result |= {"original_logit": logit, "logit": logit.astype(float)}
    result |= {name: np.split(original.packets[name], original.start[1:]) for name in ("length", "iat_ns")}
    detected = np.flatnonzero(logit > 0)
    with Progress(label, total=len(detected), unit="flows") as progress:
        for batch in batches_by_length(count[detected], batch_packets):
            chosen = detected[batch]
            kept = attack(model, make_batch(data, rows[chosen], settings.mtu, device))
            for name in RESULT_COLUMNS:
                result[name][chosen] = getattr(kept, name).cpu().numpy()
            ends = np.cumsum(count[chosen])[:-1]
            columns = [np.split(column, ends) for column in packet_values(kept.values, count[chosen])]
            for index, length, iat in zip(chosen, *columns, strict=True):
                result["length"][index], result["iat_ns"][index] = length, iat
            progress.update(len(chosen))
    return result

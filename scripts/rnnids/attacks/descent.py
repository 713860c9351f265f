"""What all attacks of Sec. III descend by: batches of flows, projected iterates, and which of them is kept.

Every iterate is projected onto the feasible set before the detector sees it, so a success counts for
a flow that can really be sent. Because only increases are feasible, the change d is never negative
and its L1 norm is its plain sum.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnids import cli
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
from rnnids.detectors.gpu_memory import halved
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.protocol import Detector, require_gradient

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

    def restricted(self, allowed: np.ndarray) -> "Batch":
        """The batch in which of its P packets only `allowed` (P, 2) lengths and interarrival times can change."""
        return replace(self, feasible=self.feasible.restricted(allowed, self.mask))


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

    Raises:
        InputError: a detector without gradient.
    """
    require_gradient(detector)
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


class FlowAttack(ABC):
    """An attack with its own settings: called with a detector and flows, or run on one padded batch."""

    @abstractmethod
    def run(self, detector: Detector, batch: Batch) -> "Kept":
        """Attack one padded batch."""

    def __call__(self, detector: Detector, flows: FlowData, **options: Any) -> AttackResult:
        """Attack `flows`; options as of :func:`attack_flows`."""
        return attack_flows(detector, flows, self.run, **options)


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


def pull_back(detector: Detector, batch: Batch, kept: Kept, *, iteration: int) -> None:
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


def cosine(done: int, steps: int) -> float:
    """What falls from 1 to 0 along half a cosine, while `done` of a number of steps are done."""
    return 0.5 * (1 + math.cos(math.pi * done / steps))


def largest_change(batch: Batch) -> Tensor:
    """(B, T, 2) z-scores by which each value may grow at most."""
    return (batch.feasible.upper - batch.feasible.original) / raw_scale(batch.std)


def tell_outcome(
    label: str, flows: FlowData, adversarial: FlowData, *, evades: np.ndarray, detected: np.ndarray
) -> None:
    """Say how many of the detected flows evade, and what that adds to them.

    Args:
        label: of the attack. flows, adversarial: the same N flows before and after.
        evades, detected: (N,) bool, benign under attack, and an attack unmodified.
    """
    evaded = np.flatnonzero(evades & detected)
    if not len(evaded):
        cli.tell("%s: none of %d detected flows evades", label, int(detected.sum()))
        return
    added = {
        name: np.add.reduceat(adversarial.packets[name].astype(np.int64) - flows.packets[name], flows.start)[evaded]
        for name in ("length", "iat_ns")
    }
    share = 100 * len(evaded) / detected.sum()
    time, size = np.median(added["iat_ns"]) / 1e6, np.median(added["length"])
    text = f"{time:,.0f} ms" if time >= 10 else f"{time:.2g} ms"
    cli.tell(
        "%s: %.0f %% of %d detected flows evade, median %s and %.0f bytes", label, share, detected.sum(), text, size
    )


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

        def run(rows: np.ndarray) -> None:
            kept = attack(detector, make_batch(flows, rows, threat_model, device=device))
            for name, column in found.items():
                column[rows] = getattr(kept, name).cpu().numpy()
            packet_rows = flows.packet_rows(rows)
            packets["length"][packet_rows], packets["iat_ns"][packet_rows] = packet_values(kept.values, count[rows])
            progress.update(len(rows))

        for chosen in batches_by_length(count[detected], batch_packets):
            halved(run, detected[chosen])
    adversarial = replace(flows, packets=flows.packets | packets)
    return AttackResult(adversarial=adversarial, original_logit=logit, **found)

"""Many changed copies of each flow, and the nearest of them that evade: what every member of the search works with."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnids.attacks.descent import Batch, decision
from rnnids.attacks.feasible_set import normalise, project, raw_scale
from rnnids.attacks.random_points import SMALLEST
from rnnids.datasets.features import MANIPULABLE_FEATURES
from rnnids.detectors.protocol import Detector, is_resumable

COLUMNS = list(MANIPULABLE_FEATURES)
MEMBERS = (
    "enumeration",
    "known",
    "descent",
    "random",
    "segment",
    "far_descent",
    "evolution",
    "coordinates",
    "polish",
    "near_descent",
    "fine_descent",
)
NUMBER = {name: number for number, name in enumerate(MEMBERS)}


@dataclass(frozen=True)
class Base:
    """Flows near which changes are tried: a detector need not see again what comes before a change.

    Attributes:
        place: (B,) of each flow of the batch among the n that are remembered. values: (n, T, 2) raw.
        resume, remembered: how the detector goes on, and what from.
        highest: (n, T) the largest logit up to each packet.
    """

    place: Tensor
    values: Tensor
    resume: Callable[..., Tensor]
    remembered: Any
    highest: Tensor


@dataclass(frozen=True)
class Problem:
    """A batch of B flows to evade a detector with.

    Attributes:
        detector: that is attacked. batch: the flows.
        goal: "last", the verdict on the flow, or "all": no packet raises the alarm.
        thresholds: logits down to which a flow evades, falling: 0 and the margin delta.
        batch_packets: padded packets evaluated at a time, at most.
        limit: (B, T, 2) z-scores by which each value may grow, as of :func:`largest_growth`.
    """

    detector: Detector
    batch: Batch
    goal: str
    thresholds: tuple[float, ...]
    batch_packets: int
    limit: Tensor

    @property
    def scale(self) -> Tensor:
        """(2,) raw units of a z-score."""
        return raw_scale(self.batch.std)

    def feasible(self, change: Tensor, owner: Tensor) -> Tensor:
        """Feasible raw values nearest to flows `owner` (n,) with `change` (n, T, 2) in z-scores."""
        values = self.batch.feasible.original[owner] + change * self.scale
        return project(values, self.batch.feasible.take(owner))

    def change_of(self, values: Tensor, owner: Tensor) -> Tensor:
        """(n, T, 2) z-scores by which raw `values` exceed the originals."""
        return (values - self.batch.feasible.original[owner]) / self.scale

    def base(self, values: Tensor, flows: Tensor) -> Base | None:
        """Raw `values` (n, T, 2) of flows (n,), rising, for :meth:`evaluate`; None if a detector has no use for it."""
        if not len(flows) or not is_resumable(self.detector):
            return None
        batch, lengths = self.batch, self.batch.lengths[flows.cpu().numpy()]
        shown = self._shown(batch.inputs[flows, : values.shape[1]], values, batch.mask[flows])
        remembered = self.detector.remember(shown, lengths)
        place = torch.zeros_like(batch.last)
        place[flows] = torch.arange(len(flows), device=place.device)
        return Base(
            place, values, self.detector.resume, remembered, torch.from_numpy(remembered.outputs).cummax(dim=1).values
        )

    def _shown(self, inputs: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """What the detector sees of packets `inputs` (n, S, 15), overwritten, with raw `values` (n, S, 2) instead."""
        changed = normalise(values, self.batch.mean, self.batch.std)
        inputs[..., COLUMNS] = torch.where(mask[..., None], changed, 0.0)
        return inputs

    @torch.no_grad()
    def evaluate(self, values: Tensor, owner: Tensor, base: Base | None = None) -> Tensor:
        """(n,) decisive logits of flows `owner` (n,), rising, with raw `values` (n, T, 2) in place of their own.

        Args:
            base: near which the values lie; saves time alone.
        """
        if base is not None:
            return self._evaluate_near(values, owner, base)
        batch, logits = self.batch, []
        for piece in self._pieces(batch.last[owner] + 1):
            own = owner[piece]
            lengths = batch.lengths[own.cpu().numpy()]
            steps = int(lengths.max())
            mask = batch.mask[own, :steps]
            inputs = self._shown(batch.inputs[own, :steps], values[piece, :steps], mask)
            logits.append(decision(self.detector(inputs, lengths), self.goal, last=batch.last[own], mask=mask))
        return torch.cat(logits) if logits else batch.inputs.new_empty(0)

    def _evaluate_near(self, values: Tensor, owner: Tensor, base: Base) -> Tensor:
        """As :meth:`evaluate`: from the first packet on that differs from the base."""
        batch, places = self.batch, base.place[owner]
        differs = (values != base.values[places]).any(dim=2) & batch.mask[owner]
        first = torch.where(differs.any(dim=1), differs.long().argmax(dim=1), batch.last[owner])
        rest = batch.last[owner] + 1 - first
        order, found = torch.argsort(rest, descending=True, stable=True), values.new_empty(len(owner))
        for piece in self._pieces(rest[order]):
            rows = order[piece]
            own, ahead = owner[rows], torch.arange(int(rest[rows[0]]), device=rows.device)
            mask = ahead < rest[rows, None]
            steps = torch.minimum(first[rows, None] + ahead, batch.last[own, None])
            inputs = self._shown(batch.inputs[own[:, None], steps], values[rows[:, None], steps], mask)
            seen = {"flows": places[rows].cpu().numpy(), "steps": first[rows].cpu().numpy()}
            logits = base.resume(base.remembered, inputs, rest[rows].cpu().numpy(), **seen)
            decisive = decision(logits, self.goal, last=rest[rows] - 1, mask=mask)
            if self.goal == "all":
                before = base.highest[places[rows], (first[rows] - 1).clamp(min=0)]
                decisive = torch.where(first[rows] > 0, torch.maximum(decisive, before), decisive)
            found[rows] = decisive.to(found.dtype)
        return found

    def _pieces(self, lengths: Tensor) -> Iterator[slice]:
        """Slices of at most `batch_packets` padded packets, of copies that come by falling `lengths`."""
        first = 0
        while first < len(lengths):
            size = max(1, self.batch_packets // int(lengths[first]))
            yield slice(first, first + size)
            first += size


def largest_growth(batch: Batch) -> Tensor:
    """(B, T, 2) z-scores by which each value may grow alone: whole grid units, within the room of its flow."""
    feasible = batch.feasible
    growth = torch.minimum(feasible.upper - feasible.original, feasible.room[:, None])
    return torch.floor(growth / feasible.grid) * feasible.grid / raw_scale(batch.std)


def own_packets(problem: Problem, values: Tensor) -> list[np.ndarray]:
    """`values` (B, T, 2) of each flow without padding: what is drawn must not depend on a batch's longest flow."""
    return [own[:count] for own, count in zip(values.cpu().numpy(), problem.batch.lengths.tolist(), strict=True)]


def padded_changes(problem: Problem, drawn: Sequence[np.ndarray]) -> Tensor:
    """Changes of one flow after the other, (draws, packets, 2) each, as one (n, T, 2)."""
    steps = problem.limit.shape[1]
    padded = [np.pad(changes, ((0, 0), (0, steps - changes.shape[1]), (0, 0))) for changes in drawn]
    return torch.from_numpy(np.concatenate(padded)).to(problem.limit.device)


def least_of_each(owner: Tensor, scores: Tensor) -> Tensor:
    """Places of the least of `scores` (n,) of each flow that `owner` (n,) names; of equals the last one."""
    order = torch.argsort(scores, descending=True, stable=True)
    flows = owner[order].cpu().numpy()
    _, from_end = np.unique(flows[::-1], return_index=True)
    return order[torch.from_numpy(len(flows) - 1 - from_end).to(order.device)]


class Nearest:
    """The nearest evasion of each of B flows, for K thresholds.

    Attributes:
        values: (K, B, T, 2) raw; the original where there is none. l1, logit: (K, B), infinite where there is none.
        member: (K, B) number of the member that found it; -1.
        lowest: (B,) least decisive logit seen. evaluations: (B,) copies of each flow that a detector has seen.
    """

    def __init__(self, problem: Problem) -> None:
        batch, thresholds = problem.batch, len(problem.thresholds)
        original = batch.feasible.original
        self.problem = problem
        self.values = original.repeat(thresholds, 1, 1, 1)
        self.l1, self.logit = (original.new_full((thresholds, len(original)), math.inf) for _ in range(2))
        self.member = torch.full((thresholds, len(original)), -1, device=original.device)
        self.lowest = original.new_full((len(original),), math.inf)
        self.evaluations = torch.zeros(len(original), dtype=torch.int64, device=original.device)

    def consider(self, values: Tensor, owner: Tensor, logit: Tensor, *, member: int) -> Tensor:
        """Keep what is nearer than what was found before.

        Args:
            values: (n, T, 2) feasible raw values of flows `owner` (n,). logit: (n,) decisive.

        Returns:
            (n,) L1 distances in z-scores.
        """
        l1 = self.problem.change_of(values, owner).sum(dim=(1, 2))
        self.evaluations.index_add_(0, owner, torch.ones_like(owner))
        self.lowest.scatter_reduce_(0, owner, logit.to(self.lowest.dtype), "amin")
        for place, threshold in enumerate(self.problem.thresholds):
            nearer = torch.nonzero((logit <= threshold) & (l1 < self.l1[place][owner])).squeeze(1)
            if not len(nearer):
                continue
            chosen = nearer[least_of_each(owner[nearer], l1[nearer])]
            own = owner[chosen]
            self.values[place, own], self.l1[place, own] = values[chosen], l1[chosen]
            self.logit[place, own], self.member[place, own] = logit[chosen].to(self.logit.dtype), member
        return l1

    def take_up(self, others: "Nearest") -> None:
        """Keep what is nearer among `others`, of the same flows and thresholds."""
        nearer = others.l1 < self.l1
        for name in ("l1", "logit", "member"):
            getattr(self, name)[nearer] = getattr(others, name)[nearer]
        self.values[nearer] = others.values[nearer]
        self.lowest = torch.minimum(self.lowest, others.lowest)
        self.evaluations += others.evaluations

    def try_changes(
        self, change: Tensor, owner: Tensor, *, member: int, base: Base | None = None
    ) -> tuple[Tensor, Tensor]:
        """Project, evaluate and consider `change` (n, T, 2) z-scores of flows `owner`; (raw values, logits)."""
        values = self.problem.feasible(change, owner)
        logit = self.problem.evaluate(values, owner, base)
        self.consider(values, owner, logit, member=member)
        return values, logit

    def moved(self, flows: Tensor, place: int = 0) -> Tensor:
        """Those of some flows that evade at a threshold, but not unmodified."""
        return flows[(self.l1[place][flows] > SMALLEST) & self.l1[place][flows].isfinite()]

    def change(self, place: int = 0) -> Tensor:
        """(B, T, 2) z-scores of the nearest evasions at a threshold; 0 where there is none."""
        everything = torch.arange(len(self.l1[place]), device=self.l1.device)
        return self.problem.change_of(self.values[place], everything)

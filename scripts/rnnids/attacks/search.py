"""A portfolio of attacks for the nearest evasion of each flow, where any single one fails in silence.

A descent from the original flow alone misses half of the evasions that enumeration finds: where the first added byte
raises the logit it never moves. So descents start from far points too, points are drawn at random, single packets are
tried value by value, what evaded elsewhere is taken up, and each evasion found is pulled back towards the original. A
distance found so is an upper bound; where a flow has one free number only, all its values are tried and it is exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rnnids.attacks.candidates import NUMBER, Nearest, Problem, largest_growth, own_packets, padded_changes
from rnnids.attacks.descent import BATCH_PACKETS, make_batch
from rnnids.attacks.descents import fine_descents, follow, near_descents
from rnnids.attacks.exact import enumerate_flows, free_numbers
from rnnids.attacks.feasible_set import ThreatModel, packet_values, raw_values
from rnnids.attacks.minimum_norm import MinimumNorm
from rnnids.attacks.random_points import mutants, nearer_changes, random_changes
from rnnids.attacks.refinement import coordinates, polish, segment
from rnnids.cli import Progress
from rnnids.datasets.flow_data import FlowData, batches_by_length
from rnnids.detectors.gpu_memory import halved
from rnnids.detectors.protocol import Detector
from rnnids.settings import check, setting

GOALS = ("last", "all")
OF_USE = 0.01  # of a distance: by as much a round has to lower it
PATIENCE = 2  # rounds of no use after which a flow draws no nearer points


@dataclass(frozen=True)
class SearchResult:
    """The nearest evasion of each of N flows, for the thresholds 0 and delta.

    Attributes:
        flows: FlowData that was attacked.
        original_logit: (N,) decisive logit unmodified. lowest: (N,) the least of all points that were tried.
        l1, logit: (2, N) distance in z-scores and decisive logit at 0 and at delta; 0 and the original's where that
            is there already, infinite where nothing was found. member: (2, N) index into ``MEMBERS``; -1 for none.
        length, iat_ns: two (P,) each, the packets of the nearest evasions; the originals where there is none.
        free: (N,) numbers that the attacker can change. exact: (N,) bool, whether all their values were tried.
        evaluations, gradients: (N,) times that the detector saw a copy of the flow, and that it was derived.
    """

    flows: FlowData
    original_logit: np.ndarray
    l1: np.ndarray
    logit: np.ndarray
    member: np.ndarray
    length: list[np.ndarray]
    iat_ns: list[np.ndarray]
    lowest: np.ndarray
    free: np.ndarray
    exact: np.ndarray
    evaluations: np.ndarray
    gradients: np.ndarray

    @property
    def success(self) -> np.ndarray:
        """(N,) bool: benign by now (logit <= 0)."""
        return np.isfinite(self.l1[0])

    def adversarial(self, place: int = 0) -> FlowData:
        """The nearest evasions at a threshold as flows."""
        packets = {"length": self.length[place], "iat_ns": self.iat_ns[place]}
        return replace(self.flows, packets=self.flows.packets | packets)


@dataclass(frozen=True, kw_only=True)
class RobustSearch:
    """The nearest evasion of each flow by all members together.

    >>> RobustSearch().goal
    'last'
    """

    delta: float = setting(-0.2, "logit of the second threshold, the margin; the first is 0", below=0)
    goal: str = setting("last", "benign at the last packet, or no alarm at all", choices=GOALS)
    iterations: int = setting(60, "gradients of the descent from the original", minimum=1)
    far_iterations: int = setting(40, "gradients of each descent from a far point", minimum=1)
    near_starts: int = setting(24, "descents within the distance found, from random points", minimum=0)
    near_iterations: int = setting(15, "gradients of each of them", minimum=1)
    fine_iterations: int = setting(20, "gradients of each descent in short steps", minimum=1)
    draws: int = setting(96, "random points", minimum=8)
    generations: int = setting(40, "of random changes of the point of least logit, where nothing evades", minimum=0)
    children: int = setting(16, "points of a generation", minimum=4)
    values: int = setting(24, "values tried of each single number, at a time", minimum=2)
    depth: int = setting(2, "numbers changed one after the other by the search over coordinates", minimum=0)
    polish_rounds: int = setting(8, "rounds in which evasions are pulled back", minimum=0)
    nearer_rounds: int = setting(3, "rounds of random points nearer than what was found, at most", minimum=0)
    restarts: int = setting(0, "other evasions that are pulled back on their own, at most", minimum=0)
    step: float = setting(5.0, "first step of a descent, z-scores in L2; falls to a hundredth", above=0)
    gamma: float = setting(0.2, "first relative change of a descent's bound; falls to a fiftieth", above=0)
    exact_values: int = setting(100_000, "combinations of values up to which a flow is enumerated", minimum=1)

    def __post_init__(self) -> None:
        check(self)

    def __call__(
        self,
        detector: Detector,
        flows: FlowData,
        *,
        threat_model: ThreatModel | None = None,
        known: Sequence[FlowData] = (),
        allowed: np.ndarray | None = None,
        seed: int = 0,
        batch_packets: int = BATCH_PACKETS,
        label: str = "searching",
    ) -> SearchResult:
        """Search for evasions of `flows`.

        Args:
            threat_model: what the attacker can do; None: the paper's.
            known: the same flows as other attacks changed them; they count where the threat model allows them.
            allowed: (P, 2) bool, lengths and times that may change, of those that the threat model allows; None: all.
            seed: of random points.
            batch_packets: padded packets per batch, at most.
            label: of the progress bar.
        """
        result, threat_model = _empty(flows), threat_model or ThreatModel()
        with Progress(label, total=len(flows), unit="flows") as progress:

            def run(rows: np.ndarray) -> None:
                batch = make_batch(flows, rows, threat_model, device=detector.device)
                if allowed is not None:
                    batch = batch.restricted(allowed[flows.packet_rows(rows)])
                # Candidates of a flow are tried many at a time: fewer flows alone would not take less memory.
                packets = max(1, batch_packets * len(rows) // len(whole))
                problem = Problem(detector, batch, self.goal, (0.0, self.delta), packets, largest_growth(batch))
                self._search_batch(problem, result, rows, known=known, seed=seed)
                progress.update(len(rows))

            for whole in batches_by_length(flows.packet_count, batch_packets):
                halved(run, whole)
        return result

    def _search_batch(
        self, problem: Problem, result: SearchResult, rows: np.ndarray, *, known: Sequence[FlowData], seed: int
    ) -> None:
        """Search a batch and enter what was found into `result`."""
        nearest = Nearest(problem)
        everything = torch.arange(len(rows), device=problem.limit.device)
        original = problem.evaluate(problem.batch.feasible.original, everything)
        for place, threshold in enumerate(problem.thresholds):
            there = original <= threshold
            nearest.l1[place, there], nearest.logit[place, there] = 0.0, original[there].to(nearest.logit.dtype)
        free = free_numbers(problem)
        exact = enumerate_flows(problem, nearest, self.exact_values, member=NUMBER["enumeration"])
        exact |= (free == 0) | (nearest.l1[-1] == 0)
        gradients = torch.zeros_like(free)
        flows = everything[~exact]
        rngs = {flow: np.random.default_rng([seed, int(result.flows.row[rows[flow]])]) for flow in flows.tolist()}
        if len(flows):
            self._take_up(problem, nearest, known, flows)
            flows = self._draw(problem, nearest, flows, rngs)
        if len(flows):
            first = self._descent(0.0, self.iterations)
            gradients[flows] = follow(problem, nearest, flows, attack=first, member="descent")
            lowest = self._evolve(problem, nearest, flows, rngs)
            gradients[flows] += self._descend_from_far(problem, nearest, flows, lowest)
            near = {"starts": self.near_starts, "iterations": self.near_iterations}
            gradients[flows] += near_descents(problem, nearest, flows, rngs=rngs, **near)
            segment(problem, nearest, flows, place=0)
            coordinates(problem, nearest, flows, values=self.values, depth=self.depth)
            polish(problem, nearest, flows, rounds=self.polish_rounds, place=0)
            self._come_nearer(problem, nearest, flows, rngs)
            self._begin_anew(problem, nearest, flows, rngs)
            fine = self._descent(0.0, self.fine_iterations)
            gradients[flows] += fine_descents(problem, nearest, flows, place=0, attack=fine)
            gradients[flows] += self._reach_margin(problem, nearest, flows)
        _enter(result, rows, problem, nearest, original=original, free=free, exact=exact, gradients=gradients)

    def _take_up(self, problem: Problem, nearest: Nearest, known: Sequence[FlowData], flows: Tensor) -> None:
        """Consider what other attacks made of the flows, where it is feasible here."""
        rows = problem.batch.rows[flows.cpu().numpy()]
        for other in known:
            values = torch.from_numpy(raw_values(other, rows, problem.limit.shape[1])).to(flows.device)
            # Not projected: what is not feasible under this threat model is another attacker's.
            allowed = problem.batch.feasible.take(flows).contains(values)
            if allowed.any():
                own = flows[allowed]
                logit = problem.evaluate(values[allowed], own)
                nearest.consider(values[allowed], own, logit, member=NUMBER["known"])

    def _descend_from_far(self, problem: Problem, nearest: Nearest, flows: Tensor, lowest: Sequence[Tensor]) -> int:
        """Descents from the best evasion or, where there is none, from the points of least logit; gradients a flow."""
        taken, attack = 0, self._descent(0.0, self.far_iterations)
        for point in lowest:
            found = torch.isfinite(nearest.l1[0][flows])[:, None, None]
            start = torch.where(found, nearest.values[0][flows], point[flows])
            taken += follow(problem, nearest, flows, attack=attack, member="far_descent", start=start)
        return taken

    def _reach_margin(self, problem: Problem, nearest: Nearest, flows: Tensor) -> int:
        """From the best evasion on to the margin, and back towards the original; gradients a flow."""
        found, delta = flows[nearest.l1[0][flows].isfinite()], problem.thresholds[1]
        attack, start = self._descent(delta, self.far_iterations), nearest.values[0][found]
        taken = follow(problem, nearest, found, attack=attack, member="far_descent", start=start)
        segment(problem, nearest, flows, place=1)
        polish(problem, nearest, flows, rounds=self.polish_rounds, place=1)
        fine = self._descent(delta, self.fine_iterations)
        return taken + fine_descents(problem, nearest, flows, place=1, attack=fine)

    def _descent(self, threshold: float, iterations: int) -> MinimumNorm:
        return MinimumNorm(delta=threshold, iterations=iterations, step=self.step, gamma=self.gamma)

    def _draw(self, problem: Problem, nearest: Nearest, flows: Tensor, rngs: dict[int, np.random.Generator]) -> Tensor:
        """Random points and the corners of the box; the flows that any of them had an effect on."""
        limits = own_packets(problem, problem.limit)
        drawn = [random_changes(limits[flow], self.draws, rng=rngs[flow]) for flow in flows.tolist()]
        change = padded_changes(problem, drawn)
        _, logit = nearest.try_changes(change, flows.repeat_interleave(self.draws), member=NUMBER["random"])
        logit = logit.reshape(len(flows), self.draws)
        # A detector that is not shown what changes says the same of all.
        return flows[logit.amin(dim=1) < logit.amax(dim=1)]

    def _evolve(
        self, problem: Problem, nearest: Nearest, flows: Tensor, rngs: dict[int, np.random.Generator]
    ) -> list[Tensor]:
        """Where nothing evades yet: random changes of the point of least logit, of which the best goes on.

        Twice, since padding alone often does what padding with delays does not: with all numbers, and with lengths.

        Returns:
            two (B, T, 2): raw values of the points that it ended with.
        """
        ends = []
        for features in ((1, 1), (1, 0)):
            limits = own_packets(problem, problem.limit * problem.limit.new_tensor(features))
            points, least = [np.zeros_like(limit) for limit in limits], np.full(len(limits), math.inf)
            for _ in range(self.generations):
                open_flows = flows[~nearest.l1[0][flows].isfinite()]
                if not len(open_flows):
                    break
                numbers = open_flows.cpu().numpy()
                tried = [
                    mutants(points[flow], limits[flow], self.children, rng=rngs[flow]) for flow in numbers.tolist()
                ]
                change = padded_changes(problem, tried)
                owner = open_flows.repeat_interleave(self.children)
                _, logit = nearest.try_changes(change, owner, member=NUMBER["evolution"])
                scores = logit.reshape(len(open_flows), self.children).cpu().numpy()
                for place in np.flatnonzero(scores.min(axis=1) < least[numbers]).tolist():
                    best = int(scores[place].argmin())
                    least[numbers[place]], points[numbers[place]] = scores[place, best], tried[place][best]
            everything = torch.arange(len(limits), device=flows.device)
            change = padded_changes(problem, [point[None] for point in points])
            ends.append(problem.feasible(change, everything))
        return ends

    def _begin_anew(
        self, problem: Problem, nearest: Nearest, flows: Tensor, rngs: dict[int, np.random.Generator]
    ) -> None:
        """Other evasions than the nearest, pulled back on their own: what lies behind another hill is never near it.

        From random points within twice the distance, for the flows to which the last round was of use.
        """
        active = nearest.moved(flows)
        for _ in range(self.restarts):
            if not len(active):
                return
            others = Nearest(problem)
            limits, best = own_packets(problem, problem.limit), own_packets(problem, 2 * nearest.change())
            drawn = [nearer_changes(best[flow], limits[flow], self.draws, rng=rngs[flow]) for flow in active.tolist()]
            owner = active.repeat_interleave(self.draws)
            others.try_changes(padded_changes(problem, drawn), owner, member=NUMBER["random"])
            segment(problem, others, active, place=0)
            polish(problem, others, active, rounds=self.polish_rounds, place=0)
            self._come_nearer(problem, others, active, rngs)
            before = nearest.l1[0].clone()
            nearest.take_up(others)
            active = active[nearest.l1[0][active] < before[active] * (1 - OF_USE)]

    def _come_nearer(
        self, problem: Problem, nearest: Nearest, flows: Tensor, rngs: dict[int, np.random.Generator]
    ) -> None:
        """Random points nearer than the nearest evasion, each round for the flows to which the last was of use."""
        patience = torch.full_like(nearest.evaluations, PATIENCE)
        for _ in range(self.nearer_rounds):
            active = nearest.moved(flows[patience[flows] > 0])
            if not len(active):
                return
            before = nearest.l1[0].clone()
            limits, best = own_packets(problem, problem.limit), own_packets(problem, nearest.change())
            drawn = [nearer_changes(best[flow], limits[flow], self.draws, rng=rngs[flow]) for flow in active.tolist()]
            owner = active.repeat_interleave(self.draws)
            nearest.try_changes(padded_changes(problem, drawn), owner, member=NUMBER["random"])
            polish(problem, nearest, active, rounds=self.polish_rounds, place=0)
            better = nearest.l1[0] < before * (1 - OF_USE)
            patience = torch.where(better, PATIENCE, patience - 1)


def _empty(flows: FlowData) -> SearchResult:
    """A result in which nothing is found yet."""
    count, packets = len(flows), flows.packets
    return SearchResult(
        flows=flows,
        original_logit=np.full(count, math.nan),
        l1=np.full((2, count), math.inf),
        logit=np.full((2, count), math.inf),
        member=np.full((2, count), -1),
        length=[packets["length"].copy() for _ in range(2)],
        iat_ns=[packets["iat_ns"].copy() for _ in range(2)],
        lowest=np.full(count, math.inf),
        free=np.zeros(count, dtype=np.int64),
        exact=np.zeros(count, dtype=bool),
        evaluations=np.zeros(count, dtype=np.int64),
        gradients=np.zeros(count, dtype=np.int64),
    )


def _enter(result: SearchResult, rows: np.ndarray, problem: Problem, nearest: Nearest, **columns: Tensor) -> None:
    """Enter what was found of a batch."""
    packet_rows = result.flows.packet_rows(rows)
    for place in range(2):
        result.l1[place, rows] = nearest.l1[place].cpu().numpy()
        result.logit[place, rows] = nearest.logit[place].cpu().numpy()
        result.member[place, rows] = nearest.member[place].cpu().numpy()
        length, iat = packet_values(nearest.values[place], problem.batch.lengths)
        result.length[place][packet_rows], result.iat_ns[place][packet_rows] = length, iat
    result.original_logit[rows] = columns["original"].cpu().numpy()
    result.lowest[rows] = torch.minimum(nearest.lowest, columns["original"].to(nearest.lowest.dtype)).cpu().numpy()
    result.evaluations[rows] = nearest.evaluations.cpu().numpy()
    for name in ("free", "exact", "gradients"):
        getattr(result, name)[rows] = columns[name].cpu().numpy()

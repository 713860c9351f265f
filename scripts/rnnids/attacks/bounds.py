"""How near a flow's nearest evasion can be, at least: distances that are proven where a search only finds some.

A search answers with a distance that is reached, this with one within which no change evades (``zonotope.py``); the
truth lies between. The whole simplex of changes up to a distance is tried first, at distances that close in on the
largest that holds. From there shells outwards are cut into pieces along the number that moves most, while there is
effort left. With few numbers the shells reach the distance that was found: it is the least then.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rnnids.attacks.ars import CLOSE
from rnnids.attacks.candidates import COLUMNS, largest_growth
from rnnids.attacks.descent import Batch, make_batch
from rnnids.attacks.feasible_set import ThreatModel, raw_scale
from rnnids.attacks.zonotope import Network, Region, Steps, last_logit
from rnnids.cli import Progress, log
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.checkpoints import load_checkpoint, save_checkpoint
from rnnids.detectors.lstm import LSTMDetector
from rnnids.detectors.network import NetworkDetector
from rnnids.settings import check, setting

EVERY = 30.0  # seconds between two checkpoints
FEW = 3  # numbers up to which a flow has `effort_of_few`
DOUBLINGS = 20  # of the first distance tried, or halvings, before the flow is given up
LARGEST_SHELL, SMALLEST_SHELL = 1.5, 1.02  # ratio of a shell's radii, when the first is tried and when the last is


@dataclass(frozen=True, kw_only=True)
class DistanceBounds:
    """The largest distance within which no change makes a flow's last packet benign, as far as can be proven.

    >>> DistanceBounds().first
    0.01
    """

    first: float = setting(0.01, "distance tried first, z-scores", above=0)
    numbers: int | None = setting(3, "free numbers up to which flows are bounded; none: any", minimum=1)
    bisections: int = setting(1, "halvings of the ratio 2 between distances that hold and that do not", minimum=0)
    symbols: int = setting(600, "noise symbols kept from packet to packet; more are tighter and slower", minimum=1)
    effort: int = setting(0, "packets bounded for pieces of shells, of each flow, at most", minimum=0)
    effort_of_few: int = setting(1000, "the same of flows in which at most three numbers can change", minimum=0)
    batch_packets: int = setting(256, "packets of pieces bounded at a time, at most", minimum=1)

    def __post_init__(self) -> None:
        check(self)

    def __call__(
        self,
        detector: NetworkDetector,
        flows: FlowData,
        upper: np.ndarray,
        *,
        exact: np.ndarray,
        threat_model: ThreatModel | None = None,
        label: str = "bounding",
        checkpoint: str | Path | None = None,
        run: str = "",
    ) -> "Bracket":
        """Bound the distances of `flows` from below, for the goal `last`.

        Args:
            upper: (N,) distances that were found; infinite where none was.
            exact: (N,) bool, which of them are proven by enumeration and need nothing more.
            threat_model: what the attacker can do; None: the paper's.
            label: of the progress bar.
            checkpoint: path, written now and then if given. run: text naming settings and inputs; only a checkpoint
                of the same run is resumed.
        """
        lower, packets = np.where(exact, upper, 0.0), np.zeros(len(flows), dtype=np.int64)
        if not isinstance(detector, LSTMDetector):
            log.warning("warning: bounds are those of an LSTM; of this detector only what was enumerated is proven")
            return Bracket(lower, upper, packets)
        threat_model = threat_model or ThreatModel()
        network = Network.of(detector)
        open_flows = np.flatnonzero(~exact & (upper > 0))
        done = _resume(checkpoint, run, lower, packets) if checkpoint else 0
        saved = time.monotonic()
        with Progress(label, total=len(open_flows), unit="flows") as progress:
            progress.update(done)
            for place, row in enumerate(open_flows[done:].tolist(), start=done):
                if checkpoint and time.monotonic() > saved + EVERY:
                    _save(checkpoint, run, Bracket(lower, upper, packets), done=place)
                    saved = time.monotonic()
                batch = make_batch(flows, np.array([row]), threat_model, device=detector.device)
                if self.numbers is None or int((largest_growth(batch) > 0).sum()) <= self.numbers:
                    proof = Proof(self, network, FlowProblem.of(detector, batch), float(upper[row]))
                    lower[row], packets[row] = proof.distance(), proof.packets
                progress.update()
        return Bracket(lower, upper, packets)


def _resume(checkpoint: str | Path, run: str, lower: np.ndarray, packets: np.ndarray) -> int:
    """Flows done by an earlier run, whose `lower` (N,) and `packets` (N,) are put in place."""
    if not (found := load_checkpoint(checkpoint, run)):
        return 0
    groups, done = found
    bounds = groups["flows"]["lower"].numpy()
    lower[:], packets[:] = np.where(bounds < 0, math.inf, bounds), groups["flows"]["packets"].numpy()
    return int(done)


def _save(checkpoint: str | Path, run: str, bracket: "Bracket", *, done: int) -> None:
    # A file of tensors with infinite numbers counts as damaged: -1 stands for them.
    lower = np.where(np.isfinite(bracket.lower), bracket.lower, -1.0)
    save_checkpoint(checkpoint, run, {"flows": {"lower": lower, "packets": bracket.packets}}, state=done)


@dataclass(frozen=True)
class Bracket:
    """Bounds of the distances of N flows.

    Attributes:
        lower, upper: (N,) z-scores; the least distance lies between. packets: (N,) packets bounded on the way.
    """

    lower: np.ndarray
    upper: np.ndarray
    packets: np.ndarray

    @property
    def closed(self) -> np.ndarray:
        """(N,) bool: flows whose least distance is proven, up to a thousandth; or that none evades."""
        return self.lower >= (1 - CLOSE) * self.upper


@dataclass(frozen=True)
class FlowProblem:
    """One flow, as the changes of its k free numbers.

    Attributes:
        steps: what the detector is shown. limit: (k,) z-scores by which each may grow.
        grain: z-scores between the distances of feasible changes; 0 where delays make it next to nothing.
    """

    steps: Steps
    limit: Tensor
    grain: float

    @classmethod
    def of(cls, detector: LSTMDetector, batch: Batch) -> "FlowProblem":
        """That of a batch's only flow."""
        growth = largest_growth(batch)[0]
        places = torch.nonzero(growth > 0)
        original = batch.inputs[0].double()
        shown = detector.visible(original[None])[0]
        # What a detector is shown of a number is the number or nothing.
        effects = []
        for packet, column in places.tolist():
            changed = original.clone()
            changed[packet, COLUMNS[column]] += 1
            moved = (detector.visible(changed[None])[0] - shown).abs() > 0.5
            effects.append(moved.double())
        effect = torch.stack(effects, dim=-1) if effects else shown.new_zeros(*shown.shape, 0)
        unit = batch.feasible.grid / raw_scale(batch.std)
        lengths = bool((places[:, 1] == 0).all())
        return cls(Steps(shown, effect), growth[growth > 0], float(unit[0]) if lengths else 0.0)

    def region(self, low: Tensor, high: Tensor, *, least: float, most: float) -> Region:
        """Pieces low <= d <= high (n, k) of the changes whose sum is between two distances."""
        ends = low.new_tensor([least, most]).expand(len(low), 2)
        return Region(low, high - low, ends[:, 0], ends[:, 1])


class Proof:
    """What is proven of one flow so far.

    Attributes:
        reach: distance within which no change evades. packets: that were bounded for it.
    """

    def __init__(self, settings: DistanceBounds, network: Network, problem: FlowProblem, upper: float) -> None:
        self.settings, self.network, self.problem = settings, network, problem
        self.reach, self.packets = 0.0, 0
        self.whole = float(problem.limit.sum())
        # To be ruled out is all up to the next feasible distance below the one found, and that one too.
        gap = 0.999 * problem.grain or upper * CLOSE
        self.target = min(self.whole, upper - gap) if math.isfinite(upper) else self.whole
        self.upper = upper

    def distance(self) -> float:
        """The lower bound of the distance; infinite where the whole feasible set is ruled out."""
        if self._is_easy() and self._holds(self.target):
            self.reach = self.target
        else:
            self._find_simplex()
            self._add_shells()
        if self.reach < self.target:
            return self.reach
        if self.target == self.whole:
            return math.inf
        return self.upper if self.problem.grain else self.reach

    def _is_easy(self) -> bool:
        """Whether one bound may well say all."""
        return len(self.problem.limit) <= FEW or not self.problem.steps.effect.any()

    def _holds(self, distance: float) -> bool:
        """Whether no change up to a distance evades, by one bound alone."""
        zero = torch.zeros_like(self.problem.limit)[None]
        high = self.problem.limit.clamp(max=distance)[None]
        return bool(self._bound(self.problem.region(zero, high, least=0.0, most=distance))[0] > 0)

    def _bound(self, region: Region) -> tuple[Tensor, Tensor]:
        """(lower bounds of the last logit (n,), weights of the numbers (n, k))."""
        self.packets += len(region.low) * len(self.problem.steps.inputs)
        return last_logit(self.network, self.problem.steps, region, symbols=self.settings.symbols)

    def _find_simplex(self) -> None:
        """Close in on the largest distance for which one bound suffices."""
        distance, fails = min(self.settings.first, self.target), math.inf
        for _ in range(DOUBLINGS):
            if self._holds(distance):
                self.reach = distance
            else:
                fails = distance
            if self.reach >= self.target or 0 < self.reach < fails < math.inf:
                break
            distance = min(2 * distance, self.target) if self.reach else distance / 2
        for _ in range(self.settings.bisections if 0 < self.reach < fails < math.inf else 0):
            distance = math.sqrt(self.reach * fails)
            if self._holds(distance):
                self.reach = distance
            else:
                fails = distance

    def _add_shells(self) -> None:
        """Rule out one shell after the other, thinner ones where that fails, while there is effort left."""
        few = len(self.problem.limit) <= FEW
        effort = self.packets + (self.settings.effort_of_few if few else self.settings.effort)
        ratio = LARGEST_SHELL
        while 0 < self.reach < self.target and ratio > SMALLEST_SHELL and self.packets < effort:
            distance = min(ratio * self.reach, self.target)
            share = self.packets + (effort - self.packets) // (2 if ratio > 1.1 else 1)
            if self._rule_out(distance, share):
                self.reach = distance
            else:
                ratio = math.sqrt(ratio)

    def _rule_out(self, distance: float, effort: int) -> bool:
        """Whether no change in the shell from `reach` to a distance evades, by pieces of it, within an effort."""
        limit, packets = self.problem.limit, len(self.problem.steps.inputs)
        size = max(1, self.settings.batch_packets // packets)
        low, high = torch.zeros_like(limit)[None], limit.clamp(max=distance)[None]
        while len(low):
            if self.packets + packets > effort:
                return False
            taken = min(size, len(low))
            piece = self.problem.region(low[-taken:], high[-taken:], least=self.reach, most=distance)
            logit, weight = self._bound(piece)
            kept = ~(logit > 0)  # so put, a bound that is no number rules nothing out
            own = (low[-taken:][kept], high[-taken:][kept], weight[kept])
            low, high = low[:-taken], high[:-taken]
            if len(own[0]):
                more = split(*own, least=self.reach, most=distance)
                if more is None:
                    return False
                low, high = torch.cat([low, more[0]]), torch.cat([high, more[1]])
        return True


SMALLEST = 1e-7  # z-scores, below which a piece is not cut any more


def split(low: Tensor, high: Tensor, weight: Tensor, *, least: float, most: float) -> tuple[Tensor, Tensor] | None:
    """Halves of pieces (n, k) of a shell, cut across the number that moves most; None where one is too small to cut.

    Halves that lie outside the shell are left out, and the others drawn in to what of them lies inside.
    """
    moves = weight * (high - low)
    cut = moves.argmax(dim=1, keepdim=True)
    ends = low.gather(1, cut), high.gather(1, cut)
    if bool((ends[1] - ends[0] < SMALLEST).any()):
        return None
    middle = (ends[0] + ends[1]) / 2
    low = torch.cat([low, low.scatter(1, cut, middle)])
    high = torch.cat([high.scatter(1, cut, middle), high])
    # No number can be larger than what the least of the others leave, nor smaller than what the most of them do.
    high = torch.minimum(high, most - (low.sum(dim=1, keepdim=True) - low))
    low = torch.maximum(low, least - (high.sum(dim=1, keepdim=True) - high))
    inside = (low <= high).all(dim=1)
    return low[inside], high[inside]

"""The search of rising kappa for the distances behind the Adversarial Robustness Score (Sec. IV).

The search raises kappa round after round and keeps each flow's nearest success over all rounds. An
ARS found so is an upper bound of the true one: a better attack can only lower it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rnnids.attacks.descent import attack_flows
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.gradient import CarliniWagner
from rnnids.cli import log
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.checkpoints import load_checkpoint, save_checkpoint
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.protocol import Detector
from rnnids.settings import check, setting

HALF_FOUND, MAX_ROUNDS = "half_found", "max_rounds"


def half_found(distances: np.ndarray, unsuccessful: np.ndarray) -> bool:
    """The stop rule of Sec. IV for one attack type.

    True when at least ceil(N/2) flows are fooled and the nearest iterate that is not adversarial
    lies no nearer than the ceil(N/2)-th nearest adversarial flow. A heuristic: where the attack
    stopped is no lower bound for where a flow can be fooled.

    Args:
        distances: (N,) of adversarial flows, infinite where there is none.
        unsuccessful: (N,) distance of the last iterate of the flows without success, else infinite.
    """
    needed = math.ceil(len(distances) / 2)
    return bool(np.isfinite(distances).sum() >= needed and unsuccessful.min() >= np.sort(distances)[needed - 1])


@dataclass(frozen=True, kw_only=True)
class RisingKappa:
    """How kappa rises, round after round."""

    kappa_start: float = setting(0.5, "kappa of the first round", above=0)
    kappa_step: float = setting(2.0, "added to kappa each round; the authors: 0.5", above=0)
    max_rounds: int = setting(5, "rounds before giving up; the paper: for example 100", minimum=1)

    def __post_init__(self) -> None:
        check(self)

    @property
    def kappas(self) -> list[float]:
        """One a round."""
        return [self.kappa_start + self.kappa_step * step for step in range(self.max_rounds)]


@dataclass
class Search:
    """State of the rising-kappa search over N flows; resumable between rounds.

    Attributes:
        attack: (N,) attack type of each flow.
        distances: (N,) nearest success so far; 0 for flows that are benign unmodified.
        rounds, kappa: per attack type, the rounds it took and the last kappa tried.
        stopped: per attack type, why its search ended; absent while it goes on.
    """

    attack: np.ndarray
    distances: np.ndarray
    rounds: dict[int, int] = field(default_factory=dict)
    kappa: dict[int, float] = field(default_factory=dict)
    stopped: dict[int, str] = field(default_factory=dict)

    def open_types(self) -> list[int]:
        """Attack types whose search goes on."""
        return [attack for attack in np.unique(self.attack).tolist() if attack not in self.stopped]

    def conclude(self, attack: int, unsuccessful: np.ndarray, *, round_number: int, max_rounds: int) -> None:
        """Decide after a round whether the search for one attack type ends."""
        self.rounds[attack] = round_number
        if half_found(self.distances[self.attack == attack], unsuccessful):
            self.stopped[attack] = HALF_FOUND
        elif round_number == max_rounds:
            self.stopped[attack] = MAX_ROUNDS


def search(
    detector: Detector,
    flows: FlowData,
    attack: CarliniWagner,
    *,
    kappas: Sequence[float],
    threat_model: ThreatModel,
    batch_packets: int,
    checkpoint: str | Path | None = None,
    run: str = "",
) -> Search:
    """Find the distances behind the ARS of every attack type by raising kappa.

    Args:
        flows: the N flows to attack.
        attack: CW, whose kappa is replaced. kappas: rising, one a round.
        checkpoint: path, written after each round if given. run: text naming settings and inputs;
            only a checkpoint of the same run is resumed.

    Returns:
        Search. Round 0 is the unmodified flows (kappa 0), as in Sec. IV.
    """
    found = _load(checkpoint, run) if checkpoint else None
    done, state = found or (0, _unmodified(detector, flows, len(kappas), batch_packets=batch_packets))
    for round_number, kappa in enumerate(kappas[done:], start=done + 1):
        if not state.open_types():
            break
        chosen = np.flatnonzero(np.isin(state.attack, state.open_types()) & (state.distances > 0))
        label = f"round {round_number}, kappa {kappa:g}"
        result = attack_flows(
            detector,
            flows.take(chosen),
            replace(attack, kappa=kappa).run,
            threat_model=threat_model,
            batch_packets=batch_packets,
            label=label,
        )
        nearest = np.where(result.success, np.minimum(state.distances[chosen], result.l1), state.distances[chosen])
        state.distances[chosen] = nearest
        unsuccessful = np.full(len(flows), math.inf)
        unsuccessful[chosen] = np.where(np.isfinite(nearest), math.inf, result.last_l1)
        for kind in state.open_types():
            state.kappa[kind] = kappa
            own = unsuccessful[state.attack == kind]
            state.conclude(kind, own, round_number=round_number, max_rounds=len(kappas))
        fooled = int(result.success.sum())
        log.info("%s: %d of %d flows fooled, %d types go on", label, fooled, len(chosen), len(state.open_types()))
        if checkpoint:
            _save(checkpoint, run, state, done=round_number)
    return state


def _load(checkpoint: str | Path, run: str) -> tuple[int, Search] | None:
    """(rounds done, the search after them), if there is a checkpoint of this run."""
    if not (found := load_checkpoint(checkpoint, run)):
        return None
    groups, (done, *progress) = found
    attacks, distances = (groups["flows"][name].numpy() for name in ("attack", "distances"))
    return done, Search(attacks, np.where(distances < 0, math.inf, distances), *map(dict, progress))


def _save(checkpoint: str | Path, run: str, state: Search, *, done: int) -> None:
    # A file of tensors with infinite numbers counts as damaged: -1 stands for them.
    distances = np.where(np.isfinite(state.distances), state.distances, -1.0)
    columns = {"attack": state.attack, "distances": distances}
    # Lists of pairs, since JSON would turn the attack types, the dictionaries' keys, into text.
    progress = [list(part.items()) for part in (state.rounds, state.kappa, state.stopped)]
    save_checkpoint(checkpoint, run, {"flows": columns}, state=[done, *progress])


def _unmodified(detector: Detector, flows: FlowData, max_rounds: int, *, batch_packets: int) -> Search:
    """The search after round 0, which only looks at the original flows."""
    logits = last_of_flow(packet_logits(detector, flows, batch_packets=batch_packets), flows.packet_count)
    state = Search(flows.flows["attack"].astype(int), np.where(logits <= 0, 0.0, math.inf))
    for attack in state.open_types():
        state.kappa[attack] = 0.0
        unsuccessful = np.where(logits[state.attack == attack] > 0, 0.0, math.inf)
        state.conclude(attack, unsuccessful, round_number=0, max_rounds=max_rounds)
    return state

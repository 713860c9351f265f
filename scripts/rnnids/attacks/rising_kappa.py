"""The search of rising kappa for the distances behind the Adversarial Robustness Score (Sec. IV).

The search raises kappa round after round and keeps each flow's nearest success over all rounds. An
ARS found so is an upper bound of the true one: a better attack can only lower it.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from rnnids.attacks.gradient import attack_flows, carlini_wagner
from rnnids.cli import log
from rnnids.detectors.checkpoints import load_checkpoint, save_checkpoint
from rnnids.detectors.inference import last_of_flow, packet_logits

HALF_FOUND, MAX_ROUNDS = "half_found", "max_rounds"


def half_found(distances, unsuccessful):
    """The stop rule of Sec. IV for one attack type.

    True when at least ceil(N/2) flows are fooled and the nearest iterate that is not adversarial
    lies no nearer than the ceil(N/2)-th nearest adversarial flow. A heuristic: where the attack
    stopped is no lower bound for where a flow can be fooled.

    Args:
        distances: (N,) of adversarial flows, infinite where there is none.
        unsuccessful: (N,) distance of the last iterate of the flows without success, else infinite.
    """
    needed = math.ceil(len(distances) / 2)
    return np.isfinite(distances).sum() >= needed and unsuccessful.min() >= np.sort(distances)[needed - 1]


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
    rounds: dict = field(default_factory=dict)
    kappa: dict = field(default_factory=dict)
    stopped: dict = field(default_factory=dict)

    def open_types(self):
        """Attack types whose search goes on."""
        return [attack for attack in np.unique(self.attack).tolist() if attack not in self.stopped]

    def conclude(self, attack, unsuccessful, round_number, max_rounds):
        """Decide after a round whether the search for one attack type ends."""
        self.rounds[attack] = round_number
        if half_found(self.distances[self.attack == attack], unsuccessful):
            self.stopped[attack] = HALF_FOUND
        elif round_number == max_rounds:
            self.stopped[attack] = MAX_ROUNDS


def search(model, data, rows, attack_settings, kappas, batch_packets, checkpoint=None, run=""):
    """Find the distances behind the ARS of every attack type by raising kappa.

    Args:
        rows: (N,) flows of `data` to attack.
        attack_settings: attacks.Settings. kappas: rising, one a round.
        checkpoint: path, written after each round if given. run: text naming settings and inputs;
            only a checkpoint of the same run is resumed.

    Returns:
        Search. Round 0 is the unmodified flows (kappa 0), as in Sec. IV.
    """
    done, state = 0, None
    if checkpoint and (found := load_checkpoint(checkpoint, run)):
        groups, (done, *progress) = found
        state = Search(*(groups["flows"][name].numpy() for name in ("attack", "distances")), *map(dict, progress))
    if state is None:
        state = _unmodified(model, data.take(rows), len(kappas), batch_packets)
    for round_number, kappa in enumerate(kappas[done:], start=done + 1):
        if not state.open_types():
            break
        _search_round(state, model, data, rows, kappa, round_number, len(kappas), attack_settings, batch_packets)
        if checkpoint:
            flows = {"attack": state.attack, "distances": state.distances}
            # Lists of pairs, since JSON would turn the attack types, the dictionaries' keys, into text.
            progress = [list(part.items()) for part in (state.rounds, state.kappa, state.stopped)]
            save_checkpoint(checkpoint, run, {"flows": flows}, [round_number, *progress])
    return state


def _unmodified(model, flows, max_rounds, batch_packets):
    """The search after round 0, which only looks at the original flows."""
    device = next(model.parameters()).device
    logits = last_of_flow(packet_logits(model, flows, batch_packets, device), flows.packet_count)
    state = Search(flows.flows["attack"].astype(int), np.where(logits <= 0, 0.0, math.inf))
    for attack in state.open_types():
        state.kappa[attack] = 0.0
        state.conclude(attack, np.where(logits[state.attack == attack] > 0, 0.0, math.inf), 0, max_rounds)
    return state


def _search_round(state, model, data, rows, kappa, round_number, max_rounds, settings, batch_packets):
    """Attack the detected flows of all open types with one kappa, always from the originals."""
    chosen = np.flatnonzero(np.isin(state.attack, state.open_types()) & (state.distances > 0))
    label = f"round {round_number}, kappa {kappa:g}"
    result = attack_flows(
        model,
        data,
        rows[chosen],
        lambda *batch: carlini_wagner(*batch, kappa, settings),
        settings,
        batch_packets,
        label,
    )
    fooled = result["logit"] <= 0
    state.distances[chosen] = np.where(
        fooled, np.minimum(state.distances[chosen], result["l1"]), state.distances[chosen]
    )
    unsuccessful = np.full(len(rows), math.inf)
    unsuccessful[chosen] = np.where(np.isfinite(state.distances[chosen]), math.inf, result["last_l1"])
    for attack in state.open_types():
        state.kappa[attack] = kappa
        state.conclude(attack, unsuccessful[state.attack == attack], round_number, max_rounds)
    log.info("%s: %d of %d flows fooled, %d types go on", label, fooled.sum(), len(fooled), len(state.open_types()))

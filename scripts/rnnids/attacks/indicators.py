"""The gate: what an independent check says of a search for evasions (after Carlini et al. 2019, Pintor et al. 2022).

A search that fails looks like a robust detector. So its result is checked by code that shares nothing with it: an own
reading of what the attacker may do, in bytes and nanoseconds of single flows; own random draws; distances and logits
computed anew. Where the check finds an evasion that the search had not, the better flow counts, and the verdict shows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rnnids.attacks.feasible_set import ThreatModel
from rnnids.datasets.features import FORWARD, INTERARRIVAL_TIME, PACKET_LENGTH
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.protocol import Detector, has_gradient
from rnnids.settings import check, setting

SECOND, MILLISECOND = 1_000_000_000, 1_000_000  # ns
KINDS = 7  # of random draws
AT_A_TIME = 32768  # packets
NEARER = 0.99  # of the search's distance: below, a draw refutes it
SAME_LOGIT, SAME_DISTANCE = 1e-3, 1e-6  # up to which values computed anew agree: absolute, relative
ROUNDED, ROUNDINGS = 16, 8  # copies with inputs rounded otherwise; times their spread, by which logits may differ
INVALID, REFUTED, NO_GRADIENT, INERT, OK = "invalid", "refuted", "no gradient", "inert", "ok"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """How much the check tries."""

    flows: int = setting(2, "flows of an attack type that random draws are tried on, at most", minimum=1)
    draws: int = setting(960, "random draws of each", minimum=KINDS)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Rules:
    """What an attacker may add to one flow of T packets.

    Attributes:
        bytes, delay: (T,) at most, bytes and ns. all_bytes, all_delay: over the whole flow.
        tick: ns; delays are whole multiples of it.
    """

    bytes: np.ndarray
    delay: np.ndarray
    all_bytes: float
    all_delay: float
    tick: int

    def faults(self, added_bytes: np.ndarray, added_delay: np.ndarray) -> list[str]:
        """What is wrong with additions (T,) each, in words."""
        found = []
        if (added_bytes < 0).any() or (added_delay < 0).any():
            found.append("a packet became shorter or came earlier")
        if (added_bytes > self.bytes).any():
            found.append("a packet was padded that may not be, or too far")
        if (added_delay > self.delay).any():
            found.append("a packet was delayed that may not be, or too long")
        if added_bytes.sum() > self.all_bytes or added_delay.sum() > self.all_delay:
            found.append("more was added to the flow than it may take")
        if (added_delay % self.tick).any():
            found.append("a delay is off the capture's clock")
        return found


def rules_of(flows: FlowData, row: int, threat: ThreatModel, *, relaxed: bool = False) -> Rules:
    """What may be added to a flow; `relaxed`: by somebody who controls both ends, up to MTU and time-outs."""
    first, count = int(flows.start[row]), int(flows.packet_count[row])
    packets = {name: column[first : first + count] for name, column in flows.packets.items()}
    length, iat = packets["length"].astype(np.int64), packets["iat_ns"].astype(np.int64)
    sides = 3 if relaxed else int(flows.flows["manipulable"][row])
    hers = np.array([bool(sides & 1) if side == FORWARD else bool(sides & 2) for side in packets["direction"]])
    tick = int(flows.clock_resolution_ns)
    pad = np.where(hers, np.maximum(threat.mtu - length, 0), 0)
    last_moment = math.ceil(flows.idle_timeout * SECOND) - tick
    wait = np.where(hers, np.maximum(last_moment - iat, 0) // tick * tick, 0)
    wait[0] = 0
    left = max(0, math.ceil(flows.active_timeout * SECOND) - tick - int(flows.flows["duration_ns"][row]))
    most_bytes, most_delay = math.inf, float(left)
    if not relaxed:
        if threat.padding == "payload":
            pad = np.where(packets["payload_length"] > 0, pad, 0)
        if threat.bytes_per_packet is not None:
            pad = np.minimum(pad, threat.bytes_per_packet)
        if threat.delay_per_packet is not None:
            wait = np.minimum(wait, int(threat.delay_per_packet * SECOND) // tick * tick)
        most_bytes = math.inf if threat.bytes_per_flow is None else threat.bytes_per_flow
        most_delay = min(left, math.inf if threat.delay_per_flow is None else threat.delay_per_flow * SECOND)
    return Rules(pad, wait, most_bytes, most_delay, tick)


def distance(flows: FlowData, added_bytes: np.ndarray, added_delay: np.ndarray) -> np.ndarray:
    """L1 distance in z-scores of additions (..., T)."""
    in_bytes = added_bytes.sum(axis=-1) / float(flows.std[PACKET_LENGTH])
    return in_bytes + added_delay.sum(axis=-1) / MILLISECOND / float(flows.std[INTERARRIVAL_TIME])


def decisive(
    detector: Detector, flows: FlowData, row: int, *, added_bytes: np.ndarray, added_delay: np.ndarray, goal: str
) -> np.ndarray:
    """(n,) decisive logits of a flow with additions (n, T) each."""
    inputs = changed_inputs(flows, row, added_bytes=added_bytes, added_delay=added_delay)
    return logits_of(detector, inputs, goal)


def changed_inputs(flows: FlowData, row: int, *, added_bytes: np.ndarray, added_delay: np.ndarray) -> np.ndarray:
    """(n, T, 15) z-scores of a flow with additions (n, T) each."""
    first, count = int(flows.start[row]), int(flows.packet_count[row])
    length = flows.packets["length"][first : first + count].astype(np.float64)
    iat = flows.packets["iat_ns"][first : first + count].astype(np.float64)
    inputs = np.repeat(flows.padded(np.array([row])), len(added_bytes), axis=0)
    mean, std = np.asarray(flows.mean, dtype=float), np.asarray(flows.std, dtype=float)
    for column, values in (
        (PACKET_LENGTH, length + added_bytes),
        (INTERARRIVAL_TIME, (iat + added_delay) / MILLISECOND),
    ):
        inputs[:, :, column] = (values - mean[column]) / std[column]
    return inputs


@torch.no_grad()
def logits_of(detector: Detector, inputs: np.ndarray, goal: str) -> np.ndarray:
    """(n,) decisive logits of copies (n, T, 15) of a flow."""
    count = inputs.shape[1]
    size = max(1, AT_A_TIME // count)
    logits = [
        detector(torch.from_numpy(piece).to(detector.device), np.full(len(piece), count)).float().cpu().numpy()
        for piece in np.split(inputs, range(size, len(inputs), size))
    ]
    found = np.concatenate(logits)
    return found[:, -1] if goal == "last" else found.max(axis=1)


def rounding_noise(detector: Detector, inputs: np.ndarray, goal: str) -> float:
    """By how much the logit of one flow (1, T, 15) changes when its inputs change in their last binary place.

    Over a long flow a recurrent detector can make thousandths of a logit of that: as much as two correct programs
    differ by that add up in another order. None, if the detector answers otherwise to the very same flow.
    """
    if np.ptp(logits_of(detector, np.repeat(inputs, ROUNDED, axis=0), goal)) > SAME_LOGIT:
        return 0.0
    places = np.random.default_rng(0).integers(-1, 2, size=(ROUNDED, *inputs.shape[1:]))
    return float(np.ptp(logits_of(detector, inputs + (places * np.spacing(inputs)).astype(inputs.dtype), goal)))


def draw(
    rules: Rules, flows: FlowData, known: float, *, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random additions within the rules, `count` of each (n, T): bytes and ns.

    Seven kinds in turn: uniform; spread over orders of magnitude; bytes alone; delays alone; few numbers; few numbers
    over orders of magnitude; drawn in to less than the distance `known`, where that is finite.
    """
    shape = (count, len(rules.bytes))
    kind = np.arange(count) % KINDS
    share = rng.random((2, *shape))
    spread = np.isin(kind, (1, 5)) | (np.isin(kind, (2, 3, 6)) & (rng.random(count) < 0.5))
    share = np.where(spread[:, None], np.exp(-14 * share), share)
    share[1, kind == 2] = share[0, kind == 3] = 0
    few = np.isin(kind, (4, 5)) | ((kind == 6) & (rng.random(count) < 0.5))
    movable = max(1, int((rules.bytes > 0).sum() + (rules.delay > 0).sum()))
    share *= ~few[:, None] | (rng.random(share.shape) < 2 / movable)
    share[:, 0] = 1
    added, waited = share[0] * rules.bytes, share[1] * rules.delay
    if math.isfinite(known):
        far = distance(flows, added, waited)
        wanted = known * rng.random(count)
        factor = np.where((kind == 6) & (far > wanted), wanted / np.maximum(far, 1e-12), 1.0)[:, None]
        added, waited = added * factor, waited * factor
    added *= np.minimum(1, rules.all_bytes / np.maximum(added.sum(axis=1), 1e-12))[:, None]
    waited *= np.minimum(1, rules.all_delay / np.maximum(waited.sum(axis=1), 1e-12))[:, None]
    return np.floor(added), np.floor(waited / rules.tick) * rules.tick


@dataclass(frozen=True)
class Found:
    """The search's own word on N flows, as its file has it.

    Attributes:
        length, iat_ns: (P,) packets of the nearest evasions. l1, logit: (N,), infinite where there is none.
        original_logit: (N,). exact: (N,) bool.
    """

    length: np.ndarray
    iat_ns: np.ndarray
    l1: np.ndarray
    logit: np.ndarray
    original_logit: np.ndarray
    exact: np.ndarray


@dataclass
class Report:
    """What the check found of one flow; `added` is the nearest evasion among its draws, if nearer than the search's."""

    row: int
    missed: bool = False
    ratio: float = 1.0
    inert: bool = False
    no_gradient: bool = False
    relaxed: bool = False
    constrained: bool = False
    l1: float = math.inf
    logit: float = math.inf
    added: tuple[np.ndarray, np.ndarray] | None = None


def verify(
    detector: Detector, flows: FlowData, found: Found, *, threat: ThreatModel, goal: str
) -> tuple[np.ndarray, np.ndarray]:
    """Check what the file says of every flow; ((N,) faults, (N,) error of its logit).

    A logit beyond ``SAME_LOGIT`` from what is said is a fault, unless rounding alone does as much to it.
    """
    faults, errors = np.zeros(len(flows), dtype=int), np.zeros(len(flows))
    for row in range(len(flows)):
        first, count = int(flows.start[row]), int(flows.packet_count[row])
        place = slice(first, first + count)
        more = found.length[place].astype(np.int64) - flows.packets["length"][place].astype(np.int64)
        later = found.iat_ns[place].astype(np.int64) - flows.packets["iat_ns"][place].astype(np.int64)
        inputs = changed_inputs(flows, row, added_bytes=more[None], added_delay=later[None])
        logit, evades = logits_of(detector, inputs, goal)[0], math.isfinite(found.l1[row])
        said = found.logit[row] if evades else found.original_logit[row]
        errors[row], same = abs(logit - said), SAME_LOGIT
        if errors[row] > same or (evades and logit > same):
            same = max(same, ROUNDINGS * rounding_noise(detector, inputs, goal))
        faults[row] = not errors[row] <= same
        if not evades:
            faults[row] += bool(more.any() or later.any())
            continue
        faults[row] += len(rules_of(flows, row, threat).faults(more, later))
        faults[row] += abs(distance(flows, more, later) - found.l1[row]) > SAME_DISTANCE * max(1, found.l1[row])
        faults[row] += bool(logit > same)
    return faults, errors


def challenge(
    detector: Detector,
    flows: FlowData,
    row: int,
    *,
    found: Found,
    threat: ThreatModel,
    goal: str,
    gate: Gate,
    seed: int,
) -> Report:
    """Try random draws on one flow."""
    report, known = Report(row), float(found.l1[row])
    rng = np.random.default_rng([seed, int(flows.row[row])])
    rules = rules_of(flows, row, threat)
    more, later = draw(rules, flows, known, count=gate.draws, rng=rng)
    logits = decisive(detector, flows, row, added_bytes=more, added_delay=later, goal=goal)
    report.inert = bool(np.ptp(logits) == 0)
    evades = logits <= 0
    report.constrained = bool(evades.any()) or math.isfinite(known)
    if evades.any():
        far = np.where(evades, distance(flows, more, later), math.inf)
        best = int(far.argmin())
        report.missed = not math.isfinite(known)
        if far[best] < known:
            report.ratio = 1.0 if report.missed else float(far[best] / known)
            report.l1, report.logit, report.added = float(far[best]), float(logits[best]), (more[best], later[best])
    wide = rules_of(flows, row, threat, relaxed=True)
    more, later = draw(wide, flows, math.inf, count=gate.draws // 4, rng=rng)
    relaxed = decisive(detector, flows, row, added_bytes=more, added_delay=later, goal=goal)
    report.relaxed = bool((relaxed <= 0).any()) or report.constrained
    report.no_gradient = vanished(detector, flows, row)
    return report


def vanished(detector: Detector, flows: FlowData, row: int) -> bool:
    """Whether the gradient of the last logit over lengths and delays is 0 everywhere, or no number."""
    if not has_gradient(detector):
        return False
    inputs = torch.from_numpy(flows.padded(np.array([row]))).to(detector.device).requires_grad_()
    logits = detector(inputs, flows.packet_count[[row]])
    if not logits.requires_grad:
        return True
    (gradient,) = torch.autograd.grad(logits[0, -1], inputs)
    over = gradient[..., [PACKET_LENGTH, INTERARRIVAL_TIME]]
    return bool((over == 0).all() or not torch.isfinite(over).all())


def indicator_row(
    reports: Sequence[Report], *, faults: np.ndarray, errors: np.ndarray, draws: int, gradient: bool
) -> dict[str, object]:
    """The verdict on one attack type: the worst of what was found, with the reason.

    Args:
        reports: of the sampled flows. faults, errors: of all flows of the type, as of :func:`verify`.
        gradient: whether the detector is said to have one.
    """
    missed, nearer = sum(r.missed for r in reports), sum(not r.missed and r.ratio < NEARER for r in reports)
    sampled = max(1, len(reports))
    shares = {
        name: sum(getattr(r, name) for r in reports) / sampled if reports else math.nan
        for name in ("no_gradient", "inert", "relaxed", "constrained")
    }
    least = min((r.ratio for r in reports), default=1.0)
    error = float(errors.max(initial=0))
    row: dict[str, object] = {"sampled": len(reports), "draws": draws, "successes_missed": missed, "nearer": nearer}
    row |= {"nearest_ratio": least, "violations": int(faults.sum()), "max_logit_error": error}
    row |= {f"{name}_share": value for name, value in shares.items()}
    if faults.any():
        verdict = INVALID
        count = int((faults > 0).sum())
        reason = f"{count} flows break a rule or have another logit than is said, by up to {error:.2g}"
    elif missed or nearer:
        verdict = REFUTED
        reason = f"{draws} random draws: {missed} of {len(reports)} flows evade where the search found nothing,"
        reason += f" {nearer} by less than it found (ratio down to {least:.3g})"
    elif reports and shares["inert"] == 1:
        verdict, reason = INERT, "nothing that the attacker may change changes what the detector says"
    elif reports and gradient and shares["no_gradient"] == 1:
        verdict, reason = NO_GRADIENT, "the gradient is 0 or no number, though the detector reacts to changes"
    else:
        verdict, reason = OK, f"{draws} random draws on {len(reports)} flows found nothing better"
        if not reports:
            reason = "every distance is proven, or no flow can change"
    return row | {"verdict": verdict, "reason": reason}

"""When the logits of a flow's packets make an alarm, and how early.

Three rules. ``last``: the logit of the flow's last packet, as in the paper's metrics, so that the alarm comes when the
flow has ended. ``any``: that of any packet. ``k_of_n``: of `k` packets among `n` in a row; a flow of fewer than `k`
packets raises the alarm when it has ended, if all of its packets do.

Each rule gives a *score* after each packet, above the threshold where the alarm sounds, and minus infinity where it
cannot; so one threshold, of logits, goes with every rule. The compiled loop takes packets as they come, flow by flow,
and goes on from what it kept of a flow's packets before: files and streams are judged by the same code.
"""

from dataclasses import dataclass

import numpy as np

from rnnids.errors import InputError
from rnnids.machine_code import njit
from rnnids.settings import check, setting

RULES = ("last", "any", "k_of_n")
LONGEST_WINDOW = 100  # packets of which a stream keeps the logits
NEVER = -np.inf


@dataclass(frozen=True, kw_only=True)
class AlarmRule:
    """Which packets of a flow raise the alarm."""

    rule: str = setting(
        "last",
        "last: the flow's last packet, as evaluate.py has it; any: any packet; k_of_n: k packets among n in a row",
        choices=RULES,
    )
    k: int = setting(3, "packets above the threshold, for k_of_n", minimum=1, maximum=LONGEST_WINDOW)
    n: int = setting(5, "packets in a row among which they are, for k_of_n", minimum=1, maximum=LONGEST_WINDOW)

    def __post_init__(self) -> None:
        check(self)
        if self.k > self.n:
            raise InputError(f"k: {self.k} of {self.n} packets can never be; give --k at most --n")

    @property
    def window(self) -> tuple[int, int]:
        """(k, n) of what is looked at after each packet."""
        return (self.k, self.n) if self.rule == "k_of_n" else (1, 1)

    @property
    def name(self) -> str:
        """As tables have it: ``last``, ``any``, ``3 of 5``."""
        return f"{self.k} of {self.n}" if self.rule == "k_of_n" else self.rule


@njit(cache=True, nogil=True)
def score_after(logit: float, recent: np.ndarray, seen: int, k: int) -> float:
    """Score after one packet more, of a flow that had `seen` packets before; updates `recent`.

    Args:
        recent: (n,) logits of the last packets, packet number i at place i % n.
    """
    recent[seen % len(recent)] = logit
    held = min(seen + 1, len(recent))
    if held < k:
        return NEVER
    for place in range(held):  # the k-th largest: that of which k - 1 or fewer are above, and k or more not below
        above, not_below = 0, 0
        for other in range(held):
            above += recent[other] > recent[place]
            not_below += recent[other] >= recent[place]
        if above < k <= not_below:
            return float(recent[place])
    return NEVER  # among numbers that are none


@njit(cache=True, nogil=True)
def score_at_end(recent: np.ndarray, seen: int, k: int) -> float:
    """What a flow that ended after `seen` packets, fewer than `k`, adds: the smallest of its logits."""
    return float(recent[:seen].min()) if 0 < seen < k else NEVER


def packet_scores(logits: np.ndarray, packet_count: np.ndarray, rule: AlarmRule) -> np.ndarray:
    """Score after each packet.

    Args:
        logits: (P,) flow after flow. packet_count: (N,) packets of each flow.

    Returns:
        (P,) float32; the alarm sounds at the first packet whose score is above the threshold.
    """
    scores = np.full(len(logits), NEVER, np.float32)
    if rule.rule == "last":
        ends = np.cumsum(packet_count) - 1
        scores[ends] = logits[ends]
        return scores
    k, n = rule.window
    _fill_scores(np.asarray(logits, np.float32), np.asarray(packet_count, np.int64), k, np.empty(n, np.float32), scores)
    return scores


@njit(cache=True, nogil=True)
def _fill_scores(logits: np.ndarray, packet_count: np.ndarray, k: int, recent: np.ndarray, scores: np.ndarray) -> None:
    row = 0
    for flow in range(len(packet_count)):
        for seen in range(packet_count[flow]):
            scores[row] = score_after(logits[row], recent, seen, k)
            row += 1
        if packet_count[flow] < k:
            scores[row - 1] = score_at_end(recent, packet_count[flow], k)


def flow_scores(scores: np.ndarray, packet_count: np.ndarray) -> np.ndarray:
    """The highest score of each flow, (P,) -> (N,): above the threshold where it raises the alarm."""
    return np.maximum.reduceat(scores, np.cumsum(packet_count) - packet_count)


def first_alarms(scores: np.ndarray, packet_count: np.ndarray, threshold: float) -> np.ndarray:
    """The packet at which each flow raises the alarm, counted from 0; -1: it does not.

    Args:
        scores: (P,) of :func:`packet_scores`. packet_count: (N,).

    Returns:
        (N,) int64.
    """
    start = np.cumsum(packet_count, dtype=np.int64) - packet_count
    rows = np.append(np.flatnonzero(scores > threshold), len(scores))
    first = rows[np.searchsorted(rows, start)]
    return np.where(first < start + packet_count, first - start, -1)

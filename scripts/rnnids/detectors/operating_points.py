"""What an operator asks of a detector: how much it finds at a rate of false alarms, and how many those are an hour.

A flow's score is the logit of its last packet. A threshold is set by the benign flows alone: the lowest that at most a
given share of them exceeds.
"""

import math
from typing import NamedTuple

import numpy as np

from rnnids.datasets.flow_data import BENIGN, FlowData

RATES = (0.01, 0.001)  # false alarms, as shares of the benign flows


class Curve(NamedTuple):
    """A detector at every threshold that distinguishes flows, the strictest first.

    Attributes:
        threshold: (K,) logits above which a flow raises the alarm.
        false_alarms: (K,) share of benign flows above. recall: (K,) share of attack flows above.
        precision: (K,) share of attacks among the flows above; NaN where there are none.
    """

    threshold: np.ndarray
    false_alarms: np.ndarray
    recall: np.ndarray
    precision: np.ndarray


def curve(is_attack: np.ndarray, logits: np.ndarray) -> Curve:
    """Precision, recall and false alarms over the threshold.

    Args:
        is_attack: (N,) bool. logits: (N,).
    """
    threshold = np.unique(logits)[::-1]
    benign, attack = (np.sort(logits[chosen]) for chosen in (~is_attack, is_attack))
    alarms, found = (len(each) - np.searchsorted(each, threshold, side="right") for each in (benign, attack))
    with np.errstate(invalid="ignore"):
        of_benign, of_attacks = alarms / len(benign), found / len(attack)
        return Curve(threshold, of_benign, of_attacks, found / (alarms + found))


def thinned(points: Curve, size: int) -> Curve:
    """At most `size` points of a curve, even over recall and the logarithm of false alarms, with both ends."""
    if len(points.threshold) <= size:
        return points
    scale = np.log10(np.maximum(points.false_alarms, 1e-7)) + 5 * points.recall  # never falling
    wanted = np.linspace(scale[0], scale[-1], size)
    places = np.unique([0, *np.searchsorted(scale, wanted).clip(max=len(scale) - 1), len(scale) - 1])
    return Curve(*(column[places] for column in points))


def threshold_at(benign_logits: np.ndarray, rate: float) -> float:
    """The lowest threshold that at most `rate` of the benign flows exceed; infinite without any."""
    falling = np.sort(benign_logits)[::-1]
    place = math.floor(rate * len(falling))
    return float(falling[place]) if place < len(falling) else (-math.inf if len(falling) else math.inf)


def benign_flows_per_hour(data: FlowData) -> float:
    """How many benign flows the captures hold an hour, in all of the data set; NaN without a duration or times.

    A capture lasts from its first flow's start to its last flow's end; times between captures do not count. Published
    flows have no times, all start at 0.
    """
    if not data.flows["start_ns"].any():
        return math.nan
    start, end = data.flows["start_ns"], data.flows["start_ns"] + data.flows["duration_ns"]
    seconds = 0.0
    for capture in np.unique(data.flows["capture"]):
        own = data.flows["capture"] == capture
        seconds += float(end[own].max() - start[own].min()) / 1e9
    benign = int((data.flows["attack"] == BENIGN).sum())
    return 3600 * benign / seconds if seconds > 0 else math.nan

"""Why a detector decides as it does on one flow: its confidence after each packet, and what would turn the verdict."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from rnnids.datasets.features import CONSTANT_FEATURES, FEATURES, INTERARRIVAL_TIME
from rnnids.datasets.flow_data import FlowData
from rnnids.datasets.selection import constant_features, packet_values
from rnnids.detectors.inference import packet_logits
from rnnids.detectors.protocol import Detector
from rnnids.explanations.partial_dependence import probability, value_grid
from rnnids.explanations.variation import BATCH_PACKETS, z_scores

WHOLE_FLOW = 0  # in place of a packet's number


class Change(NamedTuple):
    """One value that would turn the verdict.

    Attributes:
        packet: its number in the flow, from 1; 0: all packets, for features that are constant in a flow.
        feature: its name. original, value: raw, in the units of ``features.py``.
        size: how far the value is from the original, in z-scores. logit: of the flow's last packet then.
    """

    packet: int
    feature: str
    original: float
    value: float
    size: float
    logit: float


class FlowExplanation(NamedTuple):
    """What :func:`explain_flow` finds.

    Attributes:
        logit, confidence: (T,) after each packet; confidence is the probability of attack.
        turning_packet: number of the packet, from 1, since which the verdict is that of the end.
        changes: the smallest single change of each packet and feature that turns the verdict, the smallest first.
    """

    logit: np.ndarray
    confidence: np.ndarray
    turning_packet: int
    changes: list[Change]


def explain_flow(
    detector: Detector, flows: FlowData, row: int, *, grid_size: int = 50, batch_packets: int = BATCH_PACKETS
) -> FlowExplanation:
    """Explain the verdict on one flow.

    A change is tried in one packet at a time (ports and protocol: in all) and the whole flow is read anew, so that it
    counts what the change does to the end. Values are those of a grid over what `flows` have: the smallest change is
    the smallest of these. That a value turns the verdict does not mean that anybody could send it.

    Args:
        flows: what values occur. row: the flow's place among them.
        grid_size: values tried of a feature, at most.
        batch_packets: padded packets per batch, at most.
    """
    flow = flows.take([row])
    logit = packet_logits(detector, flow, batch_packets=batch_packets)
    verdict = logit > 0
    different = np.flatnonzero(verdict != verdict[-1])
    changes: list[Change] = []
    for feature in np.flatnonzero(~constant_features(flows)).tolist():
        grid = value_grid(packet_values(flows, feature), feature, size=grid_size)
        changes += _turning_changes(detector, flow, feature, grid=grid, attack=bool(verdict[-1]), size=batch_packets)
    turning = int(different[-1]) + 2 if len(different) else 1
    return FlowExplanation(logit, probability(logit), turning, sorted(changes, key=lambda change: change.size))


def _turning_changes(
    detector: Detector, flow: FlowData, feature: int, *, grid: np.ndarray, attack: bool, size: int
) -> Iterator[Change]:
    """The smallest value of `grid` at each packet that makes another verdict than `attack`."""
    own, count = packet_values(flow, feature).astype(float), int(flow.packet_count[0])
    packets = [WHOLE_FLOW] if feature in CONSTANT_FEATURES else range(1, count + 1)
    if feature == INTERARRIVAL_TIME:
        packets = range(2, count + 1)  # the first packet has none
    change = np.abs(z_scores(flow, feature, grid)[None] - z_scores(flow, feature, own)[:, None])  # (T, W)
    for packet in packets:
        place = max(packet, 1) - 1
        logits = _last_logits(detector, flow, feature, packet=packet, values=grid, size=size)
        turned = np.flatnonzero(((logits > 0) != attack) & (change[place] > 0))
        if len(turned):
            best = turned[change[place, turned].argmin()]
            numbers = float(own[place]), float(grid[best]), float(change[place, best]), float(logits[best])
            yield Change(packet, FEATURES[feature], *numbers)


@torch.no_grad()
def _last_logits(
    detector: Detector, flow: FlowData, feature: int, *, packet: int, values: np.ndarray, size: int
) -> np.ndarray:
    """(W,) logits of the last packet with `values` (W,) of a feature in one packet, or in all."""
    inputs, count = torch.from_numpy(flow.padded(np.array([0]))).to(detector.device), int(flow.packet_count[0])
    scores = torch.from_numpy(z_scores(flow, feature, values)).to(detector.device)
    where = slice(None) if packet == WHOLE_FLOW else slice(packet - 1, packet)
    found = []
    for piece in scores.split(max(1, size // count)):
        varied = inputs.repeat(len(piece), 1, 1)  # (W, T, 15)
        varied[:, where, feature] = piece[:, None]
        found.append(detector(varied, np.full(len(piece), count))[:, -1].float())
    return torch.cat(found).cpu().numpy()

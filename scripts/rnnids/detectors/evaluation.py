"""How well a detector detects, in one call."""

from typing import NamedTuple

import numpy as np

from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.inference import BATCH_PACKETS, last_of_flow, packet_logits
from rnnids.detectors.metrics import confusion_cells, metrics_of, recall_rows
from rnnids.detectors.protocol import Detector


class Scores(NamedTuple):
    """The metrics of Table II of one level, each a number; 0/0 is NaN."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    youden_j: float


class DetectionScores(NamedTuple):
    """What a detector says of flows.

    Attributes:
        packet, flow: metrics per packet and per flow. recall: of each attack type that occurs, by name.
        logits: (P,) of all packets, flow after flow.
    """

    packet: Scores
    flow: Scores
    recall: dict[str, float]
    logits: np.ndarray


def evaluate(detector: Detector, flows: FlowData, *, batch_packets: int = BATCH_PACKETS) -> DetectionScores:
    """Score a detector on flows; a flow's prediction is that of its last packet.

    Args:
        batch_packets: padded packets in a batch, at most.
    """
    logits = packet_logits(detector, flows, batch_packets=batch_packets)
    of_flows = last_of_flow(logits, flows.packet_count)
    of_packets = np.repeat(flows.is_attack, flows.packet_count)
    packet, flow = _scores(of_packets, logits), _scores(flows.is_attack, of_flows)
    recall = {row["attack"]: row["recall"] for row in recall_rows(flows, of_flows)}
    return DetectionScores(packet, flow, recall, logits)


def _scores(is_attack: np.ndarray, logits: np.ndarray) -> Scores:
    counts = confusion_cells(is_attack, logits).sum(axis=0)
    return Scores(**{name: float(value) for name, value in metrics_of(counts).items()})

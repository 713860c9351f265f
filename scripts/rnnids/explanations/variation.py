"""What a detector says of flows in which one feature has other values: the common step of Sec. V.

Values are in the raw units of ``features.py`` and given per packet, W alternatives each.
:func:`vary_flows` changes all packets of a flow at once, :func:`vary_steps` one packet at a time.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from rnnids.cli import Progress
from rnnids.datasets.encoding import normalise
from rnnids.datasets.features import FEATURES
from rnnids.datasets.flow_data import FlowData, batches_by_length, is_packet
from rnnids.detectors.inference import padded_inputs
from rnnids.detectors.protocol import Detector, StatefulDetector, is_stateful

BATCH_PACKETS = 32768  # padded packets in a batch, over all alternatives, where none are given
STATES = 1 << 29  # bytes of states kept at a time
VARIED = {"cpu": 2048, "cuda": 65536}  # values at a time: what stays in a CPU's cache, or fills a GPU


def feature_index(feature: str | int) -> int:
    """The index into ``FEATURES`` of a feature given by name or index.

    Raises:
        ValueError: there is no such feature.
    """
    if isinstance(feature, str):
        if feature not in FEATURES:
            raise ValueError(f"feature {feature!r}: expected one of {', '.join(FEATURES)}")
        return FEATURES.index(feature)
    if not 0 <= feature < len(FEATURES):
        raise ValueError(f"feature {feature}: expected 0 to {len(FEATURES) - 1}")
    return int(feature)


@torch.no_grad()
def vary_flows(
    detector: Detector, flows: FlowData, feature: int, *, values: np.ndarray, batch_packets: int = BATCH_PACKETS
) -> np.ndarray:
    """Logits of W copies of each flow, the w-th with ``values[:, w]`` in place of a feature.

    Args:
        flows: N flows of P packets.
        feature: index into ``FEATURES``.
        values: (P, W) raw values, in the order of the data set's packets.
        batch_packets: padded packets per batch over all copies; one flow's copies may exceed it.

    Returns:
        (P, W) float32.
    """
    width = values.shape[1]
    logits = np.empty(values.shape, dtype=np.float32)
    with Progress(f"varying {FEATURES[feature]}", total=len(flows), unit="flows") as progress:
        for rows in batches_by_length(flows.packet_count, max(1, batch_packets // width)):
            count = flows.packet_count[rows]
            packets, packet_rows = is_packet(count), flows.packet_rows(rows)
            varied = np.repeat(flows.padded(rows)[:, None], width, axis=1)  # (B, W, T, 15)
            varied.transpose(0, 2, 1, 3)[packets, :, feature] = z_scores(flows, feature, values[packet_rows])
            inputs = torch.from_numpy(varied.reshape(-1, *varied.shape[2:])).to(detector.device)
            found = detector(inputs, np.repeat(count, width)).float().cpu().numpy()
            logits[packet_rows] = found.reshape(varied.shape[:3]).transpose(0, 2, 1)[packets]
            progress.update(len(rows))
    return logits


@torch.no_grad()
def vary_steps(
    detector: Detector,
    flows: FlowData,
    variations: Sequence[tuple[int, np.ndarray]],
    *,
    batch_packets: int = BATCH_PACKETS,
) -> list[np.ndarray]:
    """Logits of each packet with a feature varied there alone, the packets before it unmodified (Eq. 7).

    A stateful detector computes the states before all packets once, for all variations, and all values of a
    packet are one batch: a flow of T packets costs T single steps and less than half a step for each value.
    Any other detector runs the packets up to the varied one anew for every value, which costs T/2 times as much.

    Args:
        flows: N flows of P packets.
        variations: list of (feature, values): index into ``FEATURES``, (P, W) raw values.
        batch_packets: packets, with their values, in a batch.

    Returns:
        list of (P, W) float32.
    """
    logits = [np.empty(values.shape, dtype=np.float32) for _, values in variations]
    of_a_batch = batch_packets
    if is_stateful(detector):
        of_a_batch = max(1, min(batch_packets, STATES // detector.bytes_per_packet))
    names = ", ".join(FEATURES[feature] for feature, _ in variations)
    with Progress(f"varying steps: {names}", total=len(flows), unit="flows") as progress:
        for rows, inputs in padded_inputs(flows, batches_by_length(flows.packet_count, of_a_batch), detector.device):
            packet_rows = flows.packet_rows(rows)
            scores = [(feature, z_scores(flows, feature, values[packet_rows])) for feature, values in variations]
            count = flows.packet_count[rows]
            if is_stateful(detector):
                found = _vary_states(detector, inputs, count, variations=scores, batch_packets=batch_packets)
            else:
                found = _vary_prefixes(detector, inputs, count, variations=scores, batch_packets=batch_packets)
            for of_all, of_batch in zip(logits, found, strict=True):
                of_all[packet_rows] = of_batch.float().cpu().numpy()
            progress.update(len(rows))
    return logits


def _vary_states(
    detector: StatefulDetector,
    inputs: torch.Tensor,
    lengths: np.ndarray,
    *,
    variations: Sequence[tuple[int, np.ndarray]],
    batch_packets: int,
) -> Iterator[torch.Tensor]:
    """(P, W) logits of a batch for each variation, from the states before its P packets.

    Args:
        inputs: (B, T, 15) z-scores. lengths: (B,). variations: (feature, (P, W) z-scores).
        batch_packets: packets, with their values, at a time; fewer where that suits the device.
    """
    states = detector.states(inputs, lengths)
    packets = inputs[torch.from_numpy(is_packet(lengths)).to(inputs.device)]  # (P, 15)
    at_a_time = min(batch_packets, VARIED[inputs.device.type])
    for feature, scores in variations:
        size = max(1, at_a_time // scores.shape[1])
        values = torch.from_numpy(scores).to(inputs.device)
        found = []
        for first in range(0, len(values), size):
            piece = slice(first, first + size)
            found.append(detector.next_logits(states[piece], _varied(packets[piece], feature, values[piece])))
        yield torch.cat(found)


def _vary_prefixes(
    detector: Detector,
    inputs: torch.Tensor,
    lengths: np.ndarray,
    *,
    variations: Sequence[tuple[int, np.ndarray]],
    batch_packets: int,
) -> Iterator[torch.Tensor]:
    """What :func:`_vary_states` gives, for any causal detector: flows run anew up to the varied packet."""
    first_packet = np.cumsum(lengths) - lengths
    for feature, scores in variations:
        values = torch.from_numpy(scores).to(inputs.device)
        found = torch.empty(scores.shape, device=inputs.device)
        for step in range(int(lengths.max())):
            reaching = np.flatnonzero(lengths > step)
            size = max(1, batch_packets // ((step + 1) * scores.shape[1]))
            for first in range(0, len(reaching), size):
                rows = reaching[first : first + size]
                packets = torch.from_numpy(first_packet[rows] + step).to(inputs.device)
                prefixes = inputs[torch.from_numpy(rows).to(inputs.device), : step + 1]  # (n, t, 15)
                prefixes = prefixes[:, None].repeat(1, scores.shape[1], 1, 1)  # (n, W, t, 15)
                prefixes[:, :, step, feature] = values[packets]
                copies = prefixes.flatten(0, 1)
                logits = detector(copies, np.full(len(copies), step + 1))[:, step]
                found[packets] = logits.to(found.dtype).view(len(rows), -1)
        yield found


def _varied(packets: torch.Tensor, feature: int, values: torch.Tensor) -> torch.Tensor:
    """Packets (n, 15), each with W values (n, W) in place of a feature: (n, W, 15)."""
    varied = packets[:, None].repeat(1, values.shape[1], 1)
    varied[..., feature] = values
    return varied


def z_scores(flows: FlowData, feature: int, values: np.ndarray) -> np.ndarray:
    """Raw values of one feature -> float32 model inputs."""
    return normalise(values, flows.mean[feature], flows.std[feature]).astype(np.float32)

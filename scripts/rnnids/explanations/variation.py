"""What a detector says of flows in which one feature has other values: the common step of Sec. V.

Values are in the raw units of ``features.py`` and given per packet, W alternatives each.
:func:`vary_flows` changes all packets of a flow at once, :func:`vary_steps` one packet at a time.
"""

import numpy as np
import torch

from rnnids.cli import Progress
from rnnids.datasets.features import FEATURES
from rnnids.datasets.flow_data import batches_by_length, is_packet
from rnnids.detectors.inference import padded_inputs
from rnnids.detectors.kept_states import bytes_per_packet, keep_states, vary_kept
from rnnids.detectors.packed_lstm import pack

STATES = 1 << 29  # bytes of states kept at a time
VARIED = {"cpu": 2048, "cuda": 65536}  # values at a time: what stays in a CPU's cache, or fills a GPU


@torch.no_grad()
def vary_flows(model, data, feature, values, batch_packets, device="cpu"):
    """Logits of W copies of each flow, the w-th with ``values[:, w]`` in place of a feature.

    Args:
        data: FlowData of N flows and P packets.
        feature: index into ``FEATURES``.
        values: (P, W) raw values, in the order of the data set's packets.
        batch_packets: padded packets per batch over all copies; one flow's copies may exceed it.

    Returns:
        (P, W) float32.
    """
    width = values.shape[1]
    logits = np.empty(values.shape, dtype=np.float32)
    with Progress(f"varying {FEATURES[feature]}", total=len(data), unit="flows") as progress:
        for rows in batches_by_length(data.packet_count, max(1, batch_packets // width)):
            packets, packet_rows = is_packet(data.packet_count[rows]), data.packet_rows(rows)
            varied = np.repeat(data.padded(rows)[:, None], width, axis=1)
            varied.transpose(0, 2, 1, 3)[packets, :, feature] = z_scores(data, feature, values[packet_rows])
            packing = pack(np.repeat(data.packet_count[rows], width), device)
            batch = model(torch.from_numpy(varied.reshape(-1, *varied.shape[2:])).to(device), None, packing)
            batch = batch.float().cpu().numpy().reshape(varied.shape[:3])
            logits[packet_rows] = batch.transpose(0, 2, 1)[packets]
            progress.update(len(rows))
    return logits


def vary_steps(model, data, variations, batch_packets, device="cpu"):
    """Logits of each packet with a feature varied there alone, the packets before it unmodified (Eq. 7).

    The states before all packets are computed once, for all variations, and all values of a packet are
    one batch: a flow of T packets costs T single steps and less than half a step for each value.

    Args:
        data: FlowData of N flows and P packets.
        variations: list of (feature, values): index into ``FEATURES``, (P, W) raw values.
        batch_packets: packets, with their values, in a batch.

    Returns:
        list of (P, W) float32.
    """
    logits = [np.empty(values.shape, dtype=np.float32) for _, values in variations]
    of_a_batch = max(1, min(batch_packets, STATES // bytes_per_packet(model)))
    names = ", ".join(FEATURES[feature] for feature, _ in variations)
    with Progress(f"varying steps: {names}", total=len(data), unit="flows") as progress:
        for rows, inputs in padded_inputs(data, batches_by_length(data.packet_count, of_a_batch), device):
            states = keep_states(model, inputs, data.packet_count[rows])
            packet_rows = data.packet_rows(rows)
            for (feature, values), found in zip(variations, logits, strict=True):
                scores = torch.from_numpy(z_scores(data, feature, values[packet_rows])).to(device)
                found[packet_rows] = _in_pieces(model, states, feature, scores, batch_packets)
            progress.update(len(rows))
    return logits


def _in_pieces(model, states, feature, scores, batch_packets):
    """(P, W) logits of :func:`vary_kept`, as many packets at a time as suit the device."""
    rows = min(batch_packets, VARIED[scores.device.type])
    size = max(1, rows // scores.shape[1])
    pieces = (slice(first, first + size) for first in range(0, len(scores), size))
    return (
        torch.cat([vary_kept(model, states, piece, feature, scores[piece]) for piece in pieces]).float().cpu().numpy()
    )


def z_scores(data, feature, values):
    """Raw values of one feature -> float32 model inputs, by the very formula of ``FlowData.normalised``."""
    return ((values - data.mean[feature]) / data.std[feature]).astype(np.float32)

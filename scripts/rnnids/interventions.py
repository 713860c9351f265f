"""What a detector says of flows in which one feature has other values: the common step of Sec. V.

Values are in the raw units of ``features.py`` and given per packet, W alternatives each.
:func:`vary_flows` changes all packets of a flow at once, :func:`vary_steps` one packet at a time.
"""

import numpy as np
import torch

from rnnids.cli import Progress
from rnnids.data import batches_by_length, is_packet
from rnnids.features import FEATURES


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
            batch = model(torch.from_numpy(varied.reshape(-1, *varied.shape[2:])).to(device))
            batch = batch.float().cpu().numpy().reshape(varied.shape[:3])
            logits[packet_rows] = batch.transpose(0, 2, 1)[packets]
            progress.update(len(rows))
    return logits


@torch.no_grad()
def vary_steps(model, data, feature, values, batch_packets, device="cpu"):
    """Logits of each packet with a feature varied there alone, the packets before it unmodified (Eq. 7).

    The state before a packet is computed once and kept, so a flow of T packets costs T (W + 1)
    single steps and not T * T * W.

    Args, Returns: as :func:`vary_flows`.
    """
    width = values.shape[1]
    logits = np.empty(values.shape, dtype=np.float32)
    order = np.argsort(-data.packet_count, kind="stable")
    size = max(1, batch_packets // width)
    with Progress(f"varying {FEATURES[feature]}", total=len(data), unit="flows") as progress:
        for rows in np.split(order, np.arange(size, len(order), size)):
            inputs = torch.from_numpy(data.padded(rows)).to(device)
            state = None
            for step in range(inputs.shape[1]):
                # Flows come by falling length, so those that reach a step are the first ones.
                reaching = rows[data.packet_count[rows] > step]
                current, packet_rows = inputs[: len(reaching), step], data.start[reaching] + step
                state = _first_flows(state, len(reaching))
                varied = current.repeat_interleave(width, dim=0)
                varied[:, feature] = torch.from_numpy(z_scores(data, feature, values[packet_rows]).ravel()).to(device)
                batch, _ = model.step(varied, _repeat_flows(state, width))
                logits[packet_rows] = batch.float().cpu().numpy().reshape(-1, width)
                _, state = model.step(current, state)
            progress.update(len(rows))
    return logits


def _first_flows(state, flows):
    """The state (h, c), each (layers, B, hidden), of the first flows of a batch."""
    return state and tuple(part[:, :flows].contiguous() for part in state)


def _repeat_flows(state, width):
    """The state with each flow `width` times in a row."""
    return state and tuple(part.repeat_interleave(width, dim=1) for part in state)


def z_scores(data, feature, values):
    """Raw values of one feature -> float32 model inputs, by the very formula of ``FlowData.normalised``."""
    return ((values - data.mean[feature]) / data.std[feature]).astype(np.float32)

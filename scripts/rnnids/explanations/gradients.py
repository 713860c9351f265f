"""Integrated gradients (Sundararajan, Taly and Yan 2017): shares of the logit at a flow's last packet."""

from typing import NamedTuple

import numpy as np
import torch

from rnnids.datasets.features import NUM_FEATURES
from rnnids.datasets.flow_data import FlowData, batches_by_length, is_packet
from rnnids.detectors.inference import padded_inputs
from rnnids.detectors.protocol import Detector, require_gradient
from rnnids.explanations.variation import BATCH_PACKETS

STEPS = 32  # points on the way from the baseline


class Attributions(NamedTuple):
    """What each value of a flow contributes to the logit of its last packet.

    Attributes:
        integrated: (P, 15) integrated gradients, from a flow of mean values to the flow.
        gradient: (P, 15) the plain gradient at the flow itself, per z-score.
        gap: (N,) how far a flow's integrated gradients are from adding up to the logit less that of the mean flow:
            completeness, the error of the sum over steps.
    """

    integrated: np.ndarray
    gradient: np.ndarray
    gap: np.ndarray


def integrated_gradients(
    detector: Detector, flows: FlowData, *, steps: int = STEPS, batch_packets: int = BATCH_PACKETS
) -> Attributions:
    """Integrated gradients of the logit at the last packet; the baseline is the training mean, 0 in z-scores.

    Args:
        detector: one that can be derived. flows: N flows of P packets.
        steps: points on the straight way from the baseline, in the middle of equal parts of it.

    Raises:
        InputError: a detector without gradient.
    """
    require_gradient(detector)
    packets = int(flows.packet_count.sum())
    integrated, gradient = (np.empty((packets, NUM_FEATURES)) for _ in range(2))
    gap = np.empty(len(flows))
    batches = batches_by_length(flows.packet_count, batch_packets)
    for rows, inputs in padded_inputs(flows, batches, detector.device):
        count, packet_rows = flows.packet_count[rows], flows.packet_rows(rows)
        packet = is_packet(count)
        total = torch.zeros_like(inputs)
        for share in (np.arange(steps) + 0.5) / steps:
            total += _gradient(detector, inputs * share, count)[1]
        shares = inputs * total / steps
        ends = [_gradient(detector, inputs * share, count) for share in (0.0, 1.0)]
        integrated[packet_rows] = shares.cpu().numpy()[packet]
        gradient[packet_rows] = ends[1][1].cpu().numpy()[packet]
        gap[rows] = (shares.sum(dim=(1, 2)) - (ends[1][0] - ends[0][0])).cpu().numpy()
    return Attributions(integrated, gradient, gap)


def _gradient(detector: Detector, inputs: torch.Tensor, count: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """(B,) logits of the last packets of flows (B, T, 15) and their gradient (B, T, 15)."""
    inputs = inputs.detach().requires_grad_()
    last = torch.from_numpy(count.astype(np.int64) - 1).to(inputs.device)
    logits = detector(inputs, count).gather(1, last[:, None]).squeeze(1)
    (gradient,) = torch.autograd.grad(logits.sum(), inputs)
    return logits.detach(), gradient

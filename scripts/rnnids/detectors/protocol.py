"""What the rest of the library may ask of a detector.

A detector reads flows packet by packet and gives one logit a packet, positive for attack. Whatever follows this
protocol can be attacked, scored and explained; ``LSTMDetector`` does, and ``contract.check_contract`` tries any other.
"""

from typing import Any, Protocol, TypeGuard

import numpy as np
import torch
from torch import Tensor


class Detector(Protocol):
    """Features of flows -> one logit a packet.

    Causal: what comes after a packet changes nothing at it; so padding behind a flow's last packet is inert.
    """

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def __call__(self, inputs: Tensor, lengths: np.ndarray | None = None, /, **given: Any) -> Tensor:
        """Logits of padded flows.

        Args:
            inputs: (B, T, 15) float32 z-scores.
            lengths: (B,) packets of each flow; None: T.

        Returns:
            (B, T) logits; those behind a flow's last packet mean nothing.
        """


class StatefulDetector(Detector, Protocol):
    """A detector that can go on from where it was after a packet, which spares running the packets before it again."""

    @property
    def bytes_per_packet(self) -> int:
        """Memory that :meth:`states` takes for a packet, padding included, at its peak."""

    def states(self, inputs: Tensor, lengths: np.ndarray, /) -> Any:
        """The states before each of the P packets, flow after flow; ``states[index]`` are some of them.

        Args:
            inputs: (B, T, 15) float32 z-scores. lengths: (B,), never rising.
        """

    def next_logits(self, states: Any, inputs: Tensor, /) -> Tensor:
        """Logits of W alternatives for the packet after each of n states: (n, W, 15) -> (n, W)."""


def is_stateful(detector: Detector) -> TypeGuard[StatefulDetector]:
    """Whether a detector can go on from a state."""
    return hasattr(detector, "states") and hasattr(detector, "next_logits")


def has_gradient(detector: Detector) -> bool:
    """Whether a detector can be derived: unless its attribute `differentiable` says otherwise."""
    return bool(getattr(detector, "differentiable", True))

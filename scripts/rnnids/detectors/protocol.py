"""What the rest of the library may ask of a detector.

A detector reads flows packet by packet and gives one logit a packet, positive for attack. Whatever follows this
protocol can be attacked, scored and explained; ``LSTMDetector`` does, and ``contract.check_contract`` tries any other.
"""

from typing import Any, Protocol, TypeGuard

import numpy as np
import torch
from torch import Tensor

from rnnids.errors import InputError


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


class ResumableDetector(Detector, Protocol):
    """A detector that can go on from anywhere in flows it has seen, for which searches try changes in one place."""

    @property
    def resumable(self) -> bool:
        """Whether it can, where it computes now."""

    def remember(self, inputs: Tensor, lengths: np.ndarray, /) -> Any:
        """What :meth:`resume` goes on from; its `outputs` are the logits (N, T), an array.

        Args:
            inputs: (N, T, 15) float32 z-scores. lengths: (N,) packets of each flow.
        """

    def resume(
        self, remembered: Any, inputs: Tensor, lengths: np.ndarray, /, *, flows: np.ndarray, steps: np.ndarray
    ) -> Tensor:
        """Logits (n, S), those of the whole flow, of flows that begin as ones remembered and go on otherwise.

        Args:
            inputs: (n, S, 15) z-scores from there on. lengths: (n,) packets of these, 1 or more.
            flows, steps: (n,) as which flow each begins, and for how many packets.
        """


def is_resumable(detector: Detector) -> TypeGuard[ResumableDetector]:
    """Whether a detector can go on from anywhere in a flow."""
    return bool(getattr(detector, "resumable", False))


def is_stateful(detector: Detector) -> TypeGuard[StatefulDetector]:
    """Whether a detector can go on from a state."""
    return hasattr(detector, "states") and hasattr(detector, "next_logits")


def has_gradient(detector: Detector) -> bool:
    """Whether a detector can be derived: unless its attribute `differentiable` says otherwise."""
    return bool(getattr(detector, "differentiable", True))


def require_gradient(detector: Detector) -> None:
    """Raise InputError where a detector cannot be derived."""
    if not has_gradient(detector):
        raise InputError(
            "the detector has no gradient, which this needs; scripts/search_evasions.py attacks it by draws alone"
        )

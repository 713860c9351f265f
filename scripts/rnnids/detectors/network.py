"""What trainings, attacks and files ask of a detector, whichever network is behind it."""

from abc import ABC, abstractmethod
from itertools import chain
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from rnnids.datasets.features import DIRECTION, MANIPULABLE_FEATURES, NUM_FEATURES
from rnnids.detectors.packed_lstm import Packing

SUPPRESS = ("none", "both", "forward")


class NetworkDetector(nn.Module, ABC):
    """A network that gives one logit per packet, positive for attack, with what is kept from its sight.

    In evaluation mode, so that dropout is inert, but for the epochs of its training.

    Args:
        architecture: what to make it of again, as JSON.
        suppress: packets whose length and interarrival time are left out (Sec. VI-A): "none",
            "both" directions, or "forward", the direction of the flow's first packet.
        feature_dropout: whether 15 more inputs tell which features are suppressed (Sec. V-A3).
    """

    differentiable = True
    fits_itself = False  # whether it is fitted at once, by its network, in place of epochs

    def __init__(self, architecture: dict[str, Any], *, suppress: str, feature_dropout: bool) -> None:
        super().__init__()
        self.architecture = architecture | {"suppress": suppress, "feature_dropout": feature_dropout}
        self.suppress, self.feature_dropout = suppress, feature_dropout

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all layers; recurrent ones without dropout, which are the same in either, stay in training.

        In evaluation cuDNN has no backward pass for them.
        """
        super().train(mode)
        for layer in self.modules():
            if isinstance(layer, nn.RNNBase) and not layer.dropout:
                layer.training = True
        return self

    @property
    def num_inputs(self) -> int:
        """Numbers that the network is shown of a packet."""
        return 2 * NUM_FEATURES if self.feature_dropout else NUM_FEATURES

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(chain(self.parameters(), self.buffers())).device

    def forward(
        self,
        inputs: Tensor,
        lengths: np.ndarray | None = None,
        *,
        suppressed: Tensor | None = None,
        packing: Packing | None = None,
    ) -> Tensor:
        """Logits of padded flows, or of packed ones.

        Args:
            inputs: (B, T, 15) z-scores. The model is causal, so padding behind a flow's last
                packet changes none of its logits.
            lengths: (B,) packets of each flow; faster than without where much of the batch is padding.
            suppressed: (B, 15) bool, features left out for the whole flow; feature dropout only.
            packing: of `inputs` if they are packed, (P, 15).

        Returns:
            (B, T) logits, of which those behind a flow's last packet mean nothing; or (P,) of packed flows.
        """
        if packing is not None:
            return self.of_packets(inputs, packing, suppressed)
        return self.of_flows(inputs, np.full(*inputs.shape[:2]) if lengths is None else lengths, suppressed)

    @abstractmethod
    def of_packets(self, packets: Tensor, packing: Packing, suppressed: Tensor | None) -> Tensor:
        """Logits (P,) of packed packets (P, 15)."""

    @abstractmethod
    def of_flows(self, flows: Tensor, lengths: np.ndarray, suppressed: Tensor | None) -> Tensor:
        """Logits (B, T) of padded flows (B, T, 15) with (B,) packets."""

    def visible(self, inputs: Tensor, suppressed: Tensor | None = None) -> Tensor:
        """What the network is shown of (..., 15): `suppressed` values, (..., 15) bool, are 0, the training mean."""
        if self.suppress != "none":
            hide = torch.zeros_like(inputs, dtype=torch.bool)
            # The mean direction lies in [0, 1), so a forward packet, raw value 0, is never above 0.
            packets: Tensor | bool = inputs[..., DIRECTION] <= 0 if self.suppress == "forward" else True
            for feature in MANIPULABLE_FEATURES:
                hide[..., feature] = packets
            inputs = inputs.masked_fill(hide, 0.0)
        if not self.feature_dropout:
            return inputs
        if suppressed is None:
            return torch.cat([inputs, torch.zeros_like(inputs)], dim=-1)
        # ASSUME: 1 means suppressed, as the paper says; the authors' code has it the other way round.
        return torch.cat([inputs.masked_fill(suppressed, 0.0), suppressed.to(inputs.dtype)], dim=-1)

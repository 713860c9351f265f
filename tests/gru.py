"""A detector that is not the library's: what it takes to have one attacked, scored and explained."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rnnids.datasets.flow_data import is_packet


class GRUDetector(nn.Module):
    """A GRU of one layer that gives logits of whole flows alone."""

    def __init__(self, hidden_size: int = 8) -> None:
        super().__init__()
        self.gru, self.readout = nn.GRU(15, hidden_size, batch_first=True), nn.Linear(hidden_size, 1)
        self.device = torch.device("cpu")

    def forward(self, inputs: Tensor, lengths: np.ndarray | None = None) -> Tensor:
        return self.readout(self.gru(inputs)[0]).squeeze(-1)


class StatefulGRUDetector(GRUDetector):
    """The same, which goes on from a state: the hidden state after a packet is the GRU's output there."""

    bytes_per_packet = 200

    @torch.no_grad()
    def states(self, inputs: Tensor, lengths: np.ndarray) -> Tensor:
        before = functional.pad(self.gru(inputs)[0][:, :-1], (0, 0, 1, 0))
        return before[torch.from_numpy(is_packet(lengths))]

    @torch.no_grad()
    def next_logits(self, states: Tensor, inputs: Tensor) -> Tensor:
        hidden = states.repeat_interleave(inputs.shape[1], dim=0)[None]
        return self.readout(self.gru(inputs.flatten(0, 1)[:, None], hidden)[0]).view(inputs.shape[:2])

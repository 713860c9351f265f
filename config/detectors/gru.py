"""A gated recurrent unit (Cho et al. 2014): the LSTM's nearest relative, with a gate less."""

from torch import Tensor, nn


class GRU(nn.Module):
    """A GRU with a linear read-out at every packet.

    Args:
        inputs: numbers that it is shown of a packet. hidden_size, num_layers: of the GRU.
    """

    def __init__(self, inputs: int = 15, hidden_size: int = 64, num_layers: int = 2) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, hidden_size, num_layers, batch_first=True)
        self.readout = nn.Linear(hidden_size, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, T) logits."""
        return self.readout(self.gru(inputs)[0]).squeeze(-1)

"""A temporal convolutional network (Bai et al. 2018): it sees the packets shortly before each."""

from torch import Tensor, nn
from torch.nn import functional

WIDTH = 3  # packets under a filter


class TCN(nn.Module):
    """Blocks of a dilated causal convolution each; with N blocks it looks back 2 * (2^N - 1) packets.

    Args:
        inputs: numbers that it is shown of a packet. hidden_size: channels. num_layers: blocks, twice as many as asked
            for, since two of them see no more than six packets.
    """

    def __init__(self, inputs: int = 15, hidden_size: int = 64, num_layers: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, hidden_size)
        self.dilations = [2**block for block in range(2 * num_layers)]
        self.blocks = nn.ModuleList(
            nn.Conv1d(hidden_size, hidden_size, WIDTH, dilation=dilation) for dilation in self.dilations
        )
        self.readout = nn.Linear(hidden_size, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, T) logits."""
        channels = self.embed(inputs).transpose(1, 2)
        for block, dilation in zip(self.blocks, self.dilations, strict=True):
            # Padding in front alone keeps it causal.
            before = functional.pad(channels, ((WIDTH - 1) * dilation, 0))
            channels = channels + functional.relu(block(before))
        return self.readout(channels.transpose(1, 2)).squeeze(-1)

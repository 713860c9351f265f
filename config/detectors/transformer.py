"""A small causal transformer (Vaswani et al. 2017): each packet attends to itself and to those before it."""

import torch
from torch import Tensor, nn

HEADS = 4


class Transformer(nn.Module):
    """Encoder layers with a causal mask and sines as positions, normalised first.

    Args:
        inputs: numbers that it is shown of a packet. hidden_size: of a packet within, a multiple of 4.
        num_layers: of the encoder.
    """

    def __init__(self, inputs: int = 15, hidden_size: int = 64, num_layers: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, hidden_size)
        layer = nn.TransformerEncoderLayer(
            hidden_size, HEADS, 2 * hidden_size, dropout=0.0, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
        self.readout = nn.Linear(hidden_size, 1)
        self.frequencies = [10_000 ** (-2 * i / hidden_size) for i in range(hidden_size // 2)]

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, T) logits."""
        steps = inputs.shape[1]
        angle = torch.arange(steps, device=inputs.device)[:, None] * inputs.new_tensor(self.frequencies)
        position = torch.cat([angle.sin(), angle.cos()], dim=1)
        mask = torch.ones(steps, steps, dtype=torch.bool, device=inputs.device).triu(1)
        return self.readout(self.encoder(self.embed(inputs) + position, mask=mask)).squeeze(-1)

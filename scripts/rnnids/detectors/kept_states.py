"""A detector's states before every packet, kept, so that any packet can be varied without running its flow again.

Of each layer two things are kept: what the state adds to the gates, so that its matrix product is made
once a packet and not once a value, and the cell. Varying a packet then costs, in multiplications, the
input weights of the layers alone: less than half of a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rnnids.detectors.packed_lstm import layer_weights


@dataclass(frozen=True)
class KeptStates:
    """The states before P packets; ``states[index]`` are some of them.

    Attributes:
        layers: ((P, 4 hidden) what state and biases add to the gates, (P, hidden) cells) of each layer.
    """

    layers: Sequence[tuple[Tensor, Tensor]]

    def __len__(self) -> int:
        return len(self.layers[0][0])

    def __getitem__(self, index: slice | Tensor | np.ndarray) -> "KeptStates":
        return KeptStates([(gates[index], cells[index]) for gates, cells in self.layers])


@torch.no_grad()
def keep_states(lstm: nn.LSTM, visible: Tensor, count: np.ndarray) -> KeptStates:
    """KeptStates of flows that come by falling length.

    Args:
        visible: (B, T, F) what the LSTM is shown. count: (B,) packets of each flow.
    """
    steps = torch.arange(visible.shape[1])
    mask = (steps < torch.as_tensor(count)[:, None]).to(visible.device)
    reaching = [int((torch.as_tensor(count) > step).sum()) for step in steps]
    layers, outputs = [], visible
    for layer in range(lstm.num_layers):
        kept, cells, outputs = _run_layer(layer_weights(lstm, layer), outputs, reaching)
        layers.append((kept[mask], cells[mask]))
    return KeptStates(layers)


def _run_layer(
    weights: tuple[Tensor, Tensor, Tensor], inputs: Tensor, reaching: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """What is kept of one layer, (B, T, 4 hidden) and (B, T, hidden), and its outputs (B, T, hidden)."""
    weight_ih, weight_hh, bias = weights
    flows, steps, _ = inputs.shape
    hidden = weight_hh.shape[1]
    gates = inputs @ weight_ih.T
    kept, cells, outputs = (inputs.new_zeros(flows, steps, size) for size in (4 * hidden, hidden, hidden))
    output, cell = inputs.new_zeros(flows, hidden), inputs.new_zeros(flows, hidden)
    for step, active in enumerate(reaching):
        output, cell = output[:active], cell[:active]
        kept[:active, step] = torch.addmm(bias, output, weight_hh.T)
        cells[:active, step] = cell
        output, cell = _lstm_cell(gates[:active, step] + kept[:active, step], cell)
        outputs[:active, step] = output
    return kept, cells, outputs


def _lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """(output, cell) after one step, of gates in torch's order: input, forget, candidate, output; overwrites them."""
    hidden = cell.shape[-1]
    gates[..., : 2 * hidden].sigmoid_()
    enter, forget, candidate, leave = gates.split(hidden, dim=-1)
    cell = forget.mul_(cell).addcmul_(enter, candidate.tanh_())
    return cell.tanh().mul_(leave.sigmoid_()), cell


@torch.no_grad()
def next_outputs(lstm: nn.LSTM, states: KeptStates, visible: Tensor) -> Tensor:
    """Outputs of the last layer at W alternatives for the packet after each of n states: (n, W, F) -> (n, W, H)."""
    count, width = visible.shape[:2]
    outputs = visible.flatten(0, 1)
    for layer, (kept, cells) in enumerate(states.layers):
        gates = (outputs @ layer_weights(lstm, layer)[0].T).unflatten(0, (count, width))
        gates += kept[:, None]
        outputs = _lstm_cell(gates, cells[:, None])[0].flatten(0, 1)
    return outputs.unflatten(0, (count, width))

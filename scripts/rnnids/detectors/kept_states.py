"""A detector's states before every packet, kept, so that any packet can be varied without running its flow again.

Of each layer two things are kept: what the state adds to the gates, so that its matrix product is made
once a packet and not once a value, and the cell. Varying a packet then costs, in multiplications, the
input weights of the layers alone: less than half of a step. Where a flow is to go on for more packets than one, the
states after all packets are remembered as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rnnids.detectors.packed_lstm import TOGETHER, Network, layer_weights, pack, parameters


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


@dataclass(frozen=True)
class Remembered:
    """The states of an LSTM before and after each packet of N flows, and what it said.

    Attributes:
        states: (hidden, cell), each (N, T + 1, H), of each layer; at place t after t packets.
        outputs: (N, T) of the read-out.
    """

    states: Sequence[tuple[np.ndarray, np.ndarray]]
    outputs: np.ndarray


@torch.no_grad()
def remember(lstm: nn.LSTM, readout: nn.Linear, inputs: Tensor, *, count: np.ndarray) -> Remembered:
    """What :func:`resume` goes on from: of padded flows (N, T, F) with `count` (N,) packets."""
    flows, steps, _ = inputs.shape
    shape, kind = (flows, steps + 1, lstm.hidden_size), inputs.numpy().dtype
    states = [(np.zeros(shape, kind), np.zeros(shape, kind)) for _ in range(lstm.num_layers)]
    found = Remembered(states, np.zeros((flows, steps), kind))
    weights = parameters(lstm, readout)
    for first in range(0, flows, TOGETHER):  # so that gates, which are not wanted, take little memory
        last = min(flows, first + TOGETHER)
        packing = pack(count[first:last], steps=steps)
        places = first + packing.flow.numpy(), packing.step.numpy()
        after = places[0], places[1] + 1
        kept, outputs = Network(weights, packing).all_states(inputs[first:last].flatten(0, 1)[packing.index].numpy())
        for (hidden, cell), layer in zip(states, kept, strict=True):
            hidden[after], cell[after] = layer.hidden, layer.cell
        found.outputs[places] = outputs[:, 0]
    return found


@torch.no_grad()
def resume(
    lstm: nn.LSTM,
    readout: nn.Linear,
    remembered: Remembered,
    *,
    flows: np.ndarray,
    steps: np.ndarray,
    inputs: Tensor,
    count: np.ndarray,
) -> Tensor:
    """Outputs (n, S) of the read-out where flows go on otherwise than they were remembered.

    Args:
        flows, steps: (n,) whose flow each one is, and how many of its packets come before.
        inputs: (n, S, F) the packets from there on. count: (n,) how many these are.
    """
    packing = pack(count + 1, steps=inputs.shape[1] + 1)  # a packet before the others stands for the state
    padded = torch.cat([inputs.new_zeros(len(inputs), 1, inputs.shape[2]), inputs], dim=1)
    order = packing.flow[: len(count)].numpy()
    states = [(hidden[flows, steps][order], cell[flows, steps][order]) for hidden, cell in remembered.states]
    network = Network(parameters(lstm, readout), packing)
    outputs = network.outputs_after(padded.flatten(0, 1)[packing.index].numpy(), states)
    found = inputs.new_zeros(padded.shape[:2])
    found[packing.flow, packing.step] = torch.from_numpy(outputs[:, 0])
    return found[:, 1:]

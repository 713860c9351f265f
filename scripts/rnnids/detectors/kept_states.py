"""A detector's states before every packet, kept, so that any packet can be varied without running its flow again.

Of each layer two things are kept: what the state adds to the gates, so that its matrix product is made
once a packet and not once a value, and the cell. Varying a packet then costs, in multiplications, the
input weights of the layers alone: less than half of a step.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class KeptStates:
    """The states before P packets.

    Attributes:
        inputs: (P, 15) the packets' own z-scores.
        layers: list of ((P, 4 hidden) what state and biases add to the gates, (P, hidden) cells).
    """

    inputs: torch.Tensor
    layers: list


def bytes_per_packet(model):
    """What :func:`keep_states` holds for a packet, padding included, at its peak."""
    return 4 * model.lstm.hidden_size * (5 * model.lstm.num_layers + 6)


@torch.no_grad()
def keep_states(model, inputs, count):
    """KeptStates of flows that come by falling length.

    Args:
        inputs: (B, T, 15) padded z-scores. count: (B,) packets of each flow.
    """
    steps = torch.arange(inputs.shape[1])
    mask = (steps < torch.as_tensor(count)[:, None]).to(inputs.device)
    reaching = [int((torch.as_tensor(count) > step).sum()) for step in steps]
    layers, outputs = [], model.visible(inputs)
    for layer in range(model.lstm.num_layers):
        kept, cells, outputs = _run_layer(*_weights(model, layer), outputs, reaching)
        layers.append((kept[mask], cells[mask]))
    return KeptStates(inputs[mask], layers)


def _weights(model, layer):
    """Input weights, recurrent weights and the sum of both biases of a layer."""
    parts = (getattr(model.lstm, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    weight_ih, weight_hh, bias_ih, bias_hh = parts
    return weight_ih, weight_hh, bias_ih + bias_hh


def _run_layer(weight_ih, weight_hh, bias, inputs, reaching):
    """What is kept of one layer, (B, T, 4 hidden) and (B, T, hidden), and its outputs (B, T, hidden)."""
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


def _lstm_cell(gates, cell):
    """(output, cell) after one step, of gates in torch's order: input, forget, candidate, output; overwrites them."""
    hidden = cell.shape[-1]
    gates[..., : 2 * hidden].sigmoid_()
    enter, forget, candidate, leave = gates.split(hidden, dim=-1)
    cell = forget.mul_(cell).addcmul_(enter, candidate.tanh_())
    return cell.tanh().mul_(leave.sigmoid_()), cell


@torch.no_grad()
def vary_kept(model, states, packets, feature, z_scores):
    """Logits of packets, each with W values in place of a feature, after what came before it.

    Args:
        states: KeptStates. packets: slice of its packets.
        z_scores: (n, W) float32 tensor, values for those packets.

    Returns:
        (n, W) logits.
    """
    count, width = z_scores.shape
    varied = states.inputs[packets].repeat_interleave(width, dim=0)
    varied[:, feature] = z_scores.reshape(-1)
    outputs = model.visible(varied[:, None])[:, 0]
    for layer, (kept, cells) in enumerate(states.layers):
        gates = (outputs @ _weights(model, layer)[0].T).unflatten(0, (count, width))
        gates += kept[packets, None]
        outputs = _lstm_cell(gates, cells[packets, None])[0].flatten(0, 1)
    return model.readout(outputs).reshape(count, width)

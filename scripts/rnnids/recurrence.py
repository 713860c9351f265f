"""An LSTM over packed flows on a CPU: no padding, and no gradients that nobody asked for.

Packets lie time step after time step, the flows of a batch sorted by falling length, as in
``torch.nn.utils.rnn.PackedSequence``. A layer multiplies all packets with its input weights at once;
only the recurrent product goes step by step, over the flows that are still there. ``nn.LSTM``
computes the same, but allocates at every step and derives its weights even where they are frozen.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional


@dataclass(frozen=True)
class Packing:
    """How the packets of a padded batch (B, T) are laid out without padding.

    Attributes:
        index: (P,) place of each packed packet in the flattened padded batch, whatever the order of its flows.
        sizes: flows that are T = 1, 2, ... packets or longer; they never grow.
        shape: (B, T).
    """

    index: torch.Tensor
    sizes: list
    shape: tuple

    @property
    def before(self):
        """(P - B,) packed place of the packet before each one that is not its flow's first."""
        sizes = np.asarray(self.sizes)
        # The k-th flow of a step is the k-th flow of the step before, which is as many places back as that has flows.
        return torch.from_numpy(np.arange(sizes[0], sizes.sum()) - np.repeat(sizes[:-1], sizes[1:]))


def pack(count, device="cpu"):
    """Packing of a padded batch of flows, in any order, with `count` (B,) packets each."""
    count = np.asarray(count)
    steps = int(count.max())
    order = np.argsort(-count.astype(np.int64), kind="stable")
    step, place = np.nonzero(np.arange(steps)[:, None] < count[order])
    sizes = np.bincount(step, minlength=steps).tolist()
    return Packing(torch.from_numpy(order[place] * steps + step).to(device), sizes, (len(count), steps))


def run_lstm(lstm, inputs, packing, dtype=None):
    """Hidden states of the last layer of an ``nn.LSTM``, (P, F) -> (P, H).

    Args:
        dtype: of matrix products; None: that of the weights.
    """
    hidden = inputs
    for layer in range(lstm.num_layers):
        weights = (getattr(lstm, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        hidden = PackedLayer.apply(hidden, weight_ih, weight_hh, bias_ih + bias_hh, packing, dtype or inputs.dtype)
    return hidden


class PackedLayer(torch.autograd.Function):
    """One LSTM layer (Hochreiter & Schmidhuber 1997, with forget gates) over packed flows.

    Gates are stored activated, in PyTorch's order: input, forget, cell, output.
    """

    @staticmethod
    def forward(ctx, inputs, weight_ih, weight_hh, bias, packing, dtype):
        size = weight_hh.shape[1]
        recurrent = weight_hh.to(dtype).t().contiguous()  # doubles the speed of products with few rows
        gates = functional.linear(inputs.to(dtype), weight_ih.to(dtype)).to(inputs.dtype).add_(bias)
        cell, squashed, hidden = (inputs.new_empty(len(inputs), size) for _ in range(3))
        first = 0
        for step, count in enumerate(packing.sizes):
            rows = slice(first, first + count)
            if step:
                before = slice(first - packing.sizes[step - 1], first - packing.sizes[step - 1] + count)
                _add_product(gates[rows], hidden[before].to(dtype), recurrent)
            _activate(gates[rows], size)
            in_gate, forget_gate, candidate, out_gate = gates[rows].split(size, dim=1)
            torch.mul(in_gate, candidate, out=cell[rows])
            if step:
                cell[rows].addcmul_(forget_gate, cell[before])
            torch.tanh(cell[rows], out=squashed[rows])
            torch.mul(out_gate, squashed[rows], out=hidden[rows])
            first += count
        ctx.save_for_backward(inputs, weight_ih, weight_hh, gates, cell, squashed, hidden)
        ctx.packing, ctx.dtype = packing, dtype
        return hidden

    @staticmethod
    def backward(ctx, output_gradient):
        inputs, weight_ih, weight_hh, gates, cell, squashed, hidden = ctx.saved_tensors
        before = ctx.packing.before
        through_cell, local = _local_derivatives(gates, cell, squashed, before)
        forget_gate = gates[:, cell.shape[1] : 2 * cell.shape[1]]
        recurrent = weight_hh.to(ctx.dtype)
        derivative = _back_in_time(output_gradient, through_cell, local, forget_gate, recurrent, ctx.packing.sizes)
        low = derivative.to(ctx.dtype)
        gradients = [None] * 6
        if ctx.needs_input_grad[0]:
            gradients[0] = (low @ weight_ih.to(ctx.dtype)).to(inputs.dtype)
        if ctx.needs_input_grad[1]:
            gradients[1] = (low.t() @ inputs.to(ctx.dtype)).to(inputs.dtype)
        if ctx.needs_input_grad[2]:
            later = low[ctx.packing.sizes[0] :]
            gradients[2] = (later.t() @ hidden[before].to(ctx.dtype)).to(inputs.dtype)
        if ctx.needs_input_grad[3]:
            gradients[3] = derivative.sum(dim=0)
        return tuple(gradients)


def _add_product(target, left, right):
    """target += left @ right, in the products' type."""
    if left.dtype == target.dtype:
        target.addmm_(left, right)
    else:
        target.add_(left @ right)


def _activate(gates, size):
    """Sigmoid of three gates and hyperbolic tangent of the candidate, in place."""
    gates[:, : 2 * size].sigmoid_()
    gates[:, 2 * size : 3 * size].tanh_()
    gates[:, 3 * size :].sigmoid_()


def _local_derivatives(gates, cell, squashed, before):
    """What a step's derivatives do not owe to later steps, for all packets at once.

    Returns:
        (d cell / d hidden (P, H); derivatives (P, 4H) of the cell by the pre-activations of input, forget and
        candidate, and of the hidden state by that of the output).
    """
    size = cell.shape[1]
    in_gate, forget_gate, candidate, out_gate = gates.split(size, dim=1)
    local = torch.empty_like(gates)
    d_in, d_forget, d_candidate, d_out = local.split(size, dim=1)
    torch.mul(candidate, in_gate * (1 - in_gate), out=d_in)
    torch.mul(in_gate, 1 - candidate * candidate, out=d_candidate)
    torch.mul(squashed, out_gate * (1 - out_gate), out=d_out)
    first = len(cell) - len(before)  # the first packets have no cell before them
    d_forget[:first] = 0
    torch.mul(cell[before], (forget_gate * (1 - forget_gate))[first:], out=d_forget[first:])
    return out_gate * (1 - squashed * squashed), local


def _back_in_time(output_gradient, through_cell, local, forget_gate, weight_hh, sizes):
    """Gradient over the pre-activations of all gates, (P, 4H), from the last step to the first."""
    size = forget_gate.shape[1]
    total = output_gradient.clone()
    first = len(total)
    carried = None  # gradient over the cell, from the step after
    for step in range(len(sizes) - 1, -1, -1):
        first, count = first - sizes[step], sizes[step]
        rows = slice(first, first + count)
        cell_gradient = total[rows] * through_cell[rows]
        if carried is not None:
            cell_gradient[: len(carried)] += carried
        local[rows].view(count, 4, size)[:, :3].mul_(cell_gradient[:, None])
        local[rows, 3 * size :].mul_(total[rows])
        if step:
            before = slice(first - sizes[step - 1], first - sizes[step - 1] + count)
            _add_product(total[before], local[rows].to(weight_hh.dtype), weight_hh)
            carried = cell_gradient.mul_(forget_gate[rows])
    return local

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

from rnnids.detectors.lstm_cell import step_backward, step_forward


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
        _forward_in_time(gates, cell, squashed, hidden, recurrent, packing.sizes)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, gates, cell, squashed, hidden)
        ctx.packing, ctx.dtype = packing, dtype
        return hidden

    @staticmethod
    def backward(ctx, output_gradient):
        inputs, weight_ih, weight_hh, gates, cell, squashed, hidden = ctx.saved_tensors
        recurrent = weight_hh.to(ctx.dtype)
        derivative = _back_in_time(output_gradient, gates, cell, squashed, recurrent, ctx.packing.sizes)
        low = derivative.to(ctx.dtype)
        gradients = [None] * 6
        if ctx.needs_input_grad[0]:
            gradients[0] = (low @ weight_ih.to(ctx.dtype)).to(inputs.dtype)
        if ctx.needs_input_grad[1]:
            gradients[1] = (low.t() @ inputs.to(ctx.dtype)).to(inputs.dtype)
        if ctx.needs_input_grad[2]:
            later = low[ctx.packing.sizes[0] :]
            gradients[2] = (later.t() @ hidden[ctx.packing.before].to(ctx.dtype)).to(inputs.dtype)
        if ctx.needs_input_grad[3]:
            gradients[3] = derivative.sum(dim=0)
        return tuple(gradients)


def _add_product(target, left, right):
    """target += left @ right, in the type of `right`."""
    if right.dtype == target.dtype:
        target.addmm_(left, right)
    else:
        target.add_(left.to(right.dtype) @ right)


def _forward_in_time(gates, cell, squashed, hidden, recurrent, sizes):
    """Activate the gates, and fill the cell, its hyperbolic tangent and the hidden state, from the first step on."""
    arrays = [values.numpy() for values in (gates, cell, squashed, hidden)]
    outputs = hidden.split(sizes)
    first = before = 0
    for step, (size, of_step) in enumerate(zip(sizes, gates.split(sizes), strict=True)):
        if step:
            _add_product(of_step, outputs[step - 1][:size], recurrent)
        step_forward(*arrays, first, size, before)
        first, before = first + size, size


def _back_in_time(output_gradient, gates, cell, squashed, weight_hh, sizes):
    """Gradient over the pre-activations of all gates, (P, 4H), from the last step to the first."""
    gradient, derivative = output_gradient.clone(), torch.empty_like(gates)
    carried = cell.new_zeros(sizes[0], cell.shape[1])
    arrays = [values.numpy() for values in (gates, cell, squashed, gradient, carried, derivative)]
    of_step, slopes = gradient.split(sizes), derivative.split(sizes)
    first = len(gates)
    for step in reversed(range(len(sizes))):
        size, before = sizes[step], sizes[step - 1] if step else 0
        first -= size
        step_backward(*arrays, first, size, before)
        if step:
            _add_product(of_step[step - 1][:size], slopes[step], weight_hh)
    return derivative

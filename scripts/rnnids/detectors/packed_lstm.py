"""An LSTM over packed flows on a CPU: no padding, and no gradients that are not used.

Packets lie time step after time step, the flows of a batch sorted by falling length, as in
``torch.nn.utils.rnn.PackedSequence``. A layer multiplies all packets with its input weights at once;
only the recurrent product goes step by step, over the flows that are still there. ``nn.LSTM``
computes the same, but allocates at every step and derives its weights even where they are frozen.

Between the matrix products the arithmetic is compiled, one pass over the memory of a time step: made of torch's
operations, a step would be ten calls, each of which costs more than its arithmetic where few flows are left. Gates are
in PyTorch's order: input, forget, candidate, output; arrays are float32 or float64.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit, types
from numba.extending import overload
from torch import Tensor, nn
from torch.nn import functional

# Fused multiply-add, which float32 of torch uses as well.
COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
ONE, TWO, HALF = (np.float32(value) for value in (1, 2, 0.5))  # a literal would make float64 of float32
LOG2_E = np.float32(1.44269504)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # n times the first is exact
TAYLOR = tuple(np.float32(1 / math.factorial(order)) for order in range(8))
LARGEST = np.float32(40)  # beyond, a sigmoid is 0 or 1


def expm1(x: Any) -> Any:
    """exp(x) - 1 for |x| <= LARGEST."""
    return math.expm1(x)


@overload(expm1, inline="always")
def _expm1(x: Any) -> Any:
    return _expm1_float32 if x == types.float32 else _expm1_float64


def _expm1_float64(x: Any) -> Any:
    return math.expm1(x)


def _expm1_float32(x: Any) -> Any:
    """2^n exp(r) - 1, |r| <= ln(2) / 2, to 2e-7 of its value: without branches or calls, so that it is vectorised."""
    n = np.floor(x * LOG2_E + HALF)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = TAYLOR[3] + r * (TAYLOR[4] + r * (TAYLOR[5] + r * (TAYLOR[6] + r * TAYLOR[7])))
    power = np.int32((np.int32(n) + 127) << 23).view(np.float32)
    return power * (r + r * r * (HALF + r * p)) + (power - ONE)


@njit(inline="always")
def _within(x: Any) -> Any:
    x = -LARGEST if x < -LARGEST else x  # so put, NaN stays NaN
    return LARGEST if x > LARGEST else x


@njit(inline="always")
def _sigmoid(x: Any) -> Any:
    return ONE / (TWO + expm1(-_within(x)))


@njit(inline="always")
def _tanh(x: Any) -> Any:
    grown = expm1(_within(TWO * x))
    return grown / (grown + TWO)


@njit(**COMPILED)
def step_forward(
    gates: np.ndarray,
    cell: np.ndarray,
    squashed: np.ndarray,
    hidden: np.ndarray,
    first: int,
    size: int,
    before: int,
) -> None:
    """Activate the gates of packets first to first + size, and fill their states.

    Args:
        gates: (P, 4H) pre-activations, overwritten by the gates. cell, squashed, hidden: (P, H), the cell, its
            hyperbolic tangent and the hidden state.
        before: how many rows before each packet that before it lies; 0 if there is none.
    """
    units = cell.shape[1]
    for row in range(first, first + size):
        gate, old = gates[row], cell[row - before]
        for unit in range(units):
            enter, forget = _sigmoid(gate[unit]), _sigmoid(gate[units + unit])
            candidate, leave = _tanh(gate[2 * units + unit]), _sigmoid(gate[3 * units + unit])
            new = enter * candidate
            if before:
                new += forget * old[unit]
            tangent = _tanh(new)
            gate[unit], gate[units + unit] = enter, forget
            gate[2 * units + unit], gate[3 * units + unit] = candidate, leave
            cell[row, unit], squashed[row, unit], hidden[row, unit] = new, tangent, leave * tangent


@njit(**COMPILED)
def step_backward(
    gates: np.ndarray,
    cell: np.ndarray,
    squashed: np.ndarray,
    gradient: np.ndarray,
    carried: np.ndarray,
    derivative: np.ndarray,
    first: int,
    size: int,
    before: int,
) -> None:
    """Gradient over the pre-activations of packets first to first + size.

    Args:
        gates, cell, squashed: of ``step_forward``.
        gradient: (P, H) over the hidden state, with what comes from the step after.
        carried: (B, H) over the cell, from the step after; overwritten by that for the step before.
        derivative: (P, 4H), filled.
        before: of ``step_forward``.
    """
    units = cell.shape[1]
    for flow in range(size):
        row = first + flow
        gate, old, slope, over_cell = gates[row], cell[row - before], derivative[row], carried[flow]
        for unit in range(units):
            enter, forget = gate[unit], gate[units + unit]
            candidate, leave = gate[2 * units + unit], gate[3 * units + unit]
            tangent, over_hidden = squashed[row, unit], gradient[row, unit]
            total = over_cell[unit] + over_hidden * leave * (ONE - tangent * tangent)
            slope[unit] = total * candidate * enter * (ONE - enter)
            slope[units + unit] = total * forget * (ONE - forget)
            slope[2 * units + unit] = total * enter * (ONE - candidate * candidate)
            slope[3 * units + unit] = over_hidden * tangent * leave * (ONE - leave)
            over_cell[unit] = total * forget
        for unit in range(units, 2 * units):
            if before:
                slope[unit] *= old[unit - units]
            else:
                slope[unit] = 0


@dataclass(frozen=True)
class Packing:
    """How the packets of a padded batch (B, T) are laid out without padding.

    Attributes:
        index: (P,) place of each packed packet in the flattened padded batch, whatever the order of its flows.
        sizes: flows that are 1, 2, ... packets or longer, up to the longest flow; they never grow.
    """

    index: Tensor
    sizes: list[int]

    @property
    def before(self) -> Tensor:
        """(P - B,) packed place of the packet before each one that is not its flow's first."""
        sizes = np.asarray(self.sizes)
        # The k-th flow of a step is the k-th flow of the step before, which is as many places back as that has flows.
        return torch.from_numpy(np.arange(sizes[0], sizes.sum()) - np.repeat(sizes[:-1], sizes[1:]))


def pack(count: np.ndarray, device: torch.device | str = "cpu", *, steps: int | None = None) -> Packing:
    """Packing of a padded batch of flows, in any order, with `count` (B,) packets each.

    The last few are kept: an attack asks for one hundreds of times.

    Args:
        steps: T of the batch, where it is padded beyond its longest flow.
    """
    longest = int(np.max(count))
    if steps is not None and steps < longest:
        raise ValueError(f"a flow of {longest} packets in a batch of {steps} steps")
    return _pack(np.asarray(count, dtype=np.int64).tobytes(), str(device), longest if steps is None else steps)


@functools.lru_cache(maxsize=16)
def _pack(count_bytes: bytes, device: str, steps: int) -> Packing:
    count = np.frombuffer(count_bytes, dtype=np.int64)
    order = np.argsort(-count, kind="stable")
    step, place = np.nonzero(np.arange(int(count.max()))[:, None] < count[order])
    sizes = np.bincount(step).tolist()
    return Packing(torch.from_numpy(order[place] * steps + step).to(device), sizes)


def run_lstm(lstm: nn.LSTM, inputs: Tensor, packing: Packing) -> Tensor:
    """Hidden states of the last layer of an ``nn.LSTM``, (P, F) -> (P, H)."""
    hidden = inputs
    for layer in range(lstm.num_layers):
        hidden = PackedLayer.apply(hidden, *layer_weights(lstm, layer), packing)
    return hidden


def layer_weights(lstm: nn.LSTM, layer: int) -> tuple[Tensor, Tensor, Tensor]:
    """Input weights, recurrent weights and the sum of both biases of a layer."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weight_ih, weight_hh, bias_ih, bias_hh = (getattr(lstm, f"{name}_l{layer}") for name in names)
    return weight_ih, weight_hh, bias_ih + bias_hh


class PackedLayer(torch.autograd.Function):
    """One LSTM layer (Hochreiter & Schmidhuber 1997, with forget gates) over packed flows.

    Gates are stored activated, in PyTorch's order: input, forget, cell, output.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, packing: Packing
    ) -> Tensor:
        size = weight_hh.shape[1]
        recurrent = weight_hh.t().contiguous()  # doubles the speed of products with few rows
        gates = functional.linear(inputs, weight_ih).add_(bias)
        cell, squashed, hidden = (inputs.new_empty(len(inputs), size) for _ in range(3))
        _forward_in_time(gates, cell, squashed, hidden, recurrent=recurrent, sizes=packing.sizes)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, gates, cell, squashed, hidden)
        ctx.packing = packing
        return hidden

    @staticmethod
    def backward(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, gates, cell, squashed, hidden = ctx.saved_tensors
        (over_hidden,) = output_gradients
        sizes = ctx.packing.sizes
        derivative = _back_in_time(over_hidden, gates, cell, squashed=squashed, weight_hh=weight_hh, sizes=sizes)
        gradients: list[Tensor | None] = [None] * 5
        if ctx.needs_input_grad[0]:
            gradients[0] = derivative @ weight_ih
        if ctx.needs_input_grad[1]:
            gradients[1] = derivative.t() @ inputs
        if ctx.needs_input_grad[2]:
            gradients[2] = derivative[sizes[0] :].t() @ hidden[ctx.packing.before]
        if ctx.needs_input_grad[3]:
            gradients[3] = derivative.sum(dim=0)
        return tuple(gradients)


def _forward_in_time(
    gates: Tensor, cell: Tensor, squashed: Tensor, hidden: Tensor, *, recurrent: Tensor, sizes: Sequence[int]
) -> None:
    """Activate the gates, and fill the cell, its hyperbolic tangent and the hidden state, from the first step on."""
    arrays = [values.numpy() for values in (gates, cell, squashed, hidden)]
    outputs = hidden.split(list(sizes))
    first = before = 0
    for step, (size, of_step) in enumerate(zip(sizes, gates.split(list(sizes)), strict=True)):
        if step:
            of_step.addmm_(outputs[step - 1][:size], recurrent)
        step_forward(*arrays, first, size, before)
        first, before = first + size, size


def _back_in_time(
    over_hidden: Tensor, gates: Tensor, cell: Tensor, *, squashed: Tensor, weight_hh: Tensor, sizes: Sequence[int]
) -> Tensor:
    """Gradient over the pre-activations of all gates, (P, 4H), from the last step to the first."""
    gradient, derivative = over_hidden.clone(), torch.empty_like(gates)
    carried = cell.new_zeros(sizes[0], cell.shape[1])
    arrays = [values.numpy() for values in (gates, cell, squashed, gradient, carried, derivative)]
    of_step, slopes = gradient.split(list(sizes)), derivative.split(list(sizes))
    first = len(gates)
    for step in reversed(range(len(sizes))):
        size, before = sizes[step], sizes[step - 1] if step else 0
        first -= size
        step_backward(*arrays, first, size, before)
        if step:
            of_step[step - 1][:size].addmm_(slopes[step], weight_hh)
    return derivative

"""An LSTM over packed flows on a CPU: no padding, and no gradients that are not used.

Packets lie time step after time step, the flows of a batch sorted by falling length, as in
``torch.nn.utils.rnn.PackedSequence``. ``nn.LSTM`` computes the same, but allocates at every step and derives its
weights even where they are frozen. The arithmetic is compiled: :mod:`rnnids.detectors.compiled_lstm`.

Where there is enough of it, as many threads as torch has share the flows. Logits and gradients over inputs stay the
same to the last bit, whatever the number of threads and the flows beside one.
"""

import functools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from rnnids.detectors.compiled_lstm import COMPILED, add_product, layer_backward, layer_forward, panels_of
from rnnids.machine_code import njit

WORTH_THREADS = 1e8  # multiplications; below, handing them out takes longer than it saves
TOGETHER = 64  # flows at a time, so that a step of them stays in the cache
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # of the parameters of a layer of nn.LSTM


@dataclass(frozen=True)
class Packing:
    """How the packets of a padded batch (B, T) are laid out without padding.

    Attributes:
        flow, step: (P,) flow and time step of each packed packet, whatever the order of the batch's flows.
        index: (P,) place of each in the flattened padded batch.
        lengths: (B,) packets of each flow, falling.
        sizes: flows that are 1, 2, ... packets or longer, up to the longest flow; they never grow.
    """

    flow: Tensor
    step: Tensor
    index: Tensor
    lengths: np.ndarray
    sizes: np.ndarray

    def pad(self, values: Tensor) -> Tensor:
        """Packed values (P, F) as a padded batch (B, T, F) with zeros behind each flow; [flow, step] packs it again."""
        empty = values.new_zeros(len(self.lengths), len(self.sizes), values.shape[1])
        return empty.index_put((self.flow, self.step), values)

    def shares(self, count: int) -> list[tuple[int, int]]:
        """(first flow, the one behind the last) of `count` shares of about as many packets each, or fewer."""
        ends = np.searchsorted(np.cumsum(self.lengths), len(self.index) * np.arange(1, count + 1) / count) + 1
        return [share for share in zip([0, *ends[:-1]], ends, strict=True) if share[0] < share[1]]


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
    flow, of_step = (torch.from_numpy(places).to(device) for places in (order[place], step))
    return Packing(flow, of_step, flow * steps + of_step, count[order], np.bincount(step))


def run_lstm(lstm: nn.LSTM, inputs: Tensor, packing: Packing, *, readout: nn.Linear | None = None) -> Tensor:
    """Hidden states of the last layer of an ``nn.LSTM``, (P, F) -> (P, H), or what a linear layer makes of them."""
    return PackedLSTM.apply(inputs, packing, *parameters(lstm, readout))


def layer_weights(lstm: nn.LSTM, layer: int) -> tuple[Tensor, Tensor, Tensor]:
    """Input weights, recurrent weights and the sum of both biases of a layer."""
    weight_ih, weight_hh, bias_ih, bias_hh = (getattr(lstm, f"{name}_l{layer}") for name in NAMES)
    return weight_ih, weight_hh, bias_ih + bias_hh


def packed_loss(lstm: nn.LSTM, readout: nn.Linear, inputs: Tensor, *, labels: Tensor, packing: Packing) -> Tensor:
    """Binary cross-entropy summed over packets (P, F) with labels (P,): of one logit each, as of :func:`run_lstm`."""
    return PackedLoss.apply(inputs, labels, packing, *parameters(lstm, readout))


def parameters(lstm: nn.LSTM, readout: nn.Linear | None) -> list[Tensor]:
    """Those of each layer, in the order of ``NAMES``, then weight and bias of the read-out if there is one."""
    found = [getattr(lstm, f"{name}_l{layer}") for layer in range(lstm.num_layers) for name in NAMES]
    return found if readout is None else [*found, readout.weight, readout.bias]


class PackedLSTM(torch.autograd.Function):
    """Layers of an LSTM (Hochreiter & Schmidhuber 1997, with forget gates) over packed flows, and a linear read-out.

    One function for all: with the few hundred packets of a batch, each more would take as long as its arithmetic.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, packing: Packing, *weights: Tensor) -> Tensor:
        network = Network(weights, packing)
        packets = inputs.detach().contiguous().numpy()
        if not any(ctx.needs_input_grad):
            return torch.from_numpy(network.outputs(packets))
        kept, outputs = network.all_states(packets)
        ctx.save_for_backward(inputs, *weights)
        ctx.kept, ctx.packing = kept, packing
        return torch.from_numpy(outputs)

    @staticmethod
    def backward(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, *weights = ctx.saved_tensors
        wanted: list[bool] = [ctx.needs_input_grad[0], *ctx.needs_input_grad[2:]]
        over_inputs, over_weights = Network(weights, ctx.packing).gradients(
            output_gradients[0].contiguous().numpy(),
            inputs.detach().contiguous().numpy(),
            ctx.kept,
            over_inputs=wanted[0],
            over_weights=any(wanted[1:]),
        )
        found = zip(map(torch.from_numpy, (over_inputs, *over_weights)), wanted, strict=True)
        of_inputs, *of_weights = (gradient if want else None for gradient, want in found)
        return of_inputs, None, *of_weights


class PackedLoss(torch.autograd.Function):
    """The loss and, at once, its gradient over the weights: what a step of training is made of."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, labels: Tensor, packing: Packing, *weights: Tensor) -> Tensor:
        network, packets = Network(weights, packing), inputs.detach().contiguous().numpy()
        kept, logits = network.all_states(packets)
        over_logits = np.empty_like(logits)
        loss = cross_entropy(logits[:, 0], labels.numpy(), over_logits[:, 0])
        if any(ctx.needs_input_grad):
            _, ctx.gradients = network.gradients(over_logits, packets, kept, over_inputs=False, over_weights=True)
        return inputs.new_tensor(loss)

    @staticmethod
    def backward(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        scale = float(output_gradients[0])
        return None, None, None, *(torch.from_numpy(gradient * scale) for gradient in ctx.gradients)


class Kept(NamedTuple):
    """What the way back needs of a layer: gates (P, 4H), cell, its hyperbolic tangent and hidden state (P, H)."""

    gates: np.ndarray
    cell: np.ndarray
    squashed: np.ndarray
    hidden: np.ndarray


class Network:
    """The layers and the read-out, on packed flows, with arrays for tensors."""

    def __init__(self, weights: Sequence[Tensor], packing: Packing) -> None:
        arrays = [weight.detach().numpy() for weight in weights]
        layers = len(arrays) // len(NAMES)
        self.layers = [arrays[4 * layer : 4 * layer + 4] for layer in range(layers)]
        self.readout = arrays[4 * layers :]
        self.packing = packing

    def outputs(self, packets: np.ndarray) -> np.ndarray:
        """(P, F) -> (P, N), the read-out, or (P, H) without one; nothing is kept."""
        states = packets
        for layer in self.layers:
            states = _hidden_states(states, layer, self.packing)
        return self._read(states)

    def outputs_after(self, packets: np.ndarray, states: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """As :meth:`outputs`; each flow's first packet stands for `states`, hidden and cell (B, H) of each layer."""
        outputs = packets
        for layer, state in zip(self.layers, states, strict=True):
            outputs = _hidden_states(outputs, layer, self.packing, state)
        return self._read(outputs)

    def all_states(self, packets: np.ndarray) -> tuple[list[Kept], np.ndarray]:
        """(what the way back needs of each layer, outputs)."""
        kept: list[Kept] = []
        for layer in self.layers:
            kept.append(_all_states(kept[-1].hidden if kept else packets, layer, self.packing))
        return kept, self._read(kept[-1].hidden)

    def _read(self, states: np.ndarray) -> np.ndarray:
        if not self.readout:
            return states
        weight, bias = self.readout
        return _product(states, weight.T) + bias

    def gradients(
        self, gradient: np.ndarray, packets: np.ndarray, kept: Sequence[Kept], *, over_inputs: bool, over_weights: bool
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """(over the packets, over all weights in their order), of the `gradient` over the outputs.

        What is not wanted is an array of no row.
        """
        found: list[np.ndarray] = []
        if self.readout:
            of_weight = _product(gradient.T, kept[-1].hidden) if over_weights else gradient[:0]
            found, gradient = [of_weight, gradient.sum(axis=0)], _product(gradient, self.readout[0])
        else:
            gradient = gradient.copy()
        for number in reversed(range(len(self.layers))):
            given = kept[number - 1].hidden if number else packets
            wanted = {"over_inputs": over_inputs or number > 0, "over_weights": over_weights}
            back = _back(gradient, kept[number], self.layers[number], given=given, packing=self.packing, **wanted)
            gradient, (of_inputs, of_hidden, of_bias) = back
            found = [of_inputs, of_hidden, of_bias, of_bias.copy(), *found]
        return gradient, found


def _all_states(inputs: np.ndarray, layer: Sequence[np.ndarray], packing: Packing) -> Kept:
    """One layer over packets (P, F)."""
    weight_ih, weight_hh, bias_ih, bias_hh = layer
    panels, bias = (panels_of(weight_ih.T), panels_of(weight_hh.T)), bias_ih + bias_hh
    rows = max(2, len(inputs))  # the compiled function wants two
    kept = Kept(*(np.empty((rows, width * weight_hh.shape[1]), dtype=inputs.dtype) for width in (4, 1, 1, 1)))

    def run(low: int, high: int) -> None:
        layer_forward(inputs, *panels, bias, packing.sizes, low, high, 0, *kept)

    _share(run, packing.shares, work=inputs.size * len(bias))
    return Kept(*(values[: len(inputs)] for values in kept))


def _hidden_states(
    inputs: np.ndarray,
    layer: Sequence[np.ndarray],
    packing: Packing,
    state: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """(P, H) of packets (P, F); with a `state`, hidden and cell (B, H), that is the one after each flow's first."""
    weight_ih, weight_hh, bias_ih, bias_hh = layer
    panels, bias = (panels_of(weight_ih.T), panels_of(weight_hh.T)), bias_ih + bias_hh
    hidden = np.empty((len(inputs), weight_hh.shape[1]), dtype=inputs.dtype)
    if state:
        hidden[: len(state[0])] = state[0]

    def run(low: int, high: int) -> None:
        for first in range(low, high, TOGETHER):
            last = min(high, first + TOGETHER)
            rows = 2 * (last - first)
            gates, cell, squashed = (np.empty((rows, width * len(bias) // 4), inputs.dtype) for width in (4, 1, 1))
            if state:
                cell[: last - first] = state[1][first:last]
            begin = 1 if state else 0
            layer_forward(inputs, *panels, bias, packing.sizes, first, last, begin, gates, cell, squashed, hidden)

    _share(run, packing.shares, work=inputs.size * len(bias))
    return hidden


def _back(
    gradient: np.ndarray,
    kept: Kept,
    layer: Sequence[np.ndarray],
    *,
    given: np.ndarray,
    packing: Packing,
    over_inputs: bool,
    over_weights: bool,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(gradient over the inputs, gradients over both weights and over each bias); of no row where they are not wanted.

    Args:
        gradient: (P, H) over the hidden states, overwritten.
        kept, given: of :func:`_all_states`, with its inputs (P, F).
    """
    weight_ih, weight_hh = layer[:2]
    of_gates, of_gates_to_inputs = panels_of(weight_hh), panels_of(weight_ih)
    found = np.empty((len(given) if over_inputs else 0, given.shape[1]), dtype=given.dtype)
    height = len(weight_ih) if over_weights else 0

    fixed = given, of_gates, of_gates_to_inputs, packing.sizes

    def run(low: int, high: int) -> list[np.ndarray]:
        shapes = (height, weight_ih.shape[1]), (height, weight_hh.shape[1]), (height,)
        sums = [np.zeros(shape, dtype=given.dtype) for shape in shapes]
        for first in range(low, high, TOGETHER):
            rows = first, min(high, first + TOGETHER)
            layer_backward(*fixed, *rows, tuple(kept), gradient, found, tuple(sums))
        return sums

    parts = _share(run, packing.shares, work=given.size * len(weight_ih))
    return found, [functools.reduce(np.add, arrays) for arrays in zip(*parts, strict=True)]


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A product of matrices, each number of which is added up in the same order, whatever their sizes."""
    found = np.zeros((len(left), right.shape[1]), dtype=left.dtype)
    add_product(left, panels_of(right), found)
    return found


@njit(**COMPILED)
def cross_entropy(logits: np.ndarray, labels: np.ndarray, derivative: np.ndarray) -> float:
    """Summed binary cross-entropy of (n,) logits and labels; fills its derivative over the logits."""
    total = 0.0
    for i in range(len(logits)):
        logit, label = np.float64(logits[i]), np.float64(labels[i])
        small = math.exp(-abs(logit))
        total += max(logit, 0.0) - logit * label + math.log1p(small)
        derivative[i] = (1.0 if logit > 0 else small) / (1.0 + small) - label
    return total


T = TypeVar("T")


def _share(run: Callable[[int, int], T], shares: Callable[[int], list[tuple[int, int]]], *, work: int) -> list[T]:
    """What `run` returns for each share of as many as there are threads; `work`: multiplications."""
    threads = torch.get_num_threads() if work > WORTH_THREADS else 1
    if threads == 1:
        return [run(*shares(1)[0])]
    return list(_pool(threads).map(run, *zip(*shares(threads), strict=True)))


@functools.lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)

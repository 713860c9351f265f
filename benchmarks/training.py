"""Measure training against what most people write: nn.LSTM over padded or packed batches of random flows.

Each way passes once over the same flows of random lengths, forward, backward and a step of Adam a batch; packets a
second count real packets only. Ours updates the weights by the fused Adam of the project's training, the others by the
usual one. The share of the peak sets the products that the LSTM needs against a large matrix product of the same run.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from measure import in_turn, write_page

from rnnids import cli
from rnnids.datasets.features import NUM_FEATURES
from rnnids.datasets.flow_data import batches_by_length
from rnnids.detectors.lstm import LSTMDetector
from rnnids.detectors.packed_lstm import Packing, pack
from rnnids.storage import write_csv

RANDOM_BATCH = 128  # flows
FUSED = functools.partial(torch.optim.Adam, fused=True)  # as in rnnids.detectors.training
PEAK = "large matrices of float32"


class Batch(NamedTuple):
    """Random flows: (B, T, 15) inputs, (B,) packets of each, where the packets lie, and (P,) their labels."""

    inputs: Tensor
    lengths: np.ndarray
    packing: Packing
    labels: Tensor


def random_lengths(flows: int, longest: int, rng: np.random.Generator) -> np.ndarray:
    """(N,) packets a flow: many short ones and a heavy tail, as in the published data sets; cut at `longest`."""
    tail = 6 + 9 * (1 / rng.random(flows) ** (1 / 1.15) - 1)
    count = np.choose(rng.choice(4, flows, p=[0.15, 0.35, 0.15, 0.35]), [1, 2, 4, tail])
    return np.minimum(count, longest).astype(np.int64)


def make_batch(lengths: np.ndarray, rng: np.random.Generator, device: str) -> Batch:
    """Random flows of these lengths."""
    packing = pack(lengths, device)
    shape = (len(lengths), int(lengths.max()), NUM_FEATURES)
    inputs = torch.from_numpy(rng.normal(size=shape).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 2, len(packing.index)).astype(np.float32))
    return Batch(inputs.to(device), lengths, packing, labels.to(device))


def train(
    detector: LSTMDetector,
    batches: Sequence[Batch],
    logits_of: Callable[[LSTMDetector, Batch], Tensor],
    *,
    adam: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
) -> None:
    """Train on all batches once; `logits_of(detector, batch)` -> (P,) logits."""
    optimiser = adam(detector.parameters())
    for batch in batches:
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(logits_of(detector, batch), batch.labels).backward()
        optimiser.step()


def by_padding(detector: LSTMDetector, batch: Batch) -> Tensor:
    """Logits of the packets by nn.LSTM over the padded batch."""
    return detector.readout(detector.lstm(batch.inputs)[0]).flatten()[batch.packing.index]


def by_packing(detector: LSTMDetector, batch: Batch) -> Tensor:
    """Logits of the packets by nn.LSTM over a PackedSequence."""
    packed = PackedSequence(batch.inputs.flatten(0, 1)[batch.packing.index], torch.from_numpy(batch.packing.sizes))
    return detector.readout(detector.lstm(packed)[0].data).squeeze(-1)


def ours(detector: LSTMDetector, batch: Batch) -> Tensor:
    """Logits of the packets by the detector as the project calls it."""
    return detector(batch.inputs, batch.lengths).flatten()[batch.packing.index]


def products(hidden_size: int, num_layers: int) -> int:
    """Floating point operations that a packet needs in training, forward and backward."""
    inputs = [NUM_FEATURES] + [hidden_size] * (num_layers - 1)
    return 3 * sum(2 * 4 * hidden_size * (size + hidden_size) for size in inputs)


def product(
    device: str, *, rows: int = 2048, size: int = 2048, dtype: torch.dtype = torch.float32, times: int = 5
) -> tuple[int, Callable[[], None]]:
    """(operations, function) of torch's product of matrices (rows, size) by (size, size), so many times."""
    left, right = (torch.randn(count, size, device=device).to(dtype) for count in (rows, size))

    def run() -> None:
        for _ in range(times):
            left @ right

    return 2 * rows * size**2 * times, run


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--hidden-size", type=cli.positive(int), default=512, help="of the detector")
    parser.add_argument("--num-layers", type=cli.positive(int), default=3, help="of the detector")
    parser.add_argument("--flows", type=cli.positive(int), default=512, help="of random lengths")
    parser.add_argument("--longest", type=cli.positive(int), default=100, help="packets of a flow, at most")
    parser.add_argument("--repeats", type=cli.positive(int), default=3, help="runs of each way")
    parser.add_argument("--threads", type=cli.positive(int), default=1, help="of torch")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute")
    parser.add_argument("--csv", required=True, help="output: table (CSV)")
    parser.add_argument("--page", required=True, help="output: page (Markdown)")
    return parser.parse_args(argv)


def make_ways(args: argparse.Namespace, count: np.ndarray, rng: np.random.Generator) -> dict[str, Callable[[], None]]:
    """{name: function that trains once over all flows}."""
    shuffled = np.split(rng.permutation(args.flows), range(RANDOM_BATCH, args.flows, RANDOM_BATCH))
    random = [make_batch(count[rows], rng, args.device) for rows in shuffled]
    by_length = batches_by_length(count, int(RANDOM_BATCH * count.mean()), rng)
    sorted_batches = [make_batch(count[rows], rng, args.device) for rows in by_length]
    torch.manual_seed(0)
    detector = LSTMDetector(args.hidden_size, args.num_layers).to(args.device)
    return {
        "ours": lambda: train(detector, sorted_batches, ours, adam=FUSED),
        "nn.LSTM, padded, by length": lambda: train(detector, sorted_batches, by_padding),
        "nn.LSTM, packed, random batches": lambda: train(detector, random, by_packing),
        "nn.LSTM, padded, random batches": lambda: train(detector, random, by_padding),
    }


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    count = random_lengths(args.flows, args.longest, rng)
    products_of = {
        PEAK: product(args.device),
        "of 64 rows": product(args.device, rows=64, times=100),
        "of 8 rows": product(args.device, rows=8, times=100),
    }
    ways = make_ways(args, count, rng) | {name: run for name, (_, run) in products_of.items()}
    seconds = in_turn(ways, args.repeats)
    rates = {name: operations / seconds.pop(name) for name, (operations, _) in products_of.items()}
    rows = [
        {
            "way": name,
            "packets_per_second": count.sum() / taken,
            "ours_is_faster": taken / seconds["ours"],
            "share_of_peak": products(args.hidden_size, args.num_layers) * count.sum() / taken / rates[PEAK],
        }
        for name, taken in seconds.items()
    ]
    write_csv(args.csv, rows)
    words = [
        f"`make -C benchmarks train`: {args.num_layers} x {args.hidden_size} units, {args.flows} flows of "
        f"{count.mean():.1f} packets on average, {args.longest} at most; medians of {args.repeats} runs in turn.",
        f"Torch's product of {', '.join(f'{name}: {rate / 1e9:.0f}' for name, rate in rates.items())} Gflop/s.",
    ]
    write_page(args.page, "Training", words, rows)


if __name__ == "__main__":
    cli.run(main)

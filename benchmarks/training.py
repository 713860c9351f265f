"""Measure training against what most people write: nn.LSTM over padded or packed batches of random flows.

Each way passes once over the same flows of random lengths, forward, backward and a step of Adam a batch; packets a
second count real packets only. Ours updates the weights by the fused Adam of the project's training, the others by the
usual one. The share of the peak sets the products that the LSTM needs against a large matrix product of the same run.
"""

import functools
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from measure import in_turn, write_page

from rnnids import cli
from rnnids.datasets.flow_data import batches_by_length
from rnnids.detectors.lstm import Detector
from rnnids.detectors.packed_lstm import pack
from rnnids.storage import write_csv

RANDOM_BATCH = 128  # flows
FUSED = functools.partial(torch.optim.Adam, fused=True)  # as in rnnids.training
PEAK = "large matrices of float32"
TARGETS = {"nn.LSTM, padded, random batches": 15.0, "nn.LSTM, packed, random batches": 6.0}


def random_lengths(flows, longest, rng):
    """(N,) packets a flow: many short ones and a heavy tail, as in the published data sets; cut at `longest`."""
    tail = 6 + 9 * (1 / rng.random(flows) ** (1 / 1.15) - 1)
    count = np.choose(rng.choice(4, flows, p=[0.15, 0.35, 0.15, 0.35]), [1, 2, 4, tail])
    return np.minimum(count, longest).astype(np.int64)


def make_batch(count, rng, device):
    """(inputs (B, T, 15), Packing, labels of the packets) of random flows."""
    packing = pack(count, device)
    inputs = torch.from_numpy(rng.normal(size=(*packing.shape, 15)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 2, len(packing.index)).astype(np.float32))
    return inputs.to(device), packing, labels.to(device)


def train(model, batches, logits_of, adam=torch.optim.Adam):
    """Train on all batches once; `logits_of(model, inputs, packing)` -> (P,) logits."""
    optimiser = adam(model.parameters())
    for inputs, packing, labels in batches:
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(logits_of(model, inputs, packing), labels).backward()
        optimiser.step()


def by_padding(model, inputs, packing):
    """Logits of the packets by nn.LSTM over the padded batch."""
    return model(inputs).flatten()[packing.index]


def by_packing(model, inputs, packing):
    """Logits of the packets by nn.LSTM over a PackedSequence."""
    packed = PackedSequence(inputs.flatten(0, 1)[packing.index], torch.tensor(packing.sizes))
    return model.readout(model.lstm(packed)[0].data).squeeze(-1)


def ours(dtype):
    """Logits of the packets by the packed LSTM with products of type `dtype`."""

    def logits_of(model, inputs, packing):
        model.cpu_dtype = dtype
        return model(inputs, packing=packing).flatten()[packing.index]

    return logits_of


def products(hidden_size, num_layers):
    """Floating point operations that a packet needs in training, forward and backward."""
    inputs = [15] + [hidden_size] * (num_layers - 1)
    return 3 * sum(2 * 4 * hidden_size * (size + hidden_size) for size in inputs)


def product(device, rows=2048, size=2048, dtype=torch.float32, times=5):
    """(operations, function) of torch's product of matrices (rows, size) by (size, size), so many times."""
    left, right = (torch.randn(count, size, device=device).to(dtype) for count in (rows, size))

    def run():
        for _ in range(times):
            left @ right

    return 2 * rows * size**2 * times, run


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--hidden-size", type=cli.positive(int), required=True, help="of the detector")
    parser.add_argument("--num-layers", type=cli.positive(int), required=True, help="of the detector")
    parser.add_argument("--flows", type=cli.positive(int), required=True, help="of random lengths")
    parser.add_argument("--longest", type=cli.positive(int), required=True, help="packets of a flow, at most")
    parser.add_argument("--repeats", type=cli.positive(int), required=True, help="runs of each way")
    parser.add_argument("--threads", type=cli.positive(int), required=True, help="of torch")
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True, help="where to compute")
    parser.add_argument("--csv", required=True, help="output: table (CSV)")
    parser.add_argument("--page", required=True, help="output: page (Markdown)")
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    count = random_lengths(args.flows, args.longest, rng)
    shuffled = np.split(rng.permutation(args.flows), range(RANDOM_BATCH, args.flows, RANDOM_BATCH))
    random = [make_batch(count[rows], rng, args.device) for rows in shuffled]
    by_length = batches_by_length(count, int(RANDOM_BATCH * count.mean()), rng)
    sorted_batches = [make_batch(count[rows], rng, args.device) for rows in by_length]
    torch.manual_seed(0)
    model = Detector(args.hidden_size, args.num_layers).to(args.device)
    ways = {
        "ours, float32": lambda: train(model, sorted_batches, ours(None), FUSED),
        "ours, bfloat16 products": lambda: train(model, sorted_batches, ours(torch.bfloat16), FUSED),
        "nn.LSTM, padded, by length": lambda: train(model, sorted_batches, by_padding),
        "nn.LSTM, packed, random batches": lambda: train(model, random, by_packing),
        "nn.LSTM, padded, random batches": lambda: train(model, random, by_padding),
    }
    products_of = {
        PEAK: product(args.device),
        "of bfloat16": product(args.device, dtype=torch.bfloat16),
        "of 64 rows": product(args.device, rows=64, times=100),
        "of 8 rows": product(args.device, rows=8, times=100),
    }
    seconds = in_turn(ways | {name: run for name, (_, run) in products_of.items()}, args.repeats)
    rates = {name: operations / seconds.pop(name) for name, (operations, _) in products_of.items()}
    rows = [
        {
            "way": name,
            "packets_per_second": count.sum() / taken,
            "ours_is_faster": taken / seconds["ours, float32"],
            "ours_bfloat16_is_faster": taken / seconds["ours, bfloat16 products"],
            "target": TARGETS.get(name, ""),
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

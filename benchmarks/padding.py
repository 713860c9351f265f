"""Measure cuDNN's LSTM over packed and padded flows, in batches by length, for several sizes of detector and batch.

What is timed: a step of training in float32 and with bfloat16 products, the gradient of all logits over the inputs with
frozen weights, and the logits alone. The detector chooses by what came out (`rnnids.detectors.lstm`).
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from measure import write_page
from training import Batch, by_packing, by_padding, make_batch, random_lengths

from rnnids import cli
from rnnids.datasets.flow_data import batches_by_length
from rnnids.detectors.lstm import LSTMDetector, pick_device
from rnnids.storage import write_csv

DETECTORS = ((2, 64), (2, 128), (3, 256), (3, 512))  # layers, units
PACKETS = (1024, 8192, 32768)  # of a batch, with padding
BATCHES, REPEATS = 6, 3
WAYS = {"packed": by_packing, "padded": by_padding}

Logits = Callable[[LSTMDetector, Batch], Tensor]


def train(detector: LSTMDetector, batches: Sequence[Batch], logits_of: Logits, *, precision: torch.dtype) -> None:
    """A step of training for each batch."""
    optimiser = torch.optim.Adam(detector.parameters(), fused=True)
    for batch in batches:
        optimiser.zero_grad()
        with torch.autocast("cuda", precision, enabled=precision != torch.float32):
            logits = logits_of(detector, batch)
        functional.binary_cross_entropy_with_logits(logits.float(), batch.labels).backward()
        optimiser.step()


def gradients(detector: LSTMDetector, batches: Sequence[Batch], logits_of: Logits) -> None:
    """The gradient over the inputs of each batch."""
    for batch in batches:
        inputs = batch.inputs.clone().requires_grad_()
        torch.autograd.grad(logits_of(detector, batch._replace(inputs=inputs)).sum(), inputs)


@torch.no_grad()
def predict(detector: LSTMDetector, batches: Sequence[Batch], logits_of: Logits) -> None:
    """The logits of each batch."""
    for batch in batches:
        logits_of(detector, batch)


def seconds(run: Callable[[], None]) -> float:
    """Median of a few runs after one that does not count."""
    found = []
    for _ in range(REPEATS + 1):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return statistics.median(found[1:])


def rates(layers: int, units: int, batches: Sequence[Batch], logits_of: Logits) -> dict[str, float]:
    """Thousands of packets a second, by what is done with them."""
    detector = LSTMDetector(units, layers).cuda()
    packets = sum(int(batch.lengths.sum()) for batch in batches) / 1000
    found = {
        "training": seconds(lambda: train(detector, batches, logits_of, precision=torch.float32)),
        "training, bfloat16": seconds(lambda: train(detector, batches, logits_of, precision=torch.bfloat16)),
    }
    detector.requires_grad_(False)
    found["gradient"] = seconds(lambda: gradients(detector, batches, logits_of))
    found["logits"] = seconds(lambda: predict(detector, batches, logits_of))
    return {name: packets / taken for name, taken in found.items()}


def measure() -> Iterator[dict[str, object]]:
    """Rows of the table."""
    rng = np.random.default_rng(0)
    for layers, units in DETECTORS:
        for packets in PACKETS:
            count = random_lengths(packets * 6 // 10, 100, rng)
            chosen = batches_by_length(count, packets, rng)[:BATCHES]
            batches = [make_batch(count[rows], rng, "cuda") for rows in chosen]
            cells = sum(batch.inputs[..., 0].numel() for batch in batches)
            padding = cells / sum(len(batch.labels) for batch in batches)
            found = {name: rates(layers, units, batches, logits_of) for name, logits_of in WAYS.items()}
            row: dict[str, object] = {"units": f"{layers} x {units}", "batch": packets, "padding": padding}
            yield row | {what: f"{found['packed'][what]:.0f} / {found['padded'][what]:.0f}" for what in found["packed"]}


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--csv", required=True, help="output: table (CSV)")
    parser.add_argument("--page", required=True, help="output: page (Markdown)")
    args = parser.parse_args(argv)
    pick_device("cuda")
    rows = list(measure())
    write_csv(args.csv, rows)
    words = [
        "`make -C benchmarks padding`, on a GPU: thousands of packets a second, packed / padded, "
        f"of {BATCHES} batches by length;",
        f"medians of {REPEATS} runs. `batch`: packets of a batch, padding counted; `padding`: that over packets alone.",
    ]
    write_page(args.page, "Packed or padded on a GPU", words, rows)


if __name__ == "__main__":
    cli.run(main)

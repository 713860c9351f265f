"""Measure the products of matrices that an LSTM is made of: what one core does of them, in all the ways torch has.

The left matrix has a row for each flow that is still running, so few of them towards the end of a batch.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import torch
from measure import in_turn, write_page
from torch import Tensor

from rnnids import cli
from rnnids.storage import write_csv


def by_mkl(left: Tensor, weights: Tensor) -> Callable[[], Tensor]:
    """Product in float32 as torch does it by default."""
    weights = weights.t().contiguous()
    return lambda: left @ weights


def by_onednn(left: Tensor, weights: Tensor) -> Callable[[], Tensor]:
    """Product in float32 with the precision "medium", which is oneDNN's on a processor."""
    weights = weights.t().contiguous()

    def run() -> Tensor:
        torch.set_float32_matmul_precision("medium")
        try:
            return left @ weights
        finally:
            torch.set_float32_matmul_precision("highest")

    return run


def by_packing(left: Tensor, weights: Tensor) -> Callable[[], Tensor]:
    """Product in float32 with the weights packed before for this number of rows."""
    packed = torch.ops.mkl._mkl_reorder_linear_weight(weights, len(left))
    return lambda: torch.ops.mkl._mkl_linear(left, packed, weights, None, len(left))


def by_bfloat16(left: Tensor, weights: Tensor) -> Callable[[], Tensor]:
    """Product in bfloat16."""
    left, weights = left.bfloat16(), weights.t().contiguous().bfloat16()
    return lambda: left @ weights


ROWS = (2048, 64, 16, 8)
WAYS = {
    "float32, torch's default": by_mkl,
    'float32, precision "medium"': by_onednn,
    "float32, weights packed before": by_packing,
    "bfloat16": by_bfloat16,
}


def error(product: Tensor, exact: Tensor) -> float:
    """Largest difference from the product in float64, as a share of that one's largest element."""
    return float((product.double() - exact).abs().max() / exact.abs().max())


def repeated(function: Callable[[], object], times: int) -> Callable[[], None]:
    """A function that calls `function` so many times."""

    def run() -> None:
        for _ in range(times):
            function()

    return run


def measure(hidden_size: int, counts: Sequence[int], budget: float, *, repeats: int) -> list[dict[str, str | float]]:
    """Rows of the table: each way, its Gflop/s for each number of rows, and its error; `budget` operations each."""
    torch.manual_seed(0)
    weights = torch.randn(4 * hidden_size, hidden_size)
    lefts = {count: torch.randn(count, hidden_size) for count in counts}
    found = {way: make for way, make in WAYS.items() if make is not by_packing or torch.backends.mkl.is_available()}
    ways = {(way, count): found[way](left, weights) for way, (count, left) in itertools.product(found, lefts.items())}
    operations = {count: 8 * count * hidden_size**2 for count in counts}
    times = {count: max(1, round(budget / operations[count])) for count in counts}
    seconds = in_turn({key: repeated(way, times[key[1]]) for key, way in ways.items()}, repeats)
    largest = max(counts)
    exact = lefts[largest].double() @ weights.double().t()
    return [
        {"product": way}
        | {f"{count} rows": operations[count] * times[count] / seconds[way, count] / 1e9 for count in counts}
        | {"relative error": error(ways[way, largest](), exact)}
        for way in found
    ]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--hidden-size", type=cli.positive(int), default=512, help="units; weights are 4 times as many")
    parser.add_argument("--rows", type=cli.positive(int), nargs="+", default=ROWS, help="of the left matrix")
    parser.add_argument("--operations", type=cli.positive(float), default=2e10, help="of each run")
    parser.add_argument("--repeats", type=cli.positive(int), default=3, help="runs of each way")
    parser.add_argument("--csv", required=True, help="output: table (CSV)")
    parser.add_argument("--page", required=True, help="output: page (Markdown)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    torch.set_num_threads(1)
    rows = measure(args.hidden_size, args.rows, args.operations, repeats=args.repeats)
    write_csv(args.csv, rows)
    words = [
        f"`make -C benchmarks train`: by {4 * args.hidden_size} x {args.hidden_size} weights, on one core; Gflop/s,",
        f"medians of {args.repeats} runs in turn.",
    ]
    write_page(args.page, "Products of matrices", words, rows)


if __name__ == "__main__":
    cli.run(main)

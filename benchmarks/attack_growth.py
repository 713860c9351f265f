"""Measure how the time of Carlini and Wagner's attack grows with flows, packets, kappas, iterations and hidden units.

Random flows of equal length, all of them detected and none fooled by an untrained detector, are attacked; of five
sizes one grows at a time. Times of the sizes are taken in turn; the exponent is the slope of their logarithms, and 1 is
linear growth.
"""

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from explain import make_flows
from measure import in_turn, text, write_page

from rnnids import cli
from rnnids.attacks.gradient import CarliniWagner
from rnnids.detectors.lstm import LSTMDetector
from rnnids.errors import InputError
from rnnids.storage import write_csv


@dataclass(frozen=True)
class Sizes:
    """Of an attack; `packets` of each flow, `iterations` for each kappa, `hidden_size` of two layers."""

    flows: int = 64
    packets: int = 12
    kappas: int = 1
    iterations: int = 10
    hidden_size: int = 64


GROWTH = {
    "flows": (64, 128, 256, 512, 1024, 2048),
    "packets": (12, 25, 50, 100),
    "kappas": (1, 2, 4, 8),
    "iterations": (10, 20, 40, 80),
    "hidden_size": (64, 128, 256, 512),
}
LIMITS = {"flows": 1.05, "packets": 1.05, "kappas": 1.05, "iterations": 1.05, "hidden_size": 2.05}
BATCH_PACKETS = 8192  # of the embedded default


def attack(sizes):
    """A function that attacks so many flows with each of so many kappas."""
    data = make_flows(sizes.flows, sizes.packets)
    data.flows.update(duration_ns=np.zeros(sizes.flows, dtype=np.int64), manipulable=np.full(sizes.flows, 1))
    torch.manual_seed(0)
    model = LSTMDetector(sizes.hidden_size, 2).requires_grad_(False)
    model.readout.bias.fill_(10.0)
    kappas = np.linspace(1, 0.99, sizes.kappas)  # so near that the iterations, rounded up, are as many

    def run():
        for kappa in kappas:
            way = CarliniWagner(kappa=kappa, learning_rate=0.01, iterations=sizes.iterations)
            way(model, data, batch_packets=BATCH_PACKETS)

    return run


def measure(name, repeats):
    """Rows of the table for one size that grows."""
    ways = {size: attack(replace(Sizes(), **{name: size})) for size in GROWTH[name]}
    seconds = in_turn(ways, repeats)
    return [{"growing": name, "size": size, "seconds": taken} for size, taken in seconds.items()]


def exponent(rows):
    """Slope of the logarithm of time over that of size, by least squares."""
    return np.polyfit(*(np.log([row[name] for row in rows]) for name in ("size", "seconds")), 1)[0]


def summary(rows):
    """Rows of the page."""
    found = []
    for name, limit in LIMITS.items():
        own = [row for row in rows if row["growing"] == name]
        sizes, times = (", ".join(text(row[key]) for row in own) for key in ("size", "seconds"))
        found.append({"growing": name, "sizes": sizes, "seconds": times, "exponent": exponent(own), "limit": limit})
    return found


def check(rows):
    """Raise InputError if time grows faster than its limit."""
    for row in rows:
        if row["exponent"] > row["limit"]:
            raise InputError(f"{row['growing']}: exponent {row['exponent']:.2f}, limit {row['limit']}")


def main():
    parser = cli.parser(__doc__)
    parser.add_argument("--repeats", type=cli.positive(int), required=True, help="runs of each size")
    parser.add_argument("--threads", type=cli.positive(int), required=True, help="of torch")
    parser.add_argument("--csv", required=True, help="output: table (CSV)")
    parser.add_argument("--page", required=True, help="output: page (Markdown)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = [row for name in GROWTH for row in measure(name, args.repeats)]
    write_csv(args.csv, rows)
    others = ", ".join(f"{name} {size}" for name, size in asdict(Sizes()).items())
    words = [
        f"`make -C benchmarks growth`: Carlini and Wagner's attack, medians of {args.repeats} runs in turn; what",
        f"does not grow is {others} (iterations for each kappa, of about 1).",
        "The exponent is the slope of the logarithms; 1 is linear growth, less is a share that stays.",
    ]
    found = summary(rows)
    write_page(args.page, "How the time of attacks grows", words, found)
    check(found)


if __name__ == "__main__":
    cli.run(main)

"""Settings of training compared on flows that are held out of the training split, over several seeds.

The embedded default stands beside cheaper ones here. The test split is not read: each seed holds out its own tenth of
the training flows, the same one for all settings.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from measure import write_page

from rnnids.datasets.flow_data import TRAIN, load_dataset
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.lstm import LSTMDetector
from rnnids.detectors.training import Training, fit, hold_out
from rnnids.storage import write_csv

WORDS = [
    "`make -C benchmarks choose`: a detector of 2 x 64 units on the laboratory data's training split; mean and",
    "standard deviation over seeds of what it reaches on the tenth of the flows that each seed holds out. The test",
    "split is not read.",
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--settings", required=True, nargs="+", help="batch packets, epochs, rate: 256x15x0.01")
    parser.add_argument("--seeds", default=5, type=int, help="trainings of each (default: %(default)s)")
    parser.add_argument("--csv", required=True, help="output: every training (CSV)")
    parser.add_argument("--page", required=True, help="output: mean and spread (Markdown)")
    return parser.parse_args()


def train(data, seed, batch_packets, epochs, rate):
    """(packet accuracy, flow accuracy, loss per packet) on the flows held out, and seconds."""
    settings = Training(batch_packets=batch_packets, epochs=epochs, learning_rate=rate, hidden_size=64, num_layers=2)
    torch.manual_seed(seed)
    detector = LSTMDetector(settings.hidden_size, settings.num_layers)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        _, curve = fit(detector, data, settings, checkpoint=Path(folder) / "c", seed=seed, device=torch.device("cpu"))
    taken = time.perf_counter() - start
    held_out = hold_out(data, settings.validation_fraction, seed)[1]
    logits = last_of_flow(packet_logits(detector, held_out, batch_packets=32768), held_out.packet_count)
    flows = float(((logits > 0) == held_out.is_attack).mean())
    return curve[-1]["validation_accuracy"], flows, curve[-1]["validation_loss"], taken


def main():
    args = arguments()
    torch.set_num_threads(1)
    data = load_dataset(args.dataset, TRAIN)
    rows = []
    for seed in range(args.seeds):  # settings in turn, so that a disturbance falls on all
        for name in args.settings:
            batch_packets, epochs, rate = name.split("x")
            found = train(data, seed, int(batch_packets), int(epochs), float(rate))
            rows.append(
                dict(zip(("settings", "seed", "packet", "flow", "loss", "seconds"), (name, seed, *found), strict=True))
            )
            print(rows[-1], file=sys.stderr, flush=True)
            write_csv(args.csv, rows)
    write_page(args.page, "Settings of training", WORDS, summary(rows))


def summary(rows):
    """A row of the page for each of the settings."""
    table = []
    for name in dict.fromkeys(row["settings"] for row in rows):
        own = [row for row in rows if row["settings"] == name]
        line = dict(zip(("batch packets", "epochs", "rate"), name.split("x"), strict=True)) | {"trainings": len(own)}
        for key, heading, scale in (
            ("flow", "flow accuracy in %", 100),
            ("packet", "packet accuracy in %", 100),
            ("loss", "loss", 1),
        ):
            values = [scale * row[key] for row in own]
            line[heading] = f"{statistics.mean(values):.4g} ± {statistics.stdev(values):.2g}"
        table.append(line)
    return table


if __name__ == "__main__":
    main()

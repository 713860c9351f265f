"""Packets a second and peak memory of watching a capture, for the small model and the paper's.

The capture is made of the laboratory ones (generate_capture.py), the weights are random: what a detector says costs
nothing. Each run is a process of its own, so that its peak memory is its own. Extraction of the same capture stands
beside it: what watching would cost without a detector.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from measure import write_page

from rnnids import cli
from rnnids.detectors.lstm import LSTMDetector, save_detector
from rnnids.storage import write_csv

ROOT = Path(__file__).resolve().parents[1]
MEAN = [30000, 8000, 6, 300, 200, 0.4, *[0.1] * 9]
STD = [20000, 15000, 3, 500, 2000, 0.5, *[0.3] * 9]


def random_weights(path, layers, units):
    """Write a detector that nothing was taught, so that few flows raise the alarm."""
    torch.manual_seed(0)
    detector = LSTMDetector(units, layers)
    with torch.no_grad():
        detector.readout.bias -= 2
    save_detector(path, detector, np.array(MEAN), std=np.array(STD), training={})


def run(*command):
    """(seconds, seconds of processors, peak MiB) of a Python script in a process of its own."""
    start = time.perf_counter()
    code = (
        "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss); sys.exit(code)"
    )
    words = [sys.executable, "-c", code, sys.executable, *map(str, command)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    processor, size = done.stdout.split()[-2:]
    kilobytes = int(size) // (1024 if sys.platform == "darwin" else 1)
    return time.perf_counter() - start, float(processor), kilobytes / 1024


def row_of(what, packets, measured):
    """A row of the table; rates are those of processors, which other programs at work do not change."""
    seconds, processor, memory = measured
    row = {"what": what, "packets": packets, "seconds": seconds, "processor seconds": processor}
    return row | {"packets a processor second": round(packets / processor), "peak MiB": round(memory)}


def make_capture(path, packets):
    """Write a capture of so many packets."""
    sources = sorted((ROOT / "resources/lab").glob("*.pcap.gz"))
    run("benchmarks/generate_capture.py", "--sources", *sources, "--packets", packets, "--output", path)


def measure(folder, capture, packets, model, *, device):
    """A row of the table: watching `packets` packets with a model given as (layers, units)."""
    weights, alerts = folder / "w.safetensors", folder / "alerts.jsonl"
    random_weights(weights, *model)
    options = ["--output", alerts, "--device", device]
    measured = run("scripts/detect.py", "--pcap", capture, "--weights", weights, *options)
    return row_of(f"detect, {model[0]} x {model[1]}", packets, measured)


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--packets", type=cli.positive(int), nargs=2, required=True, help="for 2x64, and for 3x512")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where to compute")
    parser.add_argument("--csv", type=Path, required=True, help="output: table (CSV)")
    parser.add_argument("--page", type=Path, required=True, help="output: page (Markdown)")
    return parser.parse_args()


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder, rows = Path(name), []
        for packets, model in zip(args.packets, ((2, 64), (3, 512)), strict=True):
            capture = folder / f"{packets}.pcap"
            make_capture(capture, packets)
            if not rows:
                measured = run("scripts/extract_flows.py", "--pcap", capture, "--output", folder / "flows.h5")
                rows.append(row_of("extract_flows", packets, measured))
            rows.append(measure(folder, capture, packets, model, device=args.device))
            capture.unlink()
    write_csv(args.csv, rows)
    words = [
        "`make -C benchmarks detect`: packets of the laboratory captures written over and over, random weights.",
        "Seconds are of the whole program with its start, which takes some 3 of a processor.",
    ]
    write_page(args.page, "Watching a capture", words, rows)


if __name__ == "__main__":
    cli.run(main)

"""Measure what the stages of extraction take, from a capture to the HDF5 file of its flows.

One thread reads, walks over the records and parses, another puts packets into flows; then they are sorted, grouped and
written. Each stage is also run by itself, so that the sum of those of the two threads tells what two threads gain.
"""

import contextlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

from extraction import ACTIVE, IDLE, PADDING, generate, in_memory
from measure import write_page

from rnnids import cli
from rnnids.captures.packets import draw_keys
from rnnids.captures.pcap import BUFFER, open_capture
from rnnids.captures.repair import Remedies, Repair
from rnnids.captures.skipped import new_counts
from rnnids.flows.external_sort import in_order, scratch
from rnnids.flows.extract import (
    Extraction,
    FlowBuilder,
    build_flows,
    extract,
    repaired_packets,
    to_nanoseconds,
    write_flows,
)
from rnnids.storage import create_hdf5, write_csv

TIMEOUTS = to_nanoseconds(IDLE), to_nanoseconds(ACTIVE)


@contextlib.contextmanager
def clock(seconds, stage):
    """Note in the dict `seconds` what the body takes."""
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


def parsed(capture, keys):
    """Yield the packets of an open capture, as extraction does; `keys` of their hashes."""
    return repaired_packets(capture, Repair(Remedies()), counts=new_counts(), keys=keys)


def read_bytes(path):
    """Read a file as extraction does."""
    buffer = memoryview(bytearray(BUFFER))
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def fill(path, bucket):
    """Read the capture `path` and put its packets into flows, in `bucket`."""
    with open_capture(path) as capture:
        build_flows(capture, FlowBuilder(bucket, *TIMEOUTS), Repair(Remedies()))


def run(path, output):
    """Seconds of each stage for the capture `path`, once; writes the flow file `output`."""
    seconds = {}
    with clock(seconds, "read"):
        read_bytes(path)
    with open_capture(path) as capture, clock(seconds, "read and walk"):
        for _ in capture.batches():
            pass
    keys = draw_keys()
    with open_capture(path) as capture, clock(seconds, "read, walk and parse"):
        for _ in parsed(capture, keys):
            pass
    with open_capture(path) as capture:
        pieces = [packets.copy() for packets in parsed(capture, keys)]
    with scratch(output) as bucket, clock(seconds, "find flows"):
        builder = FlowBuilder(bucket, *TIMEOUTS)
        builder.keys = keys
        for packets in pieces:
            builder.add(packets)
        builder.finish()
    del pieces
    with scratch(output) as bucket:
        with clock(seconds, "these four in two threads"):
            fill(path, bucket)
        with clock(seconds, "sort and group"):
            for _ in in_order(bucket):
                pass
    with scratch(output) as bucket:
        fill(path, bucket)
        with clock(seconds, "sort, group and write"), create_hdf5(output, "{}") as file:
            write_flows(file, bucket, output)
    with clock(seconds, "extraction"):
        extract(path, output, Extraction(), name="capture", made_by="{}")
    return seconds


def nanoseconds(name, folder, packets, repeats):
    """Stage -> ns a packet, the median of `repeats` runs, for the captures called `name`."""
    capture = folder / "capture.pcap"
    generate(name, packets, capture)
    times = [run(capture, folder / "flows.h5") for _ in range(repeats + 1)][1:]  # the first compiles, touches memory
    return {stage: 1e9 / packets * statistics.median(taken[stage] for taken in times) for stage in times[0]}


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--packets", type=cli.positive(int), required=True, help="of each capture")
    parser.add_argument("--repeats", type=cli.positive(int), required=True, help="runs, after one that does not count")
    parser.add_argument("--csv", type=Path, required=True, help="output: table (CSV)")
    parser.add_argument("--page", type=Path, required=True, help="output: page (Markdown)")
    return parser.parse_args()


def main():
    args = arguments()
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        columns = {name: nanoseconds(name, Path(folder), args.packets, args.repeats) for name in PADDING}
    stages = next(iter(columns.values()))
    rows = [{"nanoseconds a packet": stage} | {name: columns[name][stage] for name in columns} for stage in stages]
    write_csv(args.csv, rows)
    words = [
        f"`make -C benchmarks extract`: {args.packets:,} packets, in memory; medians of {args.repeats} runs.",
        "Rows overlap, as they say.",
    ]
    write_page(args.page, "Stages of extraction", words, rows)


if __name__ == "__main__":
    cli.run(main)

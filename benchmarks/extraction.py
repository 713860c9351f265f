"""Measure extraction, from a capture to the HDF5 file of its flows, beside what a user would pick instead.

Each peer does the same work, as far as it can: time, addresses, ports, IP length and TCP flags of every packet, put
together by flow; tshark only prints them; argus and nfpcapd write a summary of each flow, without its packets. Peers
that are not installed are left out with a word. The capture is in memory, as files that were just written are. Far
slower peers read only the first packets; rates are compared.
"""

import functools
import importlib.util
import json
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import h5py
import numpy as np
from measure import in_turn, write_page

from rnnids import cli
from rnnids.datasets.flow_data import load_dataset
from rnnids.flows.columns import PACKET_COLUMNS
from rnnids.flows.extract import Extraction, extract
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, write_csv

LAB = sorted((REPOSITORY / "resources/lab").glob("*.pcap.gz"))
PADDING = {"headers": 0, "short packets": 261, "long packets": 635}  # bytes behind the headers
# Packets that slow peers read.
SLOW = {"dpkt": 200_000, "nfstream": 200_000, "tshark": 500_000, "argus": 1_000_000, "go-flows": 1_000_000}
FLOWS_OF_BATCH = 128
IDLE, ACTIVE = 300, 1800  # seconds
FIELDS = "frame.time_epoch ip.src ip.dst ipv6.src ipv6.dst ip.proto tcp.srcport tcp.dstport udp.srcport udp.dstport"


def by_dpkt(path):
    """Flows as lists of packets, with dpkt."""
    import dpkt

    flows = defaultdict(list)
    with open(path, "rb") as file:
        for stamp, frame in dpkt.pcap.Reader(file):
            network = dpkt.ethernet.Ethernet(frame).data
            if not isinstance(network, (dpkt.ip.IP, dpkt.ip6.IP6)):
                continue
            transport = network.data
            if isinstance(transport, (dpkt.tcp.TCP, dpkt.udp.UDP)):
                ends = sorted([(network.src, transport.sport), (network.dst, transport.dport)])
                flags = transport.flags if isinstance(transport, dpkt.tcp.TCP) else 0
                flows[(*ends[0], *ends[1], network.p)].append((stamp, len(network), flags))
    return len(flows)


def by_nfstream(path):
    """Flows with the first 100 packets' lengths, directions and times, with nfstream and without its DPI."""
    from nfstream import NFStreamer

    settings = {"n_dissections": 0, "splt_analysis": 100, "statistical_analysis": False, "n_meters": 1}
    return sum(1 for _ in NFStreamer(source=str(path), idle_timeout=IDLE, active_timeout=ACTIVE, **settings))


def program(*words):
    """Runs a program and throws away what it prints."""

    def run(path):
        subprocess.run([*map(str, words), str(path)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return run


def by_goflows(path):
    """Flow records as CSV with go-flows, the paper's extractor, and the features that the paper uses."""
    key = ["sourceIPAddress", "destinationIPAddress", "protocolIdentifier", "sourceTransportPort"]
    key.append("destinationTransportPort")
    of_packets = ["ipTotalLength", "_interPacketTimeNanoseconds", "_tcpFlags", "flowDirection"]
    features = ["flowStartMilliseconds", *key, *({"accumulate": [name]} for name in of_packets)]
    flow = {"features": features, "key_features": key, "bidirectional": True}
    flow |= {"active_timeout": ACTIVE, "idle_timeout": IDLE}
    with tempfile.TemporaryDirectory() as folder:
        specification = Path(folder) / "specification.json"
        specification.write_text(json.dumps({"version": "v2", "preprocessing": {"flows": [flow]}}))
        program("go-flows", "run", "features", specification, "export", "csv", "/dev/null", "source", "libpcap")(path)


def by_nfpcapd(path):
    """Flow records with nfdump's reader of captures."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        program("nfpcapd", "-e", f"{ACTIVE},{IDLE}", "-w", folder, "-r")(path)


def by_argus(path):
    """Flow records with argus, which reports of each flow every 60 seconds by default."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        program("argus", "-S", ACTIVE, "-w", f"{folder}/flows", "-r")(path)


def peers():
    """Name -> function of a path, of the peers that are installed; says which are not."""
    tshark = program("tshark", "-n", "-T", "fields", *(f"-e{field}" for field in FIELDS.split()), "-r")
    modules = {"dpkt": by_dpkt, "nfstream": by_nfstream}
    programs = {"go-flows": by_goflows, "argus": by_argus, "nfpcapd": by_nfpcapd, "tshark": tshark}
    programs |= {name: program(name) for name in ("sha256sum", "cat")}
    found = {}
    for name, run in (modules | programs).items():
        if importlib.util.find_spec(name) if name in modules else shutil.which(name):
            found[name] = run
        else:
            print(f"{name} is not installed: left out")
    return found


def head_of(path, packets):
    """The first packets of a little-endian pcap file as a file beside it; its path."""
    with open(path, "rb") as file:
        content = file.read(24)
        pieces = [content]
        for _ in range(packets):
            header = file.read(16)
            pieces += [header, file.read(struct.unpack_from("<I", header, 8)[0])]
    target = path.with_suffix(f".{packets}.pcap")
    target.write_bytes(b"".join(pieces))
    return target


def in_memory():
    """A folder whose files are in memory, or None."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else None


def generate(name, packets, capture):
    """Write the capture called `name`, of so many packets."""
    words = ["--sources", *LAB, "--packets", packets, "--output", capture, "--padding", PADDING[name]]
    generator = [sys.executable, REPOSITORY / "benchmarks/generate_capture.py", *words]
    subprocess.run(list(map(str, generator)), check=True)


def measure_size(name, folder, packets, repeats):
    """Rows of the table for captures of one size."""
    capture = folder / "capture.pcap"
    generate(name, packets, capture)
    count = {way: min(packets, few) for way, few in SLOW.items()}
    ways = {"ours": lambda: extract(capture, folder / "flows.h5", Extraction(), name="capture", made_by="{}")}
    for way, run in peers().items():
        ways[way] = functools.partial(run, head_of(capture, count[way]) if way in count else capture)
    seconds = in_turn(ways, repeats)
    rates = {way: count.get(way, packets) / taken for way, taken in seconds.items()}
    size = (capture.stat().st_size - 24) / packets
    return [
        {
            "capture": f"{name}, {size:.0f} B a packet",
            "tool": way,
            "million_packets_per_second": rate / 1e6,
            "gigabytes_per_second": rate * size / 1e9,
            "ours_is_faster": rates["ours"] / rate,
        }
        for way, rate in rates.items()
    ]


def write_large(path, packets, rng):
    """A data set file of `packets` packets in the layout of build_dataset.py, with invented values; flows in it."""
    count = rng.integers(1, 40, packets // 20)
    flows = {
        "offset": np.cumsum(count) - count,
        "packet_count": count.astype("i4"),
        "split": np.zeros(len(count), "u1"),
    }
    attributes = {"clock_resolution_ns": 1, "idle_timeout": IDLE, "active_timeout": ACTIVE}
    attributes |= {"attacks": "[]", "categories": "[]", "mean": np.zeros(15), "std": np.ones(15)}
    with create_hdf5(path, "{}") as file:
        file.attrs.update(attributes)
        for name, values in flows.items():
            file.create_dataset(f"flows/{name}", data=values, **COLUMN_OPTIONS)
        for name, column in PACKET_COLUMNS.items():
            values = rng.integers(0, 200, int(count.sum())).astype(column.dtype)
            file.create_dataset(f"packets/{name}", data=values, **COLUMN_OPTIONS)


def measure_loading(folder, packets, repeats):
    """Rows of the table of loading a data set and of gathering batches."""
    rng = np.random.default_rng(0)
    path = folder / "large.h5"
    write_large(path, packets, rng)
    data = load_dataset(path)
    batches = [rng.choice(len(data), FLOWS_OF_BATCH, replace=False) for _ in range(5)]

    def in_arrays():
        for rows in batches:
            data.packets_of(rows)

    def in_file():
        with h5py.File(path) as file:
            columns = [file["packets"][name] for name in data.packets]
            for rows in batches:
                first, count = data.start[rows], data.packet_count[rows]
                for column in columns:
                    [column[at : at + size] for at, size in zip(first, count, strict=True)]

    ways = {"load all": lambda: load_dataset(path), "a batch in memory": in_arrays, "a batch out of HDF5": in_file}
    seconds = in_turn(ways, repeats)
    million = len(data.packets["length"]) / 1e6
    rows = [{"what": f"all {million:.0f} million packets into memory", "seconds": seconds["load all"]}]
    for name in ("a batch in memory", "a batch out of HDF5"):
        rows.append({"what": f"{name}, {FLOWS_OF_BATCH} flows", "seconds": seconds[name] / len(batches)})
    ratio = rows[2]["seconds"] / rows[1]["seconds"]
    return [*rows, {"what": "memory is faster by", "seconds": ratio}]


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--packets", type=cli.positive(int), required=True, help="of each capture")
    parser.add_argument(
        "--loaded", type=cli.positive(int), required=True, help="packets of the data set that is loaded"
    )
    parser.add_argument("--repeats", type=cli.positive(int), required=True, help="runs of each way")
    parser.add_argument("--folder", type=Path, required=True, help="output: tables (CSV) and pages (Markdown)")
    return parser.parse_args()


def main():
    args = arguments()
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        rows = [row for name in PADDING for row in measure_size(name, Path(folder), args.packets, args.repeats)]
        loading = measure_loading(Path(folder), args.loaded, args.repeats)
    write_csv(args.folder / "extract.csv", rows)
    write_csv(args.folder / "load.csv", loading)
    shares = [f"{row['ours_is_faster']:.0%} at {row['capture']}" for row in rows if row["tool"] == "cat"]
    firsts = ", ".join(f"{name} {count:,}" for name, count in SLOW.items())
    words = [
        f"`make -C benchmarks extract`: {args.packets:,} packets, in memory; medians of {args.repeats} runs in turn.",
        "Programs are started for each run, which ours, compiled code in Python, is not. Slow tools read the first",
        "packets only:",
        f"{firsts}. Ours reaches these shares of the rate of `cat FILE >/dev/null`:",
        f"{'; '.join(shares)}.",
    ]
    write_page(args.folder / "extract.md", "Extraction", words, rows)
    words = ["`make -C benchmarks extract`: a data set file with invented values, in memory."]
    write_page(args.folder / "load.md", "Data sets in memory", words, loading)


if __name__ == "__main__":
    cli.run(main)

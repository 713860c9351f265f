"""Measure how time and memory grow with the number of packets: extraction, merging, reading for training.

For each size a capture is generated from the laboratory ones, then each stage runs as a process of its own, one
after the other, one thread but for reading ahead. Its processor time, wall time and peak resident memory are written
as CSV and, with the machine and the fitted exponents, as a page of Markdown.
"""

import datetime
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from rnnids import cli
from rnnids.errors import InputError
from rnnids.storage import atomic_path, write_csv

# What comes from the laboratory's outside is an attack, in every copy: the generator moves the second byte alone.
RULES = """start,end,source,destination,destination_port,protocol,bidirectional_initiator,attack,category
2000-01-01T00:00:00Z,2100-01-01T00:00:00Z,172.0.0.0/8,0.0.0.0/0,,,false,Outside,Outside
"""
READ = """
import sys
import numpy as np
from rnnids.datasets.flow_data import TRAIN, batches_by_length, load_dataset
data = load_dataset(sys.argv[1], TRAIN)
print(sum(len(data.padded(rows)) for rows in batches_by_length(data.packet_count, 65536, np.random.default_rng(0))))
"""
EXTRACTION = shlex.split("--idle-timeout 300 --active-timeout 1800 --duplicate-window 0.01 --reorder-window 1")
DATASET = shlex.split("--label-kind rules --split flow --test-fraction 0.333333 --seed 0 --max-packets 100")
LIMITS = {"extract_flows": 1.5, "build_dataset": 4.0}  # GiB
EXPONENT = 1.05
TOUCHED = 2 << 30  # bytes
SMALL = 0.01  # million packets: a stage's time for them is its start


def touch_memory():
    """Write to as much memory as a stage may take.

    A virtual machine gets memory from its host at the first use, which can take longer than all work on it. It is a
    process of its own, since the peak of a process counts as one of those that it starts.
    """
    subprocess.run([sys.executable, "-c", f"bytearray({TOUCHED})"], check=True)


def stages(folder):
    """Name -> command of each stage, all in `folder`."""
    capture, flows, dataset = folder / "capture.pcap", folder / "flows.h5", folder / "dataset.h5"
    tables = [word for name in ("report", "label-report", "counts") for word in (f"--{name}", folder / f"{name}.csv")]
    scripts = ROOT / "scripts"
    return {
        "extract_flows": [scripts / "extract_flows.py", "--pcap", capture, "--output", flows, *EXTRACTION],
        "build_dataset": [
            *(scripts / "build_dataset.py", "--flows", flows, "--labels", folder / "rules.csv", "--output", dataset),
            *tables,
            *DATASET,
            "--follow-connections",
        ],
        "read for training": ["-c", READ, dataset],
    }


def measure(command):
    """Run Python with `command`: processor time (s), wall time (s) and peak resident memory (MiB)."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "scripts")}
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        child = subprocess.Popen([sys.executable, *map(str, command)], stdout=output, stderr=output, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if child.returncode:
            raise InputError(f"{command[0]}: ended with {child.returncode}: {output.read().decode()[-2000:]}")
    return {
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "wall_s": round(wall, 2),
        "peak_mib": round(usage.ru_maxrss / 1024),
    }


def measure_size(folder, packets, full):
    """Rows of the table for one number of packets, in millions."""
    sources = sorted((ROOT / "resources" / "lab").glob("*.pcap.gz"))
    generate = [ROOT / "benchmarks" / "generate_capture.py", "--packets", round(packets * 1e6), "--sources", *sources]
    measure([*generate, "--output", folder / "capture.pcap", *["--full"] * full])
    (folder / "rules.csv").write_text(RULES)
    rows = []
    for stage, command in stages(folder).items():
        touch_memory()
        rows.append({"million_packets": packets, "stage": stage, **measure(command)})
        cli.log.info("%s", rows[-1])
    return rows


def exponent(rows):
    """Slope of the logarithm of processor time, less that of the start, over that of packets, by least squares."""
    sizes, times = ([row[name] for row in rows] for name in ("million_packets", "work_s"))
    return np.polyfit(np.log(sizes), np.log(times), 1)[0]


def without_start(rows):
    """`rows` but for those of ``SMALL`` captures, each with ``work_s``: its processor time less theirs."""
    small = [row for row in rows if row["million_packets"] == SMALL]
    times = {row["stage"]: [other["cpu_s"] for other in small if other["stage"] == row["stage"]] for row in small}
    start = {stage: statistics.median(taken) for stage, taken in times.items()}
    larger = (row for row in rows if row["million_packets"] != SMALL)
    return [row | {"work_s": round(max(row["cpu_s"] - start[row["stage"]], 0.01), 2)} for row in larger]


def machine():
    """The machine and the programs, in words."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(": ")[2] for line in info.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} x {names[0] if names else platform.machine()}, {memory:.0f} GiB, Linux {platform.release()},"
        f" Python {platform.python_version()}; load when done {os.getloadavg()[0]:.1f};"
        f" {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    )


def page(rows, full):
    """The Markdown page."""
    kind = "full-size packets" if full else "packets cut after the transport header"
    lines = [
        "# How time and memory grow",
        "",
        f"`make -C benchmarks growth`: copies of the laboratory captures, {kind}. {machine()}.",
        "One thread does the work, another reads ahead in extraction; processor time is that of both.",
        "Processor time is what a stage takes by itself; wall time also counts what else the machine does.",
        "",
        "| stage | million packets | processor time (s) | less start (s) | wall time (s) | peak memory (MiB) |",
        "|---|---|---|---|---|---|",
    ]
    names = list(dict.fromkeys(row["stage"] for row in rows))
    by_stage = {name: [row for row in rows if row["stage"] == name] for name in names}
    for row in (row for name in names for row in by_stage[name]):
        times = f"{row['cpu_s']:.1f} | {row['work_s']:.1f} | {row['wall_s']:.1f}"
        lines.append(f"| {row['stage']} | {row['million_packets']:g} | {times} | {row['peak_mib']:,} |")
    lines += [
        "",
        "| stage | exponent | packets a second, largest size | peak memory | limit |",
        "|---|---|---|---|---|",
    ]
    for name, of_stage in by_stage.items():
        limit = f"{LIMITS[name]:g} GiB" if name in LIMITS else ""
        rate = 1e6 * of_stage[-1]["million_packets"] / of_stage[-1]["work_s"]
        peak = max(row["peak_mib"] for row in of_stage) / 1024
        lines.append(f"| {name} | {exponent(of_stage):.2f} | {rate:,.0f} | {peak:.2f} GiB | {limit} |")
    lines += ["", f"The start is what {SMALL * 1e6:,.0f} packets take: Python, its packages, compiled code."]
    lines += [f"The exponent is fitted to the time less the start; 1 is linear growth, the limit is {EXPONENT:g}."]
    return "\n".join([*lines, ""])


def main():
    """Parse the command line, measure, write, and fail if a limit is passed."""
    parser = cli.parser(__doc__)
    parser.add_argument("--sizes", type=cli.positive(float), nargs="+", required=True, help="million packets, rising")
    parser.add_argument("--full", action="store_true", help="packets of the length that they had")
    parser.add_argument("--csv", type=Path, required=True, help="table to write")
    parser.add_argument("--page", type=Path, required=True, help="Markdown page to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure_size(Path(folder), SMALL, args.full)  # compiles, if nothing has before
        rows = [row for size in (*[SMALL] * 3, *args.sizes) for row in measure_size(Path(folder), size, args.full)]
    rows = without_start(rows)
    write_csv(args.csv, rows)
    with atomic_path(args.page) as temporary:
        temporary.write_text(page(rows, args.full), encoding="utf-8")
    check(rows)


def check(rows):
    """Raise InputError if a stage passes its limits."""
    for name, limit in LIMITS.items():
        of_stage = [row for row in rows if row["stage"] == name]
        peak, slope = max(row["peak_mib"] for row in of_stage) / 1024, exponent(of_stage)
        if peak > limit or slope > EXPONENT:
            raise InputError(f"{name}: peak {peak:.2f} GiB (limit {limit}), exponent {slope:.2f} (limit {EXPONENT})")


if __name__ == "__main__":
    cli.run(main)

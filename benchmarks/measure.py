"""What the benchmarks share: ways that run in turn, the machine in words, tables."""

import datetime
import os
import platform
import statistics
import time
from pathlib import Path

import torch

from rnnids.storage import atomic_path

BRIEF = 1  # seconds


def in_turn(ways, repeats):
    """Median seconds of each of `ways`, {name: function}: once to warm up, then `repeats` times in turn.

    Taking turns lets a disturbance of the machine fall on all of them. What takes less than ``BRIEF`` runs twice in
    each turn, and the second time counts: others have had the caches, and a virtual machine's host the free memory.
    """
    times = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            taken = seconds(way)
            if repeat:
                times[name].append(seconds(way) if taken < BRIEF else taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def seconds(way):
    """How long the function `way` takes."""
    start = time.perf_counter()
    way()
    wait()
    return time.perf_counter() - start


def wait():
    """Until the GPU, if there is one, has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def machine():
    """The machine and the programs, in words."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    card = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{os.cpu_count()} x {names[0] if names else platform.machine()}{card}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; load when done {os.getloadavg()[0]:.1f}; "
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    )


def write_page(path, title, words, rows):
    """Write a Markdown page: the title, the lines `words`, the machine and a table of `rows`, dicts of equal keys."""
    cells = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    lines = [f"# {title}", "", *words, f"{machine()}.", ""]
    lines += [f"| {' | '.join(map(text, row))} |" for row in cells]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")


def text(value):
    """A cell: numbers to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)

"""Fuzz the readers: mutants of every kind of file, in process, counted; exit status 1 where one is a fault.

A mutant must be read, or refused with an InputError that names it; within a second of CPU and 1 GiB of memory. With
NUMBA_BOUNDSCHECK=1 compiled code checks its indices; its cache then needs a folder of its own, NUMBA_CACHE_DIR. What
fails is kept in --keep.
"""

import argparse
import contextlib
import logging
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "scripts")]

import numpy as np
from mutate import mutant
from targets import TARGETS

from rnnids.errors import InputError

SECOND, GIBIBYTE = 1.0, 1 << 30
SHOWN = 5  # faults of a kind
# Of all mutants, by name; the rest is shared out evenly.
SHARES = {"pcap": 0.4, "pcapng": 0.25, "configuration": 0.0005, "flow CSV": 0.005, "ground truth": 0.005}


def fuzz(target, count, *, seed, folder, keep=None, seconds=None):
    """Try `count` mutants of a Target, or as many as the seconds allow; returns (Counter, list of what failed)."""
    rng = np.random.default_rng([seed, *target.name.encode()])
    seeds = target.seeds(folder)
    path = folder / f"mutant{target.suffix}"
    outcomes, faults = Counter(), []
    for content in seeds:  # they can be read; and what is compiled is compiled
        path.write_bytes(content)
        target.check(path, 0)
    start = time.monotonic()
    for number in range(count):
        if seconds and time.monotonic() > start + seconds:
            break
        path.write_bytes(mutant(rng, seeds[number % len(seeds)], target.changes))
        before = time.thread_time()
        try:
            target.check(path, number)
            outcomes["read"] += 1
        except InputError as error:
            outcomes["refused"] += 1
            if str(path.name) not in str(error):
                faults.append(f"the message does not name the file: {error}")
        except Exception:
            faults.append(traceback.format_exc())
        if time.thread_time() - before > SECOND and (again := cpu_seconds(target, path, number)) > SECOND:
            faults.append(f"{again:.1f} s")
        if faults and len(faults) != outcomes["faults"]:
            outcomes["faults"] = len(faults)
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{target.name}-{seed}-{number}{target.suffix}").write_bytes(path.read_bytes())
    return outcomes, faults


def cpu_seconds(target, path, number):
    """What a mutant takes when it is tried again: the first time may hold what a library does once."""
    before = time.thread_time()
    with contextlib.suppress(Exception):
        target.check(path, number)
    return time.thread_time() - before


def shares(mutants):
    """{name: mutants} of all targets."""
    rest = (1 - sum(SHARES.values())) / (len(TARGETS) - len(SHARES))
    return {target.name: max(1, round(mutants * SHARES.get(target.name, rest))) for target in TARGETS}


def work(job):
    """:func:`fuzz` in a process of its own; also its largest memory in bytes."""
    number, count, seed, keep, seconds = job
    logging.disable()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        found = fuzz(TARGETS[number], count, seed=seed, folder=Path(folder), keep=keep, seconds=seconds)
    return number, *found, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=100_000, help="of all kinds together")
    parser.add_argument("--seconds", type=float, help="shared out among the kinds, after which no more are made")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for mutants that fail")
    return parser.parse_args()


def main():
    args = arguments()
    wanted = shares(args.mutants)
    each = args.seconds and args.seconds / len(TARGETS)
    jobs = [
        (number, -(-wanted[target.name] // args.jobs), 1000 * args.seed + part, args.keep, each)
        for part in range(args.jobs)
        for number, target in enumerate(TARGETS)
    ]
    totals, faults, memory = {target.name: Counter() for target in TARGETS}, {}, 0
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for number, outcomes, found, largest in pool.imap_unordered(work, jobs, chunksize=1):
            name = TARGETS[number].name
            totals[name] += outcomes
            faults.setdefault(name, []).extend(found)
            memory = max(memory, largest)
    print(f"{'kind':16}{'mutants':>12}{'read':>12}{'refused':>12}{'faults':>8}")
    for name, count in totals.items():
        tried = count["read"] + count["refused"] + count["faults"]
        print(f"{name:16}{tried:12,}{count['read']:12,}{count['refused']:12,}{count['faults']:8,}")
    for name, found in faults.items():
        for text in found[:SHOWN]:
            print(f"\n{name}: {text}")
    mutants = sum(count["read"] + count["refused"] + count["faults"] for count in totals.values())
    broken = sum(count["faults"] for count in totals.values())
    print(f"{mutants:,} mutants, {broken:,} faults, at most {memory / GIBIBYTE:.2f} GiB")
    sys.exit(bool(broken) or memory > GIBIBYTE)


if __name__ == "__main__":
    main()

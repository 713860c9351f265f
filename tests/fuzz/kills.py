"""Harm the jobs of a small study at random moments; exit status 1 where something is lost, left over, or not said.

In turn each rule's job runs in a copy of the finished study, its outputs removed, and is harmed: killed, terminated,
interrupted, its disk full (a file system of some kilobytes more than are taken), its files or its memory limited, its
disk read-only, a second one beside it, the clock and the times of files moved by years. What the job has written must
then be whole or absent, its exit status and its words must say what happened, and where it could still act, nothing may
be left over. Then it runs unharmed, and every file of the study must be as it was before, byte for byte, with none
besides. Left out are logs, benchmarks, and those in `study.VARIES`, which no two runs write alike.

Some jobs run as commands, most in processes forked from one that has loaded the libraries. Then Snakemake itself is
killed with its job: what it wants before it goes on is what its message says. In the end bits are flipped in files of
every kind, and hostile names are given to attacks and captures.
"""

import argparse
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "scripts")]

import flips
import names
import numpy as np
import study
import torch
from disks import Disk

KILL, TERM, INT = "killed", "terminated", "interrupted"
FULL, FILE, MEMORY, READ_ONLY = "disk full", "file limit", "memory limit", "read-only"
TWO, CLOCK = "two at once", "clock moved"
KINDS = (KILL, FULL, TERM, TWO, INT, READ_ONLY, MEMORY, FILE, CLOCK)
SIGNALS = {KILL: signal.SIGKILL, TERM: signal.SIGTERM, INT: signal.SIGINT}
# Exit statuses besides 0, which a job has that was done before or did not need what was taken. Before a program has set
# itself up, signals end it as they end any (-15, -2). Without memory a library or the interpreter may abort (-6) or, as
# HDF5 does where it opens a file, crash (-7, -11), the C library end a process (127), and an import fail within.
STATUSES = {KILL: {-9}, TERM: {143, -15}, INT: {130, -2}, FULL: {2}, FILE: {2}, READ_ONLY: {2}}
STATUSES[MEMORY] = {2, -6, -7, -11, 127}
INTERPRETER = ("SystemError: error return without exception set", "returned NULL without setting an exception")
BEFORE_WORDS = (-9, -15, -2, -6, -7, -11, 127)  # of these, those of a process that says nothing of its own
TIDY = (TERM, INT, FULL, FILE, TWO, CLOCK)  # after these nothing may be left over
DISK = 1 << 30  # bytes of a worker's file system, if all of them are taken
SPARE = 64 << 20  # bytes of address space that are left at most
LOADING = 4  # seconds that a command takes to load its libraries, more or less
BEGINNING = 6  # seconds in which Snakemake is killed, since it has locked the folder
AT_ONCE = 0.25  # of the faults come before the job begins
COMMANDS = 8  # faults, of which one is done to a command, if it is of these kinds
CHECKPOINT = ".checkpoint"  # stays, for the next run to go on from
TOLD = 25  # faults after which a worker says how many there were
SHOWN = 10  # flips that were not found
AS_COMMANDS = (KILL, TERM, INT, FULL, TWO, READ_ONLY)
YEARS = 10 * 365 * 86400  # seconds by which clocks move
SHORT = [  # of the study: files of all stages
    f"results/tiny/{name}"
    for name in (
        "baseline/metrics.csv",
        "baseline/attacks/cw/kappa_0.5.h5",
        "baseline/alerts/session5_fri.jsonl",
        "figures/fig9.pdf",
        "tables/table1.html",
    )
]


class Worker:
    """A copy of a finished study, and what is done to it.

    Args:
        source: the study. before: its listing. folder: to work in. disk: whether it may mount a file system.
        at_once: of the faults, the share that comes before a job begins.
    """

    def __init__(self, source, before, folder, *, disk=True, at_once=AT_ONCE):
        self.source, self.before, self.folder, self.at_once = source, before, folder / "study", at_once
        self.folder.mkdir(parents=True)
        try:
            self.disk = Disk(self.folder, DISK) if disk else None
        except OSError:
            self.disk = None
        study.copy(source, self.folder)
        self.seconds = {}  # {job: seconds that it takes unharmed}

    def can(self, kind):
        """Whether this kind of fault can be made here."""
        return self.disk is not None or kind not in (FULL, READ_ONLY)

    def remove(self, job):
        for name in job.outputs:
            (self.folder / name).unlink(missing_ok=True)

    def unharmed(self, job):
        """Run a job; (exit status, words, seconds)."""
        begun = time.monotonic()
        run = study.Run(job, self.folder)
        return run.wait(), run.words, time.monotonic() - begun

    def fault(self, job, kind, rng, *, command):
        """Harm a job; (whether it had to stop, list of what is wrong)."""
        if job not in self.seconds:
            self.seconds[job] = self.unharmed(job)[2]
        self.remove(job)
        moment = 0.0 if rng.random() < self.at_once else rng.random() * (self.seconds[job] + LOADING * command)
        ends = self.harm(job, kind, moment, rng=rng, command=command)
        wrong = [text for status, words in ends for text in judge(kind, status, words)]
        now = study.listing(self.folder)
        halves = [name for name in job.outputs if name in now and not varies(name) and now[name] != self.before[name]]
        wrong += [f"{name}: neither whole nor absent" for name in halves]
        left = [name for name in now if name not in self.before and not name.endswith(CHECKPOINT)]
        wrong += [f"{name}: left over" for name in left if kind in TIDY]
        status, words, _ = self.unharmed(job)
        if status != 0:
            wrong.append(f"the run after it: exit status {status}\n{words}")
        wrong += self.differences()
        if wrong:  # what comes next is not to be blamed for it
            for path in self.folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            study.copy(self.source, self.folder)
        return any(status != 0 for status, _ in ends), wrong

    def harm(self, job, kind, moment, *, rng, command):
        """Run a job and do one kind of harm to it; [(exit status, its words)]."""
        begun = time.monotonic()
        at_start = {CLOCK: lambda: move_clock(moment)}.get(kind, lambda: None)
        if moment == 0 and kind in (FULL, READ_ONLY):
            self.take(kind, job, rng)
        run = study.Run(job, self.folder, before=at_start, standalone=command)
        status = None
        while status is None and time.monotonic() < begun + moment:
            time.sleep(study.WAIT)
            status = run.ended()
        if status is None:
            if kind == TWO:
                runs = [run, study.Run(job, self.folder)]
                return [(one.wait(), one.words) for one in runs]
            self.strike(kind, run.process, job, rng=rng, taken=moment == 0)
            status = run.wait()
        if self.disk:
            self.disk.relieve()
        return [(status, run.words)]

    def strike(self, kind, child, job, *, rng, taken):
        if kind in SIGNALS:
            os.killpg(child, SIGNALS[kind])
        elif kind == FILE:
            largest = max(self.sizes(job))
            resource.prlimit(child, resource.RLIMIT_FSIZE, (int(rng.integers(1 + largest)),) * 2)
        elif kind == MEMORY:
            limit = address_space(child) + int(rng.integers(SPARE))
            resource.prlimit(child, resource.RLIMIT_AS, (limit, limit))
        elif kind == CLOCK:
            for name in (*job.inputs, *job.outputs):
                if not Path(name).is_absolute() and (self.folder / name).exists():  # labels are not the study's own
                    os.utime(self.folder / name, (time.time() + rng.choice([-YEARS, YEARS]),) * 2)
        elif not taken:
            self.take(kind, job, rng)

    def take(self, kind, job, rng):
        """Fill the disk, or forbid to write to it."""
        if kind == FULL:
            self.disk.fill(int(rng.integers(1 + sum(self.sizes(job)))))
        elif kind == READ_ONLY:
            self.disk.forbid()

    def sizes(self, job):
        """Bytes of its outputs in the finished study."""
        return [(self.source / name).stat().st_size for name in job.outputs]

    def differences(self):
        """Words for each file that is not as in the finished study."""
        now = study.listing(self.folder)
        wrong = [f"{name}: lost" for name in self.before if name not in now]
        wrong += [f"{name}: left over" for name in now if name not in self.before]
        both = [name for name in now if name in self.before and not varies(name)]
        return wrong + [f"{name}: differs" for name in both if now[name] != self.before[name]]


def varies(name):
    """Whether no two runs write this file alike."""
    return any(re.search(pattern, name) for pattern in study.VARIES)


def judge(kind, status, words):
    """What is wrong with an exit status and what was said with it."""
    if status is None:
        return [f"hangs for more than {study.LONGEST} s\n{words}"]
    if kind == MEMORY and words.rstrip().endswith(INTERPRETER):
        return []
    if status not in {0} | STATUSES.get(kind, set()):
        return [f"exit status {status}\n{words}"]
    if "Traceback" in words and status not in BEFORE_WORDS:
        return [f"a traceback, exit status {status}\n{words}"]
    if status == 2 and not words.splitlines()[-1].startswith("error: "):
        return [f"exit status 2, and no error in one line\n{words}"]
    return []


def address_space(process):
    """Bytes of address space that a process has."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def move_clock(moment):
    """Let this process find its clock moved, that many seconds from now."""
    real, jump = time.time, time.monotonic() + moment
    time.time = lambda: real() + (YEARS if time.monotonic() > jump else 0)


def choose(jobs, kinds, count, rng):
    """`count` (job, kind): of each rule one job in turn, with each kind in turn."""
    rules = sorted({job.rule for job in jobs})
    rng.shuffle(rules)
    chosen = []
    for number in range(count):
        of_rule = [job for job in jobs if job.rule == rules[number % len(rules)]]
        kind = kinds[(number + number // len(rules)) % len(kinds)]
        chosen.append((of_rule[rng.integers(len(of_rule))], kind))
    return chosen


def work(task):
    """A worker's share of the faults; (Counter of (kind, what happened), list of what is wrong)."""
    number, source, before, jobs, count, args, folder = task
    rng = np.random.default_rng([args.seed, number])
    worker = Worker(source, before, folder / f"worker {number}", at_once=args.at_once)
    kinds = [kind for kind in args.kinds if worker.can(kind)]
    counts, found = Counter(), []
    for place, (job, kind) in enumerate(choose(jobs, kinds, count if kinds else 0, rng)):
        command = place % COMMANDS == 0 and kind in AS_COMMANDS
        if place % TOLD == 0 and place:
            print(f"worker {number}: {place} of {count} faults", flush=True)
        stopped, wrong = worker.fault(job, kind, rng, command=command)
        counts[kind, "stopped" if stopped else "done"] += 1
        counts[kind, "wrong"] += bool(wrong)
        if wrong:
            found.append(f"{kind}: {' '.join(job.command)}\n  " + "\n  ".join(wrong))
            print(found[-1], flush=True)  # at once, since hours may follow
    return counts, found


def kill_snakemake(source, before, job, *, moment, folder):
    """Kill Snakemake with its job, and go on as it says; (whether --unlock was needed, list of what is wrong)."""
    study.copy(source, folder)
    for name in job.outputs:
        (folder / name).unlink()
    command = study.snakemake(folder, "--cores", 1, *job.outputs)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    process = subprocess.Popen(command, **pipes)
    locks = folder / ".snakemake/locks"
    while process.poll() is None and not (locks.is_dir() and any(locks.iterdir())):
        time.sleep(study.WAIT)
    try:
        process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    wrong = []
    again = subprocess.run([*command, "--rerun-incomplete"], **pipes, check=False)
    locked = again.returncode != 0
    if locked:
        wrong += [] if "--unlock" in again.stdout else [f"after a kill, it does not say --unlock:\n{again.stdout}"]
        subprocess.run(study.snakemake(folder, "--unlock"), **pipes, check=True)
        again = subprocess.run([*command, "--rerun-incomplete"], **pipes, check=False)
    if again.returncode:
        wrong.append(f"after --unlock: {again.stdout}")
    now = study.listing(folder)
    names = sorted(now.keys() | before.keys())
    wrong += [f"{name}: differs" for name in names if now.get(name) != before.get(name) and not varies(name)]
    shutil.rmtree(folder)
    return locked, wrong


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faults", type=int, default=200, help="done to jobs")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of them")
    parser.add_argument("--at-once", type=float, default=AT_ONCE, help="share of them that comes before a job begins")
    parser.add_argument("--snakemake", type=int, default=4, help="faults done to Snakemake")
    parser.add_argument("--flips", type=int, default=2000, help="bits flipped in a file of each kind")
    parser.add_argument("--names", type=int, default=20_000, help="hostile names of attacks, and as many of captures")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="a part of the study only")
    parser.add_argument("--study", type=Path, help="keep the finished study in this folder, and take it from there")
    return parser.parse_args()


def harm_jobs(args, source, jobs, before, folder):
    """Harm jobs and Snakemake, and print what came of it; list of what is wrong."""
    shares = [args.faults // args.jobs + (number < args.faults % args.jobs) for number in range(args.jobs)]
    tasks = [(n, source, before, jobs, count, args, folder) for n, count in enumerate(shares)]
    with multiprocessing.get_context("fork").Pool(args.jobs) as pool:
        outcomes = pool.map(work, tasks, chunksize=1)
    counts = sum((count for count, _ in outcomes), Counter())
    wrong = [text for _, found in outcomes for text in found]
    print(f"{'harm':16}{'jobs':>6}{'stopped':>9}{'done':>6}{'wrong':>7}")
    for kind in args.kinds:
        own = [counts[kind, what] for what in ("stopped", "done", "wrong")]
        missing = "" if sum(own[:2]) else "  not tried: too few faults, or no file system can be mounted here"
        print(f"{kind:16}{sum(own[:2]):6}{own[0]:9}{own[1]:6}{own[2]:7}{missing}", flush=True)
    rng, locked = np.random.default_rng(args.seed), 0
    for _ in range(args.snakemake):
        job, moment = jobs[rng.integers(len(jobs))], rng.random() * BEGINNING
        needed, found = kill_snakemake(source, before, job, moment=moment, folder=folder / "killed")
        locked += needed
        if found:
            wrong.append(f"Snakemake killed: {' '.join(job.command)}\n  " + "\n  ".join(found))
            print(wrong[-1], flush=True)
    print(f"Snakemake killed {args.snakemake} times; before it went on, --unlock was needed {locked} times", flush=True)
    return wrong


def flip_bits(args, source, folder):
    """Flip bits and print what came of it; list of what is wrong."""
    files = flips.examples(source / "results") | {"checkpoint": folder / "a.checkpoint"}
    flips.write_checkpoint(files["checkpoint"])
    tasks = [(kind, path, args.flips, args.seed) for kind, path in files.items()]
    with multiprocessing.get_context("fork").Pool(args.jobs) as pool:
        outcomes = pool.map(flips.flip, tasks, chunksize=1)
    print(flips.table(outcomes), flush=True)
    wrong = [f"flips: no {kind} in the study" for kind in flips.KINDS if kind not in files and not args.short]
    wrong += [text for _, _, found in outcomes for text in found]
    print("\n".join(wrong[:SHOWN]))
    return wrong


def main():
    args = arguments()
    begun = time.monotonic()
    # As Snakemake sets them for its jobs: results of another number of threads are others, and models name both.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    os.environ["PYTHONFAULTHANDLER"] = "1"  # where a job crashes it says so
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        folder = Path(scratch)
        source, jobs = study.finished(args.study or folder / "study", SHORT if args.short else (), args.jobs)
        before = study.listing(source)
        took = time.monotonic() - begun
        print(f"{len(jobs)} jobs of {len({job.rule for job in jobs})} rules, {len(before)} files, made in {took:.0f} s")
        wrong = harm_jobs(args, source, jobs, before, folder)
        wrong += flip_bits(args, source, folder)
        counts, found = names.try_names(args.names, args.seed, folder)
    print(names.table(counts, found), flush=True)
    wrong += found
    tried = f"{args.faults + args.snakemake:,} faults, {args.flips:,} flips a kind, {2 * args.names:,} names"
    print(f"{tried}: {len(wrong)} wrong, {time.monotonic() - begun:.0f} s")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

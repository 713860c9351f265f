"""A small finished study to do harm to, its jobs run in processes forked from a warm one.

Snakemake says in a dry run which jobs there are, with the command of each. A command takes seconds to load its
libraries; forked from a process that has them, it takes what its own work takes, by the same lines: the script's, as a
program.
"""

import ast
import contextlib
import faulthandler
import fcntl
import hashlib
import importlib
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from conftest import CUTS, REPOSITORY, TINY, cut_capture

SMALL = TINY | {
    "selected_models": ["baseline"],
    "selected_threat_models": ["paper"],
    "unlabelled": {"tiny": ["captures/session5_fri.pcap"]},
}
MOST_WORDS = 1 << 20  # bytes that a job says before it has to wait
WAIT = 0.002  # seconds between looks at a process
LONGEST = 180  # seconds, after which a job hangs
LAST_WORDS = 2  # seconds in which it says where
ODD_LETTERS = re.compile(r"[;&|<>`$()]")  # of a command that needs a shell
# Paths of what differs between two runs without any harm, and why.
VARIES = {r"/alerts/[^/]+\.json$": "says how many packets it read in a second"}


@dataclass(frozen=True)
class Job:
    """One job of the workflow: its rule, its files, and its command as words, `python` left out."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    command: tuple[str, ...]


def prepare(folder):
    """Captures and configuration of the study in `folder`."""
    (folder / "captures").mkdir(parents=True)
    for name, start, seconds in CUTS:
        source = REPOSITORY / "resources/lab" / f"{name}.pcap.gz"
        cut_capture(source, folder / "captures" / f"{name}.pcap", start, seconds)
    (folder / "tiny.yaml").write_text(json.dumps(SMALL))


def snakemake(folder, *words):
    """The command of Snakemake on the study in `folder`."""
    own = ["-s", REPOSITORY / "Snakefile", "--directory", folder, "--configfile", folder / "tiny.yaml", *words]
    return [sys.executable, "-m", "snakemake", *map(str, own)]


def plan(folder, targets=()):
    """The jobs that make `targets` (none: everything), each after those whose files it reads."""
    said = folder.with_name(f"{folder.name} plan")
    if not said.exists():
        command = snakemake(folder, "--dry-run", "--forceall", "--printshellcmds", *targets)
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if run.returncode:
            sys.exit(f"{shlex.join(command)}\n{run.stdout}")
        said.write_text(run.stdout)
    jobs = []
    for block in re.split(r"(?m)^(?=(?:local)?rule \w+:$)", said.read_text())[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", block)[1]
        files = {key: tuple(value.split(", ")) for key, value in re.findall(r"(?m)^    (input|output): (.+)$", block)}
        if found := re.search(r"(?m)^Shell command: python (.+) 2> \S+$", block):
            assert not ODD_LETTERS.search(re.sub(r"'[^']*'", "", found[1])), f"{found[1]}: needs a shell"
            jobs.append(Job(rule, files.get("input", ()), files["output"], tuple(shlex.split(found[1]))))
    return jobs


def warm(jobs):
    """Load what the scripts of `jobs` import."""
    for script in sorted({job.command[0] for job in jobs}):
        for node in ast.parse(Path(script).read_text()).body:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                importlib.import_module(name)


class Run:
    """A job that runs in a process group of its own.

    Args:
        before: called in it first. standalone: as a command, not by the libraries that are loaded here.

    Attributes:
        process: its id. words: what it said to standard error, when it has ended.
    """

    def __init__(self, job, folder, *, before=lambda: None, standalone=False):
        # Not a file, whose size would be limited with that of the others.
        self.pipe, end = os.pipe()
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, MOST_WORDS)
        self.words, self.process = "", os.fork()
        if not self.process:
            _run(job, folder, end, before=before, standalone=standalone)
        os.close(end)
        with contextlib.suppress(OSError):  # whoever of the two comes first
            os.setpgid(self.process, self.process)

    def ended(self):
        """The exit status, negative where a signal ended it; None while it runs."""
        found, status = os.waitpid(self.process, os.WNOHANG)
        if not found:
            return None
        self.listen()
        return os.waitstatus_to_exitcode(status)

    def listen(self):
        """Take what it said."""
        with open(self.pipe, "rb") as file:
            os.set_blocking(self.pipe, False)  # a process of its own might live on, with the other end
            self.words = (file.read() or b"").decode(errors="replace")

    def wait(self):
        """Wait for its end; the exit status, None where it does not end and has to be killed."""
        stop = time.monotonic() + LONGEST
        while (status := self.ended()) is None:
            if time.monotonic() > stop:
                os.killpg(self.process, signal.SIGABRT)  # Python's handler says which line it is at
                time.sleep(LAST_WORDS)
                os.killpg(self.process, signal.SIGKILL)
                os.waitpid(self.process, 0)
                self.listen()
                return None
            time.sleep(WAIT)
        return status


def _run(job, folder, pipe, *, before, standalone):
    """Be the process of a job."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setpgid(0, 0)
        os.chdir(folder)
        nothing = os.open("/dev/null", os.O_RDWR)
        for number, handle in enumerate((nothing, nothing, pipe)):
            os.dup2(handle, number)
        faulthandler.enable(2)
        before()
        if standalone:
            os.execv(sys.executable, [sys.executable, *job.command])
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", 1, closefd=False)  # noqa: SIM115
        sys.argv = list(job.command)
        runpy.run_path(job.command[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:  # before or after the program itself
        status = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def make(folder, jobs, *, processes):
    """Run all jobs; {job: seconds}."""
    waiting, running, seconds = list(jobs), [], {}
    while waiting or running:
        unmade = {name for job in waiting for name in job.outputs} | {
            name for job, *_ in running for name in job.outputs
        }
        for job in [job for job in waiting if not unmade & set(job.inputs)]:
            if len(running) < processes:
                waiting.remove(job)
                for name in job.outputs:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                running.append((job, Run(job, folder), time.monotonic()))
        for one in list(running):
            job, run, begun = one
            if (status := run.ended()) is not None:
                running.remove(one)
                seconds[job] = time.monotonic() - begun
                if status:
                    sys.exit(f"{shlex.join(job.command)}: exit status {status}\n{run.words}")
        time.sleep(WAIT)
    return seconds


def finished(folder, targets, processes):
    """(folder, jobs) of the finished study; one that lies there already is taken."""
    if not (folder / "captures").is_dir():
        prepare(folder)
    jobs = plan(folder, targets)
    warm(jobs)
    if not all((folder / name).is_file() for job in jobs for name in job.outputs):
        make(folder, jobs, processes=processes)
    return folder, jobs


def listing(folder):
    """{path: SHA-256} of the files of a study, but for logs, benchmarks and what Snakemake keeps."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not re.search(r"^\.snakemake/|/(logs|benchmarks)/", name):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.is_dir() and path.name.startswith(".") and name != ".snakemake":
            found[name] = "a folder"
    return found


def copy(source, target):
    """A copy of a study, times of files included."""
    shutil.copytree(source, target, dirs_exist_ok=True)

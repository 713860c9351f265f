"""Some faults of every kind; `python tests/fuzz/kills.py --faults 1000` does more. And whether they would be found."""

import os
import re
import subprocess
import sys
from pathlib import Path

import kills
import pytest
import study

# Files of two lines each, as a job should write them.
WRITES = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
try:
    with open(".a.part", "w") as file:
        file.write("one\\n")
        file.flush()
        time.sleep(1)
        file.write("two\\n")
    os.replace(".a.part", "a")
except OSError as error:
    print(f"error: a: {error.strerror}", file=sys.stderr)
    sys.exit(2)
except KeyboardInterrupt:
    sys.exit(130)
finally:
    if os.path.exists(".a.part"):
        os.unlink(".a.part")
"""
IN_PLACE = WRITES.replace('".a.part"', '"a"').replace('os.replace("a", "a")', "pass").replace('os.unlink("a")', "pass")
UNTIDY = WRITES.replace('os.unlink(".a.part")', "pass")
SILENT = WRITES.replace("sys.exit(143)", "os._exit(0)")
TALKATIVE = WRITES.replace("except OSError as error:", "except ZeroDivisionError as error:")
MOODY = WRITES.replace('"two\\n"', "str(time.time())")
DEAF = WRITES.replace("lambda *_: sys.exit(143)", "signal.SIG_IGN").replace("time.sleep(1)", "time.sleep(60)")


class Draws:
    """Chance, as a test wants it: in the middle, and of sizes the smallest."""

    def random(self):
        return 0.5

    def integers(self, *_):
        return 1

    def choice(self, values):
        return values[0]


def harm(program, kind, folder):
    """Do one kind of harm to a program that writes the file `a`; what is wrong then."""
    (folder / "program.py").write_text(program)
    (folder / "source").mkdir()
    (folder / "source/a").write_text("one\ntwo\n")
    job = study.Job("rule", (), ("a",), (str(folder / "program.py"),))
    worker = kills.Worker(folder / "source", study.listing(folder / "source"), folder / "worker", disk=False)
    worker.seconds[job] = 1
    return worker.fault(job, kind, Draws(), command=False)


@pytest.mark.parametrize("kind", [kills.KILL, kills.TERM, kills.INT, kills.FILE, kills.CLOCK])
def test_a_job_that_writes_as_it_should_passes(kind, tmp_path):
    stopped, wrong = harm(WRITES, kind, tmp_path)
    if kind == kills.KILL:  # nothing clears what it left: the library does
        assert wrong == []  # the next run writes the same temporary file
    assert (stopped, wrong) == (kind != kills.CLOCK, [])


@pytest.mark.parametrize(
    ("program", "kind", "said"),
    [
        (IN_PLACE, kills.KILL, "a: neither whole nor absent"),
        (UNTIDY, kills.TERM, ".a.part: left over"),
        (TALKATIVE, kills.FILE, "exit status 1"),
        (MOODY, kills.KILL, "a: differs"),
        (SILENT, kills.TERM, ".a.part: left over"),
        (DEAF, kills.TERM, "hangs for more than 1 s"),
    ],
)
def test_what_is_wrong_is_found(program, kind, said, tmp_path, monkeypatch):
    if program is DEAF:
        monkeypatch.setattr(study, "LONGEST", 1)
    _, wrong = harm(program, kind, tmp_path)
    assert said in "\n".join(wrong)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder for the study, which the first test makes."""
    return tmp_path_factory.mktemp("harmed") / "study"


def run(folder, *words):
    """What the command prints; it must find nothing wrong."""
    command = [sys.executable, Path(kills.__file__), "--short", "--jobs", "1", "--snakemake", "0", "--study", folder]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run([*command, *words], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_harm_at_random_moments_loses_nothing(finished):
    said = run(finished, "--faults", "10", "--flips", "50", "--names", "500")
    assert "10 faults, 50 flips a kind, 1,000 names: 0 wrong" in said


def test_every_stage_says_of_a_full_disk_in_one_line_that_it_is_full(finished):
    """A file system of some pages less than the outputs of a job take, from the beginning."""
    rules = 11
    words = ["--kinds", kills.FULL, "--at-once", "1", "--flips", "0", "--names", "0"]
    said = run(finished, "--faults", str(rules), *words)
    jobs, stopped, done, wrong = map(int, re.search(r"disk full +(\d+) +(\d+) +(\d+) +(\d+)", said).groups())
    if jobs == 0:
        pytest.skip("a file system can be mounted by a superuser only")
    assert (jobs, stopped, done, wrong) == (rules, rules, 0, 0)


@pytest.mark.parametrize("said", kills.INTERPRETER)
def test_without_memory_the_interpreter_may_fail_within(said):
    words = f"Traceback (most recent call last):\n  ...\n{said}\n"
    assert kills.judge(kills.MEMORY, 1, words) == []
    assert kills.judge(kills.FILE, 1, words)
    assert kills.judge(kills.MEMORY, 1, words.replace("exception", "error"))

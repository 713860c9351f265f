"""Exit codes, help and progress of all scripts."""

import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnnids import cli
from rnnids.errors import InputError

SCRIPTS = Path(__file__).parents[1] / "scripts"
PROGRAM = """
import os, sys, signal, time
from rnnids import cli
from rnnids.errors import InputError
from rnnids.storage import atomic_path
def main():
    {body}
cli.run(main)
"""


def program(body, folder):
    """Start a program whose main() is `body`."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("body", "code", "error"),
    [
        ("raise InputError('a.csv:3: wrong; remedy')", 2, "error: a.csv:3: wrong; remedy\n"),
        ("raise KeyboardInterrupt", 130, ""),
    ],
)
def test_exit_codes_say_whose_fault_it_was(tmp_path, body, code, error):
    process = program(body, tmp_path)
    assert (process.communicate()[1], process.returncode) == (error, code)


def test_the_log_of_what_went_well_is_not_empty(tmp_path):
    process = program("cli.log.info('halfway')", tmp_path)
    lines = process.communicate()[1].splitlines()
    assert process.returncode == 0
    assert [re.sub(r"^[0-9:]{8} ", "", line) for line in lines] == ["halfway", "done in 0 s: -c"]


def test_what_a_person_waits_for_is_said_beside_the_log(tmp_path):
    body = "cli.tell('training %s: epoch %d of %d', 'baseline', 3, 30)"
    command = [sys.executable, "-c", PROGRAM.format(body=body)]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "training baseline: epoch 3 of 30\n"
    assert "training baseline: epoch 3 of 30\n" in run.stderr


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (100, "1 min 40 s"), (7500, "2 h 5 min")]
)
def test_times_are_said_in_words(seconds, words):
    assert cli.duration(seconds) == words


def test_our_own_mistakes_have_a_traceback(tmp_path):
    process = program("raise ValueError('ours')", tmp_path)
    assert "Traceback" in process.communicate()[1]
    assert process.returncode == 1


# As h5py and torch do, with and without saying what they replaced.
@pytest.mark.parametrize("error", ["SystemError('in the place of another')", "InputError('a.csv: damaged')"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_error_in_the_place_of_an_interruption_does_not_hide_it(tmp_path, number, code, error):
    body = f"""
    try:
        os.kill(os.getpid(), {number:d})
        time.sleep(30)
    except BaseException:
        raise {error} from None"""
    process = program(body, tmp_path)
    assert (process.communicate(timeout=30)[1], process.returncode) == ("", code)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_job_leaves_no_half_file(tmp_path, number, code):
    process = program("with atomic_path('out.csv') as path: path.write_text('half'); time.sleep(60)", tmp_path)
    deadline = time.monotonic() + 30
    while not any(path.read_text() for path in tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(os.listdir(tmp_path)) == 1
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == code
    assert os.listdir(tmp_path) == []


LOST = {  # where an exception goes no further, or crashes what called
    "__del__": "type('X', (), {'__del__': ask})()",
    "weakref": """names = {"__name__": "weakref", "ask": ask}
    exec("def back(_): ask()", names)
    key = type("Key", (), {})()
    held = weakref.ref(key, names["back"])
    del key""",
    "HDF5": """storage.HDF5Target = Asking
    with storage.create_hdf5("x.h5", "") as file:
        file["x"] = [1] * 10000""",
}
ASKS = """
import os, signal, time, weakref
from rnnids import cli, storage
def ask(*_):
    os.kill(os.getpid(), {number:d})
class Asking(storage.HDF5Target):
    failure = property(ask)
def main():
    {body}
    time.sleep(30)
cli.run(main)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("place", LOST)
def test_a_signal_is_heeded_wherever_it_comes(place, number, code, tmp_path):
    """Within a callback of a library in C, or where Python discards something, an exception would be lost."""
    program = [sys.executable, "-c", ASKS.format(number=number, body=LOST[place])]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    ended = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (code, "")
    assert os.listdir(tmp_path) in ([], ["x.h5"])  # which was whole before


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("OSError(28, 'No space left on device', '/tmp/x')", "error: /tmp/x: no space left to write it; free some"),
        ("OSError(30, 'Read-only file system')", "error: its disk is read-only now; look why"),
        ("MemoryError('Unable to allocate 8 GiB')", "error: no memory left; give the job more"),
        ('RuntimeError("DefaultCPUAllocator: can\'t allocate memory")', "error: no memory left; give the job more"),
        ('RuntimeError("can\'t start new thread")', "error: no memory left; give the job more"),
        ("ImportError('a.so: failed to map segment from shared object')", "error: no memory left; give the job more"),
        ("ValueError('no reason supplied')", "error: no memory left; give the job more"),
    ],
)
def test_a_machine_without_room_is_said_in_one_line(raised, said, tmp_path):
    process = program(f"raise {raised}", tmp_path)
    words = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 2
    assert len(words) == 1 and words[0].startswith(said)


@pytest.mark.parametrize(
    ("raised", "said"), [("MemoryError()", "in passing: no memory left"), ("KeyError('x')", "Traceback")]
)
def test_what_nobody_can_catch_has_a_traceback_but_where_there_is_no_room(raised, said, tmp_path):
    process = program(f"type('X', (), {{'__del__': lambda own: (_ for _ in ()).throw({raised})}})()", tmp_path)
    words = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert said in words and ("Traceback" in words) == (said == "Traceback")


CLEANS_UP = """
    with atomic_path('out.pdf'):
        try:
            raise OSError(27, 'File too large')
        finally:
            object().position
"""


def test_an_error_that_comes_of_a_full_disk_is_said_as_that(tmp_path):
    process = program(CLEANS_UP.lstrip(), tmp_path)
    assert (
        process.communicate(timeout=60)[1]
        == "error: out.pdf: no space left to write it; free some, or write to another disk\n"
    )
    assert process.returncode == 2
    assert os.listdir(tmp_path) == []


def test_an_error_of_ours_within_another_one_is_ours(tmp_path):
    process = program("try: raise OSError(28, 'x')\n    except OSError: raise ValueError('ours') from None", tmp_path)
    assert "Traceback" in process.communicate(timeout=60)[1]
    assert process.returncode == 1


def test_progress_is_a_plain_line_in_a_log(caplog, monkeypatch):
    monkeypatch.setattr(cli, "PLAIN_INTERVAL", 0)
    with caplog.at_level(logging.INFO), cli.Progress("reading", total=4000, unit="packets") as progress:
        progress.update(1500)
        progress.update()
    assert [record.getMessage() for record in caplog.records] == [
        "reading: 1,500 of 4,000 packets, 0 s left",
        "reading: 1,501 of 4,000 packets, 0 s left",
    ]


def test_progress_is_silent_for_quick_work(caplog):
    with caplog.at_level(logging.INFO), cli.Progress("reading") as progress:
        progress.update(5)
    assert not caplog.records and progress.done == 5


def test_errors_are_exceptions_of_their_own():
    assert issubclass(InputError, Exception) and not issubclass(InputError, (OSError, ValueError))


@pytest.mark.parametrize("script", ["build_dataset.py", "extract_flows.py", "tabulate_table1.py"])
def test_help_is_the_docstring(script):
    shown = subprocess.run([sys.executable, SCRIPTS / script, "--help"], capture_output=True, text=True, check=True)
    first = (SCRIPTS / script).read_text().splitlines()[0].strip('"')
    assert first in shown.stdout


def test_an_option_left_out_is_named():
    ended = subprocess.run([sys.executable, SCRIPTS / "build_dataset.py"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "--max-packets" in ended.stderr and "Traceback" not in ended.stderr


def test_help_names_the_defaults_of_what_need_not_be_given():
    parser = cli.parser("What it does.")
    parser.add_argument("--input", required=True, help="what is read")
    parser.add_argument("--name", help="what it is called")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    words = " ".join(parser.format_help().split())
    assert "what is read --name NAME what it is called (default: none) --seed SEED of the draws (default: 0)" in words


@pytest.mark.parametrize(
    ("weights", "name"),
    [
        ("results/lab/baseline/weights.safetensors", "baseline"),
        ("results/lab/baseline/seed_12/weights.safetensors", "baseline, seed 12"),
        ("results/lab/my_seed_1/weights.safetensors", "my_seed_1"),
        ("results/lab/seed_x/weights.safetensors", "seed_x"),
    ],
)
def test_a_training_is_called_by_its_model_and_seed(weights, name):
    assert cli.training_of(weights) == name

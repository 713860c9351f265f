"""The how-to of watching a capture: its commands, run as they stand there."""

import json
import re
import shlex
import subprocess
import sys

import pytest
from conftest import REPOSITORY

MANUAL = (REPOSITORY / "docs/watch.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", MANUAL, flags=re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A folder with what a fresh clone has of what the commands name."""
    place = tmp_path_factory.mktemp("clone")
    (place / "resources").mkdir()
    for name in ("scripts", "resources/lab", "resources/models"):
        (place / name).symlink_to(REPOSITORY / name)
    return place


def test_every_command_works_as_it_stands(clone):
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        words = command.replace("python ", f"{shlex.quote(sys.executable)} ", 1)
        run = subprocess.run(words, cwd=clone, shell=True, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        if "--pcap -" not in command and "detect.py" in command:
            assert "flows raised the alarm" in run.stderr
    files = {name: (clone / name).read_text().splitlines() for name in ("alerts.jsonl", "live.jsonl", "early.jsonl")}
    assert all(len(lines) > 300 for lines in files.values())
    assert len(files["live.jsonl"]) > len(files["alerts.jsonl"])  # any packet, at the same threshold
    alert = json.loads(files["alerts.jsonl"][0])
    fields = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"(?m)^\| (`.+?`) \|", MANUAL))))
    assert fields | {"pcap_filename", "event_type"} >= set(alert)


def test_what_the_manual_names_is_there():
    for path in re.findall(r"\]\(([\w/.]+)\)", MANUAL):
        assert (REPOSITORY / "docs" / path).exists(), path

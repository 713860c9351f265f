"""The manual of adversarial captures, followed to the letter; and what tshark says of its capture, where tshark is."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import REPOSITORY

pytestmark = pytest.mark.slow  # a fresh checkout compiles its loops first
MANUAL = REPOSITORY / "docs/adversarial_captures.md"
ORIGINAL = "resources/lab/session5_fri.pcap.gz"
# Kinds that the manual names, each with its reason.
ON_PURPOSE = ("SYN-ACK accepting TFO data", "ACKed segment that wasn't captured", "Unreassembled fragment", "Malformed")
HEADINGS = ("Errors", "Warns")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder that looks like a checkout, in which all commands of the manual were run."""
    checkout = tmp_path_factory.mktemp("fresh")
    for folder in ("scripts", "config", "resources"):
        (checkout / folder).symlink_to(REPOSITORY / folder)
    (commands,) = re.findall(r"(?ms)^```sh\n(.*?)^```", MANUAL.read_text())
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path}
    run = ["bash", "-euc", commands]
    done = subprocess.run(run, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return checkout


def test_every_evasion_survives_the_round_trip(study):
    table = pd.read_csv(study / "study/round_trip.csv")
    assert table.flows.sum() > 5
    for name in ("written", "found", "same_packets", "same_logits", "benign"):
        assert (table[name] == table.flows).all()
    assert (table.others_changed == 0).all()
    report = pd.read_csv(study / "study/adversarial.csv")
    assert 0 < len(report) < table.flows.sum()  # of one capture
    assert report.reason.isna().all()
    assert ((report.added_bytes > 0) | (report.added_ns > 0)).all()
    assert pd.read_csv(study / "study/failures.csv").empty


def expert(path):
    """{(severity, message): count} of tshark's expert information, checksums checked."""
    checks = [word for protocol in ("ip", "tcp", "udp") for word in ("-o", f"{protocol}.check_checksum:TRUE")]
    command = ["tshark", *checks, "-r", path, "-q", "-z", "expert"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, severity = {}, ""
    for line in text.splitlines():
        severity = line.split(" (")[0] if re.match(r"\w+ \(\d+\)$", line) else severity
        if row := re.match(r" +(\d+) +\S+ +(\S.*)", line):
            found[severity, row[2]] = int(row[1])
    return found


@pytest.mark.skipif(shutil.which("tshark") is None, reason="no tshark: its expert information is NOT compared")
def test_tshark_finds_nothing_new_at_level_error_or_warning(study):
    before, after = expert(study / ORIGINAL), expert(study / "study/adversarial.pcap.gz")
    assert before
    new = {
        key: count - before.get(key, 0)
        for key, count in after.items()
        if key[0] in HEADINGS and count > before.get(key, 0) and not any(kind in key[1] for kind in ON_PURPOSE)
    }
    assert new == {}

"""The command: exit codes, messages, foreign and fuzzed captures."""

import csv
import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import zstandard
from captures import START, enhanced, ethernet, interface, ipv4, pcap, pcapng, random_traffic, section, udp

import extract_flows as script
from rnnids.errors import InputError
from rnnids.flows.extract import extract_flows
from rnnids.storage import Attributes

ROOT = Path(__file__).parents[1]
EDGE = ROOT.parent / "shared" / "data" / "edge"
ARP = bytes(12) + b"\x08\x06" + bytes(46)
FRAME = ethernet(ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2)))
REFUSED = {  # captures of MANIFEST.tsv that end in an error, and what it says
    "dmg_bad_magic.pcap": "not a capture",
    "dmg_short_header.pcap": "the file ends inside the pcap header",
    "dmg_text.pcap": "not a capture",
    "dmg_zero_bytes.pcap": "the file is empty",
    "fmt_pcap_be_us.pcap": "no IP packet can be found behind Linux netlink \\(link type 253\\)",
}
NOT_PACKETS = {  # blocks that tshark lists as frames although they are no packets
    "fmt_pcapng_le_adv102.pcapng": 3,  # custom blocks
    "fmt_pcapng_be_adv102.pcapng": 3,
}


def command(pcap_path, output, *more):
    """The command line of an extraction."""
    return [sys.executable, ROOT / "scripts" / "extract_flows.py", "--pcap", pcap_path, "--output", output, *more]


def run(*arguments):
    return subprocess.run(command(*arguments), check=False, capture_output=True, text=True, timeout=60)


def summary(path):
    """(packets read, packets kept, skipped, warnings) of a flow file, after checking that it is whole."""
    with h5py.File(path) as file:
        counts, kept = file["flows/packet_count"][()], len(file["packets/length"])
        skipped = json.loads(file.attrs["skipped"])
        read = int(file.attrs["packets_read"])
        assert (counts >= 1).all()
        assert counts.sum() == kept == len(file["packets/iat_ns"])
        assert (file["flows/offset"][()] == np.cumsum(counts) - counts).all()
        assert kept + sum(skipped.values()) == read, "every packet is in a flow or counted"
        return read, kept, skipped, json.loads(file.attrs["warnings"])


def test_a_good_capture(tmp_path):
    (tmp_path / "monday.pcap.gz").write_bytes(gzip.compress(pcap([(START, FRAME), (START, ARP)])))
    result = run(tmp_path / "monday.pcap.gz", tmp_path / "deep" / "flows.h5")
    assert result.returncode == 0
    assert "2 packets read, 1 in 1 flows" in result.stderr
    assert "1 packets skipped: not IP" in result.stderr
    assert summary(tmp_path / "deep" / "flows.h5") == (2, 1, {"not IP: ARP (EtherType 0x0806)": 1}, [])
    with h5py.File(tmp_path / "deep" / "flows.h5") as file:
        assert Attributes(file)["capture"] == "monday"
        made_by = json.loads(file.attrs["provenance"])
    assert made_by["script"] == "extract_flows.py"
    assert made_by["arguments"] == {
        "active_timeout": "1800.0",
        "drop_outgoing": "False",
        "duplicate_window": "0.01",
        "idle_timeout": "300.0",
        "member": "None",
        "name": "monday",
        "reorder_window": "1.0",
        "unwrap": "()",
        "repair": "False",
    }
    assert list(made_by["inputs"]) == ["monday.pcap.gz"]


def test_a_call_without_settings_writes_what_the_script_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("monday.pcap").write_bytes(pcap(list(random_traffic(np.random.default_rng(1), 300))))
    extract_flows("monday.pcap", Path("call.h5"))
    words = ["--member", "none", "--name", "none", "--no-repair", "--reorder-window", "1"]
    script.main(["--pcap", "monday.pcap", "--output", "script.h5", *words])
    assert Path("call.h5").read_bytes() == Path("script.h5").read_bytes()
    assert summary("call.h5")[0] == 300


def test_settings_of_a_call_are_those_of_the_paper_unless_given(tmp_path):
    (tmp_path / "twice.pcap").write_bytes(pcap([(START, FRAME), (START + 1000, FRAME), (START + 9 * 10**9, FRAME)]))
    extract_flows(tmp_path / "twice.pcap", tmp_path / "flows.h5")
    with h5py.File(tmp_path / "flows.h5") as file:
        assert (Attributes(file)["capture"], file.attrs["idle_timeout"], file.attrs["active_timeout"]) == (
            "twice",
            300,
            1800,
        )
        assert file["flows/packet_count"][()].tolist() == [3]
    extract_flows(tmp_path / "twice.pcap", tmp_path / "flows.h5", name="monday", idle_timeout=5, repair=True)
    assert summary(tmp_path / "flows.h5")[2] == {"duplicate": 1}
    with h5py.File(tmp_path / "flows.h5") as file:
        assert Attributes(file)["capture"] == "monday"
        assert file["flows/packet_count"][()].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "byte 0: the file is empty"),
        (b"no capture at all", "byte 0: not a capture"),
        (
            pcap([(START, FRAME)], link=147),
            "byte 20: no IP packet can be found behind private use (link type 147); if it holds Ethernet",
        ),
        (
            section() + interface(link=147) + enhanced(START // 1000, FRAME),
            "no packet has a link type that can be read (private use (link type 147))",
        ),
    ],
)
def test_bad_captures_exit_2_and_leave_no_output(content, message, tmp_path):
    (tmp_path / "bad.pcap").write_bytes(content)
    result = run(tmp_path / "bad.pcap", tmp_path / "flows.h5")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(f"error: {tmp_path / 'bad.pcap'}: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pcap"]


def test_a_missing_capture_and_a_bad_time_out_exit_2(tmp_path):
    result = run(tmp_path / "absent.pcap", tmp_path / "flows.h5")
    assert (result.returncode, result.stdout) == (2, "")
    assert "no such file" in result.stderr
    (tmp_path / "good.pcap").write_bytes(pcap([]))
    result = run(tmp_path / "good.pcap", tmp_path / "flows.h5", "--idle-timeout", "0")
    assert result.returncode == 2
    assert "idle_timeout: 0.0 is not allowed" in result.stderr


def test_damage_is_a_warning_in_the_log_and_in_the_file(tmp_path):
    (tmp_path / "cut.pcap").write_bytes(pcap([(START, FRAME)] * 3)[:-1])
    result = run(tmp_path / "cut.pcap", tmp_path / "flows.h5", "--name", "tuesday")
    assert result.returncode == 0
    (warning,) = summary(tmp_path / "flows.h5")[3]
    assert warning == f"byte {24 + 2 * (16 + len(FRAME))}: the file ends inside a record (2 packets read before)"
    assert warning in result.stderr
    with h5py.File(tmp_path / "flows.h5") as file:
        assert Attributes(file)["capture"] == "tuesday"


@pytest.mark.parametrize("content", [pcap([]), section(), section() + interface()])
def test_an_empty_capture_gives_a_file_without_flows(content, tmp_path):
    (tmp_path / "empty.pcap").write_bytes(content)
    extract_flows(tmp_path / "empty.pcap", tmp_path / "flows.h5")
    assert summary(tmp_path / "flows.h5") == (0, 0, {}, ["no packet belongs to a flow: the file has no flows"])


def test_an_interrupted_run_leaves_nothing_behind(tmp_path):
    packets = pcap(list(random_traffic(np.random.default_rng(0), 2000)))
    with open(tmp_path / "large.pcap", "wb") as file:
        file.write(packets[:24])
        for _ in range(400):
            file.write(packets[24:])
    child = subprocess.Popen(command(tmp_path / "large.pcap", tmp_path / "flows.h5"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120  # it may have to compile first
    while not list(tmp_path.glob(".flows.h5.scratch-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGINT)
    assert child.wait(timeout=30) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["large.pcap"]


@pytest.mark.parametrize("form", ["pcap", "pcapng", "gzip", "zstd"])
def test_mutated_captures_end_in_an_error_or_in_a_whole_file(form, tmp_path):
    rng = np.random.default_rng(0)
    traffic = list(random_traffic(rng, 40))
    content = {
        "pcap": pcap(traffic),
        "pcapng": pcapng(traffic[:20]) + pcapng(traffic[20:], ">"),
        "gzip": gzip.compress(pcap(traffic)),
        "zstd": b"".join(zstandard.compress(pcap(traffic)[i : i + 500]) for i in range(0, 8000, 500)),
    }[form]
    refused = 0
    for _ in range(100):
        mutated = np.frombuffer(content, np.uint8).copy()
        for place in rng.integers(len(mutated), size=rng.integers(1, 20)):
            mutated[place] = rng.choice([0, 0xFF, rng.integers(256)])
        (tmp_path / "mutated").write_bytes(mutated[: rng.integers(1, len(mutated) + 1)].tobytes())
        try:
            extract_flows(tmp_path / "mutated", tmp_path / "flows.h5")
        except InputError:
            refused += 1
            continue
        summary(tmp_path / "flows.h5")
    assert refused < 100, "some must get through for the test to mean anything"


@pytest.mark.shared
@pytest.mark.skipif(not EDGE.is_dir(), reason="the odd captures are not here")
def test_odd_foreign_and_damaged_captures_are_read_as_far_as_they_go(tmp_path):
    with open(EDGE / "MANIFEST.tsv", newline="") as file:
        manifest = {row["stored"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert len(manifest) > 60
    for name, row in manifest.items():
        if name in REFUSED:
            with pytest.raises(InputError, match=REFUSED[name]):
                extract_flows(EDGE / name, tmp_path / "flows.h5")
            continue
        extract_flows(EDGE / name, tmp_path / "flows.h5")
        read, kept, _, warnings = summary(tmp_path / "flows.h5")
        assert read == int(row["tshark_packets"]) - NOT_PACKETS.get(name, 0), name
        if row["tshark_rc"] != "0":
            assert warnings, f"{name}: tshark complains"
        if name.startswith(("lt_", "enc_", "ip6_")):
            assert kept > 0, name


@pytest.mark.parametrize("limit", [0, 50_000, 150_000])
def test_a_full_disk_ends_in_one_line_and_leaves_nothing(limit, tmp_path):
    """A limit on the size of files stands for a full disk."""
    packets = pcap(list(random_traffic(np.random.default_rng(0), 2000)))
    (tmp_path / "large.pcap").write_bytes(packets[:24] + 40 * packets[24:])
    run = subprocess.run(
        command(tmp_path / "large.pcap", tmp_path / "flows.h5"),
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith(f"error: {tmp_path / 'flows.h5'}: no space left to write it; free")
    assert "Traceback" not in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["large.pcap"]

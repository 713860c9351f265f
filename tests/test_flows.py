"""The flow file against a plain reference, against go-flows, and under odd time stamps and little memory."""

import csv
import gzip
import ipaddress
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from captures import ACK, FIN, RST, START, SYN, ethernet, icmp, ipv4, ipv6, pcap, random_traffic, tcp, udp
from reference_flows import build_flows, read_pcap

from rnnids.captures.pcap import open_capture
from rnnids.captures.repair import Remedies, Repair
from rnnids.errors import InputError
from rnnids.flows import external_sort as spill
from rnnids.flows import extract as flows
from rnnids.flows import table as flow_table
from rnnids.flows.columns import FLOW_COLUMNS, PACKET_COLUMNS
from rnnids.flows.extract import Extraction, extract, extract_flows
from rnnids.storage import Attributes, attributes_digest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
ORACLES = sorted((SHARED / "oracle").glob("*.goflows.csv.gz"))
LETTERS = {"S": 2, "F": 1, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128, "N": 256}


def times(idle, active):
    """Settings with these time-outs in seconds."""
    return Extraction(idle_timeout=idle, active_timeout=active)


def flows_of(path, idle=300, active=1800, **options):
    """Extract the capture `path`; returns its flows as tuples like ``reference_flows.Flow.as_tuple``."""
    output = path.parent / "flows.h5"
    extract(path, output, times(idle, active), name="test", made_by="{}", **options)
    with h5py.File(output) as file:
        reasons = json.loads(file.attrs["end_reasons"])
        table = {name: column[()] for name, column in file["flows"].items()}
        columns = [file["packets"][name][()].tolist() for name in PACKET_COLUMNS]
    packets = list(zip(*columns, strict=True))
    ends = [
        [ipaddress.ip_address(row.tobytes()) for row in table[name]]
        for name in ("source_address", "destination_address")
    ]
    return [
        (
            int(table["start_ns"][i]),
            int(table["duration_ns"][i]),
            *((end[i].ipv4_mapped or end[i]) for end in ends),
            *(int(table[name][i]) for name in ("source_port", "destination_port", "protocol")),
            reasons[table["end_reason"][i]],
            tuple(packets[table["offset"][i] : table["offset"][i] + table["packet_count"][i]]),
        )
        for i in range(len(table["start_ns"]))
    ]


def write(tmp_path, content, name="capture.pcap"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def attributes(tmp_path):
    with h5py.File(tmp_path / "flows.h5") as file:
        return dict(Attributes(file))


@pytest.mark.parametrize("session", ["session1_mon", "session3_wed"])
def test_shipped_capture_equals_the_plain_reference(session, tmp_path):
    path = ROOT / "resources" / "lab" / f"{session}.pcap.gz"
    packets = list(read_pcap(path, limit=20_000))
    assert flows_of(write(tmp_path, pcap(packets)), 5, 20) == build_flows(packets, 5, 20)


@pytest.mark.parametrize("seed", range(6))
def test_random_traffic_equals_the_plain_reference(seed, tmp_path):
    packets = list(random_traffic(np.random.default_rng(seed), 4000))
    expected = build_flows(packets, 300, 600)
    assert {flow[7] for flow in expected} == set(flow_table.END_REASONS), "the traffic must end flows in every way"
    assert flows_of(write(tmp_path, pcap(packets)), 300, 600) == expected


def test_time_stepping_back_keeps_signed_gaps_and_sorts_by_start(tmp_path):
    packets = list(random_traffic(np.random.default_rng(9), 2000))
    times = np.array([time for time, _ in packets])
    times += np.random.default_rng(1).integers(-3_000_000, 3_000_000, len(times)) * 1000
    packets = [(int(time), frame) for time, (_, frame) in zip(times, packets, strict=True)]
    expected = build_flows(packets, 300, 1800)
    assert any(gap < 0 for flow in expected for gap, *_ in flow[8])
    assert flows_of(write(tmp_path, pcap(packets))) == expected
    steps = int((np.diff(times) < 0).sum())
    assert f"time steps back {steps:,} times" in attributes(tmp_path)["warnings"]


def conversation(*steps):
    """(time, frame) pairs of TCP packets between two hosts: steps are (seconds, forward?, flags)."""
    ends = ("10.0.0.1", "10.0.0.2", 1000, 80), ("10.0.0.2", "10.0.0.1", 80, 1000)
    for seconds, forward, flags in steps:
        source, destination, *ports = ends[not forward]
        yield START + int(seconds * 10**9), ethernet(ipv4(source, destination, 6, tcp(*ports, flags)))


@pytest.mark.parametrize(
    ("steps", "counts", "reasons"),
    [
        # The timer has to be passed, not only reached.
        ([(0, 1, ACK), (300, 0, ACK)], [2], ["end_of_capture"]),
        ([(0, 1, ACK), (300.000001, 0, ACK)], [1, 1], ["idle_timeout", "end_of_capture"]),
        ([(200 * i, 1, ACK) for i in range(10)], [10], ["end_of_capture"]),
        ([(200 * i, 1, ACK) for i in range(11)], [10, 1], ["active_timeout", "end_of_capture"]),
        # RST belongs to the flow that it ends; the next packet may come from the other side.
        ([(0, 1, SYN), (1, 0, RST | ACK), (2, 0, ACK)], [2, 1], ["rst", "end_of_capture"]),
        # FIN both ways, each acknowledged after the other's FIN.
        ([(0, 1, FIN | ACK), (1, 0, FIN | ACK), (2, 1, ACK), (3, 1, ACK)], [3, 1], ["fin", "end_of_capture"]),
        ([(0, 1, FIN | ACK), (1, 0, ACK), (2, 0, FIN), (3, 1, ACK)], [4], ["fin"]),
        ([(0, 1, FIN), (1, 0, FIN), (2, 1, 0), (3, 0, 0)], [4], ["end_of_capture"]),
        # A second SYN does not split a flow.
        ([(0, 1, SYN), (1, 1, SYN), (2, 0, SYN | ACK)], [3], ["end_of_capture"]),
    ],
)
def test_ends_of_flows(steps, counts, reasons, tmp_path):
    found = flows_of(write(tmp_path, pcap(list(conversation(*steps)))))
    assert [len(flow[8]) for flow in found] == counts
    assert [flow[7] for flow in found] == reasons


def test_direction_is_that_of_the_first_packet_of_each_flow(tmp_path):
    found = flows_of(write(tmp_path, pcap(list(conversation((0, 1, SYN), (1, 0, RST), (2, 0, ACK), (3, 1, ACK))))))
    assert [[packet[2] for packet in flow[8]] for flow in found] == [[0, 1], [0, 1]]
    assert [flow[4:6] for flow in found] == [(1000, 80), (80, 1000)]


def test_icmp_request_and_reply_are_two_flows_but_either_side_may_ask(tmp_path):
    one, other = ("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")
    messages = [(one, 8), (other, 0), (other, 8), (one, 0)]
    packets = [(START, ethernet(ipv4(*ends, 1, icmp(kind)))) for ends, kind in messages]
    found = flows_of(write(tmp_path, pcap(packets)))
    assert [(flow[4], flow[5], [packet[2] for packet in flow[8]]) for flow in found] == [
        (0, 2048, [0, 1]),
        (0, 0, [0, 1]),
    ]


def test_addresses_are_compared_in_full(tmp_path):
    """One bit anywhere in the 37 bytes of the key is another flow."""
    base = int(ipaddress.ip_address("fd00::1"))
    sources = [ipaddress.ip_address(base ^ (1 << bit)) for bit in range(128)]
    packets = [(START, ethernet(ipv6(source, "fd00::2", 17, udp(1, 2)))) for source in sources]
    packets += [(START, ethernet(ipv6("fd00::1", "fd00::2", 17, udp(1 ^ (1 << bit), 2)))) for bit in range(16)]
    packets += [(START, ethernet(ipv6("fd00::1", "fd00::2", 6, tcp(1, 2))))]
    assert len(flows_of(write(tmp_path, pcap(packets)))) == 128 + 16 + 1


def test_columns_and_attributes(tmp_path):
    path = write(tmp_path, pcap(list(random_traffic(np.random.default_rng(0), 500))))
    extract(path, tmp_path / "flows.h5", Extraction(), name="monday", made_by='{"script": "x"}')
    with h5py.File(tmp_path / "flows.h5") as file:
        assert Attributes(file)["attributes_sha256"] == attributes_digest(file)
        assert {key: value for key, value in Attributes(file).items() if key != "attributes_sha256"} == {
            "provenance": '{"script": "x"}',
            "format_version": 2,
            "capture": "monday",
            "idle_timeout": 300,
            "active_timeout": 1800,
            "clock_resolution_ns": 1000,
            "packets_read": 500,
            "misordered": 0,
            "skipped": "{}",
            "unknown_packets": 0,
            "unwrap": "[]",
            "warnings": "[]",
            "end_reasons": json.dumps(flow_table.END_REASONS),
        }
        for group, columns in (("flows", FLOW_COLUMNS), ("packets", PACKET_COLUMNS)):
            assert set(file[group]) == set(columns)
            for name, column in columns.items():
                assert file[group][name].dtype == column.dtype
                assert file[group][name].shape[1:] == column.shape
                assert Attributes(file[group][name])["unit"] == column.unit
                assert file[group][name].fletcher32
        counts = file["flows/packet_count"][()]
        assert (file["flows/offset"][()] == np.cumsum(counts) - counts).all()
        assert len(file["packets/length"]) == counts.sum() == 500
        assert (np.diff(file["flows/start_ns"][()]) >= 0).all()


def test_two_runs_are_byte_identical_and_nothing_is_left_beside_them(tmp_path):
    path = write(tmp_path, pcap(list(random_traffic(np.random.default_rng(0), 500))))
    for name in ("one.h5", "two.h5"):
        extract(path, tmp_path / name, Extraction(), name="x", made_by="{}")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"capture.pcap", "one.h5", "two.h5"}


def test_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    path = write(tmp_path, pcap(list(random_traffic(np.random.default_rng(0), 50))))

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(flows, "write_flows", interrupt)
    with pytest.raises(KeyboardInterrupt):
        extract(path, tmp_path / "flows.h5", Extraction(), name="x", made_by="{}")
    assert [file.name for file in tmp_path.iterdir()] == ["capture.pcap"]


def test_a_capture_that_fits_into_memory_needs_no_scratch_file(tmp_path, monkeypatch):
    path = write(tmp_path, pcap(list(random_traffic(np.random.default_rng(0), 500))))
    monkeypatch.setattr(spill.tempfile, "mkstemp", None)
    with spill.scratch(tmp_path / "flows.h5") as bucket, open_capture(path) as capture:
        flows.build_flows(capture, flows.FlowBuilder(bucket, 300, 1800), Repair(Remedies()))
        assert sum(count.sum() for *_, count in spill.in_order(bucket)) == 500


@pytest.mark.parametrize("timeouts", [(0, 1800), (300, -1), (float("nan"), 1800), (300, float("inf"))])
def test_time_outs_must_be_positive(timeouts, tmp_path):
    idle, active = timeouts
    with pytest.raises(InputError, match=r"_timeout: .* is not allowed"):
        extract_flows(write(tmp_path, pcap([])), tmp_path / "flows.h5", idle_timeout=idle, active_timeout=active)


def test_small_table_and_small_buckets_change_nothing(tmp_path, monkeypatch):
    """Rebuilds of the table, spilling and splitting happen all the time here."""
    packets = list(random_traffic(np.random.default_rng(3), 5000))
    packets += list(conversation(*[(10**6 + 0.001 * i, i % 3, ACK) for i in range(3000)]))  # too large for a bucket
    monkeypatch.setattr(flows, "SMALLEST", 32)
    monkeypatch.setattr(flows, "ROWS", 7)
    monkeypatch.setattr(flows, "ENDED", 3)
    monkeypatch.setattr(spill, "BUCKET", 200)
    monkeypatch.setattr(spill, "CHUNK", 64)
    monkeypatch.setattr(spill, "SAMPLES", 128)
    assert flows_of(write(tmp_path, pcap(packets))) == build_flows(packets, 300, 1800)


MEASURE = """
import resource, sys
from rnnids.flows import external_sort as spill
from rnnids.flows.extract import extract_flows
spill.BUCKET = 1 << 19  # both captures are larger
extract_flows(sys.argv[1], sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_memory(path):
    """Peak resident memory of an extraction in MiB."""
    command = [sys.executable, "-c", MEASURE, path, path.with_suffix(".h5")]
    run = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, check=True)
    return int(run.stdout) / 1024


def test_memory_does_not_grow_with_the_capture(tmp_path):
    with gzip.open(ROOT / "resources" / "lab" / "session3_wed.pcap.gz") as file:
        head, body = file.read(24), file.read()
    times = []
    at = 0
    while at < len(body):
        times.append(at)
        at += 16 + int.from_bytes(body[at + 8 : at + 12], "little")
    records = np.frombuffer(body, np.uint8).copy()
    where = np.array(times)[:, None] + np.arange(4)
    seconds = records[where].copy().view("<u4")
    for copies in (9, 36):
        with open(tmp_path / f"{copies}.pcap", "wb") as file:
            file.write(head)
            for i in range(copies):  # a day apart, so that no flow lives on
                records[where] = (seconds + np.uint32(86400 * i)).view(np.uint8)
                file.write(records.tobytes())
    small, large = (peak_memory(tmp_path / f"{copies}.pcap") for copies in (9, 36))
    assert large - small < 30, f"{small:.0f} MiB for 1.2 million packets, {large:.0f} MiB for 4.7 million"


def go_flows(path):
    """Flows as tuples: start in ms, key, then per packet (IAT ns, length, direction, flags)."""
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            lists = {name: cell[1:-1].split(" ") for name, cell in row.items() if cell.startswith("[")}
            gaps = lists.get("accumulate(_interPacketTimeNanoseconds)", ())  # blank for a single packet
            columns = (
                (0, *(int(gap) for gap in gaps)),
                (int(length) for length in lists["accumulate(ipTotalLength)"]),
                (int(forward == "false") for forward in lists["accumulate(flowDirection)"]),
                (sum(LETTERS[letter] for letter in flags) for flags in lists["accumulate(_tcpFlags)"]),
            )
            yield (
                int(row["flowStartMilliseconds"]),
                ipaddress.ip_address(row["sourceIPAddress"]),
                ipaddress.ip_address(row["destinationIPAddress"]),
                int(row["sourceTransportPort"]),
                int(row["destinationTransportPort"]),
                int(row["protocolIdentifier"]),
                tuple(zip(*columns, strict=True)),
            )


@pytest.mark.shared
@pytest.mark.skipif(not ORACLES, reason="the reference flows are not here")
@pytest.mark.parametrize("oracle", ORACLES, ids=lambda path: path.name.split(".")[0])
def test_extraction_equals_go_flows(oracle, tmp_path):
    name = oracle.name.split(".")[0]
    (tmp_path / "capture.pcap.gz").symlink_to(SHARED / "lab" / f"{name}.pcap.gz")
    flows = flows_of(tmp_path / "capture.pcap.gz")
    without_payload = [tuple(packet[:4] for packet in flow[8]) for flow in flows]
    found = sorted(
        (flow[0] // 10**6, *flow[2:7], packets) for flow, packets in zip(flows, without_payload, strict=True)
    )
    expected = sorted(go_flows(oracle))
    assert len(expected) > 1000
    assert found == expected

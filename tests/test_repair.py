"""Repair of captures against slow and obvious references."""

import heapq
import json
import struct

import h5py
import numpy as np
import pytest
from captures import ACK, START, SYN, ethernet, ipv4, ipv6, pcap, random_traffic, tcp, udp
from reference_flows import build_flows
from test_flows import flows_of

from rnnids.captures import repair
from rnnids.captures.packets import PACKET
from rnnids.captures.repair import Remedies, Reorder
from rnnids.flows.extract import Extraction, extract

MS = 10**6  # nanoseconds


def cooked(packet, kind, version=1):
    """A Linux cooked frame; `kind` is 0 to us, 3 to someone else, 4 from us."""
    if version == 1:
        return struct.pack(">HHHQH", kind, 1, 6, 0, 0x0800) + packet
    return struct.pack(">HHIHBBQ", 0x0800, 0, 1, 1, kind, 6, 0) + packet


def identified(frame, number):
    """An Ethernet frame without tags whose IPv4 identification is `number`."""
    return frame[:18] + struct.pack(">H", number) + frame[20:]


def repaired(tmp_path, content, **remedies):
    """(flows, packets skipped by reason, packets misordered) of a repaired capture."""
    (tmp_path / "capture.pcap").write_bytes(content)
    flows = flows_of(tmp_path / "capture.pcap", remedies=Remedies(**remedies))
    with h5py.File(tmp_path / "flows.h5") as file:
        return flows, json.loads(file.attrs["skipped"]), int(file.attrs["misordered"])


def first_copies(packets, window):
    """`packets` without each that equals, from byte 14 on, the last kept one of its kind within `window` ns."""
    kept, last = [], {}
    for time, frame in packets:
        if frame[14:] in last and abs(time - last[frame[14:]]) <= window:
            continue
        last[frame[14:]] = time
        kept.append((time, frame))
    return kept


def in_order(packets, window):
    """`packets` through a queue that passes the earliest on once it is `window` ns old."""
    queue, latest, passed = [], 0, []
    for number, (time, frame) in enumerate(packets):
        heapq.heappush(queue, (time, number, frame))
        latest = max(latest, time)
        while queue and queue[0][0] <= latest - window:
            passed.append(heapq.heappop(queue))
    passed += [heapq.heappop(queue) for _ in range(len(queue))]
    return [(time, frame) for time, _, frame in passed]


def faulty_traffic(seed, count):
    """Random traffic, about one packet in five twice and one in five late; (time in ns, frame) pairs."""
    rng = np.random.default_rng(seed)
    packets = []
    for number, (time, plain) in enumerate(random_traffic(rng, count)):
        frame = identified(plain, number % 40) if plain[12:14] == b"\x08\x00" else plain
        packets.append((time, frame))
        if rng.random() < 0.2:
            mac = rng.bytes(12)  # a duplicate may come by another way
            packets.append((time + int(rng.integers(0, 20_000)) * 1000, mac + frame[12:]))
        if rng.random() < 0.2:
            packets[-1] = time - int(rng.integers(0, 3_000_000)) * 1000, frame
    return packets


@pytest.mark.parametrize("version", [1, 2])
def test_what_leaves_a_linux_cooked_capture_is_dropped_and_counted(version, tmp_path):
    packet = ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2))
    kinds = [0, 4, 3, 4, 1, 2, 4]
    frames = [(START + i, cooked(packet, kind, version)) for i, kind in enumerate(kinds)]
    content = pcap(frames, tick=1, link=113 if version == 1 else 276)
    flows, skipped, _ = repaired(tmp_path, content, drop_outgoing=True)
    assert skipped == {"outgoing copy": 3}
    assert [[packet[0] for packet in flow[8]] for flow in flows] == [[0, 2, 2, 1]]
    assert len(repaired(tmp_path, content)[0][0][8]) == 7, "off by default"


def test_link_types_without_direction_lose_nothing(tmp_path):
    frame = b"\x00\x04" + ethernet(ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2)))[2:]
    assert repaired(tmp_path, pcap([(START, frame)]), drop_outgoing=True)[1] == {}
    assert repaired(tmp_path, pcap([(START, b"\x00")], link=113), drop_outgoing=True)[1] == {"truncated link header": 1}


@pytest.mark.parametrize("seed", range(4))
def test_duplicates_equal_the_plain_reference(seed, tmp_path):
    packets = [pair for pair in faulty_traffic(seed, 3000) if pair[1][12:14] in (b"\x08\x00", b"\x86\xdd")]
    expected = first_copies(packets, 10 * MS)
    assert 50 < len(packets) - len(expected) < len(packets) / 2
    flows, skipped, _ = repaired(tmp_path, pcap(packets), duplicate_window=10 * MS)
    assert skipped == {"duplicate": len(packets) - len(expected)}
    assert flows == build_flows(expected, 300, 1800)


def test_a_duplicate_has_the_same_bytes_within_the_window(tmp_path):
    one = ethernet(ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, SYN, b"x" * 21)))
    other = ethernet(ipv6("fd00::1", "fd00::2", 17, udp(1, 2, b"y" * 9)))
    for frame in (one, other):
        for change in range(14, len(frame)):
            changed = frame[:change] + bytes([frame[change] ^ 1]) + frame[change + 1 :]
            skipped = repaired(tmp_path, pcap([(START, frame), (START, changed)]), duplicate_window=10 * MS)[1]
            assert "duplicate" not in skipped, change
    for gap, dropped in ((0, 1), (10 * MS, 1), (10 * MS + 1000, 0), (-10 * MS, 1), (-11 * MS, 0)):
        skipped = repaired(tmp_path, pcap([(START, one), (START + gap, one)]), duplicate_window=10 * MS)[1]
        assert skipped.get("duplicate", 0) == dropped, gap


def test_of_a_stream_of_equal_packets_one_a_window_stays(tmp_path):
    frame = ethernet(ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2)))
    flows, _, _ = repaired(tmp_path, pcap([(START + 4 * MS * i, frame) for i in range(9)]), duplicate_window=10 * MS)
    assert [[packet[0] // MS for packet in flow[8]] for flow in flows] == [[0, 12, 12]]


def test_what_is_not_ip_is_never_a_duplicate(tmp_path):
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    assert repaired(tmp_path, pcap([(START, arp)] * 3), duplicate_window=10 * MS)[1] == {
        "not IP: ARP (EtherType 0x0806)": 3
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("window", [100 * MS, 1000 * MS, 10_000 * MS])
def test_order_equals_the_plain_reference(seed, window, tmp_path):
    packets = faulty_traffic(seed, 3000)
    flows, _, misordered = repaired(tmp_path, pcap(packets), reorder_window=window)
    assert flows == build_flows(in_order(packets, window), 300, 1800)
    times = np.array([time for time, _ in packets])
    assert misordered == (times < np.maximum.accumulate(times)).sum() > 100


def test_order_does_not_depend_on_how_packets_arrive():
    rng = np.random.default_rng(0)
    packets = np.zeros(5000, PACKET)
    packets["time"] = START + rng.integers(0, 10**6, 5000) + 200 * np.arange(5000)
    packets["length"] = np.arange(5000)
    orders = []
    for size in (1, 7, 5000):
        reorder = Reorder(300_000)
        parts = [reorder.put(packets[i : i + size]) for i in range(0, 5000, size)]
        orders.append(np.concatenate([*parts, reorder.rest()])["length"])
    assert (orders[0] == orders[1]).all()
    assert (orders[0] == orders[2]).all()
    assert (orders[0] != np.arange(5000)).any()


def test_waiting_packets_are_bounded(monkeypatch):
    """A clock that stands still gives no packet a reason to go."""
    monkeypatch.setattr(repair, "HELD", 100)
    packets, reorder = np.zeros(10, PACKET), Reorder(10**9)
    passed = 0
    for _ in range(1000):
        passed += len(reorder.put(packets))
        assert reorder.fresh_count + len(reorder.held) <= 210
    assert passed + len(reorder.rest()) == 10_000


def test_both_together_mend_what_was_broken(tmp_path):
    """Copies and delays put into a clean capture are gone again, to the packet."""
    rng = np.random.default_rng(1)
    clean = [
        (START + 50 * MS * i, identified(ethernet(ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 80, ACK))), i))
        for i in range(2000)
    ]
    broken = []
    for time, frame in clean:
        broken += [(time, frame)] * (1 + (rng.random() < 0.3))
    late = sorted(range(len(broken)), key=lambda i: i + (10 if rng.random() < 0.1 else 0))
    content = pcap([broken[i] for i in late])
    flows, skipped, misordered = repaired(tmp_path, content, duplicate_window=10 * MS, reorder_window=1000 * MS)
    assert flows == build_flows(clean, 300, 1800)
    assert skipped == {"duplicate": len(broken) - len(clean)}
    assert misordered > 0


def test_repair_of_a_sound_capture_changes_nothing(tmp_path):
    packets = [
        (time, identified(frame, number))
        for number, (time, frame) in enumerate(random_traffic(np.random.default_rng(2), 3000))
        if frame[12:14] == b"\x08\x00"
    ]
    (tmp_path / "capture.pcap").write_bytes(pcap(packets))
    for name, settings in (("one.h5", Extraction()), ("two.h5", Extraction(drop_outgoing=True, repair=True))):
        extract(tmp_path / "capture.pcap", tmp_path / name, settings, name="x", made_by="{}")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()

"""Captures copied: byte for byte without edits, delayed packets in their place, in memory or not."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from captures import START, block, enhanced, ethernet, interface, ipv4, pcap, pcapng, section, udp

from rnnids.captures import copy as module
from rnnids.captures.copy import CaptureCopy, Edit, clock_obstacle, open_output
from rnnids.captures.pcap import open_capture
from rnnids.errors import InputError

EDGE = Path(__file__).parents[2] / "shared" / "data" / "edge"
MILLISECOND = 10**6


def frames(count):
    return [
        (START + number * MILLISECOND, ethernet(ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, number.to_bytes(2, "big")))))
        for number in range(count)
    ]


def copied(path, folder, delays=None):
    """The bytes of a copy in which some packets, by their number, come later (ns)."""
    sink, before = io.BytesIO(), 0
    with open_capture(path) as capture:
        copy = CaptureCopy(capture, sink, folder)
        for piece, records in capture.pieces():
            edits = []
            for place, record in enumerate(records):
                if delay := (delays or {}).get(before + place, 0):
                    frame = capture.buffer[record["offset"] : record["offset"] + record["captured"]].tobytes()
                    edits.append(Edit(place, frame, int(record["original"]), delay))
            copy.add(piece, records, edits)
            before += len(records)
        copy.finish()
    return sink.getvalue()


def times_of(data, folder):
    path = folder / "again"
    path.write_bytes(data)
    with open_capture(path) as capture:
        return [int(record["time"]) for _, records in capture.batches() for record in records]


@pytest.mark.parametrize("make", [pcap, pcapng])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("memory", [1 << 20, 0])
def test_delayed_packets_come_in_order_of_their_time(tmp_path, monkeypatch, make, order, memory):
    monkeypatch.setattr(module, "IN_MEMORY", memory)
    rng = np.random.default_rng(3)
    packets = frames(9000)  # more than one batch
    delays = {int(number): int(rng.integers(1, 9000)) * MILLISECOND for number in rng.choice(9000, 900, replace=False)}
    path = tmp_path / "a"
    path.write_bytes(make(packets, order=order))
    times = times_of(copied(path, tmp_path, delays), tmp_path)
    assert times == sorted(time + delays.get(number, 0) for number, (time, _) in enumerate(packets))
    assert {entry.name for entry in tmp_path.iterdir()} == {"a", "again"}


def test_order_stays_where_time_steps_back(tmp_path):
    packets = frames(6)
    packets[2], packets[4] = packets[4], packets[2]
    path = tmp_path / "a"
    path.write_bytes(pcap(packets))
    assert copied(path, tmp_path) == path.read_bytes()
    times = times_of(copied(path, tmp_path, {0: 3 * MILLISECOND}), tmp_path)
    assert [(time - START) // MILLISECOND for time in times] == [1, 3, 4, 3, 2, 5]


def test_nothing_waits_beyond_its_section(tmp_path):
    packets = frames(4)
    parts = [section() + interface(resolution=9) + enhanced(*packet) for packet in packets[:2]]
    parts.append(section(">") + interface(">", resolution=9) + enhanced(*packets[2], order=">"))
    path = tmp_path / "a"
    path.write_bytes(b"".join(parts))
    times = times_of(copied(path, tmp_path, {0: 50 * MILLISECOND}), tmp_path)
    assert [(time - START) // MILLISECOND for time in times] == [50, 1, 2]


def test_a_length_of_a_section_is_given_up_and_other_blocks_stay(tmp_path):
    head = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, 12345))
    rest = interface(resolution=9) + block(99, b"own") + enhanced(*frames(1)[0]) + block(0xBAD, b"custom")
    path = tmp_path / "a"
    path.write_bytes(head + rest)
    assert copied(path, tmp_path) == section() + rest


@pytest.mark.parametrize("resolution", [3, 6, 9, 12, 0x80 | 10, 0x80 | 30])
def test_clocks_of_any_resolution_show_a_delay_or_say_that_they_cannot(tmp_path, resolution):
    ticks = 10**resolution if resolution < 0x80 else 2 ** (resolution & 0x7F)
    since = interface(resolution=resolution, offset=START // 10**9 - 7)
    data = section() + since + enhanced(7 * ticks, frames(1)[0][1])
    path = tmp_path / "a"
    path.write_bytes(data)
    for delay in (10**9, 5 * 10**8, 10**6, 1000, 1):
        with open_capture(path) as capture:
            reasons = [clock_obstacle(capture, record, delay) for _, records in capture.batches() for record in records]
        shown = times_of(copied(path, tmp_path, {0: delay}), tmp_path)
        if reasons == [""]:
            assert shown == [START + delay]
        else:
            assert reasons == ["the clock of the capture is too coarse for its delays"]
            assert shown != [START + delay]


@pytest.mark.shared
@pytest.mark.skipif(not EDGE.is_dir(), reason="the reference captures are not there")
@pytest.mark.parametrize("path", sorted(EDGE.glob("*.pcap*")), ids=lambda path: path.name)
def test_foreign_captures_are_copied_byte_for_byte(path, tmp_path):
    """As far as they can be read; but for the length of a pcapng section."""
    try:
        with open_capture(path) as capture:
            pieces = [(capture.buffer[piece].tobytes(), len(records)) for piece, records in capture.pieces()]
    except InputError:
        pytest.skip("refused")
    expected = b"".join(piece for piece, _ in pieces)
    data = copied(path, tmp_path)
    assert len(data) == len(expected)
    different = sum(one != other for one, other in zip(data, expected, strict=True))
    assert different <= 8 * data.count(b"\x0a\x0d\x0d\x0a")


def test_compression_follows_the_name(tmp_path):
    for name, magic in (("a.pcap.gz", b"\x1f\x8b"), ("a.pcap.zst", b"\x28\xb5"), ("a.pcap", b"te")):
        with open_output(tmp_path / "out", name) as sink:
            sink.write(b"text")
        first = (tmp_path / "out").read_bytes()
        assert first.startswith(magic)
        with open_output(tmp_path / "out", name) as sink:
            sink.write(b"text")
        assert (tmp_path / "out").read_bytes() == first

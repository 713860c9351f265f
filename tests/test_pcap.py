"""Containers: the same packets in every format, and every kind of damage."""

import functools
import gzip
import struct
import time

import numpy as np
import pytest
import zstandard
from captures import START, block, enhanced, ethernet, interface, ipv4, pcap, pcapng, random_traffic, section, udp

from rnnids.captures import pcap as pcap_module
from rnnids.captures.pcap import open_capture
from rnnids.captures.reasons import KEPT
from rnnids.errors import InputError

FRAME = ethernet(ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2)))


def read(path):
    """((time, link, frame) of each record, the capture)."""
    found = []
    with open_capture(path) as capture:
        for buffer, records in capture.batches():
            for record in records:
                frame = buffer[record["offset"] : record["offset"] + record["captured"]].tobytes()
                time = int(record["time"]) if record["problem"] == KEPT else None
                found.append((time, int(record["link"]), frame))
    assert capture.packets_read == len(found)
    return found, capture


def read_bytes(tmp_path, content):
    path = tmp_path / "capture"
    path.write_bytes(content)
    return read(path)


@functools.cache
def made_once():
    return tuple(random_traffic(np.random.default_rng(0), 6000))


@pytest.fixture
def traffic():
    return list(made_once())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["us", "ns", "pcapng"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
def test_the_same_packets_in_every_format(order, form, compress, traffic, tmp_path):
    content = pcapng(traffic, order) if form == "pcapng" else pcap(traffic, order, 1000 if form == "us" else 1)
    found, capture = read_bytes(tmp_path, compress(content))
    assert found == [(time, 1, frame) for time, frame in traffic]
    assert capture.warnings == []
    assert capture.resolution_ns == (1000 if form == "us" else 1)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_compressed_in_several_pieces(compress, traffic, tmp_path):
    content = pcap(traffic)
    pieces = [content[i : i + 70_001] for i in range(0, len(content), 70_001)]
    found, capture = read_bytes(tmp_path, b"".join(map(compress, pieces)))
    assert len(found) == len(traffic)
    assert capture.warnings == []


def test_gzip_padded_with_zeros_is_whole_but_other_data_behind_it_is_reported(tmp_path):
    content = gzip.compress(pcap([(START, FRAME)]))
    assert read_bytes(tmp_path, content + bytes(1000))[1].warnings == []
    found, capture = read_bytes(tmp_path, content + b"more")
    assert len(found) == 1
    assert "followed by something else" in capture.warnings[0]


def test_kuznetzov_records_are_eight_bytes_longer(tmp_path):
    head = struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 262144, 1)
    record = struct.pack("<IIIIQ", START // 10**9, 5, len(FRAME), len(FRAME), 0) + FRAME
    assert read_bytes(tmp_path, head + 2 * record)[0] == [(START + 5000, 1, FRAME)] * 2


@pytest.mark.parametrize(
    ("resolution", "offset", "ticks", "nanoseconds"),
    [
        (None, None, 1_500_000_000_000_001, 1_500_000_000_000_001_000),
        (0, None, 1_500_000_000, 1_500_000_000 * 10**9),
        (3, None, 1_500_000_000_001, 1_500_000_000_001 * 10**6),
        (9, -3600, 1_500_000_000_000_000_001, 1_500_000_000_000_000_001 - 3600 * 10**9),
        (12, 1_500_000_000, 7_000_000_001_999, 1_500_000_007_000_000_001),
        (0x80 | 10, None, 1_500_000_000 * 1024 + 512, 1_500_000_000_500_000_000),
        (0x80 | 34, 1_500_000_000, 3 << 33, 1_500_000_001_500_000_000),
        (0x80 | 63, 0, (1 << 63) + (1 << 62), 1_500_000_000),
    ],
)
def test_time_resolutions_and_offsets(resolution, offset, ticks, nanoseconds, tmp_path):
    content = section() + interface(resolution=resolution, offset=offset) + enhanced(ticks, FRAME)
    assert read_bytes(tmp_path, content)[0] == [(nanoseconds, 1, FRAME)]


@pytest.mark.parametrize(("resolution", "ticks"), [(0, 2**64 - 1), (0, 10**10), (9, 2**64 - 1), (19, 0)])
def test_times_out_of_range_are_marked(resolution, ticks, tmp_path):
    offset = -1 if ticks == 0 else None
    content = section() + interface(resolution=resolution, offset=offset) + enhanced(ticks, FRAME)
    assert read_bytes(tmp_path, content)[0] == [(None, 1, FRAME)]


def test_sections_of_both_byte_orders_with_interfaces_of_their_own(tmp_path):
    content = b"".join(
        [
            section("<") + interface("<", link=1, resolution=9) + interface("<", link=101),
            enhanced(START, FRAME, "<", 0) + enhanced(START // 1000, FRAME[14:], "<", 1),
            block(5, bytes(20)),  # interface statistics: not a packet
            section(">") + interface(">", link=113, resolution=9),
            enhanced(START + 1, FRAME, ">", 0) + enhanced(START, FRAME, ">", 1),  # the second one is not declared
        ]
    )
    assert read_bytes(tmp_path, content)[0] == [
        (START, 1, FRAME),
        (START, 101, FRAME[14:]),
        (START + 1, 113, FRAME),
        (None, -1, FRAME),
    ]


@pytest.mark.parametrize("order", ["<", ">"])
def test_old_and_simple_packet_blocks(order, tmp_path):
    ticks = START // 1000
    old = struct.pack(f"{order}HHIIII", 1, 9, ticks >> 32, ticks & 0xFFFFFFFF, len(FRAME), 1000) + FRAME
    simple = struct.pack(f"{order}I", len(FRAME)) + FRAME
    content = section(order) + interface(order, link=113) + interface(order) + block(2, old, order)
    found, _ = read_bytes(tmp_path, content + block(3, simple, order))
    assert found == [(START, 1, FRAME), (None, 113, FRAME)]


def test_blocks_larger_than_the_buffer(tmp_path):
    comment = struct.pack("<HH", 1, 0xFFFF) + bytes(0x10000)
    large = block(0x0BAD, 60 * comment)
    assert len(large) > 3 * pcap_module.BUFFER
    content = section() + large + interface(resolution=9) + large + enhanced(START, FRAME) + large
    assert read_bytes(tmp_path, content)[0] == [(START, 1, FRAME)]


@pytest.mark.parametrize("compress", [functools.partial(gzip.compress, compresslevel=1), zstandard.compress])
def test_large_blocks_cost_no_more_a_byte_than_small_ones(compress, tmp_path):
    seconds = []
    for size, count in ((16 << 20, 8), (16 << 10, 8 << 10)):
        filler = block(0x0BAD, bytes(size - 12)) * count
        (tmp_path / "capture").write_bytes(
            compress(section() + interface(resolution=9) + filler + enhanced(START, FRAME))
        )
        before = time.process_time()
        assert read(tmp_path / "capture")[0] == [(START, 1, FRAME)]
        seconds.append(time.process_time() - before)
    assert seconds[0] < 4 * seconds[1] + 0.2  # it was 40 times


@pytest.mark.parametrize("filler", [interface(), section(), block(1, bytes(8) + 5000 * struct.pack("<HH", 2, 0))])
def test_endless_descriptions_are_not_read_for_minutes(filler, tmp_path, monkeypatch):
    monkeypatch.setattr(pcap_module, "DESCRIBED", 1 << 20)
    start = section() + interface(resolution=9) + enhanced(START, FRAME)
    found, capture = read_bytes(tmp_path, start + filler * ((1 << 20) // (len(filler) + pcap_module.EACH) + 1) + start)
    assert found == [(START, 1, FRAME)]
    assert ["too many sections and interfaces" in warning for warning in capture.warnings] == [True]
    assert read_bytes(tmp_path, start + 10 * filler + start)[1].warnings == []


def test_many_interfaces(tmp_path):
    content = section() + 300 * interface(resolution=9) + enhanced(START, FRAME, number=299)
    assert read_bytes(tmp_path, content)[0] == [(START, 1, FRAME)]


@pytest.mark.parametrize("cut", [1, 15, 16, 17, len(FRAME) + 15])
def test_a_file_cut_in_its_last_record_keeps_the_others(cut, tmp_path):
    content = pcap([(START, FRAME)] * 3)
    record = 16 + len(FRAME)
    found, capture = read_bytes(tmp_path, content[: 24 + 2 * record + cut])
    assert len(found) == 2
    assert capture.warnings == [f"byte {24 + 2 * record}: the file ends inside a record (2 packets read before)"]


def test_a_damaged_record_header_ends_the_reading(tmp_path):
    content = bytearray(pcap([(START, FRAME)] * 3))
    record = 16 + len(FRAME)
    content[24 + record + 8 : 24 + record + 12] = struct.pack("<I", 262_145)
    found, capture = read_bytes(tmp_path, bytes(content))
    assert len(found) == 1
    assert f"byte {24 + record}: the record header makes no sense" in capture.warnings[0]


@pytest.mark.parametrize(
    "broken",
    [
        struct.pack("<III", 6, 8, 8),  # too short
        struct.pack("<III", 6, 0, 0),  # would never end
        struct.pack("<III", 6, 33, 0) + bytes(24),  # not a multiple of 4
        struct.pack("<III", 6, 1 << 30, 0),  # too long
        block(6, bytes(20))[:-4] + bytes(4),  # the two lengths differ
        block(6, struct.pack("<IIIII", 0, 0, 0, 999, 999) + FRAME),  # packet longer than its block
        block(6, bytes(8)),  # no room for its own fields
        block(1, bytes(4)),  # likewise
        block(0x0A0D0D0A, bytes(16)),  # no byte order
    ],
)
def test_a_damaged_block_ends_the_reading(broken, tmp_path):
    good = section() + interface(resolution=9) + enhanced(START, FRAME)
    found, capture = read_bytes(tmp_path, good + broken + enhanced(START, FRAME))
    assert len(found) == 1
    assert f"byte {len(good)}: " in capture.warnings[0]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_cut_compressed_file_keeps_what_it_holds(compress, traffic, tmp_path):
    rng = np.random.default_rng(0)
    noisy = [(time, frame + rng.bytes(200)) for time, frame in traffic]
    content = compress(pcap(noisy))
    found, capture = read_bytes(tmp_path, content[: len(content) // 2])
    assert 1000 < len(found) < len(traffic)
    assert [frame for *_, frame in found] == [frame for _, frame in noisy[: len(found)]]
    assert "cut short" in capture.warnings[0]


def test_a_wrong_checksum_is_reported_and_loses_nothing(traffic, tmp_path):
    content = bytearray(gzip.compress(pcap(traffic), mtime=0))
    content[-8] ^= 1
    found, capture = read_bytes(tmp_path, bytes(content))
    assert len(found) == len(traffic)
    assert "the gzip data are corrupt" in capture.warnings[0]


def test_a_corrupt_zstd_frame_keeps_what_comes_before(traffic, tmp_path):
    good = zstandard.compress(pcap(traffic))
    found, capture = read_bytes(tmp_path, good + b"\x28\xb5\x2f\xfd" + bytes(range(200, 250)))
    assert len(found) == len(traffic)
    assert "the zstd data are corrupt" in capture.warnings[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "byte 0: the file is empty"),
        (b"\xd4\xc3", "byte 2: too short for a capture"),
        (b"GIF89a" + bytes(100), "byte 0: not a capture .it starts with 47 49 46 38"),
        (pcap([])[:23], "byte 23: the file ends inside the pcap header"),
        (section()[:20], "byte 0: the pcapng section header is cut or damaged"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        (gzip.compress(b"hello", mtime=0), "not a capture"),
        (gzip.compress(pcap([]), mtime=0)[:12], "the gzip data are cut short"),
        (b"\x1f\x8bgarbage", "the gzip data are corrupt"),
    ],
)
def test_what_is_no_capture_is_refused(content, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        read_bytes(tmp_path, content)
    assert str(tmp_path / "capture") in str(caught.value)
    assert "give a pcap or pcapng file" in str(caught.value)


def test_a_missing_file_or_a_directory_is_refused(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(InputError, match="no such file"), open_capture(path):
            pass


@pytest.mark.parametrize("content", [pcap([]), section(), section() + interface()])
def test_an_empty_capture_is_whole(content, tmp_path):
    found, capture = read_bytes(tmp_path, content)
    assert found == capture.warnings == []

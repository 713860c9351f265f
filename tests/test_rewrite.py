"""A captured frame changed: lengths and checksums by plain arithmetic, trailers, check sequences, cut packets."""

import struct
import zlib

import numpy as np
import pytest
from captures import ethernet, icmp, udp
from conversations import checksummed, segment
from second_reader import Packet, segment_of

from rnnids.captures.rewrite import Change, obstacle, read_headers, rewrite

FOUR, SIX = ("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")
BODIES = {
    "tcp": (6, segment((1, 2), (5, 6), 16, b"some text")),
    "sack": (6, segment((1, 2), (5, 6), 16, b"odd", [(70, 80), (90, 95)])),
    "udp": (17, udp(1, 2, b"seven b")),
    "icmp": (1, icmp(8, 0, b"ping")),
    "icmpv6": (58, icmp(128, 0, b"ping")),
}


def changed(frame, change=None, link=1, limit=0, original=None):
    """What :func:`rewrite` makes of a frame."""
    original = len(frame) if original is None else original
    return rewrite(frame, read_headers(frame, link), change or Change(), original=original, limit=limit)


@pytest.mark.parametrize("ends", [FOUR, SIX], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("body", ["tcp", "sack", "udp", "icmp", "icmpv6"])
@pytest.mark.parametrize("added", [0, 1, 2, 999, 60000])
def test_lengths_and_checksums_are_right_again(ends, body, added):
    if (body == "icmp") != (ends is FOUR) and body.startswith("icmp"):
        pytest.skip("of the other version")
    frame = ethernet(checksummed(*ends, *BODIES[body]))
    change = Change(added, 10**9, 4 * 10**9, lambda edge: edge + 1000)
    data, sent, verdict = changed(frame, change)
    assert verdict == "verified"
    before, after = (segment_of(Packet(0, each, len(each), 1)) for each in (frame, data))
    assert after.faults == []
    assert sent == len(data) == len(frame) + added
    assert after.length == before.length + added
    assert after.payload == before.payload + bytes(added)
    if BODIES[body][0] == 6:
        assert after.sequence == before.sequence + 10**9
        assert after.acknowledgement == before.acknowledgement + 4 * 10**9
        assert after.blocks == [(first + 1000, last + 1000) for first, last in before.blocks]


@pytest.mark.parametrize("seed", range(200))
def test_a_checksum_by_difference_is_the_one_computed_anew(seed):
    rng = np.random.default_rng(seed)
    payload = rng.bytes(int(rng.integers(0, 40)))
    protocol = int(rng.choice([6, 17]))
    numbers = [int(number) for number in rng.integers(2**32, size=2)]
    body = segment((1, 2), numbers, 16, payload) if protocol == 6 else udp(1, 2, payload)
    frame = ethernet(checksummed(*FOUR, protocol, body))
    change = Change(int(rng.integers(0, 1500)), int(rng.integers(2**31)), int(rng.integers(2**31)))
    data, *_ = changed(frame, change)
    assert segment_of(Packet(0, data, len(data), 1)).faults == []


def test_without_a_change_not_a_byte_changes():
    for protocol, body in BODIES.values():
        frame = ethernet(checksummed(*FOUR, protocol, body)) + b"tail"
        assert changed(frame)[:2] == (frame, len(frame))


def test_a_packet_cut_by_the_capture_gets_the_checksum_of_the_whole():
    frame = ethernet(checksummed(*FOUR, *BODIES["tcp"]))
    whole, *_ = changed(frame, Change(100, 7))
    data, sent, verdict = changed(frame[:54], Change(100, 7), original=len(frame))
    assert (data, sent, verdict) == (whole[:54], len(whole), "not verifiable")


def test_padding_is_shown_as_far_as_the_capture_keeps_bytes():
    frame = ethernet(checksummed(*FOUR, *BODIES["udp"]))
    data, sent, _ = changed(frame, Change(1000), limit=96)
    assert (len(data), sent) == (96, len(frame) + 1000)
    data, sent, _ = changed(frame, Change(1000), limit=20)  # a limit that the capture itself did not keep
    assert (len(data), sent) == (len(frame), len(frame) + 1000)


def test_wrong_and_absent_checksums_stay():
    frame = bytearray(ethernet(checksummed(*FOUR, *BODIES["tcp"])))
    frame[50:52] = b"\x12\x34"
    data, _, verdict = changed(bytes(frame), Change(8, 5))
    assert (data[50:52], verdict) == (b"\x12\x34", "wrong before")
    frame = bytearray(ethernet(checksummed(*FOUR, *BODIES["udp"])))
    frame[40:42] = bytes(2)
    data, _, verdict = changed(bytes(frame), Change(8))
    assert (data[40:42], verdict) == (bytes(2), "absent")
    frame[24:26] = bytes(2)  # of the IP header, by offload
    assert changed(bytes(frame), Change(8))[0][24:26] == bytes(2)


@pytest.mark.parametrize(("added", "size"), [(1, 60), (17, 60), (18, 60), (19, 61), (100, 142)])
def test_payload_takes_the_place_of_what_fills_a_small_frame(added, size):
    frame = ethernet(checksummed(*FOUR, 17, udp(1, 2))) + bytes(18)
    assert len(frame) == 60
    data, sent, _ = changed(frame, Change(added))
    assert len(data) == sent == size
    assert segment_of(Packet(0, data, sent, 1)).faults == []


def test_another_trailer_moves_and_a_check_sequence_is_made_anew():
    frame = ethernet(checksummed(*FOUR, 17, udp(1, 2, bytes(40))))
    data, sent, _ = changed(frame + b"from a tap", Change(5))
    assert data == changed(frame, Change(5))[0] + b"from a tap"
    assert sent == len(data)
    data, *_ = changed(frame + zlib.crc32(frame).to_bytes(4, "little"), Change(5))
    assert data[-4:] == zlib.crc32(data[:-4]).to_bytes(4, "little")


def test_lengths_of_link_layers_follow():
    packet = checksummed(*FOUR, *BODIES["udp"])
    pppoe = bytes(12) + struct.pack(">HBBHHH", 0x8864, 0x11, 0, 1, 2 + len(packet), 0x21) + packet
    assert changed(pppoe, Change(9))[0][18:20] == struct.pack(">H", 2 + len(packet) + 9)
    # The same bytes as part of an address are none.
    address = b"\x00\x00\x00\x00\x88\x64" + bytes(6) + b"\x08\x00" + packet
    assert changed(address, Change(9))[0][:14] == address[:14]


def test_what_cannot_be_padded_is_named():
    frame = ethernet(checksummed(*FOUR, *BODIES["udp"]))
    headers = read_headers(frame, 1)
    assert obstacle(headers, 0, frame) == obstacle(headers, 100, frame) == ""
    assert obstacle(headers, -1, frame) == "shorter than the original"
    room = 65535 - len(frame) + 14
    assert obstacle(headers, room, frame) == ""
    assert obstacle(headers, room + 1, frame) == "longer than 65,535 bytes"
    frame = ethernet(checksummed(*SIX, *BODIES["udp"]))
    room = 65535 + 40 - len(frame) + 14
    assert obstacle(read_headers(frame, 1), room, frame) == ""
    assert obstacle(read_headers(frame, 1), room + 1, frame) == "longer than 65,535 bytes"
    assert obstacle(headers._replace(link=9999), 1, frame).startswith("link type 9999")

"""Headers: every link layer, what is skipped and why, and no read outside the frame."""

import ipaddress
import struct

import numpy as np
import pytest
from captures import ACK, FIN, SYN, ethernet, icmp, ipv4, ipv6, random_traffic, tcp, udp

from rnnids.captures.layers import layer_table
from rnnids.captures.packets import PACKET, draw_keys, parse_batch, parse_packet
from rnnids.captures.reasons import KEPT, REASONS
from rnnids.captures.records import RECORD
from rnnids.captures.skipped import REASON_MASK, by_name, new_counts

FOUR = ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1000, 80, SYN | ACK))
SIX = ipv6("fd00::1", "fd00::2", 17, udp(53, 5353, bytes(10)))
SNAP = b"\xaa\xaa\x03\x00\x00\x00\x08\x00"
LAYERS = layer_table()
RADIOTAP = b"\x00\x00\x0c\x00" + bytes(8)


def parse(frame, link=1, original=None, problem=0):
    """(reason in words, PACKET) of a frame; bytes beyond its end are poison."""
    buffer = np.frombuffer(b"\xff" * 64 + frame + b"\xff" * 64, np.uint8)
    length = len(frame) if original is None else original
    record = np.array([(64, 5, len(frame), length, link, problem)], RECORD)
    packets = np.zeros(1, PACKET)
    return REASONS[parse_packet(buffer, record[0], packets[0], LAYERS) & REASON_MASK], packets[0]


def address(packet, end):
    """An address of a PACKET."""
    return ipaddress.ip_address((int(packet[f"{end}_high"]) << 64) | int(packet[f"{end}_low"]))


def test_fields_of_ipv4_and_tcp():
    reason, packet = parse(ethernet(ipv4("10.1.2.3", "255.254.253.252", 6, tcp(1, 65535, 0x1FF, bytes(9)))))
    assert reason == ""
    assert address(packet, "source").ipv4_mapped == ipaddress.ip_address("10.1.2.3")
    assert address(packet, "destination").ipv4_mapped == ipaddress.ip_address("255.254.253.252")
    fields = ("source_port", "destination_port", "protocol", "flags", "length", "time")
    assert [int(packet[name]) for name in fields] == [1, 65535, 6, 0x1FF, 49, 5]


def test_fields_of_ipv6_and_udp():
    reason, packet = parse(ethernet(SIX))
    assert reason == ""
    assert address(packet, "source") == ipaddress.ip_address("fd00::1")
    assert address(packet, "destination") == ipaddress.ip_address("fd00::2")
    fields = ("source_port", "destination_port", "protocol", "flags", "length")
    assert [int(packet[name]) for name in fields] == [53, 5353, 17, 0, 58]


@pytest.mark.parametrize(("protocol", "build", "ends"), [(1, ipv4, ("1.2.3.4", "5.6.7.8")), (58, ipv6, ("::1", "::2"))])
def test_icmp_type_and_code_are_the_destination_port(protocol, build, ends):
    reason, packet = parse(ethernet(build(*ends, protocol, icmp(3, 4))))
    assert (reason, packet["source_port"], packet["destination_port"]) == ("", 0, 3 * 256 + 4)


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (1, bytes(12) + b"\x08\x00"),
        (1, bytes(12) + b"\x81\x00\x00\x01\x08\x00"),
        (1, bytes(12) + b"\x88\xa8\x00\x01\x81\x00\x00\x01\x91\x00\x00\x01\x08\x00"),
        (1, bytes(12) + b"\x88\x48\x00\x01\x01\x40"),
        (1, bytes(12) + b"\x88\x47\x00\x01\x00\x40\x00\x01\x01\x40"),
        (1, bytes(12) + b"\x81\x00\x00\x01\x88\x64\x11\x00\x00\x01\x00\x2a\x00\x21"),
        (0, b"\x02\x00\x00\x00"),
        (0, b"\x00\x00\x00\x02"),
        (108, b"\x00\x00\x00\x02"),
        (0, b"\x0f\x00\x08\x00"),
        (12, b""),
        (14, b""),
        (101, b""),
        (228, b""),
        (113, bytes(14) + b"\x08\x00"),
        (113, bytes(14) + b"\x81\x00\x00\x01\x08\x00"),
        (276, b"\x08\x00" + bytes(18)),
        (105, b"\x08\x01" + bytes(22) + SNAP),
        (105, b"\x08\x03" + bytes(28) + SNAP),  # four addresses
        (105, b"\x88\x02" + bytes(24) + SNAP),  # quality of service
        (105, b"\x88\x82" + bytes(28) + SNAP),  # and HT control
        (127, RADIOTAP + b"\x08\x01" + bytes(22) + SNAP),
    ],
)
def test_link_layers(link, head):
    reason, packet = parse(head + FOUR, link)
    assert (reason, packet["destination_port"], packet["length"]) == ("", 80, 40)
    for cut in range(len(head)):
        assert parse(head[:cut], link)[0] in ("truncated link header", "truncated IP header", "not IP")


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (0, b"\x1e\x00\x00\x00"),
        (0, b"\x00\x00\x00\x18"),
        (108, b"\x00\x00\x00\x1c"),
        (0, b"\x0a\x00\x00\x00"),
        (229, b""),
        (101, b""),
        (113, bytes(14) + b"\x86\xdd"),
        (276, b"\x86\xdd" + bytes(18)),
        (1, bytes(12) + b"\x88\x64\x11\x00\x00\x01\x00\x2a\x00\x57"),
    ],
)
def test_link_layers_with_ipv6(link, head):
    reason, packet = parse(head + SIX, link)
    assert (reason, packet["destination_port"], packet["length"]) == ("", 5353, 58)


@pytest.mark.parametrize(
    ("reason", "frame", "link"),
    [
        ("unsupported link type", FOUR, 147),
        ("truncated link header", b"", 1),
        ("truncated link header", bytes(13), 1),
        ("truncated link header", ethernet(FOUR, tags=(0x8100,))[:17], 1),
        ("not IP", ethernet(bytes(46), 0x0806), 1),
        ("not IP", ethernet(bytes(46), 46), 1),  # a length: IEEE 802.3
        ("not IP", ethernet(b"\x00\x00\x01\x40" + bytes(40), 0x8847), 1),  # MPLS around something else
        ("not IP", ethernet(b"\x11\x00\x00\x01\x00\x2a\xc0\x21" + FOUR, 0x8864), 1),  # PPP control
        ("not IP", b"\x10\x00\x00\x00" + FOUR, 0),
        ("not IP", b"\x80\x00" + bytes(22) + SNAP + FOUR, 105),  # a beacon
        ("not IP", b"\x08\x41" + bytes(22) + SNAP + FOUR, 105),  # encrypted
        ("truncated IP header", ethernet(FOUR)[:14], 1),
        ("truncated IP header", ethernet(FOUR)[:33], 1),
        ("truncated IP header", ethernet(ipv4("1.1.1.1", "2.2.2.2", 17, udp(1, 2), options=bytes(8)))[:36], 1),
        ("truncated IP header", ethernet(SIX)[:53], 1),
        ("malformed IP header", ethernet(b"\x55" + FOUR[1:]), 1),
        ("malformed IP header", ethernet(b"\x44" + FOUR[1:]), 1),
        ("malformed IP header", ethernet(ipv4("1.1.1.1", "2.2.2.2", 17, udp(1, 2), length=19)), 1),
        ("fragment", ethernet(ipv4("1.1.1.1", "2.2.2.2", 17, udp(1, 2), fragment=0x2000)), 1),
        ("fragment", ethernet(ipv4("1.1.1.1", "2.2.2.2", 17, udp(1, 2), fragment=0x0001)), 1),
        ("unsupported transport protocol", ethernet(ipv4("1.1.1.1", "2.2.2.2", 132, bytes(40))), 1),
        ("unsupported transport protocol", ethernet(ipv4("1.1.1.1", "2.2.2.2", 4, FOUR)), 1),  # a tunnel
        ("unsupported transport protocol", ethernet(ipv6("::1", "::2", 59, b"")), 1),
        ("truncated transport header", ethernet(FOUR)[:53], 1),
        ("truncated transport header", ethernet(ipv4("1.1.1.1", "2.2.2.2", 17, udp(1, 2)[:7])), 1),
        ("truncated transport header", ethernet(ipv4("1.1.1.1", "2.2.2.2", 17, udp(1, 2), length=27)), 1),
        ("truncated transport header", ethernet(ipv4("1.1.1.1", "2.2.2.2", 1, icmp(8)[:7])), 1),
        ("malformed transport header", ethernet(ipv4("1.1.1.1", "2.2.2.2", 6, bytes(12) + b"\x40" + bytes(7))), 1),
    ],
)
def test_reasons_for_skipping(reason, frame, link):
    assert parse(frame, link)[0] == reason


def test_problems_of_the_record_come_first():
    assert [parse(ethernet(FOUR), problem=problem)[0] for problem in (1, 2, 3)] == [
        "no timestamp",
        "timestamp out of range",
        "undeclared interface",
    ]


def test_do_not_fragment_is_no_fragment():
    assert parse(ethernet(ipv4("1.1.1.1", "2.2.2.2", 17, udp(1, 2), fragment=0x4000)))[0] == ""


def test_tcp_options_beyond_the_capture_do_not_matter():
    segment = bytearray(tcp(1, 2, FIN))
    segment[12] = 0xF0
    reason, packet = parse(ethernet(ipv4("1.1.1.1", "2.2.2.2", 6, bytes(segment), length=100)), original=114)
    assert (reason, packet["flags"], packet["length"]) == ("", FIN, 100)


def test_length_zero_of_segmentation_offload_comes_from_the_wire():
    frame = ethernet(ipv4("1.1.1.1", "2.2.2.2", 6, tcp(1, 2), length=0), tags=(0x8100,))
    reason, packet = parse(frame, original=9018)
    assert (reason, packet["length"]) == ("", 9000)
    reason, packet = parse(ethernet(ipv6("::1", "::2", 6, tcp(1, 2), length=0)), original=9014)
    assert (reason, packet["length"]) == ("", 9000)


def option(following, units=0):
    """An IPv6 extension header in units of 8 bytes beyond the first."""
    return bytes([following, units]) + bytes(6 + 8 * units)


@pytest.mark.parametrize(
    ("first", "headers"),
    [
        (0, option(17)),
        (0, option(43) + option(60, 3) + option(135) + option(17, 1)),
        (51, bytes([17, 4]) + bytes(22)),  # authentication: units of 4 bytes
        (44, bytes([17, 0, 0, 0, 1, 2, 3, 4])),  # a fragment that is the whole packet
        (139, option(140) + option(17)),
    ],
)
def test_ipv6_extension_headers(first, headers):
    frame = ethernet(ipv6("::1", "::2", first, headers + udp(7, 9, bytes(5))))
    reason, packet = parse(frame)
    assert (reason, packet["protocol"], packet["destination_port"]) == ("", 17, 9)
    assert packet["length"] == 40 + len(headers) + 13
    for cut in range(54, 54 + len(headers)):
        assert parse(frame[:cut])[0] == "truncated IP header"


@pytest.mark.parametrize("field", [0x0001, 0x0008, 0xFFF8])
def test_ipv6_fragments_are_skipped(field):
    header = struct.pack(">BBHI", 17, 0, field, 1)
    assert parse(ethernet(ipv6("::1", "::2", 44, header + udp(1, 2))))[0] == "fragment"


def test_batch_counts_what_it_skips():
    frames = [ethernet(FOUR), ethernet(bytes(46), 0x0806), ethernet(SIX), b""]
    buffer = np.frombuffer(b"".join(frames), np.uint8)
    records = np.zeros(4, RECORD)
    records["captured"] = [len(frame) for frame in frames]
    records["offset"] = np.cumsum(records["captured"]) - records["captured"]
    records["link"] = 1
    packets, counts = np.zeros(4, PACKET), new_counts()
    assert parse_batch(buffer, records, packets, counts, LAYERS, draw_keys()) == 2
    assert list(packets["destination_port"][:2]) == [80, 5353]
    assert by_name(counts) == {"truncated link header": 1, "not IP: ARP (EtherType 0x0806)": 1}


def test_whatever_the_bytes_nothing_outside_the_frame_matters():
    """The verdict on a mutated, cut frame is the same whatever surrounds it in the buffer."""
    rng = np.random.default_rng(0)
    links = (0, 1, 12, 101, 105, 113, 127, 276)
    outcomes = set()
    for _, frame in random_traffic(rng, 3000):
        mutated = np.frombuffer(frame, np.uint8).copy()
        for _ in range(rng.integers(1, 4)):
            mutated[rng.integers(min(len(mutated), 60))] = rng.integers(256)
        mutated = mutated[: rng.integers(len(mutated) + 1)]
        record = np.array([(300, 5, len(mutated), len(mutated), rng.choice(links), 0)], RECORD)
        verdicts = []
        for poison in (0x00, 0x45, 0xFF):
            buffer = np.full(len(mutated) + 600, poison, np.uint8)
            buffer[300 : 300 + len(mutated)] = mutated
            packet = np.zeros(1, PACKET)
            verdict = parse_packet(buffer, record[0], packet[0], LAYERS)
            verdicts.append((verdict, packet[0].tolist() if verdict == KEPT else None))
        assert verdicts[0] == verdicts[1] == verdicts[2]
        outcomes.add(REASONS[verdicts[0][0] & REASON_MASK])
    assert len(outcomes) > 7, "the mutations should reach most branches"


@pytest.mark.parametrize("size", [0, 1, 37, 1000])
@pytest.mark.parametrize("build", [ipv4, ipv6])
def test_payload_is_what_follows_the_transport_header(build, size):
    ends = ("10.0.0.1", "10.0.0.2") if build is ipv4 else ("2001:db8::1", "2001:db8::2")
    content = bytes(size)
    segments = {6: tcp(1, 2, payload=content), 17: udp(1, 2, content), 1 if build is ipv4 else 58: icmp(8, 0, content)}
    for protocol, segment in segments.items():
        reason, packet = parse(ethernet(build(*ends, protocol, segment)))
        assert (reason, packet["payload_length"]) == ("", size)


def test_payload_counts_neither_options_nor_what_the_capture_cut_off():
    segment = bytearray(tcp(1, 2, payload=bytes(12 + 500)))
    segment[12] = 8 << 4  # 32 bytes of header: 12 of the payload are options
    frame = ethernet(ipv4("10.0.0.1", "10.0.0.2", 6, bytes(segment)))
    for captured in (len(frame), 14 + 20 + 20):  # whole, and cut within the options
        reason, packet = parse(frame[:captured], original=len(frame))
        assert (reason, packet["payload_length"]) == ("", 500)


def test_payload_is_unknown_only_where_the_packet_is_left_out():
    frame = ethernet(ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, payload=bytes(500))))
    for captured in range(14 + 20, 14 + 20 + 20):  # ports and flags may be there, the fixed header is not
        assert parse(frame[:captured], original=len(frame))[0] == "truncated transport header"


@pytest.mark.parametrize(
    ("first", "headers"),
    [(0, option(17, units=2)), (0, option(43) + option(60, 3) + option(17, 1)), (51, bytes([17, 4]) + bytes(22))],
)
def test_payload_of_ipv6_leaves_out_extension_headers(first, headers):
    frame = ethernet(ipv6("2001:db8::1", "2001:db8::2", first, headers + udp(1, 2, bytes(90))))
    for captured in (len(frame), len(frame) - 90):
        reason, packet = parse(frame[:captured], original=len(frame))
        assert (reason, packet["payload_length"]) == ("", 90)


def test_payload_is_what_the_ip_length_allows():
    longer = bytearray(udp(1, 2, bytes(30)))
    longer[4:6] = struct.pack(">H", 4000)  # the UDP length field is not looked at
    header = bytearray(tcp(1, 2, payload=bytes(8)))
    header[12] = 15 << 4  # 60 bytes of header in a segment of 28
    ends = "10.0.0.1", "10.0.0.2"
    cases = [
        (ethernet(ipv4(*ends, 17, bytes(longer))), 30),
        (ethernet(ipv4(*ends, 17, udp(1, 2))) + bytes(18), 0),  # padding of Ethernet
        (ethernet(ipv4(*ends, 17, udp(1, 2, bytes(30)), options=bytes(8))), 30),
        (ethernet(ipv4(*ends, 6, bytes(header))), 0),
        (ethernet(ipv6("::1", "::2", 58, icmp(128)[:4])), 0),
    ]
    for frame, expected in cases:
        reason, packet = parse(frame)
        assert (reason, packet["payload_length"]) == ("", expected)


@pytest.mark.parametrize("build", [ipv4, ipv6])
@pytest.mark.parametrize(("size", "expected"), [(3000, 3000), (65_535, 65_535), (70_000, 65_535)])
def test_payload_of_offloaded_segments_follows_from_the_wire(build, size, expected):
    ends = ("10.0.0.1", "10.0.0.2") if build is ipv4 else ("2001:db8::1", "2001:db8::2")
    frame = ethernet(build(*ends, 6, tcp(1, 2, payload=bytes(size)), length=0))
    for captured in (len(frame), 14 + 60):
        reason, packet = parse(frame[:captured], original=len(frame))
        assert (reason, packet["payload_length"]) == ("", expected)

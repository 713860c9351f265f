"""Where the IP packet begins: every link layer and tunnel, their nesting, cut frames, and what tshark says."""

import csv
import itertools
import json
import shutil
import subprocess

import h5py
import numpy as np
import pytest
from captures import ACK, START, ethernet, ipv4, ipv6, pcap, tcp, udp
from frames import FRAMES, TUNNELLED, UNLIKE_TSHARK, mac, over_ip, over_udp

from rnnids.captures.frames import DEEPEST, walk
from rnnids.captures.layers import BY_KEY, ETHERTYPE, LINK, TUNNELS, key_of, layer_name, layer_table
from rnnids.captures.packets import PACKET, draw_keys, parse_batch
from rnnids.captures.records import RECORD
from rnnids.captures.skipped import by_name, new_counts
from rnnids.captures.unwrap import unwrap_batch
from rnnids.flows.extract import extract_flows

INNER = ipv4("10.0.0.1", "10.0.0.2", 6, tcp(40000, 80, ACK, bytes(30)))
KEYS = draw_keys()
PLAIN, ALL = layer_table(), layer_table(TUNNELS)


def parse(frame, link=1, layers=PLAIN, poison=0xFF):
    """(PACKET or None, what was skipped) of a frame between bytes that are not its own."""
    buffer = np.full(len(frame) + 128, poison, np.uint8)
    buffer[64 : 64 + len(frame)] = np.frombuffer(frame, np.uint8)
    records, packets, counts = (
        np.array([(64, START, len(frame), len(frame), link, 0)], RECORD),
        np.zeros(1, PACKET),
        new_counts(),
    )
    batch = parse_batch if layers is PLAIN else unwrap_batch
    return packets[0] if batch(buffer, records, packets, counts, layers, KEYS) else None, by_name(counts)


def ports(packet):
    """(source port, destination port, IP length, payload)."""
    return tuple(int(packet[name]) for name in ("source_port", "destination_port", "length", "payload_length"))


@pytest.mark.parametrize("name", FRAMES)
def test_the_packet_is_found_and_never_outside_the_frame(name):
    link, around = FRAMES[name]
    frame = around(INNER)
    packet, skipped = parse(frame, link)
    assert skipped == {}
    assert ports(packet) == (40000, 80, 70, 30)
    for cut in range(len(frame) - len(INNER)):
        found = [parse(frame[:cut], link, poison=poison) for poison in (0, 0x45, 0xFF)]
        assert all(packet is None for packet, _ in found)
        assert found[0][1] == found[1][1] == found[2][1]


@pytest.mark.parametrize("name", [name for name in FRAMES if FRAMES[name][0] == 1])
def test_tags_may_stand_in_any_order(name):
    rng = np.random.default_rng(0)
    tags = [b"\x81\x00\0\5", b"\x88\xa8\0\6", b"\x89\x26\0\1\0\2", b"\x89\x3f\0\0\0\1\0\0", b"\xf1\xc1\0\0\0\1"]
    frame = FRAMES[name][1](INNER)
    for chosen in itertools.islice(itertools.permutations(tags, 3), 0, None, 7):
        tagged = frame[:12] + b"".join(chosen[: rng.integers(1, 4)]) + frame[12:]
        if name != "ISL":  # its header precedes the frame, tags and all
            assert ports(parse(tagged)[0]) == (40000, 80, 70, 30)


@pytest.mark.parametrize("name", TUNNELLED)
def test_tunnels_are_unwrapped_where_they_are_asked_for_and_only_then(name):
    tunnel, around = TUNNELLED[name]
    frame = around(INNER)
    for layers in (ALL, layer_table([tunnel])):
        assert ports(parse(frame, layers=layers)[0]) == (40000, 80, 70, 30)
    outer = parse(frame)
    for layers in (layer_table([other for other in TUNNELS if other != tunnel]), PLAIN):
        kept, skipped = parse(frame, layers=layers)
        assert skipped == outer[1] or tunnel == "erspan"  # which GRE names, where that is unwrapped
        assert kept is None or kept["destination_port"] != 80
    for cut in range(34, len(frame) - len(INNER)):
        assert parse(frame[:cut], layers=ALL, poison=0)[1] == parse(frame[:cut], layers=ALL, poison=0xFF)[1]


@pytest.mark.parametrize(
    ("tunnel", "content"),
    [("teredo", b""), ("teredo", b"\0\0" + bytes(6)), ("teredo", b"\0\1\0\0" + bytes(9) + b"\0\0" + bytes(6))],
)
def test_teredo_and_6in4_carry_ipv6(tunnel, content):
    six = ipv6("2001:db8::1", "2001:db8::2", 6, tcp(40000, 80, ACK, bytes(30)))
    for frame in (over_udp(3544, content + six), over_udp(50000, content + six, source=3544)):
        assert ports(parse(frame, layers=layer_table([tunnel]))[0]) == (40000, 80, 90, 30)
    assert ports(parse(over_ip(41, six), layers=layer_table(["6in4"]))[0]) == (40000, 80, 90, 30)
    assert parse(over_ip(41, six))[1] == {"unsupported transport protocol: IPv6 in IP (IP protocol 41)": 1}


def test_what_only_looks_like_a_tunnel_counts_as_itself():
    for port, content in (
        (4789, b"\x00" * 8 + bytes(60)),
        (6081, b"\xff" * 60),
        (2152, b"\x32\x01" + bytes(60)),
        (53, bytes(60)),
    ):
        packet, skipped = parse(over_udp(port, content), layers=ALL)
        assert (int(packet["destination_port"]), skipped) == (port, {})


def test_tunnels_in_tunnels_end():
    packet = INNER
    for _ in range(5):
        packet = ipv4("192.0.2.1", "192.0.2.2", 4, packet)
    assert ports(parse(ethernet(packet), layers=ALL)[0]) == (40000, 80, 70, 30)
    for _ in range(300):
        packet = ipv4("192.0.2.1", "192.0.2.2", 4, packet)
    assert parse(ethernet(packet), layers=ALL)[1] == {"unsupported transport protocol: IP in IP (IP protocol 4)": 1}


@pytest.mark.parametrize(
    ("frame", "link", "name"),
    [
        (mac(0x0806, bytes(46)), 1, "not IP: ARP (EtherType 0x0806)"),
        (mac(0x88CC, bytes(46)), 1, "not IP: LLDP (EtherType 0x88cc)"),
        (mac(0x1234, INNER), 1, "not IP: EtherType 0x1234"),
        (mac(39, b"\x42\x42\x03" + bytes(36)), 1, "not IP: spanning tree (LLC 0x42)"),
        (mac(60, b"\xaa\xaa\x03\0\0\x0c\x20\0" + bytes(50)), 1, "not IP: CDP (SNAP 0x00000c2000)"),
        (mac(0x8864, b"\x11\0\0\1\0\x2a\xc0\x21" + bytes(9)), 1, "not IP: LCP (PPP protocol 0xc021)"),
        (b"\x00\x3d" + INNER, 9, "not IP: multilink fragment (PPP protocol 0x003d)"),
        (mac(0x88E5, b"\x2c\0\0\0\0\1" + bytes(40)), 1, "not IP: MACsec (EtherType 0x88e5)"),
        (b"\x80\0" + bytes(40), 105, "not IP: management (IEEE 802.11 frame 0)"),
        (b"\x08\x41" + bytes(40), 105, "not IP: encrypted (IEEE 802.11 frame 3)"),
        (bytes(64), 220, "unsupported link type: Linux USB with padding (link type 220)"),
        (bytes(64), 9999, "unsupported link type: link type 9999"),
        (over_ip(132, bytes(40)), 1, "unsupported transport protocol: SCTP (IP protocol 132)"),
        (over_ip(89, bytes(40)), 1, "unsupported transport protocol: OSPF (IP protocol 89)"),
        (over_ip(47, b"\0\0\x08\0" + INNER), 1, "unsupported transport protocol: GRE (IP protocol 47)"),
    ],
)
def test_what_is_skipped_has_a_name(frame, link, name):
    assert parse(frame, link) == (None, {name: 1})


def test_a_loop_of_layers_ends():
    frame = mac(0x8926, b"".join(b"\0\1\0\2\x89\x26" for _ in range(DEEPEST + 5)) + b"\0\1\0\2\x08\0" + INNER)
    assert parse(frame)[1] == {"not IP: VN-tag (EtherType 0x8926)": 1}


def test_every_line_of_the_table_ends_well_on_any_bytes():
    rng = np.random.default_rng(1)
    for key in BY_KEY:
        for size in (0, 1, 7, 20, 60, 200):
            buffer = rng.integers(0, 256, 400, dtype=np.uint8)
            at, _ = walk(buffer, 0, size, key, ALL)
            assert at >= 0
            buffer[size:] = 0
            assert walk(buffer, 0, size, key, ALL)[0] == at, layer_name(key)


def test_the_table_without_tunnels_is_a_part_of_the_one_with_all():
    assert set(map(tuple, PLAIN)) < set(map(tuple, ALL))
    assert (np.diff(ALL[:, 0]) > 0).all()
    assert {key_of(LINK, 1), key_of(ETHERTYPE, 0x0800)} <= set(PLAIN[:, 0].tolist())


def conversation():
    """Both directions of a TCP conversation: (time, IP packet)."""
    ends = ("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")
    numbers = (40000, 80), (80, 40000)
    for i, (flags, size) in enumerate(
        [(2, 0), (0x12, 0), (0x10, 0), (0x18, 30), (0x18, 90), (0x11, 0), (0x11, 0), (0x10, 0)]
    ):
        yield START + i * 10**7, ipv4(*ends[i % 2], 6, tcp(*numbers[i % 2], flags, bytes(size)))


@pytest.mark.parametrize("name", FRAMES)
def test_a_conversation_is_one_flow_in_every_link_layer(name, tmp_path):
    link, around = FRAMES[name]
    (tmp_path / "a.pcap").write_bytes(pcap([(time, around(packet)) for time, packet in conversation()], link=link))
    extract_flows(tmp_path / "a.pcap", tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["flows/packet_count"][()].tolist() == [8]
        assert file["packets/length"][()].tolist() == [40, 40, 40, 70, 130, 40, 40, 40]
        assert json.loads(file.attrs["skipped"]) == {}


@pytest.mark.parametrize("name", TUNNELLED)
def test_a_mirrored_capture_says_so_and_can_be_unwrapped(name, tmp_path, caplog):
    tunnel, around = TUNNELLED[name]
    (tmp_path / "a.pcap").write_bytes(pcap([(time, around(packet)) for time, packet in conversation()]))
    extract_flows(tmp_path / "a.pcap", tmp_path / "a.h5", unwrap=[tunnel])
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["flows/packet_count"][()].tolist() == [8]
        assert json.loads(file.attrs["warnings"]) == []
    caplog.clear()
    extract_flows(tmp_path / "a.pcap", tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        warning = json.loads(file.attrs["warnings"])[0]
    said = {"erspan": "gre"}.get(tunnel, tunnel)
    assert f"8 of 8 packets are {said.upper()}: only the outer header counts" in warning
    assert tunnel in warning.split("--unwrap ")[1].split()
    assert warning in caplog.text


def test_unknown_layers_are_a_warning_only_where_they_are_many(tmp_path):
    good = [(time, ethernet(packet)) for time, packet in conversation()] * 50
    unknown, arp = mac(0x1234, INNER), mac(0x0806, bytes(46))
    for frame, count, warned in ((unknown, 3, False), (unknown, 5, True), (arp, 300, False)):
        (tmp_path / "a.pcap").write_bytes(pcap(sorted(good + [(START, frame)] * count)))
        extract_flows(tmp_path / "a.pcap", tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5") as file:
            warnings = " ".join(text for text in json.loads(file.attrs["warnings"]) if "layers" in text)
            assert int(file.attrs["unknown_packets"]) == (count if frame is unknown else 0)
        assert bool(warnings) == warned
        assert ("(EtherType 0x1234)" in warnings and f"{count} of {400 + count} packets" in warnings) == warned


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
@pytest.mark.parametrize("name", [name for name in FRAMES if name not in UNLIKE_TSHARK])
def test_tshark_finds_the_same(name, tmp_path):
    link, around = FRAMES[name]
    (tmp_path / "a.pcap").write_bytes(pcap([(time, around(packet)) for time, packet in conversation()], link=link))
    words = ["tshark", "-r", tmp_path / "a.pcap", "-T", "fields", "-E", "separator=,"]
    words += [f"-e{field}" for field in ("ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "ip.len")]
    run = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if "unknown or unsupported" in run.stderr:
        pytest.skip(f"this tshark does not read link type {link}")
    assert run.returncode == 0, run.stderr
    rows = list(csv.reader(run.stdout.splitlines()))
    assert [row[-1] for row in rows] == ["40", "40", "40", "70", "130", "40", "40", "40"]
    assert rows[0][:4] == ["10.0.0.1", "10.0.0.2", "40000", "80"]


def test_udp_is_no_tunnel_without_its_port():
    assert ports(parse(ethernet(ipv4("10.0.0.1", "10.0.0.2", 17, udp(5, 6, bytes(9)))), layers=ALL)[0]) == (5, 6, 37, 9)

"""A second reader of captures, sharing no code with the project: plain struct, one packet at a time.

It recomputes what the copy of a capture must get right: times, lengths, checksums and TCP numbers.
"""

import gzip
import struct
from typing import NamedTuple

import zstandard


class Packet(NamedTuple):
    """time in ns, captured bytes, bytes as sent, link type."""

    time: int
    frame: bytes
    sent: int
    link: int


class Segment(NamedTuple):
    """What stands in a packet; `faults` says in words what is wrong with it."""

    time: int
    ends: tuple
    protocol: int
    sequence: int
    acknowledgement: int
    flags: int
    payload: bytes
    length: int
    blocks: list
    faults: list


def read(path):
    """All packets of a pcap or pcapng file, packed or not."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    elif data[:4] == b"\x28\xb5\x2f\xfd":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return list(pcapng(data) if data[:4] == b"\x0a\x0d\x0d\x0a" else pcap(data))


def pcap(data):
    """Packets of a pcap file."""
    order = "<" if data[0] in (0xD4, 0x4D) else ">"
    tick = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}[struct.unpack_from(f"{order}I", data)[0]]
    (link,) = struct.unpack_from(f"{order}I", data, 20)
    at = 24
    while at < len(data):
        seconds, fraction, captured, sent = struct.unpack_from(f"{order}IIII", data, at)
        assert fraction * tick < 10**9
        yield Packet(seconds * 10**9 + fraction * tick, data[at + 16 : at + 16 + captured], sent, link)
        at += 16 + captured


def pcapng(data):
    """Packets of the enhanced blocks of a pcapng file."""
    at, order, interfaces = 0, "<", []
    while at < len(data):
        kind = struct.unpack_from("<I", data, at)[0]
        if kind == 0x0A0D0D0A:
            order, interfaces = ("<" if data[at + 8] == 0x4D else ">"), []
        kind, size = struct.unpack_from(f"{order}II", data, at)
        assert size % 4 == 0
        assert data[at + 4 : at + 8] == data[at + size - 4 : at + size]
        if kind == 1:
            link, position, resolution = struct.unpack_from(f"{order}H", data, at + 8)[0], at + 16, 6
            while position < at + size - 4:
                code, length = struct.unpack_from(f"{order}HH", data, position)
                if code == 9:
                    resolution = data[position + 4]
                position += 4 + length + -length % 4
            interfaces.append((link, 10**resolution))
        if kind == 6:
            number, high, low, captured, sent = struct.unpack_from(f"{order}IIIII", data, at + 8)
            link, per_second = interfaces[number]
            time = (high << 32 | low) * 10**9 // per_second
            yield Packet(time, data[at + 28 : at + 28 + captured], sent, link)
        at += size


def ones_sum(data):
    """Ones' complement sum of 16-bit words, folded."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def ip_of(packet):
    """The IP packet in a frame, and what follows it; None if there is none."""
    frame, at = packet.frame, 0
    if packet.link == 1:
        at, kind = 14, frame[12:14]
        while kind in (b"\x81\x00", b"\x88\xa8"):
            at, kind = at + 4, frame[at + 2 : at + 4]
        if kind == b"\x88\x64":
            (length,) = struct.unpack_from(">H", frame, at + 4)
            assert length == 2 + len(frame) - at - 8
            at, kind = at + 8, b"\x08\x00"
        if kind not in (b"\x08\x00", b"\x86\xdd"):
            return None
    elif packet.link == 113:
        at = 16
    return frame[at:]


def segment_of(packet):
    """What a packet says, with all lengths and checksums checked; None if it is not TCP, UDP or ICMP whole."""
    ip, faults = ip_of(packet), []
    if ip is None:
        return None
    if ip[0] >> 4 == 4:
        header, length, protocol = 4 * (ip[0] & 15), int.from_bytes(ip[2:4], "big"), ip[9]
        if ones_sum(ip[:header]) != 0xFFFF:
            faults.append("IP checksum")
        addresses = ip[12:20]
    else:
        header, length, protocol, addresses = 40, 40 + int.from_bytes(ip[4:6], "big"), ip[6], ip[8:40]
    if len(ip) < length or len(ip) > max(length, 46):
        faults.append(f"IP length {length} of {len(ip)}")
    body = ip[header:length]
    pseudo = addresses + struct.pack(">II", len(body), protocol)
    if protocol == 1:
        pseudo = b""
    if protocol == 17 and int.from_bytes(body[4:6], "big") != len(body):
        faults.append("UDP length")
    unchecked = protocol == 17 and body[6:8] == bytes(2)
    if protocol in (1, 6, 17, 58) and not unchecked and ones_sum(pseudo + body) != 0xFFFF:
        faults.append("checksum")
    half = len(addresses) // 2
    if protocol != 6:
        ports = struct.unpack_from(">HH", body) if protocol == 17 else (0, 0)
        ends = (addresses[:half], ports[0]), (addresses[half:], ports[1])
        return Segment(packet.time, ends, protocol, 0, 0, 0, body[8:], length, [], faults)
    source, destination, sequence, acknowledgement, word = struct.unpack_from(">HHIIH", body)
    options, blocks = body[20 : 4 * (word >> 12)], []
    while options and options[0]:
        size = 1 if options[0] == 1 else options[1]
        if options[0] == 5:
            blocks = [struct.unpack_from(">II", options, at) for at in range(2, size, 8)]
        options = options[size:]
    ends = (addresses[:half], source), (addresses[half:], destination)
    payload = body[4 * (word >> 12) :]
    return Segment(packet.time, ends, 6, sequence, acknowledgement, word & 0x1FF, payload, length, blocks, faults)


def numbering(segments):
    """What TCP numbers say of each segment: [(gap before it, bytes acknowledged that were not sent), ...]."""
    sent, found = {}, []
    for segment in segments:
        if segment.protocol != 6:
            found.append((False, False))
            continue
        source, destination = segment.ends
        flow, back = (source, destination), (destination, source)
        size = len(segment.payload) + (segment.flags >> 1 & 1) + (segment.flags & 1)
        if flow not in sent or (segment.flags & 2 and sent[flow][0] != segment.sequence):
            sent[flow] = [segment.sequence, 0]
        first, reach = sent[flow]
        start = (segment.sequence - first + 2**31) % 2**32 - 2**31
        gap = start > reach
        sent[flow][1] = max(reach, start + size)
        unseen = False
        if segment.flags & 16 and back in sent:
            first, reach = sent[back]
            numbers = [segment.acknowledgement, *(edge for block in segment.blocks for edge in block)]
            unseen = any((number - first + 2**31) % 2**32 - 2**31 > reach for number in numbers)
        found.append((gap, unseen))
    return found

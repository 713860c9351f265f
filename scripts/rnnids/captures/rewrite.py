"""One captured frame changed: padding at the end of its transport payload, TCP numbers moved, lengths and checksums.

Padding is zero bytes, appended to the payload of TCP, UDP or ICMP; a packet without payload carries data from then on.
What has to change with it changes, and nothing else: lengths of IP and UDP, and of link layers that have one; the
bytes that fill up a small Ethernet frame, which payload takes the place of; sequence and acknowledgement
numbers and SACK blocks as the caller says; checksums; a valid frame check sequence.

A checksum follows from the old one by what the header's words and the length differ (RFC 1624), since zeros add
nothing to it. So it is right where it was right, also where the capture cut the payload off; where the capture shows
that it was wrong, as segmentation and checksum offload leave it, it stays as it is.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnids.captures.frames import find_ip
from rnnids.captures.layers import LINK, key_of, layer_name, layer_table
from rnnids.captures.link_layers import ETHERNET, IEEE802_11, PPPOE, RADIOTAP
from rnnids.captures.packets import AUTHENTICATION, FRAGMENT_HEADER, ICMP, ICMPV6, TCP, UDP, skip_extensions

LAYERS = layer_table()
# Link types between whose beginning and the IP header stand no lengths but those that `link_lengths` knows.
WITHOUT_LENGTHS = (0, 1, 9, 12, 14, 50, 101, 104, 105, 108, 113, 127, 228, 229, 276)
FILLED = 46  # bytes of an Ethernet frame behind its header; shorter ones are filled up
LARGEST = 65535  # what a length field holds
SNAP = bytes((0xAA, 0xAA, 3, 0, 0, 0))  # LLC and SNAP before an EtherType
ONES = 0xFFFF  # ones' complement arithmetic is that of numbers modulo this
END_OPTION, NO_OPTION, SACK_OPTION = 0, 1, 5  # of TCP
CHECKSUM_AT = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}  # bytes into the transport header
# What happened to a checksum; counted by whoever writes the capture.
VERIFIED, UNVERIFIED, WRONG_BEFORE, ABSENT = "verified", "not verifiable", "wrong before", "absent"


class Headers(NamedTuple):
    """Where the headers of a captured frame lie.

    Attributes:
        link: link type. ip, transport: offsets of the two headers in the frame.
        version, protocol: of IP, and what it carries.
        ip_length: bytes of the IP packet as its header says; 0 where segmentation offload left none.
        authenticated: an IPsec authentication header covers the packet.
    """

    link: int
    ip: int
    transport: int
    version: int
    protocol: int
    ip_length: int
    authenticated: bool

    @property
    def end(self) -> int:
        """Offset behind the IP packet as it was sent; that of its header where it has no length."""
        return self.ip + self.ip_length


@dataclass(frozen=True)
class Change:
    """What becomes of a packet.

    Attributes:
        added: bytes of padding.
        sequence, acknowledgement: what is added to these TCP numbers.
        edge: the new number for that of a SACK block's edge.
    """

    added: int = 0
    sequence: int = 0
    acknowledgement: int = 0
    edge: Callable[[int], int] | None = None


def read_headers(frame: bytes, link: int) -> Headers:
    """The headers of a frame that ``packets.parse_packet`` has kept."""
    buffer = np.frombuffer(bytearray(frame), np.uint8)  # writable, as a reader's: else all that parses is compiled anew
    ip = int(find_ip(buffer, 0, len(frame), link, LAYERS)[0])
    if frame[ip] >> 4 == 4:
        length, transport = int.from_bytes(frame[ip + 2 : ip + 4], "big"), ip + 4 * (frame[ip] & 0x0F)
        return Headers(link, ip, transport, 4, frame[ip + 9], length, False)
    length = int.from_bytes(frame[ip + 4 : ip + 6], "big")
    length += 40 if length else 0
    first = frame[ip + 6]
    behind, protocol, _ = skip_extensions(buffer, ip + 40, len(frame), first)
    return Headers(link, ip, int(behind), 6, int(protocol), length, _authenticated(frame, ip + 40, first))


def _authenticated(frame: bytes, at: int, kind: int) -> bool:
    """Whether an authentication header is among the IPv6 extension headers from `at`, the first being `kind`."""
    while kind not in (TCP, UDP, ICMP, ICMPV6):
        if kind == AUTHENTICATION:
            return True
        kind, at = frame[at], at + 8 * (1 if kind == FRAGMENT_HEADER else frame[at + 1] + 1)
    return False


def obstacle(headers: Headers, added: int, frame: bytes) -> str:
    """Why `added` bytes cannot be appended to a packet; empty if they can."""
    if headers.authenticated:
        return "an IPsec authentication header covers it"
    if not added:
        return ""
    if added < 0:
        return "shorter than the original"
    if headers.ip_length == 0:
        return "no IP length (segmentation offload)"
    if headers.ip_length + added > LARGEST + (40 if headers.version == 6 else 0):
        return "longer than 65,535 bytes"
    if link_lengths(frame, headers) is None:
        return f"{layer_name(key_of(LINK, headers.link))} has lengths that are not known"
    return ""


def link_lengths(frame: bytes, headers: Headers) -> list[int] | None:
    """Offsets of the 16-bit big-endian lengths between the frame's start and its IP header; None: not known.

    Besides its place the value tells a length, so that no part of an address is taken for one.
    """
    if headers.link not in WITHOUT_LENGTHS:
        return None
    ip, places = headers.ip, []
    for ppp in (2, 1):  # bytes of its protocol, before which PPPoE says how long both are
        marked = frame[max(ip - ppp - 8, 0) : max(ip - ppp - 6, 0)] == PPPOE.to_bytes(2, "big")
        if marked and frame[ip - ppp - 2 : ip - ppp] == (headers.ip_length + ppp).to_bytes(2, "big"):
            places.append(ip - ppp - 2)
    snap = ip - 8  # a header of 8 bytes behind a length instead of an EtherType
    marked = frame[max(snap, 0) : ip - 2] == SNAP and snap >= 14
    if marked and frame[snap - 2 : snap] == (headers.ip_length + 8).to_bytes(2, "big"):
        places.append(snap - 2)
    return places


def rewrite(frame: bytes, headers: Headers, change: Change, *, original: int, limit: int) -> tuple[bytes, int, str]:
    """A frame with a change made to it.

    Args:
        frame: what was captured of it. original: bytes of the frame as it was sent.
        limit: bytes of a frame that the capture keeps; of one that it kept whole, padding is shown up to this.

    Returns:
        (the new frame as captured, bytes of it as sent, what happened to its checksum).
    """
    data = bytearray(frame)
    end, added, known = headers.end, change.added, len(frame)
    whole = headers.ip_length > 0 and end <= known
    check = _check_sequence(frame, headers) if whole and known == original else None
    verdict = _change_transport(data, headers, change, whole=whole)
    if not added:
        return bytes(data), original, verdict
    _change_lengths(data, headers, added)
    trailer = max(original - end, 0)
    # Padding takes the place of what fills a small Ethernet frame; any other trailer moves behind it.
    filled = headers.link == ETHERNET and original - headers.ip <= FILLED
    left = max(trailer - added, 0) if filled else trailer
    sent = original + added - (trailer - left)
    if not whole:
        return bytes(data), sent, verdict
    data[end:] = bytes(added) + frame[end + trailer - left :]
    if check is not None:
        data[-4:] = zlib.crc32(bytes(data[check:-4])).to_bytes(4, "little")
    return bytes(data[: max(limit, known)] if limit else data), sent, verdict


def _check_sequence(frame: bytes, headers: Headers) -> int | None:
    """Where the bytes begin that a valid frame check sequence at the frame's end covers; None: there is none."""
    if headers.link not in (ETHERNET, IEEE802_11, RADIOTAP) or len(frame) - headers.end < 4:
        return None
    first = int.from_bytes(frame[2:4], "little") if headers.link == RADIOTAP else 0
    return first if zlib.crc32(frame[first:-4]).to_bytes(4, "little") == frame[-4:] else None


def _change_lengths(data: bytearray, headers: Headers, added: int) -> None:
    """Lengths of IP and of the link layer, and the checksum of an IPv4 header."""
    field = headers.ip + (2 if headers.version == 4 else 4)
    for at in (field, *(link_lengths(bytes(data), headers) or ())):
        data[at : at + 2] = (int.from_bytes(data[at : at + 2], "big") + added).to_bytes(2, "big")
    if headers.version == 4:
        header = bytes(data[headers.ip : headers.transport])
        if (_sum(header) - added) % ONES == 0:
            _move_checksum(data, headers.ip + 10, added)


def _change_transport(data: bytearray, headers: Headers, change: Change, *, whole: bool) -> str:
    """Numbers and lengths of the transport header, and its checksum; returns what happened to that."""
    start, protocol, added = headers.transport, headers.protocol, change.added
    size = 8 if protocol != TCP else 4 * (data[start + 12] >> 4)
    before = bytes(data[start : start + size])
    segment = bytes(data[start : headers.end])
    if protocol == TCP:
        _add(data, start + 4, change.sequence)
        _add(data, start + 8, change.acknowledgement)
        if change.edge is not None:
            _move_blocks(data, start + 20, min(start + size, len(data)), change.edge)
    fills = protocol == UDP and int.from_bytes(before[4:6], "big") == headers.ip_length + headers.ip - start
    if fills:
        data[start + 4 : start + 6] = (headers.ip_length + headers.ip - start + added).to_bytes(2, "big")
    if protocol == UDP and not fills:
        added = 0  # the datagram ends before the packet does, so padding lies behind it
    difference = _sum(bytes(data[start : start + size])) - _sum(before) + (added if protocol != ICMP else 0)
    place = start + CHECKSUM_AT[protocol]
    stored = int.from_bytes(data[place : place + 2], "big")
    if len(data) < place + 2 or (protocol == UDP and stored == 0):
        return ABSENT
    if whole and not _is_valid(segment, data, headers):
        return WRONG_BEFORE
    _move_checksum(data, place, difference, udp=protocol == UDP)
    return VERIFIED if whole else UNVERIFIED


def _add(data: bytearray, at: int, amount: int) -> None:
    if amount:
        data[at : at + 4] = ((int.from_bytes(data[at : at + 4], "big") + amount) % (1 << 32)).to_bytes(4, "big")


def _move_blocks(data: bytearray, at: int, end: int, edge: Callable[[int], int]) -> None:
    """Give the SACK blocks among the TCP options in ``data[at:end]`` new edges."""
    while at + 1 < end and data[at] != END_OPTION:
        if data[at] == NO_OPTION:
            at += 1
            continue
        size = data[at + 1]
        if size < 2 or at + size > end:
            return
        if data[at] == SACK_OPTION:
            for place in range(at + 2, at + size - 3, 4):
                data[place : place + 4] = edge(int.from_bytes(data[place : place + 4], "big")).to_bytes(4, "big")
        at += size


def _sum(data: bytes) -> int:
    """Ones' complement sum of 16-bit words, modulo ``ONES``, of data that begins at an even byte."""
    return int.from_bytes(data + b"\0" * (len(data) % 2), "big") % ONES


def _is_valid(segment: bytes, data: bytearray, headers: Headers) -> bool:
    """Whether the checksum of TCP, UDP or ICMP in `segment`, all behind the IP headers of `data`, is right."""
    if headers.protocol == ICMP:
        return _sum(segment) == 0
    if headers.protocol == UDP:
        segment = segment[: int.from_bytes(segment[4:6], "big")]
    first, size = (12, 8) if headers.version == 4 else (8, 32)
    addresses = bytes(data[headers.ip + first : headers.ip + first + size])
    return (_sum(segment) + _sum(addresses) + headers.protocol + len(segment)) % ONES == 0


def _move_checksum(data: bytearray, place: int, difference: int, *, udp: bool = False) -> None:
    """Lower a checksum by what the words that it covers have grown."""
    value = (int.from_bytes(data[place : place + 2], "big") - difference) % ONES
    data[place : place + 2] = (value or (ONES if udp else 0)).to_bytes(2, "big")

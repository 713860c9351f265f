"""From a captured frame to what a flow needs: addresses, ports, IP length and TCP flags.

Where the IP header begins is the affair of :mod:`rnnids.captures.frames`. A packet counts as what its outer IP header
says, unless :mod:`rnnids.captures.unwrap` is asked for what it carries.

What is left out, as the paper's extractor does: every IP fragment, the first included (the others
have no ports), and every protocol but TCP, UDP and ICMP. Two differences: a packet whose TCP
*options* the capture cut off is kept, since nothing that is needed is missing; and IPv6 fragments are left
out like those of IPv4, unless the header says that the fragment is the whole packet.
ICMP has source port 0 and destination port 256 * type + code.
"""

import secrets

import numpy as np

from rnnids.captures.compiled import Integer, Record, big16, big32, big64, borrowed
from rnnids.captures.frames import UNCOMMON, common_ip, find_ip
from rnnids.captures.layers import IP_PROTOCOL, key_of
from rnnids.captures.reasons import (
    FRAGMENT,
    IP_MALFORMED,
    IP_TRUNCATED,
    KEPT,
    REASON_BITS,
    TRANSPORT_MALFORMED,
    TRANSPORT_TRUNCATED,
    TRANSPORT_UNSUPPORTED,
)
from rnnids.captures.skipped import count_skipped
from rnnids.machine_code import njit

PACKET = np.dtype(
    [
        ("source_high", "u8"),  # addresses as two big-endian halves, IPv4 as ::ffff:a.b.c.d
        ("source_low", "u8"),
        ("destination_high", "u8"),
        ("destination_low", "u8"),
        ("hash", "u8"),  # of the flow's key
        ("time", "i8"),
        ("length", "u4"),
        ("source_port", "u2"),
        ("destination_port", "u2"),
        ("flags", "u2"),
        ("payload_length", "u2"),
        ("protocol", "u1"),
    ],
    align=True,
)
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58  # IP protocol numbers
HOP_BY_HOP, ROUTING, FRAGMENT_HEADER, AUTHENTICATION, DESTINATION_OPTIONS = 0, 43, 44, 51, 60
MOBILITY, HIP, SHIM6 = 135, 139, 140
LARGEST_PAYLOAD = 65535  # bytes that the column holds; more only where segmentation offload left no IP length
MAPPED = 0xFFFF << 32  # ::ffff:0:0/96
OF_PROTOCOL = key_of(IP_PROTOCOL, 0)
HASH_KEYS = 6  # numbers that a hash of flows is drawn by


def draw_keys() -> np.ndarray:
    """(HASH_KEYS,) random uint64: which flows share a slot of the table must not be known to whoever made a capture."""
    return np.frombuffer(secrets.token_bytes(8 * HASH_KEYS), np.uint64)


@njit(cache=True, nogil=True, inline="always")
def parse_transport(
    buffer: np.ndarray, at: Integer, end: Integer, left: Integer, protocol: Integer, packet: Record
) -> Integer:
    """Fill protocol, ports, flags and payload length of `packet`; returns the verdict.

    `left` is what the IP length leaves for transport header and payload, in bytes. The payload length follows from it,
    not from what was captured or from a UDP length (see ``flows.columns``).
    """
    packet.protocol = protocol
    packet.flags = 0
    header: Integer = 8  # of UDP and ICMP
    if protocol == TCP:
        if at + 20 > end:
            return TRANSPORT_TRUNCATED
        word = big16(buffer, at + 12)  # data offset and flags
        header = word >> 12 << 2
        if header < 20:
            return TRANSPORT_MALFORMED
        packet.flags = word & 0x1FF
    elif protocol == UDP:
        if at + 8 > end:
            return TRANSPORT_TRUNCATED
    elif protocol in (ICMP, ICMPV6):
        if at + (8 if protocol == ICMP else 4) > end:
            return TRANSPORT_TRUNCATED
    else:
        return TRANSPORT_UNSUPPORTED
    packet.payload_length = min(max(left - header, 0), LARGEST_PAYLOAD)
    if protocol in (ICMP, ICMPV6):
        packet.source_port = 0
        packet.destination_port = big16(buffer, at)
        return KEPT
    packet.source_port = big16(buffer, at)
    packet.destination_port = big16(buffer, at + 2)
    return KEPT


@njit(cache=True, nogil=True, inline="always")
def parse_ipv4(buffer: np.ndarray, at: Integer, end: Integer, wire_length: Integer, packet: Record) -> Integer:
    """Fill `packet` from the IPv4 packet in ``buffer[at:end]``; returns the verdict.

    `wire_length` stands in for a total length of 0, which segmentation offload leaves behind.
    """
    if at + 20 > end:
        return IP_TRUNCATED
    header = np.int64(buffer[at] & 0x0F) * 4
    length = big16(buffer, at + 2)
    if length == 0:
        length = wire_length
    if header < 20 or length < header:
        return IP_MALFORMED
    if big16(buffer, at + 6) & 0x3FFF != 0:  # more fragments, or an offset
        return FRAGMENT
    if at + header > end:
        return IP_TRUNCATED
    packet.source_high = 0
    packet.source_low = np.uint64(MAPPED) | big32(buffer, at + 12)
    packet.destination_high = 0
    packet.destination_low = np.uint64(MAPPED) | big32(buffer, at + 16)
    packet.length = length
    protocol: Integer = buffer[at + 9]  # type: ignore[assignment]  # numpy's stubs take the sum for an array
    return parse_transport(buffer, at + header, min(end, at + length), length - header, protocol, packet)


@njit(cache=True, nogil=True)
def skip_extensions(buffer: np.ndarray, at: Integer, end: Integer, kind: Integer) -> tuple[Integer, Integer, Integer]:
    """Pass the IPv6 extension headers from `at`, the first being `kind`; returns (offset, protocol, reason)."""
    while True:
        if kind == FRAGMENT_HEADER:
            if at + 8 > end:
                return at, kind, IP_TRUNCATED
            if big16(buffer, at + 2) & 0xFFF9 != 0:
                return at, kind, FRAGMENT
            size: Integer = 8
        elif kind == AUTHENTICATION:
            size = 4 * (np.int64(buffer[at + 1]) + 2) if at + 2 <= end else 8
        elif kind in (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, MOBILITY, HIP, SHIM6):
            size = 8 * (np.int64(buffer[at + 1]) + 1) if at + 2 <= end else 8
        else:
            return at, kind, KEPT
        if at + size > end:
            return at, kind, IP_TRUNCATED
        kind = buffer[at]
        at += size


@njit(cache=True, nogil=True)
def parse_ipv6(buffer: np.ndarray, at: Integer, end: Integer, wire_length: Integer, packet: Record) -> Integer:
    """Fill `packet` from the IPv6 packet in ``buffer[at:end]``; returns the verdict.

    The length is payload plus 40 bytes of header, so that it means the same as in IPv4. A payload
    length of 0 (segmentation offload, jumbogram) is replaced as in :func:`parse_ipv4`.
    """
    if at + 40 > end:
        return IP_TRUNCATED
    payload = big16(buffer, at + 4)
    length = payload + 40 if payload > 0 else max(wire_length, 40)
    packet.source_high = big64(buffer, at + 8)
    packet.source_low = big64(buffer, at + 16)
    packet.destination_high = big64(buffer, at + 24)
    packet.destination_low = big64(buffer, at + 32)
    packet.length = length
    start, stop = at, min(end, at + length)
    first: Integer = buffer[at + 6]  # type: ignore[assignment]  # as in parse_ipv4
    at, protocol, reason = skip_extensions(buffer, at + 40, stop, first)
    if reason != KEPT:
        return reason
    return parse_transport(buffer, at, stop, length - (at - start), protocol, packet)


@njit(cache=True, nogil=True, inline="always")
def parse_ip(buffer: np.ndarray, at: Integer, end: Integer, wire_length: Integer, packet: Record) -> Integer:
    """Fill `packet` from the IP packet in ``buffer[at:end]``; returns the verdict."""
    if at >= end:
        return IP_TRUNCATED
    version = buffer[at] >> 4
    if version == 4:
        return parse_ipv4(buffer, at, end, wire_length, packet)
    if version == 6:
        return parse_ipv6(buffer, at, end, wire_length, packet)
    return IP_MALFORMED


@njit(cache=True, nogil=True)
def parse_packet(buffer: np.ndarray, record: Record, packet: Record, layers: np.ndarray) -> Integer:
    """Fill `packet` from the frame that `record` lists; returns the verdict (:mod:`rnnids.captures.frames`)."""
    if record.problem != KEPT:
        return record.problem
    end = record.offset + record.captured
    at, verdict = find_ip(buffer, record.offset, end, record.link, layers)
    if verdict != KEPT:
        return verdict
    packet.time = record.time
    wire_length = max(record.original, record.captured) - (at - record.offset)
    return parse_ip(buffer, at, end, wire_length, packet)


@njit(cache=True, nogil=True, inline="always")
def mix(word: Integer) -> Integer:
    """Spread the bits of a 64-bit word (the finaliser of MurmurHash3)."""
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return word ^ (word >> np.uint64(33))


@njit(cache=True, nogil=True, inline="always")
def hash_end(high: Integer, low: Integer, port: Integer, keys: np.ndarray) -> Integer:
    """Hash of one end of a flow: Thorup's pair-multiply (arXiv:1504.06804, Sec. 3.4), then one round of mixing.

    Before the mixing, two ends that differ agree in the upper half once in 2**32 choices of `keys`, whatever they are.
    """
    half, bits = np.uint64(0xFFFFFFFF), np.uint64(32)
    value = (keys[0] + (high >> bits)) * (keys[1] + (high & half)) + keys[4] * port
    value += (keys[2] + (low >> bits)) * (keys[3] + (low & half))
    value = (value ^ (value >> bits)) * np.uint64(0xFF51AFD7ED558CCD)
    return value ^ (value >> bits)


@njit(cache=True, nogil=True, inline="always")
def hash_key(flow: Record, keys: np.ndarray) -> Integer:
    """Hash of the 5-tuple of a FLOW or PACKET, the same in both directions; `keys` as of :func:`draw_keys`."""
    source, destination = np.uint64(flow.source_port), np.uint64(flow.destination_port)
    extra = np.uint64(flow.protocol)
    if flow.protocol == ICMP or flow.protocol == ICMPV6:
        extra |= destination << np.uint64(8)
        destination = source = np.uint64(0)
    one = hash_end(flow.source_high, flow.source_low, source, keys)
    other = hash_end(flow.destination_high, flow.destination_low, destination, keys)
    return mix(one + other + extra * keys[5])


@njit(cache=True, nogil=True)
def with_protocol(verdict: Integer, packet: Record) -> Integer:
    """The verdict with the IP protocol, where that is why the packet is left out."""
    if verdict == TRANSPORT_UNSUPPORTED:
        return verdict | (OF_PROTOCOL | np.int64(packet.protocol)) << REASON_BITS
    return verdict


@njit(cache=True, nogil=True, inline="always")
def keep_or_count(
    verdict: Integer, packets: np.ndarray, count: Integer, counts: np.ndarray, keys: np.ndarray
) -> Integer:
    """Hash the packet at `count`, or count it as left out where the verdict says so; returns how many are kept."""
    if verdict == KEPT:
        packets[count].hash = hash_key(packets[count], keys)
        return count + 1
    count_skipped(counts, with_protocol(verdict, packets[count]))
    return count


@njit(cache=True, nogil=True)
def parse_common(
    buffer: np.ndarray, records: np.ndarray, packets: np.ndarray, first: Integer, count: Integer, keys: np.ndarray
) -> tuple[Integer, Integer]:
    """Fill `packets` from `count` on with the frames of `records` from `first` on, up to one that needs a closer look.

    That is one of an uncommon link layer, or to be left out. What it needs is no part of this loop: a call in it that
    is hardly ever made would slow all packets down.

    Returns:
        (its index, number of packets kept)
    """
    buffer, records, packets, keys = borrowed(buffer), borrowed(records), borrowed(packets), borrowed(keys)
    for i in range(first, len(records)):
        record, packet = records[i], packets[count]
        end = record.offset + record.captured
        at = common_ip(buffer, record.offset, end, record.link)
        if at == UNCOMMON or record.problem != KEPT:
            return i, count
        packet.time = record.time
        wire_length = max(record.original, record.captured) - (at - record.offset)
        if parse_ip(buffer, at, end, wire_length, packet) != KEPT:
            return i, count
        packet.hash = hash_key(packet, keys)
        count += 1
    return len(records), count


@njit(cache=True, nogil=True)
def parse_batch(
    buffer: np.ndarray,
    records: np.ndarray,
    packets: np.ndarray,
    counts: np.ndarray,
    layers: np.ndarray,
    keys: np.ndarray,
) -> Integer:
    """Fill `packets` from the frames of `records`, counting in `counts` those left out.

    Args:
        buffer: (B,) uint8.
        records: (n,) ``records.RECORD`` whose bytes lie within `buffer`.
        packets: (n,) ``PACKET``, written from the front.
        counts: of ``skipped.new_counts``, added to.
        layers: of ``layers.layer_table``, without tunnels.
        keys: of the hashes, as of :func:`draw_keys`.

    Returns:
        Number of packets kept.
    """
    buffer, records, packets = borrowed(buffer), borrowed(records), borrowed(packets)
    layers, keys = borrowed(layers), borrowed(keys)
    i, count = parse_common(buffer, records, packets, 0, 0, keys)
    while i < len(records):
        verdict = parse_packet(buffer, records[i], packets[count], layers)
        count = keep_or_count(verdict, packets, count, counts, keys)
        i, count = parse_common(buffer, records, packets, i + 1, count, keys)
    return count

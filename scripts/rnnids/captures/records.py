"""Walk over the packet records of pcap and pcapng bytes: the compiled half of :mod:`rnnids.captures.pcap`.

No byte is read without a check that it lies in the buffer: captures come from strangers.
"""

import numpy as np

from rnnids.captures.compiled import Integer, Record, borrowed
from rnnids.captures.reasons import BAD_TIME, KEPT, NO_INTERFACE, NO_TIME
from rnnids.machine_code import njit

# One captured packet; `offset` and `captured` say where its bytes lie in the buffer, `problem` is a reason or KEPT.
RECORD = np.dtype(
    [("offset", "i8"), ("time", "i8"), ("captured", "i8"), ("original", "i8"), ("link", "i4"), ("problem", "i4")]
)
INTERFACE = np.dtype([("link", "i4"), ("snaplen", "u4"), ("ticks", "u8"), ("epoch", "i8")])
# What stopped a walk.
BATCH_FULL, NEED_MORE, DESCRIPTION, CORRUPT = range(4)

MAX_CAPTURED = 262_144  # bytes of a packet; libpcap's limit, above it a record header is damaged
MAX_BLOCK = 16 << 20  # bytes of a pcapng block; libpcap's limit too
MAX_SECONDS = 9_000_000_000  # keeps nanoseconds since 1970, and their differences, in 64 bits
SECOND = 1_000_000_000  # nanoseconds

PCAPNG_MAGIC = 0x0A0D0D0A
INTERFACE_BLOCK, OLD_PACKET_BLOCK, SIMPLE_BLOCK, ENHANCED_BLOCK = 1, 2, 3, 6


@njit(cache=True, nogil=True, inline="always")
def load32(buffer: np.ndarray, at: Integer, big: bool) -> Integer:
    """Unsigned 32-bit number at byte `at`."""
    at = np.uint64(at)  # as in link_layers.py: one load instead of four
    b0, b1 = np.int64(buffer[at]), np.int64(buffer[at + np.uint64(1)])
    b2, b3 = np.int64(buffer[at + np.uint64(2)]), np.int64(buffer[at + np.uint64(3)])
    if big:
        return (b0 << 24) | (b1 << 16) | (b2 << 8) | b3
    return (b3 << 24) | (b2 << 16) | (b1 << 8) | b0


@njit(cache=True, nogil=True)
def walk_pcap(
    buffer: np.ndarray,
    at: Integer,
    end: Integer,
    big: bool,
    tick: Integer,
    header: Integer,
    link: Integer,
    records: np.ndarray,
) -> tuple[Integer, Integer, Integer]:
    """List the pcap records that lie whole in ``buffer[at:end]``.

    Args:
        buffer: (B,) uint8.
        big: whether numbers are big-endian.
        tick, header: nanoseconds of the fraction's unit, bytes of a record header.
        link: link type, noted in each record.
        records: (n,) ``RECORD``, filled from the front.

    Returns:
        (number of records listed, offset of the next byte to read, what stopped the walk)
    """
    buffer, records = borrowed(buffer), borrowed(records)
    count = 0
    while count < len(records):
        if at + header > end:
            return count, at, NEED_MORE
        captured = load32(buffer, at + 8, big)
        if captured > MAX_CAPTURED:
            return count, at, CORRUPT
        if at + header + captured > end:
            return count, at, NEED_MORE
        record = records[count]
        record.offset = at + header
        record.time = load32(buffer, at, big) * SECOND + load32(buffer, at + 4, big) * tick
        record.captured = captured
        record.original = load32(buffer, at + 12, big)
        record.link = link
        record.problem = KEPT
        at += header + captured
        count += 1
    return count, at, BATCH_FULL


@njit(cache=True, nogil=True)
def set_time(record: Record, high: Integer, low: Integer, interface: Record) -> None:
    """Nanoseconds since 1970 of a 64-bit number of ticks of 1/`interface.ticks` s."""
    ticks = interface.ticks
    stamp = (np.uint64(high) << np.uint64(32)) | np.uint64(low)
    seconds = np.int64(min(stamp // ticks, np.uint64(MAX_SECONDS + 1)))
    seconds += interface.epoch
    if seconds < 0 or seconds > MAX_SECONDS:
        record.problem = BAD_TIME
        return
    rest = stamp % ticks
    if ticks % np.uint64(SECOND) == 0:
        fraction = rest // (ticks // np.uint64(SECOND))
    else:
        coarse = max(np.uint64(1), ticks >> np.uint64(33))  # or the product would overflow
        fraction = rest // coarse * np.uint64(SECOND) // (ticks // coarse)
    record.time = seconds * SECOND + np.int64(fraction)


@njit(cache=True, nogil=True)
def read_packet_block(
    buffer: np.ndarray, at: Integer, length: Integer, kind: Integer, big: bool, interfaces: np.ndarray, record: Record
) -> bool:
    """Fill `record` from the pcapng packet block at `at`; False if its lengths contradict each other."""
    record.problem = KEPT
    record.time = 0
    if kind == SIMPLE_BLOCK:
        record.problem = NO_TIME
        record.offset = at + 12
        record.original = load32(buffer, at + 8, big)
        record.captured = min(record.original, length - 16)
        if len(interfaces) > 0 and interfaces[0].snaplen > 0:
            record.captured = min(record.captured, np.int64(interfaces[0].snaplen))
        record.link = interfaces[0].link if len(interfaces) > 0 else -1
        return True
    if length < 32:
        return False
    record.offset = at + 28
    record.captured = load32(buffer, at + 20, big)
    record.original = load32(buffer, at + 24, big)
    if record.captured > min(length - 32, MAX_CAPTURED):
        return False
    number = load32(buffer, at + 8, big)
    if kind == OLD_PACKET_BLOCK:  # 16 bits of interface, 16 of drop count
        number = number >> 16 if big else number & 0xFFFF
    if number >= len(interfaces):
        record.link = -1
        record.problem = NO_INTERFACE
        return True
    record.link = interfaces[number].link
    set_time(record, load32(buffer, at + 12, big), load32(buffer, at + 16, big), interfaces[number])
    return True


@njit(cache=True, nogil=True)
def walk_pcapng(
    buffer: np.ndarray, at: Integer, end: Integer, big: bool, interfaces: np.ndarray, records: np.ndarray
) -> tuple[Integer, Integer, Integer]:
    """List the packet blocks that lie whole in ``buffer[at:end]``, up to the next description block.

    Args:
        buffer: (B,) uint8.
        big: whether numbers are big-endian.
        interfaces: (k,) ``INTERFACE`` of the section, in the order of their blocks.
        records: (n,) ``RECORD``, filled from the front.

    Returns:
        (number of records listed, offset of the next byte to read, what stopped the walk)
    """
    buffer, records, interfaces = borrowed(buffer), borrowed(records), borrowed(interfaces)
    count = 0
    while count < len(records):
        if at + 12 > end:
            return count, at, NEED_MORE
        kind = load32(buffer, at, big)
        if kind == PCAPNG_MAGIC:
            return count, at, DESCRIPTION
        length = load32(buffer, at + 4, big)
        if length < 12 or length % 4 != 0 or length > MAX_BLOCK:
            return count, at, CORRUPT
        if at + length > end:
            return count, at, NEED_MORE
        if load32(buffer, at + length - 4, big) != length:
            return count, at, CORRUPT
        if kind == INTERFACE_BLOCK:
            return count, at, DESCRIPTION
        if kind in (ENHANCED_BLOCK, OLD_PACKET_BLOCK) or (kind == SIMPLE_BLOCK and length >= 16):
            if not read_packet_block(buffer, at, length, kind, big, interfaces, records[count]):
                return count, at, CORRUPT
            count += 1
        at += length
    return count, at, BATCH_FULL

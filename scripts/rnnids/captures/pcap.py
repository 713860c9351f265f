"""Packet records out of pcap and pcapng files, in one pass over a fixed buffer.

Both byte orders, micro- and nanoseconds, the wide records of the "modified" pcap; in pcapng
several sections, interfaces, link types and time resolutions (``if_tsresol``, ``if_tsoffset``).
The walk over the records is compiled (:mod:`rnnids.captures.records`); the few blocks that describe a
file (headers, interfaces) are read in Python. What a damaged file still holds is delivered, and where
it broke is a warning.
"""

import contextlib
import io
import os
import select
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rnnids.captures.compression import DamagedStreamError, PipeFile, open_member, open_stream
from rnnids.captures.records import (
    BATCH_FULL,
    CORRUPT,
    DESCRIPTION,
    INTERFACE,
    INTERFACE_BLOCK,
    MAX_BLOCK,
    MAX_SECONDS,
    NEED_MORE,
    PCAPNG_MAGIC,
    RECORD,
    SECOND,
    load32,
    walk_pcap,
    walk_pcapng,
)
from rnnids.errors import InputError

BUFFER = 1 << 19  # bytes; grows for the rare pcapng block that needs more
BATCH = 4096  # records handed over at a time
STANDARD_INPUT = "-"
# Bytes of section headers and interface descriptions, each counted as so many more: beyond, a file is not read on. They
# are read in Python, and a million bytes of gzip can hold fifty million interfaces, minutes of nothing.
DESCRIBED, EACH = 64 << 20, 64

PCAP_MAGICS = {  # as little-endian number: nanoseconds per tick, bytes of a record header
    0xA1B2C3D4: (1000, 16),
    0xA1B23C4D: (1, 16),
    0xA1B2CD34: (1000, 24),
}
BYTE_ORDER_MAGIC = 0x1A2B3C4D
OPTION_TSRESOL, OPTION_TSOFFSET = 9, 14


def parse_interface(body: bytes, order: str) -> tuple[int, int, int, int]:
    """The fields of an ``INTERFACE`` from the body of an interface description block (without its framing)."""
    link, _, snaplen = struct.unpack_from(f"{order}HHI", body)
    ticks, epoch = 1_000_000, 0
    at = 8
    while at + 4 <= len(body):
        code, size = struct.unpack_from(f"{order}HH", body, at)
        value = body[at + 4 : at + 4 + size]
        if code == 0 or len(value) < size:
            break
        if code == OPTION_TSRESOL and size == 1:
            ticks = 2 ** min(value[0] & 0x7F, 63) if value[0] & 0x80 else 10 ** min(value[0], 19)
        if code == OPTION_TSOFFSET and size == 8:
            (epoch,) = struct.unpack(f"{order}q", value)
        at += 4 + size + (-size % 4)
    epoch = max(-2 * MAX_SECONDS, min(2 * MAX_SECONDS, epoch))  # out of range either way, without overflow
    return link, snaplen, ticks, epoch


class Capture:
    """A capture file being read.

    Attributes:
        packets_read: records delivered so far.
        resolution_ns: nanoseconds per tick of the finest clock in the file, None as long as no interface is known.
        warnings: what was found damaged, as sentences with byte offsets.
        link, snaplen: link type of a pcap file and the bytes of a packet that it keeps; in pcapng, None and 0 (there
            each interface has its own).
        path, size: where it is, for messages (archive!member in an archive); bytes of the file.
    """

    def __init__(self, path: Path | str, file: io.RawIOBase, size: int) -> None:
        self.path, self.file, self.size = path, file, size
        self.stream, self.compression = open_stream(file)
        self.buffer = np.empty(BUFFER, np.uint8)
        self.at = self.end = self.base = 0  # next byte, end of data, place of buffer[0] in the stream
        self.exhausted = self.damaged = False
        self.packets_read = self.described = 0  # the latter as DESCRIBED counts
        self.warnings: list[str] = []
        self.interfaces, self.interface_count = np.empty(8, INTERFACE), 0
        self.resolution_ns: int | None = None
        self.link: int | None = None
        self.snaplen = 0
        self.big, self.record_header = False, 0  # whether numbers are big-endian; bytes, of pcap
        self._read_magic()

    def place(self) -> str:
        """The offset of the next byte, in words."""
        within = f" of the {self.compression} content" if self.compression else ""
        return f"byte {self.base + self.at:,}{within}"

    def position(self) -> int:
        """Bytes of the file (compressed, if it is) read so far."""
        return self.file.tell()

    def waits(self) -> bool:
        """Whether the next bytes are still to come, as they do through a pipe from a capture that goes on."""
        return isinstance(self.file, PipeFile) and not select.select([self.file], [], [], 0)[0]

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (buffer, (n,) RECORD array) until the file ends or breaks; both are reused."""
        for _, records in self.pieces():
            if len(records):
                yield self.buffer, records

    def pieces(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (slice of :attr:`buffer`, (n,) RECORD array): every byte that makes sense, with the packets among them.

        The file's header, and each section header and interface description, is a piece of its own without packets.
        Both the buffer and the records are reused.
        """
        records = np.empty(BATCH, RECORD)
        yield slice(0, self.at), records[:0]
        stop = BATCH_FULL
        while stop != CORRUPT:
            first = self.at
            count, self.at, stop = self._walk(records)
            self.packets_read += count
            yield slice(first, self.at), records[:count]
            if stop == DESCRIPTION:
                length = self._read_description()
                if length:
                    yield slice(self.at - length, self.at), records[:0]
                else:
                    stop = CORRUPT
            if stop == NEED_MORE and not self._fill():
                if self.at < self.end and not self.damaged:
                    self._warn("the file ends inside a record")
                return
        endless = self.described > DESCRIBED
        what = "too many sections and interfaces" if endless else "the record header makes no sense"
        self._warn(f"{what}; the rest of the file is not read")

    def _walk(self, records: np.ndarray) -> tuple[int, int, int]:
        if self.link is None:
            interfaces = self.interfaces[: self.interface_count]
            count, at, stop = walk_pcapng(self.buffer, self.at, self.end, self.big, interfaces, records)
        else:
            tick = self.resolution_ns or 1
            layout = (self.big, tick, self.record_header, self.link)
            count, at, stop = walk_pcap(self.buffer, self.at, self.end, *layout, records)
        return int(count), int(at), int(stop)

    def _warn(self, what: str) -> None:
        self.warnings.append(f"{self.place()}: {what} ({self.packets_read:,} packets read before)")

    def _fill(self) -> bool:
        """Read more bytes behind those not used yet; False at the end of the file."""
        if self.exhausted:
            return False
        self._make_room()
        try:
            size = self.stream.readinto(self.buffer[self.end :].data)
        except DamagedStreamError as damage:
            self.exhausted = self.damaged = True
            self._warn(str(damage))
            return False
        except OSError as error:
            raise InputError(f"{self.path}: {self.place()}: cannot read ({error.strerror}); check the disk") from error
        self.end += size
        self.exhausted = size == 0
        return size > 0

    def _make_room(self) -> None:
        """Have room behind the bytes not used yet; a byte is moved once at most for each byte used, or with a growth.

        So a stream of small pieces does not move the beginning of a large block for each of them.
        """
        rest = self.end - self.at
        if self.at >= rest:
            target = self.buffer
        elif self.end == len(self.buffer):
            target = np.empty(2 * len(self.buffer), np.uint8)
        else:
            return
        target[:rest] = self.buffer[self.at : self.end]
        self.buffer, self.base, self.at, self.end = target, self.base + self.at, 0, rest

    def _need(self, size: int) -> bool:
        """Have at least `size` bytes in the buffer; False if the file ends before."""
        while self.end - self.at < size:
            if not self._fill():
                return False
        return True

    def _take(self, size: int) -> bytes:
        self.at += size
        return self.buffer[self.at - size : self.at].tobytes()

    def _read_magic(self) -> None:
        remedy = "give a pcap or pcapng file (plain, gzip or zstd)"
        if not self._need(4):
            cause = "; ".join(self.warnings) or "the file is empty" * (self.end == 0) or "too short for a capture"
            raise InputError(f"{self.path}: byte {self.end}: {cause}; {remedy}")
        magic = self.buffer[:4].tobytes()
        if int.from_bytes(magic, "little") == PCAPNG_MAGIC:
            if not self._read_description():
                raise InputError(f"{self.path}: byte 0: the pcapng section header is cut or damaged; {remedy}")
            return
        for number, big in ((int.from_bytes(magic, "little"), False), (int.from_bytes(magic, "big"), True)):
            if number in PCAP_MAGICS:
                self.big = big
                self.resolution_ns, self.record_header = PCAP_MAGICS[number]
                if not self._need(24):
                    raise InputError(f"{self.path}: byte {self.end}: the file ends inside the pcap header; {remedy}")
                self.snaplen, self.link = struct.unpack_from(">II" if big else "<II", self._take(24), 16)
                self.link &= 0xFFFF  # the upper half tells of frame check sequences
                return
        raise InputError(f"{self.path}: byte 0: not a capture (it starts with {magic.hex(' ')}); {remedy}")

    def _read_description(self) -> int:
        """Read the section header or interface description at hand; returns its bytes, 0 if it makes no sense."""
        if not self._need(12):
            return 0
        if load32(self.buffer, self.at, False) == PCAPNG_MAGIC:
            for big in (False, True):
                if load32(self.buffer, self.at + 8, big) == BYTE_ORDER_MAGIC:
                    self.big, self.interface_count = big, 0
                    break
            else:
                return 0
        kind, length = (int(load32(self.buffer, self.at + place, self.big)) for place in (0, 4))
        minimum = 20 if kind == INTERFACE_BLOCK else 28
        if not minimum <= length <= MAX_BLOCK or length % 4 or not self._need(length):
            return 0
        self.described += EACH + length
        if self.described > DESCRIBED:
            return 0
        body = self._take(length)[8:-4]
        if kind == INTERFACE_BLOCK:
            self._add_interface(parse_interface(body, ">" if self.big else "<"))
        return length

    def _add_interface(self, interface: tuple[int, int, int, int]) -> None:
        if self.interface_count == len(self.interfaces):
            self.interfaces = np.concatenate([self.interfaces, np.empty_like(self.interfaces)])
        self.interfaces[self.interface_count] = interface
        self.interface_count += 1
        resolution = max(1, SECOND // interface[2])
        self.resolution_ns = min(resolution, self.resolution_ns or resolution)


def check_readable(path: Path | str) -> None:
    """Raise InputError where there is no file, or where it may not be read."""
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; check the path")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: may not be read; check permissions")


@contextlib.contextmanager
def open_capture(path: Path | str, member: str | None = None) -> Iterator[Capture]:
    """Open the capture `path`, or `member` of the zip archive `path`: ``with open_capture(path) as capture``.

    Args:
        path: "-" is standard input.

    Raises:
        InputError: no such file or member, no permission, not a capture, or a terminal as standard input.
    """
    if str(path) == STANDARD_INPUT and member is None:
        if os.isatty(0):
            raise InputError("standard input: a terminal, not a capture; pipe one into it, as of tcpdump -U -w -")
        with PipeFile(0) as pipe:
            yield Capture("standard input", pipe, 0)
        return
    check_readable(path)
    if member is not None:
        with open_member(path, member) as (file, size):
            yield Capture(f"{path}!{member}", file, size)
        return
    with open(path, "rb", buffering=0) as file:
        yield Capture(path, file, os.path.getsize(path))

"""A capture written again, some of its packets changed or delayed: everything else goes over byte by byte.

What is no packet (headers, interfaces, names, statistics, comments) stays where it is. A delayed packet waits until its
time has come, so that the copy is as well ordered as the original; what waits lies in memory up to ``IN_MEMORY``, then
in a temporary file. In pcapng nothing waits beyond the end of its section, whose interfaces it refers to.
"""

import contextlib
import gzip
import heapq
import struct
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import zstandard

from rnnids.captures.pcap import Capture
from rnnids.captures.reasons import KEPT, NO_TIME
from rnnids.captures.records import ENHANCED_BLOCK, MAX_SECONDS, OLD_PACKET_BLOCK, PCAPNG_MAGIC, SECOND
from rnnids.captures.repair import HELD, Remedies, Repair
from rnnids.captures.skipped import new_counts

BLOCK_HEADER, SIMPLE_HEADER = 28, 12  # bytes of a pcapng block before the packet, in enhanced and in simple blocks
LAST_SECOND = (1 << 32) - 1  # that pcap can show: in the year 2106
IN_MEMORY = 64 << 20  # bytes of packets that wait
HASH_OPTION = 3  # of an enhanced block: a checksum of the packet as it was
NEVER = np.iinfo(np.int64).min  # the time of a record that has none: nothing goes before it


class Sink(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""


@dataclass(frozen=True)
class Edit:
    """What becomes of a captured packet.

    Attributes:
        index: of its record among those of the batch.
        frame: its bytes as captured. original: bytes of it as sent.
        delay: ns, not negative.
        after: place of the packet that it must not come before, in ns: that of its connection.
    """

    index: int
    frame: bytes
    original: int
    delay: int
    after: int = NEVER


@contextlib.contextmanager
def open_output(path: Path, name: Path | str) -> Iterator[Sink]:
    """Open `path` for writing, compressed as the suffix of `name` says: .gz, .zst or .zstd."""
    suffix = Path(name).suffix.lower()
    with open(path, "wb") as file:
        if suffix == ".gz":
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:  # no name and no time: the same bytes each time
                yield packed
        elif suffix in (".zst", ".zstd"):
            with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as frames:
                yield frames
        else:
            yield file


class Waiting:
    """Delayed packets in the order of their places, bytes in a scratch file once they are many."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heap: list[tuple[int, int, bytes | tuple[int, int]]] = []
        self.count = self.held = 0
        self.scratch: IO[bytes] | None = None

    def put(self, place: int, data: bytes) -> None:
        """Keep `data` until its place comes; of equal places the first put comes first."""
        kept: bytes | tuple[int, int] = data
        if self.held + len(data) > IN_MEMORY:
            self.scratch = self.scratch or tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 # until close
            kept = self.scratch.seek(0, 2), len(data)
            self.scratch.write(data)
        else:
            self.held += len(data)
        heapq.heappush(self.heap, (place, self.count, kept))
        self.count += 1

    def first(self) -> int | None:
        """The place of the next one; None if none waits."""
        return self.heap[0][0] if self.heap else None

    def pop(self) -> bytes:
        """Take the next one."""
        kept = heapq.heappop(self.heap)[2]
        if isinstance(kept, bytes):
            self.held -= len(kept)
            return kept
        assert self.scratch is not None
        self.scratch.seek(kept[0])
        return self.scratch.read(kept[1])

    def close(self) -> None:
        """Let the scratch file go."""
        if self.scratch:
            self.scratch.close()


class CaptureCopy:
    """Writes the pieces of ``Capture.pieces`` to `sink`, with edits.

    Args:
        folder: where packets that wait may lie.
    """

    def __init__(self, capture: Capture, sink: Sink, folder: Path) -> None:
        self.capture, self.sink = capture, sink
        self.waiting = Waiting(folder)
        self.latest = NEVER  # time of a packet so far, where late ones are put in order

    def add(self, piece: slice, records: np.ndarray, edits: Sequence[Edit] = ()) -> None:
        """Write the next piece.

        Args:
            records: (n,) RECORD within it. edits: in the order of their records.
        """
        if not len(records):
            self._add_description(piece)
            return
        times = np.where(records["problem"] == KEPT, records["time"], NEVER)
        record, at = 0, piece.start
        for edit in edits:
            start, stop = self._span(records[edit.index])
            self._copy(at, start, records[record : edit.index], times[record : edit.index])
            self._add_edit(records[edit.index], start, stop, edit)
            record, at = edit.index + 1, stop
        self._copy(at, piece.stop, records[record:], times[record:])

    def add_repaired(self, piece: slice, records: np.ndarray, repair: Repair) -> None:
        """Write the next piece without what `repair` leaves out, late packets in their place; the others wait for them.

        Args:
            records: (n,) RECORD within it.
        """
        if not len(records):
            self._add_description(piece)
            return
        kept = set(repair.select(self.capture.buffer, records.copy(), new_counts())["offset"])
        window, at = repair.remedies.reorder_window, piece.start
        for record in records:
            start, stop = self._span(record)
            self.sink.write(self.capture.buffer[at:start].tobytes())
            at = stop
            if record["offset"] not in kept:
                continue
            if window is None or record["problem"] != KEPT:
                self.sink.write(self.capture.buffer[start:stop].tobytes())
                continue
            time = int(record["time"])
            self.latest = max(self.latest, time)
            self.waiting.put(max(time, self.latest - window), self.capture.buffer[start:stop].tobytes())
            self._release(self.latest - window)
            while len(self.waiting.heap) > HELD:
                self.sink.write(self.waiting.pop())
        self.sink.write(self.capture.buffer[at : piece.stop].tobytes())

    def finish(self) -> None:
        """Write what still waits."""
        while self.waiting.heap:
            self.sink.write(self.waiting.pop())
        self.waiting.close()

    def _add_description(self, piece: slice) -> None:
        data = bytearray(self.capture.buffer[piece])
        if self.capture.link is None and int.from_bytes(data[:4], "little") == PCAPNG_MAGIC:
            while self.waiting.heap:
                self.sink.write(self.waiting.pop())
            data[16:24] = b"\xff" * 8  # bytes of the section: not known, since packets may grow
        self.sink.write(bytes(data))

    def _copy(self, at: int, stop: int, records: np.ndarray, times: np.ndarray) -> None:
        """Write the bytes from `at` to `stop`, which hold `records`, and in between what has waited long enough."""
        while len(times) and (first := self.waiting.first()) is not None and times.max() >= first:
            later = int(np.argmax(times >= first))
            start = self._span(records[later])[0]
            self.sink.write(self.capture.buffer[at:start].tobytes())
            self._release(int(times[later]))
            at, records, times = start, records[later + 1 :], times[later + 1 :]
        if at < stop:
            self.sink.write(self.capture.buffer[at:stop].tobytes())

    def _add_edit(self, record: np.void, start: int, stop: int, edit: Edit) -> None:
        data = self._edited(record, start, stop, edit)
        if edit.delay:
            self.waiting.put(max(int(record["time"]) + edit.delay, edit.after), data)
            return
        self._release(int(record["time"]))
        self.sink.write(data)

    def _release(self, time: int) -> None:
        while (first := self.waiting.first()) is not None and first <= time:
            self.sink.write(self.waiting.pop())

    def _span(self, record: np.void) -> tuple[int, int]:
        """Where the bytes of a record lie in the buffer, its header included."""
        offset, end = int(record["offset"]), int(record["offset"]) + int(record["captured"])
        if self.capture.link is not None:
            return offset - self.capture.record_header, end
        start = offset - (SIMPLE_HEADER if record["problem"] == NO_TIME else BLOCK_HEADER)
        (length,) = struct.unpack_from(f"{self._order()}I", self.capture.buffer.data, start + 4)
        return start, start + length

    def _order(self) -> str:
        return ">" if self.capture.big else "<"

    def _edited(self, record: np.void, start: int, stop: int, edit: Edit) -> bytes:
        """The record or block of an edited packet."""
        order, buffer = self._order(), self.capture.buffer
        offset = int(record["offset"])
        head = bytearray(buffer[start:offset])
        if self.capture.link is not None:
            seconds, rest = divmod(int(record["time"]) + edit.delay, SECOND)
            fraction = rest // (self.capture.resolution_ns or 1)
            struct.pack_into(f"{order}IIII", head, 0, seconds, fraction, len(edit.frame), edit.original)
            return bytes(head) + edit.frame
        ticks = delayed_ticks(self.capture, record, edit.delay)
        struct.pack_into(f"{order}IIII", head, 12, ticks >> 32, ticks & LAST_SECOND, len(edit.frame), edit.original)
        captured = int(record["captured"])
        options = buffer[offset + captured + -captured % 4 : stop - 4].tobytes()
        (kind,) = struct.unpack_from(f"{order}I", head)
        if kind == ENHANCED_BLOCK and edit.frame != buffer[offset : offset + captured].tobytes():
            options = without_hash(options, order)
        body = bytes(head[8:]) + edit.frame + bytes(-len(edit.frame) % 4) + options
        size = struct.pack(f"{order}I", len(body) + 12)
        return bytes(head[:4]) + size + body + size


def write_repaired(capture: Capture, sink: Sink, folder: Path, *, remedies: Remedies) -> None:
    """Write a capture as extraction sees it: without what is left out, packets in the order in which they count.

    Args:
        folder: where packets that wait may lie.
    """
    copy, repair = CaptureCopy(capture, sink, folder), Repair(remedies)
    for piece, records in capture.pieces():
        copy.add_repaired(piece, records, repair)
    copy.finish()


def without_hash(options: bytes, order: str) -> bytes:
    """The options of an enhanced packet block but for checksums of the packet."""
    kept, at = [], 0
    while at + 4 <= len(options):
        code, size = struct.unpack_from(f"{order}HH", options, at)
        stop = at + 4 + size + -size % 4
        if code != HASH_OPTION:
            kept.append(options[at:stop])
        at = stop
    return b"".join(kept)


def interface_of(capture: Capture, record: np.void) -> np.void:
    """The interface of a packet in a pcapng file."""
    start = int(record["offset"]) - BLOCK_HEADER
    order = ">" if capture.big else "<"
    kind, _, number = struct.unpack_from(f"{order}III", capture.buffer.data, start)
    if kind == OLD_PACKET_BLOCK:
        (number,) = struct.unpack_from(f"{order}H", capture.buffer.data, start + 8)
    return capture.interfaces[number]


def snap_length(capture: Capture, record: np.void) -> int:
    """Bytes of a packet that the capture keeps; 0: all."""
    return capture.snaplen if capture.link is not None else int(interface_of(capture, record)["snaplen"])


def delayed_ticks(capture: Capture, record: np.void, delay: int) -> int:
    """The time of a packet in a pcapng file after a delay, in ticks of its interface: the first that shows it."""
    order = ">" if capture.big else "<"
    high, low = struct.unpack_from(f"{order}II", capture.buffer.data, int(record["offset"]) - BLOCK_HEADER + 12)
    ticks, per_second = high << 32 | low, int(interface_of(capture, record)["ticks"])
    if delay * per_second % SECOND == 0:
        return ticks + delay * per_second // SECOND
    since = int(record["time"]) + delay - int(interface_of(capture, record)["epoch"]) * SECOND
    return -(-since * per_second // SECOND)


def clock_obstacle(capture: Capture, record: np.void, delay: int) -> str:
    """Why the capture's clock cannot show a packet `delay` ns later; empty if it can."""
    time = int(record["time"]) + delay
    too_coarse = "the clock of the capture is too coarse for its delays"
    if capture.link is not None:
        if time // SECOND > LAST_SECOND:
            return "delayed beyond the last second of the capture's clock"
        return too_coarse if delay % (capture.resolution_ns or 1) else ""
    interface, ticks = interface_of(capture, record), delayed_ticks(capture, record, delay)
    if ticks >> 64 or time // SECOND > MAX_SECONDS:
        return "delayed beyond the last second of the capture's clock"
    shown = int(interface["epoch"]) * SECOND + ticks * SECOND // int(interface["ticks"])
    return "" if shown == time else too_coarse

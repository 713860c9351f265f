"""Scratch files for what does not fit into memory: flows and their packets, sorted by (start, id).

The pass over the capture appends finished flows and packets as they come. Afterwards they are split
by sampled keys into buckets small enough for memory, again and again where one pass does not do
(sample sort), and handed over in order. A bucket that is one huge flow needs no sorting.
"""

import contextlib
import os
import tempfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np

from rnnids.flows.columns import PACKET_COLUMNS
from rnnids.flows.table import DIRECTION_BIT, FLOW, KEY, ROW, TCP_FLAGS
from rnnids.machine_code import njit
from rnnids.storage import scratch_folder

Sorted = tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]  # flows, PACKET_COLUMNS of their packets, packet_count

CHUNK = 1 << 16  # rows read or written at a time
BUCKET = 1 << 22  # packets sorted in memory at a time, 128 MiB; captures up to this size need no scratch file
SAMPLES = 1 << 14  # keys kept to choose where to split
FANOUT = 64  # buckets of one split


class Spill:
    """An append-only list of rows with a ``start`` and an ``id``, and a regular sample of these keys.

    The last `room` rows stay in memory, those before lie in a file.
    """

    def __init__(self, directory: str, dtype: np.dtype, room: int) -> None:
        self.directory = directory
        self.path: str | None = None
        self.dtype, self.count = dtype, 0
        self.latest, self.fill = np.empty(room, dtype), 0  # memory is taken as it is written to
        self.samples: list[np.ndarray] = []
        self.stride = 1

    def append(self, rows: np.ndarray) -> None:
        """Add `rows`, an array of this dtype."""
        space = self.space(len(rows))
        if len(space) < len(rows):
            self._write(rows)
            self._sample(rows)
        else:
            space[:] = rows
            self.keep(len(rows))

    def space(self, rows: int) -> np.ndarray:
        """Room for `rows` more, or as many as memory ever holds; what is written there is added by :meth:`keep`."""
        if self.fill and self.fill + rows > len(self.latest):
            self._write(self.latest[: self.fill])
            self.fill = 0
        return self.latest[self.fill : self.fill + rows]

    def keep(self, count: int) -> None:
        """Add the first `count` rows of the last :meth:`space`."""
        self._sample(self.latest[self.fill : self.fill + count])
        self.fill += count

    def _write(self, rows: np.ndarray) -> None:
        if self.path is None:
            handle, self.path = tempfile.mkstemp(dir=self.directory)
            os.close(handle)
        with open(self.path, "ab") as file:
            file.write(rows.view(np.uint8).data)  # tofile would not say why it fails

    def _sample(self, rows: np.ndarray) -> None:
        while self.count + len(rows) > SAMPLES * self.stride:
            self.samples, self.stride = [self.sample()[::2]], 2 * self.stride
        taken = rows[-self.count % self.stride :: self.stride]
        keys = np.empty(len(taken), KEY)
        keys["start"], keys["id"] = taken["start"], taken["id"]
        self.samples.append(keys)
        self.count += len(rows)

    def sample(self) -> np.ndarray:
        """Keys of every so many rows, as many as ``SAMPLES`` at most."""
        return np.concatenate([np.empty(0, KEY), *self.samples])

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield the rows in order, at most ``CHUNK`` at a time."""
        if self.path is not None:
            with open(self.path, "rb") as file:
                while len(rows := np.fromfile(file, self.dtype, CHUNK)):
                    yield rows
        for first in range(0, self.fill, CHUNK):
            yield self.latest[first : min(first + CHUNK, self.fill)]

    def read(self) -> np.ndarray:
        """All rows as one array."""
        if self.path is None:
            return self.latest[: self.fill]
        rows = np.empty(self.count, self.dtype)
        with open(self.path, "rb") as file:
            file.readinto(rows.view(np.uint8).data)
        rows[self.count - self.fill :] = self.latest[: self.fill]
        return rows

    def remove(self) -> None:
        """Delete the file and let the memory go."""
        if self.path is not None:
            os.unlink(self.path)
        self.latest, self.fill = np.empty(0, self.dtype), 0


class Bucket:
    """Flows and all of their packets, `room` packets in memory and the rest on disk."""

    def __init__(self, directory: str, room: int) -> None:
        self.directory = directory
        self.flows, self.packets = Spill(directory, FLOW, room // 8), Spill(directory, ROW, room)

    def remove(self) -> None:
        """Delete both."""
        self.flows.remove()
        self.packets.remove()


@contextlib.contextmanager
def scratch(output: Path | str) -> Iterator[Bucket]:
    """A bucket in a scratch folder beside `output` that is removed whatever happens."""
    with scratch_folder(output) as folder:
        yield Bucket(str(folder), BUCKET)


def splitters(sample: np.ndarray, buckets: int) -> np.ndarray:
    """Ascending keys that cut the sampled rows into about `buckets` equal parts.

    With each key stands its successor, so that a flow that fills several parts gets one for itself.
    """
    sample = np.sort(sample)
    chosen = np.unique(sample[np.arange(1, buckets) * len(sample) // buckets])
    successors = chosen.copy()
    successors["id"] += 1
    return np.unique(np.concatenate([chosen, successors]))


@njit(cache=True, nogil=True)
def find_part(rows: np.ndarray, keys: np.ndarray, part: np.ndarray) -> None:
    """Write to ``part[i]`` the number of `keys` that are not above (start, id) of ``rows[i]``."""
    for i in range(len(rows)):
        low, high = 0, len(keys)
        while low < high:
            middle = (low + high) // 2
            start = keys[middle].start
            if start < rows[i].start or (start == rows[i].start and keys[middle].id <= rows[i].id):
                low = middle + 1
            else:
                high = middle
        part[i] = low


@njit(cache=True, nogil=True)
def scatter(rows: np.ndarray, part: np.ndarray, edges: np.ndarray, ordered: np.ndarray) -> None:
    """Stable counting sort of `rows` by `part` into `ordered`; ``edges[p]`` becomes the first row of part p."""
    for i in range(len(rows)):
        edges[part[i] + 1] += 1
    for p in range(len(edges) - 1):
        edges[p + 1] += edges[p]
    following = edges[:-1].copy()
    for i in range(len(rows)):
        ordered[following[part[i]]] = rows[i]
        following[part[i]] += 1


def distribute(source: Spill, keys: np.ndarray, targets: Sequence[Spill]) -> None:
    """Append each row of the spill `source` to the one of `targets` that `keys` give it, in order."""
    for rows in source.chunks():
        part, ordered = np.empty(len(rows), np.int64), np.empty_like(rows)
        edges = np.zeros(len(targets) + 1, np.int64)
        find_part(rows, keys, part)
        scatter(rows, part, edges, ordered)
        for target, low, high in zip(targets, edges, edges[1:], strict=False):
            if low < high:
                target.append(ordered[low:high])
    source.remove()


@njit(cache=True, nogil=True)
def group_packets(
    ids: np.ndarray,
    rank: np.ndarray,
    packets: np.ndarray,
    offset: np.ndarray,
    iat: np.ndarray,
    length: np.ndarray,
    direction: np.ndarray,
    flags: np.ndarray,
    payload_length: np.ndarray,
) -> None:
    """Counting sort: put what is kept of each packet behind those of the flows before it, keeping their order.

    Args:
        ids: (n,) ids of the flows, ascending.
        rank: (n,) place of each of them in the file's order.
        packets: (m,) ``ROW``.
        offset: (n + 1,) zeros; becomes the first packet of each flow in file order.
        iat, length, direction, flags, payload_length: (m,) ``PACKET_COLUMNS``, written.
    """
    place = np.empty(len(packets), np.int32)
    dense = len(ids) > 0 and ids[-1] - ids[0] == len(ids) - 1
    for i in range(len(packets)):
        found = packets[i].id - ids[0] if dense else np.searchsorted(ids, packets[i].id)
        place[i] = rank[found]
        offset[place[i] + 1] += 1
    for flow in range(len(ids)):
        offset[flow + 1] += offset[flow]
    following = offset[:-1].copy()
    for i in range(len(packets)):
        row = following[place[i]]
        following[place[i]] = row + 1
        iat[row], length[row], payload_length[row] = packets[i].iat_ns, packets[i].length, packets[i].payload_length
        flags[row], direction[row] = packets[i].flags & TCP_FLAGS, packets[i].flags >> DIRECTION_BIT


def sort_in_memory(bucket: Bucket) -> Sorted:
    """(flows, columns of their packets, packet_count) of a small bucket in file order; removes it."""
    flows, packets = bucket.flows.read(), bucket.packets.read()
    bucket.remove()
    flows = flows.take(np.argsort(flows["id"]))  # ten times as fast as flows[...]
    order = np.argsort(flows["start"], kind="stable")  # quick, since flows begin in about this order
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    offset = np.zeros(len(flows) + 1, np.int64)
    columns = {name: np.empty(len(packets), column.dtype) for name, column in PACKET_COLUMNS.items()}
    group_packets(np.ascontiguousarray(flows["id"]), rank, packets, offset, *columns.values())
    return flows.take(order), columns, np.diff(offset)


def _columns_in_place(packets: np.ndarray) -> dict[str, np.ndarray]:
    """``PACKET_COLUMNS`` of a (m,) ROW array, in its order."""
    flags = packets["flags"]
    unpacked = {"flags": flags & TCP_FLAGS, "direction": (flags >> DIRECTION_BIT).astype(np.uint8)}
    return {name: unpacked[name] if name in unpacked else packets[name] for name in PACKET_COLUMNS}


def in_order(bucket: Bucket) -> Generator[Sorted, None, None]:
    """Yield (flows, ``PACKET_COLUMNS`` of their packets, packet_count) sorted by (start, id); consumes the bucket.

    A flow too large for memory comes in several pieces: with its first packets as one flow with its
    whole ``packet_count``, then as no flow but more packets.
    """
    if bucket.packets.count <= BUCKET:
        yield sort_in_memory(bucket)
    elif bucket.flows.count == 1:
        flows, count = bucket.flows.read(), np.array([bucket.packets.count])
        for packets in bucket.packets.chunks():
            yield flows, _columns_in_place(packets), count
            flows, count = flows[:0], count[:0]
        bucket.remove()
    else:
        wanted = min(FANOUT, -(-2 * bucket.packets.count // BUCKET))
        keys = splitters(bucket.packets.sample(), max(2, wanted))
        room = max(BUCKET // FANOUT, BUCKET // (2 * len(keys) + 2))  # half of what is in memory already
        parts = [Bucket(bucket.directory, room) for _ in range(len(keys) + 1)]
        distribute(bucket.flows, keys, [part.flows for part in parts])
        distribute(bucket.packets, keys, [part.packets for part in parts])
        for part in parts:
            yield from in_order(part)

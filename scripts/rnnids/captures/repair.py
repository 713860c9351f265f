"""Packets that a capture holds twice or out of order: left out, and put in their place.

Each remedy is optional, works in the one pass over the capture and holds a bounded number of packets.

* A host that forwards packets captures each of them twice, coming in and going out (UNSW-NB15). Linux
  cooked captures tell which: what goes out (packet type 4) is dropped, as if only ``inbound`` had been
  captured. What the capturing host itself sends is then missing too, and frames of any other link type
  say nothing and stay.
* A mirror port can deliver a packet twice within milliseconds (Lanvin et al. 2022, on CIC-IDS-2017). A
  packet is a duplicate if the last one kept with the same captured bytes, from the IP header on, lies no
  more than `duplicate_window` from it. A retransmission has an IP identification of its own; only
  systems that set that to 0 can lose one here.
* Several capture queues deliver packets late (same authors). A packet goes before those of the last
  `reorder_window` that carry a later time; one that is later still goes in front of this window.

Duplicates are taken out first, as ``editcap -D`` and ``reordercap`` do in the published remedy.
"""

from dataclasses import dataclass

import numpy as np

from rnnids.captures.compiled import Integer, big16, big64
from rnnids.captures.frames import find_ip
from rnnids.captures.layers import layer_table
from rnnids.captures.link_layers import LINUX_SLL, LINUX_SLL2
from rnnids.captures.packets import PACKET
from rnnids.captures.reasons import DUPLICATE, KEPT, OUTGOING
from rnnids.machine_code import njit

OUTGOING_TYPE = 4  # https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html
SEEN = np.dtype([("digest", "u8"), ("time", "i8")])
SETS, WAYS = 1 << 15, 8  # packets remembered: 262,144 in 4 MiB, far more than a few milliseconds hold
HELD = 1 << 18  # packets that wait for late ones, at most: 14 MiB


@dataclass(frozen=True, kw_only=True)
class Remedies:
    """What to repair; nothing by default.

    Attributes:
        drop_outgoing: leave out what a Linux cooked capture marks as going out.
        duplicate_window: ns, or None: keep duplicates.
        reorder_window: ns, or None: keep the order of the capture.
    """

    drop_outgoing: bool = False
    duplicate_window: int | None = None
    reorder_window: int | None = None


@njit(cache=True, nogil=True)
def drop_outgoing(buffer: np.ndarray, records: np.ndarray) -> Integer:
    """Move the records of packets that do not go out to the front; returns their number."""
    count = 0
    for i in range(len(records)):
        at, link, captured = records[i].offset, records[i].link, records[i].captured
        goes_out = (link == LINUX_SLL and captured >= 2 and big16(buffer, at) == OUTGOING_TYPE) or (
            link == LINUX_SLL2 and captured >= 11 and buffer[at + 10] == OUTGOING_TYPE
        )
        if not goes_out:
            records[count] = records[i]
            count += 1
    return count


@njit(cache=True, nogil=True)
def digest(buffer: np.ndarray, at: Integer, end: Integer) -> Integer:
    """64-bit hash of ``buffer[at:end]``; two different packets share it once in 10**19 pairs."""
    value = np.uint64(end - at)
    while at < end:
        if at + 8 <= end:
            word = big64(buffer, at)
        else:
            word = np.uint64(0)
            for i in range(at, end):
                word = word << np.uint64(8) | np.uint64(buffer[i])
        value = (value ^ word) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(29)
        at += 8
    value *= np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True)
def is_duplicate(seen: np.ndarray, value: Integer, time: Integer, window: Integer) -> bool:
    """Whether the packets remembered in `seen` (one set) hold one of this digest within `window`; else add it."""
    place = len(seen) - 1
    for way in range(len(seen)):
        if seen[way].digest == value:
            if abs(time - seen[way].time) <= window:
                return True
            place = way
            break
    for way in range(place, 0, -1):  # newest first; the oldest falls out
        seen[way] = seen[way - 1]
    seen[0].digest, seen[0].time = value, time
    return False


@njit(cache=True, nogil=True)
def drop_duplicates(
    buffer: np.ndarray, records: np.ndarray, seen: np.ndarray, window: Integer, layers: np.ndarray
) -> Integer:
    """Move the records of first copies, and of what is not IP, to the front; returns their number.

    Args:
        buffer: (B,) uint8.
        records: (n,) ``records.RECORD`` whose bytes lie within `buffer`.
        seen: (SETS, WAYS) ``SEEN``, kept from call to call.
        window: nanoseconds. layers: of ``layers.layer_table``.
    """
    count = 0
    for i in range(len(records)):
        record = records[i]
        end = record.offset + record.captured
        at, verdict = find_ip(buffer, record.offset, end, record.link, layers)
        if record.problem == KEPT and verdict == KEPT and at < end:
            value = digest(buffer, at, end)
            if is_duplicate(seen[value % np.uint64(len(seen))], value, record.time, window):
                continue
        records[count] = record
        count += 1
    return count


class Reorder:
    """Sorts packets by time as far as `window` reaches.

    A packet's place is its time, or the latest time before it less `window` if that is more; equal
    places keep the order of the capture. A packet is passed on once no later one can go before it, or
    when ``HELD`` packets wait.
    """

    def __init__(self, window: int) -> None:
        self.window = window  # ns
        self.latest: np.int64 | None = None
        self.held, self.places = np.empty(0, PACKET), np.empty(0, np.int64)
        self.fresh: list[np.ndarray] = []
        self.fresh_count = 0
        self.misordered = 0  # packets that carry an earlier time than one before them

    def put(self, packets: np.ndarray) -> np.ndarray:
        """Take (n,) more packets in capture order; returns those whose place is now known, maybe none."""
        self.fresh.append(packets.copy())
        self.fresh_count += len(packets)
        if self.fresh_count < len(self.held):  # sorting the same packets again for every batch would be slow
            return packets[:0]
        self._sort()
        if self.latest is None or not len(self.places):
            return packets[:0]
        ready = int(np.searchsorted(self.places, self.latest - self.window, side="right"))
        return self._pass_on(max(ready, len(self.held) - HELD))

    def rest(self) -> np.ndarray:
        """The packets still held, at the end of the capture."""
        self._sort()
        return self._pass_on(len(self.held))

    def _sort(self) -> None:
        packets = np.concatenate([np.empty(0, PACKET), *self.fresh])
        self.fresh, self.fresh_count = [], 0
        if not len(packets):
            return
        first = packets["time"][0] if self.latest is None else self.latest
        latest = np.maximum.accumulate(np.concatenate([[first], packets["time"]]))
        self.misordered += int((packets["time"] < latest[:-1]).sum())
        self.latest = latest[-1]
        places = np.concatenate([self.places, np.maximum(packets["time"], latest[1:] - self.window)])
        order = np.argsort(places, kind="stable")
        self.places, self.held = places[order], np.concatenate([self.held, packets]).take(order)

    def _pass_on(self, count: int) -> np.ndarray:
        ready, self.held = self.held[:count], self.held[count:].copy()
        self.places = self.places[count:].copy()
        return ready


class Repair:
    """Applies :class:`Remedies` to a capture, batch by batch."""

    def __init__(self, remedies: Remedies) -> None:
        self.remedies = remedies
        if remedies.duplicate_window is not None:
            self.seen, self.layers = np.zeros((SETS, WAYS), SEEN), layer_table()
        self.reorder = Reorder(remedies.reorder_window) if remedies.reorder_window is not None else None

    @property
    def misordered(self) -> int:
        """Packets found out of order; 0 where order is not repaired."""
        return self.reorder.misordered if self.reorder else 0

    def select(self, buffer: np.ndarray, records: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The (n,) records to go on with; counts the others (``skipped.new_counts``). Changes `records`."""
        for reason, drop in ((OUTGOING, self._drop_outgoing), (DUPLICATE, self._drop_duplicates)):
            kept = drop(buffer, records)
            counts["packets"][reason] += len(records) - kept
            records = records[:kept]
        return records

    def order(self, packets: np.ndarray) -> np.ndarray:
        """The packets that come next, given (n,) more of the capture."""
        return self.reorder.put(packets) if self.reorder else packets

    def rest(self) -> np.ndarray:
        """The packets that come last."""
        return self.reorder.rest() if self.reorder else np.empty(0, PACKET)

    def _drop_outgoing(self, buffer: np.ndarray, records: np.ndarray) -> int:
        return int(drop_outgoing(buffer, records)) if self.remedies.drop_outgoing else len(records)

    def _drop_duplicates(self, buffer: np.ndarray, records: np.ndarray) -> int:
        if self.remedies.duplicate_window is None:
            return len(records)
        return int(drop_duplicates(buffer, records, self.seen, self.remedies.duplicate_window, self.layers))

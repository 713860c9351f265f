"""One direction of a TCP connection into which padding is put: which number becomes which.

A sender that pads a segment sends everything after it that much further on. So each padded segment inserts bytes behind
its own, and a sequence or acknowledgement number moves by what is inserted before it:

* A segment that goes beyond what was sent before inserts its padding at its end.
* One that fills a hole, since packets overtook each other, does so as if it had come in its place.
* A retransmission covers again what the first copy covered, padding included; more padding than that repeats bytes that
  follow. Padding of an old acknowledgement or a keep-alive repeats bytes too.
* Segments without data at one place insert their padding one after the other, in the order of the capture.

So numbers stay without a gap where they were without one, and no byte is acknowledged before it was sent.
"""

import bisect
from typing import NamedTuple

WRAP = 1 << 32  # of sequence numbers
FILLER, DATA = -1, 1 << 62  # orders: of insertions that count for all, of packets for which all insertions count


class Segment(NamedTuple):
    """What a packet sends.

    Attributes:
        order: place of the packet in the capture. start: position of its first byte.
        size: bytes of payload, and one each for SYN and FIN. added: bytes of padding.
    """

    order: int
    start: int
    size: int
    added: int

    @property
    def end(self) -> int:
        """Position behind it, without padding."""
        return self.start + self.size


class Stream:
    """What one end of a connection sends; a position is a sequence number that does not wrap.

    Args:
        number: a sequence number near those to come.
    """

    def __init__(self, number: int) -> None:
        self.first = self.latest = number
        self.opened_by: int | None = None  # number of the SYN
        self.segments: list[Segment] = []
        self.places: list[tuple[int, int]] = []  # position and order of each insertion, sorted
        self.amounts: list[int] = []

    def position(self, number: int) -> int:
        """The position that a sequence or acknowledgement number means, that nearest to the latest one."""
        return self.latest + (number - self.latest + WRAP // 2) % WRAP - WRAP // 2

    def advance(self, number: int) -> int:
        """The position of a number that was sent now, which is the latest from then on."""
        self.latest = self.position(number)
        return self.latest

    def shift(self, position: int, order: int) -> int:
        """Bytes inserted before a position, for a packet of this order; ``DATA`` for what has data there."""
        return sum(self.amounts[: bisect.bisect_left(self.places, (position, order))])

    def shift_of(self, segment: Segment) -> int:
        """By how much the sequence number of a segment moves."""
        return self.shift(segment.start, DATA if segment.size else segment.order)

    def lengthen(self) -> None:
        """Insert the padding of all :attr:`segments`, which stand in the order of the capture."""
        fillers = self._fillers()
        for segment in fillers.values():
            if segment.added:
                self._insert(segment.end, FILLER, segment.added)
        frontier = self.segments[0].start if self.segments else 0
        for segment in self.segments:
            if segment.order in fillers:
                continue
            sent_to = segment.start + self.shift_of(segment) + segment.size + segment.added
            before = frontier + self.shift(frontier, segment.order)
            frontier = max(frontier, segment.end)
            # Negative where a retransmission goes on beyond padding that it lacks itself.
            missing = max(sent_to, before) - frontier - self.shift(frontier, segment.order)
            if missing:
                self._insert(frontier, segment.order, missing)

    def _fillers(self) -> dict[int, Segment]:
        """Segments, by order, that lie in a hole left by those before them."""
        found: dict[int, Segment] = {}
        holes: list[tuple[int, int]] = []
        frontier = self.segments[0].start if self.segments else 0
        for segment in self.segments:
            hole = next((hole for hole in holes if hole[0] <= segment.start and segment.end <= hole[1]), None)
            if hole and segment.size:
                found[segment.order] = segment
                holes.remove(hole)
                rest = (hole[0], segment.start), (segment.end, hole[1])
                holes += [(first, stop) for first, stop in rest if first < stop]
            if segment.start > frontier:
                holes.append((frontier, segment.start))
            frontier = max(frontier, segment.end)
        return found

    def _insert(self, position: int, order: int, amount: int) -> None:
        at = bisect.bisect_left(self.places, (position, order))
        self.places.insert(at, (position, order))
        self.amounts.insert(at, amount)

"""Flows of a capture sent otherwise: which of its packets grow or come later, and what else changes with them.

Two passes over the capture. :func:`plan` looks at the packets of the flows that change: what cannot be sent is left as
it was, as a whole flow, and the reason noted; padding of TCP is given its place in the byte stream
(:mod:`rnnids.captures.tcp_streams`). :func:`edits` then says of each packet what becomes of it. Of a connection (the
packets between the same two ends and ports, in either direction) everything after a delay comes that much later, flows
that follow in it included; all other packets stay as they are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnids.captures.copy import NEVER, Edit, clock_obstacle, snap_length
from rnnids.captures.packets import ICMP, ICMPV6, PACKET, TCP
from rnnids.captures.pcap import Capture
from rnnids.captures.rewrite import Change, Headers, obstacle, read_headers, rewrite
from rnnids.captures.tcp_streams import WRAP, Segment, Stream
from rnnids.cli import Progress
from rnnids.flows.follow import Follower

FIN, SYN, ACK = 1, 2, 16
SEQUENCE, ACKNOWLEDGEMENT = 4, 8  # bytes into the TCP header
FlowKey = tuple[int, int, int, int, bytes, bytes]  # start in ns, ports, protocol, addresses


@dataclass
class FlowChange:
    """What a flow is to become.

    Attributes:
        added: bytes that each of its first packets grows by.
        delay: ns by which each of them comes later than it did in the flow; later ones as much as the last.
        reason: why the flow stays as it was; empty if it is written.
        seen: packets of `added` that the capture holds.
        start_ns: of the first packet in the copy.
    """

    added: Sequence[int]
    delay: Sequence[int]
    reason: str = ""
    seen: int = 0
    start_ns: int = 0

    def delay_at(self, index: int) -> int:
        """Delay of a packet within the flow, ns."""
        return 0 if self.reason else self.delay[min(index, len(self.delay) - 1)]


@dataclass
class Connection:
    """What is known of the packets between two ends so far.

    Attributes:
        flow: number of the last packet's flow. change: what that is to become. index: of the packet in it.
        before: ns by which flows before this one came later. last: place of the last packet in the copy, ns.
        streams: of each direction, those of the TCP connections one after the other. current: index of the one now.
    """

    flow: int = -1
    change: FlowChange | None = None
    index: int = 0
    before: int = 0
    last: int = NEVER
    streams: tuple[list[Stream], list[Stream]] = field(default_factory=lambda: ([], []))
    current: list[int] = field(default_factory=lambda: [-1, -1])

    def restart(self) -> None:
        """Forget the packets, for another pass; the streams stay."""
        self.flow, self.change, self.index, self.before, self.last = -1, None, 0, 0, NEVER
        self.current = [-1, -1]
        for stream in (*self.streams[0], *self.streams[1]):
            stream.latest = stream.first

    def enter(self, flow: int, change: FlowChange | None) -> None:
        """Go on to the next packet; `change` is that of its flow, if the flow is another than before."""
        if flow == self.flow:
            self.index += 1
            return
        if self.change:
            self.before += self.change.delay_at(len(self.change.delay))
        self.flow, self.change, self.index = flow, change, 0

    @property
    def delay(self) -> int:
        """Ns by which this packet comes later."""
        return self.before + (self.change.delay_at(self.index) if self.change else 0)

    @property
    def added(self) -> int | None:
        """Bytes that this packet is to grow by; None where no flow is to change it."""
        if self.change is None or self.change.reason or self.index >= len(self.change.added):
            return None
        return self.change.added[self.index]

    def stream(self, direction: int) -> Stream | None:
        """What is sent in a direction now; None if nothing was."""
        return self.streams[direction][self.current[direction]] if self.current[direction] >= 0 else None

    def send(self, direction: int, number: int, *, opens: bool) -> Stream:
        """The stream of a segment with this sequence number; one with SYN and a new number begins another."""
        stream = self.stream(direction)
        if stream is None or (opens and stream.opened_by != number):
            self.current[direction] += 1
            if self.current[direction] == len(self.streams[direction]):
                self.streams[direction].append(Stream(number))
            stream = self.streams[direction][self.current[direction]]
            stream.opened_by = number if opens else None
        return stream


class Captured(NamedTuple):
    """A packet of a connection in which flows change.

    Attributes:
        place: of its record in the batch. order: its own in the capture.
        record, frame, headers: of ``Capture.pieces``; its bytes; where its headers lie.
        values: of a ``PACKET``, by name.
        connection, direction: it is the last one of; 0 or 1, the same for all packets of one end.
    """

    place: int
    order: int
    record: np.void
    frame: bytes
    headers: Headers
    values: Mapping[str, int]
    connection: Connection
    direction: int

    def number(self, field: int) -> int:
        """A 32-bit number of the TCP header."""
        at = self.headers.transport + field
        return int.from_bytes(self.frame[at : at + 4], "big")

    def segment(self) -> tuple[Stream, Segment]:
        """What a TCP packet sends, and the stream that it belongs to, which it advances."""
        number, flags = self.number(SEQUENCE), self.values["flags"]
        stream = self.connection.send(self.direction, number, opens=bool(flags & SYN))
        size = self.values["payload_length"] + bool(flags & SYN) + bool(flags & FIN)
        return stream, Segment(self.order, stream.advance(number), size, self.connection.added or 0)


class Connections:
    """Finds the packets of all connections in which flows change.

    Args:
        changes: what flows become, by :func:`flow_keys`.
        idle, active: time-outs of flows in ns.
    """

    def __init__(self, changes: Mapping[FlowKey, FlowChange], *, idle: int, active: int) -> None:
        self.changes, self.timeouts = changes, (idle, active)
        self.by_ends: dict[tuple, Connection] = {}

    def walk(self, capture: Capture) -> Iterator[tuple[slice, np.ndarray, Iterator[Captured]]]:
        """Yield (piece, records, packets of the connections among them) of the whole capture."""
        for connection in self.by_ends.values():
            connection.restart()
        follower = Follower(packet_keys(self.changes), idle=self.timeouts[0], active=self.timeouts[1])
        before, position = 0, 0
        with Progress(f"reading {Path(capture.path).name}", total=capture.size, unit="bytes") as progress:
            for piece, records in capture.pieces():
                found = follower.find(capture.buffer, records)
                yield piece, records, self._packets(capture, records, found, before=before)
                before += len(records)
                progress.update(capture.position() - position)
                position = capture.position()

    def streams(self) -> Iterator[Stream]:
        """All that is sent in any connection, in either direction."""
        for connection in self.by_ends.values():
            yield from (*connection.streams[0], *connection.streams[1])

    def _packets(
        self, capture: Capture, records: np.ndarray, found: tuple[np.ndarray, np.ndarray, np.ndarray], *, before: int
    ) -> Iterator[Captured]:
        packets, indices, rows = (array.tolist() for array in (found[0], found[1], found[2][["start", "id"]]))
        for packet, index, (start, flow) in zip(packets, indices, rows, strict=True):
            values = dict(zip(PACKET.names or (), packet, strict=True))
            ends, direction = ends_of(values)
            connection = self.by_ends.setdefault(ends, Connection())
            connection.enter(flow, self.changes.get(key_of(values, start)) if flow != connection.flow else None)
            frame = frame_of(capture, records[index])
            headers = read_headers(frame, int(records[index]["link"]))
            where = index, before + index, records[index], frame, headers
            yield Captured(*where, values, connection, direction)


def flow_keys(columns: Mapping[str, np.ndarray]) -> list[FlowKey]:
    """What tells the flows of a capture apart, of (N,) columns of flows."""
    numbers = [columns[name].tolist() for name in ("start_ns", "source_port", "destination_port", "protocol")]
    addresses = [list(map(bytes, columns[f"{end}_address"])) for end in ("source", "destination")]
    return list(zip(*numbers, *addresses, strict=True))


def key_of(packet: Mapping[str, int], start: int) -> FlowKey:
    """The key of the flow that began at `start` with this packet."""
    source, destination = (
        packet[f"{end}_high"].to_bytes(8, "big") + packet[f"{end}_low"].to_bytes(8, "big")
        for end in ("source", "destination")
    )
    return start, packet["source_port"], packet["destination_port"], packet["protocol"], source, destination


def packet_keys(keys: Mapping[FlowKey, object]) -> np.ndarray:
    """(N,) PACKET records of the 5-tuples in flow keys."""
    packets = np.zeros(len(keys), PACKET)
    for packet, (_, source_port, destination_port, protocol, source, destination) in zip(packets, keys, strict=True):
        for end, address, port in (
            ("source", source, source_port),
            ("destination", destination, destination_port),
        ):
            packet[f"{end}_high"], packet[f"{end}_low"] = np.frombuffer(address, ">u8")
            packet[f"{end}_port"] = port
        packet["protocol"] = protocol
    return packets


def ends_of(packet: Mapping[str, int]) -> tuple[tuple, int]:
    """(what all packets of a connection have in common, direction 0 or 1)."""
    echo = packet["protocol"] in (ICMP, ICMPV6)  # whose type and code are the same for both ends
    ends = [
        (packet[f"{end}_high"], packet[f"{end}_low"], 0 if echo else packet[f"{end}_port"])
        for end in ("source", "destination")
    ]
    kind = packet["destination_port"] if echo else 0
    return (packet["protocol"], kind, *sorted(ends)), int(ends[0] > ends[1])


def frame_of(capture: Capture, record: np.void) -> bytes:
    """The bytes of a packet as captured."""
    first = int(record["offset"])
    return capture.buffer[first : first + int(record["captured"])].tobytes()


def plan(capture: Capture, connections: Connections) -> None:
    """The first pass: note why a change cannot be made, if so, and give the padding of the others its place."""
    sent: list[tuple[Stream, Segment, FlowChange]] = []
    for _, _, packets in connections.walk(capture):
        for packet in packets:
            change = packet.connection.change
            planned = change is not None and packet.connection.index < len(change.added)
            if change and planned:
                examine(capture, packet, change)
            if packet.values["protocol"] == TCP:
                stream, segment = packet.segment()
                if change and planned:
                    sent.append((stream, segment, change))
    for change in connections.changes.values():
        if change.seen < len(change.added):
            change.reason = change.reason or "not found in the capture"
    for stream, segment, change in sent:
        stream.segments.append(segment._replace(added=0) if change.reason else segment)
    for stream in connections.streams():
        stream.lengthen()


def examine(capture: Capture, packet: Captured, change: FlowChange) -> None:
    """Note in `change` why one of its packets cannot be written, if it cannot."""
    change.seen += 1
    connection = packet.connection
    if change.reason:
        return
    change.reason = obstacle(packet.headers, connection.added or 0, packet.frame)
    if connection.delay and not change.reason:
        change.reason = clock_obstacle(capture, packet.record, connection.delay)


def edits(capture: Capture, packets: Iterator[Captured], counts: Counter[str]) -> Iterator[Edit]:
    """What becomes of packets that :class:`Connections` found; counts in words what happens to them."""
    for packet in packets:
        connection, record = packet.connection, packet.record
        delay, change = connection.delay, change_of(packet)
        if connection.change and connection.index == 0:
            connection.change.start_ns = packet.values["time"] + connection.before
        connection.last = max(packet.values["time"] + delay, connection.last)
        frame, sent = packet.frame, int(record["original"])
        if change != Change():
            limit = snap_length(capture, record)
            frame, sent, checksum = rewrite(frame, packet.headers, change, original=sent, limit=limit)
            counts[f"with their checksum {checksum}"] += 1
            counts["lengthened"] += change.added > 0
        if change != Change() or delay:
            counts["delayed"] += delay > 0
            counts["changed"] += 1
            yield Edit(packet.place, frame, sent, delay, after=connection.last)


def change_of(packet: Captured) -> Change:
    """What becomes of a packet's bytes."""
    added = packet.connection.added or 0
    if packet.values["protocol"] != TCP:
        return Change(added)
    stream, segment = packet.segment()
    other = packet.connection.stream(1 - packet.direction)
    if other is None or not other.places:
        return Change(added, stream.shift_of(segment))
    acknowledged = 0
    if packet.values["flags"] & ACK:
        acknowledged = other.shift(other.position(packet.number(ACKNOWLEDGEMENT)), packet.order)

    def edge(number: int) -> int:
        position = other.position(number)
        return (position + other.shift(position, packet.order)) % WRAP

    return Change(added, stream.shift_of(segment), acknowledged, edge)

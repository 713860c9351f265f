"""The compiled table of live flows: which packet belongs to which flow, and when a flow ends.

Rules of go-flows, the paper's extractor. The key is the 5-tuple in either direction; forward is the
direction of the flow's first packet. A flow ends

* when the key's next packet comes more than `idle_timeout` after the last one, or more than
  `active_timeout` after the first one (that packet starts a new flow);
* in TCP, *with* a packet that carries RST, or with the one that completes the close: both sides have
  sent FIN, and both an ACK after the other's FIN. Whatever comes later starts a new flow.

A SYN does not split a flow. For ICMP only the addresses may swap: type and code stay the destination
port, so a request and its reply are two flows.

The table is open addressing with linear probing. Ended flows keep their slot, since their key often
comes back, until the table is rebuilt; then flows past a time-out go too, so that its size follows the
number of live flows. (Where time steps back far, a rebuild may end a flow that would have gone on.)

Hashes are drawn anew in each run: with known ones, 200,000 chosen flows took a minute to find their slots. Which ones
are drawn shows nowhere in the result. Between two rebuilds a quarter of the slots is filled, so that passing over the
table costs a few slots a flow, whenever flows end.
"""

import numpy as np

from rnnids.captures.compiled import Integer, Record, borrowed
from rnnids.captures.packets import ICMP, ICMPV6, TCP, hash_key
from rnnids.flows.columns import PACKET_COLUMNS
from rnnids.machine_code import njit

# Addresses as in packets.PACKET, and with the ports those of the flow's first packet: what the table compares, which is
# why its layout is not that of the file.
FLOW = np.dtype(
    [
        ("source_high", "u8"),
        ("source_low", "u8"),
        ("destination_high", "u8"),
        ("destination_low", "u8"),
        ("start", "i8"),
        ("last", "i8"),
        ("id", "i8"),  # number of flows started before
        ("source_port", "u2"),
        ("destination_port", "u2"),
        ("protocol", "u1"),
        ("state", "u1"),  # in the table: the bits below
        ("end_reason", "u1"),
        ("tag", "u1"),  # of the key's hash: a slot that has another one is passed by at a glance
    ]
)
assert FLOW.itemsize == 64  # one cache line
# A packet of a flow, as in the file but for its direction; (start, id) of the flow is what it is sorted by.
KEY = np.dtype([("start", "i8"), ("id", "i8")])
ROW = np.dtype(
    [*KEY.descr, *((name, column.dtype) for name, column in PACKET_COLUMNS.items() if name != "direction")], align=True
)
assert ROW.itemsize == 32  # two to a cache line: with a byte for the direction it would take 40, and more time
DIRECTION_BIT, TCP_FLAGS = 15, 0x1FF  # of the flags of a ROW: TCP has nine
COUNTERS = np.dtype(
    [
        ("flows", "i8"),  # begun so far
        ("used", "i8"),  # slots of the table
        ("rows", "i8"),  # packets and flows that wait to be spilled
        ("ended", "i8"),
        ("now", "i8"),  # time of the last packet
        ("steps_back", "i8"),  # how often a packet's time is below that of the one before it
        ("largest_step", "i8"),  # ns of the largest of these
    ]
)

USED, LIVE = 1, 2
FORWARD_FIN, REVERSE_FIN, FORWARD_ACK, REVERSE_ACK = 4, 8, 16, 32
CLOSED = FORWARD_FIN | REVERSE_FIN | FORWARD_ACK | REVERSE_ACK
END_REASONS = ("idle_timeout", "active_timeout", "fin", "rst", "end_of_capture")
IDLE_TIMEOUT, ACTIVE_TIMEOUT, FIN_END, RST_END, END_OF_CAPTURE = range(5)
FIN, RST, ACK = 1, 4, 16

SMALLEST = 1 << 16  # slots: 4 MiB


@njit(cache=True, nogil=True, inline="always")
def same_direction(flow: Record, packet: Record) -> bool:
    """Whether `packet` has the 5-tuple of `flow`, source for source."""
    return (
        flow.source_low == packet.source_low
        and flow.destination_low == packet.destination_low
        and flow.source_port == packet.source_port
        and flow.destination_port == packet.destination_port
        and flow.protocol == packet.protocol
        and flow.source_high == packet.source_high
        and flow.destination_high == packet.destination_high
    )


@njit(cache=True, nogil=True)
def opposite_direction(flow: Record, packet: Record) -> bool:
    """Whether `packet` has the 5-tuple of `flow` with the two ends swapped."""
    if flow.protocol != packet.protocol:
        return False
    if packet.protocol == ICMP or packet.protocol == ICMPV6:
        ports = flow.source_port == packet.source_port and flow.destination_port == packet.destination_port
    else:
        ports = flow.source_port == packet.destination_port and flow.destination_port == packet.source_port
    return (
        ports
        and flow.source_low == packet.destination_low
        and flow.destination_low == packet.source_low
        and flow.source_high == packet.destination_high
        and flow.destination_high == packet.source_high
    )


@njit(cache=True, nogil=True, inline="always")
def tag_of(hashed: Integer) -> np.uint8:
    """The bits of a hash that are kept in the table: others than those that choose the slot."""
    return np.uint8(hashed >> np.uint64(56))


@njit(cache=True, nogil=True, inline="always")
def find_slot(table: np.ndarray, packet: Record, hashed: Integer) -> tuple[Integer, int]:
    """Slot of the packet's key of hash `hashed`, or the empty one where it would go; returns (slot, direction)."""
    mask = np.uint64(len(table) - 1)
    slot = hashed & mask
    tag = tag_of(hashed)
    while table[slot].state & USED:
        if table[slot].tag == tag:
            if same_direction(table[slot], packet):
                return slot, 0
            if opposite_direction(table[slot], packet):
                return slot, 1
        slot = (slot + np.uint64(1)) & mask
    return slot, 0


@njit(cache=True, nogil=True, inline="always")
def expiry(flow: Record, now: Integer, idle: Integer, active: Integer) -> int:
    """Time-out that `flow` has passed at time `now` (the earlier one, if both), or -1."""
    if now - flow.last <= idle and now - flow.start <= active:
        return -1
    if now - flow.start > active and (now - flow.last <= idle or flow.start + active < flow.last + idle):
        return ACTIVE_TIMEOUT
    return IDLE_TIMEOUT


@njit(cache=True, nogil=True)
def end_flow(flow: Record, reason: int, ended: np.ndarray, counters: Record) -> None:
    """Copy `flow` to the list `ended` and free its slot for the next flow of its key."""
    flow.end_reason = reason
    flow.state = USED
    ended[counters.ended] = flow
    counters.ended += 1


@njit(cache=True, nogil=True)
def start_flow(flow: Record, packet: Record, counters: Record) -> None:
    """Make `flow` the one that begins with `packet`."""
    counters.used += 1 - (flow.state & USED)
    flow.source_high, flow.source_low = packet.source_high, packet.source_low
    flow.destination_high, flow.destination_low = packet.destination_high, packet.destination_low
    flow.source_port, flow.destination_port = packet.source_port, packet.destination_port
    flow.protocol, flow.tag = packet.protocol, tag_of(packet.hash)
    flow.start = flow.last = packet.time
    flow.id = counters.flows
    flow.state = USED | LIVE
    counters.flows += 1


@njit(cache=True, nogil=True, inline="always")
def tcp_end(flow: Record, flags: Integer, direction: int) -> int:
    """Note FIN and ACK of a TCP packet in the state of `flow`; returns why the flow ends here, or -1."""
    if flags & RST:
        return RST_END
    state = flow.state
    if flags & FIN:
        state |= REVERSE_FIN if direction else FORWARD_FIN
    if flags & ACK and state & (FORWARD_FIN if direction else REVERSE_FIN):
        state |= REVERSE_ACK if direction else FORWARD_ACK
    flow.state = state
    return FIN_END if state & CLOSED == CLOSED else -1


@njit(cache=True, nogil=True)
def add_packets(
    packets: np.ndarray,
    first: int,
    table: np.ndarray,
    idle: int,
    active: int,
    rows: np.ndarray,
    ended: np.ndarray,
    counters: Record,
) -> int:
    """Assign ``packets[first:]`` to flows until done, or until there is no room left.

    Args:
        packets: (n,) ``packets.PACKET``. table: (2**k,) ``FLOW``.
        idle, active: time-outs in nanoseconds. counters: one ``COUNTERS`` record, updated.
        rows, ended: (R,) ``ROW`` and (E,) ``FLOW``, filled from ``counters.rows`` and ``counters.ended``.

    Returns:
        Number of packets done, those before `first` included. If less than n: flush `rows` and `ended`, and rebuild the
        table if more than 3/4 of it are used.
    """
    packets, table, rows, ended = borrowed(packets), borrowed(table), borrowed(rows), borrowed(ended)
    for i in range(first, len(packets)):
        if counters.rows == len(rows) or counters.ended + 2 > len(ended) or 4 * counters.used > 3 * len(table):
            return i
        packet = packets[i]
        step = counters.now - packet.time
        if step > 0 and counters.flows > 0:
            counters.steps_back += 1
            counters.largest_step = max(counters.largest_step, step)
        counters.now = packet.time
        slot, direction = find_slot(table, packet, packet.hash)
        flow = table[slot]
        if flow.state & LIVE:
            reason = expiry(flow, packet.time, idle, active)
            if reason >= 0:
                end_flow(flow, reason, ended, counters)
        if not flow.state & LIVE:
            start_flow(flow, packet, counters)
            direction = 0
        row = rows[counters.rows]
        row.start, row.id, row.iat_ns = flow.start, flow.id, packet.time - flow.last
        row.length, row.payload_length = packet.length, packet.payload_length
        row.flags = packet.flags | direction << DIRECTION_BIT
        counters.rows, flow.last = counters.rows + 1, packet.time
        if packet.protocol == TCP:
            reason = tcp_end(flow, packet.flags, direction)
            if reason >= 0:
                end_flow(flow, reason, ended, counters)
    return len(packets)


@njit(cache=True, nogil=True)
def sweep(table: np.ndarray, now: Integer, idle: int, active: int, everything: bool) -> np.ndarray:
    """End the flows past a time-out at time `now`, or `everything`; returns them as a (m,) FLOW array."""
    doomed = 0
    for slot in range(len(table)):
        flow = table[slot]
        if flow.state & LIVE and (everything or expiry(flow, now, idle, active) >= 0):
            doomed += 1
    ended = np.empty(doomed, FLOW)
    at = 0
    for slot in range(len(table)):
        flow = table[slot]
        if flow.state & LIVE:
            reason = expiry(flow, now, idle, active)
            if reason >= 0 or everything:
                flow.end_reason = reason if reason >= 0 else END_OF_CAPTURE
                flow.state = USED
                ended[at] = flow
                at += 1
    return ended


@njit(cache=True, nogil=True)
def rebuild(table: np.ndarray, counters: Record, keys: np.ndarray) -> np.ndarray:
    """A new table with the live flows of `table`, at most half full; `keys` are those of the packets' hashes."""
    live = 0
    for slot in range(len(table)):
        live += (table[slot].state & LIVE) // LIVE
    size = SMALLEST
    while size < 2 * live:
        size *= 2
    fresh = np.zeros(size, FLOW)
    for slot in range(len(table)):
        if table[slot].state & LIVE:
            place, _ = find_slot(fresh, table[slot], hash_key(table[slot], keys))
            fresh[place] = table[slot]
    counters.used = live
    return fresh

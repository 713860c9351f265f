"""The extractor again, as slowly and plainly as possible: what the compiled one is compared with.

Shares no code with it. Knows what the shipped and the generated captures hold: Ethernet, VLAN tags,
IPv4, IPv6 without extension headers, TCP, UDP, ICMP.
"""

import gzip
import ipaddress
import struct


def read_pcap(path, limit=None):
    """(time in ns, frame) pairs of a little-endian microsecond pcap file, gzipped."""
    with gzip.open(path) as file:
        file.read(24)
        count = 0
        while (header := file.read(16)) and count != limit:
            seconds, microseconds, captured, _ = struct.unpack("<IIII", header)
            yield seconds * 10**9 + microseconds * 1000, file.read(captured)
            count += 1


def decode(frame):
    """(source, destination, source port, destination port, protocol, length, flags, payload length), or None."""
    at = 12
    while frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    ethertype, at = frame[at : at + 2], at + 2
    if ethertype == b"\x08\x00":
        (length,) = struct.unpack_from(">H", frame, at + 2)
        (fragment,) = struct.unpack_from(">H", frame, at + 6)
        if fragment & 0x3FFF:
            return None
        protocol, ends, transport = frame[at + 9], frame[at + 12 : at + 20], at + (frame[at] & 15) * 4
        source, destination = (ipaddress.ip_address(ends[i : i + 4]) for i in (0, 4))
    elif ethertype == b"\x86\xdd":
        length = struct.unpack_from(">H", frame, at + 4)[0] + 40
        protocol, ends, transport = frame[at + 6], frame[at + 8 : at + 40], at + 40
        source, destination = (ipaddress.ip_address(ends[i : i + 16]) for i in (0, 16))
    else:
        return None
    end = at + length
    if protocol in (1, 58):
        kind, code = frame[transport : transport + 2]
        return source, destination, 0, 256 * kind + code, protocol, length, 0, end - transport - 8
    if protocol not in (6, 17):
        return None
    source_port, destination_port = struct.unpack_from(">HH", frame, transport)
    flags = struct.unpack_from(">H", frame, transport + 12)[0] & 0x1FF if protocol == 6 else 0
    header = (frame[transport + 12] >> 4) * 4 if protocol == 6 else 8
    return source, destination, source_port, destination_port, protocol, length, flags, end - transport - header


class Flow:
    """One flow: its key as first seen, and lists over its packets."""

    def __init__(self, start, key):
        self.start, self.last, self.key, self.reason = start, start, key, "end_of_capture"
        self.gaps, self.lengths, self.directions, self.flags, self.payloads = [], [], [], [], []
        self.fin, self.acknowledged = [False, False], [False, False]

    def add(self, time, direction, length, flags, payload):
        """Append a packet; returns whether the flow ends with it."""
        self.gaps.append(time - self.last)
        self.last = time
        self.lengths.append(length)
        self.directions.append(direction)
        self.flags.append(flags)
        self.payloads.append(payload)
        if flags & 4:
            self.reason = "rst"
        self.fin[direction] |= bool(flags & 1)
        self.acknowledged[direction] |= bool(flags & 16 and self.fin[1 - direction])
        if all(self.fin) and all(self.acknowledged) and self.reason != "rst":
            self.reason = "fin"
        return self.reason in ("rst", "fin")

    def as_tuple(self):
        """Everything that a flow file says about it."""
        packets = tuple(zip(self.gaps, self.lengths, self.directions, self.flags, self.payloads, strict=True))
        return self.start, self.last - self.start, *self.key, self.reason, packets


def build_flows(packets, idle, active):
    """Flows of (time in ns, frame) pairs as tuples, sorted by start; `idle` and `active` in seconds."""
    live, flows, now = {}, [], 0
    for time, frame in packets:
        decoded = decode(frame)
        if decoded is None:
            continue
        now = time
        source, destination, source_port, destination_port, protocol, length, flags, payload = decoded
        key = (source, destination, source_port, destination_port, protocol)
        swapped = (destination, source, destination_port, source_port, protocol)
        if protocol in (1, 58):
            swapped = (destination, source, source_port, destination_port, protocol)
        flow = live.get(key) or live.get(swapped)
        if flow is not None and expire(flow, time, idle, active):
            del live[flow.key]
            flow = None
        if flow is None:
            flow = live[key] = Flow(time, key)
            flows.append(flow)
        if flow.add(time, int(flow.key != key), length, flags, payload):
            del live[flow.key]
    for flow in live.values():
        expire(flow, now, idle, active)
    return [flow.as_tuple() for flow in sorted(flows, key=lambda flow: flow.start)]


def expire(flow, time, idle, active):
    """Set the reason of `flow` if a time-out lies before `time`; returns whether one does."""
    deadlines = [(flow.last + idle * 10**9, "idle_timeout"), (flow.start + active * 10**9, "active_timeout")]
    deadline, reason = min(deadlines, key=lambda pair: pair[0])
    if time > deadline:
        flow.reason = reason
    return time > deadline

"""Mirrored traffic: packets inside tunnels count instead of those that carry them, where that is asked for.

Then addresses, ports, lengths and flags are those of the innermost packet. Where it is not asked for, hints say which
tunnels most packets of a capture are of.
"""

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np

from rnnids.captures.compiled import Integer, Record, big16
from rnnids.captures.frames import NOT_TUNNELLED, find_ip, walk
from rnnids.captures.layers import (
    CLOSED,
    IP_PROTOCOL,
    NO_IP,
    TUNNEL_PORTS,
    TUNNEL_PROTOCOLS,
    UDP_PORT,
    key_of,
)
from rnnids.captures.packets import UDP, keep_or_count, parse_ip, parse_packet, skip_extensions
from rnnids.captures.reasons import FRAGMENT, KEPT, TRANSPORT_UNSUPPORTED
from rnnids.captures.skipped import packets_of
from rnnids.machine_code import njit

OF_PROTOCOL, OF_PORT = key_of(IP_PROTOCOL, 0), key_of(UDP_PORT, 0)
TEREDO = 3544  # the only tunnel that answers from its port, not to it
DEEPEST_TUNNEL = 8
MOSTLY = 0.5  # share of packets of one tunnel


@njit(cache=True, nogil=True)
def carried(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer, Integer]:
    """What the IP packet at `at` carries: (offset behind its headers, IP protocol, verdict); no part of a fragment."""
    if at + 20 <= end and buffer[at] >> 4 == 4:
        inside = at + np.int64(buffer[at] & 0x0F) * 4
        if big16(buffer, at + 6) & 0x3FFF == 0 and at + 20 <= inside <= end:
            return inside, np.int64(buffer[at + 9]), KEPT
    elif at + 40 <= end and buffer[at] >> 4 == 6:
        inside, protocol, verdict = skip_extensions(buffer, at + 40, end, np.int64(buffer[at + 6]))
        return inside, np.int64(protocol), np.int64(verdict)
    return at, np.int64(0), FRAGMENT


@njit(cache=True, nogil=True)
def parse_inner(buffer: np.ndarray, record: Record, packet: Record, layers: np.ndarray) -> Integer:
    """Fill `packet` from the innermost packet of the tunnels in `layers`; returns the verdict.

    A packet of no such tunnel is filled in as :func:`parse_packet` does.
    """
    verdict = parse_packet(buffer, record, packet, layers)
    if record.problem != KEPT:
        return verdict
    end = record.offset + record.captured
    at, found = find_ip(buffer, record.offset, end, record.link, layers)
    if found != KEPT:
        return verdict
    for _ in range(DEEPEST_TUNNEL):
        at, protocol, found = carried(buffer, at, end)
        key = np.int64(OF_PROTOCOL | protocol)
        if protocol == UDP and at + 8 <= end:
            port = TEREDO if big16(buffer, at) == TEREDO else big16(buffer, at + 2)
            at, key = at + 8, np.int64(OF_PORT | port)
        if found != KEPT or not listed(layers, key):
            break
        at, found = walk(buffer, at, end, key, layers)
        if found == NOT_TUNNELLED:
            break
        if found != KEPT:
            return found
        packet.time = record.time
        wire_length = max(record.original, record.captured) - (at - record.offset)
        verdict = parse_ip(buffer, at, end, wire_length, packet)
    return verdict


@njit(cache=True, nogil=True)
def listed(layers: np.ndarray, key: Integer) -> bool:
    """Whether the layer `key` can be passed."""
    row = np.searchsorted(layers[:, 0], key)
    return bool(row < len(layers) and layers[row, 0] == key and layers[row, 1] not in (NO_IP, CLOSED))


@njit(cache=True, nogil=True)
def unwrap_batch(
    buffer: np.ndarray,
    records: np.ndarray,
    packets: np.ndarray,
    counts: np.ndarray,
    layers: np.ndarray,
    keys: np.ndarray,
) -> Integer:
    """:func:`parse_batch` with the tunnels in `layers` unwrapped."""
    count: Integer = 0
    for i in range(len(records)):
        verdict = parse_inner(buffer, records[i], packets[count], layers)
        count = keep_or_count(verdict, packets, count, counts, keys)
    return count


def packets_to_ports(flows: np.ndarray, packet_count: np.ndarray) -> dict[int, int]:
    """{UDP port of a tunnel: packets of the flows to it}."""
    to_port = {port: (flows["protocol"] == UDP) & (flows["destination_port"] == port) for port in TUNNEL_PORTS}
    return {port: int(packet_count[here].sum()) for port, here in to_port.items() if here.any()}


def tunnel_hints(
    counts: np.ndarray, to_ports: Mapping[int, int], packets_read: int, *, unwrap: Collection[str]
) -> list[str]:
    """How to unwrap the tunnel that more than ``MOSTLY`` of a capture's packets are of, unless that is done.

    Args:
        to_ports: {UDP port of a tunnel: packets in flows to it}.
    """
    packets = Counter[str]()
    for port, count in to_ports.items():
        packets[TUNNEL_PORTS[port]] += count
    for protocol, tunnel in TUNNEL_PROTOCOLS.items():
        packets[tunnel] += packets_of(counts, TRANSPORT_UNSUPPORTED, key_of(IP_PROTOCOL, protocol))
    hints = []
    for tunnel, count in packets.items():
        if tunnel not in unwrap and count > MOSTLY * packets_read:
            names = ("gre", "erspan") if tunnel == "gre" else (tunnel,)  # one carries the other
            hints.append(
                f"{count:,} of {packets_read:,} packets are {tunnel.upper()}: only the outer header counts; to get the"
                f" conversations inside, set `extraction: {{unwrap: [{', '.join(names)}]}}`, or --unwrap"
                f" {' '.join(names)}"
            )
    return hints

"""Frames and capture files made by hand, for the tests of the extractor."""

import ipaddress
import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
START = 1_500_000_000 * 10**9  # nanoseconds


def tcp(source_port, destination_port, flags=ACK, payload=b""):
    """A TCP segment; `flags` has nine bits."""
    return struct.pack(">HHIIHHHH", source_port, destination_port, 0, 0, 5 << 12 | flags, 1024, 0, 0) + payload


def udp(source_port, destination_port, payload=b""):
    """A UDP datagram."""
    return struct.pack(">HHHH", source_port, destination_port, 8 + len(payload), 0) + payload


def icmp(kind, code=0, payload=b""):
    """An ICMP or ICMPv6 message."""
    return struct.pack(">BBHI", kind, code, 0, 0) + payload


def ipv4(source, destination, protocol, payload, fragment=0, options=b"", length=None):
    """An IPv4 packet; `length` overrides the total length."""
    header = 20 + len(options)
    total = header + len(payload) if length is None else length
    ends = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(destination).packed
    fixed = struct.pack(">BBHHHBBH", 0x40 | header // 4, 0, total, 0, fragment, 64, protocol, 0)
    return fixed + ends + options + payload


def ipv6(source, destination, protocol, payload, length=None):
    """An IPv6 packet; `length` overrides the payload length."""
    ends = ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(destination).packed
    return struct.pack(">IHBB", 6 << 28, len(payload) if length is None else length, protocol, 64) + ends + payload


def ethernet(packet, ethertype=None, tags=()):
    """An Ethernet frame, with VLAN tags of the given TPIDs."""
    if ethertype is None:
        ethertype = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    stack = b"".join(struct.pack(">HH", tpid, 7) for tpid in tags)
    return bytes(12) + stack + struct.pack(">H", ethertype) + packet


def pcap(packets, order="<", tick=1000, link=1):
    """A pcap file of (time in ns, frame) pairs; `tick` is 1000 or 1 nanoseconds."""
    magic = 0xA1B2C3D4 if tick == 1000 else 0xA1B23C4D
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, link)]
    for time, frame in packets:
        seconds, rest = divmod(time, 10**9)
        parts += [struct.pack(f"{order}IIII", seconds, rest // tick, len(frame), len(frame)), frame]
    return b"".join(parts)


def block(kind, body, order="<"):
    """A pcapng block."""
    body += bytes(-len(body) % 4)
    return struct.pack(f"{order}II", kind, len(body) + 12) + body + struct.pack(f"{order}I", len(body) + 12)


def section(order="<"):
    """A pcapng section header."""
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(order="<", link=1, resolution=None, offset=None):
    """An interface description; `resolution` is the byte of if_tsresol, `offset` the seconds of if_tsoffset."""
    options = b""
    if resolution is not None:
        options += struct.pack(f"{order}HHBxxx", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(f"{order}HHq", 14, 8, offset)
    return block(1, struct.pack(f"{order}HHI", link, 0, 0) + options + bytes(4 * bool(options)), order)


def enhanced(ticks, frame, order="<", number=0):
    """An enhanced packet block."""
    fields = struct.pack(f"{order}IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(6, fields + frame, order)


def pcapng(packets, order="<"):
    """A pcapng file in nanoseconds of (time in ns, frame) pairs."""
    head = section(order) + interface(order, resolution=9)
    return head + b"".join(enhanced(time, frame, order) for time, frame in packets)


def random_traffic(rng, count):
    """(time in ns, frame) pairs: few hosts and ports, so that flows are long, restart and end in every way."""
    time = START
    for _ in range(count):
        pause = rng.choice(["burst", "think", "idle"], p=[0.7, 0.297, 0.003])
        time += int(rng.exponential({"burst": 1e6, "think": 20e9, "idle": 400e9}[pause])) // 1000 * 1000
        four = rng.random() < 0.6
        hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3"] if four else ["fd00::1", "fd00::2", "fd00:0:0:1::1"]
        source, destination = rng.choice(hosts, 2)  # at times the same host
        ports = [int(port) for port in rng.choice([80, 5000, 5001], 2)]
        payload = bytes(int(rng.integers(0, 60)))
        kind = rng.choice(["tcp", "udp", "icmp"], p=[0.7, 0.2, 0.1])
        if kind == "tcp":
            flags = int(rng.choice([SYN, SYN | ACK, ACK, PSH | ACK, FIN | ACK, FIN, RST, 0x1FA]))
            protocol, segment = 6, tcp(*ports, flags, payload)
        elif kind == "udp":
            protocol, segment = 17, udp(*ports, payload)
        else:
            protocol = 1 if four else 58
            segment = icmp(int(rng.choice([0, 8, 128, 129])), 0, payload)
        packet = (ipv4 if four else ipv6)(source, destination, protocol, segment)
        tags = [(), (0x8100,), (0x88A8, 0x8100)][int(rng.integers(3))]
        yield time, ethernet(packet, tags=tags)

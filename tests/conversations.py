"""TCP connections as a capture in the middle sees them: losses, retransmissions, packets out of order, SACK."""

import ipaddress
import struct

from captures import ACK, FIN, PSH, SYN, ethernet
from second_reader import ones_sum

WRAP = 1 << 32
MILLISECOND = 10**6


def checksummed(source, destination, protocol, segment):
    """An IP packet whose checksums are right; the version follows from the addresses."""
    ends = [ipaddress.ip_address(address).packed for address in (source, destination)]
    addresses, place = b"".join(ends), {6: 16, 17: 6, 1: 2, 58: 2}[protocol]
    pseudo = b"" if protocol == 1 else addresses + struct.pack(">II", len(segment), protocol)
    value = 0xFFFF - ones_sum(pseudo + segment[:place] + bytes(2) + segment[place + 2 :])
    value = 0xFFFF if protocol == 17 and value == 0 else value
    segment = segment[:place] + struct.pack(">H", value) + segment[place + 2 :]
    if len(ends[0]) == 16:
        return struct.pack(">IHBB", 6 << 28, len(segment), protocol, 64) + addresses + segment
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 7, 0x4000, 64, protocol, 0) + addresses
    header = header[:10] + struct.pack(">H", 0xFFFF - ones_sum(header)) + header[12:]
    return header + segment


def segment(ports, numbers, flags, payload=b"", blocks=()):
    """A TCP segment with SACK blocks."""
    options = b""
    if blocks:
        options = b"\x01\x01" + struct.pack(">BB", 5, 2 + 8 * len(blocks))
        options += b"".join(struct.pack(">II", *(edge % WRAP for edge in block)) for block in blocks)
    word = (5 + len(options) // 4) << 12 | flags
    head = struct.pack(">HHIIHHHH", *ports, numbers[0] % WRAP, numbers[1] % WRAP, word, 60000, 0, 0)
    return head + options + payload


class End:
    """One end: what it has sent, and what of the other's it has got."""

    def __init__(self, address, port, number):
        self.address, self.port, self.next = address, port, number
        self.got, self.beyond = None, []  # number expected next, (start, stop) of what came too early

    def receive(self, start, size):
        """Take bytes that came."""
        self.beyond.append((start, start + size))
        moved = True
        while moved:
            early = [block for block in self.beyond if block[0] <= self.got < block[1]]
            moved = bool(early)
            self.got = max([self.got, *(stop for _, stop in early)])
        self.beyond = [block for block in self.beyond if block[1] > self.got]


def connection(rng, start, client=("10.0.0.1", 40000), server=("10.0.0.2", 80), rounds=6):
    """(time in ns, frame) pairs of a connection, in order, that ends with FINs."""
    ends = [End(*client, int(rng.integers(WRAP))), End(*server, int(rng.integers(WRAP)))]
    captured, time = [], start

    def capture(sender, number, flags, payload=b""):
        other = ends[1 - ends.index(sender)]
        blocks = sender.beyond[-2:] if sender.got is not None and sender.beyond else []
        numbers = number, sender.got or 0
        text = segment((sender.port, other.port), numbers, flags, payload, blocks)
        packet = checksummed(sender.address, other.address, 6, text)
        captured.append((time, ethernet(packet) + bytes(max(0, 46 - len(packet)))))

    def acknowledge(receiver):
        capture(receiver, receiver.next, ACK)

    ends[1].got, first = ends[0].next + 1, ends[0].next
    capture(ends[0], first, SYN)
    time += MILLISECOND
    capture(ends[1], ends[1].next, SYN | ACK)
    ends[0].got, ends[0].next, ends[1].next = ends[1].next + 1, first + 1, ends[1].next + 1
    time += MILLISECOND
    acknowledge(ends[0])
    for turn in range(rounds):
        sender, receiver = ends[turn % 2], ends[1 - turn % 2]
        waiting = []
        for _ in range(int(rng.integers(1, 5))):
            payload = bytes(rng.integers(1, 256, int(rng.integers(1, 200))).astype("u1"))
            waiting.append((sender.next, payload))
            sender.next += len(payload)
        while waiting:
            place = 0 if rng.random() < 0.8 else int(rng.integers(len(waiting)))  # overtaken, at times
            number, payload = waiting.pop(place)
            time += int(rng.integers(1, 40)) * MILLISECOND
            fate = rng.choice(["arrives", "lost before", "lost behind", "twice"], p=[0.7, 0.1, 0.1, 0.1])
            if fate != "lost before":
                capture(sender, number, PSH | ACK, payload)
            if fate.startswith("lost"):
                waiting.append((number, payload))
                continue
            receiver.receive(number, len(payload))
            if fate == "twice":
                capture(sender, number, PSH | ACK, payload)
            if rng.random() < 0.7 or not waiting:
                time += MILLISECOND
                acknowledge(receiver)
    for sender, receiver in (ends, ends[::-1]):
        time += MILLISECOND
        capture(sender, sender.next, FIN | ACK)
        sender.next += 1
        receiver.receive(sender.next - 1, 1)
    acknowledge(ends[0])
    return captured

"""Packets, a flow each, that someone chose who knows how flows were once hashed: without any key."""

import numpy as np

from rnnids.captures.packets import MAPPED, PACKET, UDP

FACTORS = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53  # of the finaliser of MurmurHash3


def mix(words):
    """The finaliser of MurmurHash3."""
    for factor in FACTORS:
        words = (words ^ (words >> np.uint64(33))) * np.uint64(factor)
    return words ^ (words >> np.uint64(33))


def unmix(words):
    """The words that :func:`mix` makes these of."""
    words = words ^ (words >> np.uint64(33))
    for factor in reversed(FACTORS):
        words = words * np.uint64(pow(factor, -1, 1 << 64))
        words = words ^ (words >> np.uint64(33))
    return words


def packets(count, **columns):
    """(count,) PACKET array of UDP over IPv4 from 10.0.0.1 to 10.0.0.2, but for the `columns` given."""
    made = np.zeros(count, PACKET)
    made["source_low"], made["destination_low"] = MAPPED | 0x0A000001, MAPPED | 0x0A000002
    made["source_port"], made["destination_port"], made["protocol"] = 1000, 53, UDP
    made["length"] = 28
    made["time"] = np.arange(count)
    for name, values in columns.items():
        made[name] = values
    return made


def colliding(count):
    """IPv6 flows of different sources that all had one and the same hash."""
    low = np.arange(count, dtype=np.uint64)
    high = np.uint64(1) - mix(low ^ np.uint64(1000 << 48))
    return packets(count, source_high=high, source_low=low, destination_high=1)


def neighbours(count):
    """IPv6 flows whose hashes filled one slot of a table of 2**16 after another."""
    low = np.arange(count, dtype=np.uint64)
    of_ends = unmix(low) - mix(1 + mix(np.full(count, MAPPED | 0x0A000002 | 53 << 48, np.uint64))) - np.uint64(UDP)
    high = unmix(of_ends) - mix(low ^ np.uint64(1000 << 48))
    return packets(count, source_high=high, source_low=low, destination_high=1)


def regular(count, column, step):
    """Flows that differ in a column by equal steps."""
    return packets(count, **{column: np.arange(count, dtype=np.uint64) * np.uint64(step)})


def swept_ports(count):
    """Flows of all pairs of ports with equal sums: what an addition of the two ends does not tell apart."""
    side = int(count**0.5)
    addresses = np.repeat(np.arange(side, dtype=np.uint64), side)
    ports = np.tile(np.arange(side, dtype=np.uint64), side)
    columns = {"source_port": ports, "destination_port": side - ports}
    return packets(side * side, source_low=MAPPED | addresses, **columns)


CHOSEN = {
    "one hash": colliding,
    "slot after slot": neighbours,
    "addresses in turn": lambda count: regular(count, "source_low", 1),
    "networks in turn": lambda count: regular(count, "source_low", 1 << 16),
    "one bit of the product": lambda count: regular(count, "source_high", 1 << 32),
    "upper halves": lambda count: regular(count, "destination_high", 1 << 40),
    "equal sums of ports": swept_ports,
}


def drawn(count):
    """Flows at random: what the others are compared with."""
    rng = np.random.default_rng(count)
    ends = rng.integers(0, 1 << 63, (2, count), dtype=np.uint64)
    return packets(count, source_low=ends[0], destination_low=ends[1])

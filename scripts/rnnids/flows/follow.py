"""Which flow each packet of chosen connections belongs to, while the capture is read.

The same compiled table as in extraction, given the packets of these connections alone: a packet's flow depends on no
others.
"""

import numpy as np

from rnnids.captures.compiled import Integer, borrowed
from rnnids.captures.layers import layer_table
from rnnids.captures.packets import PACKET, draw_keys, hash_key, parse_packet
from rnnids.captures.pcap import BATCH
from rnnids.captures.reasons import KEPT
from rnnids.flows.table import COUNTERS, FLOW, ROW, SMALLEST, add_packets, rebuild
from rnnids.machine_code import njit

END_SPACE = 1 << 14  # flows that end, which nobody asks for here


@njit(cache=True, nogil=True)
def hash_keys(flows: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(N,) uint64 hashes of the connections of (N,) FLOW or PACKET records, by `keys` of ``packets.draw_keys``."""
    hashes = np.empty(len(flows), np.uint64)
    for i in range(len(flows)):
        hashes[i] = hash_key(flows[i], keys)
    return hashes


@njit(cache=True, nogil=True)
def parse_chosen(
    buffer: np.ndarray,
    records: np.ndarray,
    keys: np.ndarray,
    hashes: np.ndarray,
    packets: np.ndarray,
    indices: np.ndarray,
    layers: np.ndarray,
) -> Integer:
    """Fill `packets`, and `indices` of their records, with those whose hash is among `hashes`.

    Args:
        buffer: (B,) uint8. records: (n,) ``records.RECORD`` whose bytes lie within it.
        keys: those that `hashes` are made with. hashes: (k,) uint64, sorted.
        packets, indices: (n,) ``PACKET`` and int64, written from the front.
        layers: of ``layers.layer_table``.

    Returns:
        Number of packets found.
    """
    buffer, records, packets = borrowed(buffer), borrowed(records), borrowed(packets)
    count = 0
    for i in range(len(records)):
        if parse_packet(buffer, records[i], packets[count], layers) != KEPT:
            continue
        hashed = hash_key(packets[count], keys)
        place = np.searchsorted(hashes, hashed)
        if place < len(hashes) and hashes[place] == hashed:
            packets[count].hash = hashed
            indices[count] = i
            count += 1
    return count


class Follower:
    """Finds the packets of chosen connections, and the flow of each.

    Args:
        flows: (N,) FLOW or PACKET records with their keys.
        idle, active: time-outs in nanoseconds.
    """

    def __init__(self, flows: np.ndarray, *, idle: int, active: int) -> None:
        self.keys, self.layers = draw_keys(), layer_table()
        self.hashes = np.unique(hash_keys(flows, self.keys))
        self.timeouts = idle, active
        self.table, self.counters = np.zeros(SMALLEST, FLOW), np.zeros(1, COUNTERS)[0]
        self.packets, self.indices = np.empty(BATCH, PACKET), np.empty(BATCH, np.int64)
        self.rows, self.ended = np.empty(BATCH, ROW), np.empty(END_SPACE, FLOW)

    def find(self, buffer: np.ndarray, records: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The packets of the next batch that belong to the connections.

        Args:
            buffer: (B,) uint8. records: (n,) RECORD, at most ``BATCH``.

        Returns:
            ((m,) PACKET array, (m,) indices of their records, (m,) ROW array of the packets in their flows);
            overwritten by the next call.
        """
        count = parse_chosen(buffer, records, self.keys, self.hashes, self.packets, self.indices, self.layers)
        packets = self.packets[:count]
        done, self.counters["rows"] = 0, 0
        while (done := self._add(packets, done)) < count:
            self.counters["ended"] = 0
            if 4 * self.counters["used"] > 3 * len(self.table):
                self.table = rebuild(self.table, self.counters, self.keys)
        return packets, self.indices[:count], self.rows[:count]

    def _add(self, packets: np.ndarray, done: int) -> int:
        return int(add_packets(packets, done, self.table, *self.timeouts, self.rows, self.ended, self.counters))

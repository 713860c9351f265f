"""Flows that look alike: exact and near duplicates by their packets, IAT and source port aside.

Random splits put flows of one scan or flood on both sides, so that the test repeats the training data;
how much of the test split does so is what the label audit counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from rnnids.datasets.flow_data import TEST, TRAIN
from rnnids.flows.ranges import ragged_arange
from rnnids.storage import read_hdf5

LENGTH_STEP = 32  # bytes; lengths of near duplicates are equal when counted in these steps
CHUNK = 1 << 20  # packets read at a time
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(values: np.ndarray) -> np.ndarray:
    """A bijection of uint64 that spreads every bit over all others (splitmix64 of Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        values = values + GOLDEN
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def signatures(path: Path | str, flows: Mapping[str, np.ndarray], prefix_packets: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers that are equal for flows that look alike, of all flows of a data set file.

    Two flows are duplicates if protocol, destination port and the lengths, directions and flags of all
    their packets in the data set are the same; near duplicates if these are the same for their first
    `prefix_packets` packets, lengths counted in steps of ``LENGTH_STEP`` bytes.

    Args:
        flows: columns offset, packet_count, destination_port, protocol of the file.

    Returns:
        (exact, near): (N,) uint64. 64 bits: two of 3 million different flows collide with probability 2e-7.
    """
    service = mix(flows["destination_port"].astype(np.uint64) << np.uint64(8) | flows["protocol"])
    exact, near = service.copy(), service.copy()
    with read_hdf5(path) as file:
        for chunk in _chunks(flows["packet_count"]):
            count = flows["packet_count"][chunk].astype(np.int64)
            rows = slice(int(flows["offset"][chunk][0]), int(flows["offset"][chunk][0] + count.sum()))
            columns = [file["packets"][name][rows].astype(np.uint64) for name in ("length", "direction", "flags")]
            place = ragged_arange(np.zeros(len(count), dtype=np.int64), count)
            exact[chunk] = mix(exact[chunk] ^ _sums(columns, place, count, step=1))
            early = place < prefix_packets
            columns, place = [column[early] for column in columns], place[early]
            near[chunk] = mix(near[chunk] ^ _sums(columns, place, np.minimum(count, prefix_packets), step=LENGTH_STEP))
    return exact, near


def _chunks(packet_count: np.ndarray) -> Iterator[slice]:
    """Slices of flows with about CHUNK packets each."""
    end = np.cumsum(packet_count, dtype=np.int64)
    first = 0
    while first < len(end):
        before = int(end[first]) - int(packet_count[first])
        stop = max(first + 1, int(np.searchsorted(end, before + CHUNK, side="right")))
        yield slice(first, stop)
        first = stop


def _sums(columns: Sequence[np.ndarray], place: np.ndarray, count: np.ndarray, *, step: int) -> np.ndarray:
    """(flows,) sum over a flow's packets of a number made of what the packet is and of its place."""
    length, direction, flags = columns
    packet = (length // np.uint64(step)) << np.uint64(16) | flags << np.uint64(1) | direction
    numbers = mix(mix(packet) + place.astype(np.uint64) * GOLDEN)
    return np.add.reduceat(numbers, np.cumsum(count) - count)


def seen_in_training(codes: np.ndarray, split: np.ndarray) -> np.ndarray:
    """(N,) bool: test flows that have a twin in the training split.

    Args:
        codes: (N,) int64 from 0, equal for twins. split: (N,) TRAIN or TEST.
    """
    trained = np.zeros(int(codes.max()) + 1, dtype=bool)
    trained[codes[split == TRAIN]] = True
    return trained[codes] & (split == TEST)


def seen_elsewhere(codes: np.ndarray, capture: np.ndarray) -> np.ndarray:
    """(N,) bool: flows that have a twin in another capture, as if each capture were tested in turn."""
    size = int(codes.max()) + 1
    first, last = np.full(size, capture.max() + 1, dtype=np.int64), np.full(size, -1, dtype=np.int64)
    np.minimum.at(first, codes, capture)
    np.maximum.at(last, codes, capture)
    return (first != last)[codes]


def contradicted(codes: np.ndarray, is_attack: np.ndarray) -> np.ndarray:
    """(N,) bool: flows that have a twin of the other class, benign or attack."""
    size = int(codes.max()) + 1
    sizes, attacks = np.bincount(codes, minlength=size), np.bincount(codes, weights=is_attack, minlength=size)
    return ((attacks > 0) & (attacks < sizes))[codes]

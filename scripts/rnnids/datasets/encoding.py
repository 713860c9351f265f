"""Packets stored as columns become the rows of 15 features that ``features.py`` lists, in compiled code."""

import numpy as np
from numba import njit

from rnnids.datasets.features import (
    CONSTANT_FEATURES,
    DIRECTION,
    FEATURES,
    FLAG_BITS,
    INTERARRIVAL_TIME,
    NANOSECONDS_PER_MILLISECOND,
    NUM_FEATURES,
    PACKET_LENGTH,
)

BITS = tuple(FLAG_BITS.values())
FIRST_FLAG = DIRECTION + 1
NO_MEAN, NO_STD = np.zeros(NUM_FEATURES), np.ones(NUM_FEATURES)


def encode_packets(flows, packets, packet_count, mean=NO_MEAN, std=NO_STD, dtype=np.float64):
    """Feature matrix of packets stored as columns, raw or, given `mean` and `std`, as z-scores.

    Args:
        flows: mapping with ``source_port``, ``destination_port``, ``protocol``, each (N,).
        packets: mapping with ``iat_ns``, ``length``, ``direction``, ``flags``, each (P,).
        packet_count: (N,) packets of each flow, summing to P.
        mean, std: (15,) float64, in raw units.
        dtype: of the result; it is computed in float64.

    Returns:
        (P, 15), columns as ``FEATURES``, raw interarrival times in milliseconds.

    Raises:
        ValueError: columns of other lengths.
    """
    of_flows = [np.asarray(flows[FEATURES[column]]) for column in CONSTANT_FEATURES]
    of_packets = [np.asarray(packets[name]) for name in ("iat_ns", "length", "direction", "flags")]
    count = np.asarray(packet_count)
    lengths = {len(column) for column in of_flows} | {len(count)}, {len(column) for column in of_packets}
    if lengths != ({len(count)}, {int(count.sum())}) or (count < 0).any():
        raise ValueError(f"columns of {lengths[0]} flows and {lengths[1]} packets, of which flows have {count.sum()}")
    encoded = np.empty((int(count.sum()), NUM_FEATURES), dtype)
    _encode(encoded, *of_flows, *of_packets, count, mean, std)
    return encoded


@njit(cache=True, nogil=True, error_model="numpy")
def _encode(encoded, source_port, destination_port, protocol, iat, length, direction, flags, packet_count, mean, std):
    raw = np.empty(NUM_FEATURES)
    row = 0
    for flow in range(len(packet_count)):
        raw[0], raw[1], raw[2] = source_port[flow], destination_port[flow], protocol[flow]
        for _ in range(packet_count[flow]):
            raw[PACKET_LENGTH], raw[DIRECTION] = length[row], direction[row]
            raw[INTERARRIVAL_TIME] = iat[row] / NANOSECONDS_PER_MILLISECOND
            for flag in range(len(BITS)):
                raw[FIRST_FLAG + flag] = (flags[row] & BITS[flag]) != 0
            for column in range(NUM_FEATURES):
                encoded[row, column] = (raw[column] - mean[column]) / std[column]
            row += 1

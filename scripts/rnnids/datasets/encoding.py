"""Packets stored as columns become the rows of 15 features that ``features.py`` lists, in compiled code.

The formulas of units, flags and z-scores stand here once: compiled code calls them for numbers, other modules for
arrays and tensors, with the same results bit for bit.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba.extending import register_jitable
from numpy.typing import DTypeLike

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
from rnnids.machine_code import njit

BITS = tuple(FLAG_BITS.values())
FIRST_FLAG = DIRECTION + 1
NO_MEAN, NO_STD = np.zeros(NUM_FEATURES), np.ones(NUM_FEATURES)
FLOW_INPUTS = tuple(FEATURES[feature] for feature in CONSTANT_FEATURES)  # columns that features are made of
PACKET_INPUTS = ("iat_ns", "length", "direction", "flags")


@register_jitable(error_model="numpy")
def normalise(values: Any, mean: Any, std: Any) -> Any:
    """Raw values in the units of ``features.py`` as z-scores: numbers, arrays or tensors that broadcast, float64."""
    return (values - mean) / std


@register_jitable(error_model="numpy")
def to_milliseconds(iat_ns: Any) -> Any:
    """Interarrival times as a feature, of nanoseconds."""
    return iat_ns / NANOSECONDS_PER_MILLISECOND


@register_jitable
def is_set(flags: Any, bit: int) -> Any:
    """Whether the TCP flag of a bit (see ``FLAG_BITS``) is set."""
    return (flags & bit) != 0


def encode_packets(
    flows: Mapping[str, np.ndarray],
    packets: Mapping[str, np.ndarray],
    packet_count: np.ndarray,
    *,
    mean: np.ndarray = NO_MEAN,
    std: np.ndarray = NO_STD,
    dtype: DTypeLike = np.float64,
) -> np.ndarray:
    """Feature matrix of packets stored as columns, raw or, given `mean` and `std`, as z-scores.

    Args:
        flows: with ``FLOW_INPUTS`` at least, each (N,).
        packets: with ``PACKET_INPUTS`` at least, each (P,).
        packet_count: (N,) packets of each flow, summing to P.
        mean, std: (15,) float64, in raw units.
        dtype: of the result; it is computed in float64.

    Returns:
        (P, 15), columns as ``FEATURES``, raw interarrival times in milliseconds.

    Raises:
        ValueError: columns of other lengths.
    """
    of_flows = tuple(np.asarray(flows[name]) for name in FLOW_INPUTS)
    of_packets = tuple(np.asarray(packets[name]) for name in PACKET_INPUTS)
    count = np.asarray(packet_count)
    lengths = {len(column) for column in of_flows} | {len(count)}, {len(column) for column in of_packets}
    if lengths != ({len(count)}, {int(count.sum())}) or (count < 0).any():
        raise ValueError(f"columns of {lengths[0]} flows and {lengths[1]} packets, of which flows have {count.sum()}")
    encoded = np.empty((int(count.sum()), NUM_FEATURES), dtype)
    _encode(encoded, of_flows, of_packets, count, mean, std)
    return encoded


@njit(cache=True, nogil=True, error_model="numpy")
def _encode(
    encoded: np.ndarray,
    of_flows: tuple[np.ndarray, ...],
    of_packets: tuple[np.ndarray, ...],
    packet_count: np.ndarray,
    mean: np.ndarray,
    std: np.ndarray,
) -> None:
    source_port, destination_port, protocol = of_flows
    iat_ns, length, direction, flags = of_packets
    raw = np.empty(NUM_FEATURES)
    row = 0
    for flow in range(len(packet_count)):
        raw[0], raw[1], raw[2] = source_port[flow], destination_port[flow], protocol[flow]
        for _ in range(packet_count[flow]):
            raw[PACKET_LENGTH], raw[DIRECTION] = length[row], direction[row]
            raw[INTERARRIVAL_TIME] = to_milliseconds(iat_ns[row])
            for flag in range(len(BITS)):
                raw[FIRST_FLAG + flag] = is_set(flags[row], BITS[flag])
            for column in range(NUM_FEATURES):
                encoded[row, column] = normalise(raw[column], mean[column], std[column])
            row += 1

"""Parts of a data set: the values of one feature, flows of one type, a sample of flows."""

from dataclasses import replace

import numpy as np

from rnnids.datasets.features import (
    CONSTANT_FEATURES,
    DIRECTION,
    FEATURES,
    FLAG_BITS,
    INTERARRIVAL_TIME,
    NANOSECONDS_PER_MILLISECOND,
    PACKET_LENGTH,
)


def packet_values(data, feature):
    """(P,) raw values of one feature over all packets of a FlowData, in their order."""
    if feature in CONSTANT_FEATURES:
        return np.repeat(data.flows[FEATURES[feature]], data.packet_count)
    if feature == PACKET_LENGTH:
        return data.packets["length"]
    if feature == INTERARRIVAL_TIME:
        return data.packets["iat_ns"] / NANOSECONDS_PER_MILLISECOND
    if feature == DIRECTION:
        return data.packets["direction"]
    return ((data.packets["flags"] & FLAG_BITS[FEATURES[feature]]) != 0).astype(np.uint8)


def sample_flows(data, max_flows, seed):
    """The flows of a FlowData, or `max_flows` of them drawn at random (None: all)."""
    if max_flows is None or len(data) <= max_flows:
        return data
    return data.take(np.sort(np.random.default_rng(seed).choice(len(data), max_flows, replace=False)))


def flows_by_type(data, max_flows, seed):
    """{attack type: FlowData of its flows, at most `max_flows`}, "Benign" first; types without flows are left out."""
    groups = {}
    for index, attack in enumerate(data.attacks):
        rows = np.flatnonzero(data.flows["attack"] == index)
        if len(rows):
            groups[attack] = sample_flows(data.take(rows), max_flows, [seed, index])
    return groups


def first_packets(data, steps):
    """The flows of a FlowData cut to their first `steps` packets."""
    count = np.minimum(data.packet_count, steps)
    return replace(data, flows={**data.flows, "packet_count": count}).take(np.arange(len(data)))

"""Parts of a data set: the values of one feature, flows of one type, a sample of flows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rnnids.datasets.encoding import is_set, to_milliseconds
from rnnids.datasets.features import (
    CONSTANT_FEATURES,
    DIRECTION,
    FEATURES,
    FLAG_BITS,
    INTERARRIVAL_TIME,
    NUM_FEATURES,
    PACKET_LENGTH,
)
from rnnids.datasets.flow_data import FlowData


def packet_values(data: FlowData, feature: int) -> np.ndarray:
    """(P,) raw values of one feature over all packets of a FlowData, in their order and the smallest type."""
    if feature in CONSTANT_FEATURES:
        return np.repeat(data.flows[FEATURES[feature]], data.packet_count)
    if feature == PACKET_LENGTH:
        return data.packets["length"]
    if feature == INTERARRIVAL_TIME:
        return to_milliseconds(data.packets["iat_ns"])
    if feature == DIRECTION:
        return data.packets["direction"]
    return is_set(data.packets["flags"], FLAG_BITS[FEATURES[feature]]).astype(np.uint8)


def constant_features(data: FlowData) -> np.ndarray:
    """(15,) bool: features that have one value in all packets of a FlowData."""
    values = (packet_values(data, feature) for feature in range(NUM_FEATURES))
    return np.array([(of_feature == of_feature[0]).all() for of_feature in values])


def sample_flows(data: FlowData, max_flows: int | None, seed: int | Sequence[int]) -> FlowData:
    """The flows of a FlowData, or `max_flows` of them drawn at random (None: all)."""
    if max_flows is None or len(data) <= max_flows:
        return data
    return data.take(np.sort(np.random.default_rng(seed).choice(len(data), max_flows, replace=False)))


def flows_by_type(data: FlowData, max_flows: int | None, seed: int) -> dict[str, FlowData]:
    """{attack type: FlowData of its flows, at most `max_flows`}, "Benign" first; types without flows are left out."""
    groups = {}
    for index, attack in enumerate(data.attacks):
        rows = np.flatnonzero(data.flows["attack"] == index)
        if len(rows):
            groups[attack] = sample_flows(data.take(rows), max_flows, [seed, index])
    return groups


def first_packets(data: FlowData, steps: int) -> FlowData:
    """The flows of a FlowData cut to their first `steps` packets."""
    count = np.minimum(data.packet_count, steps)
    return replace(data, flows={**data.flows, "packet_count": count}).take(np.arange(len(data)))

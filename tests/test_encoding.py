"""Packets as rows of features: order, units, flags, z-scores."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rnnids.datasets.encoding import encode_packets, normalise
from rnnids.datasets.features import FEATURES, NUM_FEATURES
from rnnids.datasets.selection import packet_values

HEADER_BITS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"]  # from the lowest (RFC 9293; NS: RFC 3540)


def encode(flags, **packets):
    count = len(flags)
    columns = {"iat_ns": np.zeros(count, int), "length": np.zeros(count, int), "direction": np.zeros(count, int)}
    flows = {"source_port": [1025], "destination_port": [80], "protocol": [6]}
    return encode_packets(flows, columns | {"flags": np.array(flags)} | packets, [count])


def test_each_flag_has_its_bit_and_its_column():
    encoded = encode([1 << bit for bit in range(9)])
    for bit, name in enumerate(HEADER_BITS):
        assert encoded[bit, 6:].tolist() == [float(name == column) for column in FEATURES[6:]]
    assert (encode([0, 511])[:, 6:] == [[0] * 9, [1] * 9]).all()


def test_units_are_bytes_and_milliseconds():
    encoded = encode([0] * 3, iat_ns=np.array([0, 1_500_000, -1]), length=np.array([40, 1500, 65_535], np.uint32))
    assert encoded[:, FEATURES.index("packet_length")].tolist() == [40, 1500, 65_535]
    assert encoded[:, FEATURES.index("interarrival_time")].tolist() == [0, 1.5, -1e-6]


def test_values_of_a_flow_stand_at_each_of_its_packets():
    rng = np.random.default_rng(0)
    count = np.array([1, 4, 2])
    flows = {name: rng.integers(0, 65_536, 3) for name in ("source_port", "destination_port", "protocol")}
    packets = {name: rng.integers(0, 2, 7) for name in ("iat_ns", "length", "direction", "flags")}
    encoded = encode_packets(flows, packets, count)
    assert encoded.shape == (7, 15) and encoded.dtype == np.float64
    for row, flow in enumerate([0, 1, 1, 1, 1, 2, 2]):
        assert encoded[row, :3].tolist() == [flows[name][flow] for name in FEATURES[:3]]
        assert encoded[row, FEATURES.index("direction")] == packets["direction"][row]


def test_z_scores_are_those_of_the_raw_values():
    rng = np.random.default_rng(1)
    flows = {name: rng.integers(0, 65_536, 20) for name in ("source_port", "destination_port", "protocol")}
    largest = {"iat_ns": 10**15, "length": 65_536, "direction": 2, "flags": 512}
    packets = {name: rng.integers(0, top, 100) for name, top in largest.items()}
    count = np.full(20, 5)
    raw = encode_packets(flows, packets, count)
    mean, std = raw.mean(axis=0), raw.std(axis=0)
    scores = encode_packets(flows, packets, count, mean=mean, std=std, dtype=np.float32)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, ((raw - mean) / std).astype(np.float32))
    in_torch = normalise(*(torch.from_numpy(values) for values in (raw, mean, std))).float()
    np.testing.assert_array_equal(scores, in_torch.numpy())
    assert normalise(raw[3, 4], mean[4], std[4]) == np.float64((raw[3, 4] - mean[4]) / std[4])


@pytest.mark.parametrize("feature", range(NUM_FEATURES))
def test_a_single_feature_has_the_values_of_its_column(feature):
    rng = np.random.default_rng(2)
    count = np.array([3, 1, 6])
    flows = {name: rng.integers(0, 65_536, 3) for name in ("source_port", "destination_port", "protocol")}
    largest = {"iat_ns": 10**15, "length": 65_536, "direction": 2, "flags": 512}
    packets = {name: rng.integers(0, top, 10) for name, top in largest.items()}
    alone = packet_values(SimpleNamespace(flows=flows, packets=packets, packet_count=count), feature)
    np.testing.assert_array_equal(alone, encode_packets(flows, packets, count)[:, feature])


@pytest.mark.parametrize(("count", "packets"), [([2, 2], 4), ([3], 4), ([5], 4), ([-1], 4), ([], 4)])
def test_columns_of_other_lengths_are_refused(count, packets):
    flows = {"source_port": [1025], "destination_port": [80], "protocol": [6]}
    columns = {name: np.zeros(packets, int) for name in ("iat_ns", "length", "direction", "flags")}
    with pytest.raises(ValueError, match="columns of"):
        encode_packets(flows, columns, np.array(count, dtype=int))

"""The 15 features: order, units, flags."""

import numpy as np

from rnnids import features

# Sec. II: ports, protocol, length, interarrival time, direction; flags in the order of the published implementation.
ORDER = [
    "source_port",
    "destination_port",
    "protocol",
    "packet_length",
    "interarrival_time",
    "direction",
    *("SYN", "FIN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"),
]
HEADER_BITS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"]  # from the lowest (RFC 9293; NS: RFC 3540)


def encode(flags, **packets):
    count = len(flags)
    columns = {"iat_ns": np.zeros(count, int), "length": np.zeros(count, int), "direction": np.zeros(count, int)}
    flows = {"source_port": [1025], "destination_port": [80], "protocol": [6]}
    return features.encode_packets(flows, columns | {"flags": np.array(flags)} | packets, [count])


def test_the_order_is_that_of_the_paper():
    assert list(features.FEATURES) == ORDER
    assert len(features.FEATURE_LABELS) == features.NUM_FEATURES == 15


def test_each_flag_has_its_bit_and_its_column():
    encoded = encode([1 << bit for bit in range(9)])
    for bit, name in enumerate(HEADER_BITS):
        assert encoded[bit, 6:].tolist() == [float(name == column) for column in ORDER[6:]]
    assert (encode([0, 511])[:, 6:] == [[0] * 9, [1] * 9]).all()


def test_units_are_bytes_and_milliseconds():
    encoded = encode([0] * 3, iat_ns=np.array([0, 1_500_000, -1]), length=np.array([40, 1500, 65_535], np.uint32))
    assert encoded[:, ORDER.index("packet_length")].tolist() == [40, 1500, 65_535]
    assert encoded[:, ORDER.index("interarrival_time")].tolist() == [0, 1.5, -1e-6]


def test_values_of_a_flow_stand_at_each_of_its_packets():
    rng = np.random.default_rng(0)
    count = np.array([1, 4, 2])
    flows = {name: rng.integers(0, 65_536, 3) for name in ("source_port", "destination_port", "protocol")}
    packets = {name: rng.integers(0, 2, 7) for name in ("iat_ns", "length", "direction", "flags")}
    encoded = features.encode_packets(flows, packets, count)
    assert encoded.shape == (7, 15) and encoded.dtype == np.float64
    for row, flow in enumerate([0, 1, 1, 1, 1, 2, 2]):
        assert encoded[row, :3].tolist() == [flows[name][flow] for name in ORDER[:3]]
        assert encoded[row, ORDER.index("direction")] == packets["direction"][row]

"""The 15 features and their order."""

from rnnids.datasets import features

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


def test_the_order_is_that_of_the_paper():
    assert list(features.FEATURES) == ORDER
    assert len(features.FEATURE_LABELS) == features.NUM_FEATURES == 15

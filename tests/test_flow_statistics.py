"""Flow statistics against a plain computation, flow by flow."""

import detectors
import numpy as np
import pytest

from rnnids.detectors.flow_statistics import flow_statistics


def test_against_a_loop():
    data = detectors.flows(40, seed=5, longest=9)
    names, table = flow_statistics(data)
    assert np.isfinite(table).all()
    for row, (start, count) in enumerate(zip(data.start, data.packet_count, strict=True)):
        packets = {name: column[start : start + count] for name, column in data.packets.items()}
        length, iat = packets["length"].astype(float), packets["iat_ns"] / 1e6
        reverse = length[packets["direction"] == 1]
        expected = {
            "destination_port": data.flows["destination_port"][row],
            "packets": count,
            "bytes": length.sum(),
            "duration": iat.sum(),
            "length_mean": length.mean(),
            "length_std": length.std(),
            "iat_min": iat.min(),
            "iat_max": iat.max(),
            "forward_packets": (packets["direction"] == 0).sum(),
            "reverse_length_mean": reverse.mean() if len(reverse) else 0,
            "reverse_length_max": reverse.max() if len(reverse) else 0,
            "SYN_packets": (packets["flags"] & 2 > 0).sum(),
            "NS_packets": (packets["flags"] & 256 > 0).sum(),
        }
        found = dict(zip(names, table[row], strict=True))
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-5)

"""Extraction against go-flows, packet for packet, on the reference captures."""

import csv
import gzip
import ipaddress
from pathlib import Path

import h5py
import numpy as np
import pytest

from rnnids.flows import extract

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
ORACLES = sorted((SHARED / "oracle").glob("*.goflows.csv.gz"))
LETTERS = {"S": 2, "F": 1, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128, "N": 256}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not ORACLES, reason="the reference flows are not here"),
]


def go_flows(path):
    """Flows as tuples: start in ms, key, then per packet (IAT ns, length, direction, flags)."""
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            lists = {name: cell[1:-1].split(" ") for name, cell in row.items() if cell.startswith("[")}
            gaps = lists.get("accumulate(_interPacketTimeNanoseconds)", ())  # blank for a single packet
            yield (
                int(row["flowStartMilliseconds"]),
                ipaddress.ip_address(row["sourceIPAddress"]),
                ipaddress.ip_address(row["destinationIPAddress"]),
                int(row["sourceTransportPort"]),
                int(row["destinationTransportPort"]),
                int(row["protocolIdentifier"]),
                (0, *(int(gap) for gap in gaps if gap)),
                tuple(int(length) for length in lists["accumulate(ipTotalLength)"]),
                tuple(int(forward == "false") for forward in lists["accumulate(flowDirection)"]),
                tuple(sum(LETTERS[letter] for letter in flags) for flags in lists["accumulate(_tcpFlags)"]),
            )


def our_flows(path):
    """The same tuples from a flow file."""
    with h5py.File(path) as file:
        flows = {name: column[()] for name, column in file["flows"].items()}
        packets = {name: column[()] for name, column in file["packets"].items()}
    for i, (offset, count) in enumerate(zip(flows["offset"], flows["packet_count"], strict=True)):
        own = {name: tuple(column[offset : offset + count].tolist()) for name, column in packets.items()}
        yield (
            flows["start_ns"][i] // 1_000_000,
            ipaddress.ip_address(flows["source_address"][i].tobytes()).ipv4_mapped,
            ipaddress.ip_address(flows["destination_address"][i].tobytes()).ipv4_mapped,
            flows["source_port"][i],
            flows["destination_port"][i],
            flows["protocol"][i],
            own["iat_ns"],
            own["length"],
            own["direction"],
            own["flags"],
        )


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda path: path.name.split(".")[0])
def test_extraction_equals_go_flows(oracle, tmp_path):
    name = oracle.name.split(".")[0]
    extract(SHARED / "lab" / f"{name}.pcap.gz", tmp_path / "flows.h5", 300, 1800, name, "{}")
    expected, found = sorted(go_flows(oracle)), sorted(our_flows(tmp_path / "flows.h5"))
    assert len(found) == len(expected) > 1000
    assert found == expected
    starts = h5py.File(tmp_path / "flows.h5")["flows/start_ns"][()]
    assert (np.diff(starts) >= 0).all()

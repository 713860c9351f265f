"""Flows, flow files and rules for tests, and a labeller so plain that it can be checked by reading it."""

import ipaddress
import json

import h5py
import numpy as np
import pandas as pd

from rnnids.labels.rules import PROTOCOLS
from rnnids.storage import COLUMN_OPTIONS

SECOND = 1_000_000_000
NOON = pd.Timestamp("2017-07-05T12:00:00Z").value  # ns
ADDRESSES = ("172.16.0.1", "172.16.0.20", "192.168.10.5", "192.168.10.50", "2001:db8::1", "2001:db8::50")
COLUMNS = "start,end,source,destination,destination_port,protocol,bidirectional_initiator,attack,category"


def address_bytes(addresses):
    """(N, 16) uint8, IPv4 as ::ffff:a.b.c.d."""
    parsed = [ipaddress.ip_address(address) for address in addresses]
    packed = [(bytes(10) + b"\xff\xff" if each.version == 4 else b"") + each.packed for each in parsed]
    return np.frombuffer(b"".join(packed), dtype=np.uint8).reshape(-1, 16)


def address_texts(addresses):
    """List of ipaddress objects of (N, 16) uint8."""
    parsed = [ipaddress.IPv6Address(bytes(row)) for row in addresses]
    return [address.ipv4_mapped or address for address in parsed]


def make_flows(rows):
    """Columns of flows from (seconds after noon, duration in s, source, port, destination, port, protocol)."""
    start, duration, source, source_port, destination, destination_port, protocol = zip(*rows, strict=True)
    return {
        "start_ns": NOON + np.rint(np.array(start) * SECOND).astype(np.int64),
        "duration_ns": np.rint(np.array(duration) * SECOND).astype(np.int64),
        "source_address": address_bytes(source),
        "destination_address": address_bytes(destination),
        "source_port": np.array(source_port, dtype=np.uint16),
        "destination_port": np.array(destination_port, dtype=np.uint16),
        "protocol": np.array(protocol, dtype=np.uint8),
        "capture": np.zeros(len(rows), dtype=np.uint16),
    }


def random_flows(rng, count, span=3600):
    """`count` flows of few hosts and ports, so that 5-tuples return in both directions; sorted by start."""
    rows = []
    for start in np.sort(rng.integers(0, span, count)):
        family = ADDRESSES[:4] if rng.random() < 0.8 else ADDRESSES[4:]
        source, destination = rng.choice(family, 2)
        protocol = int(rng.choice([1, 6, 6, 17, 58]))
        ports = (0, rng.choice([0, 2048])) if protocol in (1, 58) else rng.choice([22, 80, 1025, 1026], 2)
        rows.append((float(start), float(rng.integers(0, 120)), source, ports[0], destination, ports[1], protocol))
    return make_flows(rows)


def random_rules(rng, count, span=3600):
    """Text of a rule file with `count` rules that overlap often."""
    networks = (
        ["172.16.0.1/32", "172.16.0.0/27", "192.168.10.0/24", "192.168.10.50", "0.0.0.0/0", "192.168.10.0/26"],
        ["2001:db8::/64", "::/0", "2001:db8::50/128"],
    )
    lines = [COLUMNS]
    for _ in range(count):
        family = networks[int(rng.random() < 0.25)]
        source, destination = rng.choice(family, 2)
        start, end = (pd.Timestamp(NOON + t * SECOND, tz="UTC") for t in np.sort(rng.integers(0, span, 2)))
        port, protocol = rng.choice(["", "", "80", "22", "2048"]), rng.choice(["", "tcp", "udp", "icmp", "58"])
        attack = f"attack {rng.integers(5)}"
        either = rng.choice(["true", "false"])
        lines.append(
            f"{start.isoformat()},{end.isoformat()},{source},{destination},{port},{protocol},{either},{attack},category"
        )
    return "\n".join(lines) + "\n"


def reference_labels(flows, rules_path, idle_timeout, follow):
    """Label flow by flow and rule by rule.

    Returns:
        list of (index of the winning rule or -1, attacker is the responder, rules matched, is a continuation).
    """
    rules = pd.read_csv(rules_path, dtype=str, keep_default_na=False, encoding="utf-8-sig").to_dict("records")
    for rule in rules:
        rule["from"], rule["to"] = pd.Timestamp(rule["start"]).value, pd.Timestamp(rule["end"]).value
        rule["networks"] = ipaddress.ip_network(rule["source"]), ipaddress.ip_network(rule["destination"])
    sources, destinations = address_texts(flows["source_address"]), address_texts(flows["destination_address"])
    labels, latest = [None] * len(sources), {}
    for i in np.lexsort((flows["start_ns"], flows["capture"])):
        start, protocol = int(flows["start_ns"][i]), int(flows["protocol"][i])
        ends = (sources[i], int(flows["source_port"][i])), (destinations[i], int(flows["destination_port"][i]))
        label, attacker, matched = -1, None, 0
        for index, rule in enumerate(rules):
            hit = matching_attacker(rule, start, protocol, *ends)
            if hit is not None:
                label, attacker, matched = index, hit, matched + 1
        if protocol in (1, 58):  # no ports, but type and code that belong to both directions
            ends = (ends[0][0], ends[1][1]), (ends[1][0], ends[1][1])
        key = (int(flows["capture"][i]), frozenset(ends), protocol)
        continuation = False
        if follow and not matched and key in latest:
            end, previous_label, previous_attacker = latest[key]
            if previous_label >= 0 and start - end <= idle_timeout * SECOND:
                label, continuation = previous_label, True
                attacker = "source" if ends[0] == previous_attacker else "destination"
        responds = attacker == "destination"
        labels[i] = (label, responds, matched, continuation)
        latest[key] = (start + int(flows["duration_ns"][i]), label, ends[1] if responds else ends[0])
    return labels


def matching_attacker(rule, start, protocol, source, destination):
    """Which end of a flow a rule says to be the attacker: "source", "destination" or None."""
    if not rule["from"] <= start <= rule["to"]:
        return None
    name = rule["protocol"]
    if name and protocol != (int(name) if name.isdigit() else PROTOCOLS[name]):
        return None
    attackers, victims = rule["networks"]
    for end, attacker, victim in (("source", source, destination), ("destination", destination, source)):
        if end == "destination" and rule["bidirectional_initiator"] == "false":
            return None
        port_fits = rule["destination_port"] in ("", str(victim[1]))
        if attacker[0] in attackers and victim[0] in victims and port_fits:
            return end
    return None


def random_packets(rng, flows, longest=40):
    """Packet counts and packet columns for flows; about one flow in twenty has a negative interarrival time."""
    count = rng.integers(1, longest, len(flows["start_ns"]))
    first = np.cumsum(count) - count
    total = int(count.sum())
    iat = rng.integers(0, 10**9, total)
    backwards = rng.random(len(count)) < 0.05
    iat[(first + count - 1)[backwards]] = -1000
    iat[first] = 0
    packets = {
        "iat_ns": iat,
        "length": rng.integers(20, 1500, total).astype(np.uint32),
        "direction": rng.integers(0, 2, total).astype(np.uint8),
        "flags": rng.integers(0, 128, total).astype(np.uint16),
    }
    packets["payload_length"] = np.maximum(packets["length"].astype(int) - 40, 0).astype(np.uint16)
    return count.astype(np.int32), packets


def write_flow_file(path, flows, count, packets, **attributes):
    """Write a flow file as extract_flows.py does; `attributes` replace those of the file."""
    columns = {name: column for name, column in flows.items() if name != "capture"}
    columns |= {"end_reason": np.zeros(len(count), np.uint8), "offset": np.cumsum(count, dtype=np.int64) - count}
    columns["packet_count"] = count
    with h5py.File(path, "w", libver="latest") as file:
        for group, members in (("flows", columns), ("packets", packets)):
            for name, values in members.items():
                shape = (None, *values.shape[1:])
                column = file.create_dataset(f"{group}/{name}", data=values, maxshape=shape, **COLUMN_OPTIONS)
                column.attrs["unit"] = "any"
        file.attrs.update(
            {
                "capture": path.stem,
                "idle_timeout": 300.0,
                "active_timeout": 1800.0,
                "clock_resolution_ns": 1000,
                "packets_read": len(packets["iat_ns"]) + 7,
                "skipped": json.dumps({"not IP": 5, "fragment": 2}),
                "warnings": "[]",
                "end_reasons": json.dumps(["idle_timeout", "fin"]),
            }
            | attributes
        )

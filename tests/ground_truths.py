"""Ground truths in the shape of UNSW-NB15 for tests, and a labeller so plain that it can be checked by reading it."""

import numpy as np
import pandas as pd
from generated_flows import ADDRESSES, NOON, SECOND, address_texts

HEADER = (
    "Start time,Last time,Attack category,Attack subcategory,Protocol,Source IP,Source Port,Destination IP,"
    "Destination Port,Attack Name,Attack Reference,."
)
PRIORITY = ["Worms", "Backdoors", "Fuzzers", "Shellcode", "Exploits", "DoS", "Reconnaissance", "Analysis", "Generic"]
WRITTEN = [*PRIORITY, " Fuzzers", "Fuzzers ", "Backdoor", "reconnaissance ", "DOS", ""]
PROTOCOL_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp"}


def ground_truth_row(start, last, category, protocol, source, source_port, destination, destination_port):
    """A line of a ground truth; times in seconds."""
    cells = (start, last, category, "HTTP", protocol, source, source_port, destination, destination_port)
    return ",".join(map(str, cells)) + ',"An attack, with a comma",-,.'


def random_ground_truth(rng, count, span=3600):
    """Text of a ground truth for the flows of ``random_flows``: swapped, blank, repeated and useless rows."""
    lines = []
    for _ in range(count):
        start = NOON // SECOND + int(rng.integers(-100, span))
        family = ADDRESSES[:4] if rng.random() < 0.8 else ADDRESSES[4:]
        ends = rng.choice(family, 2)
        protocol = rng.choice(["tcp", "tcp", "udp", "icmp", "TCP", "ipv6-icmp", "ospf", "sctp"])
        ports = (0, 0) if "icmp" in protocol else rng.choice([22, 80, 1025, 1026], 2)
        cells = (start, start + int(rng.integers(0, 30)), rng.choice(WRITTEN), protocol)
        lines.append(ground_truth_row(*cells, ends[0], ports[0], f" {ends[1]}", ports[1]))
    return "\n".join([HEADER, *lines, *rng.choice(lines, count // 10)]) + "\n"


def reference_ground_truth(flows, path):
    """Label flow by flow, row by row.

    Returns:
        list of (category or None, attacker is the responder, categories that match).
    """
    rows = {}
    for row in pd.read_csv(path, keep_default_na=False).to_dict("records"):
        category = row["Attack category"].strip().lower().replace("backdoors", "backdoor")
        ends = tuple((row[f"{end} IP"].strip(), int(row[f"{end} Port"])) for end in ("Source", "Destination"))
        window = (row["Start time"] - 60) * SECOND, (row["Last time"] + 60) * SECOND
        rows.setdefault((row["Protocol"].lower(), ends), []).append((window, category))
    addresses = [address_texts(flows[f"{end}_address"]) for end in ("source", "destination")]
    labels = []
    for i in range(len(flows["start_ns"])):
        protocol = PROTOCOL_NAMES[int(flows["protocol"][i])]
        ports = [0 if "icmp" in protocol else int(flows[f"{end}_port"][i]) for end in ("source", "destination")]
        ends = tuple((str(each[i]), port) for each, port in zip(addresses, ports, strict=True))
        begin = int(flows["start_ns"][i])
        end = begin + int(flows["duration_ns"][i])
        hits = {}
        for responds, way in enumerate((ends, ends[::-1])):
            for (first, last), category in rows.get((protocol, way), []):
                if end > first and begin < last:
                    hits.setdefault(category, bool(responds))
        named = [name for name in PRIORITY if name.lower().replace("backdoors", "backdoor") in hits]
        responds = hits[named[0].lower().replace("backdoors", "backdoor")] if named else False
        labels.append((named[0] if named else None, responds, len(named)))
    return labels


def ground_truth_of(flows, attacks, categories, rng):
    """Text of a ground truth that says of flows what `attacks` says, as UNSW-NB15 would write it.

    Half of the rows have the ends swapped, some stand there twice, some are of no use.

    Args:
        attacks: (N,) names, "Benign" for none. categories: {attack: category of UNSW-NB15}.
    """
    addresses = [address_texts(flows[f"{end}_address"]) for end in ("source", "destination")]
    lines = [HEADER]
    for i in np.flatnonzero(np.asarray(attacks) != "Benign"):
        protocol = PROTOCOL_NAMES[int(flows["protocol"][i])]
        ports = [0, 0] if protocol == "icmp" else [int(flows[f"{end}_port"][i]) for end in ("source", "destination")]
        begin = int(flows["start_ns"][i])
        times = begin // SECOND, (begin + int(flows["duration_ns"][i])) // SECOND
        way = 1 - 2 * int(rng.random() < 0.5)
        ends = list(zip([each[i] for each in addresses], ports, strict=True))[::way]
        name = categories[attacks[i]]
        written = rng.choice([name, f" {name}", f"{name} ", name.upper(), name.replace("Backdoors", "Backdoor")])
        line = ground_truth_row(*times, written, rng.choice([protocol, protocol.upper()]), *ends[0], *ends[1])
        lines += [line] * int(rng.integers(1, 3))
        lines += [ground_truth_row(*times, name, "ospf", *ends[0], *ends[1])] * int(rng.random() < 0.1)
    return "\n".join(lines) + "\n"

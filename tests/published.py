"""Files in the shape of CIC-IDS-2017 and UNSW-NB15 as published, faults included, made from the laboratory captures.

Seconds of each attack, with the benign traffic beside it, are moved to the times and addresses of the
published data sets. The ground truth of UNSW-NB15 is made from the packets, not from anybody's flows.
"""

import csv
import gzip
import ipaddress
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from captures import pcap, pcapng
from generated_flows import address_bytes
from ground_truths import ground_truth_of

REPOSITORY = Path(__file__).resolve().parents[1]
LABELS = REPOSITORY / "config/labels"
PIECES = REPOSITORY.parent / "shared/data/public"  # true pieces of CIC-IDS-2017, where there are any
SECOND = 10**9
SLL = 113
DAYS = ("Monday-WorkingHours", "Tuesday-WorkingHours", "Wednesday-workingHours", "Thursday-WorkingHours")
DAYS = (*DAYS, "Friday-WorkingHours")
SESSIONS = ("session1_mon", "session2_tue", "session3_wed", "session4_thu", "session5_fri")
# Attack of CIC-IDS-2017: of the laboratory, and what is renamed in its packets.
CIC = {
    "FTP-Patator": ("FTP-Patator", {"192.168.10.51": "192.168.10.50"}),
    "SSH-Patator": ("SSH-Patator", {"192.168.10.51": "192.168.10.50"}),
    "Heartbleed": ("FTP-Patator", {21: 444}),
    "Infiltration - Dropbox download": ("Botnet ARES", {}),
    "Infiltration - Cool disk": ("Botnet ARES", {"192.168.10.8": "192.168.10.25", "192.168.10.14": "192.168.10.25"}),
    "Infiltration - Portscan": ("Infiltration - Portscan", {"192.168.10.19": "192.168.10.8"}),
    "PortScan - Firewall on": ("PortScan - Firewall on", {"172.16.0.10": "172.16.0.1"}),
    "PortScan - Firewall off": ("PortScan - Firewall off", {"172.16.0.10": "172.16.0.1"}),
    "DDoS LOIT": ("DDoS LOIT", {"172.16.0.10": "172.16.0.1", "172.16.0.11": "172.16.0.1"}),
}
UNSW = {  # attack of the laboratory: category of UNSW-NB15
    "FTP-Patator": "Fuzzers",
    "SSH-Patator": "Worms",
    "DoS slowloris": "DoS",
    "DoS Slowhttptest": "DoS",
    "DoS Hulk": "DoS",
    "DoS GoldenEye": "DoS",
    "Web Attack - Brute Force": "Exploits",
    "Web Attack - XSS": "Exploits",
    "Web Attack - Sql Injection": "Shellcode",
    "Infiltration - Portscan": "Analysis",
    "Botnet ARES": "Backdoors",
    "PortScan - Firewall off": "Reconnaissance",
    "PortScan - Firewall on": "Reconnaissance",
    "DDoS LOIT": "Generic",
}
UNSW_ADDRESSES = {
    "172.16.0.1": "175.45.176.0",
    "172.16.0.10": "175.45.176.1",
    "172.16.0.11": "175.45.176.2",
    "192.168.10.19": "175.45.176.3",
    "205.174.165.73": "149.171.126.10",
    "192.168.10.50": "149.171.126.16",
    "192.168.10.51": "149.171.126.17",
    "192.168.10.52": "149.171.126.18",
} | {f"192.168.10.{host}": f"59.166.0.{host}" for host in (5, 8, 9, 12, 14, 15, 16, 25)}
UNSW_DAYS = {"pcaps 22-1-2015": (53, "2015-01-22T11:50:14Z"), "pcaps 17-2-2015": (27, "2015-02-17T12:20:00Z")}
UNSW_SESSIONS = {"pcaps 22-1-2015": SESSIONS[1:3], "pcaps 17-2-2015": SESSIONS[3:]}
ARCHIVE, TRUTH = "UNSW-NB15_Source-files.zip", "NUSW-NB15_GT.csv"


def rules(name):
    """The rules of a file in config/labels as dicts, their times in nanoseconds."""
    with open(LABELS / f"{name}.csv", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    for rule in found:
        rule |= {end: pd.Timestamp(rule[end]).value for end in ("start", "end")}
        rule["networks"] = [ipaddress.ip_network(rule[end]) for end in ("source", "destination")]
    return found


def session_of(rule):
    """The laboratory session in which an attack was run."""
    ends = {"04:52": 1, "04:56:50": 2, "05:00:50": 3, "05:04": 4, "05:08": 5}
    passed = [rule["start"] < pd.Timestamp(f"2026-11-23T{time}Z").value for time in ends]
    return SESSIONS[passed.index(True)]


def read_pcap(path):
    """List of (time in ns, frame) of a gzipped little-endian pcap file."""
    data, found, at = gzip.decompress(path.read_bytes()), [], 24
    tick = 1000 if data[:4] == bytes.fromhex("d4c3b2a1") else 1
    while at + 16 <= len(data):
        second, fraction, length = struct.unpack_from("<III", data, at)
        frame = data[at + 16 : at + 16 + length]
        found.append((second * SECOND + fraction * tick, frame))
        at += 16 + length
    return found


def between(packets, start, end):
    """Those that carry a time from `start` up to `end`, in ns."""
    return [packet for packet in packets if start <= packet[0] < end]


def is_ipv4(frame):
    """Whether an Ethernet frame holds IPv4."""
    return frame[12:14] == b"\x08\x00"


def renamed(frame, names):
    """An Ethernet frame with other IPv4 addresses and ports; `names` has either sort as keys."""
    if not is_ipv4(frame):
        return frame
    frame = bytearray(frame)
    for at in (26, 30):
        address = str(ipaddress.IPv4Address(bytes(frame[at : at + 4])))
        frame[at : at + 4] = ipaddress.IPv4Address(names.get(address, address)).packed
    ports = 14 + 4 * (frame[14] & 15)
    if frame[23] in (6, 17):
        for at in (ports, ports + 2):
            port = int.from_bytes(frame[at : at + 2], "big")
            frame[at : at + 2] = names.get(port, port).to_bytes(2, "big")
    return bytes(frame)


def moved(packets, later, names):
    """Packets `later` nanoseconds later, with `names` in place of addresses and ports."""
    return [(time + later, renamed(frame, names)) for time, frame in packets]


def with_faults(packets):
    """Now and then a packet twice within milliseconds, or late (Lanvin et al. 2022)."""
    found = []
    for number, (time, frame) in enumerate(packets):
        found.append((time, frame))
        if number % 50 == 0:
            found.append((time + 10**6, frame))
        if number % 97 == 1:
            found[-1], found[-2] = found[-2], found[-1]
    return found


def cic_day(laboratory, day, seconds):
    """Packets of one day: of each of its attacks some seconds, in the corrected window; Monday is benign."""
    date = f"2017-07-{3 + DAYS.index(day):02d}"
    found, lab_rules = [], {rule["attack"]: rule for rule in reversed(rules("lab"))}
    for rule in rules("cic_ids_2017_corrected"):
        if str(pd.Timestamp(rule["start"]).date()) == date:
            attack, names = CIC.get(rule["attack"], (rule["attack"], {}))
            began = lab_rules[attack]["start"]
            piece = between(laboratory[session_of(lab_rules[attack])], began, began + seconds * SECOND)
            found += moved(piece, rule["start"] + SECOND - began, names)
    if not found:
        quiet = laboratory[SESSIONS[0]]
        piece = between(quiet, quiet[0][0], quiet[0][0] + 4 * seconds * SECOND)
        found = moved(piece, pd.Timestamp(f"{date}T12:00:00Z").value - quiet[0][0], {})
    return found


def write_cic(folder, laboratory, seconds):
    """Write the five captures; Monday and Wednesday as pcapng, which the published ones are in part."""
    folder.mkdir(parents=True)
    for day in DAYS:
        packets = cic_day(laboratory, day, seconds)
        for piece in sorted(PIECES.glob(f"cic2017-{day[:3].lower()}_*.pcap.gz")):
            packets += read_pcap(piece)[:1500]
        packets = with_faults(sorted(packets, key=lambda packet: packet[0]))
        write = pcapng if day.startswith(("Monday", "Wednesday")) else pcap
        (folder / f"{day}.pcap").write_bytes(write(packets))


def cooked(frame, kind):
    """An Ethernet frame as Linux cooked capture of packet type `kind`: 0 coming in, 4 going out."""
    return struct.pack(">HHH8s", kind, 1, 6, frame[6:12]) + frame[12:]


def unsw_day(laboratory, folder, seconds):
    """Packets of one folder with the attack that each belongs to: seconds of every attack, one after the other."""
    clock, found = pd.Timestamp(UNSW_DAYS[folder][1]).value, []
    by_attack, lab_rules = {}, rules("lab")
    for rule in lab_rules:
        if session_of(rule) in UNSW_SESSIONS[folder]:
            by_attack.setdefault(rule["attack"], []).append(rule)
    for its_rules in by_attack.values():
        began = its_rules[0]["start"]
        piece = between(laboratory[session_of(its_rules[0])], began, began + seconds * SECOND)
        later = clock - began
        names = [attack_of(frame, time, lab_rules) for time, frame in piece]
        found += zip(moved(piece, later, UNSW_ADDRESSES), names, strict=True)
        clock += (seconds + 400) * SECOND
    return found


def attack_of(frame, time, lab_rules):
    """The laboratory attack that a packet belongs to, by its addresses and time."""
    if not is_ipv4(frame):
        return "Benign"
    ends = [ipaddress.IPv4Address(frame[at : at + 4]) for at in (26, 30)]
    for rule in lab_rules:
        if rule["start"] <= time <= rule["end"]:
            for way in (ends, ends[::-1]):
                if all(end in network for end, network in zip(way, rule["networks"], strict=True)):
                    return rule["attack"]
    return "Benign"


def connections(packets):
    """Connections of (packet, attack) pairs as columns, and the attack of each; the first packet names the source."""
    rows = {}
    for (time, frame), attack in packets:
        if is_ipv4(frame):
            at, protocol = 14 + 4 * (frame[14] & 15), frame[23]
            ports = struct.unpack_from(">HH", frame, at) if protocol in (6, 17) else (0, 0)
            ends = tuple(zip((frame[26:30], frame[30:34]), ports, strict=True))
            row = rows.setdefault((frozenset(ends), protocol, attack), [time, time, ends, protocol, attack])
            row[1] = time
    start, last, ends, protocol, attack = zip(*rows.values(), strict=True)
    columns = {"start_ns": np.array(start), "duration_ns": np.array(last) - np.array(start)}
    for place, name in enumerate(("source", "destination")):
        columns[f"{name}_address"] = address_bytes([ipaddress.IPv4Address(each[place][0]) for each in ends])
        columns[f"{name}_port"] = np.array([each[place][1] for each in ends])
    return columns | {"protocol": np.array(protocol)}, list(attack)


def write_unsw(folder, laboratory, seconds):
    """Write the archive of 80 captures, of which the last is cut, and the ground truth."""
    folder.mkdir(parents=True)
    truths, rng = [], np.random.default_rng(0)
    with zipfile.ZipFile(folder / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (count, _) in UNSW_DAYS.items():
            packets = unsw_day(laboratory, name, seconds)
            truths.append(ground_truth_of(*connections(packets), UNSW, rng))
            twice = [(time + 20_000 * way, cooked(frame, 4 * way)) for (time, frame), _ in packets for way in (0, 1)]
            for number, part in enumerate(np.array_split(np.arange(len(twice)), count), 1):
                content = pcap([twice[i] for i in part], link=SLL)
                cut = 9 if (name, number) == (list(UNSW_DAYS)[-1], 27) else 0
                archive.writestr(f"{name}/{number}.pcap", content[: len(content) - cut])
    (folder / TRUTH).write_text(truths[0] + "".join(text.partition("\n")[2] for text in truths[1:]))


def write_published(folder, seconds):
    """Write `folder`/captures/cic_ids_2017 and unsw_nb15; each attack lasts `seconds`."""
    laboratory = {name: read_pcap(REPOSITORY / f"resources/lab/{name}.pcap.gz") for name in SESSIONS}
    write_cic(folder / "captures/cic_ids_2017", laboratory, seconds)
    write_unsw(folder / "captures/unsw_nb15", laboratory, seconds)

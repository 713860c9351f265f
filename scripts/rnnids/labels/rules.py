"""Rule files: which flows are attacks, one rule a line (format: config/labels/README.md)."""

import csv
import difflib
import ipaddress
from dataclasses import dataclass

from rnnids.errors import InputError
from rnnids.labels.times import parse_time

BENIGN_NAME = "Benign"  # of the attack and of the category; a rule may give it to make an exception
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}


@dataclass(frozen=True)
class Rule:
    """One attack window; where several match a flow, the last one of the file wins.

    Attributes:
        line: of the rule file.
        start_ns, end_ns: a flow matches if it starts at or between these; ns since 1970 UTC.
        source, destination: networks (ipaddress) of the attacker and of the victim.
        destination_port: of the victim; None for any.
        protocol: IP protocol number; None for any.
        bidirectional_initiator: match flows that the victim begins as well.
        attack, category: names.
    """

    line: int
    start_ns: int
    end_ns: int
    source: ipaddress.IPv4Network | ipaddress.IPv6Network
    destination: ipaddress.IPv4Network | ipaddress.IPv6Network
    destination_port: int | None
    protocol: int | None
    bidirectional_initiator: bool
    attack: str
    category: str


def read_rules(path, zone=None):
    """Read a rule file into a list of :class:`Rule`, in the order of the file.

    Times without UTC offset are those of the time zone `zone`, a tzinfo.

    Raises:
        InputError: with the line at fault: columns, times, networks, ports, protocols, flags or names
            that cannot be used, one attack in two categories, no rule at all.
    """
    rules, categories = [], {BENIGN_NAME: BENIGN_NAME}
    for line, cells in _read_lines(path):
        try:
            rule = Rule(line, *_parse_cells(cells, zone))
            _check_rule(rule, categories)
        except ValueError as error:
            raise InputError(f"{path}:{line}: {error}") from error
        categories[rule.attack] = rule.category
        rules.append(rule)
    if not rules:
        raise InputError(f"{path}: no rules; add one line per attack window (config/labels/README.md)")
    return rules


def _read_lines(path):
    """List of (line number, cells by column) of a CSV file with the columns of a rule file."""
    try:
        # Spreadsheets put a byte order mark in front, which "utf-8-sig" takes away.
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error}); save it as such") from error
    for line, cells in lines:
        if len(cells) != len(header):
            raise InputError(
                f"{path}:{line}: {len(cells)} cells where the header has {len(header)}; add or quote commas"
            )
    return [(line, dict(zip(header, map(str.strip, cells), strict=True))) for line, cells in lines]


def _check_header(path, header):
    for name in header:
        if name not in PARSERS:
            nearest = difflib.get_close_matches(name, PARSERS, n=1)
            remedy = f"did you mean {nearest[0]!r}?" if nearest else f"the columns are {', '.join(PARSERS)}"
            raise InputError(f"{path}:1: unknown column {name!r}; {remedy}")
        if header.count(name) > 1:
            raise InputError(f"{path}:1: column {name!r} stands there twice; remove one")
    missing = [name for name in PARSERS if name not in header]
    if missing:
        raise InputError(f"{path}:1: missing column {', '.join(missing)}; the columns are {', '.join(PARSERS)}")


def _parse_cells(cells, zone):
    values = []
    for column, parse in PARSERS.items():
        try:
            values.append(parse(cells[column], zone) if parse is parse_time else parse(cells[column]))
        except ValueError as error:
            raise ValueError(f"{column} {cells[column]!r}: {error}") from error
    return values


def _check_rule(rule, categories):
    if rule.end_ns < rule.start_ns:
        raise ValueError("end lies before start; swap them")
    if rule.source.version != rule.destination.version:
        raise ValueError("source and destination are of different IP versions, so no flow can match; write two rules")
    if categories.get(rule.attack, rule.category) != rule.category:
        raise ValueError(f"attack {rule.attack!r} also has category {categories[rule.attack]!r}; give it one")
    if rule.category == BENIGN_NAME != rule.attack:
        raise ValueError(
            f"an attack cannot have category {BENIGN_NAME!r}; name another, or make the attack {BENIGN_NAME!r}"
        )


def _parse_network(text):
    if not text:
        raise ValueError("an address is needed; 0.0.0.0/0 stands for any IPv4 address, ::/0 for any IPv6 address")
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"{error}; write a network like 192.168.10.0/24 or one address like 192.168.10.50/32"
        ) from error


def _parse_port(text):
    if not text:
        return None
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError("not a port; write 0 to 65535, or nothing for any")
    return int(text)


def _parse_protocol(text):
    if not text:
        return None
    if text.isdecimal() and int(text) <= 255:
        return int(text)
    if text.lower() not in PROTOCOLS:
        raise ValueError(f"unknown protocol; write {', '.join(PROTOCOLS)}, a number up to 255, or nothing for any")
    return PROTOCOLS[text.lower()]


def _parse_flag(text):
    if text.lower() not in ("true", "false"):
        raise ValueError("neither true nor false; write one of them")
    return text.lower() == "true"


def _parse_name(text):
    if not text:
        raise ValueError("empty; give it a name")
    return text


# The columns of a rule file in the order of Rule's attributes.
PARSERS = {
    "start": parse_time,
    "end": parse_time,
    "source": _parse_network,
    "destination": _parse_network,
    "destination_port": _parse_port,
    "protocol": _parse_protocol,
    "bidirectional_initiator": _parse_flag,
    "attack": _parse_name,
    "category": _parse_name,
}

"""Rule files, one attack window a line (format: config/labels/README.md), and the flows that they match."""

import csv
import difflib
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

import numpy as np

from rnnids.errors import InputError
from rnnids.labels.joins import endpoints
from rnnids.labels.times import parse_time

BENIGN_NAME = "Benign"  # of the attack and of the category; a rule may give it to make an exception
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
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
    source: Network
    destination: Network
    destination_port: int | None
    protocol: int | None
    bidirectional_initiator: bool
    attack: str
    category: str


def read_rules(path: Path | str, zone: tzinfo | None = None) -> list[Rule]:
    """Read a rule file into a list of :class:`Rule`, in the order of the file.

    Times without UTC offset are those of the time zone `zone`, a tzinfo.

    Raises:
        InputError: with the line at fault: columns, times, networks, ports, protocols, flags or names
            that cannot be used, one attack in two categories, no rule at all.
    """
    rules: list[Rule] = []
    categories = {BENIGN_NAME: BENIGN_NAME}
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


def delimiter_of(headings: str) -> str:
    """What stands between the cells of a table, from its first line."""
    return max(",;\t", key=headings.count)


def _read_lines(path: Path | str) -> list[tuple[int, dict[str, str]]]:
    """List of (line number, cells by column) of a CSV file with the columns of a rule file."""
    try:
        # Spreadsheets put a byte order mark in front, which "utf-8-sig" takes away.
        with open(path, encoding="utf-8-sig", newline="") as file:
            delimiter = delimiter_of(file.readline())
            file.seek(0)
            reader = csv.reader(file, strict=True, delimiter=delimiter)
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


def _check_header(path: Path | str, header: Sequence[str]) -> None:
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


def _parse_cells(cells: Mapping[str, str], zone: tzinfo | None) -> list[Any]:
    values = []
    for column, parse in PARSERS.items():
        try:
            values.append(parse(cells[column], zone) if parse is parse_time else parse(cells[column]))
        except ValueError as error:
            raise ValueError(f"{column} {cells[column]!r}: {error}") from error
    return values


def _check_rule(rule: Rule, categories: Mapping[str, str]) -> None:
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


def _parse_network(text: str) -> Network:
    if not text:
        raise ValueError("an address is needed; 0.0.0.0/0 stands for any IPv4 address, ::/0 for any IPv6 address")
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"{error}; write a network like 192.168.10.0/24 or one address like 192.168.10.50/32"
        ) from error


def _parse_port(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError("not a port; write 0 to 65535, or nothing for any")
    return int(text)


def _parse_protocol(text: str) -> int | None:
    if not text:
        return None
    if text.isdecimal() and int(text) <= 255:
        return int(text)
    if text.lower() not in PROTOCOLS:
        raise ValueError(f"unknown protocol; write {', '.join(PROTOCOLS)}, a number up to 255, or nothing for any")
    return PROTOCOLS[text.lower()]


def _parse_flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("neither true nor false; write one of them")
    return text.lower() == "true"


def _parse_name(text: str) -> str:
    if not text:
        raise ValueError("empty; give it a name")
    return text


# The columns of a rule file in the order of Rule's attributes.
PARSERS: dict[str, Callable[..., Any]] = {
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


class RuleMatcher:
    """Matches N flows with R rules.

    A flow matches if it starts inside the rule's window, ends included, and goes from `source` to
    `destination` and its port; with `bidirectional_initiator` also if it goes the other way, in which
    case the attacker is the responder.
    """

    def __init__(self, rules: Sequence[Rule], flows: Mapping[str, np.ndarray]) -> None:
        self.rules, self.flows = rules, flows
        self.ends = endpoints(flows)
        self.order = np.argsort(flows["start_ns"], kind="stable")

    def match(self, offset_ns: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
        """Flows that each rule matches, its window moved by `offset_ns`.

        Returns:
            list over rules of (rows, swapped): indices of flows; bool, those with the attacker responding.
        """
        return [self._match_rule(rule, offset_ns) for rule in self.rules]

    def unmatched(self, offset_ns: int = 0) -> np.ndarray:
        """(R,) rows of the label file behind each rule that match no flow: here 0 or 1."""
        return np.array([int(len(rows) == 0) for rows, _ in self.match(offset_ns)])

    def _match_rule(self, rule: Rule, offset_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """(rows, swapped) of one rule: indices of flows; bool, those that match only with the ends swapped."""
        start = self.flows["start_ns"]
        first = np.searchsorted(start, rule.start_ns + offset_ns, side="left", sorter=self.order)
        last = np.searchsorted(start, rule.end_ns + offset_ns, side="right", sorter=self.order)
        rows = self.order[first:last]
        if rule.protocol is not None:
            rows = rows[self.flows["protocol"][rows] == rule.protocol]
        forward = self._goes(rule, rows, attacker="source", victim="destination")
        if not rule.bidirectional_initiator:
            return rows[forward], np.zeros(np.count_nonzero(forward), dtype=bool)
        either = forward | self._goes(rule, rows, attacker="destination", victim="source")
        return rows[either], ~forward[either]

    def _goes(self, rule: Rule, rows: np.ndarray, *, attacker: str, victim: str) -> np.ndarray:
        """(len(rows),) bool: the flows whose ends `attacker` and `victim` are those of the rule."""
        (source, _), (destination, port) = self.ends[attacker], self.ends[victim]
        matching = _inside(source[rows], rule.source) & _inside(destination[rows], rule.destination)
        if rule.destination_port is not None:
            matching &= port[rows] == rule.destination_port
        return matching


def _inside(addresses: np.ndarray, network: Network) -> np.ndarray:
    """(N,) bool: the addresses, (N, 2) uint64, that lie in an ipaddress network."""
    # Flow files hold IPv4 addresses as ::ffff:a.b.c.d, which no IPv6 network means, not even ::/0.
    is_ipv4 = (addresses[:, 0] == 0) & (addresses[:, 1] >> np.uint64(32) == 0xFFFF)
    inside = is_ipv4 == (network.version == 4)
    base = int(network.network_address) + (0xFFFF << 32 if network.version == 4 else 0)
    mask = (1 << 128) - 1 - int(network.hostmask)
    for word, shift in enumerate((64, 0)):
        part = np.uint64(mask >> shift & 0xFFFFFFFFFFFFFFFF)
        inside &= addresses[:, word] & part == np.uint64(base >> shift & 0xFFFFFFFFFFFFFFFF)
    return inside

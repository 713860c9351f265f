"""Labels of flows: what label files say, who the attacker is, and what continues an attack."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from rnnids.errors import InputError
from rnnids.labels.flow_csv import DATE_ORDERS, FlowCsvMatcher, read_flow_csv
from rnnids.labels.ground_truth import GroundTruthMatcher, read_ground_truth
from rnnids.labels.joins import ICMP, endpoints
from rnnids.labels.rules import Rule, RuleMatcher, read_rules
from rnnids.labels.tables import LabelGroup, LabelRows
from rnnids.labels.times import parse_zone
from rnnids.settings import check, setting

ATTACKERS = ("source", "initiator")
LABEL_KINDS = ("rules", "ground_truth", "flow_csv")
NO_RULE = -1
NANOSECONDS_PER_MINUTE = 60_000_000_000
# Time zones reach from UTC-12 to UTC+14, some of them by half hours; the nearest is tried first.
CLOCK_OFFSETS = sorted((sign * minutes for minutes in range(30, 14 * 60 + 1, 30) for sign in (1, -1)), key=abs)


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """What the label files of a data set are (config/labels/README.md)."""

    label_kind: str = setting("rules", "what the label file is", choices=LABEL_KINDS)
    time_zone: str | None = setting(
        None, "IANA name or offset of label times that have none, e.g. UTC-03:00; none: every time has its offset"
    )
    date_order: str = setting(
        "auto",
        "what is first in dates like 03/07/2017 of a flow CSV; auto: what fits all of them, the day where both do",
        choices=DATE_ORDERS,
    )
    attacker: str = setting(
        "source",
        "who attacks: the source of a label row, or the initiator of the flow, whatever the row says",
        choices=ATTACKERS,
    )
    rename: tuple[str, ...] = setting((), "labels of a flow CSV to call otherwise: old=new ...")

    def __post_init__(self) -> None:
        check(self)


class Matcher(Protocol):
    """Matches given flows with R rules, or with R groups of rows of a label file."""

    def match(self, offset_ns: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
        """R times (rows, swapped), all windows moved by `offset_ns`: indices of flows; bool, the attacker responds."""

    def unmatched(self, offset_ns: int = 0) -> np.ndarray:
        """(R,) rows of the label file behind each rule that match no flow."""


@dataclass(frozen=True)
class LabelSource:
    """What label files say.

    Attributes:
        name: the files, for messages.
        rules: Rules or LabelGroups, of which the last that matches a flow wins.
        rows: lines of the files behind each of them.
        matcher: function of the flows' columns that makes a Matcher for :func:`label_flows`.
        skipped: {reason: rows} of the rows that say nothing.
    """

    name: str
    rules: Sequence[Rule | LabelGroup]
    rows: Sequence[int]
    matcher: Callable[[Mapping[str, np.ndarray]], Matcher]
    skipped: Mapping[str, int]


def read_labels(paths: Sequence[Path | str], labelling: Labelling) -> LabelSource:
    """Read label files: one, or several of per-flow CSV files.

    Raises:
        InputError: files, or a combination of them and settings, that cannot be used.
    """
    kind, zone, name = labelling.label_kind, parse_zone(labelling.time_zone), ", ".join(map(str, paths))
    if kind == "flow_csv":
        table = read_flow_csv(paths, zone, date_order=labelling.date_order, rename=parse_renames(labelling.rename))
        return _from_table(name, table, FlowCsvMatcher)
    if len(paths) > 1:
        raise InputError(f"--labels: {name}: {kind} come from one file; put all lines into one")
    if kind == "ground_truth":
        if zone is not None:
            raise InputError("--time-zone: the ground truth counts seconds since 1970 UTC; leave the time zone out")
        return _from_table(name, read_ground_truth(paths[0]), GroundTruthMatcher)
    rules = read_rules(paths[0], zone)
    return LabelSource(name, rules, [1] * len(rules), partial(RuleMatcher, rules), {})


def parse_renames(texts: Sequence[str]) -> dict[str, str]:
    """{label: new name} of "label=new name" texts."""
    renames = {}
    for text in texts:
        old, equals, new = text.rpartition("=")
        if not equals or not old or not new:
            raise InputError(f"--rename: {text!r} is not of the form label=new name; write it so")
        renames[old] = new
    return renames


def _from_table(
    name: str, table: LabelRows, matcher: Callable[[LabelRows, Mapping[str, np.ndarray]], Matcher]
) -> LabelSource:
    rows = [group.rows for group in table.groups]
    return LabelSource(name, table.groups, rows, partial(matcher, table), table.skipped)


@dataclass(frozen=True)
class Labels:
    """What a list of R rules says about N flows.

    Attributes:
        rule: (N,) index of the rule that labels the flow; -1 if none does.
        attacker_responds: (N,) bool, the attacker is the flow's responder.
        matches: (N,) number of rules that match the flow.
        continuation: (N,) bool, no rule matches, but the flow continues a labelled one.
        matched, swapped, shared, continued: (R,) flows that each rule matches, those of them that it
            matches with the ends swapped, that other rules match as well, and their continuations.
        unmatched: (R,) rows of the label file behind each rule that match no flow.
    """

    rule: np.ndarray
    attacker_responds: np.ndarray
    matches: np.ndarray
    continuation: np.ndarray
    matched: np.ndarray
    swapped: np.ndarray
    shared: np.ndarray
    continued: np.ndarray
    unmatched: np.ndarray


def label_flows(
    flows: Mapping[str, np.ndarray],
    matcher: Matcher,
    idle_timeout_ns: int,
    *,
    follow_connections: bool,
    attacker: str = Labelling.attacker,
) -> Labels:
    """Label flows by rules, of which the last one that matches wins.

    With `follow_connections`, what goes on after RST or FIN gets the label of its connection: a flow
    without label whose 5-tuple, in either direction, is that of the flow before it in the same
    capture, which ended at most `idle_timeout_ns` earlier. The attacker stays the same end, also where
    the victim begins the continuation.

    Args:
        flows: columns of N flows: capture, start_ns, duration_ns, source_address,
            destination_address, source_port, destination_port, protocol.
        matcher: of these flows.
        attacker: "source" or "initiator", who attacks.
    """
    hits, unmatched = matcher.match(), matcher.unmatched()
    count = len(flows["start_ns"])
    rule, matches = np.full(count, NO_RULE, dtype=np.int32), np.zeros(count, dtype=np.int32)
    responds, continuation = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for index, (rows, swapped) in enumerate(hits):
        rule[rows], responds[rows] = index, swapped & (attacker == "source")
        matches[rows] += 1
    if follow_connections:
        source, same_way = follow(flows, matches > 0, idle_timeout_ns)
        continuation = (source >= 0) & (matches == 0)
        source, same_way = source[continuation], same_way[continuation]
        rule[continuation] = rule[source]
        responds[continuation] = responds[source] == same_way
    return Labels(
        rule=rule,
        attacker_responds=responds,
        matches=matches,
        continuation=continuation,
        matched=np.array([len(rows) for rows, _ in hits]),
        swapped=np.array([int(swapped.sum()) for _, swapped in hits]),
        shared=np.array([int((matches[rows] > 1).sum()) for rows, _ in hits]),
        continued=np.bincount(rule[continuation], minlength=len(hits)),
        unmatched=unmatched,
    )


def follow(
    flows: Mapping[str, np.ndarray], labelled: np.ndarray, idle_timeout_ns: int
) -> tuple[np.ndarray, np.ndarray]:
    """The labelled flow whose connection each of N flows belongs to.

    Returns:
        (source, same_way): (N,) row of the nearest labelled flow before it, over flows of the same
        capture and 5-tuple in either direction with pauses up to `idle_timeout_ns`, its own row for a
        labelled flow, -1 if there is none; (N,) bool, both go in the same direction.
    """
    key, flipped = connection_keys(flows)
    order = np.lexsort((flows["start_ns"], *key))
    broken = np.ones(len(order), dtype=bool)  # here the chain of the flow before it ends
    end = flows["start_ns"] + flows["duration_ns"]
    broken[1:] = flows["start_ns"][order[1:]] - end[order[:-1]] > idle_timeout_ns
    for column in key:
        broken[1:] |= column[order[1:]] != column[order[:-1]]
    starts = broken | labelled[order]
    anchor = order[np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))]
    source = np.empty(len(order), dtype=np.int64)
    source[order] = np.where(labelled[anchor], anchor, -1)
    return source, flipped == flipped[source]


def in_several_captures(flows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which of N flows another capture holds as well: the same 5-tuple, in either direction, at the same time.

    Returns:
        (N,) bool. A connection that goes on in the next capture is not meant: its two flows do not overlap.
        Of several flows within the life of one of another capture, only the first is sure to be found.
    """
    found = np.zeros(len(flows["start_ns"]), dtype=bool)
    rows = _where_captures_overlap(flows)
    flows = {name: column[rows] for name, column in flows.items()}
    (*key, capture), _ = connection_keys(flows)
    order = np.lexsort((flows["start_ns"], *key))
    end = (flows["start_ns"] + flows["duration_ns"])[order]
    alike = (np.diff(capture[order].astype(np.int64)) != 0) & (flows["start_ns"][order[1:]] <= end[:-1])
    for column in key:
        alike &= column[order[1:]] == column[order[:-1]]
    found[rows[order[1:][alike]]] = found[rows[order[:-1][alike]]] = True
    return found


def _where_captures_overlap(flows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Rows of the flows that start while another capture has flows too."""
    names, capture = np.unique(flows["capture"], return_inverse=True)
    if not len(names):
        return np.zeros(0, dtype=np.int64)
    first, last = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), np.iinfo(np.int64).min)
    np.minimum.at(first, capture, flows["start_ns"])
    np.maximum.at(last, capture, flows["start_ns"])
    # Of the captures that have begun before a flow starts, those that have not ended.
    begun = np.searchsorted(np.sort(first), flows["start_ns"], side="right")
    ended = np.searchsorted(np.sort(last), flows["start_ns"], side="left")
    return np.flatnonzero(begun - ended > 1)


def connection_keys(flows: Mapping[str, np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """5-tuples without direction: (list of (N,) columns, (N,) bool: the two ends were exchanged)."""
    (source, source_port), (destination, destination_port) = endpoints(flows).values()
    # ICMP has no ports: type and code, held as the destination port, stay there in both directions.
    source_port = np.where(np.isin(flows["protocol"], ICMP), destination_port, source_port)
    first = (source[:, 0], source[:, 1], source_port)
    second = (destination[:, 0], destination[:, 1], destination_port)
    flipped = np.zeros(len(source_port), dtype=bool)
    equal = ~flipped
    for one, other in zip(first, second, strict=True):
        flipped |= equal & (one > other)
        equal &= one == other
    low = [np.where(flipped, other, one) for one, other in zip(first, second, strict=True)]
    high = [np.where(flipped, one, other) for one, other in zip(first, second, strict=True)]
    return [*low, *high, flows["protocol"], flows["capture"]], flipped


def clock_offset(matcher: Matcher) -> tuple[int, int, int]:
    """By how much all windows would have to move so that most rows of the label file match a flow.

    For label files in local time: half hours up to 14 hours are tried, no move at all first; of moves that
    match as many rows the one that matches most flows counts.

    Returns:
        (minutes, flows, rows): the move; flows that match then, one of several rules counting for each;
        rows that match none then.
    """
    moves = []
    for minutes in (0, *CLOCK_OFFSETS):
        offset_ns = minutes * NANOSECONDS_PER_MINUTE
        flows = sum(len(rows) for rows, _ in matcher.match(offset_ns))
        moves.append((minutes, flows, int(matcher.unmatched(offset_ns).sum())))
    return min(moves, key=lambda move: (move[2], -move[1]))


def hours_between(flows: Mapping[str, np.ndarray], rules: Sequence[Rule | LabelGroup]) -> float:
    """Hours from the windows to the flows: negative if all flows come first, 0 if they overlap."""
    start, end = int(flows["start_ns"].min()), int(flows["start_ns"].max())
    after = start - max(rule.end_ns for rule in rules)
    before = end - min(rule.start_ns for rule in rules)
    return (max(after, 0) + min(before, 0)) / (60 * NANOSECONDS_PER_MINUTE)

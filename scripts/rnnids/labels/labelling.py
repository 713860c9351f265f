"""Labels of flows: which rule matches which flow, who the attacker is, and what continues an attack."""

import math
from dataclasses import dataclass

import numpy as np

NO_RULE = -1
ICMP = (1, 58)  # protocol numbers, for IPv4 and IPv6
NANOSECONDS_PER_MINUTE = 60_000_000_000
# Time zones reach from UTC-12 to UTC+14, some of them by half hours; the nearest is tried first.
CLOCK_OFFSETS = sorted((sign * minutes for minutes in range(30, 14 * 60 + 1, 30) for sign in (1, -1)), key=abs)


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


def label_flows(flows, matcher, idle_timeout_ns, follow_connections):
    """Label flows by rules, of which the last one that matches wins.

    With `follow_connections`, what goes on after RST or FIN gets the label of its connection: a flow
    without label whose 5-tuple, in either direction, is that of the flow before it in the same
    capture, which ended at most `idle_timeout_ns` earlier. The attacker stays the same end, also where
    the victim begins the continuation.

    Args:
        flows: columns of N flows: capture, start_ns, duration_ns, source_address,
            destination_address, source_port, destination_port, protocol.
        matcher: RuleMatcher, GroundTruthMatcher or FlowTableMatcher of these flows.
    """
    hits, unmatched = matcher.match(), matcher.unmatched()
    count = len(flows["start_ns"])
    rule, matches = np.full(count, NO_RULE, dtype=np.int32), np.zeros(count, dtype=np.int32)
    responds, continuation = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for index, (rows, swapped) in enumerate(hits):
        rule[rows], responds[rows] = index, swapped
        matches[rows] += 1
    if follow_connections:
        source, same_way = follow(flows, endpoints(flows), matches > 0, idle_timeout_ns)
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


def endpoints(flows):
    """Both ends of N flows: {"source": ..., "destination": ...}, each ((N, 2) uint64 address, (N,) port)."""
    return {
        end: (
            np.ascontiguousarray(flows[f"{end}_address"]).view(">u8").astype(np.uint64),
            flows[f"{end}_port"],
        )
        for end in ("source", "destination")
    }


def follow(flows, ends, labelled, idle_timeout_ns):
    """The labelled flow whose connection each of N flows belongs to.

    Returns:
        (source, same_way): (N,) row of the nearest labelled flow before it, over flows of the same
        capture and 5-tuple in either direction with pauses up to `idle_timeout_ns`, its own row for a
        labelled flow, -1 if there is none; (N,) bool, both go in the same direction.
    """
    key, flipped = connection_keys(flows, ends)
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


def in_several_captures(flows):
    """Which of N flows another capture holds as well: the same 5-tuple, in either direction, at the same time.

    Returns:
        (N,) bool. A connection that goes on in the next capture is not meant: its two flows do not overlap.
        Of several flows within the life of one of another capture, only the first is sure to be found.
    """
    found = np.zeros(len(flows["start_ns"]), dtype=bool)
    rows = _where_captures_overlap(flows)
    flows = {name: column[rows] for name, column in flows.items()}
    (*key, capture), _ = connection_keys(flows, endpoints(flows))
    order = np.lexsort((flows["start_ns"], *key))
    end = (flows["start_ns"] + flows["duration_ns"])[order]
    alike = (np.diff(capture[order].astype(np.int64)) != 0) & (flows["start_ns"][order[1:]] <= end[:-1])
    for column in key:
        alike &= column[order[1:]] == column[order[:-1]]
    found[rows[order[1:][alike]]] = found[rows[order[:-1][alike]]] = True
    return found


def _where_captures_overlap(flows):
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


def connection_keys(flows, ends):
    """5-tuples without direction: (list of (N,) columns, (N,) bool: the two ends were exchanged)."""
    (source, source_port), (destination, destination_port) = ends["source"], ends["destination"]
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


def clock_offset(matcher):
    """By how much all windows would have to move so that most rows of the label file match a flow.

    For label files in local time: half hours up to 14 hours are tried, no move at all first; of moves that
    match as many rows the one that matches most flows counts.

    Returns:
        (minutes, flows, rows): the move; flows that match then, one of several rules counting for each;
        rows that match none then.
    """
    best, score = 0, (math.inf, 0)
    for minutes in (0, *CLOCK_OFFSETS):
        offset_ns = minutes * NANOSECONDS_PER_MINUTE
        flows = sum(len(rows) for rows, _ in matcher.match(offset_ns))
        found = int(matcher.unmatched(offset_ns).sum()), -flows
        if found < score:
            best, score = minutes, found
    return best, -score[1], score[0]


def hours_between(flows, rules):
    """Hours from the windows to the flows: negative if all flows come first, 0 if they overlap."""
    start, end = int(flows["start_ns"].min()), int(flows["start_ns"].max())
    after = start - max(rule.end_ns for rule in rules)
    before = end - min(rule.start_ns for rule in rules)
    return (max(after, 0) + min(before, 0)) / (60 * NANOSECONDS_PER_MINUTE)

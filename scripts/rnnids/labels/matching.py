"""Which flows a list of rules matches."""

import numpy as np

from rnnids.labels.labelling import endpoints


class RuleMatcher:
    """Matches flows with R rules (``label_rules.py``).

    A flow matches if it starts inside the rule's window, ends included, and goes from `source` to
    `destination` and its port; with `bidirectional_initiator` also if it goes the other way, in which
    case the attacker is the responder.
    """

    def __init__(self, rules, flows):
        self.rules, self.flows = rules, flows
        self.ends = endpoints(flows)
        self.order = np.argsort(flows["start_ns"], kind="stable")

    def match(self, offset_ns=0):
        """Flows that each rule matches, its window moved by `offset_ns`.

        Returns:
            list over rules of (rows, swapped): indices of flows; bool, those with the attacker responding.
        """
        return [match_rule(rule, self.flows, self.ends, self.order, offset_ns) for rule in self.rules]

    def unmatched(self, offset_ns=0):
        """(R,) rows of the label file behind each rule that match no flow: here 0 or 1."""
        return np.array([int(len(rows) == 0) for rows, _ in self.match(offset_ns)])


def match_rule(rule, flows, ends, order, offset_ns=0):
    """Flows that one rule matches, its window moved by `offset_ns`.

    Args:
        ends: of :func:`endpoints`.
        order: (N,) rows of the flows sorted by start.

    Returns:
        (rows, swapped): indices of the flows; bool, those that match only with the ends swapped.
    """
    start = flows["start_ns"]
    first = np.searchsorted(start, rule.start_ns + offset_ns, side="left", sorter=order)
    last = np.searchsorted(start, rule.end_ns + offset_ns, side="right", sorter=order)
    rows = order[first:last]
    if rule.protocol is not None:
        rows = rows[flows["protocol"][rows] == rule.protocol]
    forward = _goes(rule, rows, ends["source"], ends["destination"])
    if not rule.bidirectional_initiator:
        return rows[forward], np.zeros(np.count_nonzero(forward), dtype=bool)
    either = forward | _goes(rule, rows, ends["destination"], ends["source"])
    return rows[either], ~forward[either]


def _goes(rule, rows, attacker, victim):
    """(len(rows),) bool: the flows whose ends `attacker` and `victim` are those of the rule."""
    matching = _inside(attacker[0][rows], rule.source) & _inside(victim[0][rows], rule.destination)
    if rule.destination_port is not None:
        matching &= victim[1][rows] == rule.destination_port
    return matching


def _inside(addresses, network):
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

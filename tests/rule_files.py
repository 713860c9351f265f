"""Rule files for tests, and the labels that they give to a handful of flows."""

from generated_flows import COLUMNS, SECOND, make_flows

from rnnids.labels import labelling
from rnnids.labels.rules import RuleMatcher, read_rules

IDLE = 300 * SECOND
RULE = "2017-07-05T12:00:00Z,2017-07-05T12:10:00Z,172.16.0.1/32,192.168.10.50/32,80,tcp,false,DoS Hulk,DoS"
ATTACK = ("172.16.0.1", 1025, "192.168.10.50", 80, 6)
REPLY = ("192.168.10.50", 80, "172.16.0.1", 1025, 6)


def write_rules(path, *lines, text=None):
    """Write a rule file: lines below the usual header, or the whole text or bytes; the path."""
    content = "\n".join([COLUMNS, *lines, ""]) if text is None else text
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def label_flows(flows, rules, *, idle_timeout_ns=IDLE, follow=True):
    """Labels of flows by rules."""
    matcher = RuleMatcher(rules, flows)
    return labelling.label_flows(flows, matcher, idle_timeout_ns, follow_connections=follow)


def label(path, rows, *, follow=True):
    """Labels of the flows that some rows describe by a rule file."""
    return label_flows(make_flows(rows), read_rules(path), follow=follow)

"""Where labels come from: rules, the ground truth of UNSW-NB15, or per-flow CSV files."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rnnids.errors import InputError
from rnnids.labels.flow_csv import FlowCsvMatcher, read_flow_csv
from rnnids.labels.ground_truth import GroundTruthMatcher, read_ground_truth
from rnnids.labels.matching import RuleMatcher
from rnnids.labels.rules import read_rules
from rnnids.labels.times import parse_zone

LABEL_KINDS = ("rules", "ground_truth", "flow_csv")


@dataclass(frozen=True)
class LabelSource:
    """What label files say.

    Attributes:
        name: the files, for messages.
        rules: list of Rule or of LabelGroup, of which the last that matches a flow wins.
        rows: list, lines of the files behind each of them.
        matcher: function of the flows' columns that makes a matcher for ``label_flows``.
        skipped: {reason: rows} of the rows that say nothing.
    """

    name: str
    rules: list
    rows: list
    matcher: Callable
    skipped: dict


def read_labels(kind, paths, time_zone):
    """Read label files.

    Args:
        kind: one of ``LABEL_KINDS``.
        paths: one file; several of per-flow CSV files.
        time_zone: IANA name or offset of times that have none, or None.

    Returns:
        LabelSource.

    Raises:
        InputError: files, or a combination of them and options, that cannot be used.
    """
    zone, name = parse_zone(time_zone), ", ".join(map(str, paths))
    if kind == "flow_csv":
        table = read_flow_csv(paths, zone)
        return _from_table(name, table, FlowCsvMatcher)
    if len(paths) > 1:
        raise InputError(f"--labels: {name}: {kind} come from one file; put all lines into one")
    if kind == "ground_truth":
        if zone is not None:
            raise InputError("--time-zone: the ground truth counts seconds since 1970 UTC; leave the time zone out")
        return _from_table(name, read_ground_truth(paths[0]), GroundTruthMatcher)
    rules = read_rules(paths[0], zone)
    return LabelSource(name, rules, [1] * len(rules), partial(RuleMatcher, rules), {})


def _from_table(name, table, matcher):
    rows = [group.rows for group in table.groups]
    return LabelSource(name, table.groups, rows, partial(matcher, table), table.skipped)

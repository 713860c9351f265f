"""What became of every flow: counts per rule, per attack type and per reason, and warnings."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from rnnids.cli import log
from rnnids.datasets.build import Dataset
from rnnids.datasets.flow_data import BENIGN, TEST, TRAIN
from rnnids.flows.files import FlowFile
from rnnids.labels.labelling import Labels, LabelSource, Matcher, clock_offset, hours_between, in_several_captures
from rnnids.labels.rules import BENIGN_NAME

SHOWN = 4  # names of captures in a message


def label_report(source: LabelSource, labels: Labels) -> pd.DataFrame:
    """One row per rule, or per group of rows of a label file: flows that it matched, of all flows read.

    `swapped`: those of them that the victim began; `also_matched_by_others`: those that other rules match too
    (the last rule wins); `continuations`: flows without a rule that got this one's label as continuations;
    `rows`, `rows_without_flows`: lines of the label file behind it, and those of them that match no flow.
    """
    rules = source.rules
    return pd.DataFrame(
        {
            "rule": [rule.line for rule in rules],
            "attack": [rule.attack for rule in rules],
            "category": [rule.category for rule in rules],
            "start": [format_time(rule.start_ns) for rule in rules],
            "end": [format_time(rule.end_ns) for rule in rules],
            "source": [str(rule.source) for rule in rules],
            "destination": [str(rule.destination) for rule in rules],
            "flows": labels.matched,
            "swapped": labels.swapped,
            "also_matched_by_others": labels.shared,
            "continuations": labels.continued,
            "rows": source.rows,
            "rows_without_flows": labels.unmatched,
        }
    )


def format_time(time_ns: int) -> str:
    """ISO 8601, UTC."""
    return f"{np.datetime_as_string(np.datetime64(time_ns, 'ns'))}Z"


def attack_counts(dataset: Dataset) -> pd.DataFrame:
    """One row per attack type, benign flows first: flows and packets after the cut, flows of each split."""
    flows, size = dataset.flows, len(dataset.category_of)
    packets = np.bincount(flows["attack"], weights=flows["packet_count"], minlength=size)
    train, test = (np.bincount(flows["attack"][flows["split"] == split], minlength=size) for split in (TRAIN, TEST))
    return pd.DataFrame(
        {
            "attack": list(dataset.category_of),
            "category": list(dataset.category_of.values()),
            "flows": train + test,
            "packets": packets.astype(np.int64),
            "train_flows": train,
            "test_flows": test,
        }
    )


def dataset_report(
    captures: Sequence[FlowFile],
    flows: Mapping[str, np.ndarray],
    dataset: Dataset,
    *,
    source: LabelSource,
    labels: Labels,
) -> pd.DataFrame:
    """Counts of everything read, skipped, dropped, cut, labelled and split: columns section, item, count."""
    dropped = dataset.dropped
    skipped = sum((Counter(capture.skipped) for capture in captures), Counter())
    per_capture = np.bincount(flows["capture"], minlength=len(captures))
    rows = [
        ("read", "captures", len(captures)),
        ("read", "packets_of_captures", sum(int(capture.attributes["packets_read"]) for capture in captures)),
        ("read", "flows", len(dropped)),
        ("read", "packets_in_flows", sum(capture.packets for capture in captures)),
        ("read", "packets_of_unknown_layers", sum(capture.unknown for capture in captures)),
        ("read", "flows_in_several_captures", in_several_captures(flows).sum()),
        *(("flows_of_capture", capture.name, count) for capture, count in zip(captures, per_capture, strict=True)),
        *(("skipped_packets", reason, count) for reason, count in sorted(skipped.items())),
        ("dropped", "flows_with_negative_interarrival_time", dropped.sum()),
        ("dropped", "packets_of_dropped_flows", flows["packet_count"][dropped].sum()),
        *cut_rows(dataset.flows),
        *(("skipped_label_rows", reason, count) for reason, count in sorted(source.skipped.items())),
        ("labels", "flows_matched_by_a_rule", np.count_nonzero(labels.matches)),
        ("labels", "flows_matched_by_several_rules", np.count_nonzero(labels.matches > 1)),
        ("labels", "continuations", labels.continuation.sum()),
        ("labels", "continuations_begun_by_the_victim", (labels.continuation & labels.attacker_responds).sum()),
        *split_rows(dataset.flows),
    ]
    return pd.DataFrame(rows, columns=["section", "item", "count"])


def cut_rows(flows: Mapping[str, np.ndarray]) -> list[tuple[str, str, int]]:
    """Rows of a report: the flows of a data set that were cut, and their packets behind the cut."""
    cut = flows["full_packet_count"] - flows["packet_count"]
    return [("cut", "flows_cut", int(np.count_nonzero(cut))), ("cut", "packets_cut", int(cut.sum()))]


def split_rows(flows: Mapping[str, np.ndarray]) -> list[tuple[str, str, int]]:
    """Rows of a report: flows and packets of each split."""
    rows = []
    for name, split in (("train", TRAIN), ("test", TEST)):
        of_split = flows["split"] == split
        rows.append(("split", f"{name}_flows", int(of_split.sum())))
        rows.append(("split", f"{name}_packets", int(flows["packet_count"][of_split].sum())))
    return rows


def warn_about_overlaps(captures: Sequence[FlowFile], flows: Mapping[str, np.ndarray]) -> None:
    """Log the flows that several captures hold: the test split would repeat what the training split has."""
    twice = in_several_captures(flows)
    if twice.any():
        names = [captures[index].name for index in np.unique(flows["capture"][twice])]
        shown = ", ".join(names[:SHOWN]) + f" and {len(names) - SHOWN} more" * (len(names) > SHOWN)
        log.warning(
            "warning: %s: %s flows are in more than one capture (same ends at the same time);"
            " give each packet once, or leave one of the captures out",
            *(shown, f"{np.count_nonzero(twice):,}"),
        )


def warn_about_labels(
    source: LabelSource, labels: Labels, matcher: Matcher, *, flows: Mapping[str, np.ndarray]
) -> None:
    """Log what of a LabelSource says nothing, the rules that match no flow, and flows that several match."""
    for reason, count in source.skipped.items():
        log.info("%s: %s rows left out: %s", source.name, f"{count:,}", reason)
    if not labels.matched.any():
        log.warning("warning: %s: no rule matches any flow; %s", source.name, _why_none_matches(source, matcher, flows))
        return
    _warn_about_the_clock(source, labels, matcher)
    for rule, rows, unmatched in zip(source.rules, source.rows, labels.unmatched, strict=True):
        if rows == unmatched == 1:
            log.warning("warning: %s:%d: the rule for %s matches no flow", source.name, rule.line, rule.attack)
        elif unmatched:
            which = f"{unmatched:,} of {rows:,} rows of {rule.attack}"
            log.warning("warning: %s: %s match no flow", source.name, which)
    several = np.count_nonzero(labels.matches > 1)
    if several:
        log.warning("warning: %s: %s flows match several rules; the last one labels them", source.name, f"{several:,}")


def warn_about_attackers(source: LabelSource, labels: Labels) -> None:
    """Log the attack rows that name as source the end that answered: its packets count as the attacker's."""
    is_attack = np.array([rule.attack != BENIGN_NAME for rule in source.rules])
    matched, swapped = int(labels.matched[is_attack].sum()), int(labels.swapped[is_attack].sum())
    if swapped:
        log.warning(
            "warning: %s: %s of %s attack flows have as source of their row the end that answered, so that the answers"
            " count as the attacker's; if the rows have their ends swapped, set `attacker: initiator`",
            *(source.name, f"{swapped:,}", f"{matched:,}"),
        )


def _warn_about_the_clock(source: LabelSource, labels: Labels, matcher: Matcher) -> None:
    """A rule without much of a condition matches some flows at any time of day; the others tell."""
    rows, idle = sum(source.rows), int(labels.unmatched.sum())
    if 2 * idle <= rows:
        return
    minutes, _, left = clock_offset(matcher)
    if rows - left >= 2 * (rows - idle):
        log.warning(
            "warning: %s: only %s of %s rows match flows; %s would if the windows were moved by %+g hours:"
            " is the time zone of the labels right?",
            *(source.name, f"{rows - idle:,}", f"{rows:,}", f"{rows - left:,}", minutes / 60),
        )


def _why_none_matches(source: LabelSource, matcher: Matcher, flows: Mapping[str, np.ndarray]) -> str:
    minutes, count, _ = clock_offset(matcher)
    if count:
        return (
            f"{count:,} flows would match if the windows were moved by {minutes / 60:+g} hours:"
            " is the time zone of the labels right?"
        )
    hours = hours_between(flows, source.rules)
    if hours:
        return f"all flows start {abs(hours):.3g} hours {'after' if hours > 0 else 'before'} all windows"
    return "the times overlap: check addresses, ports and protocols"


def warn_about_splits(counts: pd.DataFrame) -> None:
    """Log the attack types without training or without test flows; `counts` is of :func:`attack_counts`."""
    for row in counts[BENIGN + 1 :].itertuples():
        for split in ("train", "test"):
            if row.flows and not getattr(row, f"{split}_flows"):
                log.warning("warning: %s: none of its %d flows is in the %s split", row.attack, row.flows, split)

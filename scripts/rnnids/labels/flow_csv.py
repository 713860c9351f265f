"""Per-flow CSV files with a label column, as those of CIC-IDS-2017, as labels.

A flow gets the label of the row of the same 5-tuple, in either direction, whose start is nearest to
its own, if it is at most ``TOLERANCE_NS`` away; the row's source is taken for the attacker. Other
programs cut packets into other flows, so some flows have no row and some rows no flow: both are counted.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from pathlib import Path

import numpy as np
import pandas as pd

from rnnids.errors import InputError
from rnnids.labels.joins import Spans, key_numbers, neighbours, overlaps
from rnnids.labels.rules import BENIGN_NAME
from rnnids.labels.tables import LabelGroup, LabelRows, describe, keep_rows, parse_ends, read_table, tuple_columns
from rnnids.labels.times import to_utc

COLUMNS = {  # of the file: here
    "Source IP": "source_address",
    "Source Port": "source_port",
    "Destination IP": "destination_address",
    "Destination Port": "destination_port",
    "Protocol": "protocol",
    "Timestamp": "time",
    "Label": "label",
}
SECOND = 10**9
HALF_DAY_NS = 12 * 3600 * SECOND
# Format: nanoseconds that a time written so may have been cut by.
FORMATS = {
    "%d/%m/%Y %H:%M:%S": SECOND,
    "%d/%m/%Y %H:%M": 60 * SECOND,
    "%d/%m/%Y %I:%M:%S %p": SECOND,
    "%d/%m/%Y %I:%M %p": 60 * SECOND,
    "%Y-%m-%d %H:%M:%S": SECOND,
    "%Y-%m-%d %H:%M:%S.%f": 1000,
}
TOLERANCE_NS = 60 * SECOND
# In some copies of CIC-IDS-2017 the dash of "Web Attack - XSS" is a replacement character.
DASHES = re.compile("\\s*[\u2013\u2014\ufffd]\\s*|\\s+-\\s+")


def read_flow_csv(paths: Sequence[Path | str], zone: tzinfo | None) -> LabelRows:
    """Read per-flow CSV files.

    Times are local times of the time zone `zone`, a tzinfo, day before month or ISO 8601. If no hour of
    a file is 0 or above 12 and none has AM or PM, the clock may have had twelve hours: each row then
    stands at both times, of which the one with a flow counts.

    Returns:
        LabelRows, a group per label. Rows of one 5-tuple and time count once, attacks before benign.

    Raises:
        InputError: not such a file, no time zone, no row that can match a flow.
    """
    if zone is None:
        raise InputError("--time-zone: times of a flow CSV are local; say where, like America/Halifax or UTC-03:00")
    tables, skipped = [], dict[str, int]()
    for path in paths:
        columns, reasons = _read_file(path, zone)
        tables.append(columns)
        skipped = {reason: skipped.get(reason, 0) + reasons.get(reason, 0) for reason in skipped | reasons}
    columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    labels = columns.pop("label")
    return _grouped(columns, labels, skipped)


def _read_file(path: Path | str, zone: tzinfo) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    frame = read_table(path, list(COLUMNS)).rename(columns=COLUMNS)
    columns, faults = parse_ends(frame)
    local, resolution, twelve_hours = parse_times(frame["time"])
    rows, skipped = keep_rows(columns, [*faults, ("no time", local == np.iinfo(np.int64).min)])
    if not len(rows):
        raise InputError(
            f"{path}: no row can match a flow ({describe(skipped)}); times are written as 03/07/2017 09:08:11"
        )
    columns = {name: column[rows] for name, column in columns.items()}
    columns["label"] = _label_names(frame["label"].iloc[rows])
    columns["row"] = rows + 2
    columns["start_ns"] = to_utc(local[rows], zone)
    columns["end_ns"] = columns["start_ns"] + resolution - 1
    columns["other_ns"] = to_utc(_other_half(local[rows]), zone) if twelve_hours else columns["start_ns"]
    return columns, skipped


def parse_times(texts: pd.Series) -> tuple[np.ndarray, int, bool]:
    """Local times of a column of strings, all in the format that most of them have.

    Returns:
        ((N,) int64 nanoseconds, the least int64 for those that are no time; nanoseconds that they may
        have been cut by; whether the clock may have had twelve hours).
    """
    codes, values = pd.factorize(texts)
    parsed = {form: pd.to_datetime(pd.Series(values), format=form, errors="coerce") for form in FORMATS}
    form = max(parsed, key=lambda form: parsed[form].notna().sum())
    times = pd.DatetimeIndex(parsed[form]).as_unit("ns")
    hours = times.hour[times.notna()]
    twelve_hours = "%H" in form and len(hours) > 0 and hours.min() >= 1 and hours.max() <= 12
    return times.asi8[codes], FORMATS[form], twelve_hours


def _other_half(local_ns: np.ndarray) -> np.ndarray:
    """Local times 12 hours later, or earlier for those in the afternoon."""
    return np.where(local_ns // HALF_DAY_NS % 2 == 0, local_ns + HALF_DAY_NS, local_ns - HALF_DAY_NS)


def _label_names(texts: pd.Series) -> np.ndarray:
    """Labels without broken dashes; "BENIGN" and "Normal" are "Benign"."""
    codes, values = pd.factorize(texts)
    names = [DASHES.sub(" - ", text).strip() for text in values]
    benign = ("", "benign", "normal")
    return np.array([BENIGN_NAME if name.lower() in benign else name for name in names], dtype=object)[codes]


def _grouped(columns: Mapping[str, np.ndarray], labels: np.ndarray, skipped: Mapping[str, int]) -> LabelRows:
    names = pd.unique(labels)
    group = pd.Index(names).get_indexer(labels)
    groups = []
    for index, name in enumerate(names):
        here = group == index
        times = int(columns["start_ns"][here].min()), int(columns["end_ns"][here].max())
        groups.append(LabelGroup(int(columns["row"][here][0]), int(here.sum()), *times, name, name))
    return LabelRows(columns, group, groups, skipped)


class FlowCsvMatcher:
    """Matches flows with the rows of per-flow CSV files."""

    def __init__(self, rows: LabelRows, flows: Mapping[str, np.ndarray]) -> None:
        self.rows = rows
        ways = [tuple_columns(flows, swapped) for swapped in (False, True)]
        row_key, *self.keys = key_numbers(tuple_columns(rows.columns), *ways)
        self.start = flows["start_ns"]
        begin, length = rows.columns["start_ns"], rows.columns["end_ns"] - rows.columns["start_ns"]
        again = np.flatnonzero(rows.columns["other_ns"] != begin)
        self.row = np.concatenate([np.arange(len(begin)), again])
        self.key = row_key[self.row]
        self.time = np.concatenate([begin, rows.columns["other_ns"][again]])
        self.length = length[self.row]
        self.kept = self._without_repetition()

    def _without_repetition(self) -> np.ndarray:
        """Of the entries with one 5-tuple and time one, an attack if there is one."""
        is_attack = np.array([group.attack != BENIGN_NAME for group in self.rows.groups])
        order = np.lexsort((~is_attack[self.rows.group[self.row]], self.time, self.key))
        new = np.ones(len(order), dtype=bool)
        new[1:] = (np.diff(self.key[order]) != 0) | (np.diff(self.time[order]) != 0)
        return order[new]

    def match(self, offset_ns: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
        """Flows of each label, the rows moved by `offset_ns`.

        Returns:
            list over groups of (rows, swapped): indices of flows; bool, the row has the ends swapped, so
            that the attacker responds.
        """
        (same, gap), (swapped, swapped_gap) = (self._nearest(key, self.start - offset_ns) for key in self.keys)
        responds = swapped_gap < gap
        entry, gap = np.where(responds, swapped, same), np.minimum(gap, swapped_gap)
        found = np.flatnonzero(gap <= TOLERANCE_NS)
        group = self.rows.group[self.row[entry[found]]]
        return [(found[group == index], responds[found[group == index]]) for index in range(len(self.rows.groups))]

    def _nearest(self, key: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(entry, gap in ns) of the row nearest to each flow; a gap of the greatest int64 means none."""
        none = np.iinfo(np.int64).max
        found = neighbours(key, start, other_key=self.key[self.kept], other_time=self.time[self.kept])
        before, after = (self.kept[place] for place in found)
        late = np.where(found[0] >= 0, np.maximum(start - self.time[before] - self.length[before], 0), none)
        early = np.where(found[1] >= 0, self.time[after] - start, none)
        return np.where(early < late, after, before), np.minimum(early, late)

    def unmatched(self, offset_ns: int = 0) -> np.ndarray:
        """(groups,) rows of each label that are near no flow, the rows moved by `offset_ns`."""
        starts = np.tile(self.start, 2)
        flows = Spans(np.concatenate(self.keys), starts, starts)
        found = np.zeros(len(self.rows.group), dtype=bool)
        time = self.time + offset_ns
        near = overlaps(Spans(self.key, time - TOLERANCE_NS - 1, time + self.length + TOLERANCE_NS + 1), flows)
        found[self.row[near]] = True
        return np.bincount(self.rows.group[~found], minlength=len(self.rows.groups))

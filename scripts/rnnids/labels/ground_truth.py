"""The ground truth of UNSW-NB15 as labels: one row per attack flow, times in whole seconds.

A flow is labelled by a row of the same 5-tuple, in either direction, if its life overlaps the row's
from `Start time` - 60 s to `Last time` + 60 s, touching not being an overlap. Of several categories the
first of ``CATEGORIES`` labels it. The row's source is the attacker.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rnnids.errors import InputError
from rnnids.labels.joins import Spans, key_numbers, overlaps
from rnnids.labels.tables import (
    LabelGroup,
    LabelRows,
    describe,
    keep_rows,
    parse_ends,
    parse_numbers,
    read_table,
    tuple_columns,
)

COLUMNS = {  # here: of the file
    "start": ("Start time",),
    "end": ("Last time",),
    "category": ("Attack category",),
    "protocol": ("Protocol",),
    "source_address": ("Source IP",),
    "source_port": ("Source Port",),
    "destination_address": ("Destination IP",),
    "destination_port": ("Destination Port",),
}
# By priority, the authors' order.
CATEGORIES = (
    "Worms",
    "Backdoors",
    "Fuzzers",
    "Shellcode",
    "Exploits",
    "DoS",
    "Reconnaissance",
    "Analysis",
    "Generic",
)
NAMES = {name.lower(): name for name in CATEGORIES} | {"backdoor": "Backdoors", "": "", "normal": "", "benign": ""}
TOLERANCE_NS = 60 * 10**9
SECOND = 10**9
LAST_SECOND = 7258118400  # the year 2200


def read_ground_truth(path: Path | str) -> LabelRows:
    """Read a ground-truth file.

    Times are seconds since 1970 UTC. `Backdoor` is `Backdoors`; case and blanks do not count; a row
    without category is benign and says nothing. Rows that repeat others count once.

    Returns:
        LabelRows; its groups are the categories that occur, those of low priority first.

    Raises:
        InputError: not such a file, an unknown category, no row that can match a flow.
    """
    frame = read_table(path, COLUMNS)
    columns, faults = parse_ends(frame)
    for end in ("start", "end"):
        seconds, valid = parse_numbers(frame[end], 0, LAST_SECOND)
        columns[f"{end}_ns"] = seconds * SECOND
        faults.append(("no time", ~valid))
    names = frame["category"].str.lower().map(NAMES)
    faults = [("no category, so benign", (names == "").to_numpy()), *faults]
    repeated = frame.assign(category=names).duplicated().to_numpy()
    rows, skipped = keep_rows(columns, [*faults, ("repeats another row", repeated)])
    if not len(rows):
        raise InputError(f"{path}: no row can match a flow ({describe(skipped)}); is it the ground truth?")
    _refuse_unknown(path, frame["category"].iloc[rows])
    columns = {name: column[rows] for name, column in columns.items()}
    return _grouped(columns, names.iloc[rows], skipped)


def _refuse_unknown(path: Path | str, texts: pd.Series) -> None:
    unknown = texts[~texts.str.lower().isin(NAMES)]
    if len(unknown):
        near = difflib.get_close_matches(unknown.iloc[0], CATEGORIES, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"the categories are {', '.join(CATEGORIES)}"
        raise InputError(f"{path}:{unknown.index[0]}: unknown attack category {unknown.iloc[0]!r}; {remedy}")


def _grouped(columns: Mapping[str, np.ndarray], names: pd.Series, skipped: Mapping[str, int]) -> LabelRows:
    groups: list[LabelGroup] = []
    group = np.zeros(len(names), dtype=np.int64)
    for name in reversed(CATEGORIES):
        here = (names == name).to_numpy()
        if here.any():
            group[here] = len(groups)
            times = int(columns["start_ns"][here].min()), int(columns["end_ns"][here].max())
            groups.append(LabelGroup(int(names.index[here][0]), int(here.sum()), *times, name, name))
    return LabelRows(columns, group, groups, skipped)


class GroundTruthMatcher:
    """Matches flows with the rows of a ground truth."""

    def __init__(self, rows: LabelRows, flows: Mapping[str, np.ndarray]) -> None:
        self.rows = rows
        ways = [tuple_columns(flows, swapped) for swapped in (False, True)]
        self.row_key, *keys = key_numbers(tuple_columns(rows.columns), *ways)
        # Most flows have no row at all; only the others are joined by time.
        self.candidates = np.flatnonzero(np.isin(keys[0], self.row_key) | np.isin(keys[1], self.row_key))
        self.keys = [key[self.candidates] for key in keys]
        self.start = flows["start_ns"][self.candidates]
        self.end = self.start + flows["duration_ns"][self.candidates]

    def match(self, offset_ns: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
        """Flows of each category, the windows moved by `offset_ns`.

        Returns:
            list over groups of (rows, swapped): indices of flows; bool, those that match with the ends
            swapped only, so that the attacker responds.
        """
        windows, hits = self._windows(offset_ns), []
        for index in range(len(self.rows.groups)):
            here = self.rows.group == index
            of_group = Spans(*(column[here] for column in windows))
            forward, swapped = (overlaps(Spans(key, self.start, self.end), of_group) for key in self.keys)
            found = forward | swapped
            hits.append((self.candidates[found], ~forward[found]))
        return hits

    def unmatched(self, offset_ns: int = 0) -> np.ndarray:
        """(groups,) rows of each category that match no flow, the windows moved by `offset_ns`."""
        lives = Spans(np.concatenate(self.keys), np.tile(self.start, 2), np.tile(self.end, 2))
        found = overlaps(self._windows(offset_ns), lives)
        return np.bincount(self.rows.group[~found], minlength=len(self.rows.groups))

    def _windows(self, offset_ns: int) -> Spans:
        """The rows' times with the tolerance around them, moved by `offset_ns`."""
        start, end = self.rows.columns["start_ns"], self.rows.columns["end_ns"]
        return Spans(self.row_key, start + (offset_ns - TOLERANCE_NS), end + (offset_ns + TOLERANCE_NS))

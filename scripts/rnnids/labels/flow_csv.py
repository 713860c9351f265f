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

from rnnids.cli import log
from rnnids.errors import InputError
from rnnids.labels.joins import Spans, key_numbers, neighbours, overlaps
from rnnids.labels.rules import BENIGN_NAME
from rnnids.labels.tables import LabelGroup, LabelRows, describe, keep_rows, parse_ends, read_table, tuple_columns
from rnnids.labels.times import ANY_ISO, NO_TIME, YEARS, absolute_times, plain_iso, to_utc

COLUMNS = {  # here: of the files of CICFlowMeter 3 and 4, its Python port, Zeek, Argus, CTU-13 and Bot-IoT
    "source_address": ("Source IP", "Src IP", "id.orig_h", "SrcAddr", "saddr", "srcip"),
    "source_port": ("Source Port", "Src Port", "id.orig_p", "Sport"),
    "destination_address": ("Destination IP", "Dst IP", "id.resp_h", "DstAddr", "daddr", "dstip"),
    "destination_port": ("Destination Port", "Dst Port", "id.resp_p", "Dport", "dsport"),
    "protocol": ("Protocol", "proto"),
    "time": ("Timestamp", "ts", "StartTime", "stime"),
    "label": ("Label", "detailed-label", "category"),
}
SECOND = 10**9
HALF_DAY_NS = 12 * 3600 * SECOND
# Format: nanoseconds that a time written so may have been cut by; day before month, or the other way round.
FORMATS = {
    "%d/%m/%Y %H:%M:%S": SECOND,
    "%d/%m/%Y %H:%M": 60 * SECOND,
    "%d/%m/%Y %I:%M:%S %p": SECOND,
    "%d/%m/%Y %I:%M %p": 60 * SECOND,
    "%d/%m/%Y %H:%M:%S.%f": 1000,
    "%Y-%m-%d %H:%M:%S": SECOND,
    "%Y-%m-%d %H:%M:%S.%f": 1000,
}
AUTO, *ORDERS = DATE_ORDERS = ("auto", "day", "month")
DATE = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})(?=\D)")
TOLERANCE_NS = 60 * SECOND
# The dash of "Web Attack - XSS" in copies of CIC-IDS-2017: a replacement character, a control character of
# Windows-1252, UTF-8 read as Windows-1252 once or twice.
DASHES = re.compile(
    "\\s*(?:\u00c3\u00a2\u00e2\u201a\u00ac\u00e2\u20ac\u0153|\u00e2\u20ac[\u201c\u201d\u0093\u0094]|\u00e2\u0080[\u0093\u0094]|\u00ef\u00bf\u00bd|\u00c2?[\u0096\u0097]"
    "|[\u2010-\u2015\u2212\ufffd])\\s*|\\s+-\\s+"
)
# CTU-13 names each flow by its direction and address; what is not of the botnet is background.
CTU = re.compile(r"flow=(?:(?:From|To)-(?P<botnet>Botnet)\b.*|.*)", re.IGNORECASE)


def read_flow_csv(
    paths: Sequence[Path | str],
    zone: tzinfo | None,
    *,
    date_order: str = AUTO,
    rename: Mapping[str, str] | None = None,
) -> LabelRows:
    """Read per-flow CSV files.

    Times are ISO 8601, seconds or milliseconds since 1970, or dates with the year last; those without UTC offset are
    local times of the time zone `zone`, a tzinfo. If no hour of a file is 0 or above 12 and none has AM or PM, the
    clock may have had twelve hours: each row then stands at both times, of which the one with a flow counts.

    Args:
        date_order: "day" or "month" first; "auto": what fits all dates, the day where both do, with a warning.
        rename: {label: what to call it}, "Benign" among the latter.

    Returns:
        LabelRows, a group per label. Rows of one 5-tuple and time count once, attacks before benign.

    Raises:
        InputError: not such a file, no time zone, no row that can match a flow.
    """
    tables, skipped = [], dict[str, int]()
    for path in paths:
        columns, reasons = _read_file(path, zone, date_order=date_order)
        tables.append(columns)
        skipped = {reason: skipped.get(reason, 0) + reasons.get(reason, 0) for reason in skipped | reasons}
    columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    labels = unified_labels(columns.pop("label"), rename or {})
    return _grouped(columns, labels, skipped)


def _read_file(
    path: Path | str, zone: tzinfo | None, *, date_order: str
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    frame = read_table(path, COLUMNS)
    columns, faults = parse_ends(frame)
    start = absolute_times(frame["time"])
    is_local = start == NO_TIME
    local, resolution, twelve_hours = parse_times(frame["time"].where(is_local, ""), date_order=date_order)
    if date_order == AUTO and (ambiguous := ambiguous_date(frame["time"][is_local])):
        log.warning(
            "warning: %s: times like %r may have the day or the month first; the day is taken; set `date_order: day` or"
            " `month`",
            *(path, ambiguous),
        )
    if zone is None and (local != NO_TIME).any():
        raise InputError(
            f"--time-zone: {path}: times of a flow CSV are local, like {frame['time'][local != NO_TIME].iloc[0]!r}; say"
            " where, like America/Halifax or UTC-03:00"
        )
    rows, skipped = keep_rows(columns, [*faults, ("no time", is_local & (local == NO_TIME))])
    if not len(rows):
        raise InputError(
            f"{path}: no row can match a flow ({describe(skipped)}); the first has time {frame['time'].iloc[0]!r} and"
            f" protocol {frame['protocol'].iloc[0]!r}; times are written as 03/07/2017 09:08:11, in ISO 8601 or as"
            " seconds since 1970"
        )
    columns = {name: column[rows] for name, column in columns.items()}
    columns["label"] = frame["label"].iloc[rows].to_numpy(dtype=object)
    columns["row"] = frame.index.to_numpy()[rows]
    is_local, local, start = is_local[rows], local[rows], start[rows]
    if zone is not None and is_local.any():
        start[is_local] = to_utc(local[is_local], zone)
    columns["start_ns"], columns["other_ns"] = start, start.copy()
    columns["end_ns"] = start + np.where(is_local, resolution, 1000) - 1
    if zone is not None and twelve_hours and is_local.any():
        columns["other_ns"][is_local] = to_utc(_other_half(local[is_local]), zone)
    return columns, skipped


def parse_times(texts: pd.Series, *, date_order: str = AUTO) -> tuple[np.ndarray, int, bool]:
    """Local times of a column of strings, all in the format that most of them have.

    Args:
        date_order: as in :func:`read_flow_csv`.

    Returns:
        ((N,) int64 nanoseconds, the least int64 for those that are no time; nanoseconds that they may
        have been cut by; whether the clock may have had twelve hours).
    """
    codes, values = pd.factorize(texts)
    plain = pd.Series([_plain_time(str(text)) for text in values], dtype=str)
    best, resolution, twelve_hours = pd.DatetimeIndex([pd.NaT] * len(values)).as_unit("ns"), SECOND, False
    for order in ORDERS if date_order == AUTO else (date_order,):
        for form, cut_by in FORMATS.items():
            written = form.replace("%d/%m", "%m/%d") if order == "month" else form
            times = pd.DatetimeIndex(pd.to_datetime(plain, format=written, errors="coerce"))
            times = pd.DatetimeIndex(times.where(times.year.isin(YEARS))).as_unit("ns")
            if np.count_nonzero(times.notna()) > np.count_nonzero(best.notna()):
                hours = times.hour[times.notna()]
                best, resolution = times, cut_by
                twelve_hours = "%H" in form and bool(hours.min() >= 1 and hours.max() <= 12)
    return best.asi8[codes], resolution, twelve_hours


def ambiguous_date(texts: pd.Series) -> str:
    """One of these times whose day and month could be swapped, if that goes for all of them; else nothing."""
    found = ""
    for text in pd.unique(texts):
        if match := DATE.match(text):
            one, other = int(match[1]), int(match[2])
            if max(one, other) > 12:
                return ""
            found = text if one != other else found
    return found


def _plain_time(text: str) -> str:
    """A time without offset in one spelling: slashes in dates with the year last, else ISO 8601."""
    if (match := ANY_ISO.fullmatch(text)) and not match["offset"]:
        return plain_iso(match)
    return DATE.sub(r"\1/\2/\3", text, count=1)


def _other_half(local_ns: np.ndarray) -> np.ndarray:
    """Local times 12 hours later, or earlier for those in the afternoon."""
    return np.where(local_ns // HALF_DAY_NS % 2 == 0, local_ns + HALF_DAY_NS, local_ns - HALF_DAY_NS)


def unified_labels(texts: np.ndarray, rename: Mapping[str, str]) -> np.ndarray:
    """(N,) labels with the dash " - " and single blanks, whatever the file has, renamed; logs what was unified.

    "BENIGN", "Normal", "Background" and an empty label are "Benign".
    """
    codes, values = pd.factorize(texts)
    known = {_unified(label): name for label, name in rename.items()}
    names = list[str]()
    for text in values:
        name = _unified(text)
        if name != text.strip() and name != BENIGN_NAME:
            log.info("label %r is read as %r", text, name)
        names.append(known.get(name, name))
    read = {_unified(text) for text in values}
    for label in known:
        if label not in read:
            log.warning("warning: rename: no row has the label %r", label)
    return np.array(names, dtype=object)[codes]


def _unified(text: str) -> str:
    name = " ".join(DASHES.sub(" - ", text).split())
    if match := CTU.fullmatch(name):
        name = match["botnet"] or BENIGN_NAME
    return BENIGN_NAME if name.lower() in ("", "-", "benign", "normal", "background") else name


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

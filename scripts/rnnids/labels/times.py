"""Times of label files: ISO 8601 with a UTC offset, or local times of a named time zone."""

import re
import zoneinfo
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import numpy as np
import pandas as pd

from rnnids.errors import InputError

TIME = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)
OFFSET = re.compile(r"UTC([+-])(\d\d):?(\d\d)")
# As people write it: slashes, one digit, no seconds, a comma before the fraction.
ANY_ISO = re.compile(
    r"(?P<year>\d{4})[-/](?P<month>\d\d?)[-/](?P<day>\d\d?)[T ]+(?P<time>\d\d:\d\d(?::\d\d)?)"
    r"(?:[.,](?P<fraction>\d{1,9}))?\s*(?P<offset>Z|[+-]\d\d(?::?\d\d)?)?",
    re.IGNORECASE,
)
EPOCH_NUMBER = re.compile(r"(\d{9,10}|\d{12,13}|\d{15,16}|\d{18,19})(?:\.(\d+))?")
NO_TIME = int(np.iinfo(np.int64).min)
YEARS = range(1901, 2200)  # nanoseconds of other times do not fit into 64 bits, whatever the offset
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END_NS = (datetime(YEARS.stop, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(seconds=1) * 1_000_000_000


def parse_zone(text: str | None) -> tzinfo | None:
    """A tzinfo of an IANA name or of an offset as in UTC-03:00; None of None.

    Raises:
        InputError: no such time zone.
    """
    if text is None:
        return None
    if match := OFFSET.fullmatch(text):
        sign, hours, minutes = match.groups()
        if int(hours) <= 14 and int(minutes) < 60:
            return timezone(int(f"{sign}1") * timedelta(hours=int(hours), minutes=int(minutes)))
    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"--time-zone: {text!r} is no time zone; write a name like America/Halifax or an offset like UTC-03:00"
        ) from error


def parse_time(text: str, zone: tzinfo | None = None) -> int:
    """Nanoseconds since 1970 UTC of an ISO 8601 time with UTC offset, or without one in a time zone.

    Of an hour that comes twice when clocks are set back, the first is meant.

    Raises:
        ValueError: no such time, or neither offset nor time zone.
    """
    match = TIME.fullmatch(text)
    if not match or (match[3] is None and zone is None):
        raise ValueError("not an ISO 8601 time with UTC offset; write it like 2017-07-05T12:48:54.539220Z")
    whole, fraction, offset = match.groups()
    try:
        time = datetime.fromisoformat(whole + (offset or "").upper())
    except ValueError as error:
        raise ValueError(f"{error}; write the time like 2017-07-05T12:48:54.539220Z") from error
    if time.year not in YEARS:
        raise ValueError("not a time of a capture; correct the year")
    if offset is None:
        time = time.replace(tzinfo=zone)
    # In integers: a float of seconds since 1970 is good to 0.2 microseconds only.
    return (time.astimezone(UTC) - EPOCH) // timedelta(seconds=1) * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


def to_utc(local_ns: np.ndarray, zone: tzinfo) -> np.ndarray:
    """Nanoseconds since 1970 UTC of (N,) local nanoseconds, as :func:`parse_time` takes them."""
    local = pd.DatetimeIndex(np.asarray(local_ns).view("datetime64[ns]"))
    first = np.ones(len(local), dtype=bool)  # daylight saving time, of two
    return local.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").as_unit("ns").asi8


def absolute_times(texts: pd.Series) -> np.ndarray:
    """(N,) nanoseconds since 1970 UTC of the strings that need no time zone; the least int64 for the others.

    ISO 8601 with UTC offset, or seconds, milliseconds, microseconds or nanoseconds since 1970, which their digits tell.
    """
    codes, values = pd.factorize(texts)
    return np.array([_absolute_time(text) for text in values], dtype=np.int64)[codes]


def _absolute_time(text: str) -> int:
    if number := EPOCH_NUMBER.fullmatch(text):
        whole, fraction = number.groups()
        nanoseconds = 10 ** {9: 9, 10: 9, 12: 6, 13: 6, 15: 3, 16: 3}.get(len(whole), 0)
        found = int(whole) * nanoseconds + int((fraction or "").ljust(18, "0")[:18]) * nanoseconds // 10**18
        return found if found < END_NS else NO_TIME
    match = ANY_ISO.fullmatch(text)
    if not match or not match["offset"]:
        return NO_TIME
    offset = match["offset"].upper() + ":00" * (match["offset"][-3:-2] in ("+", "-"))
    try:
        return parse_time(plain_iso(match) + offset)
    except ValueError:
        return NO_TIME


def plain_iso(match: re.Match[str]) -> str:
    """A match of ``ANY_ISO`` as 2017-07-05 12:48:54.539220, without its offset."""
    date = f"{match['year']}-{int(match['month']):02}-{int(match['day']):02}"
    fraction = f".{match['fraction']}" if match["fraction"] else ""
    return f"{date} {match['time'].zfill(5)}" + ":00" * (match["time"].count(":") == 1) + fraction

"""Times of label files: exact, with offsets and time zones."""

import pandas as pd
import pytest
from generated_flows import NOON, SECOND

from rnnids.errors import InputError
from rnnids.labels.times import NO_TIME, absolute_times, parse_time, parse_zone, to_utc


def test_times_are_exact_and_offsets_count():
    assert parse_time("2017-07-05T12:48:54.539220001Z") == pd.Timestamp("2017-07-05T12:48:54.539220001Z").value
    assert parse_time("2017-07-05T09:00:00-03:00") == parse_time("2017-07-05 12:00:00z") == NOON
    assert parse_time("1969-12-31T23:59:59.5Z") == -SECOND // 2


def test_times_that_64_bits_do_not_hold_are_none():
    texts = ["9999999999", "9999999999999", "9999999999999999", "9999999999999999999", "6017-07-05T08:00:00Z"]
    assert absolute_times(pd.Series([*texts, "1499245699.5"])).tolist() == [NO_TIME] * 5 + [1499245699500000000]


def test_hours_that_clocks_skip_or_repeat_are_read_alike_one_by_one_and_together():
    zone = parse_zone("America/Halifax")
    texts = ["2017-03-12T02:30:00", "2017-11-05T01:30:00", "2017-07-05T09:00:00", "2017-12-05T09:00:00"]
    together = to_utc(pd.DatetimeIndex(texts).as_unit("ns").asi8, zone)
    assert [parse_time(text, zone) for text in texts[1:]] == together[1:].tolist()
    assert together[1] == parse_time("2017-11-05T04:30:00Z")


@pytest.mark.parametrize("text", ["", "Atlantis", "UTC+25:00", "-03:00", "-3", "../etc/passwd"])
def test_a_time_zone_that_does_not_exist_is_refused(text):
    with pytest.raises(InputError, match=r"--time-zone: .* is no time zone; write a name like"):
        parse_zone(text)

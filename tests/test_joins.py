"""Joins by key and time against all pairs of rows."""

import numpy as np
import pytest

from rnnids.labels.joins import Spans, key_numbers, neighbours, overlaps


@pytest.mark.parametrize("seed", range(20))
def test_joins_are_those_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    count, others = rng.integers(0, 40, 2)
    key, other_key = rng.integers(0, 4, count), rng.integers(0, 4, others)
    start, other_start = rng.integers(0, 30, count), rng.integers(0, 30, others)
    end, other_end = start + rng.integers(0, 9, count), other_start + rng.integers(0, 9, others)
    same = key[:, None] == other_key
    expected = (same & (other_start < end[:, None]) & (other_end > start[:, None])).any(axis=1)
    found = overlaps(Spans(key, start, end), Spans(other_key, other_start, other_end))
    assert found.tolist() == expected.tolist()
    before, after = neighbours(key, start, other_key=other_key, other_time=other_start)
    for i in range(count):
        past, future = (other_start[same[i] & late] for late in (other_start <= start[i], other_start > start[i]))
        assert (before[i] >= 0) == (len(past) > 0) and (after[i] >= 0) == (len(future) > 0)
        assert before[i] < 0 or (other_key[before[i]] == key[i] and other_start[before[i]] == past.max())
        assert after[i] < 0 or (other_key[after[i]] == key[i] and other_start[after[i]] == future.min())


def test_key_numbers_are_equal_for_equal_rows_alone():
    rng = np.random.default_rng(0)
    tables = [[rng.integers(0, 3, size).astype(np.uint64) << np.uint64(62) for _ in range(3)] for size in (50, 70, 0)]
    numbers = np.concatenate(key_numbers(*tables))
    rows = list(zip(*(np.concatenate(columns).tolist() for columns in zip(*tables, strict=True)), strict=True))
    assert len(set(zip(rows, numbers.tolist(), strict=True))) == len(set(rows)) == len(set(numbers.tolist()))

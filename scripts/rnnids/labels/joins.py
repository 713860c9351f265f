"""Joins of two tables by key and time, for millions of rows: which rows overlap, which are next to each other.

Times are compared by their ranks, so that key and time fit into one integer that sorts like the pair.
"""

import numpy as np
import pandas as pd


def key_numbers(*tables):
    """Number the rows of several tables so that rows are equal if and only if their numbers are.

    Args:
        tables: lists of columns, of the same kinds in each table.

    Returns:
        list of (rows,) int64, one per table.
    """
    numbers = np.zeros(sum(len(columns[0]) for columns in tables), dtype=np.int64)
    for parts in zip(*tables, strict=True):
        codes, values = pd.factorize(np.concatenate(parts))
        numbers, _ = pd.factorize(numbers * max(1, len(values)) + codes)
    return np.split(numbers, np.cumsum([len(columns[0]) for columns in tables])[:-1])


def overlaps(key, start, end, other_key, other_start, other_end):
    """Which rows overlap some row of another table that has the same key, touching ends not being an overlap.

    Args:
        key, start, end: (N,) int64. other_key, other_start, other_end: (M,) int64.

    Returns:
        (N,) bool.
    """
    if not len(other_key):
        return np.zeros(len(key), dtype=bool)
    starts, ends = np.unique(other_start), np.unique(other_end)
    order = np.lexsort((other_start, other_key))
    begun = other_key[order] * (len(starts) + 1) + np.searchsorted(starts, other_start[order])
    # The latest end among the rows of a key up to each row; a greater key outweighs every end.
    ended = other_key[order] * (len(ends) + 1) + np.searchsorted(ends, other_end[order]) + 1
    latest = np.maximum.accumulate(ended)
    before = np.searchsorted(begun, key * (len(starts) + 1) + np.searchsorted(starts, end))
    needed = key * (len(ends) + 1) + np.searchsorted(ends, start, side="right") + 1
    return (before > 0) & (latest[before - 1] >= needed)


def neighbours(key, time, other_key, other_time):
    """The rows of another table with the same key that are next before and after each row.

    Returns:
        (before, after): (N,) rows of the other table, -1 for none; equal times count as before.
    """
    if not len(other_key):
        return np.full(len(key), -1), np.full(len(key), -1)
    times = np.unique(other_time)
    order = np.lexsort((other_time, other_key))
    places = other_key[order] * (len(times) + 1) + np.searchsorted(times, other_time[order]) + 1
    after = np.searchsorted(places, key * (len(times) + 1) + np.searchsorted(times, time, side="right"), side="right")
    before = after - 1
    found = [order[np.clip(place, 0, len(order) - 1)] for place in (before, after)]
    valid = [(before >= 0) & (other_key[found[0]] == key), (after < len(order)) & (other_key[found[1]] == key)]
    return tuple(np.where(ok, row, -1) for ok, row in zip(valid, found, strict=True))

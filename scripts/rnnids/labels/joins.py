"""Joins of two tables by key and time, for millions of rows: which rows overlap, which are next to each other.

Times are compared by their ranks, so that key and time fit into one integer that sorts like the pair.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

ICMP = (1, 58)  # protocol numbers, for IPv4 and IPv6


class Spans(NamedTuple):
    """What N flows or rows are joined by: (N,) int64 keys, starts and ends."""

    key: np.ndarray
    start: np.ndarray
    end: np.ndarray


def endpoints(flows: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Both ends of N flows: {"source": ..., "destination": ...}, each ((N, 2) uint64 address, (N,) port)."""
    return {
        end: (
            np.ascontiguousarray(flows[f"{end}_address"]).view(">u8").astype(np.uint64),
            flows[f"{end}_port"],
        )
        for end in ("source", "destination")
    }


def key_numbers(*tables: Sequence[np.ndarray]) -> list[np.ndarray]:
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


def overlaps(spans: Spans, others: Spans) -> np.ndarray:
    """Which of N rows overlap some row of another table that has the same key, touching ends not being an overlap.

    Returns:
        (N,) bool.
    """
    if not len(others.key):
        return np.zeros(len(spans.key), dtype=bool)
    starts, ends = np.unique(others.start), np.unique(others.end)
    order = np.lexsort((others.start, others.key))
    begun = others.key[order] * (len(starts) + 1) + np.searchsorted(starts, others.start[order])
    # The latest end among the rows of a key up to each row; a greater key outweighs every end.
    ended = others.key[order] * (len(ends) + 1) + np.searchsorted(ends, others.end[order]) + 1
    latest = np.maximum.accumulate(ended)
    before = np.searchsorted(begun, spans.key * (len(starts) + 1) + np.searchsorted(starts, spans.end))
    needed = spans.key * (len(ends) + 1) + np.searchsorted(ends, spans.start, side="right") + 1
    return (before > 0) & (latest[before - 1] >= needed)


def neighbours(
    key: np.ndarray, time: np.ndarray, *, other_key: np.ndarray, other_time: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
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
    return np.where(valid[0], found[0], -1), np.where(valid[1], found[1], -1)

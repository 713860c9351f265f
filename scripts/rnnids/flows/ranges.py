"""Rows of several ranges side by side: how the packets of chosen flows are found."""

import numpy as np

from rnnids.machine_code import njit


def ragged_arange(start: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Concatenation of ``arange(start[i], start[i] + count[i])`` over i."""
    count = np.asarray(count, dtype=np.int64)
    before = np.cumsum(count) - count
    return np.arange(int(count.sum())) + np.repeat(np.asarray(start) - before, count)


@njit(cache=True, nogil=True)
def gather_ranges(column: np.ndarray, start: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Concatenation of ``column[start[i] : start[i] + count[i]]`` over i, without a list of rows."""
    gathered = np.empty(count.sum(), column.dtype)
    at = 0
    for i in range(len(start)):
        if start[i] < 0 or count[i] < 0 or start[i] + count[i] > len(column):
            raise IndexError("a range leaves the column")
        gathered[at : at + count[i]] = column[start[i] : start[i] + count[i]]
        at += count[i]
    return gathered

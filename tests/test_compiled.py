import sys

import numpy as np
from numba import njit

from rnnids.captures.compiled import borrowed


@njit
def doubled(array):
    view = borrowed(array)
    for i in range(len(view)):
        view[i] *= 2
    return view.sum()


def test_a_borrowed_array_is_the_same_memory_and_stays_its_owners():
    array = np.arange(5)
    held = sys.getrefcount(array)
    assert doubled(array) == 20 and array.tolist() == [0, 2, 4, 6, 8]
    for _ in range(1000):
        doubled(array[:0])
    assert sys.getrefcount(array) == held


def test_strides_and_records_are_kept():
    records = np.zeros((4, 3), np.dtype([("flag", "u1"), ("value", "i8")]))
    assert doubled(records["value"][1:, 1]) == 0
    records["value"] = np.arange(12).reshape(4, 3)
    assert doubled(records["value"][1:, 1]) == 2 * (4 + 7 + 10)
    assert records["value"].ravel().tolist() == [0, 1, 2, 3, 8, 5, 6, 14, 8, 9, 20, 11]

"""Training and test split of a data set."""

import difflib
from collections.abc import Sequence

import numpy as np

from rnnids.datasets.flow_data import TEST, TRAIN
from rnnids.errors import InputError

SPLITS = ("flow", "time", "capture")


def split_by_flow(count: int, test_fraction: float, seed: int) -> np.ndarray:
    """The paper's split (Sec. II, 2:1): shuffle, then the first `test_fraction` of the flows is for testing.

    Near-duplicate flows of one scan or flood fall on both sides, which flatters a detector.

    Returns:
        (count,) uint8, TRAIN or TEST.
    """
    shuffled = np.random.default_rng(seed).permutation(count)
    split = np.full(count, TRAIN, dtype=np.uint8)
    split[shuffled[: round(count * test_fraction)]] = TEST
    return split


def split_by_time(start_ns: np.ndarray, capture: np.ndarray, attack: np.ndarray, *, test_fraction: float) -> np.ndarray:
    """The last `test_fraction` of the flows by start, of each attack type in each capture, is for testing.

    So the tail of every attack window is tested by what was learnt from its beginning. One cut for all
    flows, or one per capture, would leave the attacks before it without test flows and the ones after
    it without training flows. Benign flows count as a type.

    Args:
        start_ns, capture, attack: (N,).

    Returns:
        (N,) uint8, TRAIN or TEST.
    """
    order = np.lexsort((start_ns, attack, capture))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(attack[order]) != 0) | (np.diff(capture[order]) != 0)
    first = np.flatnonzero(new)
    size = np.diff(np.append(first, len(order)))
    train = size - np.rint(size * test_fraction).astype(np.int64)
    place = np.arange(len(order)) - np.repeat(first, size)
    split = np.empty(len(order), dtype=np.uint8)
    split[order] = np.where(place < np.repeat(train, size), TRAIN, TEST)
    return split


def split_by_capture(capture: np.ndarray, names: Sequence[str], test_captures: Sequence[str]) -> np.ndarray:
    """All flows of the captures named in `test_captures` are for testing.

    Args:
        capture: (N,) index into `names`.

    Raises:
        InputError: no name, or one that is no capture.
    """
    if not test_captures:
        raise InputError("--test-captures: split capture needs at least one; name some of " + ", ".join(names))
    for name in test_captures:
        if name not in names:
            nearest = difflib.get_close_matches(name, names, n=1)
            remedy = f"did you mean {nearest[0]!r}?" if nearest else f"the captures are {', '.join(names)}"
            raise InputError(f"--test-captures: no capture is called {name!r}; {remedy}")
    is_test = np.isin(np.array(names), test_captures)[capture]
    return np.where(is_test, TEST, TRAIN).astype(np.uint8)

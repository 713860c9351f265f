"""Batches that are too large for a GPU's memory are halved until they fit."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from rnnids.cli import log
from rnnids.errors import InputError

TOO_SMALL = "GPU: its memory is too small for a single flow; lower dataset.max_packets, or set device: cpu"
Rows = TypeVar("Rows", np.ndarray, Tensor)


def halved(work: Callable[[Rows], None], rows: Rows) -> None:
    """Call `work` on `rows` or, where the GPU's memory is too small, on halves of them, or on halves of those.

    Args:
        work: function of some rows that can be called again on parts of them after it failed, without a trace of the
            first try.
        rows: array or tensor of B flows, or their numbers, divided along the first axis.

    Raises:
        InputError: not even one flow fits.
    """
    if _fits(work, rows):
        return
    if len(rows) < 2:
        raise InputError(TOO_SMALL)
    middle = (len(rows) + 1) // 2
    log.warning("GPU: its memory is too small for %d flows at a time; trying %d", len(rows), middle)
    halved(work, rows[:middle])
    halved(work, rows[middle:])


def accumulated(work: Callable[[np.ndarray], None], rows: np.ndarray, *, restart: Callable[[], None]) -> None:
    """Call `work` on `rows` or, where the GPU's memory is too small, on 2, 4, 8 ... parts of them one after the other.

    For work that adds up, such as gradients: before each try `restart` takes away what the last one left.

    Raises:
        InputError: not even one flow fits.
    """
    parts = 1
    while True:
        restart()
        if all(_fits(work, part) for part in np.array_split(rows, parts)):
            return
        if parts >= len(rows):
            raise InputError(TOO_SMALL)
        parts = min(2 * parts, len(rows))
        log.warning(
            "GPU: its memory is too small for %d flows at a time; training on them in %d parts", len(rows), parts
        )


def _fits(work: Callable[[Rows], None], rows: Rows) -> bool:
    """Whether the memory sufficed. What the failed call had made is let go: it ends here, with its exception."""
    try:
        work(rows)
    except torch.cuda.OutOfMemoryError:
        pass
    else:
        return True
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False

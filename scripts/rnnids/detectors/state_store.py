"""States of live flows, of which there may be more than memory should hold."""

import os
import tempfile
from pathlib import Path
from typing import IO

import numpy as np


class StateStore:
    """Rows of float32 numbers, the first of them in memory and the rest in a file without a name."""

    def __init__(self, width: int, memory: int, folder: Path | None = None) -> None:
        """Rows of `width` numbers, up to `memory` bytes of them in memory; the file would lie in `folder`."""
        self.folder, self.width = folder, width
        # Pages that are never written to take no memory.
        self.rows = np.zeros((max(1, memory // (4 * width)), width), np.float32)
        self.file: IO[bytes] | None = None

    def read(self, places: np.ndarray) -> np.ndarray:
        """The rows at `places`, (n,) -> (n, width)."""
        inside = places < len(self.rows)
        found = self.rows[np.where(inside, places, 0)]
        for row in np.flatnonzero(~inside):
            found[row] = np.frombuffer(os.pread(self._file().fileno(), *self._span(places[row])), np.float32)
        return found

    def write(self, places: np.ndarray, values: np.ndarray) -> None:
        """Put (n, width) `values` at `places`."""
        inside = places < len(self.rows)
        self.rows[places[inside]] = values[inside]
        for row in np.flatnonzero(~inside):
            left, at = np.ascontiguousarray(values[row]).data.cast("B"), self._span(places[row])[1]
            while left:  # where a disk is full, a part is written before an error comes
                written = os.pwrite(self._file().fileno(), left, at)
                left, at = left[written:], at + written

    def close(self) -> None:
        """Let the file go."""
        if self.file:
            self.file.close()

    def _span(self, place: int) -> tuple[int, int]:
        """Bytes of a row, and where they lie in the file."""
        return 4 * self.width, 4 * self.width * (int(place) - len(self.rows))

    def _file(self) -> IO[bytes]:
        if self.file is None:
            self.file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - closed by close()
        return self.file

"""The tables among the results of a data set as text, so that every number can say in which cell it stands.

Files go by their path below the folder of the data set, as in ``tables/ars.csv``. Any of them may be missing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from rnnids.errors import InputError
from rnnids.storage import read_csv

SPACE = "\N{NO-BREAK SPACE}"  # between a number and its unit


class Cell(NamedTuple):
    """A number in a sentence, and where it comes from.

    Attributes:
        text: the number as the sentence has it.
        file: the CSV file. column: where in it. value: what stands there or, of several rows, what follows from them.
        line: of the file, the heading being the first; None for what is computed of several.
        how: what of these rows; empty for a single one.
    """

    text: str
    file: str
    column: str
    value: str
    line: int | None = None
    how: str = ""


Part = str | Cell


@dataclass(frozen=True)
class Statement:
    """Some sentences on one question.

    Attributes:
        question: what they answer, in two or three words. parts: text, and numbers with their cells.
        warning: whether they say that numbers cannot be relied on.
    """

    question: str
    parts: tuple[Part, ...]
    warning: bool = False

    @property
    def text(self) -> str:
        """The sentences without their cells."""
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    @property
    def cells(self) -> list[Cell]:
        """The cells of all numbers, in order."""
        return [part for part in self.parts if isinstance(part, Cell)]


class Results:
    """The tables of a data set, read when they are asked for."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        """Tell which files there are: {path below the data set's folder: where it is}."""
        self.files = dict(files)
        self._tables: dict[str, pd.DataFrame | None] = {}

    def table(self, name: str) -> pd.DataFrame | None:
        """A CSV file as text, "" where a cell is empty, each row under the number of its line; None if there is none.

        Raises:
            InputError: the file is there and not readable as CSV.
        """
        if name not in self._tables:
            self._tables[name] = self._read(name) if name in self.files else None
        return self._tables[name]

    def _read(self, name: str) -> pd.DataFrame | None:
        path = self.files[name]
        try:
            columns = list(pd.read_csv(path, nrows=0).columns)
        except pd.errors.EmptyDataError:  # written without rows, and so without columns
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not a readable CSV file ({error}); run the rule that makes it") from error
        frame = read_csv(path, columns, (), may_be_empty=True).fillna("")
        frame.index = pd.RangeIndex(2, len(frame) + 2)
        return frame


def select(frame: pd.DataFrame | None, **wanted: str) -> pd.DataFrame:
    """The rows of a table whose columns hold certain words; none where the table, or a column, is missing."""
    if frame is None or not set(wanted) <= set(frame.columns):
        return pd.DataFrame()
    for column, word in wanted.items():
        frame = frame[frame[column] == word]
    return frame


def number(text: str) -> float:
    """A cell as a number, NaN where it is empty."""
    return float(text) if text else math.nan


def numbers(frame: pd.DataFrame, column: str) -> pd.Series:
    """A column as numbers, NaN where it is empty."""
    return frame[column].map(number).astype(float) if column in frame else pd.Series(dtype=float)


def percent(share: float, digits: int = 1) -> str:
    """A share in percent: 0.9712 -> 97.1 %."""
    return f"{100 * share:.{digits}f}{SPACE}%"


def of_percent(value: float) -> str:
    """A value that is in percent already."""
    return percent(value / 100)


def score(value: float) -> str:
    """A distance: three digits, or the word infinite."""
    return "infinite" if math.isinf(value) else f"{value:.3g}"


def count(value: float) -> str:
    """A number of things, with separators."""
    return f"{value:,.0f}"


def words(name: str) -> str:
    """The name of a model or a threat model as words."""
    return name.replace("_", " ")


class Group(NamedTuple):
    """Rows of one table."""

    file: str
    rows: pd.DataFrame

    def word(self, line: int, column: str) -> str:
        """The text in one cell; "" where there is no such column."""
        return str(self.rows[column][line]) if column in self.rows else ""

    def cell(self, line: int, column: str, shown: Callable[[float], str]) -> Cell:
        """The number in one cell."""
        value = self.word(line, column)
        return Cell(shown(number(value)), self.file, column, value, line)

    def first(self, column: str, shown: Callable[[float], str], **wanted: str) -> Cell | None:
        """The number in the first row with these words; None where there is none, or an empty one."""
        rows = select(self.rows, **wanted)
        if rows.empty or not rows[column].iloc[0]:
            return None
        return self.cell(int(rows.index[0]), column, shown)

    def several(self, column: str, value: float, text: str, *, how: str) -> Cell:
        """A number that follows from several rows; `how` says from which, and what of them."""
        return Cell(text, self.file, column, f"{value:.6g}", None, how)


def missing(question: str, file: str) -> Statement:
    """What to say where a table is not there."""
    return Statement(question, (f"Unknown: {file} has not been made.",))


def capital(name: str) -> str:
    """The name of a model at the beginning of a sentence."""
    return words(name)[:1].upper() + words(name)[1:]

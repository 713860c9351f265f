"""Compare what README.md says and shows with the results of the embedded default.

`make reproduce` makes the results and calls this. Each number in NUMBERS is looked up in its table, and its sentence
in the README; each table in docs/pictures is compared with the one that the results have now.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.md"
sys.path.insert(0, str(DOCS))

import pictures  # noqa: E402

TRANSFER, AUDIT = "tables/transfer.csv", "label_audit.csv"


class Number(NamedTuple):
    """A number that the README prints.

    Attributes:
        text: the words around it, with {} where it stands.
        table: path below results/DATASET. row: column -> value of the row that is meant. column: where the number is.
        scale: what it is multiplied by before it is rounded to a whole number, in text.
    """

    text: str
    table: str
    row: Mapping[str, str]
    column: str = "value"
    scale: float = 100


def moved(model: str, measure: str, *, trained: str = "lab", tested: str = "lab2") -> Mapping[str, str]:
    """The row of a flow's measure of a model on another recording."""
    return {"trained_on": trained, "tested_on": tested, "model": model, "measure": measure, "of": "flow"}


def audited(subject: str, measure: str) -> Mapping[str, str]:
    """A row of the label audit."""
    return {"subject": subject, "measure": measure}


NUMBERS = [
    Number("flow accuracy falls from {} to", TRANSFER, moved("baseline", "accuracy", tested="lab")),
    Number("flow accuracy falls from 97 to {} %", TRANSFER, moved("baseline", "accuracy")),
    Number("its recall from {} to", TRANSFER, moved("baseline", "recall", tested="lab")),
    Number("its recall from 93 to {} %", TRANSFER, moved("baseline", "recall")),
    Number("widens it, to a recall of {} %", TRANSFER, moved("reduced_both", "recall")),
    Number(
        "{} % of the test flows of `lab` have a near duplicate",
        AUDIT,
        audited("as built / All", "near_duplicates_percent"),
        scale=1,
    ),
    Number("tells for {} % of them", AUDIT, audited("source address / All", "recognised_percent"), scale=1),
    Number("The baseline finds {} % of them.", "baseline/recall.csv", {"attack": "FTP-Patator"}, "recall"),
]


def look_up(number: Number, results: Path) -> str:
    """The number as the results have it.

    Raises:
        LookupError: no row or several are meant.
    """
    table = pd.read_csv(results / number.table, dtype=str, keep_default_na=False)
    for column, value in number.row.items():
        table = table[table[column] == value]
    if len(table) != 1:
        raise LookupError(f"{number.table}: {len(table)} rows where {dict(number.row)}")
    return f"{float(table[number.column].iloc[0]) * number.scale:.0f}"


def differing_numbers(results: Path, readme: str) -> Iterator[str]:
    """What the README says otherwise than the results."""
    words = " ".join(readme.split())
    for number in NUMBERS:
        sentence = number.text.format(look_up(number, results))
        if sentence not in words:
            yield f"README.md does not say: {sentence}  ({number.table})"


def differing_tables(results: Path, drawn: Path) -> Iterator[str]:
    """Tables of the README's pictures, of those in a folder, that are not those of the results."""
    with tempfile.TemporaryDirectory() as folder:
        pictures.take_tables(results, Path(folder))
        for path in pictures.tables():
            if not pd.read_csv(Path(folder) / path, dtype=str).equals(pd.read_csv(drawn / path, dtype=str)):
                yield f"docs/pictures/{path} is not what the results have: `make pictures` draws it anew"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="of a data set, as results/lab")
    results = parser.parse_args(argv).results
    found = [*differing_numbers(results, README.read_text()), *differing_tables(results, pictures.TABLES)]
    if found:
        sys.exit("\n".join(found))
    shown = f"{len(NUMBERS)} numbers of README.md and the tables of its {len(pictures.PICTURES)} pictures"
    print(f"{shown} are those of {results}")


if __name__ == "__main__":
    main()

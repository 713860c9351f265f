"""Numbers and pictures of README.md are compared with what the results say."""

import importlib.util
import re
import sys

import pandas as pd
import pytest
from conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "docs"))
SPECIFICATION = importlib.util.spec_from_file_location("reproduce", REPOSITORY / "docs/reproduce.py")
reproduce = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(reproduce)

README = (REPOSITORY / "README.md").read_text()


def printed(number):
    """What the README says where a number stands."""
    pattern = re.escape(number.text).replace(re.escape("{}"), r"(\d+)")
    found = re.findall(pattern, " ".join(README.split()))
    assert len(found) == 1, number.text
    return int(found[0])


@pytest.fixture
def results(tmp_path):
    """Tables in which every number is as the README has it, among other rows."""
    rows = {}
    for number in reproduce.NUMBERS:
        row = {**number.row, number.column: printed(number) / number.scale}
        rows.setdefault(number.table, []).extend([row, dict.fromkeys(number.row, "another")])
    for path, table in rows.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(table).to_csv(tmp_path / path, index=False)
    return tmp_path


def test_the_readmes_numbers_are_found_in_the_results(results):
    assert list(reproduce.differing_numbers(results, README)) == []


@pytest.mark.parametrize("number", reproduce.NUMBERS)
def test_a_number_that_differs_is_named(results, number):
    changed = pd.read_csv(results / number.table, dtype=str)
    meant = (changed[list(number.row)] == pd.Series(number.row)).all(axis=1)
    changed.loc[meant, number.column] = str((printed(number) - 1) / number.scale)
    changed.to_csv(results / number.table, index=False)
    found = list(reproduce.differing_numbers(results, README))
    assert found
    assert all(number.table in words for words in found)


def test_a_missing_row_is_an_error(results):
    number = reproduce.NUMBERS[0]
    pd.read_csv(results / number.table).iloc[1:].to_csv(results / number.table, index=False)
    with pytest.raises(LookupError, match="0 rows"):
        reproduce.look_up(number, results)


def test_another_table_of_a_picture_is_named(tmp_path):
    folder = reproduce.pictures.TABLES
    for path in reproduce.pictures.tables():
        table = pd.read_csv(folder / path)
        if path == "baseline/recall.csv":
            table.loc[0, "recall"] += 0.01
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(tmp_path / path.removesuffix(".gz"), index=False)
    assert [words.split()[0] for words in reproduce.differing_tables(tmp_path, folder)] == [
        "docs/pictures/baseline/recall.csv"
    ]

"""The table of what finds evasions: every flow of a search is counted once."""

import json

import numpy as np
import pandas as pd
import pytest
from pages import Cells

import tabulate_attacks
from rnnids.errors import InputError
from rnnids.storage import create_hdf5

MEMBERS = ("descent", "far_points")
MEMBER = np.array([0, 0, 0, 1, -1, -1, -1, -1])  # of each flow; what none found is ...
BENIGN = np.arange(8) == 4  # ... benign unmodified,
FREE = np.where(np.arange(8) == 5, 0, 3)  # ... immovable, or not found


def write_search(path, **attributes):
    """What a search found of eight flows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"member": MEMBER, "already_benign": BENIGN, "success": (MEMBER >= 0) | BENIGN, "free": FREE}
    columns |= {"evaluations": np.arange(8) * 1000, "gradients": np.arange(8)}
    with create_hdf5(path, "test") as file:
        file.attrs.update({"goal": "last", "threat_model": "own_flows"} | attributes)
        for name, column in columns.items():
            file[f"flows/{name}"] = column
    return path


@pytest.fixture
def search(tmp_path):
    """The file of a search where the workflow has it."""
    path = tmp_path / "lab/baseline/attacks/search/last/own_flows.h5"
    return write_search(path, members=json.dumps(MEMBERS))


def tabulate(output, *words):
    """Runs the script: (table, rows of the page, bytes of both)."""
    tabulate_attacks.main([str(word) for word in (*words, "--output", output)])
    both = output.read_bytes(), output.with_suffix(".html").read_bytes()
    return pd.read_csv(output), Cells(both[1].decode()).rows, both


def test_each_flow_counts_once(search, tmp_path):
    table, rows, _ = tabulate(tmp_path / "a.csv", "--searches", search, "--models", "reduced_both")
    row = table.iloc[0].to_dict()
    counts = {name: row[name] for name in (*MEMBERS, "benign_unmodified", "immovable", "none_found")}
    assert list(counts.values()) == [3, 1, 1, 1, 2] and sum(counts.values()) == row["flows"] == 8
    assert (row["evaluations"], row["gradients"]) == (3500, 3.5)
    assert rows[0][:3] == ["Model", "Threat model", "Goal"] and "Far points" in rows[0]
    assert rows[1][:4] == ["reduced both", "own flows", "last", "8"] and rows[1][-2] == "3,500"


def test_names_come_from_the_folders_where_they_are_not_given(search, tmp_path):
    table, _, both = tabulate(tmp_path / "a.csv", "--searches", search, search)
    assert table["model"].tolist() == ["baseline"] * 2
    assert b"Test split of lab." in both[1]


def test_each_search_has_one_name(search, tmp_path):
    with pytest.raises(InputError, match="--models: 1 names for 2 searches"):
        tabulate(tmp_path / "a.csv", "--searches", search, search, "--models", "baseline")


def test_other_attacks_are_refused(tmp_path):
    path = write_search(tmp_path / "cw.h5", method="cw")
    with pytest.raises(InputError, match=r"cw\.h5: not what a search found"):
        tabulate(tmp_path / "a.csv", "--searches", path)
    assert not (tmp_path / "a.csv").exists()


def test_two_runs_are_byte_identical(search, tmp_path):
    first, second = (tabulate(tmp_path / "a.csv", "--searches", search)[2] for _ in range(2))
    assert first == second

"""What a GPU computes is what a processor does: all scripts that take one, with the commands of the tiny study."""

import importlib
import json
import re
import shlex
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import REPOSITORY, snakemake

CLOSE = {"rtol": 1e-3, "atol": 1e-4}
COMMAND = re.compile(r"Shell command: python \S*?/scripts/(\w+)\.py (.*?) 2> ")
# What others compute from: the weights stay those of the processor. The rest draws, or reads no weights.
LEFT_OUT = re.compile(r"(train|extract|build|audit|plot|tabulate|make|verify|classify)")

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def commands(checkout, folder, *options):
    """(script, its words) of the jobs that the tiny study is made of, in an order in which they can run."""
    plan = snakemake(checkout, folder, "-n", "-p", "--forceall", "--configfile", folder / "tiny.yaml", *options)
    assert plan.returncode == 0, plan.stdout
    for script, words in COMMAND.findall(plan.stdout.replace(f"'{REPOSITORY}", str(REPOSITORY))):
        if not LEFT_OUT.match(script):
            yield script, shlex.split(words)


def compute_again(checkout, folder, device):
    """Run the commands, in this process, with results there; those whose words name a device take `device`."""
    asked = 0
    for script, words in commands(checkout, folder, "--config", f"device={device}"):
        importlib.import_module(script).main(words)
        asked += "--device" in words
    return asked


@pytest.fixture(scope="module")
def results(checkout, study, tmp_path_factory):
    """The folder of the results of the processor, and that of the GPU."""
    run = snakemake(checkout, study, "--cores", "all", "--configfile", study / "tiny.yaml", "--config", "device=cpu")
    assert run.returncode == 0, run.stdout
    elsewhere = tmp_path_factory.mktemp("on a gpu") / "study"
    shutil.copytree(study, elsewhere, symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        assert compute_again(checkout, elsewhere, "cuda") > 40
    return study / "results", elsewhere / "results"


def test_the_gpu_was_used(results):
    chunks = list((results[1] / "tiny").rglob("chunk_*.h5"))
    assert len(chunks) > 10
    for path in chunks:
        with h5py.File(path) as file:
            assert json.loads(file.attrs["provenance"])["arguments"]["device"] == "cuda", path


def test_every_table_holds_the_same_numbers(results):
    differing = differing_tables(*results)
    assert not differing, "\n".join(differing)


def differing_tables(expected: Path, found: Path):
    """What differs between the tables of two folders, in words."""
    names = [path.relative_to(expected) for path in sorted(expected.rglob("*.csv"))]
    assert len(names) > 50
    tables = ((name, *(pd.read_csv(folder / name, dtype=str) for folder in (expected, found))) for name in names)
    return [f"{name}: {words}" for name, ours, theirs in tables for words in differences(ours, theirs)]


def differences(expected, found):
    """What differs between two tables, in words, column by column."""
    if list(expected) != list(found) or len(expected) != len(found):
        yield f"{len(expected)} x {list(expected)} against {len(found)} x {list(found)}"
        return
    for column in expected:
        ours, theirs = (pd.to_numeric(frame[column], errors="coerce") for frame in (expected, found))
        numbers = ours.notna() & theirs.notna()
        same = (expected[column].fillna("") == found[column].fillna("")) | numbers & np.isclose(ours, theirs, **CLOSE)
        if not same.all():
            first = same.idxmin()
            yield (
                f"{column}: {(~same).sum()} of {len(same)} rows, the first {first}:"
                f" {expected[column][first]} against {found[column][first]}"
            )

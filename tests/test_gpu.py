"""What a GPU computes is what a processor does: all rules that ask for one, on the tiny study, from equal weights."""

import json
import os
import re
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import REPOSITORY, snakemake
from workflow_rules import RULE

TRAINING = {"train", "train_adversarially", "continue_training"}
CLOSE = {"rtol": 1e-3, "atol": 1e-4}

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def rules_for_a_gpu():
    """Names of the rules that ask for a GPU, themselves or by the rule that they adapt, but for those that train."""
    text = "\n".join(path.read_text() for path in sorted((REPOSITORY / "workflow/rules").glob("*.smk")))
    blocks = {RULE.match(block)["name"]: block for block in re.split(r"(?m)^(?=rule |use rule )", text)[1:]}

    def asks(name):
        base = RULE.match(blocks[name])["base"]
        return "on_gpu(" in blocks[name] or (base is not None and asks(base))

    return sorted(name for name in blocks if asks(name) and name not in TRAINING)


@pytest.fixture(scope="module")
def results(checkout, study, tmp_path_factory):
    """The folder of the results of the processor, and that of the GPU."""
    elsewhere = tmp_path_factory.mktemp("on a gpu")
    common = ["--cores", "all", "--configfile", study / "tiny.yaml", "--config"]
    run = snakemake(checkout, study, *common, "device=cpu")
    assert run.returncode == 0, run.stdout
    shutil.copytree(study, elsewhere, symlinks=True, dirs_exist_ok=True)
    forced = ["--keep-going", "--resources", f"gpu={os.cpu_count()}", "--forcerun", *rules_for_a_gpu()]
    run = snakemake(checkout, elsewhere, *forced, *common, "device=cuda")
    logs = "\n".join(path.read_text() for path in (elsewhere / "results/tiny/logs").rglob("*.log"))
    assert run.returncode == 0, f"{run.stdout}\n{logs}"
    return study / "results", elsewhere / "results"


def test_the_gpu_was_used(results):
    chunks = list((results[1] / "tiny").rglob("chunk_*.h5"))
    assert len(chunks) > 10
    for path in chunks:
        with h5py.File(path) as file:
            assert json.loads(file.attrs["provenance"])["arguments"]["device"] == "cuda", path


def test_every_table_holds_the_same_numbers(results):
    names = [path.relative_to(results[0]) for path in sorted(results[0].rglob("*.csv"))]
    assert len(names) > 50
    differing = []
    for name in names:
        expected, found = (pd.read_csv(folder / name, dtype=str) for folder in results)
        differing += [f"{name}: {words}" for words in differences(expected, found)]
    assert not differing, "\n".join(differing)


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

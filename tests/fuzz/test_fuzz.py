"""Some mutants of every kind of file; `python tests/fuzz/run.py --mutants 5000000` tries more."""

import logging

import pytest
from run import fuzz
from targets import TARGETS

SECONDS, MUTANTS = 2, 20_000  # of a kind, at most


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_mutants_are_read_or_refused_in_words(target, tmp_path):
    logging.disable()
    try:
        outcomes, faults = fuzz(target, MUTANTS, seed=0, folder=tmp_path, seconds=SECONDS)
    finally:
        logging.disable(logging.NOTSET)
    assert not faults, f"{len(faults)} of {outcomes}:\n{faults[0]}"
    assert outcomes, "not even one was tried"

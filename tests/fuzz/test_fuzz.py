"""Some mutants of every kind of file; `python tests/fuzz/run.py --mutants 5000000` tries more."""

import logging

import flips
import names
import pytest
from run import fuzz
from targets import TARGETS

SECONDS, MUTANTS = 2, 20_000  # of a kind, at most
FLIPS, NAMES = 60, 600


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_mutants_are_read_or_refused_in_words(target, tmp_path):
    logging.disable()
    try:
        outcomes, faults = fuzz(target, MUTANTS, seed=0, folder=tmp_path, seconds=SECONDS)
    finally:
        logging.disable(logging.NOTSET)
    assert not faults, f"{len(faults)} of {outcomes}:\n{faults[0]}"
    assert outcomes, "not even one was tried"


CHECK_THEMSELVES = ("flow files", "attack files", "models", "checkpoints")


@pytest.mark.parametrize("target", [one for one in TARGETS if one.name in CHECK_THEMSELVES], ids=lambda one: one.name)
def test_flipped_bits_are_found_by_readers_and_by_verify(target, tmp_path):
    path = tmp_path / f"file{target.suffix}"
    path.write_bytes(target.seeds(tmp_path)[0])
    if target.suffix == ".checkpoint":
        flips.write_checkpoint(path)
    _, counts, wrong = flips.flip((target.name, path, FLIPS, 0))
    assert wrong == []
    assert counts["found by verify"] == counts["refused"] + counts["harmless"] == FLIPS
    assert counts["refused"] > FLIPS / 10  # small files of HDF5 have much that means nothing


def test_a_reader_that_takes_what_is_damaged_is_found(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    assert flips.flip(("CSV", tmp_path / "a.csv", FLIPS, 0))[2] == []
    monkeypatch.setitem(flips.READERS, ".csv", lambda path: path.read_bytes())
    _, counts, wrong = flips.flip(("CSV", tmp_path / "a.csv", FLIPS, 0))
    assert counts["silent"] == len(wrong) == FLIPS
    monkeypatch.setitem(flips.READERS, ".csv", lambda path: int(path.read_bytes() != b"x,y\n1,2\n") and 1 / 0)
    assert "crash" in flips.flip(("CSV", tmp_path / "a.csv", 1, 0))[2][0]


def test_hostile_names_are_refused_or_come_through(tmp_path):
    counts, wrong = names.try_names(NAMES, 0, tmp_path)
    assert wrong == []
    assert all(count["kept"] > NAMES / 4 for count in counts.values())

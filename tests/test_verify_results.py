"""What is found when results are verified: any wrong bit, other inputs, files that are gone or new."""

import shutil

import numpy as np
import pytest

import verify_results
from rnnids.detectors.lstm import LSTMDetector, save_detector
from rnnids.errors import InputError
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, provenance, write_csv

FLIPS = 40  # of each file; `make test-faults` flips more


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results of every kind of file, recorded."""
    results = tmp_path_factory.mktemp("study") / "results"
    (results / "lab/baseline").mkdir(parents=True)
    dataset, weights = results / "lab/dataset.h5", results / "lab/baseline/weights.safetensors"
    with create_hdf5(dataset, provenance("x.py", {}, [])) as file:
        file.create_dataset("flows/row", data=np.arange(9), **COLUMN_OPTIONS)
    save_detector(weights, LSTMDetector(4, 1), np.zeros(15), std=np.ones(15), training={})
    with create_hdf5(results / "lab/baseline/predictions.h5", provenance("x.py", {}, [dataset, weights])) as file:
        file.create_dataset("packets/logit", data=np.arange(9.0), **COLUMN_OPTIONS)
    write_csv(results / "lab/metrics.csv", [{"metric": "accuracy", "value": 0.9}])
    (results / "lab/fig1.pdf").write_bytes(b"%PDF-1.4 a picture")
    (results / "lab/logs").mkdir()
    (results / "lab/logs/train.log").write_text("not looked at")
    verify(results, "--record")
    return results


@pytest.fixture
def results(made, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(made, tmp_path / "results")


def verify(results, *more):
    verify_results.main(["--results", str(results), "--manifest", str(results / "manifest.csv"), *more])


def refused(results, capsys, *more):
    """What is said of results that do not match."""
    capsys.readouterr()
    with pytest.raises(InputError, match="files do not match; delete what is damaged"):
        verify(results, *more)
    return capsys.readouterr().out


def test_results_as_they_were_match(results, capsys):
    (results / "lab/logs/train.log").write_text("changed")
    verify(results)
    assert capsys.readouterr().out == "5 files match\n"


@pytest.mark.parametrize(
    "name",
    [
        "lab/dataset.h5",
        "lab/baseline/weights.safetensors",
        "lab/baseline/predictions.h5",
        "lab/metrics.csv",
        "lab/fig1.pdf",
    ],
)
def test_every_flipped_bit_of_every_kind_of_file_is_found(name, results, capsys):
    path, rng = results / name, np.random.default_rng(0)
    content = path.read_bytes()
    for place in rng.integers(len(content), size=FLIPS):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        assert f"{path}: changed since it was recorded" in refused(results, capsys)


def test_files_that_are_gone_or_new_are_named(results, capsys):
    (results / "lab/metrics.csv").rename(results / "lab/other.csv")
    said = refused(results, capsys)
    assert f"{results / 'lab/metrics.csv'}: gone since it was recorded" in said
    assert f"{results / 'lab/other.csv'}: new since the manifest was recorded" in said


def test_a_result_of_other_inputs_is_found_without_a_manifest_and_not_recorded(results, capsys):
    with create_hdf5(results / "lab/dataset.h5", provenance("x.py", {"seed": 1}, [])) as file:
        file.create_dataset("flows/row", data=np.arange(9), **COLUMN_OPTIONS)
    (results / "manifest.csv").unlink()
    said = refused(results, capsys, "--record")
    assert "predictions.h5: made of another dataset.h5 than" in said
    assert not (results / "manifest.csv").exists()


def test_an_adversarial_capture_is_not_taken_for_the_capture_that_it_copies(results, tmp_path):
    original, copy = tmp_path / "a.pcap.gz", results / "lab/baseline/captures/search/last/paper/a.pcap.gz"
    original.write_bytes(b"as it was")
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"with evasions")
    with create_hdf5(results / "lab/a.h5", provenance("x.py", {}, [original])) as file:
        file.create_dataset("flows/row", data=np.arange(9), **COLUMN_OPTIONS)
    verify(results, "--record")
    verify(results)


def test_a_damaged_file_is_not_recorded(results, capsys):
    path = results / "lab/baseline/predictions.h5"
    content = bytearray(path.read_bytes())
    content[content.index(np.arange(9.0).tobytes())] ^= 1
    path.write_bytes(content)
    assert f"{path}: damaged" in refused(results, capsys, "--record")


def test_an_empty_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no results; run the workflow"):
        verify(tmp_path)

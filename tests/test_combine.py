"""Data sets of training flows of some and test flows of another: nothing is lost, mixed up or normalised anew."""

import json
from dataclasses import replace

import detectors
import h5py
import numpy as np
import pytest

from rnnids.datasets.encoding import encode_packets
from rnnids.datasets.flow_data import TEST, TRAIN, load_dataset
from rnnids.datasets.selection import first_packets
from rnnids.detectors.lstm import load_detector, save_detector
from rnnids.storage import attributes_digest


def combine(folder, train, test, name="combined.h5"):
    return detectors.run_script("combine_datasets.py", train=tuple(train), test=test, output=folder / name)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Paths of two data sets; the second has other attacks in another order, and another normalisation."""
    folder = tmp_path_factory.mktemp("sets")
    one, other = detectors.flows(90, seed=1), detectors.flows(70, seed=2)
    names = {"attacks": ["Benign", "Bot", "Scan"], "categories": ["Benign", "Botnet", "Scan"]}
    other = replace(other, **names, mean=other.mean + 1, std=2 * other.std)
    return [
        detectors.write_dataset(folder / f"{name}.h5", data, np.arange(len(data)) % 3 == 0)
        for name, data in (("one", one), ("other", other))
    ]


def by_name(data):
    """Each flow as its packets with the names of its label, in order."""
    pieces = np.split(np.stack([data.packets[name] for name in ("length", "iat_ns", "direction")], 1), data.start[1:])
    kinds = [
        (data.attacks[a], data.categories[c]) for a, c in zip(data.flows["attack"], data.flows["category"], strict=True)
    ]
    return [(kind, piece.tolist()) for kind, piece in zip(kinds, pieces, strict=True)]


def test_flows_are_those_of_the_splits_they_come_from(sets, tmp_path):
    assert combine(tmp_path, sets[:1], sets[1]) == 0
    train, test = (load_dataset(tmp_path / "combined.h5", split) for split in (TRAIN, TEST))
    assert by_name(train) == by_name(load_dataset(sets[0], TRAIN))
    assert by_name(test) == by_name(load_dataset(sets[1], TEST))
    assert train.attacks == ["Benign", "Flood", "Bot", "Scan"]


def test_of_one_training_set_the_normalisation_stays_so_that_its_detectors_fit(sets, tmp_path):
    combine(tmp_path, sets[:1], sets[1])
    own, combined = load_dataset(sets[0]), load_dataset(tmp_path / "combined.h5")
    np.testing.assert_array_equal(combined.mean, own.mean)
    detector, _ = detectors.trained()
    save_detector(tmp_path / "weights.safetensors", detector, own.mean, std=own.std, training={})
    load_detector(tmp_path / "weights.safetensors", combined)


def test_of_two_training_sets_it_is_that_of_all_their_training_packets(sets, tmp_path):
    assert combine(tmp_path, sets, sets[1]) == 0
    train = load_dataset(tmp_path / "combined.h5", TRAIN)
    assert len(train) == sum(len(load_dataset(path, TRAIN)) for path in sets)
    rows = encode_packets(train.flows, train.packets, train.packet_count)
    np.testing.assert_allclose(train.mean, rows.mean(axis=0), rtol=1e-12)
    std = rows.std(axis=0)
    np.testing.assert_allclose(train.std, np.where(std > 0, std, 1), rtol=1e-9)
    assert len(first_packets(train, 1).packets["length"]) == len(train)


def test_sets_of_other_settings_are_refused(sets, tmp_path, capsys):
    longer = tmp_path / "longer.h5"
    longer.write_bytes(sets[1].read_bytes())
    with h5py.File(longer, "r+") as file:
        file.attrs["idle_timeout"] = 7.0
        file.attrs["attributes_sha256"] = np.bytes_(attributes_digest(file))
        assert json.loads(file.attrs["attacks"])
    assert combine(tmp_path, sets[:1], longer) == 2
    assert "longer.h5: idle_timeout is 7.0" in capsys.readouterr().err
    assert not (tmp_path / "combined.h5").exists()

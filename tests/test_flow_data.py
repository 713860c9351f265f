"""Flows in memory against a plain loop; batches that hold every flow once."""

from dataclasses import replace

import detectors
import h5py
import numpy as np
import pytest

from rnnids.datasets.encoding import encode_packets
from rnnids.datasets.flow_data import TEST, TRAIN, batches_by_length, concatenate, load_dataset
from rnnids.errors import InputError
from rnnids.flows.ranges import gather_ranges
from rnnids.storage import attributes_digest


@pytest.fixture
def data():
    return detectors.flows(50, seed=2, longest=12)


def packets_of(data, row):
    """The packets of one flow, as columns."""
    start, count = data.start[row], data.packet_count[row]
    return {name: column[start : start + count] for name, column in data.packets.items()}


def test_take_keeps_flows_whole(data):
    rows = np.array([7, 3, 3, 49])
    taken = data.take(rows)
    assert taken.row.tolist() == rows.tolist()
    for position, row in enumerate(rows):
        for name, column in packets_of(taken, position).items():
            assert np.array_equal(column, packets_of(data, row)[name])
    taken.packets["length"][:] = 0
    assert data.packets["length"].all()  # nothing is shared


def test_take_by_mask(data):
    chosen = np.arange(len(data)) % 7 == 2
    assert data.take(chosen).row.tolist() == np.flatnonzero(chosen).tolist()
    assert len(data.take(np.zeros(len(data), dtype=bool))) == 0


def test_padded_holds_every_packet(data):
    rows = np.array([5, 0, 20])
    batch = data.padded(rows)
    assert batch.shape == (3, data.packet_count[rows].max(), 15)
    for position, row in enumerate(rows):
        flow = {name: column[row : row + 1] for name, column in data.flows.items()}
        raw = encode_packets(flow, packets_of(data, row), data.packet_count[row : row + 1])
        expected = ((raw - data.mean) / data.std).astype(np.float32)
        assert np.array_equal(batch[position, : len(raw)], expected)
        assert not batch[position, len(raw) :].any()


def test_concatenate(data):
    both = concatenate(data.take([1, 2]), data.take([9]))
    assert both.row.tolist() == [1, 2, 9]
    assert np.array_equal(both.padded(np.array([2])), data.padded(np.array([9])))


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("limit", [5, 40, 10_000])
def test_batches_hold_every_flow_once(data, seed, limit):
    batches = batches_by_length(data.packet_count, limit, None if seed is None else np.random.default_rng(seed))
    assert sorted(np.concatenate(batches)) == list(range(len(data)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * data.packet_count[batch].max() <= limit


def test_batches_are_seeded_and_waste_little():
    count = np.random.default_rng(0).geometric(0.1, 5000)
    one, again, other = (batches_by_length(count, 512, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all(map(np.array_equal, one, again))
    assert not np.array_equal(one[0], other[0])
    padded = sum(len(batch) * count[batch].max() for batch in one)
    assert padded < 1.4 * count.sum()


def test_batches_are_mixed_and_ordered_anew():
    count = np.arange(1, 2001)  # no two alike, so sorting alone would always make the same batches
    one, other = (batches_by_length(count, 2500, np.random.default_rng(seed)) for seed in (0, 1))
    assert {frozenset(batch) for batch in one} != {frozenset(batch) for batch in other}
    one_pool = batches_by_length(count[:200], 2500, np.random.default_rng(0))
    longest = [count[batch].max() for batch in one_pool]
    assert longest != sorted(longest, reverse=True)


@pytest.mark.parametrize("dtype", ["i8", "u4", "u2", "u1"])
def test_ranges_are_gathered_in_the_order_given(dtype):
    column = np.random.default_rng(0).integers(0, 256, 100).astype(dtype)
    start, count = np.array([90, 3, 3, 50]), np.array([10, 0, 4, 1], dtype=np.int32)
    expected = np.concatenate([column[at : at + size] for at, size in zip(start, count, strict=True)])
    gathered = gather_ranges(column, start, count)
    assert gathered.dtype == column.dtype and np.array_equal(gathered, expected)
    assert len(gather_ranges(column, start[:0], count[:0])) == 0


@pytest.mark.parametrize(("start", "count"), [(91, 10), (-1, 3), (5, -1)])
def test_a_range_outside_the_column_is_refused(start, count):
    with pytest.raises(IndexError, match="a range leaves the column"):
        gather_ranges(np.arange(100), np.array([start, 0]), np.array([count, 20]))


def test_digest_tells_labels_flows_and_packets_apart(data):
    digest = data.digest()
    assert digest == detectors.flows(50, seed=2, longest=12).digest()
    for columns, name in ((data.flows, "attack"), (data.packets, "length"), (data.packets, "iat_ns")):
        columns[name][3] += 1
        assert data.digest() != digest
        columns[name][3] -= 1
    assert data.take(np.arange(49)).digest() != digest
    assert data.digest() == digest


def test_load_a_split(tmp_path, data):
    split = np.arange(len(data)) % 3 == 0
    path = detectors.write_dataset(tmp_path / "d.h5", data, split)
    test = load_dataset(path, TEST)
    assert test.row.tolist() == np.flatnonzero(split).tolist()
    assert np.array_equal(test.padded(np.array([1])), data.padded(np.array([3])))
    assert len(load_dataset(path)) == len(test) + len(load_dataset(path, TRAIN)) == len(data)
    for name, split in (("train", TRAIN), ("test", TEST)):
        assert load_dataset(path, name).digest() == load_dataset(path, split).digest()
    with pytest.raises(InputError, match="split 'training': no such split; it is one of train, test"):
        load_dataset(path, "training")


def test_a_data_set_without_payload_lengths_loads_without(tmp_path, data):
    path = detectors.write_dataset(tmp_path / "d.h5", data, np.zeros(len(data)))
    with h5py.File(path, "a") as file:
        file["packets"].pop("payload_length", None)
        file.attrs["attributes_sha256"] = np.bytes_(attributes_digest(file))
    old = load_dataset(path, TRAIN)
    assert "payload_length" not in old.packets
    assert "payload_length" not in concatenate(old.take([1]), old.take([4, 2])).packets
    assert np.array_equal(old.padded(np.array([3])), data.padded(np.array([3])))
    with h5py.File(path, "a") as file:
        file["packets/payload_length"] = np.arange(len(old.packets["length"]), dtype=np.uint16)
        file.attrs["attributes_sha256"] = np.bytes_(attributes_digest(file))
    new = load_dataset(path, TRAIN)
    one = slice(new.start[4], new.start[4] + new.packet_count[4])
    expected = np.arange(one.start, one.stop)
    assert new.packets["payload_length"].dtype == np.uint16
    assert concatenate(new.take([1]), new.take([4])).packets["payload_length"][-len(expected) :].tolist() == list(
        expected
    )
    assert new.digest() != old.digest()


def test_wrong_files(tmp_path, data):
    path = detectors.write_dataset(tmp_path / "d.h5", data, np.zeros(len(data)))
    with pytest.raises(InputError, match="no flow in the test split"):
        load_dataset(path, TEST)
    with pytest.raises(InputError, match="no such file"):
        load_dataset(tmp_path / "absent.h5")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "flipped.h5").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_dataset(tmp_path / "flipped.h5")


def test_any_flipped_bit_is_found_or_harmless(tmp_path, data):
    """But for the letters of names, which HDF5 keeps without a checksum."""
    path = detectors.write_dataset(tmp_path / "d.h5", data, np.zeros(len(data)))
    content, rng = path.read_bytes(), np.random.default_rng(0)
    names = content.find(b'["Benign"')
    harmless = 0
    for place in [names, names + 8, *rng.integers(0, len(content), 60)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            loaded = load_dataset(path)
        except InputError:
            continue
        harmless += 1
        assert loaded.digest() == replace(data, flows=loaded.flows).digest()
        assert all(np.array_equal(loaded.flows[name], column) for name, column in data.flows.items())
    assert harmless < 50

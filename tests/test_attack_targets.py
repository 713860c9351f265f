"""Which flows are attacked, and how they are divided."""

import detectors
import numpy as np
import pytest

from rnnids.attacks.targets import chunk_of_rows, select_flows


def test_selection_is_per_type_and_seeded():
    data = detectors.flows()
    rows = select_flows(data, 7, 5)
    assert np.bincount(data.flows["attack"][rows]).tolist() == [0, 7, 7]
    assert np.array_equal(rows, select_flows(data, 7, 5))
    assert not np.array_equal(rows, select_flows(data, 7, 6))
    assert len(select_flows(data, None, 0)) == data.is_attack.sum()


@pytest.mark.parametrize("chunks", [1, 2, 3, 7, 500])
def test_chunks_are_neighbours_of_about_equally_many_packets(chunks):
    _, data = detectors.trained()
    rows = select_flows(data, None, 0)
    chunk = chunk_of_rows(data, rows, chunks)
    assert (np.diff(chunk) >= 0).all() and chunk.min() >= 1 and chunk.max() <= chunks
    packets = np.bincount(chunk, data.packet_count[rows], minlength=chunks + 1)[1:]
    assert abs(packets - packets.sum() / chunks).max() <= data.packet_count.max()


def test_no_flows_make_empty_chunks():
    _, data = detectors.trained()
    assert len(chunk_of_rows(data, np.empty(0, dtype=np.int64), 3)) == 0

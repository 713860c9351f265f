"""TCP numbers of padded packets: no gap and no early acknowledgement that was not there before."""

import numpy as np
import pytest

from rnnids.captures.tcp_streams import Segment, Stream


def moved(segments):
    """{order: (wire start, wire end)} of segments given as (start, size, added)."""
    stream = Stream(segments[0][0])
    stream.segments = [Segment(order, *segment) for order, segment in enumerate(segments)]
    stream.lengthen()
    return stream, {
        segment.order: (
            segment.start + stream.shift_of(segment),
            segment.start + stream.shift_of(segment) + segment.size + segment.added,
        )
        for segment in stream.segments
    }


def test_segments_in_order_follow_each_other():
    _, wire = moved([(0, 10, 5), (10, 10, 0), (20, 1, 7), (21, 10, 0)])
    assert wire == {0: (0, 15), 1: (15, 25), 2: (25, 33), 3: (33, 43)}


def test_segments_without_data_come_one_after_the_other():
    _, wire = moved([(0, 1, 0), (1, 0, 3), (1, 0, 0), (1, 0, 4), (1, 5, 0)])
    assert wire == {0: (0, 1), 1: (1, 4), 2: (4, 4), 3: (4, 8), 4: (8, 13)}


def test_a_retransmission_covers_what_the_first_copy_covered():
    for again in (0, 3, 5):
        _, wire = moved([(0, 10, 5), (0, 10, again), (10, 10, 0)])
        assert wire == {0: (0, 15), 1: (0, 10 + again), 2: (15, 25)}


def test_more_padding_in_a_retransmission_moves_what_was_not_sent_before():
    _, wire = moved([(0, 10, 5), (0, 10, 8), (10, 10, 0)])
    assert wire == {0: (0, 15), 1: (0, 18), 2: (18, 28)}
    _, wire = moved([(0, 10, 5), (10, 10, 0), (0, 10, 8), (20, 10, 0)])
    assert wire == {0: (0, 15), 1: (15, 25), 2: (0, 18), 3: (25, 35)}


def test_a_retransmission_that_goes_on_leaves_no_gap():
    _, wire = moved([(0, 10, 5), (0, 20, 0), (20, 10, 0)])
    assert wire == {0: (0, 15), 1: (0, 20), 2: (20, 30)}


def test_what_fills_a_hole_gets_room_for_its_padding():
    _, wire = moved([(0, 10, 0), (20, 10, 0), (10, 10, 6), (30, 10, 0)])
    assert wire == {0: (0, 10), 1: (26, 36), 2: (10, 26), 3: (36, 46)}


def test_a_keep_alive_repeats_bytes():
    _, wire = moved([(0, 10, 0), (9, 0, 1), (10, 10, 0)])
    assert wire == {0: (0, 10), 1: (9, 10), 2: (10, 20)}
    _, wire = moved([(0, 10, 0), (9, 0, 4), (10, 10, 0)])
    assert wire == {0: (0, 10), 1: (9, 13), 2: (13, 23)}


def test_an_acknowledgement_counts_what_was_sent_before_it():
    stream, _ = moved([(0, 10, 5), (10, 0, 3), (10, 10, 0)])
    assert [stream.shift(10, order) for order in (0, 1, 2)] == [0, 5, 8]
    assert stream.shift(5, 9) == 0


def test_numbers_wrap():
    stream = Stream(2**32 - 5)
    assert stream.advance(2**32 - 5) == 2**32 - 5
    assert stream.advance(3) == 2**32 + 3
    assert stream.position(2**32 - 1) == 2**32 - 1


@pytest.mark.parametrize("seed", range(100))
def test_gaps_are_those_of_the_original(seed):
    """Segments lost, repeated and out of order: the padded ones leave gaps where these did, and nowhere else."""
    rng = np.random.default_rng(seed)
    bounds = np.cumsum([0, *rng.integers(1, 50, 20)])
    numbers = list(range(20))
    for _ in range(6):
        place, other = rng.integers(20, size=2)
        numbers.insert(int(place), int(other))  # a copy, before or after the first
    segments = [(int(bounds[i]), int(bounds[i + 1] - bounds[i]), int(rng.integers(0, 9))) for i in numbers]
    _, wire = moved(segments)

    def gaps(starts_and_ends):
        reach, found = starts_and_ends[0][0], []
        for start, end in starts_and_ends:
            found.append(start > reach)
            reach = max(reach, end)
        return found

    before = gaps([(start, start + size) for start, size, _ in segments])
    assert gaps([wire[order] for order in range(len(segments))]) == before

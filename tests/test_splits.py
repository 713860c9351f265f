"""Training and test split: sizes, seeds, tails of attacks."""

import numpy as np
import pytest

from rnnids.datasets.flow_data import TEST, TRAIN
from rnnids.datasets.splits import split_by_flow, split_by_time


@pytest.mark.parametrize(("count", "fraction"), [(3, 0.333333), (1000, 0.333333), (1001, 0.25), (10, 0.5)])
def test_split_by_flow_has_the_fraction_and_depends_on_the_seed_alone(count, fraction):
    split = split_by_flow(count, fraction, seed=3)
    assert set(split) <= {TRAIN, TEST}
    assert (split == TEST).sum() == round(count * fraction)
    assert (split == split_by_flow(count, fraction, seed=3)).all()
    assert count < 100 or (split != split_by_flow(count, fraction, seed=4)).any()


def test_split_by_flow_does_not_follow_the_time():
    test = np.flatnonzero(split_by_flow(30_000, 1 / 3, seed=0) == TEST)
    assert abs(test.mean() - 15_000) < 400  # five standard errors are 350


def test_split_by_time_tests_the_tail_of_each_type_in_each_capture():
    rng = np.random.default_rng(2)
    start, capture, attack = rng.integers(0, 300, 2000), rng.integers(0, 3, 2000), rng.integers(0, 4, 2000)
    split = split_by_time(start, capture, attack, test_fraction=1 / 3)
    for here in range(3):
        for kind in range(4):
            group = (capture == here) & (attack == kind)
            is_test = split[group] == TEST
            assert is_test.sum() == round(group.sum() / 3)
            assert start[group][is_test].min() >= start[group][~is_test].max()

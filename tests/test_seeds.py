"""Means over trainings: the coverage of their intervals by simulation, and what bounds them."""

import math

import numpy as np
import pytest
from scipy import stats

from rnnids.detectors.seeds import over_seeds, shared_part

REPEATS, FLOWS, RESAMPLES = 1200, 120, 60
ANY = (-math.inf, math.inf)


def measured(rng, trainings, between, shared, alone):
    """Values, intervals and resamples of one study: training + flow + what a training makes of a flow, averaged."""
    of_training = rng.normal(0, between, trainings)
    flows = rng.normal(0, shared, FLOWS)[:, None] + rng.normal(0, alone, (FLOWS, trainings))
    drawn = rng.multinomial(FLOWS, np.full(FLOWS, 1 / FLOWS), RESAMPLES) / FLOWS
    values = of_training + flows.mean(axis=0)
    reach = stats.norm.ppf(0.975) * flows.std(axis=0, ddof=1) / math.sqrt(FLOWS)
    return values, values - reach, values + reach, of_training + drawn @ flows


@pytest.mark.parametrize("trainings", [3, 5])
@pytest.mark.parametrize(
    ("between", "shared", "alone"),
    [(1, 0.01, 0.01), (0.1, 1, 1), (1, 10, 3)],
    ids=["trainings", "flows", "both"],
)
def test_intervals_cover_as_often_as_they_say(trainings, between, shared, alone):
    rng = np.random.default_rng(trainings)
    inside = 0
    for _ in range(REPEATS):
        values, lows, highs, resampled = measured(rng, trainings, between, shared, alone)
        found = over_seeds(values, lows, highs, correlation=shared_part(resampled), limits=ANY)
        inside += found.low <= 0 <= found.high
    assert 0.93 <= inside / REPEATS <= 0.97


def test_an_interval_over_flows_alone_covers_far_too_seldom():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(REPEATS):
        _, lows, highs, _ = measured(rng, 3, 0.5, 1, 1)
        inside += lows[0] <= 0 <= highs[0]
    assert inside / REPEATS < 0.6


def test_one_training_has_the_interval_over_flows():
    found = over_seeds([0.5], [0.4], [0.7], limits=(0, 1))
    assert (found.mean, found.low, found.high) == (0.5, 0.4, 0.7)
    assert math.isnan(found.deviation)


def test_an_infinite_value_leaves_no_interval():
    found = over_seeds([1, math.inf], [0, 1], [2, math.inf], limits=(0, math.inf))
    assert math.isinf(found.mean)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_an_interval_keeps_within_what_is_possible():
    found = over_seeds([0.99, 1.0, 0.9], [0.98, 0.99, 0.85], [1.0, 1.0, 0.95], limits=(0, 1))
    assert found.high == 1
    assert found.low < 0.9


def test_equal_values_keep_the_interval_of_the_flows():
    found = over_seeds([1.0, 1.0, 1.0], [0.9] * 3, [1.0] * 3, limits=(0, 1))
    assert found.low == pytest.approx(0.95)  # symmetric: half as wide on either side


def test_infinite_bounds_of_single_trainings_do_not_count():
    found = over_seeds([1.0, 1.2], [0.9, 1.0], [1.3, math.inf], limits=(0, math.inf))
    assert math.isfinite(found.high)


def test_the_shared_part_is_a_correlation():
    rng = np.random.default_rng(0)
    common, own = rng.normal(size=(4000, 1)), rng.normal(size=(4000, 3))
    assert shared_part(common + 0 * own) == pytest.approx(1)
    assert shared_part(common + own) == pytest.approx(0.5, abs=0.05)
    assert abs(shared_part(own)) < 0.05
    assert shared_part(np.ones((10, 3))) == 1
    assert shared_part(own[:, :1]) == 1
    with_infinite = common + own
    with_infinite[::7, 1] = math.inf
    assert shared_part(with_infinite) == pytest.approx(0.5, abs=0.05)

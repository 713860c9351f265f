"""The ARS against brute force, and its intervals."""

import itertools
import math

import numpy as np
import pytest

from rnnids.attacks.ars import adversarial_robustness_score, ars_rows, bootstrap_interval


def brute_force(distances):
    """Eq. 3 by its words: of all subsets of ceil(N/2) samples, the one of which no other sample is nearer."""
    size = -(-len(distances) // 2)
    for subset in itertools.combinations(range(len(distances)), size):
        rest = [distances[index] for index in range(len(distances)) if index not in subset]
        chosen = [distances[index] for index in subset]
        if not rest or max(chosen) <= min(rest):
            return sum(chosen) / size
    return None


@pytest.mark.parametrize("count", range(1, 8))
def test_score_against_brute_force(count):
    rng = np.random.default_rng(count)
    for _ in range(50):
        distances = rng.choice([0.0, 0.5, 1.0, 2.0, 7.0, math.inf], count)
        assert adversarial_robustness_score(distances) == pytest.approx(brute_force(distances.tolist()))
        assert adversarial_robustness_score(distances) == adversarial_robustness_score(rng.permutation(distances))


def test_exactly_half_is_finite_and_none_is_undefined():
    assert adversarial_robustness_score([1.0, 3.0, math.inf, math.inf]) == 2.0
    assert adversarial_robustness_score([1.0, math.inf, math.inf]) == math.inf
    assert math.isnan(adversarial_robustness_score([]))


def test_interval():
    rng = np.random.default_rng(0)
    distances = rng.exponential(size=200)
    low, high = bootstrap_interval(distances, 500, rng)
    assert low < adversarial_robustness_score(distances) < high
    doubled = bootstrap_interval(2 * distances, 500, np.random.default_rng(1))
    assert doubled == pytest.approx([2 * end for end in bootstrap_interval(distances, 500, np.random.default_rng(1))])
    low, high = bootstrap_interval(np.r_[np.ones(11), np.full(9, math.inf)], 500, rng)
    assert (low, high) == (1.0, math.inf)
    assert all(map(math.isnan, bootstrap_interval(np.array([]), 5, rng)))


@pytest.mark.parametrize("seed", range(20))
def test_ends_of_an_interval_are_scores_even_beside_infinity(seed):
    distances, rng = np.array([1.0, 2.0, math.inf, math.inf]), np.random.default_rng(seed)
    scores = sorted(adversarial_robustness_score(rng.choice(distances, 4)) for _ in range(5))
    assert bootstrap_interval(distances, 5, np.random.default_rng(seed)) == (scores[0], scores[-1])


def test_rows_of_the_table():
    rng = np.random.default_rng(0)
    attack = rng.integers(1, 4, 60)
    category, distances = attack % 2, rng.choice([0.0, 0.5, 2.0, math.inf], 60)
    rows = ars_rows(attack, category, distances, samples=50, rng=rng)
    assert [row["attack"] for row in rows] == [1, 2, 3]
    for row in rows:
        own = distances[attack == row["attack"]]
        assert row["category"] == row["attack"] % 2
        assert row["flows"] == len(own)
        assert row["already_benign"] == (own == 0).sum()
        assert row["success_ratio"] == np.isfinite(own).mean()
        assert row["ars"] == adversarial_robustness_score(own)
        assert row["ars_detected"] >= row["ars"]

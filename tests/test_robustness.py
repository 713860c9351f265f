"""The ARS against brute force, and the search behind it."""

import itertools
import math

import detectors
import numpy as np
import pytest

from rnnids import attacks, robustness
from rnnids.robustness import adversarial_robustness_score, bootstrap_interval, half_found

SETTINGS = attacks.Settings(
    delta=-0.2, learning_rate=0.1, iterations=20, objective="all_packets", keep="best", mtu=1500
)
KAPPAS = [0.2, 1.0, 3.0]


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


@pytest.mark.parametrize(
    ("distances", "unsuccessful", "stop"),
    [
        ([1, 2, math.inf, math.inf], [math.inf, math.inf, 5, 5], True),
        ([1, 2, math.inf, math.inf], [math.inf, math.inf, 1.5, 5], False),  # one is nearer and not adversarial
        ([1, 2, math.inf, math.inf], [math.inf, math.inf, 2, 5], True),  # as near is not nearer
        ([1, math.inf, math.inf], [math.inf, 5, 5], False),  # fewer than half
        ([1, 2, 3], [math.inf] * 3, True),
    ],
)
def test_stop_rule(distances, unsuccessful, stop):
    assert half_found(np.array(distances, float), np.array(unsuccessful, float)) == stop


def search(checkpoint=None, kappas=KAPPAS):
    model, data = detectors.trained()
    rows = attacks.select_flows(data, None, 0)
    return robustness.search(model, data, rows, SETTINGS, kappas, 64, checkpoint, "a run"), data


def test_interrupted_search_ends_the_same(tmp_path, monkeypatch):
    whole, _ = search()
    checkpoint = tmp_path / "search.checkpoint"
    once = robustness._search_round

    def interrupted(state, model, data, rows, kappa, *rest):
        if kappa == KAPPAS[1]:
            raise KeyboardInterrupt
        once(state, model, data, rows, kappa, *rest)

    monkeypatch.setattr(robustness, "_search_round", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(checkpoint)
    monkeypatch.setattr(robustness, "_search_round", once)
    resumed, _ = search(checkpoint)
    assert np.array_equal(resumed.distances, whole.distances)
    assert (resumed.rounds, resumed.kappa, resumed.stopped) == (whole.rounds, whole.kappa, whole.stopped)


def test_checkpoint_of_another_run_is_not_resumed(tmp_path):
    checkpoint = tmp_path / "search.checkpoint"
    search(checkpoint)
    model, data = detectors.trained()
    rows = attacks.select_flows(data, None, 0)
    few = robustness.search(model, data, rows[:6], SETTINGS, KAPPAS, 64, checkpoint, "another run")
    assert len(few.distances) == 6


def test_more_rounds_never_raise_a_distance():
    distances = [search(kappas=KAPPAS[:rounds])[0].distances for rounds in (1, 2, 3)]
    assert (distances[1] <= distances[0]).all()
    assert (distances[2] <= distances[1]).all()
    assert np.isfinite(distances[2]).sum() > np.isfinite(distances[0]).sum()


def test_rows_of_the_table():
    state, data = search()
    rows = robustness.ars_rows(state, data, 50, np.random.default_rng(0))
    assert [row["attack"] for row in rows] == ["Flood", "Bot"]
    for index, row in enumerate(rows, start=1):
        distances = state.distances[state.attack == index]
        assert row["flows"] == len(distances)
        assert row["already_benign"] == (distances == 0).sum()
        assert row["success_ratio"] == np.isfinite(distances).mean()
        assert row["ars"] == adversarial_robustness_score(distances)
        assert row["ars_detected"] >= row["ars"]
        assert row["stopped"] in (robustness.HALF_FOUND, robustness.MAX_ROUNDS)

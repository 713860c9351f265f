"""The search of rising kappa behind the ARS."""

import math

import detectors
import numpy as np
import pytest

from rnnids.attacks import gradient as attacks
from rnnids.attacks import rising_kappa as robustness
from rnnids.attacks.rising_kappa import half_found
from rnnids.attacks.targets import select_flows

SETTINGS = attacks.Settings(
    delta=-0.2, learning_rate=0.1, iterations=20, objective="all_packets", keep="best", mtu=1500
)
KAPPAS = [0.2, 1.0, 3.0]


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
    rows = select_flows(data, None, 0)
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
    rows = select_flows(data, None, 0)
    few = robustness.search(model, data, rows[:6], SETTINGS, KAPPAS, 64, checkpoint, "another run")
    assert len(few.distances) == 6


def test_more_rounds_never_raise_a_distance():
    distances = [search(kappas=KAPPAS[:rounds])[0].distances for rounds in (1, 2, 3)]
    assert (distances[1] <= distances[0]).all()
    assert (distances[2] <= distances[1]).all()
    assert np.isfinite(distances[2]).sum() > np.isfinite(distances[0]).sum()


def test_every_search_says_why_it_ended():
    state, _ = search()
    assert set(state.stopped) == set(state.rounds) == set(state.kappa) == {1, 2}
    assert set(state.stopped.values()) <= {robustness.HALF_FOUND, robustness.MAX_ROUNDS}

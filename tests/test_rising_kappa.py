"""The search of rising kappa behind the ARS."""

import math

import detectors
import numpy as np
import pytest

from rnnids.attacks import rising_kappa
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.gradient import CarliniWagner
from rnnids.attacks.rising_kappa import RisingKappa, half_found
from rnnids.attacks.targets import select_flows

ATTACK = CarliniWagner(iterations=20)
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


def targets():
    model, data = detectors.trained()
    return model, data.take(select_flows(data, None, 0))


def search(checkpoint=None, kappas=KAPPAS, run="a run", flows=None):
    model, all_flows = targets()
    return rising_kappa.search(
        model,
        all_flows if flows is None else flows,
        ATTACK,
        kappas=kappas,
        threat_model=ThreatModel(),
        batch_packets=64,
        checkpoint=checkpoint,
        run=run,
    )


def test_interrupted_search_ends_the_same(tmp_path, monkeypatch):
    whole = search()
    checkpoint = tmp_path / "search.checkpoint"
    once = rising_kappa.attack_flows

    def interrupted(detector, flows, attack, **options):
        if f"kappa {KAPPAS[1]:g}" in options["label"]:
            raise KeyboardInterrupt
        return once(detector, flows, attack, **options)

    monkeypatch.setattr(rising_kappa, "attack_flows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(checkpoint)
    tried = []

    def noting(detector, flows, attack, **options):
        tried.append(options["label"])
        return once(detector, flows, attack, **options)

    monkeypatch.setattr(rising_kappa, "attack_flows", noting)
    resumed = search(checkpoint)
    assert "round 2" in tried[0]  # the first round is not made again
    assert np.array_equal(resumed.distances, whole.distances)
    assert np.array_equal(resumed.attack, whole.attack)
    assert (resumed.rounds, resumed.kappa, resumed.stopped) == (whole.rounds, whole.kappa, whole.stopped)


def test_checkpoint_of_another_run_is_not_resumed(tmp_path):
    checkpoint = tmp_path / "search.checkpoint"
    search(checkpoint)
    few = search(checkpoint, run="another run", flows=targets()[1].take(np.arange(6)))
    assert len(few.distances) == 6


def test_kappas_rise_by_equal_steps():
    assert RisingKappa(kappa_start=0.5, kappa_step=2, max_rounds=4).kappas == [0.5, 2.5, 4.5, 6.5]


def test_more_rounds_never_raise_a_distance():
    distances = [search(kappas=KAPPAS[:rounds]).distances for rounds in (1, 2, 3)]
    assert (distances[1] <= distances[0]).all()
    assert (distances[2] <= distances[1]).all()
    assert np.isfinite(distances[2]).sum() > np.isfinite(distances[0]).sum()


def test_every_search_says_why_it_ended():
    state = search()
    assert set(state.stopped) == set(state.rounds) == set(state.kappa) == {1, 2}
    assert set(state.stopped.values()) <= {rising_kappa.HALF_FOUND, rising_kappa.MAX_ROUNDS}

"""Exact distances beside an oracle: a plain loop over every length that a packet can get, no part of the search."""

import itertools
import math
from dataclasses import replace

import detectors
import numpy as np
import pytest
import rugged
import torch
from explained import StandIn

from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.search import RobustSearch
from rnnids.datasets.features import PACKET_LENGTH

PADDING = ThreatModel(delay_per_flow=0)
NOTHING = {"generations": 0, "polish_rounds": 0, "nearer_rounds": 0, "restarts": 0, "depth": 0}
SEARCH = RobustSearch(iterations=1, far_iterations=1, draws=8, **NOTHING)
CLOSE = 1e-5  # to the threshold: whether a logit is below it depends on how many flows are evaluated at a time


def one_number(flows):
    """The flows in which a single packet can be padded, and that packet's place in each."""
    chosen, places = [], []
    for flow in range(len(flows)):
        own = slice(flows.start[flow], flows.start[flow] + flows.packet_count[flow])
        sides = np.where(flows.packets["direction"][own] == 0, 1, 2)
        grows = (sides & flows.flows["manipulable"][flow] != 0) & (flows.packets["length"][own] < PADDING.mtu)
        if grows.sum() == 1:
            chosen.append(flow)
            places.append(int(np.flatnonzero(grows)[0]))
    return flows.take(chosen), places


def tried(detector, flows, flow, place, *, goal="last"):
    """((V,) bytes added, (V,) logit that decides): every length that a packet can get."""
    one = flows.take([flow])
    length = int(one.packets["length"][place])
    added = np.arange(PADDING.mtu - length + 1)
    inputs = np.repeat(one.padded(np.array([0])), len(added), axis=0)
    inputs[:, place, PACKET_LENGTH] = (length + added - one.mean[PACKET_LENGTH]) / one.std[PACKET_LENGTH]
    with torch.no_grad():
        logits = detector(torch.from_numpy(inputs), np.full(len(added), inputs.shape[1])).numpy()
    return added, logits[:, -1] if goal == "last" else logits.max(axis=1)


def least(detector, flows, flow, place, *, threshold, goal="last"):
    """Least distance at which a flow evades; infinite where none of its lengths does."""
    added, logits = tried(detector, flows, flow, place, goal=goal)
    evades = added[logits <= threshold]
    return evades.min() / flows.std[PACKET_LENGTH] if len(evades) else math.inf


def enumerated(detector, flows, **options):
    return replace(SEARCH, **options)(detector, flows, threat_model=PADDING, batch_packets=512)


DETECTORS = {
    "lstm": lambda: detectors.trained()[0],
    "ridge": rugged.ridge,
    "steps": rugged.steps,
    "no gradient": rugged.without_gradient,
}


@pytest.mark.parametrize("goal", ["last", "all"])
@pytest.mark.parametrize("name", DETECTORS)
def test_none_is_missed_and_no_distance_is_too_large(name, goal):
    detector = DETECTORS[name]()
    flows, places = one_number(rugged.targets(60, longest=4))
    assert len(flows) > 15 and flows.packet_count.max() > 2
    result = enumerated(detector, flows, goal=goal)
    assert result.exact.all() and (result.free == 1).all()
    distances = []
    for flow, place in enumerate(places):
        for which, threshold in enumerate((0.0, SEARCH.delta)):
            bounds = [
                least(detector, flows, flow, place, threshold=threshold + shift, goal=goal) for shift in (CLOSE, -CLOSE)
            ]
            assert bounds[0] - 1e-9 <= result.l1[which, flow] <= bounds[1] + 1e-9
            distances += [bounds[0]] if bounds[0] == bounds[1] else []
    assert len(distances) > len(flows)  # the tolerance decides few
    assert len(set(distances)) > 3 and np.isfinite(distances).any()


def test_nothing_is_found_where_nothing_evades():
    detector = rugged.inert()
    flows, _ = one_number(rugged.targets(40, longest=3))
    result = enumerated(detector, flows)
    assert np.isinf(result.l1).all() and not result.success.any() and (result.member == -1).all()
    assert result.exact.all()
    assert (result.length[0] == flows.packets["length"]).all()


def test_every_length_counts_once():
    flows, places = one_number(rugged.targets(20, longest=3))
    result = enumerated(rugged.ridge(), flows)
    lengths = flows.packets["length"][flows.start + places]
    assert (result.evaluations >= 1501 - lengths.astype(int)).all()  # enumerating
    assert not result.gradients.any()


def test_two_numbers_are_enumerated_where_they_are_few():
    """Pairs of additions up to a cap, one after the other."""
    threat = ThreatModel(bytes_per_packet=12, delay_per_flow=0)
    detector = StandIn(lambda x: rugged.mean_so_far(0.3 + torch.cos(60 * x[..., PACKET_LENGTH])))
    flows = rugged.targets(60, longest=3)
    sides = np.where(flows.packets["direction"] == 0, 1, 2) & np.repeat(flows.flows["manipulable"], flows.packet_count)
    flows = flows.take(np.add.reduceat((sides != 0).astype(int), flows.start) == 2)
    result = SEARCH(detector, flows, threat_model=threat)
    assert (result.free == 2).all() and result.exact.all()
    found = []
    for flow in range(len(flows)):
        own = flows.take([flow])
        movable = np.flatnonzero(np.where(own.packets["direction"] == 0, 1, 2) & own.flows["manipulable"][0])
        best = math.inf
        for first, second in itertools.product(range(13), repeat=2):
            length = own.packets["length"].astype(int)
            length[movable] += (first, second)
            inputs = own.padded(np.array([0]))
            inputs[0, :, PACKET_LENGTH] = (length - own.mean[PACKET_LENGTH]) / own.std[PACKET_LENGTH]
            if float(detector(torch.from_numpy(inputs))[0, -1]) <= 0:
                best = min(best, (first + second) / own.std[PACKET_LENGTH])
        found.append(best)
    np.testing.assert_allclose(result.l1[0], found, atol=1e-9)
    assert {0 < best < math.inf for best in found} == {True, False} and len(set(found)) > 4
    assert not replace(SEARCH, exact_values=168)(detector, flows, threat_model=threat).exact[result.l1[1] > 0].any()
    assert replace(SEARCH, exact_values=169)(detector, flows, threat_model=threat).exact.all()


def test_a_delay_is_not_enumerated_but_one_that_has_no_room_is_no_free_number():
    flows = rugged.targets(30, longest=3)
    delayed = SEARCH(rugged.ridge(), flows)
    padded = SEARCH(rugged.ridge(), flows, threat_model=PADDING)
    assert (padded.free <= delayed.free).all() and (padded.free < delayed.free).any()
    assert (delayed.exact == ((delayed.free == 1) | (delayed.l1[1] == 0))).all()
    old = replace(flows, flows=flows.flows | {"duration_ns": np.full(len(flows), 1800 * 10**9)})
    assert (SEARCH(rugged.ridge(), old).free == padded.free).all()

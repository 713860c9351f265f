"""Lower bounds of distances: never above the least distance that grids or enumeration find, and mostly near it."""

import copy
import itertools
import math

import detectors
import numpy as np
import pytest
import rugged
import torch
from test_zonotope import logits, problem

from rnnids.attacks import bounds
from rnnids.attacks.bounds import Bracket, DistanceBounds, FlowProblem, Proof, split
from rnnids.attacks.descent import make_batch
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.files import read_attack, write_bounds
from rnnids.attacks.search import RobustSearch
from rnnids.attacks.zonotope import Bound, Network
from rnnids.datasets.features import PACKET_LENGTH
from rnnids.detectors.lstm import LSTMDetector

SEARCH = RobustSearch(iterations=8, far_iterations=4, draws=32, generations=4, polish_rounds=3, nearer_rounds=1)
BOUNDS = DistanceBounds(numbers=None, effort_of_few=200)
PADDING = ThreatModel(delay_per_flow=0)


def flow_problem(seed, *, numbers, packets):
    """(detector that says attack of the flow, problem of that flow)."""
    rng = np.random.default_rng(seed)
    layers, units = int(rng.integers(1, 3)), int(rng.integers(2, 9))
    detector, steps = problem(units, layers, packets, numbers=numbers, seed=seed)
    limit = torch.from_numpy(rng.exponential(3.0, steps.effect.shape[2]))
    still = float(logits(detector, steps, torch.zeros(1, len(limit), dtype=torch.float64))[0])
    detector.readout.bias += float(rng.exponential(0.1)) + 0.02 - still
    return detector, FlowProblem(steps, limit, 0.0)


def grid(limit, points):
    """All changes on a grid over the box up to `limit` (k,), both ends among them."""
    axes = [np.linspace(0, float(most), points) for most in limit]
    return torch.tensor(list(itertools.product(*axes)), dtype=torch.float64)


def least_on_grid(detector, flow, points):
    """The least distance of a change of a grid that evades, in float32 or in float64."""
    changes = grid(flow.limit, points)
    evades = logits(detector, flow.steps, changes) <= 0
    evades |= logits(copy.deepcopy(detector).double(), flow.steps, changes) <= 0
    return float(changes[evades].sum(dim=1).min()) if evades.any() else math.inf


def check(seeds, *, points, settings=BOUNDS):
    """[(lower bound, least distance on a grid)] of random small detectors and flows, the former never above."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        numbers = int(rng.integers(1, 4))
        detector, flow = flow_problem(seed, numbers=numbers, packets=int(rng.integers(2, 7)))
        least = least_on_grid(detector, flow, points[len(flow.limit)])
        bound = Proof(settings, Network.of(detector), flow, math.inf).distance()
        assert bound <= least, seed
        # Told what was found, it may stop there, but not above.
        told = Proof(settings, Network.of(detector), flow, least).distance()
        assert told <= least, seed
        found.append((told, least))
    return np.array(found)


def test_no_bound_is_above_the_least_distance_of_a_dense_grid():
    lower, least = check(range(12), points={1: 4001, 2: 101, 3: 25}).T
    evades = np.isfinite(least)
    assert 2 < evades.sum() < 10
    assert np.median(lower[evades] / least[evades]) > 0.7
    assert np.isinf(lower[~evades]).mean() > 0.5


@pytest.mark.slow
def test_no_bound_is_above_the_least_distance_of_many_grids():
    check(range(1000, 3000), points={1: 4001, 2: 101, 3: 25}, settings=DistanceBounds(effort_of_few=60))


def searched(flows, detector, threat=PADDING):
    return SEARCH(detector, flows, threat_model=threat, batch_packets=512)


def bounded(flows, detector, result, *, upper=None, exact=False, threat=PADDING):
    known = result.exact if exact else np.zeros(len(flows), dtype=bool)
    return BOUNDS(detector, flows, result.l1[0] if upper is None else upper, exact=known, threat_model=threat)


def test_enumerated_distances_are_reached_and_never_passed():
    """Of flows with one free length every value was tried: bounds that do not know it say the same."""
    detector, _ = detectors.trained()
    flows = rugged.targets(60, longest=4)
    result = searched(flows, detector)
    own = np.flatnonzero(result.exact & (result.free == 1) & (result.l1[0] > 0))
    assert len(own) > 8
    own = own[:12]
    some, truth, none = flows.take(own), result.l1[0][own], np.zeros(len(own), dtype=bool)
    told = DistanceBounds(effort_of_few=1500)(detector, some, truth, exact=none, threat_model=PADDING)
    alone = DistanceBounds(effort_of_few=60)(
        detector, some, np.full(len(own), np.inf), exact=none, threat_model=PADDING
    )
    assert (told.lower <= truth).all() and (alone.lower <= truth).all()
    assert told.closed.mean() > 0.8


def test_bounds_are_not_above_what_a_search_finds_without_being_told():
    detector, _ = detectors.trained()
    flows, threat = rugged.targets(16), ThreatModel()
    result = searched(flows, detector, threat)
    alone = bounded(flows, detector, result, upper=np.where(result.l1[0] == 0, 0, np.inf), threat=threat)
    assert (alone.lower <= result.l1[0]).all()
    assert (alone.lower[result.l1[0] > 0] > 0).mean() > 0.9
    again = bounded(flows, detector, result, exact=True, threat=threat)
    assert (again.lower <= result.l1[0]).all()
    np.testing.assert_array_equal(again.lower[result.exact], result.l1[0][result.exact])
    assert (again.packets[result.exact] == 0).all()


def test_a_flow_of_which_nothing_is_shown_cannot_be_hidden():
    flows = rugged.targets(12)
    detector = LSTMDetector(6, 1, suppress="both").requires_grad_(False)
    detector.readout.bias += 3
    bracket = DistanceBounds(numbers=1)(detector, flows, np.full(12, np.inf), exact=np.zeros(12, dtype=bool))
    few = np.array([len(of_flow(detector, flows, row).limit) <= 1 for row in range(12)])
    assert np.isinf(bracket.lower[few]).all() and (bracket.lower[~few] == 0).all() and few.any() and (~few).any()
    every = DistanceBounds(numbers=None)(detector, flows, np.full(12, np.inf), exact=np.zeros(12, dtype=bool))
    assert np.isinf(every.lower).all() and every.closed.all()


def test_an_interrupted_run_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    (detector, _), flows = detectors.trained(), rugged.targets(8, longest=4)
    upper, threat = np.full(len(flows), math.inf), ThreatModel(delay_per_flow=0, bytes_per_packet=500)
    given = {"exact": np.zeros(len(flows), dtype=bool), "threat_model": threat}
    expected = BOUNDS(detector, flows, upper, **given)
    assert len(flows) > 4 and np.isinf(expected.lower[:3]).any()
    begun, distance = [], Proof.distance

    def interrupted(self):
        begun.append(self)
        if len(begun) == 4:
            raise KeyboardInterrupt
        return distance(self)

    monkeypatch.setattr(bounds, "EVERY", -1.0)
    monkeypatch.setattr(Proof, "distance", interrupted)
    resumable = {"checkpoint": tmp_path / "checkpoint", "run": "this"}
    with pytest.raises(KeyboardInterrupt):
        BOUNDS(detector, flows, upper, **given, **resumable)
    found = BOUNDS(detector, flows, upper, **given, **resumable)
    assert len(begun) == len(flows) + 1  # one was interrupted, none was done twice
    np.testing.assert_array_equal(found.lower, expected.lower)
    np.testing.assert_array_equal(found.packets, expected.packets)
    BOUNDS(detector, flows, upper, **given, **resumable | {"run": "another"})
    assert len(begun) == 2 * len(flows) + 1


def of_flow(detector, flows, row):
    return FlowProblem.of(detector, make_batch(flows, np.array([row]), ThreatModel()))


def test_a_problem_is_shown_what_the_detector_is():
    flows = rugged.targets(12)
    detector = LSTMDetector(6, 1, feature_dropout=True).requires_grad_(False)
    for row in range(12):
        flow = of_flow(detector, flows, row)
        change = torch.rand(1, len(flow.limit), dtype=torch.float64) * flow.limit.clamp(max=2)
        shown = flow.steps.inputs + (flow.steps.effect @ change[0])
        inputs = torch.from_numpy(flows.padded(np.array([row])))
        own = detector.visible(inputs)[0]
        moved = (shown - own).abs() > 0
        assert int(moved.sum()) == int((change > 0).sum())
        assert flow.steps.inputs.shape[1] == 30
        torch.testing.assert_close((shown - own).sum(), change.sum(), atol=1e-5, rtol=0)


def test_whole_bytes_close_a_bracket_altogether():
    """Distances are multiples of a byte where delays are not allowed; bounds are rounded up to the next one."""
    detector, _ = detectors.trained()
    flows = rugged.targets(12)
    grains = [FlowProblem.of(detector, make_batch(flows, np.array([row]), PADDING)).grain for row in range(12)]
    assert grains == pytest.approx([1 / flows.std[PACKET_LENGTH]] * 12)
    delayed = [of_flow(detector, flows, row) for row in range(12)]
    assert {flow.grain == 0 for flow in delayed if len(flow.limit) > 1} == {True}


def test_halves_of_pieces_cover_them():
    rng = np.random.default_rng(0)
    low = torch.from_numpy(rng.random((30, 3)) * 0.2)
    high = low + torch.from_numpy(rng.random((30, 3)))
    halves = split(low, high, torch.ones(30, 3, dtype=torch.float64), least=0.6, most=1.1)
    assert halves is not None
    for piece in range(30):
        inside = low[piece] + torch.from_numpy(rng.random((500, 3))) * (high[piece] - low[piece])
        inside = inside[(inside.sum(dim=1) >= 0.6) & (inside.sum(dim=1) <= 1.1)]
        held = ((inside[:, None] >= halves[0] - 1e-12) & (inside[:, None] <= halves[1] + 1e-12)).all(dim=2)
        assert held.any(dim=1).all()
    point = torch.zeros(1, 2, dtype=torch.float64)
    assert split(point, point, torch.ones_like(point), least=0.0, most=1.0) is None


def test_what_is_no_number_rules_nothing_out(monkeypatch):
    detector, flow = flow_problem(3, numbers=2, packets=3)

    def unknown(network, steps, region, **options):
        return Bound(torch.full_like(region.most, torch.nan), torch.ones_like(region.low))

    monkeypatch.setattr(bounds, "last_logit", unknown)
    proof = Proof(BOUNDS, Network.of(detector), flow, math.inf)
    assert proof.distance() == 0
    proof.reach = proof.target / 2
    assert not proof._rule_out(proof.target, 500)


def test_a_bracket_is_closed_where_both_ends_meet():
    lower, upper = np.array([1.0, 0.9, np.inf, 0.0, 5.0]), np.array([1.0005, 1.0, np.inf, 0.0, np.inf])
    assert Bracket(lower, upper, np.zeros(5)).closed.tolist() == [True, False, True, True, False]


def test_columns_of_bounds_are_written(tmp_path):
    flows = rugged.targets(4)
    lower = np.array([0.5, math.inf, 0.0, 1.0])
    bracket = Bracket(lower, np.array([1, math.inf, 2, 1.0]), np.arange(4))
    path = tmp_path / "bounds.h5"
    write_bounds(path, flows, bracket, made_by="{}", free=np.ones(4), threat_model="paper")
    frame = read_attack(path)
    assert frame.lower.tolist() == lower.tolist() and frame.closed.tolist() == [False, True, False, True]
    assert frame.attrs["threat_model"] == "paper" and frame.attrs["goal"] == "last"
    assert frame.attrs["byte"] == 1 / flows.std[PACKET_LENGTH]

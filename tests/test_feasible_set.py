"""The feasible set: what project() gives is feasible, stays put, and is the nearest there is."""

import itertools
import math
from dataclasses import replace

import detectors
import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from rnnids.attacks import feasible_set as constraints
from rnnids.attacks.feasible_set import IAT, LENGTH, ThreatModel
from rnnids.errors import InputError

THREAT_MODEL = ThreatModel()
MTU = THREAT_MODEL.mtu


@pytest.fixture
def data():
    """Flows at every limit: longer than the MTU, off the clock's grid, silent for longer than the idle
    timeout, cut after their first packets, and older than the active timeout."""
    flows = detectors.flows(80, seed=3, longest=30)
    rng = np.random.default_rng(3)
    iat_ns = flows.packets["iat_ns"] + 500 * rng.integers(0, 2, len(flows.packets["iat_ns"]))
    iat_ns[rng.random(len(iat_ns)) < 0.02] = 400 * 10**9
    iat_ns[flows.start] = 0
    after_the_cut = rng.choice([0, 10**12, 17 * 10**11, 3 * 10**12], len(flows))
    duration_ns = np.add.reduceat(iat_ns, flows.start) + after_the_cut
    length = rng.integers(40, 3000, len(iat_ns))
    return replace(
        flows,
        flows=flows.flows | {"duration_ns": duration_ns},
        packets=flows.packets | {"iat_ns": iat_ns, "length": length},
    )


@pytest.fixture
def feasible(data):
    return constraints.feasible_set(data, np.arange(len(data)), THREAT_MODEL)


def wild(feasible, seed):
    """Values far off the feasible set in every direction."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(feasible.original.shape, generator=generator, dtype=torch.float64)
    return feasible.original + noise * torch.tensor([2000.0, 3e11])


def durations(data, iat):
    """(N,) ns that flows last with other interarrival times (N, T), and without."""
    return data.flows["duration_ns"] + iat.sum(axis=1) - np.add.reduceat(data.packets["iat_ns"], data.start)


@pytest.mark.parametrize("seed", range(5))
def test_projection_is_feasible(data, feasible, seed):
    values = constraints.project(wild(feasible, seed), feasible).numpy()
    length, iat = values[..., LENGTH], values[..., IAT]
    original = feasible.original.numpy()
    assert (values >= original).all()
    assert (length == np.rint(length)).all()
    assert (length <= np.maximum(original[..., LENGTH], MTU)).all()
    assert ((iat - original[..., IAT]) % data.clock_resolution_ns == 0).all()
    assert ((iat < 1e9 * data.idle_timeout) | (iat == original[..., IAT])).all()
    assert (iat[:, 0] == 0).all()
    longer = (iat > original[..., IAT]).any(axis=1)
    assert (durations(data, iat)[longer] < 1e9 * data.active_timeout).all()
    assert not longer[data.flows["duration_ns"] >= 1e9 * data.active_timeout].any()


def test_a_flow_can_last_until_just_before_the_active_timeout(data, feasible):
    iat = constraints.project(feasible.original + 1e12, feasible)[..., IAT].numpy()
    room = 1e9 * data.active_timeout - data.flows["duration_ns"]
    wanted = (feasible.upper - feasible.original)[..., IAT].sum(dim=1).numpy()
    bound = (room > 0) & (wanted > room)
    assert bound.sum() > 5
    left = 1e9 * data.active_timeout - durations(data, iat)[bound]
    assert (left > 0).all()
    assert (left <= data.clock_resolution_ns * (data.packet_count[bound] + 1)).all()  # each is rounded down
    grown = (feasible.original + 1e12).numpy()[..., IAT] > 0  # all others reach their own limits
    others = (room > 0) & ~bound
    upper = feasible.upper.numpy()[..., IAT]
    assert (upper - iat < data.clock_resolution_ns)[others[:, None] & grown].all()


@pytest.mark.parametrize("seed", range(3))
def test_a_flow_too_long_gives_up_the_same_time_everywhere(data, feasible, seed):
    """The optimality condition of the projection onto a box cut by a half-space."""
    wanted = torch.minimum(torch.maximum(wild(feasible, seed), feasible.original), feasible.upper)[..., IAT]
    got = constraints.project(wild(feasible, seed), feasible)[..., IAT]
    original = feasible.original[..., IAT]
    given_up, tick, cut = wanted - got, data.clock_resolution_ns, 0
    for flow in range(len(data)):
        if (wanted - original)[flow].sum() <= feasible.room[flow, IAT]:
            assert (given_up[flow].abs() < tick).all()
            continue
        shift, grows = given_up[flow].max(), got[flow] > original[flow]
        assert (given_up[flow][grows] > shift - 2 * tick).all()
        cut += int(grows.any())
    assert cut > 2


@pytest.mark.parametrize("seed", range(3))
def test_projection_is_idempotent(feasible, seed):
    once = constraints.project(wild(feasible, seed), feasible)
    assert torch.equal(constraints.project(once, feasible), once)


def test_only_the_attackers_packets_change(data):
    data.packets["length"][:] = 100  # so that all may grow
    feasible = constraints.feasible_set(data, np.arange(len(data)), THREAT_MODEL)
    values = constraints.project(feasible.original + 1e12, feasible)
    changed = (values > feasible.original).any(dim=-1).numpy()
    for flow, (start, count) in enumerate(zip(data.start, data.packet_count, strict=True)):
        direction = data.packets["direction"][start : start + count]
        movable = {0: np.zeros(count, bool), 1: direction == 0, 3: np.ones(count, bool)}[
            data.flows["manipulable"][flow]
        ]
        assert (changed[flow, :count] == movable).all()
        assert not changed[flow, count:].any()


LIMITS = {
    "bytes of a packet": ThreatModel(bytes_per_packet=7),
    "bytes of a flow": ThreatModel(bytes_per_flow=100),
    "delay of a packet": ThreatModel(delay_per_packet=0.25),
    "delay of a flow": ThreatModel(delay_per_flow=0.5),
    "all of them": ThreatModel(mtu=1000, bytes_per_packet=7, bytes_per_flow=20, delay_per_packet=2, delay_per_flow=5),
    "delay alone": ThreatModel(bytes_per_packet=0),
}


@pytest.mark.parametrize("threat_model", LIMITS.values(), ids=LIMITS)
def test_a_threat_model_is_kept_to_and_used_up(data, threat_model):
    data.packets["length"] = data.packets["length"] % 900 + 40
    feasible = constraints.feasible_set(data, np.arange(len(data)), threat_model)
    values = constraints.project(feasible.original + 1e12, feasible)
    growth = (values - feasible.original).numpy()
    caps = {
        LENGTH: (threat_model.bytes_per_packet, threat_model.bytes_per_flow, 1),
        IAT: (threat_model.delay_per_packet, threat_model.delay_per_flow, 1e9),
    }
    for column, (of_packet, of_flow, unit) in caps.items():
        for cap, grown in ((of_packet, growth[..., column]), (of_flow, growth[..., column].sum(axis=1))):
            if cap is not None:
                assert grown.max() <= cap * unit
                assert grown.max() > 0.9 * cap * unit or not cap
    assert feasible.contains(values).all()
    assert feasible.contains(feasible.original).all()
    for beyond in (feasible.upper + 1, feasible.original - 1):
        assert not feasible.contains(beyond).any()
    over = feasible.original + torch.tensor([200.0, 2e9])  # of each packet, so beyond the room of a flow
    bounded = feasible.room.isfinite().any(dim=1)
    assert not feasible.contains(over)[bounded & torch.from_numpy(data.packet_count > 10)].any()


def test_padding_of_payload_alone_leaves_empty_packets(data):
    data.packets["length"][:] = 100
    payload = ThreatModel(padding="payload")
    with pytest.raises(InputError, match="payload length"):
        constraints.feasible_set(data, np.arange(len(data)), payload)
    empty = np.random.default_rng(0).random(len(data.packets["length"])) < 0.5
    data.packets["payload_length"] = np.where(empty, 0, 60)
    mask = constraints.is_packet(data.packet_count)
    grows = {}
    for name, threat_model in (("any", THREAT_MODEL), ("payload", payload)):
        feasible = constraints.feasible_set(data, np.arange(len(data)), threat_model)
        grows[name] = (feasible.upper > feasible.original).numpy()[mask]
    assert (grows["payload"][:, LENGTH] == grows["any"][:, LENGTH] & ~empty).all()
    assert (grows["payload"][:, IAT] == grows["any"][:, IAT]).all()
    assert (grows["any"][:, LENGTH] & empty).any()


def test_an_attacker_who_can_do_nothing_is_refused():
    with pytest.raises(InputError, match="neither bytes nor delay"):
        ThreatModel(bytes_per_packet=0, delay_per_flow=0)


def test_reverse_bit_moves_reverse_packets(data):
    data.flows["manipulable"][:] = 2
    rows = np.arange(len(data))
    assert (constraints.sent_by_attacker(data, rows) == (data.packets["direction"] == 1)).all()


def test_nearest_on_a_small_grid():
    """Without the limit on the duration: brute force over all feasible points."""
    low, high = np.array([40.0, 3000.0]), np.array([44.0, 9000.0])
    feasible = constraints.FeasibleSet(
        *(torch.from_numpy(np.array(value)) for value in ([[low]], [[high]], [[math.inf, 1e9]], [1.0, 1000.0]))
    )
    points = np.array(list(itertools.product(np.arange(40, 45), np.arange(3000, 9001, 1000))), dtype=float)
    for value in np.random.default_rng(0).uniform([36, 0], [48, 12000], (200, 2)):
        projected = constraints.project(torch.tensor(value)[None, None], feasible).numpy()[0, 0]
        for column in (LENGTH, IAT):
            nearest = np.abs(points[:, column] - value[column]).min()
            assert abs(projected[column] - value[column]) == pytest.approx(nearest)


@pytest.mark.parametrize("seed", range(5))
def test_nearest_below_a_duration(seed):
    """With it: a quadratic programme solved by scipy, to within a tick per packet."""
    rng = np.random.default_rng(seed)
    growth, cap, total = rng.uniform(0, 10, 6), rng.uniform(1, 8, 6), 12.0
    problem = (torch.tensor(value) for value in (growth[None], cap[None], [total]))
    shortened = constraints.shorten(*problem, tick=1e-6)[0]
    solution = minimize(
        lambda x: ((x - growth) ** 2).sum(),
        np.zeros(6),
        jac=lambda x: 2 * (x - growth),
        bounds=list(zip(np.zeros(6), cap, strict=True)),
        constraints={"type": "ineq", "fun": lambda x: total - x.sum(), "jac": lambda x: -np.ones(6)},
        options={"ftol": 1e-12},
    )
    assert float(shortened.sum()) <= total
    np.testing.assert_allclose(shortened, solution.x, atol=1e-4)


def test_normalise_is_that_of_the_data(data):
    rows = np.arange(len(data))
    statistics = constraints.manipulable_statistics(data)
    normalised = constraints.normalise(constraints.feasible_set(data, rows, THREAT_MODEL).original, *statistics)
    expected = data.padded(rows)[..., [3, 4]]
    mask = constraints.is_packet(data.packet_count)
    assert np.array_equal(normalised.numpy()[mask], expected[mask])


def test_distances_by_hand(data, feasible):
    _, std = constraints.manipulable_statistics(data)
    values = feasible.original.clone()
    values[0, 0, LENGTH] += 10
    values[0, 0, IAT] += 5e6
    l1, linf = constraints.distances(values, feasible, std)
    parts = np.array([10 / data.std[3], 5 / data.std[4]])
    assert float(l1[0]) == pytest.approx(parts.sum())
    assert float(linf[0]) == pytest.approx(parts.max())
    assert not l1[1:].any()

"""The gate: every planted fault is caught, it is red on what is broken on purpose and green on what is sound."""

import math
from dataclasses import replace

import detectors
import feasibility
import numpy as np
import pandas as pd
import pytest
import rugged
import torch
from explained import StandIn

from rnnids.attacks.candidates import MEMBERS
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.files import read_attack, write_search
from rnnids.attacks.indicators import Found, Gate, decisive, draw, rules_of, verify
from rnnids.attacks.search import RobustSearch

SECOND = 10**9
SEARCH = RobustSearch()
CRIPPLED = RobustSearch(
    iterations=1,
    far_iterations=1,
    near_starts=0,
    fine_iterations=1,
    draws=8,
    generations=0,
    depth=0,
    polish_rounds=0,
    nearer_rounds=0,
    restarts=0,
)
CAPS = ThreatModel(mtu=1400, padding="payload", bytes_per_packet=100, bytes_per_flow=150)
CAPS = replace(CAPS, delay_per_packet=0.5, delay_per_flow=0.7)


def planted():
    """One flow of the initiator: forward, forward without payload, reverse, forward, forward near the limits."""
    flows = rugged.targets(4).take([0])
    columns = {
        "length": [100, 40, 300, 100, 1390],
        "payload_length": [60, 0, 260, 60, 1350],
        "direction": [0, 0, 1, 0, 0],
        "iat_ns": [0, SECOND, SECOND, SECOND, 299 * SECOND + 700_000_000],
        "flags": [0] * 5,
    }
    packets = {name: np.array(column) for name, column in columns.items()}
    more = {"manipulable": np.array([1]), "packet_count": np.array([5]), "duration_ns": np.array([1799 * SECOND])}
    return replace(flows, packets=packets, flows=flows.flows | more)


TICK = 1000
FAULTS = {
    "shorter": ([-1, 0, 0, 0, 0], [0] * 5, "became shorter"),
    "earlier": ([0] * 5, [0, -TICK, 0, 0, 0], "came earlier"),
    "victim padded": ([0, 0, 1, 0, 0], [0] * 5, "may not be, or too far"),
    "victim delayed": ([0] * 5, [0, 0, TICK, 0, 0], "may not be, or too long"),
    "first delayed": ([0] * 5, [TICK, 0, 0, 0, 0], "may not be, or too long"),
    "off the clock": ([0] * 5, [0, 1, 0, 0, 0], "off the capture's clock"),
    "beyond the MTU": ([0, 0, 0, 0, 11], [0] * 5, "may not be, or too far"),
    "beyond the idle time-out": ([0] * 5, [0, 0, 0, 0, 300_000_000], "may not be, or too long"),
    "empty padded": ([0, 1, 0, 0, 0], [0] * 5, "may not be, or too far"),
    "too many bytes": ([101, 0, 0, 0, 0], [0] * 5, "may not be, or too far"),
    "too long a delay": ([0] * 5, [0, 500_000_000 + TICK, 0, 0, 0], "may not be, or too long"),
    "too many bytes in all": ([100, 0, 0, 51, 0], [0] * 5, "to the flow"),
    "too much delay in all": ([0] * 5, [0, 400_000_000, 0, 300_000_000 + TICK, 0], "to the flow"),
}


def both(flows, more, later, threat):
    """What the gate and the tests' own checker say of additions."""
    more, later = np.array(more), np.array(later)
    packets = {"length": flows.packets["length"] + more, "iat_ns": flows.packets["iat_ns"] + later}
    changed = replace(flows, packets=flows.packets | packets)
    return rules_of(flows, 0, threat).faults(more, later), feasibility.violations(flows, changed, threat)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name):
    more, later, words = FAULTS[name]
    gate, own = both(planted(), more, later, CAPS)
    assert len(gate) == 1 and words in gate[0]
    assert own


def test_what_is_allowed_up_to_each_limit_is_no_fault():
    allowed = ([100, 0, 0, 40, 10], [0, 400_000_000, 0, 0, 299_999_000])
    assert both(planted(), *allowed, CAPS) == ([], [])
    assert both(planted(), [0] * 5, [0] * 5, CAPS) == ([], [])


def test_a_flow_ends_before_the_active_time_out():
    threat = ThreatModel()
    assert both(planted(), [0] * 5, [0, SECOND - TICK, 0, 0, 0], threat) == ([], [])
    gate, own = both(planted(), [0] * 5, [0, SECOND, 0, 0, 0], threat)
    assert "to the flow" in gate[0] and own


@pytest.mark.parametrize("threat", [ThreatModel(), CAPS], ids=["paper", "caps"])
def test_random_draws_keep_the_rules(threat):
    flows = rugged.targets(12)
    for row in range(len(flows)):
        rules = rules_of(flows, row, threat)
        more, later = draw(rules, flows, 2.0, count=70, rng=np.random.default_rng(row))
        assert not any(rules.faults(*pair) for pair in zip(more, later, strict=True))
        own = flows.take([row])
        for number in range(0, 70, 5):
            packets = {"length": own.packets["length"] + more[number].astype(int)}
            packets["iat_ns"] = own.packets["iat_ns"] + later[number].astype(np.int64)
            changed = replace(own, packets=own.packets | packets)
            assert not feasibility.violations(own, changed, threat)
        assert (more > 0).any() or not rules.bytes.any()


@pytest.fixture
def check(tmp_path, monkeypatch):
    """check(detector, flows, result) -> the verdicts of check_robustness.py, as a program would be run."""

    def call(detector, flows, result, *, gate=None):
        dataset = detectors.write_dataset(tmp_path / "dataset.h5", flows, np.ones(len(flows)))
        early = np.zeros(len(flows), dtype=bool)
        about = {"search": SEARCH, "members": MEMBERS, "threat_model": "paper", "early_alarm": early}
        write_search(tmp_path / "search.h5", result, made_by="a test", **about)
        script = detectors.script("check_robustness.py")
        monkeypatch.setattr(script, "load_detector", lambda *_: detector)
        weights = tmp_path / "weights.safetensors"
        weights.touch()
        inputs = {"dataset": dataset, "weights": weights, "search": tmp_path / "search.h5"}
        outputs = {"better": tmp_path / "better.h5", "output": tmp_path / "indicators.csv"}
        gate = gate or Gate(flows=6, draws=700)
        words = inputs | outputs | {"flows": gate.flows, "draws": gate.draws, "device": "cpu"}
        script.main([f"--{name}={value}" for name, value in words.items()])
        return pd.read_csv(tmp_path / "indicators.csv", keep_default_na=False)

    return call


def sound():
    """(detector, flows, what a whole search found)."""
    detector, _ = detectors.trained()
    flows = rugged.targets(24)
    return detector, flows, SEARCH(detector, flows)


def verdicts(table):
    return set(table["verdict"])


def test_green_on_a_sound_search_of_a_sound_detector(check, tmp_path):
    table = check(*sound())
    assert table["attack"].tolist() == ["Flood", "Bot"]  # in the data set's order
    assert verdicts(table) == {"ok"} and not table["successes_missed"].any() and not table["nearer"].any()
    assert (table["sampled"] > 0).all() and not table["violations"].any()
    assert (read_attack(tmp_path / "better.h5").l1 > 0).all()


def test_red_on_a_crippled_search(check, tmp_path):
    detector, flows = rugged.steps(), rugged.targets(24)
    result = CRIPPLED(detector, flows)
    table = check(detector, flows, result)
    assert verdicts(table) == {"refuted"} and (table["nearest_ratio"] < 0.99).any()
    better = read_attack(tmp_path / "better.h5")
    before = dict(zip(flows.row.tolist(), result.l1[0].tolist(), strict=True))
    assert len(better) and all(row.l1 < before[row.row] for row in better.itertuples())


def nothing_found(flows, result):
    lost = result.l1[0] > 0
    logit = np.where(lost, math.inf, result.logit)
    packets = {name: [flows.packets[name]] * 2 for name in ("length", "iat_ns")}
    return replace(result, l1=np.where(lost, math.inf, result.l1), logit=logit, exact=~lost, **packets)


def test_red_where_nothing_was_found_though_there_is(check):
    detector, flows, result = sound()
    table = check(detector, flows, nothing_found(flows, result))
    assert verdicts(table) == {"refuted"} and (table["successes_missed"] > 0).all()


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_red_where_distances_are_not_those_of_the_flows(check, factor):
    detector, flows, result = sound()
    assert verdicts(check(detector, flows, replace(result, l1=factor * result.l1))) == {"invalid"}


def test_red_where_a_flow_breaks_a_rule(check):
    detector, flows, result = sound()
    length = [result.length[0].copy(), result.length[1]]
    victims = np.flatnonzero(
        (flows.packets["direction"] == 1) & (np.repeat(flows.flows["manipulable"], flows.packet_count) == 1)
    )
    length[0][victims] += 1
    table = check(detector, flows, replace(result, length=length)).set_index("attack")
    assert table.verdict["Flood"] == "invalid" and table.verdict["Bot"] == "ok"


def test_red_on_a_detector_that_answers_at_random(check):
    detector, flows, result = sound()
    noise = torch.Generator().manual_seed(0)
    noisy = StandIn(lambda x: detector(x) + 0.1 * torch.randn(x.shape[:2], generator=noise))
    assert verdicts(check(noisy, flows, result)) == {"invalid"}


@pytest.mark.parametrize(("factor", "fault"), [(1e-7, False), (1e-4, True)])
def test_a_logit_may_differ_by_what_rounding_does_to_it(factor, fault):
    # A gain of 1e6 makes tenths of a logit of the last binary place, as a recurrent detector can over many packets.
    steep = StandIn(lambda x: 1e6 * x[..., 3:5].sum(dim=-1))
    flows = rugged.targets(6)
    logit = np.array(
        [
            decisive(steep, flows, row, added_bytes=zeros, added_delay=zeros, goal="last")[0]
            for row, zeros in enumerate(np.zeros((1, count)) for count in flows.packet_count)
        ]
    )
    nothing = np.full(len(flows), math.inf)
    packets = flows.packets["length"], flows.packets["iat_ns"]
    found = Found(*packets, nothing, nothing, logit * (1 + factor), np.zeros(len(flows), dtype=bool))
    faults, errors = verify(steep, flows, found, threat=ThreatModel(), goal="last")
    assert errors.max() > 1e-3
    assert (faults > 0).any() == fault


def test_red_on_a_detector_that_ignores_what_changes(check):
    detector, flows = rugged.inert(), rugged.targets(24)
    # One number alone is enumerated, so proven; the others tell.
    assert verdicts(check(detector, flows, SEARCH(detector, flows))) == {"inert"}


@pytest.mark.parametrize("kind", ["steps", "saturated"])
def test_red_on_a_detector_whose_gradient_has_vanished(check, kind):
    rounded = StandIn(lambda x: 1 - 2 * (rugged.mean_so_far(x[..., rugged.LENGTH]) > 0.3) + 0 * x[..., rugged.LENGTH])
    model, _ = detectors.trained()
    saturated = StandIn(lambda x: 20 * torch.tanh(1e4 * model(x)))
    detector, flows = (rounded if kind == "steps" else saturated), rugged.targets(24)
    table = check(detector, flows, SEARCH(detector, flows))
    assert verdicts(table) <= {"no gradient", "refuted"} and "no gradient" in verdicts(table)
    assert (table["no_gradient_share"] == 1).all()


def test_nothing_to_draw_on_is_said(check):
    detector, flows = rugged.ridge(), rugged.targets(24, longest=1)
    table = check(detector, flows, SEARCH(detector, flows))
    assert verdicts(table) == {"ok"} and (table["sampled"] == 0).all()
    assert table["reason"].str.contains("proven").all()


def test_the_better_flows_count_in_the_score(check, tmp_path):
    detector, flows, result = sound()
    lost = nothing_found(flows, result)
    check(detector, flows, lost, gate=Gate(flows=12, draws=140))
    words = {"searches": tmp_path / "search.h5", "better": tmp_path / "better.h5", "model_name": "m"}
    words |= {"indicators": tmp_path / "indicators.csv", "bootstrap_samples": 10}
    assert detectors.run_script("score_robustness.py", **words, output=tmp_path / "robustness.csv") == 0
    table = pd.read_csv(tmp_path / "robustness.csv").set_index("attack")
    assert (table["verdict"] == "refuted").all()
    better = read_attack(tmp_path / "better.h5").set_index("row").l1
    for kind in (1, 2):
        own = flows.row[flows.flows["attack"] == kind]
        far = np.sort([better.get(row, 0.0 if lost.l1[0][row] == 0 else math.inf) for row in own])
        name = flows.attacks[kind]
        assert table.ars[name] == pytest.approx(far[: math.ceil(len(far) / 2)].mean())
        assert table.success_ratio[name] == pytest.approx(np.isfinite(far).mean())
        assert table.success_ratio[name] > 0

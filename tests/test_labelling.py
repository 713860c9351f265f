"""Labels of flows: the rule that counts, the attacker, continuations, clocks that are off, overlapping captures."""

import functools
import itertools
from collections import defaultdict

import numpy as np
import pytest
from generated_flows import make_flows, random_flows, random_rules, reference_labels
from rule_files import ATTACK, IDLE, REPLY, RULE, label, label_flows, write_rules

from rnnids.labels.labelling import clock_offset, hours_between, in_several_captures
from rnnids.labels.rules import RuleMatcher, read_rules


@pytest.fixture
def rule_file(tmp_path):
    """Writes a rule file: rule_file(line, line ...) or rule_file(text=...)."""
    return functools.partial(write_rules, tmp_path / "rules.csv")


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_labels_are_those_of_the_reference(rule_file, seed, follow):
    rng = np.random.default_rng(seed)
    flows = random_flows(rng, 1500)
    flows["capture"] = np.repeat([0, 1], [900, 600]).astype(np.uint16)
    path = rule_file(text=random_rules(rng, 12))
    rules = read_rules(path)
    labels = label_flows(flows, rules, follow=follow)
    expected = reference_labels(flows, path, 300, follow)
    found = zip(labels.rule, labels.attacker_responds, labels.matches, labels.continuation, strict=True)
    assert [tuple(map(int, row)) for row in found] == [tuple(map(int, row)) for row in expected]
    # The comparison means something: every kind of flow is there.
    assert (labels.rule < 0).any() and (labels.matches > 1).any() and labels.swapped.sum() > 0
    assert labels.continuation.any() == follow
    assert (labels.continuation & labels.attacker_responds).any() == follow


def test_counts_per_rule_are_those_of_single_rules(rule_file):
    rng = np.random.default_rng(7)
    flows, path = random_flows(rng, 800), rule_file(text=random_rules(rng, 8))
    rules = read_rules(path)
    labels = label_flows(flows, rules)
    alone = [label_flows(flows, [rule], follow=False) for rule in rules]
    assert labels.matched.tolist() == [int((each.matches > 0).sum()) for each in alone]
    assert labels.swapped.tolist() == [int(each.attacker_responds.sum()) for each in alone]
    assert labels.matches.tolist() == sum(each.matches for each in alone).tolist()
    assert labels.shared.tolist() == [int((labels.matches[each.matches > 0] > 1).sum()) for each in alone]
    assert labels.continued.sum() == labels.continuation.sum() > 0


def test_the_last_rule_wins_and_benign_makes_an_exception(rule_file):
    wide = RULE.replace(",80,tcp", ",,").replace("DoS Hulk", "Other")
    path = rule_file(wide, RULE, RULE.replace("DoS Hulk,DoS", "Benign,Benign").replace("172.16.0.1/32", "172.16.0.2"))
    labels = label(
        path, [(1, 1, *ATTACK), (1, 1, "172.16.0.1", 1, "192.168.10.50", 22, 6), (1, 1, "172.16.0.2", *ATTACK[1:])]
    )
    assert labels.rule.tolist() == [1, 0, 2]
    assert labels.matches.tolist() == [2, 1, 1]


def test_a_continuation_has_the_attacker_of_its_connection(rule_file):
    # A flow ends with RST at 5 s; the victim goes on, then the attacker, then another connection begins.
    rows = [(0, 5, *ATTACK), (6, 1, *REPLY), (8, 1, *ATTACK[:3], 80, 6), (9, 1, "172.16.0.1", 2, "192.168.10.50", 1, 6)]
    window = RULE.replace("12:10:00", "12:00:00")
    labels = label(rule_file(window), rows)
    assert labels.rule.tolist() == [0, 0, 0, -1]
    assert labels.continuation.tolist() == [False, True, True, False]
    assert labels.attacker_responds.tolist() == [False, True, False, False]
    assert labels.continued.tolist() == [2]
    assert label(rule_file(window), rows, follow=False).rule.tolist() == [0, -1, -1, -1]


def test_continuations_end_after_the_idle_timeout(rule_file):
    path = rule_file(RULE.replace("12:10:00", "12:00:00"))
    flows = make_flows([(0, 5, *ATTACK), (305, 5, *REPLY), (611, 1, *REPLY)])
    rules = read_rules(path)
    assert label_flows(flows, rules).rule.tolist() == [0, 0, -1]
    assert label_flows(flows, rules, idle_timeout_ns=IDLE - 1).rule.tolist() == [0, -1, -1]
    flows["capture"] = np.array([0, 1, 1], dtype=np.uint16)
    assert label_flows(flows, rules).rule.tolist() == [0, -1, -1]


def test_a_rule_file_in_local_time_is_detected(rule_file):
    rules = read_rules(rule_file(RULE.replace("T12:", "T09:")))  # UTC-3 written as if it were UTC
    flows = make_flows([(second, 1, *ATTACK) for second in range(60)])
    assert clock_offset(RuleMatcher(rules, flows)) == (180, 60, 0)
    assert hours_between(flows, rules) == pytest.approx(3 - 1 / 6)
    assert clock_offset(RuleMatcher(rules, make_flows([(1, 1, *REPLY)]))) == (0, 0, 1)


@pytest.mark.parametrize("seed", range(5))
def test_flows_in_several_captures_are_among_those_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    free, rows, captures = defaultdict(int), [], []
    for start in np.sort(rng.integers(0, 3600, 80)):
        port, capture, duration = int(rng.choice([1025, 1026])), int(rng.integers(3)), int(rng.integers(0, 90))
        if start > free[port, capture]:  # within a capture, flows of one 5-tuple come one after the other
            free[port, capture] = start + duration
            ends = [("172.16.0.1", port), ("192.168.10.50", 80)][:: rng.choice([1, -1])]
            rows.append((start, duration, *ends[0], *ends[1], 6))
            captures.append(capture)
    flows = make_flows(rows)
    flows["capture"] = np.array(captures, dtype=np.uint16)
    expected = np.zeros(len(rows), dtype=bool)
    for i, j in itertools.permutations(range(len(rows)), 2):
        same = captures[i] != captures[j] and {rows[i][3], rows[i][5]} == {rows[j][3], rows[j][5]}
        expected[i] |= same and rows[i][0] <= sum(rows[j][:2]) and rows[j][0] <= sum(rows[i][:2])
    found = in_several_captures(flows)
    assert not (found & ~expected).any() and 0 < expected.sum() < len(rows)
    assert found.sum() > expected.sum() / 2

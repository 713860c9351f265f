"""Alarm rules: against a plain reading of their definition."""

import numpy as np
import pytest

from rnnids.detectors.alarms import AlarmRule, first_alarms, flow_scores, packet_scores
from rnnids.errors import InputError

RULES = [AlarmRule(rule=rule, k=k, n=n) for rule, k, n in [("last", 3, 5), ("any", 3, 5)]] + [
    AlarmRule(rule="k_of_n", k=k, n=n) for k, n in [(1, 1), (1, 4), (2, 3), (3, 5), (4, 4)]
]


def plain_first_alarm(logits, rule, threshold):
    """The packet of the alarm by the words of the rules; -1 for none."""
    above = [logit > threshold for logit in logits]
    if rule.rule == "last":
        return len(logits) - 1 if above[-1] else -1
    if rule.rule == "any":
        return above.index(True) if any(above) else -1
    for packet in range(len(logits)):
        if sum(above[max(0, packet - rule.n + 1) : packet + 1]) >= rule.k:
            return packet
    return len(logits) - 1 if len(logits) < rule.k and all(above) else -1


@pytest.fixture(scope="module")
def flows():
    """(logits, packets of each flow) of random flows; some logits are equal, some are thresholds."""
    rng = np.random.default_rng(0)
    count = rng.integers(1, 12, 300)
    return np.round(rng.normal(0, 2, count.sum()), 0).astype(np.float32), count


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("threshold", [-2.0, 0.0, 1.5])
def test_the_alarm_comes_where_the_rule_says(flows, rule, threshold):
    logits, count = flows
    found = first_alarms(packet_scores(logits, count, rule), count, threshold)
    pieces = np.split(logits, np.cumsum(count)[:-1])
    assert found.tolist() == [plain_first_alarm(piece.tolist(), rule, threshold) for piece in pieces]
    assert (found >= 0).any()
    assert (found < 0).any()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_flow_raises_the_alarm_where_its_score_is_above_the_threshold(flows, rule):
    logits, count = flows
    scores = packet_scores(logits, count, rule)
    for threshold in (-1.0, 0.0, 2.0):
        assert (flow_scores(scores, count) > threshold).tolist() == (
            first_alarms(scores, count, threshold) >= 0
        ).tolist()


def test_one_of_one_is_any(flows):
    one = AlarmRule(rule="k_of_n", k=1, n=1)
    np.testing.assert_array_equal(packet_scores(*flows, one), packet_scores(*flows, AlarmRule(rule="any")))


def test_what_cannot_be():
    with pytest.raises(InputError, match="5 of 3 packets can never be"):
        AlarmRule(rule="k_of_n", k=5, n=3)

"""Shapley values of the features: shares of the accuracy that they have together (Sec. V-A3 hints at them).

A detector trained with feature dropout says what it is worth without any set of features, so the game is played with
the detector as it is: its value for a set is the accuracy where only these features are shown. A feature's Shapley
value is the mean, over all orders in which features come in, of what it adds when it comes; all 15 add up to the
accuracy with all features less that with none.
"""

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from rnnids import settings
from rnnids.datasets.features import NUM_FEATURES
from rnnids.datasets.flow_data import FlowData, batches_by_length, is_packet
from rnnids.detectors.inference import last_of_flow, padded_inputs
from rnnids.detectors.metrics import INTERVAL
from rnnids.detectors.protocol import Detector
from rnnids.errors import InputError
from rnnids.explanations.importance import BOOTSTRAP_SAMPLES, Estimate
from rnnids.explanations.variation import BATCH_PACKETS
from rnnids.settings import setting

FEWEST_ROUNDS = 4  # from which a standard error is told


@dataclass(frozen=True, kw_only=True)
class Shapley:
    """Settings of :func:`shapley_values` and of the flows that it is measured on."""

    max_flows: int | None = setting(500, "flows to predict, at most; none: all", minimum=1)
    standard_error: float = setting(0.006, "largest standard error of a feature's value at which it stops", above=0)
    max_rounds: int = setting(64, "rounds of two opposite orders a flow, at most", minimum=FEWEST_ROUNDS)

    def __post_init__(self) -> None:
        settings.check(self)


class ShapleyValues(NamedTuple):
    """The Shapley value of each feature, of flow accuracy.

    Attributes:
        estimate: values with 95 % intervals over flows. standard_error: (15,) of the sampling of orders alone.
        rounds: taken of two orders a flow.
        all_features, no_features: accuracy with all of them and with none; the values add up to the difference.
    """

    estimate: Estimate
    standard_error: np.ndarray
    rounds: int
    all_features: float
    no_features: float


@torch.no_grad()
def correct_without(
    detector: Detector, flows: FlowData, suppressed: np.ndarray, *, batch_packets: int = BATCH_PACKETS
) -> np.ndarray:
    """Whether each flow is classified correctly without some features, which may be others for each flow.

    Args:
        detector: trained with feature dropout. suppressed: (N, 15) bool.

    Returns:
        (N,) bool.
    """
    last = np.empty(len(flows), dtype=np.float32)
    for rows, inputs in padded_inputs(flows, batches_by_length(flows.packet_count, batch_packets), detector.device):
        count = flows.packet_count[rows]
        hidden = torch.from_numpy(suppressed[rows]).to(detector.device)
        logits = detector(inputs, count, suppressed=hidden).float().cpu().numpy()
        last[rows] = last_of_flow(logits[is_packet(count)], count)
    return (last > 0) == flows.is_attack


def marginals(
    detector: Detector, flows: FlowData, orders: np.ndarray, *, ends: np.ndarray, batch_packets: int = BATCH_PACKETS
) -> np.ndarray:
    """What each feature adds to each flow's correctness when the features come in, in an order of the flow's own.

    Args:
        orders: (N, 15) features, the first to come first. ends: (2, N) correctness without any feature and with all.

    Returns:
        (N, 15) -1, 0 or 1 for each feature; a row adds up to what all features do.
    """
    places = np.argsort(orders, axis=1)  # of each feature
    added, before = np.empty(orders.shape), ends[0].astype(float)
    for place in range(NUM_FEATURES):
        last = place == NUM_FEATURES - 1
        found = ends[1] if last else correct_without(detector, flows, places > place, batch_packets=batch_packets)
        np.put_along_axis(added, orders[:, place : place + 1], (found - before)[:, None], axis=1)
        before = found.astype(float)
    return added


def shapley_values(
    detector: Detector,
    flows: FlowData,
    *,
    standard_error: float = Shapley.standard_error,
    max_rounds: int = Shapley.max_rounds,
    bootstrap_samples: int = BOOTSTRAP_SAMPLES,
    seed: int = 0,
    batch_packets: int = BATCH_PACKETS,
) -> ShapleyValues:
    """Shapley values of the features, of flow accuracy, by sampling orders.

    Every flow has orders of its own, so that their errors average out over the flows; each order is followed by its
    reverse (antithetic sampling). Rounds go on until the largest standard error of the sampling is small enough.

    Args:
        detector: trained with feature dropout.
        standard_error: largest one of a feature's value at which it stops. max_rounds: taken at most.
        bootstrap_samples: resamples of flows, behind the 95 % intervals.
        seed: of the orders and of the bootstrap.
        batch_packets: padded packets per batch, at most.

    Raises:
        InputError: the detector was trained without feature dropout.
    """
    if not getattr(detector, "feature_dropout", False):
        raise InputError("the model was trained without feature dropout; take one with `feature_dropout: true`")
    rng, features = np.random.default_rng(seed), np.arange(NUM_FEATURES)
    shape = (len(flows), NUM_FEATURES)
    nothing, everything = (
        correct_without(detector, flows, np.full(shape, hidden), batch_packets=batch_packets)
        for hidden in (True, False)
    )
    ends = np.stack([nothing, everything])
    total, error = np.zeros(shape), np.full(NUM_FEATURES, math.inf)
    of_rounds: list[np.ndarray] = []
    while len(of_rounds) < max_rounds and not error.max() <= standard_error:
        orders = rng.permuted(np.tile(features, (len(flows), 1)), axis=1)
        pair = [
            marginals(detector, flows, each, ends=ends, batch_packets=batch_packets)
            for each in (orders, orders[:, ::-1])
        ]
        added = (pair[0] + pair[1]) / 2
        total += added
        of_rounds.append(added.mean(axis=0))
        if len(of_rounds) >= FEWEST_ROUNDS:
            error = np.std(of_rounds, axis=0, ddof=1) / math.sqrt(len(of_rounds))
    estimate = _with_interval(total / len(of_rounds), bootstrap_samples, rng)
    return ShapleyValues(estimate, error, len(of_rounds), float(everything.mean()), float(nothing.mean()))


def exact_shapley_values(
    detector: Detector, flows: FlowData, features: tuple[int, ...], *, batch_packets: int = BATCH_PACKETS
) -> np.ndarray:
    """Shapley values of a few features, the others always shown, from all their 2^n subsets: (n,)."""
    count, value = len(features), {}
    for size in range(count + 1):
        for shown in itertools.combinations(range(count), size):
            hidden = np.isin(np.arange(NUM_FEATURES), [features[place] for place in set(range(count)) - set(shown)])
            suppressed = np.tile(hidden, (len(flows), 1))
            value[shown] = correct_without(detector, flows, suppressed, batch_packets=batch_packets).mean()
    found = np.zeros(count)
    for shown, without in value.items():
        for place in set(range(count)) - set(shown):
            weight = math.factorial(len(shown)) * math.factorial(count - len(shown) - 1) / math.factorial(count)
            found[place] += weight * (value[tuple(sorted((*shown, place)))] - without)
    return found


def _with_interval(of_flows: np.ndarray, bootstrap_samples: int, rng: np.random.Generator) -> Estimate:
    """Means of (N, 15) with 95 % intervals over resampled flows."""
    count = len(of_flows)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=bootstrap_samples) / count
    low, high = np.quantile(weights @ of_flows, INTERVAL, axis=0)
    return Estimate(of_flows.mean(axis=0), low, high)

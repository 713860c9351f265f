"""Mutual information between one packet's feature and the detector's prediction there (Sec. V-A4).

All other inputs fixed, the rounded prediction is a function of the value, so I = H(prediction)
exactly (Eq. 5) and no binning of values is needed. Features that are constant in a flow vary for
the whole flow, the others in one packet alone with the state before it kept; length and interarrival
time, which an attacker changes in many packets, vary for the whole flow as well. What values a feature
takes decides the result, so there are several distributions: observed, an attacker's, and what the
constraints of real traffic leave to her.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnids import settings
from rnnids.datasets.features import (
    CONSTANT_FEATURES,
    FEATURES,
    INTERARRIVAL_TIME,
    MANIPULABLE_FEATURES,
    NUM_FEATURES,
    PACKET_LENGTH,
)
from rnnids.datasets.flow_data import FlowData
from rnnids.datasets.selection import packet_values
from rnnids.detectors.metrics import INTERVAL
from rnnids.detectors.protocol import Detector
from rnnids.explanations.entropy import corrected_entropy, joint_counts, joint_information, plugin_entropy
from rnnids.explanations.importance import BOOTSTRAP_SAMPLES, LEVELS, Importance, by_level
from rnnids.explanations.per_step import mean_by_step
from rnnids.explanations.variation import BATCH_PACKETS, vary_flows, vary_steps
from rnnids.settings import setting

PORTS = (FEATURES.index("source_port"), FEATURES.index("destination_port"))


@dataclass(frozen=True, kw_only=True)
class MutualInformation:
    """Settings of :func:`mutual_information` and of the flows that it is measured on (Sec. V-A4)."""

    max_flows: int | None = setting(120, "flows to vary, at most; none: all, which takes long", minimum=1)
    draws: int = setting(100, "values of a feature per flow and step", minimum=1)
    bins: int = setting(50, "of the paper's estimator", minimum=1)

    def __post_init__(self) -> None:
        settings.check(self)


class FeatureInformation(NamedTuple):
    """Mutual information of each feature and the prediction, in bits, by several estimates.

    Level `packet` averages over all packets, `flow` over the last ones, whose prediction is the flow's.

    Attributes:
        observed: with values as they occur. attacker: with values as an attacker might choose them.
        binned: the latter by the paper's estimator, which bins the values and corrects no bias.
        whole_flow: of length and interarrival time with values as they occur in all packets of the flow at once; NaN
            for the other features. feasible: the same with what an attacker can make of the flow; NaN where
            nobody says what that is.
    """

    observed: Importance
    attacker: Importance
    binned: Importance
    whole_flow: Importance
    feasible: Importance


@dataclass(frozen=True, kw_only=True)
class Values:
    """How a feature's raw values are distributed.

    Attributes:
        quantile: maps uniform numbers in [0, 1) to values.
        listed: (V,) all values, and `probability` (V,) of each; None where there are more than draws.
    """

    quantile: Callable[[np.ndarray], np.ndarray]
    listed: np.ndarray | None = None
    probability: np.ndarray | None = None


def discrete(values: np.ndarray, probability: np.ndarray, *, draws: int) -> Values:
    """The distribution of `values` with `probability`, listed if there are at most `draws` of them."""

    def quantile(uniform: np.ndarray) -> np.ndarray:
        return values[index_of(probability, uniform)]

    if len(values) > draws:
        return Values(quantile=quantile)
    return Values(quantile=quantile, listed=values, probability=probability)


def index_of(probability: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Uniform numbers in [0, 1) -> indices 0, 1, ... that occur with `probability`."""
    return np.searchsorted(np.cumsum(probability)[:-1], uniform, side="right")


def observed_values(flows: FlowData, feature: int, *, draws: int) -> Values:
    """The values of all packets of `flows`."""
    values, count = np.unique(packet_values(flows, feature), return_counts=True)
    return discrete(values, count / count.sum(), draws=draws)


def attacker_values(flows: FlowData, feature: int, *, draws: int) -> Values:
    """What an attacker might choose.

    Ports and length are uniform over the range that occurs in `flows`, interarrival times
    log-uniform from the shortest above 0 to the longest, all others uniform over the values that occur.
    """
    values = np.unique(packet_values(flows, feature))
    if feature in (*PORTS, PACKET_LENGTH):
        values = np.arange(values[0], values[-1] + 1.0)
    elif feature == INTERARRIVAL_TIME and values[-1] > 0:
        shortest, longest = values[values > 0][[0, -1]]
        return Values(quantile=lambda uniform: shortest * (longest / shortest) ** uniform)
    return discrete(values, np.full(len(values), 1 / len(values)), draws=draws)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One feature under one distribution.

    Attributes:
        feature: index into ``FEATURES``. distribution: Values of it.
        draws: values per packet (constant features: per flow); listed values are all tried instead,
            which leaves nothing to estimate.
        seed, number: of the draws, of which each trial with the seed has its own.
    """

    feature: int
    distribution: Values
    draws: int
    seed: tuple[int, ...]
    number: int = 0

    def uniform(self, flows: FlowData) -> np.ndarray:
        """(P, draws) uniform numbers behind the values, the same at each call."""
        rng, constant = np.random.default_rng(self.seed), self.feature in CONSTANT_FEATURES
        shape = (len(flows) if constant else int(flows.packet_count.sum()), self.draws)
        for _ in range(self.number + 1):
            numbers = rng.random(shape)
        return np.repeat(numbers, flows.packet_count, axis=0) if constant else numbers

    def values(self, flows: FlowData) -> np.ndarray:
        """(P, W) raw values to try."""
        if self.distribution.listed is None:
            return self.distribution.quantile(self.uniform(flows))
        listed = self.distribution.listed
        return np.broadcast_to(listed, (int(flows.packet_count.sum()), len(listed)))

    def information(self, flows: FlowData, is_attack: np.ndarray, *, bins: int) -> tuple[np.ndarray, np.ndarray]:
        """What :func:`packet_information` says, given (P, W) predictions."""
        uniform, probability = self.uniform(flows), self.distribution.probability
        if probability is None:
            attacks = is_attack.sum(axis=1)
            information = corrected_entropy(np.stack([attacks, self.draws - attacks], axis=1))
        else:
            share = (is_attack @ probability).round(12)  # so that a certain prediction has entropy 0
            information = plugin_entropy(np.stack([share, 1 - share], axis=1))
            is_attack = np.take_along_axis(is_attack, index_of(probability, uniform), axis=1)
        joint = joint_counts((uniform * bins).astype(np.int64), is_attack, bins=bins)
        return information, joint_information(joint)


def packet_information(
    detector: Detector,
    flows: FlowData,
    trials: Sequence[Trial],
    *,
    bins: int,
    batch_packets: int = BATCH_PACKETS,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Mutual information at every packet, in bits, for a list of Trial.

    Args:
        flows: N flows of P packets.
        bins: of the paper's estimator, equally probable ones.

    Yields:
        for each trial two (P,): the entropy of the prediction, and the paper's uncorrected estimate from
        binned draws.
    """
    by_step = [trial for trial in trials if trial.feature not in CONSTANT_FEATURES]
    variations = [(trial.feature, trial.values(flows)) for trial in by_step]
    logits = iter(vary_steps(detector, flows, variations, batch_packets=batch_packets) if by_step else [])
    for trial in trials:
        if trial.feature in CONSTANT_FEATURES:
            values = trial.values(flows)
            found = vary_flows(detector, flows, trial.feature, values=values, batch_packets=batch_packets)
        else:
            found = next(logits)
        yield trial.information(flows, found > 0, bins=bins)


def whole_flow_information(
    detector: Detector, flows: FlowData, feature: int, *, values: np.ndarray, batch_packets: int = BATCH_PACKETS
) -> np.ndarray:
    """(P,) bits between the values (P, W) of a feature in a flow's packets up to one, and the prediction there."""
    attacks = (vary_flows(detector, flows, feature, values=values, batch_packets=batch_packets) > 0).sum(axis=1)
    return corrected_entropy(np.stack([attacks, values.shape[1] - attacks], axis=1))


def averages(flows: FlowData, information: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """{level: (S,) weighted averages}, for S weightings of flows.

    "packet" averages over all packets, so that each step counts by the flows that reach it; the paper averages over
    flows, then over steps, where two long flows would count for as much as all first packets. "flow"
    takes each flow's last packet, whose prediction is the flow's.

    Args:
        information: (P,). weights: (S, N) how often each flow counts.
    """
    last = information[flows.start + flows.packet_count - 1]
    of_packets = weights @ np.add.reduceat(information, flows.start) / (weights @ flows.packet_count)
    return {"packet": of_packets, "flow": weights @ last / weights.sum(axis=1)}


def with_interval(
    flows: FlowData, information: np.ndarray, resamples: np.ndarray
) -> dict[str, tuple[float, float, float]]:
    """{level: (value, low, high)}, the averages of one feature with their 95 % intervals.

    Args:
        information: (P,). resamples: (S, N) bootstrap weights of flows.
    """
    value = averages(flows, information, np.ones((1, len(flows))))
    resampled = averages(flows, information, resamples)
    return {level: (value[level][0], *np.quantile(resampled[level], INTERVAL)) for level in LEVELS}


def mutual_information(
    detector: Detector,
    flows: FlowData,
    *,
    pool: FlowData | None = None,
    reachable: Mapping[int, np.ndarray] | None = None,
    draws: int = MutualInformation.draws,
    bins: int = MutualInformation.bins,
    bootstrap_samples: int = BOOTSTRAP_SAMPLES,
    seed: int = 0,
    batch_packets: int = BATCH_PACKETS,
) -> FeatureInformation:
    """Mutual information between each feature and the prediction, in bits (Sec. V-A4, Eq. 5).

    Args:
        detector: any; one that is not stateful takes longer. flows: N flows whose packets are varied.
        pool: flows that say which values occur; None: `flows`.
        reachable: {feature: (P, W) raw values} that an attacker can give to all packets of a flow at once.
        draws: values of a feature tried per packet (constant features: per flow).
        bins: of the paper's estimator.
        bootstrap_samples: resamples of flows, behind the 95 % intervals.
        seed: of the draws and of the bootstrap. batch_packets: packets, with their values, in a batch.
    """
    even = np.full(len(flows), 1 / len(flows))
    resamples = np.random.default_rng(seed).multinomial(len(flows), even, size=bootstrap_samples)
    pool = flows if pool is None else pool
    trials = [
        Trial(
            feature=feature,
            distribution=distribution(pool, feature, draws=draws),
            draws=draws,
            seed=(seed, feature),
            number=number,
        )
        for feature in range(NUM_FEATURES)
        for number, distribution in enumerate((observed_values, attacker_values))
    ]
    found = packet_information(detector, flows, trials, bins=bins, batch_packets=batch_packets)
    of_packets = np.full((len(FeatureInformation._fields), NUM_FEATURES, int(flows.packet_count.sum())), np.nan)
    for feature, ((seen, _), (chosen, binned)) in enumerate(zip(found, found, strict=True)):
        of_packets[:3, feature] = seen, chosen, binned
    for feature in MANIPULABLE_FEATURES:
        uniform = np.random.default_rng((seed, feature, 2)).random((of_packets.shape[-1], draws))
        tried = {3: observed_values(pool, feature, draws=draws).quantile(uniform), 4: (reachable or {}).get(feature)}
        for place, values in tried.items():
            if values is not None:
                of_packets[place, feature] = whole_flow_information(
                    detector, flows, feature, values=values, batch_packets=batch_packets
                )
    return FeatureInformation(*(_estimates(flows, of_metric, resamples) for of_metric in of_packets))


def _estimates(flows: FlowData, information: np.ndarray, resamples: np.ndarray) -> Importance:
    """The averages of one metric (15, P) over packets and flows, and by step; resamples: (S, N)."""
    levels = [with_interval(flows, of_feature, resamples) for of_feature in information]
    return by_level(levels, [mean_by_step(flows, of_feature) for of_feature in information])

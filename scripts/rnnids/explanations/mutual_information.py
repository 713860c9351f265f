"""Mutual information between one packet's feature and the detector's prediction there (Sec. V-A4).

All other inputs fixed, the rounded prediction is a function of the value, so I = H(prediction)
exactly (Eq. 5) and no binning of values is needed. Features that are constant in a flow vary for
the whole flow, the others in one packet alone with the state before it kept. What values a feature
takes decides the result, so there are two distributions: observed, and the attacker's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnids.datasets.features import CONSTANT_FEATURES, FEATURES, INTERARRIVAL_TIME, PACKET_LENGTH
from rnnids.datasets.selection import packet_values
from rnnids.detectors.metrics import INTERVAL
from rnnids.explanations.entropy import corrected_entropy, joint_counts, mutual_information, plugin_entropy
from rnnids.explanations.variation import vary_flows, vary_steps

PORTS = (FEATURES.index("source_port"), FEATURES.index("destination_port"))


@dataclass(frozen=True)
class Values:
    """How a feature's raw values are distributed.

    Attributes:
        quantile: maps uniform numbers in [0, 1) to values.
        listed: (V,) all values, and `probability` (V,) of each; None where there are more than draws.
    """

    quantile: Callable
    listed: np.ndarray | None = None
    probability: np.ndarray | None = None


def discrete(values, probability, draws):
    """The distribution of `values` with `probability`, listed if there are at most `draws` of them."""
    listed = (values, probability) if len(values) <= draws else ()
    return Values(lambda uniform: values[index_of(probability, uniform)], *listed)


def index_of(probability, uniform):
    """Uniform numbers in [0, 1) -> indices 0, 1, ... that occur with `probability`."""
    return np.searchsorted(np.cumsum(probability)[:-1], uniform, side="right")


def observed_values(data, feature, draws):
    """The values of all packets of a FlowData."""
    values, count = np.unique(packet_values(data, feature), return_counts=True)
    return discrete(values, count / count.sum(), draws)


def attacker_values(data, feature, draws):
    """What an attacker might choose.

    Ports and length are uniform over the range that occurs in `data`, interarrival times
    log-uniform from the shortest above 0 to the longest, all others uniform over the values that occur.
    """
    values = np.unique(packet_values(data, feature))
    if feature in (*PORTS, PACKET_LENGTH):
        values = np.arange(values[0], values[-1] + 1.0)
    elif feature == INTERARRIVAL_TIME and values[-1] > 0:
        shortest, longest = values[values > 0][[0, -1]]
        return Values(lambda uniform: shortest * (longest / shortest) ** uniform)
    return discrete(values, np.full(len(values), 1 / len(values)), draws)


@dataclass(frozen=True)
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
    seed: tuple
    number: int = 0

    def uniform(self, data):
        """(P, draws) uniform numbers behind the values, the same at each call."""
        rng, constant = np.random.default_rng(self.seed), self.feature in CONSTANT_FEATURES
        shape = (len(data) if constant else int(data.packet_count.sum()), self.draws)
        for _ in range(self.number + 1):
            numbers = rng.random(shape)
        return np.repeat(numbers, data.packet_count, axis=0) if constant else numbers

    def values(self, data):
        """(P, W) raw values to try."""
        if self.distribution.listed is None:
            return self.distribution.quantile(self.uniform(data))
        listed = self.distribution.listed
        return np.broadcast_to(listed, (int(data.packet_count.sum()), len(listed)))

    def information(self, data, is_attack, bins):
        """What :func:`packet_information` says, given (P, W) predictions."""
        uniform, distribution = self.uniform(data), self.distribution
        if distribution.listed is None:
            attacks = is_attack.sum(axis=1)
            information = corrected_entropy(np.stack([attacks, self.draws - attacks], axis=1))
        else:
            share = (is_attack @ distribution.probability).round(12)  # so that a certain prediction has entropy 0
            information = plugin_entropy(np.stack([share, 1 - share], axis=1))
            is_attack = np.take_along_axis(is_attack, index_of(distribution.probability, uniform), axis=1)
        joint = joint_counts((uniform * bins).astype(np.int64), is_attack, bins)
        return information, mutual_information(joint)


def packet_information(model, data, trials, bins, batch_packets, device="cpu"):
    """Mutual information at every packet, in bits, for a list of Trial.

    Args:
        data: FlowData of N flows and P packets.
        bins: of the paper's estimator, equally probable ones.

    Yields:
        for each trial two (P,): the entropy of the prediction, and the paper's uncorrected estimate from
        binned draws.
    """
    by_step = [trial for trial in trials if trial.feature not in CONSTANT_FEATURES]
    variations = [(trial.feature, trial.values(data)) for trial in by_step]
    logits = iter(vary_steps(model, data, variations, batch_packets, device) if by_step else [])
    for trial in trials:
        if trial.feature in CONSTANT_FEATURES:
            found = vary_flows(model, data, trial.feature, trial.values(data), batch_packets, device)
        else:
            found = next(logits)
        yield trial.information(data, found > 0, bins)


def averages(data, information, weights):
    """{level: (S,) weighted averages}, for S weightings of flows.

    "packet" averages over the flows that reach a step, then over steps, as the paper; "flow" takes
    each flow's last packet, whose prediction is the flow's.

    Args:
        information: (P,). weights: (S, N) how often each flow counts.
    """
    last = information[data.start + data.packet_count - 1]
    steps = np.arange(data.packet_count.max())
    reached = steps < data.packet_count[:, None]
    padded = np.zeros(reached.shape)
    padded[reached] = information
    with np.errstate(invalid="ignore"):
        by_step = (weights @ padded) / (weights @ reached)
    return {"packet": np.nanmean(by_step, axis=1), "flow": weights @ last / weights.sum(axis=1)}


def information_rows(metric, name, data, information, resamples):
    """Rows metric, level, feature, value, low, high of one feature.

    Args:
        information: (P,). resamples: (S, N) bootstrap weights of flows.
    """
    value = averages(data, information, np.ones((1, len(data))))
    rows = []
    for level, resampled in averages(data, information, resamples).items():
        low, high = np.quantile(resampled, INTERVAL)
        row = {"metric": metric, "level": level, "feature": name, "value": value[level][0]}
        rows.append(row | {"low": low, "high": high})
    return rows


def mutual_information_rows(model, data, pool, draws, bins, samples, seed, batch_packets, device="cpu"):
    """All features under both distributions, and the attacker's by the paper's binned estimator.

    Args:
        data: FlowData to vary. pool: FlowData that says which values occur.
        samples: bootstrap resamples of flows, behind the 95 % intervals.

    Returns:
        rows of :func:`information_rows`.
    """
    resamples = np.random.default_rng(seed).multinomial(len(data), np.full(len(data), 1 / len(data)), size=samples)
    trials = [
        Trial(feature, distribution(pool, feature, draws), draws, (seed, feature), number)
        for feature in range(len(FEATURES))
        for number, distribution in enumerate((observed_values, attacker_values))
    ]
    found = packet_information(model, data, trials, bins, batch_packets, device)
    rows = []
    for name, (seen, _), (chosen, binned) in zip(FEATURES, found, found, strict=True):
        for metric, information in (("observed", seen), ("attacker", chosen), ("binned", binned)):
            rows += information_rows(f"mutual_information_{metric}", name, data, information, resamples)
    return rows

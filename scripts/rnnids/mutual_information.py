"""Mutual information between one packet's feature and the detector's prediction there (Sec. V-A4).

All other inputs fixed, the rounded prediction is a function of the value, so I = H(prediction)
exactly (Eq. 5) and no binning of values is needed. Features that are constant in a flow vary for
the whole flow, the others in one packet alone with the state before it kept. What values a feature
takes decides the result, so there are two distributions: observed, and the attacker's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnids.entropy import corrected_entropy, joint_counts, mutual_information, plugin_entropy
from rnnids.features import CONSTANT_FEATURES, FEATURES, INTERARRIVAL_TIME, PACKET_LENGTH
from rnnids.interventions import vary_flows, vary_steps
from rnnids.metrics import INTERVAL
from rnnids.selection import packet_values

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


def packet_information(model, data, feature, distribution, draws, bins, rng, batch_packets, device="cpu"):
    """Mutual information at every packet, in bits.

    Args:
        data: FlowData of N flows and P packets. distribution: Values of the feature.
        draws: values per packet (constant features: per flow); listed values are all tried instead,
            which leaves nothing to estimate.
        bins: of the paper's estimator, equally probable ones.

    Returns:
        two (P,): the entropy of the prediction, and the paper's uncorrected estimate from binned draws.
    """
    if feature in CONSTANT_FEATURES:
        vary, uniform = vary_flows, np.repeat(rng.random((len(data), draws)), data.packet_count, axis=0)
    else:
        vary, uniform = vary_steps, rng.random((int(data.packet_count.sum()), draws))
    if distribution.listed is None:
        is_attack = vary(model, data, feature, distribution.quantile(uniform), batch_packets, device) > 0
        attacks = is_attack.sum(axis=1)
        information = corrected_entropy(np.stack([attacks, draws - attacks], axis=1))
    else:
        values = np.broadcast_to(distribution.listed, (len(uniform), len(distribution.listed)))
        of_value = vary(model, data, feature, values, batch_packets, device) > 0
        share = (of_value @ distribution.probability).round(12)  # a certain prediction has entropy 0, not 1e-15
        information = plugin_entropy(np.stack([share, 1 - share], axis=1))
        is_attack = np.take_along_axis(of_value, index_of(distribution.probability, uniform), axis=1)
    joint = joint_counts((uniform * bins).astype(np.int64), is_attack, bins)
    return information, mutual_information(joint)


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
    rows = []
    for feature, name in enumerate(FEATURES):
        rng = np.random.default_rng([seed, feature])
        settings = draws, bins, rng, batch_packets, device
        seen, _ = packet_information(model, data, feature, observed_values(pool, feature, draws), *settings)
        chosen, binned = packet_information(model, data, feature, attacker_values(pool, feature, draws), *settings)
        for metric, information in (("observed", seen), ("attacker", chosen), ("binned", binned)):
            rows += information_rows(f"mutual_information_{metric}", name, data, information, resamples)
    return rows

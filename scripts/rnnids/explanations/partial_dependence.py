"""Partial dependence of the detector on a feature's value: for flows (Eq. 6) and for steps (Eq. 7).

Both condition on the attack type: they average predictions over its flows. Setting a feature to
values that its flows never show can leave the support of the data, so what was observed is
reported too.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnids import settings
from rnnids.datasets.features import CONSTANT_FEATURES, FEATURES, INTERARRIVAL_TIME, PACKET_LENGTH
from rnnids.datasets.flow_data import FlowData
from rnnids.datasets.selection import packet_values
from rnnids.detectors.protocol import Detector
from rnnids.errors import InputError
from rnnids.explanations.per_step import flows_by_step, mean_by_step, median_by_step
from rnnids.explanations.variation import BATCH_PACKETS, feature_index, vary_flows, vary_steps
from rnnids.settings import setting

BAND = (0.1, 0.9)  # quantiles of single flows


@dataclass(frozen=True, kw_only=True)
class PartialDependence:
    """Settings of :func:`partial_dependence`: which features, at how many values, of which flows (Sec. V-B)."""

    features: tuple[str, ...] = setting(
        ("source_port", "destination_port"), "features to vary, one by one", choices=FEATURES
    )
    grid_size: int = setting(100, "values of a feature, at most", minimum=2)
    max_flows: int | None = setting(40, "flows of an attack type, at most; none: all. The paper: 1000", minimum=1)

    def __post_init__(self) -> None:
        settings.check(self)
        if not self.features:
            raise InputError(f"features: name at least one of {', '.join(FEATURES)}")


@dataclass(frozen=True, kw_only=True)
class SequentialDependence:
    """Settings of :func:`sequential_partial_dependence`: at how many values, of how long flows (Sec. V-C)."""

    grid_size: int = setting(50, "values of a feature, at most. The paper: 100", minimum=2)
    max_steps: int = setting(30, "packets of a flow, at most", minimum=1)

    def __post_init__(self) -> None:
        settings.check(self)


class Dependence(NamedTuple):
    """How the prediction of flows depends on a feature's value.

    Attributes:
        value: (W,) raw values of the feature, sorted.
        prediction: (W,) mean probability of attack.
        low, high: (W,) its 10 % and 90 % quantiles over single flows: where the mean hides that they differ.
        flows: number of flows behind each value.
    """

    value: np.ndarray
    prediction: np.ndarray
    low: np.ndarray
    high: np.ndarray
    flows: int


class StepDependence(NamedTuple):
    """How the mean prediction at each step depends on a feature's value there.

    Attributes:
        value: (W,) raw values of the feature, sorted.
        prediction: (T, W) mean probability of attack.
        flows: (T,) number of flows that reach a step.
    """

    value: np.ndarray
    prediction: np.ndarray
    flows: np.ndarray


class ObservedCounts(NamedTuple):
    """How often values occur.

    Attributes:
        value: (V,) raw values, sorted. occurrences: (V,) flows or packets that have them.
    """

    value: np.ndarray
    occurrences: np.ndarray


class StepMeans(NamedTuple):
    """A feature at each step, before and after an attack.

    Attributes:
        flows: (T,) number of flows that reach a step.
        original, adversarial: (T,) means over them, raw units.
        original_median, adversarial_median: (T,) medians: a mean of delays is that of the longest one.
    """

    flows: np.ndarray
    original: np.ndarray
    adversarial: np.ndarray
    original_median: np.ndarray
    adversarial_median: np.ndarray


def value_grid(values: np.ndarray, feature: int, *, size: int) -> np.ndarray:
    """At most `size` raw values of a feature at which to evaluate a detector, sorted.

    Lengths: evenly spaced whole numbers. Interarrival times: 0, then logarithmically spaced, as they
    span orders of magnitude. Others: all values if there are no more than `size`; else, for ports,
    half of them evenly spaced and half those observed most often, which an even grid would miss.

    Args:
        values: observed raw values.
    """
    distinct, count = np.unique(values, return_counts=True)
    if feature == INTERARRIVAL_TIME:
        positive = distinct[distinct > 0]
        spaced = np.geomspace(positive[0], positive[-1], size - 1) if len(positive) > 1 else positive
        return np.concatenate([[0.0], spaced])
    if len(distinct) <= size and feature != PACKET_LENGTH:
        return distinct.astype(float)
    frequent = distinct[np.argsort(-count, kind="stable")[: 0 if feature == PACKET_LENGTH else size // 2]]
    even = np.linspace(distinct[0], distinct[-1], size - len(frequent)).round()
    return np.unique(np.concatenate([even, frequent]))


def partial_dependence(
    detector: Detector,
    flows: FlowData,
    *,
    feature: str | int,
    grid: np.ndarray | None = None,
    grid_size: int = PartialDependence.grid_size,
    batch_packets: int = BATCH_PACKETS,
) -> Dependence:
    """Conditional partial dependence (Eq. 6), given `flows`, for example those of one type.

    Args:
        detector: any detector.
        flows: N flows.
        feature: name or index.
        grid: (W,) raw values, written into all packets of a flow; None: :func:`value_grid` of `flows`.
        grid_size: values of that grid, at most.
        batch_packets: padded packets per batch over all values.

    Returns:
        the attack probability of the flows' last packets at W values.
    """
    index = feature_index(feature)
    if grid is None:
        grid = value_grid(packet_values(flows, index), index, size=grid_size)
    values = np.broadcast_to(grid, (int(flows.packet_count.sum()), len(grid)))
    logits = vary_flows(detector, flows, index, values=values, batch_packets=batch_packets)
    single = probability(logits[flows.start + flows.packet_count - 1])  # (N, W), a flow's own dependence each
    low, high = np.quantile(single, BAND, axis=0)
    return Dependence(grid, single.mean(axis=0), low, high, len(flows))


def sequential_partial_dependence(
    detector: Detector,
    flows: FlowData,
    *,
    feature: str | int,
    grid: np.ndarray | None = None,
    grid_size: int = SequentialDependence.grid_size,
    batch_packets: int = BATCH_PACKETS,
) -> StepDependence:
    """Sequential partial dependence (Eq. 7), given `flows`, for example those of one type.

    Args:
        detector: any detector; one that is not stateful takes longer.
        flows: N flows, T packets the longest.
        feature: name or index.
        grid: (W,) raw values, written into one packet at a time; None: :func:`value_grid` of `flows`.
        grid_size: values of that grid, at most.
        batch_packets: packets, with their values, in a batch.

    Returns:
        the mean attack probability at T steps and W values, over the flows that reach a step.
    """
    index = feature_index(feature)
    if grid is None:
        grid = value_grid(packet_values(flows, index), index, size=grid_size)
    values = np.broadcast_to(grid, (int(flows.packet_count.sum()), len(grid)))
    (logits,) = vary_steps(detector, flows, [(index, values)], batch_packets=batch_packets)
    return StepDependence(grid, mean_by_step(flows, probability(logits)), flows_by_step(flows))


def probability(logits: np.ndarray) -> np.ndarray:
    """Attack probability, as float64."""
    return 1 / (1 + np.exp(-logits.astype(float)))


def observed_counts(flows: FlowData, feature: int, *, grid: np.ndarray) -> ObservedCounts:
    """How often a feature's values occur; interarrival times at the nearest of `grid`.

    Counts flows for features that are constant in a flow, packets for the others.
    """
    values = flows.flows[FEATURES[feature]] if feature in CONSTANT_FEATURES else packet_values(flows, feature)
    if feature == INTERARRIVAL_TIME:
        values = grid[np.searchsorted((grid[1:] + grid[:-1]) / 2, values)]
    return ObservedCounts(*np.unique(values, return_counts=True))


def step_means(original: FlowData, adversarial: FlowData, feature: int, *, evaded: np.ndarray) -> StepMeans:
    """Means and medians of original and adversarial flows at each step (Fig. 8).

    They are over the flows that evaded detection; where none did, over all, with no adversarial mean (NaN).

    Args:
        original, adversarial: the same N flows. evaded: (N,) bool.
    """
    chosen = evaded if evaded.any() else np.ones_like(evaded)
    both = [flows.take(chosen) for flows in (original, adversarial)]
    means, medians = (
        [reduce(flows, packet_values(flows, feature)) for flows in both] for reduce in (mean_by_step, median_by_step)
    )
    if not evaded.any():
        means[1], medians[1] = (np.full(len(means[0]), np.nan) for _ in range(2))
    return StepMeans(flows_by_step(both[0]), *means, *medians)

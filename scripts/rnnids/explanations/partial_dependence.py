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
from rnnids.explanations.variation import BATCH_PACKETS, feature_index, vary_flows, vary_steps
from rnnids.flows.ranges import ragged_arange
from rnnids.settings import setting


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
    """How the mean prediction depends on a feature's value.

    Attributes:
        value: (W,) raw values of the feature, sorted.
        prediction: mean probability of attack; (W,) for flows, (T, W) for steps.
    """

    value: np.ndarray
    prediction: np.ndarray


class ObservedCounts(NamedTuple):
    """How often values occur.

    Attributes:
        value: (V,) raw values, sorted. occurrences: (V,) flows or packets that have them.
    """

    value: np.ndarray
    occurrences: np.ndarray


class StepMeans(NamedTuple):
    """Means of a feature at each step, before and after an attack.

    Attributes:
        flows: (T,) number of flows that reach a step.
        original, adversarial: (T,) means over them, raw units.
    """

    flows: np.ndarray
    original: np.ndarray
    adversarial: np.ndarray


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
        prediction (W,): mean attack probability of the flows' last packets.
    """
    index = feature_index(feature)
    if grid is None:
        grid = value_grid(packet_values(flows, index), index, size=grid_size)
    values = np.broadcast_to(grid, (int(flows.packet_count.sum()), len(grid)))
    logits = vary_flows(detector, flows, index, values=values, batch_packets=batch_packets)
    return Dependence(grid, probability(logits[flows.start + flows.packet_count - 1]).mean(axis=0))


def sequential_partial_dependence(
    detector: Detector,
    flows: FlowData,
    *,
    feature: str | int,
    grid: np.ndarray | None = None,
    grid_size: int = SequentialDependence.grid_size,
    batch_packets: int = BATCH_PACKETS,
) -> Dependence:
    """Sequential partial dependence (Eq. 7), given `flows`, for example those of one type.

    Args:
        detector: any detector; one that is not stateful takes longer.
        flows: N flows, T packets the longest.
        feature: name or index.
        grid: (W,) raw values, written into one packet at a time; None: :func:`value_grid` of `flows`.
        grid_size: values of that grid, at most.
        batch_packets: packets, with their values, in a batch.

    Returns:
        prediction (T, W): mean attack probability at a step, over the flows that reach it.
    """
    index = feature_index(feature)
    if grid is None:
        grid = value_grid(packet_values(flows, index), index, size=grid_size)
    values = np.broadcast_to(grid, (int(flows.packet_count.sum()), len(grid)))
    (logits,) = vary_steps(detector, flows, [(index, values)], batch_packets=batch_packets)
    return Dependence(grid, mean_by_step(flows, probability(logits)))


def probability(logits: np.ndarray) -> np.ndarray:
    """Attack probability, as float64."""
    return 1 / (1 + np.exp(-logits.astype(float)))


def mean_by_step(flows: FlowData, values: np.ndarray) -> np.ndarray:
    """Means of per-packet `values` (P, ...) at each step, over the flows that reach it: (T, ...)."""
    step = ragged_arange(np.zeros(len(flows), dtype=np.int64), flows.packet_count)
    total = np.zeros((int(flows.packet_count.max()), *values.shape[1:]))
    np.add.at(total, step, values)
    return (total.T / np.bincount(step)).T


def observed_counts(flows: FlowData, feature: int, *, grid: np.ndarray) -> ObservedCounts:
    """How often a feature's values occur; interarrival times at the nearest of `grid`.

    Counts flows for features that are constant in a flow, packets for the others.
    """
    values = flows.flows[FEATURES[feature]] if feature in CONSTANT_FEATURES else packet_values(flows, feature)
    if feature == INTERARRIVAL_TIME:
        values = grid[np.searchsorted((grid[1:] + grid[:-1]) / 2, values)]
    return ObservedCounts(*np.unique(values, return_counts=True))


def step_means(original: FlowData, adversarial: FlowData, feature: int, *, evaded: np.ndarray) -> StepMeans:
    """Means of original and adversarial flows at each step (Fig. 8).

    They are over the flows that evaded detection; where none did, over all, with no adversarial mean (NaN).

    Args:
        original, adversarial: the same N flows. evaded: (N,) bool.
    """
    chosen = evaded if evaded.any() else np.ones_like(evaded)
    before, after = (
        mean_by_step(flows, packet_values(flows, feature))
        for flows in (original.take(chosen), adversarial.take(chosen))
    )
    reaching = (original.packet_count[chosen, None] > np.arange(len(before))).sum(axis=0)
    return StepMeans(reaching, before, after if evaded.any() else np.full_like(before, np.nan))

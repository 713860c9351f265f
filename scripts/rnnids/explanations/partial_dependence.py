"""Partial dependence of the detector on a feature's value: for flows (Eq. 6) and for steps (Eq. 7).

Both condition on the attack type: they average predictions over its flows. Setting a feature to
values that its flows never show can leave the support of the data, so what was observed is
reported too.
"""

import numpy as np

from rnnids.datasets.features import CONSTANT_FEATURES, FEATURES, INTERARRIVAL_TIME, PACKET_LENGTH
from rnnids.datasets.selection import packet_values
from rnnids.explanations.variation import vary_flows, vary_steps
from rnnids.flows.ranges import ragged_arange


def value_grid(values, feature, size):
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
    frequent = distinct[np.argsort(-count, kind="stable")[: size // 2]] if feature != PACKET_LENGTH else []
    even = np.linspace(distinct[0], distinct[-1], size - len(frequent)).round()
    return np.unique(np.concatenate([even, frequent]))


def partial_dependence(model, data, feature, grid, batch_packets, device="cpu"):
    """Conditional partial dependence (Eq. 6), given the flows of one type.

    Args:
        data: FlowData of N flows. grid: (W,) raw values, written into all packets of a flow.

    Returns:
        (W,) mean attack probability of the flows' last packets.
    """
    values = np.broadcast_to(grid, (int(data.packet_count.sum()), len(grid)))
    logits = vary_flows(model, data, feature, values, batch_packets, device)
    return probability(logits[data.start + data.packet_count - 1]).mean(axis=0)


def sequential_partial_dependence(model, data, feature, grid, batch_packets, device="cpu"):
    """Sequential partial dependence (Eq. 7), given the flows of one type.

    Args:
        data: FlowData of N flows, T packets the longest. grid: (W,) raw values, written into one packet at a time.

    Returns:
        (T, W) mean attack probability at a step, over the flows that reach it.
    """
    values = np.broadcast_to(grid, (int(data.packet_count.sum()), len(grid)))
    (logits,) = vary_steps(model, data, [(feature, values)], batch_packets, device)
    return mean_by_step(data, probability(logits))


def probability(logits):
    """Attack probability, as float64."""
    return 1 / (1 + np.exp(-logits.astype(float)))


def mean_by_step(data, values):
    """Means of per-packet `values` (P, ...) at each step, over the flows that reach it: (T, ...)."""
    step = ragged_arange(np.zeros(len(data), dtype=np.int64), data.packet_count)
    total = np.zeros((int(data.packet_count.max()), *values.shape[1:]))
    np.add.at(total, step, values)
    return (total.T / np.bincount(step)).T


def observed_rows(data, feature, grid):
    """Rows value, count: how often a feature's values occur; interarrival times at the nearest of `grid`.

    Counts flows for features that are constant in a flow, packets for the others.
    """
    values = data.flows[FEATURES[feature]] if feature in CONSTANT_FEATURES else packet_values(data, feature)
    if feature == INTERARRIVAL_TIME:
        values = grid[np.searchsorted((grid[1:] + grid[:-1]) / 2, values)]
    values, count = np.unique(values, return_counts=True)
    return [{"value": value, "count": number} for value, number in zip(values.tolist(), count.tolist(), strict=True)]


def sequential_rows(model, original, adversarial, feature, size, batch_packets, device="cpu"):
    """Sequential partial dependence over a grid that spans original and adversarial values (Fig. 8).

    Args:
        original, adversarial: FlowData of the same flows of one attack type.

    Returns:
        rows step, value, confidence (of the prediction attack); steps count from 1.
    """
    both = np.concatenate([packet_values(flows, feature) for flows in (original, adversarial)])
    grid = value_grid(both, feature, size)
    mean = sequential_partial_dependence(model, original, feature, grid, batch_packets, device)
    return [
        {"step": step, "value": value, "confidence": confidence}
        for step, line in enumerate(mean.tolist(), start=1)
        for value, confidence in zip(grid.tolist(), line, strict=True)
    ]


def mean_rows(original, adversarial, evaded, feature):
    """Means of original and adversarial flows at each step (Fig. 8).

    They are over the flows that evaded detection; where none did, over all, with no adversarial mean.

    Args:
        original, adversarial: FlowData of the same N flows. evaded: (N,) bool.

    Returns:
        rows step, flows, original, adversarial (raw units).
    """
    chosen = evaded if evaded.any() else np.ones_like(evaded)
    means = []
    for flows in (original.take(chosen), adversarial.take(chosen)):
        means.append(mean_by_step(flows, packet_values(flows, feature)))
    reaching = (original.packet_count[chosen, None] > np.arange(len(means[0]))).sum(axis=0)
    if not evaded.any():
        means[1] = np.full_like(means[0], np.nan)
    return [
        {"step": step, "flows": flows, "original": before, "adversarial": after}
        for step, (flows, before, after) in enumerate(zip(reaching.tolist(), *means, strict=True), start=1)
    ]

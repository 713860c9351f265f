"""Whether the ranks that one thing gives to cells are those that another gives: Spearman's correlation over groups."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from rnnids.detectors.metrics import INTERVAL

FEWEST = 3  # cells of a group: with two, a correlation is -1 or 1


class Agreement(NamedTuple):
    """Mean rank correlation over groups.

    Attributes:
        value, low, high: the mean and its 95 % interval over resampled groups; NaN without groups.
        p_value: share of random orders within the groups whose mean is as far from 0.
        groups: number of them.
    """

    value: float
    low: float
    high: float
    p_value: float
    groups: int


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, with mean ranks of ties; NaN where either is constant or there are fewer than three values."""
    if len(first) < FEWEST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    return float(_scores(first) @ _scores(second) / len(first))


def _scores(values: np.ndarray) -> np.ndarray:
    """Ranks, those of ties their mean, standardised."""
    ranks = pd.Series(values).rank().to_numpy()
    return (ranks - ranks.mean()) / ranks.std()


def mean_agreement(
    groups: list[tuple[np.ndarray, np.ndarray]], *, samples: int = 1000, rng: np.random.Generator
) -> Agreement:
    """The mean correlation over groups of two arrays each; those without a correlation are left out."""
    kept = [pair for pair in groups if not np.isnan(rank_correlation(*pair))]
    if not kept:
        return Agreement(np.nan, np.nan, np.nan, np.nan, 0)
    found = np.array([rank_correlation(*pair) for pair in kept])
    resampled = found[rng.integers(len(found), size=(samples, len(found)))].mean(axis=1)
    low, high = np.quantile(resampled, INTERVAL)
    # Pearson's correlation of standardised ranks is a mean of products: all random orders at once.
    total = np.zeros(samples)
    for first, second in kept:
        orders = rng.permuted(np.tile(_scores(second), (samples, 1)), axis=1)
        total += orders @ _scores(first) / len(first)
    as_far = np.abs(total / len(kept)) >= abs(found.mean()) - 1e-12
    return Agreement(float(found.mean()), float(low), float(high), float((as_far.sum() + 1) / (samples + 1)), len(kept))

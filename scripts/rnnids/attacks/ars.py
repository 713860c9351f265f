"""The Adversarial Robustness Score (ARS, Eq. 3) of distances that a search has found."""

import math

import numpy as np
from numpy.typing import ArrayLike

from rnnids.detectors.metrics import INTERVAL


def adversarial_robustness_score(distances: ArrayLike) -> float:
    """Eq. 3: the mean of the ceil(N/2) smallest distances.

    Args:
        distances: (N,) z-score L1 distances, infinite where the attack failed.

    Returns:
        float; infinite if fewer than ceil(N/2) flows were fooled, NaN for N = 0.
    """
    distances = np.asarray(distances, dtype=float)
    if not len(distances):
        return math.nan
    return float(np.sort(distances)[: math.ceil(len(distances) / 2)].mean())


def bootstrap_interval(distances: np.ndarray, samples: int, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of the ARS over resampled flows; either end may be infinite, NaN for N = 0."""
    if not len(distances):
        return math.nan, math.nan
    resampled = [adversarial_robustness_score(rng.choice(distances, len(distances))) for _ in range(samples)]
    # Interpolating between a finite and an infinite value is undefined, so take existing values.
    low = np.quantile(resampled, INTERVAL[0], method="lower")
    return float(low), float(np.quantile(resampled, INTERVAL[1], method="higher"))


def ars_rows(
    attack: np.ndarray, category: np.ndarray, distances: np.ndarray, *, samples: int, rng: np.random.Generator
) -> list[dict]:
    """Score of each attack type that occurs.

    Args:
        attack, category: (N,) of each flow. distances: (N,) as of Eq. 3.

    Returns:
        list of dicts with the columns of ars.csv; `attack` and `category` are still numbers.
    """
    rows = []
    for kind in np.unique(attack).tolist():
        own = distances[attack == kind]
        low, high = bootstrap_interval(own, samples, rng)
        rows.append(
            {
                "attack": kind,
                "category": int(category[attack == kind][0]),
                "flows": len(own),
                "already_benign": int((own == 0).sum()),
                "success_ratio": float(np.isfinite(own).mean()),
                "ars": adversarial_robustness_score(own),
                "low": low,
                "high": high,
                "ars_detected": adversarial_robustness_score(own[own > 0]),
            }
        )
    return rows

"""The Adversarial Robustness Score (ARS, Eq. 3) of distances that a search has found."""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from rnnids.detectors.metrics import INTERVAL

CLOSE = 1e-3  # relative gap between bounds of a distance from which on it counts as proven


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


def resampled_scores(distances: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """(samples,) ARS of resampled flows; NaN for N = 0."""
    return np.array([adversarial_robustness_score(rng.choice(distances, len(distances))) for _ in range(samples)])


def score_interval(scores: np.ndarray) -> tuple[float, float]:
    """95 % interval of the ARS, from :func:`resampled_scores`; either end may be infinite, NaN where the scores are."""
    # Interpolating between a finite and an infinite value is undefined, so take existing values.
    low, high = np.quantile(scores, INTERVAL[0], method="lower"), np.quantile(scores, INTERVAL[1], method="higher")
    return float(low), float(high)


def bootstrap_interval(distances: np.ndarray, samples: int, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of the ARS over resampled flows; either end may be infinite, NaN for N = 0."""
    return score_interval(resampled_scores(distances, samples, rng))


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


def robustness_rows(flows: pd.DataFrame, *, samples: int, rng: np.random.Generator) -> list[dict]:
    """Score of each attack type that a search went through.

    Args:
        flows: columns of ``attacks.files.write_search``, one row a flow, and `lower`, that no distance is below.

    Returns:
        the rows of :func:`ars_rows` with `immovable`, `ars_margin`, `exact`, `early_alarm`, `ars_lower` and
        `certified`, the share of flows that nothing can hide.
    """
    columns = (flows[name].to_numpy() for name in ("attack", "category", "l1"))
    rows = ars_rows(*columns, samples=samples, rng=rng)
    for row in rows:
        own = flows[flows["attack"] == row["attack"]].sort_values("l1", kind="stable")
        behind = own.head(math.ceil(len(own) / 2))
        evasions = own[own["success"] & ~own["already_benign"]]
        row |= {
            "already_benign": int(own["already_benign"].sum()),
            "immovable": int((own["free"] == 0).sum()),
            "ars_margin": adversarial_robustness_score(own["l1_margin"]),
            "exact": float(behind["exact"].mean()),
            "early_alarm": float(evasions["early_alarm"].mean()) if len(evasions) else math.nan,
            "ars_lower": adversarial_robustness_score(own["lower"]),
            "certified": float(np.isinf(own["lower"]).mean()),
        }
    return rows

"""What several trainings of one model say together: a mean, and an interval over trainings and flows.

A value measured on one trained detector varies for two reasons. Another seed gives another detector; other flows would
have been tested. All trainings are tested on the same flows, so the second part is largely common to them and does not
shrink with their number:

    variance of the mean = S^2 / K + rho * V

with the variance S^2 between the K trainings, the variance V of one training's value over resampled flows and the
correlation rho of that part between trainings. S^2 / K has K - 1 degrees of freedom, rho * V as many as there are
flows; the interval is Student's, with the degrees of freedom of the sum (Satterthwaite 1946).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

COVERED = 0.95
HALF_WIDTHS = 2 * stats.norm.ppf((1 + COVERED) / 2)  # standard deviations in a 95 % interval


@dataclass(frozen=True, kw_only=True)
class OverSeeds:
    """A quantity over K trainings: `mean` with its interval from `low` to `high`, and the `deviation` between them.

    Where a value is infinite, `mean` is infinite and there is no interval; with one training the interval is that over
    flows alone and the deviation NaN.
    """

    mean: float
    deviation: float
    low: float
    high: float


def over_seeds(
    values: ArrayLike, lows: ArrayLike, highs: ArrayLike, *, correlation: float = 1.0, limits: tuple[float, float]
) -> OverSeeds:
    """The mean of a quantity over trainings, and its 95 % interval over trainings and flows.

    Args:
        values: (K,) the quantity of each training. lows, highs: (K,) its 95 % interval over flows.
        correlation: of the part that flows have in it, between trainings (:func:`shared_part`); 1 is the cautious one.
        limits: the least and the largest value that the quantity can have.
    """
    values = np.asarray(values, dtype=float)
    lows, highs = np.asarray(lows, dtype=float), np.asarray(highs, dtype=float)
    mean = float(values.mean())
    if len(values) == 1:
        return OverSeeds(mean=mean, deviation=math.nan, low=float(lows[0]), high=float(highs[0]))
    if not np.isfinite(values).all():
        return OverSeeds(mean=mean, deviation=math.nan, low=math.nan, high=math.nan)
    between = float(values.var(ddof=1)) / len(values)
    widths = (highs - lows)[np.isfinite(highs - lows)]
    total = between + max(correlation, 0.0) * float(np.mean((widths / HALF_WIDTHS) ** 2)) if len(widths) else between
    freedom = (len(values) - 1) * (total / between) ** 2 if between > 0 else math.inf
    reach = float(stats.t.ppf((1 + COVERED) / 2, min(freedom, 1e6))) * math.sqrt(total)
    deviation = float(values.std(ddof=1))
    return OverSeeds(
        mean=mean, deviation=deviation, low=max(mean - reach, limits[0]), high=min(mean + reach, limits[1])
    )


def shared_part(resampled: np.ndarray) -> float:
    """How alike resampled flows move a quantity of several trainings: the mean correlation of pairs of them.

    Args:
        resampled: (S, K) the quantity on S resamples of the flows, the same ones for all K trainings.

    Returns:
        between -1 and 1; 1 where a quantity does not move, so that nothing is known, or K is 1.
    """
    finite = resampled[np.isfinite(resampled).all(axis=1)]
    moving = finite[:, finite.std(axis=0) > 0] if len(finite) > 1 else finite[:, :0]
    if moving.shape[1] < 2:
        return 1.0
    correlations = np.corrcoef(moving, rowvar=False)
    return float(correlations[np.triu_indices_from(correlations, k=1)].mean())

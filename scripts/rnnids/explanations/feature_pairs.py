"""How far two features replace each other: the score of Eq. 4 with its interval (Sec. V-A3)."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rnnids.datasets.features import NUM_FEATURES
from rnnids.detectors.metrics import INTERVAL, bootstrap_counts

Losses = Mapping[tuple[int, ...], Mapping[str, np.ndarray]]


class PairScores(NamedTuple):
    """How far the features of each pair replace each other (Eq. 4, of flow accuracy).

    Attributes:
        first, second: (105,) indices into ``FEATURES``.
        drop_1, drop_2, drop_both: (105,) drops in accuracy without the first, the second, both.
        score: (105,), see :func:`pair_score`. low, high: (105,) its 95 % interval, see :func:`score_interval`.
        status: (105,) texts: "ok", or why a score should not be ranked, see :func:`pair_status`.
    """

    first: np.ndarray
    second: np.ndarray
    drop_1: np.ndarray
    drop_2: np.ndarray
    drop_both: np.ndarray
    score: np.ndarray
    low: np.ndarray
    high: np.ndarray
    status: np.ndarray


def pair_score(drop_1: float, drop_2: float, drop_both: float) -> float:
    """Eq. 4, the drops floored at 0; 0/0 is NaN, x/0 infinite.

    Features that replace each other score high, those with nothing in common 0.5 to 1. At least 0.5
    holds where the pair's drop is not below either single one; the paper's weaker condition, no
    negative drop, is not enough.
    """
    return float(_scores(np.array([[drop_1, drop_2, drop_both]]))[0])


def _scores(drops: np.ndarray) -> np.ndarray:
    """Eq. 4 of drops (S, 3)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        single_1, single_2, both = np.maximum(drops, 0).T
        return both / (single_1 + single_2)


def score_interval(lost: np.ndarray, *, bootstrap_samples: int, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of a pair's score over resampled flows.

    Where nothing drops, a resample has no score: it counts as 0 for the lower end and as infinite for the upper, so
    that a score which hangs on a single flow is as uncertain as it is.

    Args:
        lost: (N, 3) correct predictions that each flow lost without the first, the second and both.
    """
    scores = _scores(bootstrap_counts(lost.astype(np.int64), bootstrap_samples, rng))
    # Interpolating between a finite and an infinite value is undefined, so take existing values.
    low = np.quantile(np.nan_to_num(scores, nan=0.0, posinf=np.inf), INTERVAL[0], method="lower")
    return float(low), float(np.quantile(np.where(np.isnan(scores), np.inf, scores), INTERVAL[1], method="higher"))


def pair_status(score: float, *, noise: bool, constant: bool = False) -> str:
    """Whether a score can be read: "ok", "constant" (a feature), "undefined" (0/0), "infinite" (x/0) or "noise"."""
    if constant:
        return "constant"
    if np.isnan(score):
        return "undefined"
    if np.isinf(score):
        return "infinite"
    return "noise" if noise else "ok"


def pair_scores(
    losses: Losses, *, noise: np.ndarray, constant: np.ndarray, bootstrap_samples: int, rng: np.random.Generator
) -> PairScores:
    """The 105 pair scores of Eq. 4 on flow accuracy.

    Args:
        losses: of ``importance.dropout_losses``.
        noise: (15,) bool, features whose drop has an interval that holds 0; a pair of two such has status "noise".
        constant: (15,) bool, features that have one value in all packets; a pair with one has status "constant".
    """
    pairs = list(itertools.combinations(range(NUM_FEATURES), 2))
    rows = []
    for first, second in pairs:
        lost = np.stack([losses[features]["flow"] for features in ((first,), (second,), (first, second))], axis=1)
        drops = lost.mean(axis=0)
        score = pair_score(*drops.tolist())
        either, both = bool(constant[[first, second]].any()), bool(noise[[first, second]].all())
        interval = score_interval(lost, bootstrap_samples=bootstrap_samples, rng=rng)
        rows.append((*drops.tolist(), score, *interval, pair_status(score, noise=both, constant=either)))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return PairScores(*np.array(pairs).T, *columns)

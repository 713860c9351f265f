"""Random changes of a flow, for a search that does not trust its gradients.

All are z-scores by which lengths and interarrival times grow, (T, 2) a flow, within its `limit`.
"""

import numpy as np

SMALLEST = 1e-9  # z-scores: below, a change is none
CORNERS = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])[:, None]
SPARSE = (0.15, 0.3, 0.5, 1.0)  # odds of a number to change
ALONE = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])[:, None]


def random_changes(limit: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, T, 2) z-scores within `limit` (T, 2): the corners, then random points.

    They change both features, lengths alone, delays alone or few numbers alone, in turn; shares of the limit are
    uniform or spread over orders of magnitude.
    """
    kind, spread = np.arange(draws) % 4, np.arange(draws) // 4 % 2 == 1
    share = rng.random((draws, *limit.shape))
    np.power(10.0, -6 * share, out=share, where=spread[:, None, None])
    share *= ALONE[kind]
    share[kind == 3] *= few(limit, int((kind == 3).sum()), rng)
    share[: len(CORNERS)] = CORNERS[:draws]
    return share * limit


def sparse_changes(limit: np.ndarray, radius: float, count: int, *, rng: np.random.Generator) -> np.ndarray:
    """(count, T, 2) points of L1 norm up to `radius` within `limit` (T, 2), on a random share of the numbers.

    Every second one has lengths alone, where they can change: delays can be so much larger that any others hide them.
    """
    among = np.repeat(limit[None], count, axis=0)
    if (limit[:, 0] > SMALLEST).any():
        among[::2, :, 1] = 0
    chosen = few(among, count, rng, odds=rng.choice(SPARSE, size=(count, 1, 1)))
    weights = rng.exponential(size=among.shape) * chosen
    norm = radius * (1 - rng.random(count) ** 2)
    weights *= (norm / np.maximum(weights.sum(axis=(1, 2)), SMALLEST))[:, None, None]
    return np.minimum(weights, limit)


def few(among: np.ndarray, count: int, rng: np.random.Generator, *, odds: np.ndarray | None = None) -> np.ndarray:
    """(count, T, 2) bool: one of the numbers above 0 in `among`, and each other with some odds.

    Args:
        among: (T, 2), or (count, T, 2) for each draw. odds: (count, 1, 1); None: such that they add up to 1/2.
    """
    movable = among > SMALLEST
    first, others = rng.random((2, count, *among.shape[-2:]))
    first = np.where(movable, first, 2.0)
    likely = 0.5 / max(1, int(movable.sum()) - 1) if odds is None else odds
    return (first <= first.min(axis=(1, 2), keepdims=True)) | (movable & (others < likely))


def mutants(point: np.ndarray, limit: np.ndarray, count: int, *, rng: np.random.Generator) -> np.ndarray:
    """(count, T, 2) variants of a `point` (T, 2) within `limit`: some numbers drawn anew; a quarter all anew."""
    fresh = random_changes(limit, count, rng)
    movable = max(1, int((limit > 0).sum()))
    share = np.array([1.5, 4.0, movable / 2])[rng.integers(3, size=count)] / movable
    replaced, zeroed = rng.random((2, *fresh.shape))
    value = np.where(zeroed < 0.25, 0.0, np.minimum(random_changes(limit, count, rng) + fresh, limit))
    changed = np.where(replaced < share[:, None, None], value, point)
    changed[::4] = fresh[::4]
    return changed


def nearer_changes(best: np.ndarray, limit: np.ndarray, count: int, *, rng: np.random.Generator) -> np.ndarray:
    """(count, T, 2) points of smaller L1 norm than `best` (T, 2).

    In turn: on a few of the numbers that `best` changes, on a few of all, and of any kind, drawn in to the distance;
    and `best` itself with some of its numbers lowered, of which another few take up a part.
    """
    changes = random_changes(limit, count, rng)
    weights = rng.random(changes.shape)
    for place, among in enumerate((best, limit)):
        changes[place::4] = (few(among, len(changes[place::4]), rng) * weights[place::4]) * best.sum()
    radius = best.sum() * (1 - rng.random(count) ** 2)
    total = changes.sum(axis=(1, 2))
    # On few numbers up to the radius, which is where the nearest lie; those of any kind only down to it.
    factor = radius / np.maximum(total, SMALLEST)
    factor[2::4] = np.minimum(factor[2::4], 1.0)
    changes *= factor[:, None, None]
    changes[3::4] = handed_on(best, limit, len(changes[3::4]), rng=rng)
    return np.minimum(changes, limit)


def handed_on(best: np.ndarray, limit: np.ndarray, count: int, *, rng: np.random.Generator) -> np.ndarray:
    """(count, T, 2) variants of `best` (T, 2): a few numbers lowered, and of what that frees a share added to a few."""
    lowered = best * np.where(few(best, count, rng), rng.random((count, *best.shape)), 1.0)
    freed = best.sum() - lowered.sum(axis=(1, 2))
    taken = few(limit, count, rng) * rng.random((count, *best.shape))
    share = freed * rng.random(count) / np.maximum(taken.sum(axis=(1, 2)), SMALLEST)
    return lowered + taken * share[:, None, None]

"""Random changes of a flow, for a search that does not trust its gradients.

All are z-scores by which lengths and interarrival times grow, (T, 2) a flow, within its `limit`.
"""

import numpy as np

SMALLEST = 1e-9  # z-scores: below, a change is none


def random_changes(limit: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, T, 2) z-scores within `limit` (T, 2): the corners, then random points.

    They change both features, lengths alone, delays alone or one or two numbers alone, in turn; shares of the limit are
    uniform or spread over orders of magnitude.
    """
    corners = np.array([[1, 1], [1, 0], [0, 1]])[:, None]
    kind, spread = np.arange(draws) % 4, np.arange(draws) // 4 % 2 == 1
    share = rng.random((draws, *limit.shape))
    share = np.where(spread[:, None, None], 10.0 ** (-6 * share), share)
    alone = np.array([[1, 1], [1, 0], [0, 1], [1, 1]])[kind]
    share *= alone[:, None]
    movable = np.flatnonzero(limit.ravel() > 0)
    for number in np.flatnonzero(kind == 3):
        kept = np.zeros(limit.size)
        kept[rng.choice(movable, min(len(movable), 1 + int(rng.integers(2))), replace=False)] = 1
        share[number] *= kept.reshape(limit.shape)
    share[: len(corners)] = corners[:draws]
    return share * limit


def mutants(point: np.ndarray, limit: np.ndarray, count: int, *, rng: np.random.Generator) -> np.ndarray:
    """(count, T, 2) variants of a `point` (T, 2) within `limit`: some numbers drawn anew; a quarter all anew."""
    fresh = random_changes(limit, count, rng)
    movable = max(1, int((limit > 0).sum()))
    share = rng.choice([1.5, 4.0, movable / 2], size=(count, 1, 1)) / movable
    replaced = rng.random(fresh.shape) < share
    replaced[::4] = True
    value = np.where(rng.random(fresh.shape) < 0.25, 0.0, random_changes(limit, count, rng) + fresh).clip(0, limit)
    return np.where(replaced, np.where(np.arange(count)[:, None, None] % 4 == 0, fresh, value), point)


def nearer_changes(best: np.ndarray, limit: np.ndarray, count: int, *, rng: np.random.Generator) -> np.ndarray:
    """(count, T, 2) points of smaller L1 norm than `best` (T, 2).

    In turn: on a few of the numbers that `best` changes, on a few of all, and of any kind, drawn in to the distance.
    """
    movable, used = np.flatnonzero(limit.ravel() > 0), np.flatnonzero(best.ravel() > SMALLEST)
    changes = random_changes(limit, count, rng).reshape(count, -1)
    radius = best.sum() * (1 - rng.random(count) ** 2)
    for number in range(count):
        if number % 3 == 2:
            changes[number] *= min(1.0, radius[number] / max(changes[number].sum(), SMALLEST))
            continue
        pool = used if number % 3 == 0 and len(used) > 1 else movable
        chosen = rng.choice(pool, min(len(pool), 1 + int(rng.integers(3))), replace=False)
        changes[number] = 0
        changes[number, chosen] = radius[number] * rng.dirichlet(np.ones(len(chosen)))
    return np.minimum(changes.reshape(count, *limit.shape), limit)

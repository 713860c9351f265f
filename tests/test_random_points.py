"""Random changes: within their limits, of every kind, and nearer where that is asked for."""

import numpy as np
import pytest

from rnnids.attacks.random_points import SMALLEST, few, mutants, nearer_changes, random_changes, sparse_changes

LIMIT = np.array([[1.0, 0.0], [3.0, 200.0], [0.0, 0.0], [0.5, 40.0]])
FIXED = LIMIT == 0


def rng():
    return np.random.default_rng(4)


def inside(changes):
    return (changes >= 0).all() and (changes <= LIMIT).all() and not changes[:, FIXED].any()


def test_draws_begin_with_the_corners_and_stay_inside():
    changes = random_changes(LIMIT, 400, rng())
    assert changes.shape == (400, 4, 2) and inside(changes)
    corners = [LIMIT, LIMIT * (1, 0), LIMIT * (0, 1)]
    assert all((changes[place] == corner).all() for place, corner in enumerate(corners))


def test_draws_are_of_every_kind():
    changes = random_changes(LIMIT, 800, rng())[8:]
    used = changes > 0
    assert not used[1::4, :, 1].any() and used[1::4, :, 0].any()  # lengths alone
    assert not used[2::4, :, 0].any() and used[2::4, :, 1].any()  # delays alone
    assert (used[::4].sum(axis=(1, 2)) == (~FIXED).sum()).all()
    alone = used[3::4].sum(axis=(1, 2))
    assert alone.min() == 1 and alone.mean() == pytest.approx(1.5, abs=0.2)
    share = changes[::4, 1, 1] / LIMIT[1, 1]
    assert (share[1::2] < 1e-3).mean() == pytest.approx(0.5, abs=0.15)  # spread over six orders of magnitude
    assert (share[::2] < 1e-3).mean() < 0.05


def test_each_of_the_few_comes_as_often():
    chosen = few(LIMIT, 3000, rng())
    assert (chosen.any(axis=(1, 2))).all() and not chosen[:, FIXED].any()
    share = chosen.mean(axis=0)[~FIXED]
    assert share.max() / share.min() < 1.2


def test_sparse_changes_are_within_the_radius_and_every_second_has_lengths_alone():
    changes = sparse_changes(LIMIT, 2.0, 2000, rng=rng())
    norm, used = changes.sum(axis=(1, 2)), changes > 0
    assert inside(changes) and (norm <= 2 * (1 + 1e-12)).all() and used.any(axis=(1, 2)).all()
    assert not used[::2, :, 1].any() and used[1::2, :, 1].any()
    assert (norm > 1).mean() > 0.5 and norm.min() < 0.2  # most near the radius, where the volume is
    assert set(used[1::2].sum(axis=(1, 2))) == {1, 2, 3, 4, 5}
    delays = sparse_changes(LIMIT * (0, 1), 2.0, 8, rng=rng())
    assert (delays > 0).any(axis=(1, 2)).all() and not delays[..., 0].any()


def test_mutants_keep_most_of_their_point():
    point = random_changes(LIMIT, 8, rng())[4]
    tried = mutants(point, LIMIT, 400, rng=rng())
    assert inside(tried)
    kept = (tried == point)[:, ~FIXED].mean(axis=1)
    anew = np.arange(400) % 4 == 0
    assert kept[anew].mean() < 0.1 < 0.3 < kept[~anew].mean() < 0.95
    assert len(np.unique(tried, axis=0)) > 250


def test_nearer_changes_are_nearer():
    best = np.zeros_like(LIMIT)
    best[1], best[3, 0] = (0.7, 11.0), 0.4
    tried = nearer_changes(best, LIMIT, 300, rng=rng())
    assert inside(tried) and (tried.sum(axis=(1, 2)) <= best.sum() * (1 + 1e-9)).all()
    assert not tried[::4][:, best == 0].any()  # a quarter on what is changed already
    others = tried[1::4][:, (best == 0) & ~FIXED]
    assert (others > 0).any(axis=0).all()
    assert np.median(tried[::4].sum(axis=(1, 2))) > 0.3  # not all of them next to the original
    variants = tried[3::4]
    assert ((variants < best) & (best > 0)).any(axis=(1, 2)).all()  # each hands on something
    assert (variants[:, (best == 0) & ~FIXED] > 0).any()


@pytest.mark.parametrize("limit", [np.zeros((3, 2)), np.full((1, 2), [5.0, 0.0])])
def test_flows_with_nothing_or_one_number_to_change(limit):
    for changes in (
        random_changes(limit, 16, rng()),
        mutants(limit / 2, limit, 16, rng=rng()),
        nearer_changes(limit / 2, limit, 16, rng=rng()),
    ):
        assert np.isfinite(changes).all() and (changes >= 0).all() and (changes <= limit).all()
        assert (changes > SMALLEST).any() == (limit > 0).any()

"""Lines around activations and ranges of products: every point lies between them, and they are not needlessly far."""

import numpy as np
import pytest
import torch

from rnnids.attacks.relaxation import product_range, rounding, sigmoid_lines, square_range, tanh_lines

FUNCTIONS = {"sigmoid": (sigmoid_lines, torch.sigmoid), "tanh": (tanh_lines, torch.tanh)}


def intervals(count, seed=0):
    """Intervals of all widths and places, narrow ones and ends at 0 among them."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=count) * rng.choice([0.01, 1, 5, 40], count)
    width = 10 ** rng.uniform(-13, 2, count) * rng.choice([0, 1], count, p=[0.02, 0.98])
    low = np.where(rng.random(count) < 0.05, 0.0, centre)
    return torch.from_numpy(low), torch.from_numpy(low + width)


def inside(low, high, points=65):
    """(points, n) of each interval, both ends among them, and more towards 0."""
    share = torch.linspace(0, 1, points, dtype=low.dtype)[:, None]
    return torch.cat([low + (high - low) * share, torch.zeros_like(low)[None].clamp(low, high)]).clamp(low, high)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_point_lies_between_the_lines(name):
    enclose, function = FUNCTIONS[name]
    low, high = intervals(20_000)
    lines = enclose(low, high)
    x = inside(low, high)
    y, middle = function(x), lines.slope * x + lines.middle
    assert ((y - middle).abs() <= lines.radius).all()
    assert ((y >= lines.low) & (y <= lines.high)).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_lines_touch_what_they_enclose(name):
    enclose, function = FUNCTIONS[name]
    low, high = intervals(2000, seed=1)
    wide = high - low > 1e-3
    lines = enclose(low, high)
    x = inside(low, high, points=4001)
    rest = function(x) - lines.slope * x - lines.middle
    reached = torch.maximum(rest.amax(dim=0), -rest.amin(dim=0))
    assert (reached[wide] >= 0.99 * (lines.radius[wide] - 1e-12)).all()
    # A quarter of the radius of the constant that the interval's ends allow, where the function is nearly straight.
    near = wide & (high.abs() < 1) & (low.abs() < 1)
    assert near.sum() > 20 and (lines.radius[near] <= 0.25 * (lines.high - lines.low)[near] / 2 + 1e-12).all()


def test_squares_lie_in_their_range():
    low, high = intervals(5000, seed=2)
    least, most = square_range(low, high)
    squares = inside(low, high).square()
    assert ((squares >= least) & (squares <= most)).all()


def test_products_lie_in_the_range_that_sum_and_difference_allow():
    rng = np.random.default_rng(3)
    corner = torch.from_numpy(rng.uniform(-1, 1, (4000, 2, 2)))
    shares = torch.from_numpy(rng.dirichlet(np.ones(2), (64, 4000)))
    x, y = ((shares * corner[:, :, place]).sum(dim=-1) for place in (0, 1))
    ends = corner.sum(dim=-1), corner[..., 0] - corner[..., 1]
    low, high = product_range(*((end.amin(dim=1), end.amax(dim=1)) for end in ends))
    product = x * y
    assert ((product >= low) & (product <= high)).all()
    assert (high - low).mean() < 0.75 * 2  # less than the 2 that nothing but |x|, |y| <= 1 would say


def test_the_rounding_of_sums_is_never_above_what_is_allowed_for():
    rng = np.random.default_rng(4)
    for terms in (3, 20, 130, 1500):
        left, right = rng.normal(size=(2, 200, terms)).astype(np.float32)
        exact = (left.astype(float) * right.astype(float)).sum(axis=1)
        allowed = rounding(terms) * np.abs(left.astype(float) * right).sum(axis=1)
        for order in (slice(None), slice(None, None, -1)):
            total = np.zeros(200, dtype=np.float32)
            for place in range(terms)[order]:
                total += left[:, place] * right[:, place]
            assert (np.abs(total - exact) <= allowed).all()
        blocked = torch.from_numpy(left).mul(torch.from_numpy(right)).sum(dim=1).double().numpy()
        assert (np.abs(blocked - exact) <= allowed).all()

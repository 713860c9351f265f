"""Bounds of what an LSTM answers to a set of flows: no point of the set is below, in float32 or in float64."""

import copy
import itertools

import numpy as np
import pytest
import torch
from numba import njit

from rnnids.attacks import zonotope
from rnnids.attacks.zonotope import (
    ACTIVATION_ERROR,
    Forms,
    Network,
    Region,
    Steps,
    activate,
    as_factor,
    last_logit,
    multiply,
    reduce_noise,
)
from rnnids.datasets.features import NUM_FEATURES
from rnnids.detectors import activations
from rnnids.detectors.lstm import LSTMDetector


def regions(sets, numbers, *, seed=0, most=3.0):
    """Boxes cut by their sums, some of them by nothing and some by both sides."""
    rng = np.random.default_rng(seed)
    low = rng.exponential(0.3, (sets, numbers)) * rng.integers(0, 2, (sets, 1))
    width = rng.exponential(most / numbers, (sets, numbers))
    spent, room = low.sum(axis=1), width.sum(axis=1)
    upper = spent + room * rng.uniform(0.1, 1.2, sets)
    least = np.minimum(spent + room * rng.uniform(-0.5, 0.9, sets), upper)
    return Region(*(torch.from_numpy(values) for values in (low, width, least.clip(min=0), upper)))


def points(region, count, *, seed=1):
    """(sets, n, k) points of each set: random ones, many of them at the edges."""
    rng = np.random.default_rng(seed)
    low, width = region.low.numpy(), region.width.numpy()
    share = rng.random((len(low), count, low.shape[1])) ** rng.choice([0.2, 1, 5], (len(low), count, 1))
    share = np.where(rng.random(share.shape) < 0.3, np.round(share), share)
    drawn = low[:, None] + share * width[:, None]
    total, spent = drawn.sum(axis=2), low.sum(axis=1)[:, None]
    most, least = region.most.numpy()[:, None], region.least.numpy()[:, None]
    # Drawn in towards `low` where the sum is too large, and away from it where it is too small.
    shrink = np.minimum(1, (most - spent) / np.maximum(total - spent, 1e-12)).clip(min=0)
    drawn = low[:, None] + (drawn - low[:, None]) * shrink[..., None]
    high = (low + width)[:, None]
    missing = (least - drawn.sum(axis=2)).clip(min=0) / np.maximum((high - drawn).sum(axis=2), 1e-12)
    return torch.from_numpy(drawn + (high - drawn) * missing.clip(max=1)[..., None])


def forms(region, rows, symbols, *, seed=2):
    rng = np.random.default_rng(seed)
    sets, numbers = region.low.shape
    scale = np.concatenate([[1], np.full(numbers, 0.7), np.full(symbols, 0.2)])
    return Forms(torch.from_numpy(rng.normal(size=(sets, rows, 1 + numbers + symbols)) * scale), region)


def itself(form):
    """A form as a factor."""
    return as_factor(form, form.bounds())


def values(form, change, noise):
    """(sets, n, rows) of forms at changes (sets, n, k) and noise (sets, n, m)."""
    one = torch.ones_like(change[..., :1])
    return torch.cat([one, change, noise], dim=-1) @ form.terms.transpose(1, 2)


def noise_of(region, count, symbols, *, seed=3):
    drawn = np.random.default_rng(seed).uniform(-1, 1, (len(region.low), count, symbols))
    return torch.from_numpy(np.where(np.abs(drawn) > 0.5, np.sign(drawn), drawn))


def corners(low, width, *, least, most):
    """All corners of one set: each number at an end, but for one that takes what is left."""
    found = []
    for ends in itertools.product((0.0, 1.0), repeat=len(low)):
        corner = low + width * np.array(ends)
        found.append(corner)
        for free, total in itertools.product(range(len(low)), (least, most)):
            moved = corner.copy()
            moved[free] = total - (corner.sum() - corner[free])
            found.append(moved)
    tolerance = 1e-9
    inside = [
        corner
        for corner in found
        if (corner >= low - tolerance).all()
        and (corner <= low + width + tolerance).all()
        and least - tolerance <= corner.sum() <= most + tolerance
    ]
    return np.array(inside)


def test_a_linear_function_is_bounded_exactly():
    region = regions(60, 3)
    linear = torch.from_numpy(np.random.default_rng(5).normal(size=(60, 4, 3)))
    low, high = region.extent(linear)
    for place in range(60):
        box = region.low[place].numpy(), region.width[place].numpy()
        all_corners = corners(*box, least=float(region.least[place]), most=float(region.most[place]))
        reached = all_corners @ linear[place].numpy().T
        np.testing.assert_allclose(low[place], reached.min(axis=0), atol=1e-9)
        np.testing.assert_allclose(high[place], reached.max(axis=0), atol=1e-9)


def test_forms_lie_within_their_bounds():
    region = regions(40, 5)
    form = forms(region, 6, 7)
    low, high = form.bounds()
    found = values(form, points(region, 300), noise_of(region, 300, 7))
    assert ((found >= low[:, None] - 1e-12) & (found <= high[:, None] + 1e-12)).all()


@pytest.mark.parametrize("sigmoid", [True, False])
def test_an_activation_of_forms_is_enclosed(sigmoid):
    region = regions(40, 4)
    form, error = forms(region, 5, 6), torch.full((40, 5), 1e-3, dtype=torch.float64)
    factor = activate(form, error, sigmoid=sigmoid)
    x = values(form, points(region, 300), noise_of(region, 300, 6))
    for shift in (-1e-3, 0, 1e-3):
        y = torch.sigmoid(x + shift) if sigmoid else torch.tanh(x + shift)
        away = (y - factor.lines.slope[:, None] * x - factor.lines.middle[:, None]).abs()
        assert (away <= factor.lines.radius[:, None]).all()
        assert ((y >= factor.lines.low[:, None]) & (y <= factor.lines.high[:, None])).all()


def test_a_product_of_activations_is_enclosed():
    region = regions(60, 4)
    one, two = forms(region, 5, 6, seed=7), forms(region, 5, 6, seed=8)
    none = torch.zeros(60, 5, dtype=torch.float64)
    pairs = [
        (activate(one, none, sigmoid=True), activate(two, none, sigmoid=False)),
        (activate(one, none, sigmoid=True), itself(two)),
        (itself(one), itself(Forms(-one.terms, region))),  # the same symbols: they move together
    ]
    where = points(region, 400), noise_of(region, 400, 6)
    functions = [(torch.sigmoid, torch.tanh), (torch.sigmoid, lambda x: x), (lambda x: x, lambda x: x)]
    for (x, y), (f, g) in zip(pairs, functions, strict=True):
        terms, radius = multiply(x, y)
        true = f(values(x.form, *where)) * g(values(y.form, *where))
        assert ((true - values(Forms(terms, region), *where)).abs() <= radius[:, None] + 1e-12).all()


def test_a_factor_that_does_not_move_multiplies_exactly():
    region = regions(3, 2)
    constant = forms(region, 4, 2)
    constant.terms[..., 1:] = 0
    terms, radius = multiply(itself(constant), itself(forms(region, 4, 2, seed=9)))
    expected = constant.terms[..., :1] * forms(region, 4, 2, seed=9).terms
    torch.testing.assert_close(terms, expected, atol=1e-11, rtol=0)
    assert (radius < 1e-11).all()


def test_fewer_noise_symbols_contain_more():
    region = regions(20, 3)
    many = [forms(region, 4, 30, seed=seed) for seed in (1, 2)]
    fewer = reduce_noise(many, 12)
    assert all(form.symbols == 12 for form in fewer)
    assert reduce_noise(many, 100)[0].symbols == 30
    directions = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 8)))
    before, after = (directions @ torch.cat([form.terms for form in both], dim=1) for both in (many, fewer))
    torch.testing.assert_close(before[..., :4], after[..., :4])  # all but the noise stays
    assert (after[..., 4:].abs().sum(dim=-1) >= before[..., 4:].abs().sum(dim=-1) - 1e-12).all()


def problem(units, layers, packets, *, numbers, seed):
    """(detector, what it is shown, where that changes): random, with weights as large as those of trained ones."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    detector = LSTMDetector(units, layers).requires_grad_(False)
    for weight in detector.parameters():
        weight.mul_(float(rng.choice([1, 3, 6])))
    inputs = torch.from_numpy(rng.normal(size=(packets, NUM_FEATURES)).astype(np.float32))
    places = rng.choice(packets * 2, min(numbers, 2 * packets), replace=False)
    effect = torch.zeros(packets, NUM_FEATURES, len(places), dtype=torch.float64)
    for number, place in enumerate(places.tolist()):
        effect[place // 2, 3 + place % 2, number] = 1
    return detector, Steps(inputs.double(), effect)


def logits(detector, steps, change):
    """(n,) last logits at changes (n, k), in the precision of the detector."""
    inputs = steps.inputs + (steps.effect @ change[:, None, :, None]).squeeze(-1)
    return detector(inputs.to(detector.readout.weight.dtype))[:, -1]


def check_sets(seed):
    """Random small detector, flow and sets: no point of a set is below the set's bound."""
    rng = np.random.default_rng(seed)
    units, layers, packets = int(rng.integers(2, 9)), int(rng.integers(1, 4)), int(rng.integers(1, 7))
    detector, steps = problem(units, layers, packets, numbers=int(rng.integers(1, 7)), seed=seed)
    numbers = steps.effect.shape[2]
    region = regions(12, numbers, seed=seed, most=float(rng.choice([0.01, 0.1, 1, 10])))
    low = last_logit(Network.of(detector), steps, region, symbols=int(rng.choice([1, 20, 600]))).low
    exact = copy.deepcopy(detector).double()
    change = points(region, 200, seed=seed)
    for own, bound in zip(change, low, strict=True):
        for precise in (detector, exact):
            assert float(logits(precise, steps, own).min()) >= float(bound), seed


@pytest.mark.parametrize("seed", range(24))
def test_no_flow_of_a_set_is_below_its_bound(seed):
    check_sets(seed)


@pytest.mark.slow
def test_no_flow_of_thousands_of_sets_is_below_its_bound():
    for seed in range(1000, 1500):
        check_sets(seed)


def test_a_set_of_one_flow_is_bounded_by_little_less_than_its_logit():
    detector, steps = problem(8, 2, 6, numbers=3, seed=1)
    zero = torch.zeros(1, 3, dtype=torch.float64)
    low = last_logit(Network.of(detector), steps, Region(zero, zero, zero[:, 0], zero[:, 0])).low
    assert 0 < float(logits(detector, steps, zero)[0]) - float(low[0]) < 0.02


def test_small_sets_are_bounded_tightly():
    """The bound's distance from the truth falls with the square of the size of the set."""
    detector, steps = problem(6, 2, 4, numbers=2, seed=4)
    zero = torch.zeros(1, 2, dtype=torch.float64)
    gaps = []
    for size in (0.02, 0.01):
        region = Region(zero, zero + size, zero[:, 0], zero[:, 0] + size)
        truth = logits(copy.deepcopy(detector).double(), steps, points(region, 4000)[0]).min()
        floor = last_logit(Network.of(detector), steps, Region(zero, zero, zero[:, 0], zero[:, 0])).low
        rounding = float(logits(detector, steps, zero)[0]) - float(floor[0])
        gaps.append(float(truth) - float(last_logit(Network.of(detector), steps, region).low[0]) - rounding)
    assert gaps[0] > 0 and gaps[1] < gaps[0] / 3


@njit
def compiled(x):
    """Sigmoid and tanh as detectors compute them on a CPU."""
    found = np.empty((2, len(x)), dtype=np.float32)
    for place in range(len(x)):
        found[0, place], found[1, place] = activations.sigmoid(x[place]), activations.tanh(x[place])
    return found


def test_float32_activations_err_by_less_than_half_of_what_is_allowed():
    small = torch.logspace(-20, 0, 200_001)
    x = torch.cat([torch.linspace(-45, 45, 2_000_001), small, -small])
    of_loops = torch.from_numpy(compiled(x.numpy()))
    for function, own in zip((torch.sigmoid, torch.tanh), of_loops, strict=True):
        for found in (function(x), own):
            assert (found.double() - function(x.double())).abs().max() < ACTIVATION_ERROR / 2


def test_float64_loses_next_to_nothing_of_what_is_allowed_for_rounding(monkeypatch):
    """Hidden units in another order make the bound's own sums round otherwise."""
    detector, steps = problem(8, 2, 6, numbers=4, seed=3)
    region = regions(20, 4, seed=3, most=0.01)
    network, order = Network.of(detector), torch.randperm(8, generator=torch.Generator().manual_seed(0))
    rows = torch.cat([order + 8 * gate for gate in range(4)])
    first, second = network.layers
    layers = [(first[0][rows], first[1][rows][:, order], first[2][rows])]
    layers.append((second[0][rows][:, order], second[1][rows][:, order], second[2][rows]))
    shuffled = Network(layers, network.readout[order], network.bias)
    low = last_logit(network, steps, region).low
    lost = (low - last_logit(shuffled, steps, region).low).abs()
    for name in ("FLOAT32", "ACTIVATION_ERROR"):
        monkeypatch.setattr(zonotope, name, 0.0)
    monkeypatch.setattr(zonotope, "rounding", lambda terms: 0.0)
    allowed = last_logit(network, steps, region).low - low
    assert low.isfinite().sum() > 10
    assert (lost <= 1e-5 * allowed)[low.isfinite()].all()


def test_a_lost_set_is_given_up():
    detector, steps = problem(8, 2, 6, numbers=6, seed=5)
    zero = torch.zeros(2, 6, dtype=torch.float64)
    region = Region(zero, zero + 1e4, zero[:, 0], zero[:, 0] + 1e4)
    assert (last_logit(Network.of(detector), steps, region).low < 0).all()

"""Straight lines around sigmoid, tanh and products on an interval: the sound steps that bounds are made of.

Each function answers with an enclosure that holds for every real number of the interval, whatever float64 rounds:
`SLACK` is added to each radius, a hundred times what the few operations behind it can lose.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SLACK = 1e-13  # at values of 1 or less
TILTS = (0.0, 0.1, 0.2, 0.3, 0.4)  # slopes that are tried, between that of the chord and the steepest
NARROW = 1e-9  # widths below which a chord's slope is not to be trusted


class Enclosure(NamedTuple):
    """Lines around a function f on intervals: slope * x + middle - radius <= f(x) <= slope * x + middle + radius.

    Attributes:
        slope, middle, radius: (...). low, high: (...) bounds of f itself.
    """

    slope: Tensor
    middle: Tensor
    radius: Tensor
    low: Tensor
    high: Tensor


def sigmoid_lines(low: Tensor, high: Tensor) -> Enclosure:
    """Lines around the sigmoid, which is 1 / 2 + tanh(x / 2) / 2, on the intervals from `low` to `high`."""
    half = tanh_lines(low / 2, high / 2)
    return Enclosure(half.slope / 4, 0.5 + half.middle / 2, half.radius / 2, 0.5 + half.low / 2, 0.5 + half.high / 2)


def tanh_lines(low: Tensor, high: Tensor) -> Enclosure:
    """Lines around tanh on the intervals from `low` to `high`, of the tilts tried those with the least radius.

    With a slope s, tanh(x) - s x is largest and smallest at an end of the interval or where the derivative is s, at
    plus and minus artanh(sqrt(1 - s)): four values bound it.
    """
    ends = torch.tanh(low), torch.tanh(high)
    width = high - low
    narrow = width < NARROW
    steep = [1 - end.square() for end in ends]
    chord = torch.where(narrow, steep[0], (ends[1] - ends[0]) / torch.where(narrow, 1.0, width))
    steepest = torch.where((low < 0) & (high > 0), torch.ones_like(low), torch.maximum(*steep))
    tilts = torch.tensor(TILTS, dtype=low.dtype, device=low.device).view(-1, *[1] * low.dim())
    slope = chord + (steepest - chord) * tilts
    turn = torch.atanh((1 - slope).clamp(min=0).sqrt().clamp(max=1 - 1e-16))
    places = [low.expand_as(turn), high.expand_as(turn), *(x.clamp(low, high) for x in (turn, -turn))]
    rest = torch.stack([torch.tanh(place) - slope * place for place in places])
    least, most = rest.amin(dim=0), rest.amax(dim=0)
    best = (most - least).argmin(dim=0, keepdim=True)
    slope, least, most = (values.gather(0, best).squeeze(0) for values in (slope, least, most))
    return Enclosure(slope, (least + most) / 2, (most - least) / 2 + SLACK, ends[0] - SLACK, ends[1] + SLACK)


def square_range(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of the squares of what lies in [low, high]."""
    ends = low.square(), high.square()
    crosses = (low < 0) & (high > 0)
    return torch.where(crosses, torch.zeros_like(low), torch.minimum(*ends)), torch.maximum(*ends)


def product_range(total: tuple[Tensor, Tensor], difference: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Bounds of x y, for x and y in [-1, 1] whose sum and difference have bounds: 4 x y = (x + y)^2 - (x - y)^2.

    What x and y have in common narrows one of the two, so this sees that they move together.
    """
    most = 2 + SLACK
    plus = square_range(*(bound.clamp(-most, most) for bound in total))
    minus = square_range(*(bound.clamp(-most, most) for bound in difference))
    low, high = (plus[0] - minus[1]) / 4 - SLACK, (plus[1] - minus[0]) / 4 + SLACK
    return low.clamp(min=-1 - SLACK), high.clamp(max=1 + SLACK)


def rounding(terms: int) -> float:
    """Relative error of a float32 sum of so many products in any order (Higham, gamma_n), and its own in float64."""
    unit = terms * 2.0**-24
    return 1.01 * unit / (1 - unit) if unit < 1 else math.inf

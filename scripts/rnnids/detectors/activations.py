"""Sigmoid and hyperbolic tangent for compiled loops: without branches or calls, as vectors need it."""

import math
from typing import Any

import numpy as np
from numba.extending import overload

from rnnids.machine_code import njit, types

ONE, TWO, HALF = (np.float32(value) for value in (1, 2, 0.5))  # a literal would make float64 of float32
LOG2_E = np.float32(1.44269504)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # n times the first is exact
TAYLOR = tuple(np.float32(1 / math.factorial(order)) for order in range(8))
LARGEST = np.float32(40)  # beyond, a sigmoid is 0 or 1


def expm1(x: Any) -> Any:
    """exp(x) - 1 for |x| <= LARGEST."""
    return math.expm1(x)


@overload(expm1, inline="always")
def _expm1(x: Any) -> Any:
    return _expm1_float32 if x == types.float32 else _expm1_float64


def _expm1_float64(x: Any) -> Any:
    return math.expm1(x)


def _expm1_float32(x: Any) -> Any:
    """2^n exp(r) - 1, |r| <= ln(2) / 2, to 2e-7 of its value: without branches or calls, so that it is vectorised."""
    n = np.floor(x * LOG2_E + HALF)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = TAYLOR[3] + r * (TAYLOR[4] + r * (TAYLOR[5] + r * (TAYLOR[6] + r * TAYLOR[7])))
    power = np.int32((np.int32(n) + 127) << 23).view(np.float32)
    return power * (r + r * r * (HALF + r * p)) + (power - ONE)


@njit(inline="always")
def _within(x: Any) -> Any:
    x = -LARGEST if x < -LARGEST else x  # so put, NaN stays NaN
    return LARGEST if x > LARGEST else x


@njit(inline="always")
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return ONE / (TWO + expm1(-_within(x)))


@njit(inline="always")
def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    grown = expm1(_within(TWO * x))
    return grown / (grown + TWO)

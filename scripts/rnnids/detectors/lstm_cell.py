"""The arithmetic of an LSTM cell between its matrix products, compiled: one pass over the memory of a time step.

Made of torch's operations, a step would be ten calls, each of which costs more than its arithmetic where few flows are
left. Packets lie as in ``recurrence.Packing``; gates are in PyTorch's order: input, forget, candidate, output. All
arrays are of one type, float32 or float64.
"""

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

# Fused multiply-add, which float32 of torch uses as well.
COMPILED = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
ONE, TWO, HALF = (np.float32(value) for value in (1, 2, 0.5))  # a literal would make float64 of float32
LOG2_E = np.float32(1.44269504)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # n times the first is exact
TAYLOR = tuple(np.float32(1 / math.factorial(order)) for order in range(8))
LARGEST = np.float32(40)  # beyond, a sigmoid is 0 or 1


def expm1(x):
    """exp(x) - 1 for |x| <= LARGEST."""
    return math.expm1(x)


@overload(expm1, inline="always")
def _expm1(x):
    return _expm1_float32 if x == types.float32 else _expm1_float64


def _expm1_float64(x):
    return math.expm1(x)


def _expm1_float32(x):
    """2^n exp(r) - 1, |r| <= ln(2) / 2, to 2e-7 of its value: without branches or calls, so that it is vectorised."""
    n = np.floor(x * LOG2_E + HALF)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = TAYLOR[3] + r * (TAYLOR[4] + r * (TAYLOR[5] + r * (TAYLOR[6] + r * TAYLOR[7])))
    power = np.int32((np.int32(n) + 127) << 23).view(np.float32)
    return power * (r + r * r * (HALF + r * p)) + (power - ONE)


@njit(inline="always")
def _within(x):
    x = -LARGEST if x < -LARGEST else x  # so put, NaN stays NaN
    return LARGEST if x > LARGEST else x


@njit(inline="always")
def _sigmoid(x):
    return ONE / (TWO + expm1(-_within(x)))


@njit(inline="always")
def _tanh(x):
    grown = expm1(_within(TWO * x))
    return grown / (grown + TWO)


@njit(**COMPILED)
def step_forward(gates, cell, squashed, hidden, first, size, before):
    """Activate the gates of packets first to first + size, and fill their states.

    Args:
        gates: (P, 4H) pre-activations, overwritten by the gates. cell, squashed, hidden: (P, H), the cell, its
            hyperbolic tangent and the hidden state.
        before: how many rows before each packet that before it lies; 0 if there is none.
    """
    units = cell.shape[1]
    for row in range(first, first + size):
        gate, old = gates[row], cell[row - before]
        for unit in range(units):
            enter, forget = _sigmoid(gate[unit]), _sigmoid(gate[units + unit])
            candidate, leave = _tanh(gate[2 * units + unit]), _sigmoid(gate[3 * units + unit])
            new = enter * candidate
            if before:
                new += forget * old[unit]
            tangent = _tanh(new)
            gate[unit], gate[units + unit] = enter, forget
            gate[2 * units + unit], gate[3 * units + unit] = candidate, leave
            cell[row, unit], squashed[row, unit], hidden[row, unit] = new, tangent, leave * tangent


@njit(**COMPILED)
def step_backward(gates, cell, squashed, gradient, carried, derivative, first, size, before):
    """Gradient over the pre-activations of packets first to first + size.

    Args:
        gates, cell, squashed: of ``step_forward``.
        gradient: (P, H) over the hidden state, with what comes from the step after.
        carried: (B, H) over the cell, from the step after; overwritten by that for the step before.
        derivative: (P, 4H), filled.
        before: of ``step_forward``.
    """
    units = cell.shape[1]
    for flow in range(size):
        row = first + flow
        gate, old, slope, over_cell = gates[row], cell[row - before], derivative[row], carried[flow]
        for unit in range(units):
            enter, forget = gate[unit], gate[units + unit]
            candidate, leave = gate[2 * units + unit], gate[3 * units + unit]
            tangent, over_hidden = squashed[row, unit], gradient[row, unit]
            total = over_cell[unit] + over_hidden * leave * (ONE - tangent * tangent)
            slope[unit] = total * candidate * enter * (ONE - enter)
            slope[units + unit] = total * forget * (ONE - forget)
            slope[2 * units + unit] = total * enter * (ONE - candidate * candidate)
            slope[3 * units + unit] = over_hidden * tangent * leave * (ONE - leave)
            over_cell[unit] = total * forget
        for unit in range(units, 2 * units):
            if before:
                slope[unit] *= old[unit - units]
            else:
                slope[unit] = 0

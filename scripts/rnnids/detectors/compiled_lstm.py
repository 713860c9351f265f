"""One LSTM layer over packed flows, all its steps in one compiled call: forward, and backward with all gradients.

A step has a row for each flow that is still there, a few dozen, and one at the end: too few for the products of a
library, which on four rows are at a third of their speed. Here a tile of the result, a few rows by a few vectors, stays
in registers while the inner dimension passes; weights are laid out in panels, in the order in which that reads them.

Whatever the number of rows, each number of a product is added up in the same order: a flow gets the same logits, to
the last bit, whichever flows are beside it. Gates are in PyTorch's order: input, forget, candidate, output; arrays are
float32 or float64. Products and layers stand in one file: numba's cache of a function notices no change elsewhere.
"""

import functools
import platform
from typing import Any

import numpy as np
from numba.core.cgutils import alloca_once, for_range, ir
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from rnnids.detectors.activations import ONE, sigmoid, tanh
from rnnids.machine_code import njit, types

# Fused multiply-add, which float32 of torch uses as well.
COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def _registers() -> tuple[int, int]:
    """(bytes of a vector register, vectors across a wide tile) of this processor; tiles of 4 rows take half of them."""
    if "+avx512f" in get_host_cpu_features():
        return 64, 4
    if platform.machine() in ("aarch64", "arm64"):
        return 16, 4
    return (32 if "+avx," in get_host_cpu_features() else 16), 2


VECTOR_BYTES, ACROSS = _registers()
INNER = 512  # of the inner dimension at a time, so that a panel stays in the second cache
GATHERED = 128  # packets at a time, at least, in the products for the gradients of weights


def _tile(rows: int, vectors: int) -> Any:
    """A function that adds a product to a tile, `rows` x `vectors`, of a matrix, for compiled code.

    It takes the left matrix, the place in it to begin at, its steps from row to row and along the inner dimension, and
    how many of that to add; the panels of the right matrix and the place in them; the matrix that is added to, the
    place of the tile in it and its step from row to row. Places and steps count numbers.
    """

    def tile(  # numba takes no *given
        _: Any,
        left: Any,
        start: Any,
        row: Any,
        inner: Any,
        count: Any,
        panels: Any,
        at: Any,
        out: Any,
        to: Any,
        step: Any,
    ) -> Any:
        given = (left, start, row, inner, count, panels, at, out, to, step)
        return types.void(*given), functools.partial(_write_tile, rows, vectors)

    return intrinsic(tile)


def _write_tile(rows: int, vectors: int, context: Any, builder: Any, signature: Any, given: Any) -> Any:
    """The code of a tile (:func:`_tile`), in LLVM's terms."""
    _, start, row_step, inner_step, count, _, at, _, to, out_step = given
    number = signature.args[7].dtype
    align = number.bitwidth // 8
    width = VECTOR_BYTES // align
    vector = ir.VectorType(context.get_data_type(number), width)

    def plus(place: Any, step: Any, times: int = 1) -> Any:
        return builder.add(place, builder.mul(step, ir.Constant(step.type, times)))

    def pointer(argument: int, place: Any, kind: Any = None) -> Any:
        array = context.make_array(signature.args[argument])(context, builder, given[argument])
        found = builder.gep(array.data, [place])
        return builder.bitcast(found, kind.as_pointer()) if kind else found

    one, nothing = ir.Constant(out_step.type, 1), ir.Constant(vector, ir.Undefined)
    all_of_the_first = ir.Constant(ir.VectorType(ir.IntType(32), width), None)
    corners = [plus(to, out_step, row) for row in range(rows)]
    places = [pointer(7, plus(corner, one, width * column), vector) for corner in corners for column in range(vectors)]
    sums = [alloca_once(builder, vector) for _ in places]  # registers, once LLVM has been over it
    for total, place in zip(sums, places, strict=True):
        builder.store(builder.load(place, align=align), total)
    with for_range(builder, count) as loop:
        line = plus(at, loop.index, width * vectors)
        sources = (pointer(5, plus(line, one, width * column), vector) for column in range(vectors))
        right = [builder.load(source, align=align) for source in sources]
        along = builder.add(start, builder.mul(loop.index, inner_step))
        for place, total in enumerate(sums):
            row, column = divmod(place, vectors)
            if not column:
                value = builder.load(pointer(0, plus(along, row_step, row)))
                first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
                spread = builder.shuffle_vector(first, nothing, all_of_the_first)
            product = builder.fmul(spread, right[column], flags=("contract",))
            builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
    for total, place in zip(sums, places, strict=True):
        builder.store(builder.load(total), place, align=align)
    return context.get_dummy_value()


def _strip(across: int) -> Any:
    """A function that adds a product to all rows of a strip of a matrix; it takes what a tile does, but for steps."""
    four, two, one = (_tile(rows, across) for rows in (4, 2, 1))

    @njit(error_model="numpy")
    def strip(left: Any, start: Any, inner: Any, count: Any, panels: Any, at: Any, out: Any, to: Any) -> None:
        row_step, step = left.strides[0] // left.itemsize, out.strides[0] // out.itemsize
        row, rows = 0, len(left)
        while row + 4 <= rows:
            four(left, start + row * row_step, row_step, inner, count, panels, at, out, to + row * step, step)
            row += 4
        if row + 2 <= rows:
            two(left, start + row * row_step, row_step, inner, count, panels, at, out, to + row * step, step)
            row += 2
        if row < rows:
            one(left, start + row * row_step, row_step, inner, count, panels, at, out, to + row * step, step)

    return strip


_wide_strip, _slim_strip = _strip(ACROSS), _strip(1)


@njit(**COMPILED)
def panels_of(weights: np.ndarray) -> np.ndarray:
    """The panels of a matrix (K, N): of ACROSS vectors of columns each, then of one; the last is filled up with 0."""
    inner, columns = weights.shape
    width = VECTOR_BYTES // weights.itemsize
    panels = np.zeros(inner * width * ((columns + width - 1) // width), dtype=weights.dtype)
    column = 0
    while column < columns:
        across = width * ACROSS if column + width * ACROSS <= columns else width
        taken = min(across, columns - column)
        panel, given = panels[column * inner :], weights[:, column : column + taken]
        for k in range(inner):
            line, row = panel[k * across : k * across + taken], given[k]
            for offset in range(taken):
                line[offset] = row[offset]
        column += across
    return panels


@njit(**COMPILED)
def add_product(left: np.ndarray, panels: np.ndarray, out: np.ndarray) -> None:
    """out += left @ weights: (M, K), the panels of (K, N), (M, N) with contiguous rows."""
    inner, columns = left.shape[1], out.shape[1]
    width, step = VECTOR_BYTES // out.itemsize, left.strides[1] // left.itemsize
    whole = columns - columns % width
    for first in range(0, inner, INNER):
        start, count, column = first * step, min(INNER, inner - first), 0
        while column + width * ACROSS <= columns:
            _wide_strip(left, start, step, count, panels, column * inner + first * width * ACROSS, out, column)
            column += width * ACROSS
        while column < whole:
            _slim_strip(left, start, step, count, panels, column * inner + first * width, out, column)
            column += width
        if whole < columns:
            rest = np.zeros((len(out), width), dtype=out.dtype)
            rest[:, : columns - whole] = out[:, whole:]
            _slim_strip(left, start, step, count, panels, whole * inner + first * width, rest, 0)
            out[:, whole:] = rest[:, : columns - whole]


@njit(**COMPILED)
def step_forward(
    gates: np.ndarray,
    cell: np.ndarray,
    squashed: np.ndarray,
    hidden: np.ndarray,
    first: int,
    size: int,
    before: int,
    output: int,
) -> None:
    """Activate the gates of the packets in rows first to first + size, and fill their states.

    Args:
        gates: (n, 4H) pre-activations, overwritten by the gates. cell, squashed: (n, H), the cell, of two rows or more,
            and its hyperbolic tangent.
        hidden: (m, H), the hidden state, in rows from `output` on.
        before: how many rows before each packet that before it lies; 0 if there is none.
    """
    units = cell.shape[1]
    for flow in range(size):
        row, out = first + flow, output + flow
        # Some other row where there is none before: of its own, a row cannot be computed in vectors.
        gate, old = gates[row], cell[row - before if before else (row + 1) % len(cell)]
        for unit in range(units):
            enter, forget = sigmoid(gate[unit]), sigmoid(gate[units + unit])
            candidate, leave = tanh(gate[2 * units + unit]), sigmoid(gate[3 * units + unit])
            new = enter * candidate
            if before:
                new += forget * old[unit]
            tangent = tanh(new)
            gate[unit], gate[units + unit] = enter, forget
            gate[2 * units + unit], gate[3 * units + unit] = candidate, leave
            cell[row, unit], squashed[row, unit], hidden[out, unit] = new, tangent, leave * tangent


@njit(**COMPILED)
def step_backward(
    gates: np.ndarray,
    cell: np.ndarray,
    squashed: np.ndarray,
    gradient: np.ndarray,
    carried: np.ndarray,
    derivative: np.ndarray,
    first: int,
    size: int,
    before: int,
) -> None:
    """Gradient over the pre-activations of packets first to first + size.

    Args:
        gates, cell, squashed, before: of ``step_forward``.
        gradient: (P, H) over the hidden state, with what comes from the step after.
        carried: (B, H) over the cell, from the step after; overwritten by that for the step before.
        derivative: (size, 4H), filled.
    """
    units = cell.shape[1]
    for flow in range(size):
        row = first + flow
        gate, old, slope, over_cell = gates[row], cell[row - before], derivative[flow], carried[flow]
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


@njit(**COMPILED)
def layer_forward(
    inputs: np.ndarray,
    of_inputs: np.ndarray,
    of_hidden: np.ndarray,
    bias: np.ndarray,
    sizes: np.ndarray,
    low: int,
    high: int,
    begin: int,
    gates: np.ndarray,
    cell: np.ndarray,
    squashed: np.ndarray,
    hidden: np.ndarray,
) -> None:
    """All steps of a layer, of the flows from `low` on and below `high`.

    Args:
        inputs: (P, F). of_inputs, of_hidden: panels of the transposed weights. bias: (4H,), the sum of both.
        sizes: flows that are T = 1, 2, ... packets or longer; they never grow.
        begin: step to begin with, 0; or 1 where `cell` and `hidden` have the states after step 0 already.
        gates, cell, squashed: (P, 4H), (P, H), (P, H), filled; or of twice `high` - `low` rows, to be thrown away.
        hidden: (P, H), filled.
    """
    kept = len(gates) == len(hidden)
    first = before = sizes[0] * begin
    for step in range(begin, len(sizes)):
        size = min(high, sizes[step]) - low
        if size <= 0:
            break
        row, back = first + low, before
        if not kept:  # the rows of two steps take turns
            back = (high - low) * (0 if step == 0 else 1 if step % 2 else -1)
            row = (high - low) * (step % 2)
        here, place = gates[row : row + size], first + low
        here[:] = bias
        add_product(inputs[place : place + size], of_inputs, here)
        if step:
            add_product(hidden[place - before : place - before + size], of_hidden, here)
        step_forward(gates, cell, squashed, hidden, row, size, back, place)
        first, before = first + sizes[step], sizes[step]


@njit
def _add_rows(rows: np.ndarray, total: np.ndarray) -> None:
    for row in rows:
        for column in range(len(total)):
            total[column] += row[column]


@njit(**COMPILED)
def layer_backward(
    inputs: np.ndarray,
    of_gates: np.ndarray,
    of_gates_to_inputs: np.ndarray,
    sizes: np.ndarray,
    low: int,
    high: int,
    states: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    gradient: np.ndarray,
    over_inputs: np.ndarray,
    over_weights: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """All gradients of a layer for the flows from `low` on and below `high`, from the last step to the first.

    Args:
        inputs, sizes, states: of ``layer_forward``. of_gates, of_gates_to_inputs: panels of both weights.
        gradient: (P, H) over the hidden states, overwritten.
        over_inputs: (P, F), filled, or of no row where it is not wanted.
        over_weights: (4H, F), (4H, H) and of the bias (4H,), added to, or of no row.
    """
    (gates, cell, squashed, hidden), (over_weight_ih, over_weight_hh, over_bias) = states, over_weights
    weighed, capacity, kind = len(over_bias) > 0, max(GATHERED, high - low), cell.dtype
    carried, derivative = np.zeros((high - low, cell.shape[1]), kind), np.empty((capacity, gates.shape[1]), kind)
    given = np.empty((capacity if weighed else 0, inputs.shape[1]), kind)
    before_it = np.empty((capacity if weighed else 0, cell.shape[1]), kind)
    place, top = len(gates), capacity
    for step in range(len(sizes) - 1, -1, -1):
        place -= sizes[step]
        size, before = min(high, sizes[step]) - low, sizes[step - 1] if step else 0
        if size <= 0:
            continue
        if weighed and top < capacity and (size > top or step == 0):  # what was gathered is worth a product
            add_product(derivative[top:].T, panels_of(given[top:]), over_weight_ih)
            add_product(derivative[top:].T, panels_of(before_it[top:]), over_weight_hh)
            top = capacity
        top, first = (top if weighed else capacity) - size, place + low
        slopes = derivative[top : top + size]
        step_backward(gates, cell, squashed, gradient, carried, slopes, first, size, before)
        if step:
            add_product(slopes, of_gates, gradient[first - before : first - before + size])
            if weighed:
                before_it[top : top + size] = hidden[first - before : first - before + size]
        if len(over_inputs):
            over_inputs[first : first + size] = 0
            add_product(slopes, of_gates_to_inputs, over_inputs[first : first + size])
        if weighed:
            _add_rows(slopes, over_bias)
            given[top : top + size] = inputs[first : first + size]
    if weighed:
        add_product(derivative[top:].T, panels_of(given[top:]), over_weight_ih)

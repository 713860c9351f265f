"""The compiled cell: its two functions on the whole line, against float64."""

import numpy as np
import pytest

from rnnids.detectors.lstm_cell import step_forward

REACH = np.concatenate([-np.logspace(2, -30, 500), [0.0], np.logspace(-30, 2, 500)])


def first_step(enter, candidate, leave, dtype=np.float32):
    """(cell, hidden) of flows of one packet and one unit, from their pre-activations."""
    gates = np.zeros((len(enter), 4), dtype=dtype)
    gates[:, 0], gates[:, 2], gates[:, 3] = enter, candidate, leave
    cell, squashed, hidden = (np.empty((len(enter), 1), dtype=dtype) for _ in range(3))
    step_forward(gates, cell, squashed, hidden, 0, len(enter), 0)
    return cell[:, 0], hidden[:, 0]


@pytest.mark.parametrize(("dtype", "precision"), [(np.float32, 3e-7), (np.float64, 1e-15)])
def test_tangent_and_sigmoid_are_right_to_the_last_places(dtype, precision):
    x, top = REACH.astype(dtype), np.full(len(REACH), 100)  # a sigmoid of 100 is 1
    exact = x.astype(np.float64)
    cell, _ = first_step(top, x, top, dtype)
    np.testing.assert_allclose(cell, np.tanh(exact), rtol=precision, atol=0)
    cell, hidden = first_step(x, top, top, dtype)
    sigmoid = np.where(exact < -40, 0, 1 / (1 + np.exp(-exact)))
    np.testing.assert_allclose(cell, sigmoid, rtol=precision, atol=1e-17)
    np.testing.assert_allclose(hidden, np.tanh(sigmoid), rtol=2 * precision, atol=1e-17)


def test_what_is_no_number_stays_none():
    for place in range(3):
        values = [np.array([np.nan if place == other else 0.5]) for other in range(3)]
        assert np.isnan(first_step(*values)[1][0])

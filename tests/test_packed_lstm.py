"""The packed LSTM against PyTorch's own, and its compiled cell against float64 on the whole line."""

import numpy as np
import pytest
import torch
from torch import nn

from rnnids.detectors.lstm import WORTH_PACKING, LSTMDetector
from rnnids.detectors.packed_lstm import pack, run_lstm, step_forward

COUNTS = {"mixed": [7, 1, 3, 3, 12], "one packet each": [1, 1, 1], "one flow": [5], "equal": [4, 4, 4]}
REACH = np.concatenate([-np.logspace(2, -30, 500), [0.0], np.logspace(-30, 2, 500)])


def problem(count, layers=2, dtype=torch.float64):
    torch.manual_seed(0)
    lstm = nn.LSTM(15, 6, layers, batch_first=True).to(dtype)
    inputs = torch.randn(len(count), max(count), 15, dtype=dtype, requires_grad=True)
    return lstm, inputs, pack(np.array(count))


def packets(padded, count):
    """The packets of a padded batch, flow after flow."""
    return torch.cat([flow[:length] for flow, length in zip(padded, count, strict=True)])


def padded_result(lstm, inputs, packing):
    """Hidden states by the packed LSTM as a padded batch."""
    hidden = run_lstm(lstm, inputs.flatten(0, 1)[packing.index], packing)
    flat = hidden.new_zeros(inputs.shape[0] * inputs.shape[1], hidden.shape[1])
    return flat.index_copy(0, packing.index, hidden).view(*inputs.shape[:2], -1)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS)
def test_states_and_all_gradients_are_those_of_pytorch(count, layers):
    lstm, inputs, packing = problem(count, layers)
    ours, theirs = packets(padded_result(lstm, inputs, packing), count), packets(lstm(inputs)[0], count)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(theirs)
    over = [inputs, *lstm.parameters()]
    for mine, other in zip(
        torch.autograd.grad((ours * weight).sum(), over),
        torch.autograd.grad((theirs * weight).sum(), over),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


def test_gradient_by_finite_differences():
    lstm, inputs, packing = problem([3, 1, 2], layers=1)
    x = inputs.detach().flatten(0, 1)[packing.index].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: run_lstm(lstm, x, packing), (x,))


def test_frozen_weights_get_no_gradient():
    lstm, inputs, packing = problem(COUNTS["mixed"])
    lstm.requires_grad_(False)
    padded_result(lstm, inputs, packing).sum().backward()
    assert inputs.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in lstm.parameters())


def test_packing_lists_every_packet_once_step_by_step():
    count = np.array([2, 5, 1, 5])
    packing = pack(count)
    assert packing.sizes == [4, 3, 2, 2, 2]
    flow, step = packing.index // 5, packing.index % 5
    assert step.tolist() == sorted(step.tolist())
    assert sorted(zip(flow.tolist(), step.tolist(), strict=True)) == [
        (f, t) for f, n in enumerate(count) for t in range(n)
    ]
    before = packing.index[packing.before]
    assert (before == packing.index[4:] - 1).all()


def test_a_batch_may_be_padded_beyond_its_longest_flow():
    count = np.array([2, 5, 1])
    narrow, wide = pack(count), pack(count, steps=9)
    assert narrow.sizes == wide.sizes
    assert torch.equal(wide.index, narrow.index // 5 * 9 + narrow.index % 5)
    with pytest.raises(ValueError, match="a flow of 5 packets in a batch of 4 steps"):
        pack(count, steps=4)


def test_the_packings_of_the_last_batches_are_kept():
    count = np.array([2, 5, 1])
    assert pack(count) is pack(count.astype(np.int32))
    assert pack(count) is not pack(np.array([2, 5, 2]))
    assert pack(np.array([5, 2, 1])).index.tolist() != pack(count).index.tolist()


@pytest.mark.parametrize("variant", [{}, {"suppress": "forward"}, {"feature_dropout": True}])
def test_a_detector_answers_the_same_packed_and_padded(variant):
    torch.manual_seed(1)
    model = LSTMDetector(6, 2, **variant)
    count = np.array([3, 8, 1])  # half of the batch is padding
    inputs = torch.randn(3, 8, 15)
    assert inputs[..., 0].numel() > WORTH_PACKING * count.sum()
    suppressed = torch.rand(3, 15) < 0.3 if variant.get("feature_dropout") else None
    plain, packed = model(inputs, suppressed=suppressed), model(inputs, count, suppressed=suppressed)
    torch.testing.assert_close(packets(packed, count), packets(plain, count), rtol=1e-5, atol=1e-6)
    assert (packed[0, 3:] == 0).all()  # so it was packed


def test_a_frozen_detector_has_the_same_gradients_packed_and_padded(monkeypatch):
    torch.manual_seed(1)
    model = LSTMDetector(6, 2).requires_grad_(False)
    inputs, lengths, calls = torch.randn(4, 5, 15), np.array([5, 5, 5, 5]), []
    monkeypatch.setattr("rnnids.detectors.lstm.run_lstm", lambda *a: calls.append(1) or run_lstm(*a))
    gradients = []
    for way in (None, lengths):
        x = inputs.clone().requires_grad_()
        gradients.append(torch.autograd.grad(model(x, way)[:, -1].sum(), x)[0])
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)
    with torch.no_grad():
        model(inputs, lengths)
    assert len(calls) == 1  # packed where a gradient is taken, though nothing is padding


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


def test_a_pre_activation_that_is_nan_gives_nan():
    for place in range(3):
        values = [np.array([np.nan if place == other else 0.5]) for other in range(3)]
        assert np.isnan(first_step(*values)[1][0])

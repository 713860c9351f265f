"""The packed LSTM against PyTorch's own."""

import numpy as np
import pytest
import torch
from torch import nn

from rnnids.detectors.lstm import WORTH_PACKING, Detector
from rnnids.detectors.packed_lstm import pack, run_lstm

COUNTS = {"mixed": [7, 1, 3, 3, 12], "one packet each": [1, 1, 1], "one flow": [5], "equal": [4, 4, 4]}


def problem(count, layers=2, dtype=torch.float64):
    torch.manual_seed(0)
    lstm = nn.LSTM(15, 6, layers, batch_first=True).to(dtype)
    inputs = torch.randn(len(count), max(count), 15, dtype=dtype, requires_grad=True)
    return lstm, inputs, pack(np.array(count))


def packets(padded, count):
    """The packets of a padded batch, flow after flow."""
    return torch.cat([flow[:length] for flow, length in zip(padded, count, strict=True)])


def padded_result(lstm, inputs, packing, dtype=None):
    """Hidden states by the packed LSTM as a padded batch."""
    hidden = run_lstm(lstm, inputs.flatten(0, 1)[packing.index], packing, dtype)
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


def test_bfloat16_points_the_same_way():
    count = np.random.default_rng(0).integers(1, 40, 60)
    lstm, inputs, packing = problem(count.tolist(), dtype=torch.float32)
    gradients = []
    for dtype in (None, torch.bfloat16):
        last = padded_result(lstm, inputs, packing, dtype)[torch.arange(60), count - 1].sum()
        gradients.append(torch.autograd.grad(last, inputs)[0].flatten())
    assert torch.cosine_similarity(*gradients, dim=0) > 0.9999


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


@pytest.mark.parametrize("variant", [{}, {"suppress": "forward"}, {"feature_dropout": True}])
def test_a_detector_answers_the_same_packed_and_padded(variant):
    torch.manual_seed(1)
    model = Detector(6, 2, **variant)
    count = np.array([3, 8, 1])  # half of the batch is padding
    inputs = torch.randn(3, 8, 15)
    assert inputs[..., 0].numel() > WORTH_PACKING * count.sum()
    suppressed = torch.rand(3, 15) < 0.3 if variant.get("feature_dropout") else None
    plain, packed = model(inputs, suppressed), model(inputs, suppressed, pack(count))
    torch.testing.assert_close(packets(packed, count), packets(plain, count), rtol=1e-5, atol=1e-6)
    assert (packed[0, 3:] == 0).all()  # so it was packed


def test_a_frozen_detector_has_the_same_gradients_packed_and_padded(monkeypatch):
    torch.manual_seed(1)
    model = Detector(6, 2).requires_grad_(False)
    inputs, packing, calls = torch.randn(4, 5, 15), pack(np.array([5, 5, 5, 5])), []
    monkeypatch.setattr("rnnids.detectors.lstm.run_lstm", lambda *a: calls.append(1) or run_lstm(*a))
    gradients = []
    for way in (None, packing):
        x = inputs.clone().requires_grad_()
        gradients.append(torch.autograd.grad(model(x, packing=way)[:, -1].sum(), x)[0])
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)
    with torch.no_grad():
        model(inputs, packing=packing)
    assert len(calls) == 1  # packed where a gradient is taken, though nothing is padding

"""The packed LSTM against PyTorch's own, and its compiled cell against float64 on the whole line."""

import numpy as np
import pytest
import torch
from torch import nn

from rnnids.detectors.compiled_lstm import step_forward
from rnnids.detectors.lstm import LSTMDetector
from rnnids.detectors.packed_lstm import pack, run_lstm

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
    assert packing.sizes.tolist() == [4, 3, 2, 2, 2]
    assert packing.lengths.tolist() == [5, 5, 2, 1]
    flow, step = packing.index // 5, packing.index % 5
    assert step.tolist() == sorted(step.tolist())
    assert sorted(zip(flow.tolist(), step.tolist(), strict=True)) == [
        (f, t) for f, n in enumerate(count) for t in range(n)
    ]
    assert torch.equal(packing.index, 5 * packing.flow + packing.step)


def test_a_batch_may_be_padded_beyond_its_longest_flow():
    count = np.array([2, 5, 1])
    narrow, wide = pack(count), pack(count, steps=9)
    assert narrow.sizes.tolist() == wide.sizes.tolist()
    assert torch.equal(wide.index, narrow.index // 5 * 9 + narrow.index % 5)
    with pytest.raises(ValueError, match="a flow of 5 packets in a batch of 4 steps"):
        pack(count, steps=4)


def test_the_packings_of_the_last_batches_are_kept():
    count = np.array([2, 5, 1])
    assert pack(count) is pack(count.astype(np.int32))
    assert pack(count) is not pack(np.array([2, 5, 2]))
    assert pack(np.array([5, 2, 1])).index.tolist() != pack(count).index.tolist()


def plain(model, inputs, suppressed=None):
    """Logits (B, T) of a detector by nn.LSTM over the padded batch."""
    flags = None if suppressed is None else suppressed[:, None].expand_as(inputs)
    return model.readout(model.lstm(model.visible(inputs, flags))[0]).squeeze(-1)


def relative(found, expected):
    """How far two tensors are apart, relative to the second."""
    return float((found - expected).detach().norm() / expected.detach().norm().clamp(min=1e-30))


@pytest.mark.parametrize("variant", [{}, {"suppress": "forward"}, {"feature_dropout": True}])
@pytest.mark.parametrize(("hidden_size", "layers"), [(64, 2), (5, 1), (33, 3)])
def test_a_detector_and_its_gradients_are_those_of_pytorch(hidden_size, layers, variant):
    """Ragged random flows, in float32."""
    for seed in range(4):
        torch.manual_seed(seed)
        model, rng = LSTMDetector(hidden_size, layers, **variant), np.random.default_rng(seed)
        count = rng.integers(1, rng.integers(2, 30), rng.integers(1, 40))
        inputs = torch.randn(len(count), int(count.max()), 15, requires_grad=True)
        suppressed = torch.rand(len(count), 15) < 0.3 if variant.get("feature_dropout") else None
        ours = packets(model(inputs, count, suppressed=suppressed), count)
        theirs = packets(plain(model, inputs, suppressed), count)
        weight, over = torch.randn_like(theirs), [inputs, *model.parameters()]
        assert relative(ours, theirs) < 1e-5
        found, expected = (torch.autograd.grad((logits * weight).sum(), over) for logits in (ours, theirs))
        assert max(map(relative, found, expected)) < 1e-5


def test_a_flow_gets_the_same_bits_in_any_company():
    """Whichever flows are beside it, in which order, with a gradient or without, on however many threads."""
    torch.manual_seed(0)
    model, count = LSTMDetector(70, 2), np.random.default_rng(0).integers(1, 12, 150)
    inputs = torch.randn(len(count), 11, 15)
    together = model(inputs, count).detach()
    chosen = torch.randperm(len(count))[:37]
    with torch.no_grad():
        assert torch.equal(packets(model(inputs, count), count), packets(together, count))
        some = model(inputs[chosen], count[chosen.numpy()])
        for row, flow in enumerate(chosen.tolist()):
            alone = model(inputs[flow : flow + 1, : count[flow]])[0]
            assert torch.equal(alone, together[flow, : count[flow]])
            assert torch.equal(some[row, : count[flow]], alone)


def test_threads_change_no_bit_but_in_sums_over_flows(monkeypatch):
    monkeypatch.setattr("rnnids.detectors.packed_lstm.WORTH_THREADS", 0)
    torch.manual_seed(0)
    model, count, before = LSTMDetector(20, 2), np.array([40, 3, 3, 9, 1, 1, 17]), torch.get_num_threads()
    inputs, found = torch.randn(len(count), 40, 15, requires_grad=True), []
    try:
        for threads in (1, 2, 3, 11):
            torch.set_num_threads(threads)
            logits = packets(model(inputs, count), count)
            with torch.no_grad():
                assert torch.equal(packets(model(inputs, count), count), logits)
            found.append([logits, *torch.autograd.grad(logits.sum(), [inputs, *model.parameters()])])
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(map(torch.equal, found[0][:2], others[:2]))
        assert max(map(relative, others[2:], found[0][2:])) < 1e-6


@pytest.mark.parametrize("count", [*COUNTS.values(), list(range(1, 60))])
def test_shares_hold_each_flow_once(count):
    packing = pack(np.array(count))
    for wanted in range(1, 8):
        shares = packing.shares(wanted)
        assert [flow for low, high in shares for flow in range(low, high)] == list(range(len(count)))
        assert len(shares) <= wanted
        most = max(packing.lengths[low:high].sum() for low, high in shares)
        assert most <= sum(count) / wanted + max(count)


def first_step(enter, candidate, leave, dtype=np.float32):
    """(cell, hidden) of flows of one packet and one unit, from their pre-activations."""
    gates = np.zeros((len(enter), 4), dtype=dtype)
    gates[:, 0], gates[:, 2], gates[:, 3] = enter, candidate, leave
    cell, squashed, hidden = (np.empty((len(enter), 1), dtype=dtype) for _ in range(3))
    step_forward(gates, cell, squashed, hidden, 0, len(enter), 0, 0)
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


def test_packed_values_are_padded_and_packed_again():
    count = np.array([2, 4, 1])
    packing = pack(count)
    padded = torch.arange(24.0).view(3, 4, 2) * (torch.arange(4) < torch.from_numpy(count)[:, None])[..., None]
    packed = padded[packing.flow, packing.step]
    assert packed.shape == (7, 2)
    assert torch.equal(packing.pad(packed), padded)

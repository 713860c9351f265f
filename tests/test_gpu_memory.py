"""What becomes of a batch that the memory of a GPU is too small for; the memory here is pretended."""

import logging

import detectors
import numpy as np
import pytest
import torch

from rnnids.attacks.gradient import CarliniWagner
from rnnids.attacks.search import RobustSearch
from rnnids.detectors import training
from rnnids.detectors.gpu_memory import accumulated, halved
from rnnids.detectors.inference import packet_logits
from rnnids.detectors.lstm import LSTMDetector
from rnnids.errors import InputError

FLOWS = 3  # that the memory has room for


def within(work, most=FLOWS):
    """`work` on a GPU whose memory has room for so many rows."""

    def attempt(rows):
        if len(rows) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        work(rows)

    return attempt


@pytest.fixture
def small_memory(monkeypatch):
    """A function that lets detectors take so many flows at a time and returns the list of sizes that they take."""
    given, room = [], [FLOWS]
    forward = LSTMDetector.forward

    def limited(self, inputs, *arguments, **options):
        flows = len(inputs) if inputs.dim() == 3 else options["packing"].flow.max() + 1
        if flows > room[0]:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        given.append(int(flows))
        return forward(self, inputs, *arguments, **options)

    def use(most=FLOWS):
        room[0] = most
        monkeypatch.setattr(LSTMDetector, "forward", limited)
        return given

    return use


def detector():
    torch.manual_seed(0)
    return LSTMDetector(hidden_size=8, num_layers=1).eval()


def test_each_row_is_worked_on_once_and_in_order(caplog):
    done = []
    with caplog.at_level(logging.WARNING):
        halved(within(done.extend), np.arange(11))
    assert done == list(range(11))
    assert "too small for 11 flows at a time; trying 6" in caplog.text


def test_nothing_is_divided_that_fits():
    calls = []
    halved(calls.append, np.arange(5))
    accumulated(calls.append, np.arange(5), restart=list)
    assert [list(rows) for rows in calls] == [list(range(5))] * 2


def test_sums_begin_anew_with_each_try():
    found = []
    accumulated(within(found.extend), np.arange(10), restart=found.clear)
    assert found == list(range(10))


@pytest.mark.parametrize("work", [halved, lambda work, rows: accumulated(work, rows, restart=list)])
def test_a_flow_that_does_not_fit_alone_is_an_input_error(work):
    with pytest.raises(InputError, match="too small for a single flow"):
        work(within(list, most=0), np.arange(4))


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(ZeroDivisionError):
        halved(lambda rows: 1 / 0, np.arange(4))


def test_predictions_are_the_same(small_memory):
    model, flows = detector(), detectors.flows(20)
    whole = packet_logits(model, flows)
    given = small_memory()
    np.testing.assert_array_equal(packet_logits(model, flows), whole)
    assert 1 < max(given) <= FLOWS


SEARCH = RobustSearch(iterations=3, far_iterations=2, draws=8, generations=1, polish_rounds=1)


@pytest.mark.parametrize(("attack", "most"), [(CarliniWagner(iterations=4), 3), (SEARCH, 40)])
def test_attacks_find_the_same(small_memory, attack, most, caplog):
    """A search tries several changes of each flow at a time: of fewer flows, fewer."""
    model, flows = detector(), detectors.flows(40)
    flows = flows.take(flows.is_attack)
    packets = 3 * most * int(flows.packet_count.max())
    whole = attack(model, flows, batch_packets=packets)
    given = small_memory(most)
    halves = attack(model, flows, batch_packets=packets)
    np.testing.assert_allclose(halves.l1, whole.l1, rtol=1e-4)
    assert max(given) <= most
    assert "too small for" in caplog.text


def test_a_step_of_training_is_the_same(monkeypatch):
    data = detectors.flows(20)
    rows = np.array([7, 3, 0, 12, 5])
    batch = training.load_batch(data, rows, torch.device("cpu"))
    gradients, losses = [], []
    summed = training.summed_loss

    def limited(network, part, *arguments, **options):
        if len(part.rows) > FLOWS:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return summed(network, part, *arguments, **options)

    for loss in (summed, limited):
        monkeypatch.setattr(training, "summed_loss", loss)
        model = detector().train()
        optimiser = torch.optim.SGD(model.parameters(), lr=1)
        scale = training.Scale(1.0, 1, int(data.packet_count[rows].sum()))
        losses.append(
            training.add_gradients(model, optimiser, batch, data=data, precision="float32", scale=scale).item()
        )
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-6)


def test_validation_is_the_same(small_memory):
    model, data = detector(), detectors.flows(20)
    whole = training.validate(model, data, 4096)
    small_memory()
    assert training.validate(model, data, 4096) == pytest.approx(whole, rel=1e-5)


def test_other_processes_are_not_left_waiting(monkeypatch):
    """Where several train together a lack of memory ends the training, as before."""
    data = detectors.flows(20)
    batch = training.load_batch(data, np.arange(5), torch.device("cpu"))
    monkeypatch.setattr(training, "summed_loss", lambda *_, **__: within(list, most=0)(batch.rows))
    model = detector()
    optimiser = torch.optim.SGD(model.parameters(), lr=1)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        training.add_gradients(
            model, optimiser, batch, data=data, precision="float32", scale=training.Scale(1.0, 2, 9), suppressed=None
        )

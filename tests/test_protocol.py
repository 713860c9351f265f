"""The protocol of detectors: ours and others keep it, and whatever breaks it is told where."""

import inspect
import warnings

import detectors
import explained
import gru
import numpy as np
import pytest
import torch
from torch import nn

from rnnids.attacks.ars import adversarial_robustness_score
from rnnids.attacks.gradient import CarliniWagner
from rnnids.datasets.flow_data import is_packet
from rnnids.detectors.contract import ContractError, check_contract
from rnnids.detectors.inference import packet_logits
from rnnids.detectors.lstm import LSTMDetector
from rnnids.detectors.network import SUPPRESS
from rnnids.detectors.protocol import has_gradient, is_stateful
from rnnids.explanations.partial_dependence import partial_dependence


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class Wrong(gru.StatefulGRUDetector):
    """A detector that keeps the protocol; each of the following breaks it in one place."""


class Bidirectional(Wrong):
    def forward(self, inputs, lengths=None):
        return super().forward(inputs) + super().forward(inputs.flip(1)).flip(1)


class Unpacked(Wrong):
    def forward(self, inputs, lengths=None):
        return super().forward(inputs) + inputs.mean()


class Narrow(Wrong):
    def forward(self, inputs, lengths=None):
        logits = super().forward(inputs)
        return logits if lengths is None else logits.roll(inputs.shape[1] - int(lengths.max()), dims=1)


class NeedsLengths(Wrong):
    def forward(self, inputs, lengths=None):
        return super().forward(inputs) + (1.0 if lengths is None else 0.0)


class Ordered(Wrong):
    def forward(self, inputs, lengths=None):
        return super().forward(inputs) + torch.arange(len(inputs))[:, None]


class Random(Wrong):
    def forward(self, inputs, lengths=None):
        return nn.functional.dropout(super().forward(inputs), 0.5, training=True)


class Deep(Wrong):
    def forward(self, inputs, lengths=None):
        return super().forward(inputs)[..., None]


class Nan(Wrong):
    def forward(self, inputs, lengths=None):
        return super().forward(inputs).sqrt()


class InPlace(Wrong):
    def forward(self, inputs, lengths=None):
        return super().forward(inputs.detach().mul_(0.5))


class OtherStates(Wrong):
    def states(self, inputs, lengths):
        return super().states(inputs.flip(0), lengths)


class TooManyStates(Wrong):
    def states(self, inputs, lengths):
        return super().states(inputs, lengths.clip(2))


class MixedAlternatives(Wrong):
    def next_logits(self, states, inputs):
        return super().next_logits(states, inputs).cumsum(dim=1)


class Sizeless(Wrong):
    bytes_per_packet = None


class Detached(Wrong):
    def forward(self, inputs, lengths=None):
        return super().forward(inputs).detach()


class Flat(Wrong):
    def forward(self, inputs, lengths=None):
        return super().forward(inputs.detach()) + 0 * inputs.sum(dim=-1)


class Leaking(Wrong):
    def forward(self, inputs, lengths=None):
        return super().forward(inputs) + (inputs.sum() - inputs.sum().detach())


class Elsewhere(Wrong):
    def __init__(self):
        super().__init__()
        self.device = "cpu"


class Seeing(Wrong):
    feature_dropout = True

    def forward(self, inputs, lengths=None, *, suppressed=None):
        return super().forward(inputs)


class Resuming(LSTMDetector):
    """A detector that can go on from anywhere, as the next two do wrongly."""

    def __init__(self):
        super().__init__(4, 2)


class Forgetful(Resuming):
    def resume(self, remembered, inputs, lengths, *, flows, steps):
        return super().resume(remembered, inputs, lengths, flows=flows, steps=0 * steps)


class Confused(Resuming):
    def remember(self, inputs, lengths):
        return super().remember(inputs.flip(0), lengths)


BROKEN = {
    Bidirectional: "padding is not inert|not causal",
    Unpacked: "padding is not inert",
    Narrow: "beyond the longest flow",
    NeedsLengths: "without lengths",
    Ordered: "order of flows",
    Random: "not deterministic",
    Deep: r"shape \(B, T\)",
    Nan: "finite",
    InPlace: "in place",
    OtherStates: "going on from states",
    TooManyStates: "states for 30 packets",
    MixedAlternatives: "going on from states",
    Sizeless: "bytes_per_packet",
    Detached: "differentiable = False",
    Flat: "differentiable = False",
    Leaking: "gradient at a packet reaches",
    Elsewhere: "torch.device",
    Seeing: "suppressed feature",
    Forgetful: "going on in the middle",
    Confused: "`remember` gives other outputs",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_what_breaks_the_protocol_is_named(broken):
    with pytest.raises(ContractError, match=BROKEN[broken]):
        check_contract(broken())


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("feature_dropout", [True, False])
@pytest.mark.parametrize("suppress", SUPPRESS)
@pytest.mark.filterwarnings("ignore:all logits lie in")  # those of an untrained one may
def test_ours_keeps_it(suppress, feature_dropout, frozen):
    detector = LSTMDetector(8, 2, suppress, feature_dropout=feature_dropout)
    check_contract(detector.requires_grad_(not frozen))
    assert is_stateful(detector)
    assert has_gradient(detector)


@pytest.mark.parametrize("kind", [gru.GRUDetector, gru.StatefulGRUDetector])
@pytest.mark.filterwarnings("error")
def test_a_gru_keeps_it_with_and_without_state(kind):
    check_contract(kind(), seed=1)
    assert is_stateful(kind()) == (kind is not gru.GRUDetector)


def test_a_detector_of_ones_own_takes_few_lines():
    assert len(inspect.getsource(gru).splitlines()) < 40


def test_a_detector_without_memory_state_or_gradient_keeps_it():
    trees = explained.StandIn(lambda inputs: (inputs[..., 3] > 0).float() * 4 - 2)
    with pytest.raises(ContractError, match="differentiable = False"):
        check_contract(trees)
    trees.differentiable = False
    assert not has_gradient(trees)
    assert not is_stateful(trees)
    check_contract(trees)


def test_probabilities_are_only_suspected():
    with pytest.warns(UserWarning, match="probabilities"):
        check_contract(explained.StandIn(lambda inputs: inputs[..., 3].sigmoid()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_contract(explained.StandIn(lambda inputs: inputs[..., 3]))


class WithoutGradient(gru.GRUDetector):
    """The same GRU behind a wall: a tree or a rule would be like it."""

    differentiable = False

    @torch.no_grad()
    def forward(self, inputs, lengths=None):
        return super().forward(inputs)


def test_a_gru_without_gradient_keeps_it():
    check_contract(WithoutGradient(), seed=1)
    assert not has_gradient(WithoutGradient())


@pytest.mark.parametrize("kind", [gru.GRUDetector, gru.StatefulGRUDetector])
def test_a_gru_is_attacked_scored_and_explained(kind):
    detector, flows = kind(), detectors.flows(40)
    optimiser = torch.optim.Adam(detector.parameters(), lr=0.03)
    inputs, packet = torch.from_numpy(flows.padded(np.arange(40))), torch.from_numpy(is_packet(flows.packet_count))
    labels = torch.from_numpy(np.repeat(flows.is_attack, flows.packet_count)).float()
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(detector(inputs)[packet], labels).backward()
        optimiser.step()
    attacked = flows.take(flows.is_attack)
    result = CarliniWagner(kappa=4)(detector.requires_grad_(False), attacked)
    assert (result.success & ~result.already_benign).any()
    assert adversarial_robustness_score(np.where(result.success, result.l1, np.inf)) > 0
    last = packet_logits(detector, result.adversarial)[np.cumsum(attacked.packet_count) - 1]
    np.testing.assert_allclose(last, result.logit, rtol=1e-4, atol=1e-5)
    found = partial_dependence(detector, attacked, feature="packet_length", grid_size=5)
    assert found.prediction.shape == found.value.shape == (5,)
    assert ((found.prediction > 0) & (found.prediction < 1)).all()
    assert np.ptp(found.prediction) > 0.01

"""Do explanations see what they must, and does what they see hang on the detector? (Adebayo et al. 2018, for flows)

All metrics of the features on one detector that was trained with feature dropout, and what puts them to the test: a
planted feature, weights drawn anew, labels in random order, features taken away or brought in in the metric's order.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from rnnids import settings
from rnnids.datasets.features import NUM_FEATURES
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.lstm import LSTMDetector
from rnnids.detectors.training import Training, train_epoch
from rnnids.explanations.gradients import integrated_gradients
from rnnids.explanations.importance import permutation_importance, weight_importance
from rnnids.explanations.mutual_information import mutual_information
from rnnids.explanations.shapley import correct_without, shapley_values
from rnnids.settings import setting

METRICS = (
    "weights",
    "input_perturbation",
    "feature_dropout",
    "shapley",
    "mutual_information_observed",
    "mutual_information_attacker",
    "integrated_gradients",
)
PLANTED = (60, 1200)  # bytes of all packets of a flow of either label


@dataclass(frozen=True, kw_only=True)
class Sanity:
    """Settings of the sanity checks."""

    max_flows: int = setting(150, "flows that are explained, at most", minimum=2)
    training_flows: int = setting(600, "flows that the detectors of the checks are trained on, at most", minimum=2)
    epochs: int = setting(8, "of their training", minimum=1)
    hidden_size: int = setting(24, "units of their one layer", minimum=1)
    max_steps: int = setting(8, "packets of a flow, at most", minimum=1)
    orders: int = setting(10, "random orders of the features to compare with", minimum=1)

    def __post_init__(self) -> None:
        settings.check(self)


class Curves(NamedTuple):
    """Mean accuracy while features are taken away, and while they are brought in, in some order.

    Attributes:
        deletion: the lower, the sooner the order takes what matters. insertion: the higher, the sooner it brings it.
    """

    deletion: float
    insertion: float


def planted(flows: FlowData, seed: int) -> FlowData:
    """The flows with labels by chance and lengths that tell them: nothing else can help."""
    attack = np.random.default_rng(seed).integers(0, 2, len(flows))
    length = np.repeat(np.array(PLANTED, dtype=np.uint32)[attack], flows.packet_count)
    return replace(relabelled(flows, attack), packets=flows.packets | {"length": length})


def relabelled(flows: FlowData, attack: np.ndarray) -> FlowData:
    """The flows with other attack types (N,)."""
    return replace(flows, flows=flows.flows | {"attack": attack.astype(flows.flows["attack"].dtype)})


def shuffled(flows: FlowData, seed: int) -> FlowData:
    """The flows with each other's labels."""
    return relabelled(flows, np.random.default_rng(seed).permutation(flows.flows["attack"]))


def fitted(flows: FlowData, options: Sanity, *, seed: int) -> LSTMDetector:
    """A small detector trained on `flows` with feature dropout."""
    training = Training(
        feature_dropout=True,
        hidden_size=options.hidden_size,
        num_layers=1,
        epochs=options.epochs,
        learning_rate=0.02,
        batch_packets=256,
        precision="float32",
    )
    detector = untrained(options.hidden_size, 1, seed=seed)
    optimiser = torch.optim.Adam(detector.parameters())
    for epoch in range(options.epochs):
        train_epoch(detector, optimiser, flows, settings=training, epoch=epoch, seed=seed)
    return detector.requires_grad_(False)


def untrained(hidden_size: int, num_layers: int, *, seed: int) -> LSTMDetector:
    """A detector with feature dropout and random weights."""
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    detector = LSTMDetector(hidden_size, num_layers, feature_dropout=True)
    torch.set_rng_state(state)
    return detector


def all_metrics(detector: LSTMDetector, flows: FlowData, *, seed: int = 0) -> dict[str, np.ndarray]:
    """{metric: (15,)} of ``METRICS``, of the prediction of flows, from few draws."""
    shown = np.zeros((len(flows), NUM_FEATURES), dtype=bool)
    base = correct_without(detector, flows, shown).mean()
    single = np.eye(NUM_FEATURES, dtype=bool)
    drops = [base - correct_without(detector, flows, shown | one).mean() for one in single]
    perturbed = permutation_importance(detector, flows, repeats=2, bootstrap_samples=2, seed=seed)
    shares = shapley_values(detector, flows, standard_error=1.0, max_rounds=4, bootstrap_samples=2, seed=seed)
    information = mutual_information(detector, flows, draws=16, bins=4, bootstrap_samples=2, seed=seed)
    attributions = np.abs(integrated_gradients(detector, flows, steps=16).integrated)
    found = (
        weight_importance(detector),
        perturbed.flow.value,
        np.array(drops),
        shares.estimate.value,
        information.observed.flow.value,
        information.attacker.flow.value,
        attributions.sum(axis=0) / len(flows),
    )
    return dict(zip(METRICS, found, strict=True))


def curves(detector: LSTMDetector, flows: FlowData, order: np.ndarray) -> Curves:
    """Deletion and insertion of features in an order (15,), the first first."""
    place = np.argsort(order)
    accuracy = []
    for hidden in (lambda count: place < count, lambda count: place >= count):
        masks = [np.tile(hidden(count), (len(flows), 1)) for count in range(1, NUM_FEATURES)]
        accuracy.append(np.mean([correct_without(detector, flows, mask).mean() for mask in masks]))
    return Curves(*map(float, accuracy))

"""How much a detector relies on each feature: weights, perturbation, dropout (Sec. V-A1 to V-A3).

The drops are of accuracy, per packet and per flow (a flow's prediction is that of its last
packet). Their 95 % intervals resample flows; each flow has value draws of its own, so the
intervals hold the noise of the draws too.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnids import settings
from rnnids.datasets.features import CONSTANT_FEATURES, FEATURES, NUM_FEATURES
from rnnids.datasets.flow_data import FlowData
from rnnids.datasets.selection import constant_features, packet_values
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.lstm import as_lstm
from rnnids.detectors.metrics import INTERVAL, bootstrap_counts
from rnnids.detectors.network import NetworkDetector
from rnnids.detectors.protocol import Detector
from rnnids.errors import InputError
from rnnids.explanations.feature_pairs import Losses, PairScores, pair_scores
from rnnids.explanations.per_step import flows_by_step, mean_by_step
from rnnids.explanations.variation import BATCH_PACKETS, vary_flows
from rnnids.settings import setting

LEVELS = ("packet", "flow")
BOOTSTRAP_SAMPLES = 1000  # where none are given

Row = dict[str, str | float | None]


@dataclass(frozen=True, kw_only=True)
class InputPerturbation:
    """Settings of :func:`permutation_importance` and of the flows that it is measured on (Sec. V-A2)."""

    max_flows: int | None = setting(1500, "flows to predict, at most; none: all", minimum=1)
    repeats: int = setting(4, "passes with new random values, per feature", minimum=1)

    def __post_init__(self) -> None:
        settings.check(self)


@dataclass(frozen=True, kw_only=True)
class FeatureDropout:
    """Settings of the flows that :func:`dropout_importance` is measured on (Sec. V-A3)."""

    max_flows: int | None = setting(1500, "flows to predict, at most; none: all", minimum=1)

    def __post_init__(self) -> None:
        settings.check(self)


class Estimate(NamedTuple):
    """A number for each feature with its 95 % interval.

    Attributes:
        value, low, high: (15,) in the order of ``FEATURES``.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Importance(NamedTuple):
    """The importance of each feature at both levels, and over the packets of a flow.

    Attributes:
        packet: for the predictions of all packets. flow: for those of flows, made at their last packets.
        by_step: (15, T) for the predictions at each step, over the flows that reach it.
    """

    packet: Estimate
    flow: Estimate
    by_step: np.ndarray


class DropoutImportance(NamedTuple):
    """What :func:`dropout_importance` finds.

    Attributes:
        importance: drops without single features. pairs: the scores of pairs.
    """

    importance: Importance
    pairs: PairScores


def weight_importance(detector: NetworkDetector) -> np.ndarray:
    """(15,) sum of |weight| products over all paths from an input to the logit of the same step (Sec. V-A1).

    |readout| times, for each layer, the |input weights| summed over the four gates. Recurrent
    weights and suppression inputs are left out.

    Raises:
        InputError: no LSTM.
    """
    # ASSUME: the paper sums "weights leading from an input to the outcome" and leaves the product over layers open.
    recurrent = as_lstm(detector, "Weights are summed over the paths of")
    importance = recurrent.readout.weight.detach().abs()
    for layer in reversed(range(recurrent.lstm.num_layers)):
        weights = getattr(recurrent.lstm, f"weight_ih_l{layer}").detach().abs()
        importance = importance @ weights.unflatten(0, (4, recurrent.lstm.hidden_size)).sum(dim=0)
    return importance[0, :NUM_FEATURES].double().cpu().numpy()


def correct_packets(flows: FlowData, logits: np.ndarray) -> np.ndarray:
    """(P,) int8: 1 where the prediction at a packet is correct, 0 elsewhere, from (P,) logits."""
    return ((logits > 0) == np.repeat(flows.is_attack, flows.packet_count)).astype(np.int8)


def lost_by_level(flows: FlowData, lost: np.ndarray) -> dict[str, np.ndarray]:
    """{level: (N,) correct predictions that each flow lost} from those of packets (P,)."""
    of_packets = np.add.reduceat(lost, flows.start, dtype=np.int32)
    return {"packet": of_packets, "flow": last_of_flow(lost, flows.packet_count).astype(np.int32)}


def prediction_counts(flows: FlowData) -> dict[str, np.ndarray]:
    """{level: (N,) number of predictions in each flow}."""
    return {"packet": flows.packet_count, "flow": np.ones(len(flows), dtype=np.int32)}


def accuracy_drop(
    lost: np.ndarray, total: np.ndarray, *, bootstrap_samples: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Drop in accuracy and its 95 % interval.

    Args:
        lost: (N,) correct predictions that each flow lost (negative: gained). total: (N,) its predictions.
        bootstrap_samples: resamples of flows.

    Returns:
        (value, low, high).
    """
    cells = np.stack([lost, total], axis=1).astype(np.int64)
    resampled = bootstrap_counts(cells, bootstrap_samples, rng)
    low, high = np.quantile(resampled[:, 0] / resampled[:, 1], INTERVAL)
    return float(lost.sum() / total.sum()), float(low), float(high)


def draw_values(flows: FlowData, pool: np.ndarray, *, feature: int, rng: np.random.Generator) -> np.ndarray:
    """(P, 1) values drawn from `pool`: one per flow for features that are constant in a flow, else per packet."""
    if feature in CONSTANT_FEATURES:
        return np.repeat(rng.choice(pool, len(flows)), flows.packet_count)[:, None]
    return rng.choice(pool, int(flows.packet_count.sum()))[:, None]


def permutation_importance(
    detector: Detector,
    flows: FlowData,
    *,
    pool: FlowData | None = None,
    repeats: int = InputPerturbation.repeats,
    bootstrap_samples: int = BOOTSTRAP_SAMPLES,
    seed: int = 0,
    batch_packets: int = BATCH_PACKETS,
) -> Importance:
    """Drop in accuracy where a feature takes random values of the data set (Sec. V-A2).

    Args:
        detector: any detector.
        flows: to predict.
        pool: flows whose packets' values are drawn; None: `flows`.
        repeats: passes with new values for each feature.
        bootstrap_samples: resamples of flows, behind the 95 % intervals.
        seed: of the draws and of the bootstrap.
        batch_packets: padded packets per batch, at most.

    Returns:
        drops in accuracy of all features, shares of predictions.
    """
    base = correct_packets(flows, packet_logits(detector, flows, batch_packets=batch_packets))
    drops, by_step = [], []
    for feature in range(NUM_FEATURES):
        rng = np.random.default_rng([seed, feature])
        # ASSUME: "all values of this feature in the dataset" are those of all packets, also for constant features.
        values = packet_values(flows if pool is None else pool, feature)
        drawn = [draw_values(flows, values, feature=feature, rng=rng) for _ in range(repeats)]
        logits = vary_flows(detector, flows, feature, values=np.concatenate(drawn, axis=1), batch_packets=batch_packets)
        lost = np.sum([base - correct_packets(flows, column) for column in logits.T], axis=0)
        drop, lost_of_flows = {}, lost_by_level(flows, lost)
        for level, total in prediction_counts(flows).items():
            drop[level] = accuracy_drop(
                lost_of_flows[level], repeats * total, bootstrap_samples=bootstrap_samples, rng=rng
            )
        drops.append(drop)
        by_step.append(mean_by_step(flows, lost) / repeats)
    return by_level(drops, by_step)


def by_level(found: Sequence[Mapping[str, tuple[float, float, float]]], by_step: Sequence[np.ndarray]) -> Importance:
    """An Importance of {level: (value, low, high)} and of (T,) values by step, for each feature."""
    packet, flow = (Estimate(*np.array([of_feature[level] for of_feature in found]).T) for level in LEVELS)
    return Importance(packet, flow, np.array(by_step))


def importance_rows(metrics: Mapping[str, Importance]) -> list[Row]:
    """Rows metric, level, feature, value, low, high of {metric: Importance}, feature after feature."""
    rows: list[Row] = []
    for feature, name in enumerate(FEATURES):
        for metric, importance in metrics.items():
            for level, estimate in zip(LEVELS, importance[:2], strict=True):
                numbers = {kind: float(values[feature]) for kind, values in estimate._asdict().items()}
                rows.append({"metric": metric, "level": level, "feature": name, **numbers})
    return rows


def step_rows(flows: FlowData, metrics: Mapping[str, Importance]) -> list[dict[str, str | float]]:
    """Rows metric, feature, step, flows, value of {metric: Importance}: at each step, over the flows that reach it."""
    reaching = flows_by_step(flows).tolist()
    return [
        {"metric": metric, "feature": name, "step": step, "flows": count, "value": value}
        for metric, importance in metrics.items()
        for name, values in zip(FEATURES, importance.by_step.tolist(), strict=True)
        for step, (count, value) in enumerate(zip(reaching, values, strict=True), start=1)
    ]


def dropout_importance(
    detector: Detector,
    flows: FlowData,
    *,
    bootstrap_samples: int = BOOTSTRAP_SAMPLES,
    seed: int = 0,
    batch_packets: int = BATCH_PACKETS,
) -> DropoutImportance:
    """Drop in accuracy without each feature, and how far pairs of features replace each other (Sec. V-A3).

    Args:
        detector: trained with feature dropout.
        flows: to predict.
        bootstrap_samples: resamples of flows, behind the 95 % intervals.
        seed: of the bootstrap.
        batch_packets: padded packets per batch, at most.

    Raises:
        InputError: the detector was trained without feature dropout.
    """
    if not getattr(detector, "feature_dropout", False):
        raise InputError("the model was trained without feature dropout; take one with `feature_dropout: true`")
    losses, by_step = dropout_losses(detector, flows, batch_packets=batch_packets)
    rng, drops = np.random.default_rng(seed), []
    for feature in range(NUM_FEATURES):
        drop = {}
        for level, total in prediction_counts(flows).items():
            drop[level] = accuracy_drop(losses[feature,][level], total, bootstrap_samples=bootstrap_samples, rng=rng)
        drops.append(drop)
    importance = by_level(drops, by_step)
    pairs = pair_scores(
        losses,
        noise=importance.flow.low <= 0,
        constant=constant_features(flows),
        bootstrap_samples=bootstrap_samples,
        rng=np.random.default_rng([seed, NUM_FEATURES]),
    )
    return DropoutImportance(importance, pairs)


def dropout_losses(
    detector: Detector, flows: FlowData, *, batch_packets: int = BATCH_PACKETS
) -> tuple[Losses, list[np.ndarray]]:
    """Correct predictions lost without each feature and each pair of features (Sec. V-A3).

    Args:
        detector: trained with feature dropout.

    Returns:
        {(feature,) or (feature, feature): {level: (N,) lost in each flow}}, 15 + 105 entries; and for each feature
        alone (T,) the drop in accuracy at each step.
    """
    base = correct_packets(flows, packet_logits(detector, flows, batch_packets=batch_packets))
    losses, by_step = {}, []
    for size in (1, 2):
        for features in itertools.combinations(range(NUM_FEATURES), size):
            suppressed = np.isin(np.arange(NUM_FEATURES), features)
            logits = packet_logits(detector, flows, batch_packets=batch_packets, suppressed=suppressed)
            lost = base - correct_packets(flows, logits)
            losses[features] = lost_by_level(flows, lost)
            if size == 1:
                by_step.append(mean_by_step(flows, lost))
    return losses, by_step

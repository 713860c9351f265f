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
from rnnids.datasets.selection import packet_values
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.lstm import LSTMDetector
from rnnids.detectors.metrics import INTERVAL, bootstrap_counts
from rnnids.detectors.protocol import Detector
from rnnids.errors import InputError
from rnnids.explanations.variation import BATCH_PACKETS, vary_flows
from rnnids.settings import setting

LEVELS = ("packet", "flow")
BOOTSTRAP_SAMPLES = 1000  # where none are given

Losses = Mapping[tuple[int, ...], Mapping[str, np.ndarray]]
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
    """The importance of each feature at both levels.

    Attributes:
        packet: for the predictions of all packets. flow: for those of flows, made at their last packets.
    """

    packet: Estimate
    flow: Estimate


class PairScores(NamedTuple):
    """How far the features of each pair replace each other (Eq. 4, of flow accuracy).

    Attributes:
        first, second: (105,) indices into ``FEATURES``.
        drop_1, drop_2, drop_both: (105,) drops in accuracy without the first, the second, both.
        score: (105,), see :func:`pair_score`.
        status: (105,) texts: "ok", or why a score should not be ranked, see :func:`pair_status`.
    """

    first: np.ndarray
    second: np.ndarray
    drop_1: np.ndarray
    drop_2: np.ndarray
    drop_both: np.ndarray
    score: np.ndarray
    status: np.ndarray


class DropoutImportance(NamedTuple):
    """What :func:`dropout_importance` finds.

    Attributes:
        importance: drops without single features. pairs: the scores of pairs.
    """

    importance: Importance
    pairs: PairScores


def weight_importance(detector: LSTMDetector) -> np.ndarray:
    """(15,) sum of |weight| products over all paths from an input to the logit of the same step (Sec. V-A1).

    |readout| times, for each layer, the |input weights| summed over the four gates. Recurrent
    weights and suppression inputs are left out.
    """
    # ASSUME: the paper sums "weights leading from an input to the outcome" and leaves the product over layers open.
    importance = detector.readout.weight.detach().abs()
    for layer in reversed(range(detector.lstm.num_layers)):
        weights = getattr(detector.lstm, f"weight_ih_l{layer}").detach().abs()
        importance = importance @ weights.unflatten(0, (4, detector.lstm.hidden_size)).sum(dim=0)
    return importance[0, :NUM_FEATURES].double().cpu().numpy()


def correct_predictions(flows: FlowData, logits: np.ndarray) -> dict[str, np.ndarray]:
    """{level: (N,) number of correct predictions in each flow} from (P,) logits."""
    correct = (logits > 0) == np.repeat(flows.is_attack, flows.packet_count)
    per_packet = np.add.reduceat(correct, flows.start, dtype=np.int32)
    return {"packet": per_packet, "flow": last_of_flow(correct, flows.packet_count).astype(np.int32)}


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
    base = correct_predictions(flows, packet_logits(detector, flows, batch_packets=batch_packets))
    drops = []
    for feature in range(NUM_FEATURES):
        rng = np.random.default_rng([seed, feature])
        # ASSUME: "all values of this feature in the dataset" are those of all packets, also for constant features.
        values = packet_values(flows if pool is None else pool, feature)
        drawn = [draw_values(flows, values, feature=feature, rng=rng) for _ in range(repeats)]
        logits = vary_flows(detector, flows, feature, values=np.concatenate(drawn, axis=1), batch_packets=batch_packets)
        passes = [correct_predictions(flows, column) for column in logits.T]
        drop = {}
        for level, total in prediction_counts(flows).items():
            lost = np.sum([base[level] - found[level] for found in passes], axis=0)
            drop[level] = accuracy_drop(lost, repeats * total, bootstrap_samples=bootstrap_samples, rng=rng)
        drops.append(drop)
    return by_level(drops)


def by_level(found: Sequence[Mapping[str, tuple[float, float, float]]]) -> Importance:
    """An Importance of {level: (value, low, high)} for each feature."""
    return Importance(*(Estimate(*np.array([of_feature[level] for of_feature in found]).T) for level in LEVELS))


def importance_rows(metrics: Mapping[str, Importance]) -> list[Row]:
    """Rows metric, level, feature, value, low, high of {metric: Importance}, feature after feature."""
    rows: list[Row] = []
    for feature, name in enumerate(FEATURES):
        for metric, importance in metrics.items():
            for level, estimate in zip(LEVELS, importance, strict=True):
                numbers = {kind: float(values[feature]) for kind, values in estimate._asdict().items()}
                rows.append({"metric": metric, "level": level, "feature": name, **numbers})
    return rows


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
    losses = dropout_losses(detector, flows, batch_packets=batch_packets)
    rng, drops = np.random.default_rng(seed), []
    for feature in range(NUM_FEATURES):
        drop = {}
        for level, total in prediction_counts(flows).items():
            drop[level] = accuracy_drop(losses[feature,][level], total, bootstrap_samples=bootstrap_samples, rng=rng)
        drops.append(drop)
    importance = by_level(drops)
    return DropoutImportance(importance, pair_scores(losses, noise=importance.flow.low <= 0))


def dropout_losses(
    detector: Detector, flows: FlowData, *, batch_packets: int = BATCH_PACKETS
) -> dict[tuple[int, ...], dict[str, np.ndarray]]:
    """Correct predictions lost without each feature and each pair of features (Sec. V-A3).

    Args:
        detector: trained with feature dropout.

    Returns:
        {(feature,) or (feature, feature): {level: (N,) lost in each flow}}, 15 + 105 entries.
    """
    base = correct_predictions(flows, packet_logits(detector, flows, batch_packets=batch_packets))
    losses = {}
    for size in (1, 2):
        for features in itertools.combinations(range(NUM_FEATURES), size):
            suppressed = np.isin(np.arange(NUM_FEATURES), features)
            logits = packet_logits(detector, flows, batch_packets=batch_packets, suppressed=suppressed)
            found = correct_predictions(flows, logits)
            losses[features] = {level: base[level] - found[level] for level in LEVELS}
    return losses


def pair_score(drop_1: float, drop_2: float, drop_both: float) -> float:
    """Eq. 4, the drops floored at 0; 0/0 is NaN, x/0 infinite.

    Features that replace each other score high, those with nothing in common 0.5 to 1. At least 0.5
    holds where the pair's drop is not below either single one; the paper's weaker condition, no
    negative drop, is not enough.
    """
    drop_1, drop_2, drop_both = (max(0.0, drop) for drop in (drop_1, drop_2, drop_both))
    if drop_1 + drop_2 == 0:
        return np.inf if drop_both > 0 else np.nan
    return drop_both / (drop_1 + drop_2)


def pair_status(score: float, *, noise: bool) -> str:
    """Whether a score can be read: "ok", "undefined" (0/0), "infinite" (x/0) or "noise"."""
    if np.isnan(score):
        return "undefined"
    if np.isinf(score):
        return "infinite"
    return "noise" if noise else "ok"


def pair_scores(losses: Losses, *, noise: np.ndarray) -> PairScores:
    """The 105 pair scores of Eq. 4 on flow accuracy.

    Args:
        losses: of :func:`dropout_losses`.
        noise: (15,) bool, features whose drop has an interval that holds 0; a pair of two such has status "noise".
    """
    pairs = np.array(list(itertools.combinations(range(NUM_FEATURES), 2)))
    drop = {features: float(lost["flow"].mean()) for features, lost in losses.items()}
    drops = np.array([(drop[first,], drop[second,], drop[first, second]) for first, second in pairs.tolist()])
    score = np.array([pair_score(*of_pair) for of_pair in drops.tolist()])
    both = noise[pairs].all(axis=1).tolist()
    status = [pair_status(of_pair, noise=within) for of_pair, within in zip(score.tolist(), both, strict=True)]
    return PairScores(
        first=pairs[:, 0],
        second=pairs[:, 1],
        drop_1=drops[:, 0],
        drop_2=drops[:, 1],
        drop_both=drops[:, 2],
        score=score,
        status=np.array(status),
    )

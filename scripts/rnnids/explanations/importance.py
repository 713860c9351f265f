"""How much a detector relies on each feature: weights, perturbation, dropout (Sec. V-A1 to V-A3).

The drops are of accuracy, per packet and per flow (a flow's prediction is that of its last
packet). Their 95 % intervals resample flows; each flow has value draws of its own, so the
intervals hold the noise of the draws too.
"""

import itertools

import numpy as np

from rnnids.datasets.features import CONSTANT_FEATURES, FEATURES, NUM_FEATURES
from rnnids.datasets.selection import packet_values
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.metrics import INTERVAL, bootstrap_counts
from rnnids.explanations.variation import vary_flows

LEVELS = ("packet", "flow")


def weight_importance(model):
    """(15,) sum of |weight| products over all paths from an input to the logit of the same step.

    |readout| times, for each layer, the |input weights| summed over the four gates. Recurrent
    weights and suppression inputs are left out.
    """
    # ASSUME: the paper sums "weights leading from an input to the outcome" and leaves the product over layers open.
    importance = model.readout.weight.detach().abs()
    for layer in reversed(range(model.lstm.num_layers)):
        weights = getattr(model.lstm, f"weight_ih_l{layer}").detach().abs()
        importance = importance @ weights.unflatten(0, (4, model.lstm.hidden_size)).sum(dim=0)
    return importance[0, :NUM_FEATURES].double().cpu().numpy()


def correct_predictions(data, logits):
    """{level: (N,) number of correct predictions in each flow} from (P,) logits."""
    correct = (logits > 0) == np.repeat(data.is_attack, data.packet_count)
    per_packet = np.add.reduceat(correct, data.start, dtype=np.int32)
    return {"packet": per_packet, "flow": last_of_flow(correct, data.packet_count).astype(np.int32)}


def predictions(data):
    """{level: (N,) number of predictions in each flow}."""
    return {"packet": data.packet_count, "flow": np.ones(len(data), dtype=np.int32)}


def accuracy_drop(lost, total, samples, rng):
    """Drop in accuracy and its 95 % interval.

    Args:
        lost: (N,) correct predictions that each flow lost (negative: gained). total: (N,) its predictions.
        samples: bootstrap resamples of flows.

    Returns:
        (value, low, high).
    """
    cells = np.stack([lost, total], axis=1).astype(np.int64)
    resampled = bootstrap_counts(cells, samples, rng)
    low, high = np.quantile(resampled[:, 0] / resampled[:, 1], INTERVAL)
    return lost.sum() / total.sum(), low, high


def draw_values(data, pool, feature, rng):
    """(P, 1) values drawn from `pool`: one per flow for features that are constant in a flow, else per packet."""
    if feature in CONSTANT_FEATURES:
        return np.repeat(rng.choice(pool, len(data)), data.packet_count)[:, None]
    return rng.choice(pool, int(data.packet_count.sum()))[:, None]


def perturbation_rows(model, data, pool, repeats, samples, seed, batch_packets, device="cpu"):
    """Accuracy drop where a feature takes random values of the data set (Sec. V-A2).

    Args:
        data: FlowData to predict. pool: FlowData whose packets' values are drawn.
        repeats: passes with new values for each feature. samples: bootstrap resamples.

    Returns:
        rows level, feature, value, low, high.
    """
    base = correct_predictions(data, packet_logits(model, data, batch_packets, device))
    rows = []
    for feature, name in enumerate(FEATURES):
        rng = np.random.default_rng([seed, feature])
        # ASSUME: "all values of this feature in the dataset" are those of all packets, also for constant features.
        values = packet_values(pool, feature)
        drawn = np.concatenate([draw_values(data, values, feature, rng) for _ in range(repeats)], axis=1)
        logits = vary_flows(model, data, feature, drawn, batch_packets, device)
        lost = dict.fromkeys(LEVELS, 0)
        for column in logits.T:
            found = correct_predictions(data, column)
            lost = {level: lost[level] + base[level] - found[level] for level in LEVELS}
        for level, total in predictions(data).items():
            value, low, high = accuracy_drop(lost[level], repeats * total, samples, rng)
            rows.append({"level": level, "feature": name, "value": value, "low": low, "high": high})
    return rows


def dropout_losses(model, data, batch_packets, device="cpu"):
    """Correct predictions lost without each feature and each pair of features (Sec. V-A3).

    Args:
        model: trained with feature dropout.

    Returns:
        {(feature,) or (feature, feature): {level: (N,) lost in each flow}}, 15 + 105 entries.
    """
    base = correct_predictions(data, packet_logits(model, data, batch_packets, device))
    losses = {}
    for size in (1, 2):
        for features in itertools.combinations(range(NUM_FEATURES), size):
            suppressed = np.isin(np.arange(NUM_FEATURES), features)
            found = correct_predictions(data, packet_logits(model, data, batch_packets, device, suppressed))
            losses[features] = {level: base[level] - found[level] for level in LEVELS}
    return losses


def dropout_rows(data, losses, samples, rng):
    """Rows level, feature, value, low, high of the single features among :func:`dropout_losses`."""
    rows = []
    for feature, name in enumerate(FEATURES):
        for level, total in predictions(data).items():
            value, low, high = accuracy_drop(losses[feature,][level], total, samples, rng)
            rows.append({"level": level, "feature": name, "value": value, "low": low, "high": high})
    return rows


def pair_score(drop_1, drop_2, drop_both):
    """Eq. 4, the drops floored at 0; 0/0 is NaN, x/0 infinite.

    Features that replace each other score high, those with nothing in common 0.5 to 1. At least 0.5
    holds where the pair's drop is not below either single one; the paper's weaker condition, no
    negative drop, is not enough.
    """
    drop_1, drop_2, drop_both = (max(0.0, drop) for drop in (drop_1, drop_2, drop_both))
    if drop_1 + drop_2 == 0:
        return np.inf if drop_both > 0 else np.nan
    return drop_both / (drop_1 + drop_2)


def pair_status(score, noise):
    """Whether a score can be read: "ok", "undefined" (0/0), "infinite" (x/0) or "noise"."""
    if np.isnan(score):
        return "undefined"
    if np.isinf(score):
        return "infinite"
    return "noise" if noise else "ok"


def pair_rows(losses, drops):
    """The 105 pair scores of Eq. 4 on flow accuracy.

    Args:
        losses: of :func:`dropout_losses`. drops: of :func:`dropout_rows`.

    Returns:
        rows feature_1, feature_2, drop_1, drop_2, drop_both, score, status; status "noise" means
        that the intervals of both single drops hold 0.
    """
    within_noise = {row["feature"]: row["low"] <= 0 for row in drops if row["level"] == "flow"}
    drop = {features: lost["flow"].mean() for features, lost in losses.items()}
    rows = []
    for first, second in itertools.combinations(range(NUM_FEATURES), 2):
        names = FEATURES[first], FEATURES[second]
        drops_of_pair = drop[first,], drop[second,], drop[first, second]
        score = pair_score(*drops_of_pair)
        row = {"feature_1": names[0], "feature_2": names[1]}
        row |= dict(zip(("drop_1", "drop_2", "drop_both"), drops_of_pair, strict=True))
        rows.append(row | {"score": score, "status": pair_status(score, all(within_noise[name] for name in names))})
    return rows

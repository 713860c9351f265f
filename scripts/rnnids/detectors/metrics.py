"""Classification metrics of Table II, per packet and per flow, with bootstrap intervals.

A flow's prediction is that of its last packet; a positive logit means attack. Intervals resample
flows, not packets: the packets of one flow are not independent of each other.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnnids.datasets.flow_data import FlowData
from rnnids.settings import check, setting

METRICS = ("accuracy", "precision", "recall", "f1", "youden_j")
INTERVAL = (0.025, 0.975)  # 95 %


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a detector is scored (Sec. II, Table II)."""

    bootstrap_samples: int = setting(1000, "resamples behind the 95 % intervals", minimum=1)
    batch_packets: int = setting(32768, "padded packets in a batch, at most", minimum=1)

    def __post_init__(self) -> None:
        check(self)


def confusion(is_attack: np.ndarray, logits: np.ndarray) -> dict[str, int]:
    """Counts of true/predicted pairs.

    Args:
        is_attack: (N,) bool. logits: (N,).

    Returns:
        dict of the integers tp, fp, tn, fn.
    """
    cells = confusion_cells(is_attack, logits)
    return dict(zip(("tp", "fp", "tn", "fn"), cells.sum(axis=0).tolist(), strict=True))


def confusion_cells(is_attack: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """(N, 4) int64: which of tp, fp, tn, fn each item is."""
    is_attack, predicted = np.asarray(is_attack), np.asarray(logits) > 0
    cells = (is_attack & predicted, ~is_attack & predicted, ~is_attack & ~predicted, is_attack & ~predicted)
    return np.stack(cells, axis=-1).astype(np.int64)


def metrics_of(counts: ArrayLike) -> dict[str, np.ndarray]:
    """The five metrics from counts (4, ...) of tp, fp, tn, fn; 0/0 is NaN.

    Youden's J is recall + specificity - 1.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        tp, fp, tn, fn = np.asarray(counts, dtype=float)
        recall = tp / (tp + fn)
        return {
            "accuracy": (tp + tn) / (tp + fp + tn + fn),
            "precision": tp / (tp + fp),
            "recall": recall,
            "f1": 2 * tp / (2 * tp + fp + fn),
            "youden_j": recall + tn / (tn + fp) - 1,
        }


def bootstrap_counts(cells: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Confusion counts of resampled flows.

    Args:
        cells: (N, 4) counts of each flow.

    Returns:
        (samples, 4): each row the sum over N flows drawn with replacement.
    """
    # Flows with equal counts are interchangeable, so drawing how often each *kind* of flow comes is
    # the same bootstrap, at the cost of the number of kinds.
    kinds, count = np.unique(cells, axis=0, return_counts=True)
    return rng.multinomial(len(cells), count / len(cells), size=samples) @ kinds


def metric_rows(
    level: str,
    is_attack: np.ndarray,
    logits: np.ndarray,
    *,
    packet_count: np.ndarray,
    samples: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Rows of metrics.csv for one level.

    Args:
        level: "packet" or "flow".
        is_attack: (N,) bool per flow. logits: (P,) per packet or (N,) per flow.
        packet_count: (N,) items of each flow in `logits` (all 1 for flows).
        samples: bootstrap resamples.

    Returns:
        list of dicts level, metric, value, low, high (the areas have no interval, and no value for one class).
    """
    # Here, since most that import this module ask for no area, and importing it takes a second.
    from sklearn.metrics import average_precision_score, roc_auc_score

    label = np.repeat(is_attack, packet_count)
    cells = confusion_cells(label, logits)
    per_flow = np.add.reduceat(cells, np.cumsum(packet_count) - packet_count, axis=0)
    value = metrics_of(cells.sum(axis=0))
    resampled = metrics_of(bootstrap_counts(per_flow, samples, rng).T)
    rows: list[dict[str, Any]] = []
    for metric in METRICS:
        defined = resampled[metric][~np.isnan(resampled[metric])]
        low, high = np.quantile(defined, INTERVAL) if len(defined) else (np.nan, np.nan)
        rows.append({"level": level, "metric": metric, "value": float(value[metric]), "low": low, "high": high})
    for metric, area in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score)):
        size = area(label, logits) if label.any() and not label.all() else np.nan
        rows.append({"level": level, "metric": metric, "value": size, "low": None, "high": None})
    return rows


def proportion_interval(successes: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion; unlike a bootstrap it is not [1, 1] for 5 of 5."""
    if total == 0:
        return np.nan, np.nan
    z = 1.959963984540054
    share = successes / total
    centre = share + z * z / (2 * total)
    spread = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    low, high = (centre - spread) / (1 + z * z / total), (centre + spread) / (1 + z * z / total)
    # Rounding can step over the ends, or stop short of one that is reached.
    return (max(0.0, low) if successes else 0.0), (min(1.0, high) if successes < total else 1.0)


def recall_rows(data: FlowData, flow_logits: np.ndarray) -> list[dict[str, Any]]:
    """Rows of recall.csv: recall of each attack type that occurs, with its 95 % interval.

    Args:
        data: FlowData of N flows. flow_logits: (N,).
    """
    rows = []
    for index, attack in enumerate(data.attacks[1:], start=1):
        chosen = data.flows["attack"] == index
        if not chosen.any():
            continue
        total, detected = int(chosen.sum()), int((flow_logits[chosen] > 0).sum())
        low, high = proportion_interval(detected, total)
        category = data.categories[data.flows["category"][chosen][0]]
        row = {"attack": attack, "category": category, "flows": total, "detected": detected}
        rows.append(row | {"recall": detected / total, "low": low, "high": high})
    return rows


def confusion_rows(level: str, is_attack: np.ndarray, logits: np.ndarray) -> list[dict[str, Any]]:
    """Rows of confusion.csv for one level."""
    counts = confusion(is_attack, logits)
    names = {
        "tp": ("attack", "attack"),
        "fp": ("benign", "attack"),
        "tn": ("benign", "benign"),
        "fn": ("attack", "benign"),
    }
    return [
        {"level": level, "true": true, "predicted": predicted, "count": counts[cell]}
        for cell, (true, predicted) in names.items()
    ]

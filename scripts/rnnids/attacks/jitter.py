"""Whether evasions survive the network: each one under random changes of its gaps between packets.

The paper asks for a margin (delta, a logit of -0.2 instead of 0) since a network changes what an attacker sends. How
much that buys is measured here: evasions that reach other margins, and the probability that each is still benign.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rnnids.attacks.descent import Batch, Kept, attack_flows
from rnnids.attacks.feasible_set import ThreatModel, raw_values
from rnnids.attacks.minimum_norm import MinimumNorm
from rnnids.attacks.round_trip import verdicts
from rnnids.datasets.features import NANOSECONDS_PER_MILLISECOND
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.metrics import INTERVAL
from rnnids.detectors.protocol import Detector
from rnnids.settings import check, setting

COPIES = 1 << 20  # packets of jittered copies at a time, at least those of one flow


@dataclass(frozen=True, kw_only=True)
class JitterSurvival:
    """How evasions are put to the test of a network."""

    jitter_ms: tuple[float, ...] = setting(
        (0.1, 1.0, 10.0, 100.0), "standard deviations of the noise on each gap, milliseconds", above=0
    )
    draws: int = setting(200, "random networks for each flow and jitter", minimum=1)
    deltas: tuple[float, ...] = setting(
        (0.0, -0.05, -0.1, -0.2, -0.5, -1.0), "logits that evasions reach, one after the other", maximum=0
    )
    max_flows: int | None = setting(5, "evasions of an attack type, at most; none: all", minimum=1)
    iterations: int = setting(40, "gradients of the descent to each logit", minimum=1)
    bootstrap_samples: int = setting(1000, "resamples of the flows behind the 95 % intervals", minimum=1)

    def __post_init__(self) -> None:
        check(self)


def jittered(flows: FlowData, jitter_ms: float, *, draws: int, rng: np.random.Generator) -> FlowData:
    """Copies of flows as a network might deliver them: `draws` of each flow, side by side.

    Each gap changes by normal noise of this standard deviation, on the capture's clock; packets do not overtake each
    other, so no gap falls below 0.
    """
    copies = flows.take(np.repeat(np.arange(len(flows)), draws))
    iat_ns, tick = copies.packets["iat_ns"], flows.clock_resolution_ns
    noise = rng.normal(0, jitter_ms * NANOSECONDS_PER_MILLISECOND / tick, len(iat_ns))
    noise[copies.start] = 0  # the first packet has no gap before it
    changed = np.maximum(iat_ns + np.rint(noise).astype(np.int64) * tick, 0)
    return replace(copies, packets=copies.packets | {"iat_ns": changed})


def survival(
    detector: Detector,
    flows: FlowData,
    *,
    jitter_ms: float,
    draws: int,
    goal: str = "last",
    seed: int = 0,
    batch_packets: int = 32768,
) -> np.ndarray:
    """Probability that each flow is classified as benign under jitter.

    Returns:
        (N,) share of the draws.
    """
    rng, shares = np.random.default_rng(seed), np.empty(len(flows))
    for rows in _pieces(flows.packet_count, draws):
        copies = jittered(flows.take(rows), jitter_ms, draws=draws, rng=rng)
        _, verdict = verdicts(detector, copies, goal=goal, batch_packets=batch_packets)
        shares[rows] = (verdict.reshape(len(rows), draws) <= 0).mean(axis=1)
    return shares


def _pieces(count: np.ndarray, draws: int) -> Iterator[np.ndarray]:
    """Yield rows of flows, some at a time."""
    piece = np.cumsum(count.astype(np.int64) * draws) // COPIES
    yield from np.split(np.arange(len(count)), np.flatnonzero(np.diff(piece)) + 1)


def with_margin(
    detector: Detector,
    flows: FlowData,
    evasions: FlowData,
    *,
    delta: float,
    iterations: int,
    threat_model: ThreatModel,
    goal: str = "last",
    batch_packets: int = 8192,
) -> tuple[FlowData, np.ndarray]:
    """Evasions whose logit is at most `delta`, the nearest that a descent from known ones finds.

    Args:
        flows, evasions: FlowData of the same N flows before and after an attack.
        threat_model: what the attacker can do.

    Returns:
        (FlowData, (N,) bool: whether `delta` was reached).
    """
    attack = MinimumNorm(delta=delta, iterations=iterations)

    def descend(detector: Detector, batch: Batch) -> Kept:
        original = batch.feasible.original
        start = original.new_tensor(raw_values(evasions, batch.rows, original.shape[1]))
        return attack.run(detector, batch, start=start, goal=goal)

    result = attack_flows(
        detector, flows, descend, threat_model=threat_model, batch_packets=batch_packets, label=f"logit {delta:g}"
    )
    _, verdict = verdicts(detector, result.adversarial, goal=goal, batch_packets=batch_packets)
    return result.adversarial, verdict <= delta


def mean_interval(values: np.ndarray, samples: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """(mean, ends of its 95 % interval over resampled flows); NaN where there are none."""
    if not len(values):
        return np.nan, np.nan, np.nan
    means = [rng.choice(values, len(values)).mean() for _ in range(samples)]
    low, high = np.quantile(means, INTERVAL)
    return float(values.mean()), float(low), float(high)

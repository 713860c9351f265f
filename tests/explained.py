"""Small flows and stand-ins for a detector whose explanations are known in closed form."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from rnnids.datasets.encoding import encode_packets
from rnnids.datasets.features import FEATURES, FLAG_BITS
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.lstm import LSTMDetector

INDEX = {name: index for index, name in enumerate(FEATURES)}
BATCH = 4096  # padded packets


def make_flows(packet_count: Sequence[int], *, seed: int = 0, **columns: np.ndarray) -> FlowData:
    """Random flows of two types, half of them attacks; `columns` replaces columns of flows or packets."""
    rng = np.random.default_rng(seed)
    count = np.asarray(packet_count, dtype=np.int32)
    flows, packets = len(count), int(count.sum())
    data = {
        "source_port": rng.integers(1024, 65536, flows),
        "destination_port": rng.choice([22, 53, 80, 443], flows),
        "protocol": rng.choice([6, 17], flows),
        "attack": np.arange(flows) % 2,
        "packet_count": count,
        "iat_ns": rng.integers(0, 10**9, packets),
        "length": rng.integers(40, 1500, packets),
        "direction": rng.integers(0, 2, packets),
        "flags": rng.integers(0, 512, packets),
    } | columns
    of_packets = {name: np.asarray(data.pop(name)) for name in ("iat_ns", "length", "direction", "flags")}
    of_flows = {name: np.asarray(column) for name, column in data.items()}
    raw = encode_packets(of_flows, of_packets, count)
    std = raw.std(axis=0)
    return FlowData(
        flows=of_flows,
        packets=of_packets,
        start=np.cumsum(count) - count,
        row=np.arange(flows),
        attacks=["Benign", "Flood"],
        categories=["Benign", "DoS"],
        mean=raw.mean(axis=0),
        std=np.where(std == 0, 1.0, std),
        clock_resolution_ns=1000,
        idle_timeout=300.0,
        active_timeout=1800.0,
    )


def flag(name: str, is_set: np.ndarray) -> np.ndarray:
    """Header bits of packets in which one flag is set or not."""
    return np.where(is_set, FLAG_BITS[name], 0)


class StandIn:
    """A detector without memory or state: the logit is a function of the packet's z-scores."""

    device = torch.device("cpu")
    feature_dropout = True

    def __init__(self, logit: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.logit = logit

    def __call__(
        self, inputs: torch.Tensor, lengths: np.ndarray | None = None, *, suppressed: torch.Tensor | None = None
    ) -> torch.Tensor:
        if suppressed is not None:
            inputs = inputs.masked_fill(suppressed[:, None], 0.0)
        return self.logit(inputs)


class Stateless:
    """A detector that keeps its states to itself: it gives logits of whole flows alone."""

    def __init__(self, detector: LSTMDetector) -> None:
        self.detector, self.device = detector, detector.device

    def __call__(self, inputs: torch.Tensor, lengths: np.ndarray | None = None) -> torch.Tensor:
        return self.detector(inputs, lengths)

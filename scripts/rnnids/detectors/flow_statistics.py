"""What a detector that sees whole flows reads: aggregates of the same packets (Table II, MLP).

The usual features of flow exporters, for comparison with reading packet by packet; the paper takes
its third column from Bachl et al. 2019, who use such a vector.
"""

from dataclasses import dataclass

import numpy as np

from rnnids.datasets.features import FLAG_BITS, NANOSECONDS_PER_MILLISECOND
from rnnids.datasets.flow_data import FlowData
from rnnids.settings import check, setting


@dataclass(frozen=True, kw_only=True)
class FlowStatistics:
    """The perceptron on flow statistics (Table II, third column)."""

    hidden_layers: tuple[int, ...] = setting((64, 64), "units of each layer", minimum=1)
    epochs: int = setting(60, "passes over the training flows", minimum=1)
    bootstrap_samples: int = setting(1000, "resamples behind the 95 % intervals", minimum=1)

    def __post_init__(self) -> None:
        check(self)


def flow_statistics(data: FlowData) -> tuple[list[str], np.ndarray]:
    """Aggregates of each flow of a FlowData.

    Returns:
        (names, (N, len(names)) float64): ports and protocol; packets, bytes and duration; mean,
        standard deviation, least and greatest of length (bytes) and interarrival time (ms); the
        same of length in each direction; the number of packets with each TCP flag.
    """
    packets, start = data.packets, data.start
    length = packets["length"].astype(float)
    iat = packets["iat_ns"] / NANOSECONDS_PER_MILLISECOND
    columns = {name: data.flows[name] for name in ("source_port", "destination_port", "protocol")}
    columns |= {"packets": data.packet_count, "bytes": np.add.reduceat(length, start)}
    columns["duration"] = np.add.reduceat(iat, start)
    everything = np.ones(len(length), dtype=bool)
    columns |= _moments("length", length, everything, start=start)
    columns |= _moments("iat", iat, everything, start=start)
    for name, side in (("forward", packets["direction"] == 0), ("reverse", packets["direction"] == 1)):
        columns[f"{name}_packets"] = np.add.reduceat(side.astype(float), start)
        columns |= _moments(f"{name}_length", length, side, start=start)
    for flag, bit in FLAG_BITS.items():
        columns[f"{flag}_packets"] = np.add.reduceat(((packets["flags"] & bit) != 0).astype(float), start)
    return list(columns), np.stack([np.asarray(column, dtype=float) for column in columns.values()], axis=1)


def _moments(name: str, values: np.ndarray, chosen: np.ndarray, *, start: np.ndarray) -> dict[str, np.ndarray]:
    """Mean, standard deviation, least and greatest over the chosen packets of each flow; 0 where there is none."""
    count = np.maximum(np.add.reduceat(chosen.astype(float), start), 1)
    mean = np.add.reduceat(np.where(chosen, values, 0.0), start) / count
    square = np.add.reduceat(np.where(chosen, values**2, 0.0), start) / count
    least = np.minimum.reduceat(np.where(chosen, values, np.inf), start)
    greatest = np.maximum.reduceat(np.where(chosen, values, -np.inf), start)
    return {
        f"{name}_mean": mean,
        f"{name}_std": np.sqrt(np.maximum(square - mean**2, 0.0)),
        f"{name}_min": np.where(np.isfinite(least), least, 0.0),
        f"{name}_max": np.where(np.isfinite(greatest), greatest, 0.0),
    }

"""Data sets in memory: loading, selecting, normalising and batching flows.

A data set stays in its raw integer columns (17 bytes a packet, so 50 million packets fit in
a gigabyte); floats are made for one batch at a time.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rnnids.datasets.encoding import FLOW_INPUTS, encode_packets
from rnnids.datasets.features import NUM_FEATURES
from rnnids.errors import InputError
from rnnids.flows.columns import ADDED_LATER, PACKET_COLUMNS
from rnnids.flows.ranges import gather_ranges, ragged_arange
from rnnids.storage import read_hdf5

TRAIN, TEST = 0, 1
SPLIT_NAMES = {"train": TRAIN, "test": TEST}
BENIGN = 0
POOL_BATCHES = 16  # flows are sorted by length inside pools of this many batches


@dataclass(frozen=True)
class FlowData:
    """Flows and their packets as columns.

    Attributes:
        flows: columns of N rows, as described in the docstring of ``build_dataset.py``.
        packets: ``PACKET_COLUMNS`` of P rows, those of one flow side by side, in the order of `flows`; a data set of
            an earlier version lacks those of ``ADDED_LATER``.
        start: (N,) row of each flow's first packet.
        row: (N,) each flow's row in the data set file.
        attacks, categories: names; index 0 is "Benign".
        mean, std: (15,) float64 of the training split, raw units of ``features.py``.
        clock_resolution_ns, idle_timeout, active_timeout: of the captures; ns, s, s.
    """

    flows: dict[str, np.ndarray]
    packets: dict[str, np.ndarray]
    start: np.ndarray
    row: np.ndarray
    attacks: Sequence[str]
    categories: Sequence[str]
    mean: np.ndarray
    std: np.ndarray
    clock_resolution_ns: int
    idle_timeout: float
    active_timeout: float

    def __len__(self) -> int:
        return len(self.start)

    @property
    def packet_count(self) -> np.ndarray:
        """(N,) packets of each flow."""
        return self.flows["packet_count"]

    @property
    def is_attack(self) -> np.ndarray:
        """(N,) bool."""
        return self.flows["attack"] != BENIGN

    def digest(self) -> str:
        """Text that differs whenever flows, packets, labels or normalisation do."""
        digest = hashlib.sha256()
        for column in (*self.flows.values(), *self.packets.values(), self.row, self.mean, self.std):
            digest.update(np.ascontiguousarray(column).data)
        return digest.hexdigest()

    def take(self, rows: np.ndarray | Sequence[int]) -> "FlowData":
        """The flows `rows` (indices or a mask) in that order, sharing nothing with this data set."""
        rows = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows, dtype=np.int64)
        count = self.packet_count[rows]
        return replace(
            self,
            flows={name: column[rows] for name, column in self.flows.items()},
            packets=self.packets_of(rows),
            start=np.cumsum(count) - count,
            row=self.row[rows],
        )

    def packet_rows(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the packets of flows `rows`, flow after flow."""
        return ragged_arange(self.start[rows], self.packet_count[rows])

    def packets_of(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of the packets of flows `rows`, flow after flow."""
        start, count = self.start[rows], self.packet_count[rows]
        return {name: gather_ranges(column, start, count) for name, column in self.packets.items()}

    def normalised(self, rows: np.ndarray) -> np.ndarray:
        """Model inputs of flows `rows`, flow after flow: (packets, 15) float32 z-scores."""
        flows, packets = {name: self.flows[name][rows] for name in FLOW_INPUTS}, self.packets_of(rows)
        return encode_packets(flows, packets, self.packet_count[rows], mean=self.mean, std=self.std, dtype=np.float32)

    def padded(self, rows: np.ndarray) -> np.ndarray:
        """Model inputs of flows `rows` as one array (B, T, 15) float32, zeros after a flow's end."""
        count = self.packet_count[rows]
        batch = np.zeros((len(rows), int(count.max()), NUM_FEATURES), dtype=np.float32)
        batch[is_packet(count)] = self.normalised(rows)
        return batch


def is_packet(count: np.ndarray) -> np.ndarray:
    """(B, T) bool: true where a padded batch of flows with `count` packets holds a packet."""
    return np.arange(int(count.max())) < np.asarray(count)[:, None]


def load_dataset(path: Path | str, split: int | str | None = None) -> FlowData:
    """Read a data set, written by ``build_dataset.py``, or one split of it.

    Args:
        split: "train" or ``TRAIN``, "test" or ``TEST``; None for all flows.

    Raises:
        InputError: the file is absent, damaged or of another kind, no such split, or no flow in it.
    """
    if isinstance(split, str):
        if split not in SPLIT_NAMES:
            raise InputError(f"split {split!r}: no such split; it is one of {', '.join(SPLIT_NAMES)}, or None for both")
        split = SPLIT_NAMES[split]
    with read_hdf5(path) as file:
        flows = {name: column[:] for name, column in file["flows"].items()}
        names = [name for name in PACKET_COLUMNS if name not in ADDED_LATER or name in file["packets"]]
        packets = {name: file["packets"][name][:] for name in names}
        attributes = dict(file.attrs)
        start = flows.pop("offset")
        data = FlowData(
            flows=flows,
            packets=packets,
            start=start,
            row=np.arange(len(start)),
            attacks=json.loads(attributes["attacks"]),
            categories=json.loads(attributes["categories"]),
            mean=np.asarray(attributes["mean"]),
            std=np.asarray(attributes["std"]),
            clock_resolution_ns=int(attributes["clock_resolution_ns"]),
            idle_timeout=float(attributes["idle_timeout"]),
            active_timeout=float(attributes["active_timeout"]),
        )
    if split is None:
        return data
    selected = data.take(flows["split"] == split)
    if not len(selected):
        raise InputError(
            f"{path}: no flow in the {'test' if split == TEST else 'training'} split; change dataset.split"
        )
    return selected


def batches_by_length(
    count: np.ndarray, batch_packets: int, rng: np.random.Generator | None = None
) -> list[np.ndarray]:
    """Divide flows into batches of similar length with at most `batch_packets` padded packets.

    Args:
        count: (N,) packets of each flow.
        batch_packets: upper bound of flows x longest flow in a batch (one flow may exceed it).
        rng: a numpy Generator for training, where flows are shuffled, sorted only inside pools of
            ``POOL_BATCHES`` batches, and batches come in random order; None for inference.

    Returns:
        list of integer arrays that together hold each of ``range(N)`` once.
    """
    if rng is None:
        return _cut(np.argsort(-count, kind="stable"), count, batch_packets)
    shuffled = rng.permutation(len(count))
    pool_of = np.cumsum(count[shuffled]) // (POOL_BATCHES * batch_packets)
    batches: list[np.ndarray] = []
    for pool in np.split(shuffled, np.flatnonzero(np.diff(pool_of)) + 1):
        batches += _cut(pool[np.argsort(-count[pool], kind="stable")], count, batch_packets)
    return [batches[index] for index in rng.permutation(len(batches))]


def _cut(order: np.ndarray, count: np.ndarray, batch_packets: int) -> list[np.ndarray]:
    """Cut flows sorted by falling length into batches: the first flow of each sets its width."""
    batches, first = [], 0
    while first < len(order):
        size = max(1, int(batch_packets // count[order[first]]))
        batches.append(order[first : first + size])
        first += size
    return batches


def concatenate(first: FlowData, second: FlowData) -> FlowData:
    """The flows of two FlowData of one data set, one after the other."""
    return replace(
        first,
        flows={name: np.concatenate([column, second.flows[name]]) for name, column in first.flows.items()},
        packets={name: np.concatenate([column, second.packets[name]]) for name, column in first.packets.items()},
        start=np.concatenate([first.start, second.start + len(first.packets["length"])]),
        row=np.concatenate([first.row, second.row]),
    )

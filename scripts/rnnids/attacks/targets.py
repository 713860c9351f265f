"""Which flows are attacked, and by which of several jobs."""

from dataclasses import dataclass

import numpy as np

from rnnids.datasets.flow_data import FlowData
from rnnids.settings import check, setting


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which flows are attacked, and how many at once."""

    max_flows: int | None = setting(40, "attack flows of a type, at most; none: all", minimum=1)
    chunks: int = setting(1, "jobs among which the flows of an attack are divided", minimum=1)
    batch_packets: int = setting(8192, "padded packets in a batch, at most", minimum=1)

    def __post_init__(self) -> None:
        check(self)


def select_flows(data: FlowData, max_flows: int | None, seed: int) -> np.ndarray:
    """Rows of the attack flows to be attacked, at most `max_flows` of each type (None: all).

    The choice depends on the seed and the attack type alone, so every attack sees the same flows.
    """
    rows = []
    for attack in np.unique(data.flows["attack"][data.is_attack]):
        of_type = np.flatnonzero(data.flows["attack"] == attack)
        if max_flows is not None and len(of_type) > max_flows:
            of_type = np.sort(np.random.default_rng([seed, int(attack)]).choice(of_type, max_flows, replace=False))
        rows.append(of_type)
    return np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)


def chunk_of_rows(data: FlowData, rows: np.ndarray, chunks: int, *, whole_types: bool = False) -> np.ndarray:
    """Divide flows among `chunks` jobs of about equally many packets, each with neighbours of `rows`.

    Args:
        rows: (N,) flows, attack type after attack type, as of ``select_flows``.
        whole_types: keep the flows of an attack type together.

    Returns:
        (N,) the chunk of each flow, from 1, never falling.
    """
    packets = np.cumsum(data.packet_count[rows], dtype=np.int64)
    chunk = (packets - 1) * chunks // packets[-1:] + 1
    if whole_types:
        _, first, kind = np.unique(data.flows["attack"][rows], return_index=True, return_inverse=True)
        chunk = chunk[first][kind]
    return chunk

"""Which flows are attacked, and by which of several jobs."""

import numpy as np


def select_flows(data, max_flows, seed):
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


def chunk_of_rows(data, rows, chunks, whole_types=False):
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

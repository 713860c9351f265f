"""Which flows are attacked, and by which of several jobs."""

import argparse
from dataclasses import dataclass

import numpy as np

from rnnids.attacks.feasible_set import ThreatModel
from rnnids.cli import log, positive
from rnnids.datasets.flow_data import TEST, FlowData, load_dataset
from rnnids.detectors.lstm import load_detector, pick_device
from rnnids.detectors.network import NetworkDetector
from rnnids.settings import add_options, check, setting


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which flows are attacked, and how many at once."""

    max_flows: int | None = setting(15, "attack flows of a type, at most; none: all", minimum=1)
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


def chunk_of_rows(data: FlowData, rows: np.ndarray, chunks: int) -> np.ndarray:
    """Divide flows among `chunks` jobs of about equally many packets, each with neighbours of `rows`.

    Args:
        rows: (N,) flows, attack type after attack type, as of ``select_flows``.

    Returns:
        (N,) the chunk of each flow, from 1, never falling.
    """
    packets = np.cumsum(data.packet_count[rows], dtype=np.int64)
    return (packets - 1) * chunks // packets[-1:] + 1


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Options of every attack: data set, model, what the attacker can do, which flows, where to compute."""
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    add_options(parser, ThreatModel)
    add_options(parser, Selection)
    parser.add_argument("--chunk", default=1, type=positive(int), help="part of the flows to take, from 1")
    parser.add_argument("--seed", default=0, type=int, help="of the choice of flows")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")


def load_targets(args: argparse.Namespace) -> tuple[NetworkDetector, FlowData]:
    """The detector and the flows of this chunk to attack; warns when there is nothing to attack.

    Args:
        args: with the options of :func:`add_target_options`.
    """
    data = load_dataset(args.dataset, TEST)
    detector = load_detector(args.weights, data, pick_device(args.device))
    rows = select_flows(data, args.max_flows, args.seed)
    if not len(rows):
        log.warning("%s: no attack flow in the test split, so there is nothing to attack", args.dataset)
    return detector, data.take(rows[chunk_of_rows(data, rows, args.chunks) == args.chunk])

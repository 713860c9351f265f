"""What explanations say of what an attacker can change: length or delay of the first packet, the next two, and so on.

A cell is a feature at a position. Each method gives each cell of each flow a number that is to tell how far an attacker
who may change this alone can lower the logit of the last packet. Methods that know no position say the same of all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnids import settings
from rnnids.datasets.features import FEATURES, MANIPULABLE_FEATURES
from rnnids.datasets.flow_data import FlowData
from rnnids.datasets.selection import packet_values
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.protocol import Detector
from rnnids.explanations.gradients import integrated_gradients
from rnnids.explanations.mutual_information import Trial, attacker_values, observed_values, packet_information
from rnnids.explanations.partial_dependence import probability, value_grid
from rnnids.explanations.per_step import step_of_packets
from rnnids.explanations.variation import vary_flows, vary_steps
from rnnids.settings import setting

POSITIONS = {"1": (1, 1), "2-3": (2, 3), "4-10": (4, 10), "later": (11, None)}  # packets, from 1
BINS = 50  # of the paper's estimator, which is not used here


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Settings of the comparison of explanations with attacks on single cells."""

    max_flows: int | None = setting(5, "flows of an attack type, at most; none: all", minimum=1)
    draws: int = setting(16, "values of a feature that the explanations try", minimum=2)
    descent: int = setting(12, "gradients of each descent of the attacks", minimum=1)
    points: int = setting(24, "random points of the attacks", minimum=8)

    def __post_init__(self) -> None:
        settings.check(self)


class Cell(NamedTuple):
    """A feature at a position. Attributes: feature: index into ``FEATURES``; position: name of ``POSITIONS``."""

    feature: int
    position: str


CELLS = tuple(Cell(feature, position) for feature in MANIPULABLE_FEATURES for position in POSITIONS)


def packets_of(flows: FlowData, position: str) -> np.ndarray:
    """(P,) bool: packets at a position."""
    first, last = POSITIONS[position]
    step = step_of_packets(flows.packet_count)
    return (step >= first) & (step <= (np.inf if last is None else last))


def allowed_numbers(flows: FlowData, cell: Cell) -> np.ndarray:
    """(P, 2) bool: the lengths and interarrival times that belong to a cell."""
    allowed = np.zeros((int(flows.packet_count.sum()), len(MANIPULABLE_FEATURES)), dtype=bool)
    allowed[packets_of(flows, cell.position), MANIPULABLE_FEATURES.index(cell.feature)] = True
    return allowed


def of_cells(flows: FlowData, by_packet: Mapping[int, np.ndarray], movable: np.ndarray) -> np.ndarray:
    """(N, cells): sums over the packets of each cell that an attacker can change.

    Args:
        by_packet: {feature: (P,) values}. movable: (P, 2) bool, lengths and times that she can change.
    """
    found = np.empty((len(flows), len(CELLS)))
    for place, cell in enumerate(CELLS):
        chosen = (allowed_numbers(flows, cell) & movable).any(axis=1)
        found[:, place] = np.add.reduceat(np.where(chosen, by_packet[cell.feature], 0.0), flows.start)
    return found


def method_scores(
    detector: Detector,
    flows: FlowData,
    *,
    pool: FlowData,
    movable: np.ndarray,
    draws: int,
    seed: int = 0,
    batch_packets: int,
) -> dict[str, np.ndarray]:
    """{method: (N, cells)} of the methods that know positions, each on the flows themselves.

    Args:
        pool: flows whose values are drawn. movable: (P, 2) bool. draws: values tried of a feature.
    """
    by_packet: dict[str, dict[int, np.ndarray]] = {
        name: {} for name in ("mutual_information_observed", "mutual_information_attacker", "sequential_dependence")
    }
    before = probability(packet_logits(detector, flows, batch_packets=batch_packets))
    for feature in MANIPULABLE_FEATURES:
        trials = [
            Trial(feature=feature, distribution=values(pool, feature, draws=draws), draws=draws, seed=(seed, feature))
            for values in (observed_values, attacker_values)
        ]
        found = packet_information(detector, flows, trials, bins=BINS, batch_packets=batch_packets)
        observed, chosen = (bits for bits, _ in found)
        fall = _largest_fall(detector, flows, feature, pool=pool, before=before, draws=draws, size=batch_packets)
        for name, values in zip(by_packet, (observed, chosen, fall), strict=True):
            by_packet[name][feature] = values
    attributions = integrated_gradients(detector, flows, batch_packets=batch_packets)
    for name, of_all in (("integrated_gradients", attributions.integrated), ("gradient", attributions.gradient)):
        by_packet[name] = {feature: np.abs(of_all[:, feature]) for feature in MANIPULABLE_FEATURES}
    scores = {name: of_cells(flows, values, movable) for name, values in by_packet.items()}
    rng, perturbed = np.random.default_rng(seed), np.zeros((len(flows), len(CELLS)))
    for place, cell in enumerate(CELLS):
        chosen = (allowed_numbers(flows, cell) & movable).any(axis=1)[:, None]
        own = packet_values(flows, cell.feature).astype(float)[:, None]
        drawn = np.where(chosen, rng.choice(packet_values(pool, cell.feature), (len(own), draws)), own)
        varied = probability(vary_flows(detector, flows, cell.feature, values=drawn, batch_packets=batch_packets))
        perturbed[:, place] = last_of_flow(before - varied.mean(axis=1), flows.packet_count)
    return {"input_perturbation": perturbed} | scores


def _largest_fall(
    detector: Detector, flows: FlowData, feature: int, *, pool: FlowData, before: np.ndarray, draws: int, size: int
) -> np.ndarray:
    """(P,) how far the probability of attack at a packet falls with the best value there from the original upwards."""
    own = packet_values(flows, feature).astype(float)[:, None]
    grid = value_grid(packet_values(pool, feature), feature, size=draws)
    values = np.maximum(grid[None], own)
    (logits,) = vary_steps(detector, flows, [(feature, values)], batch_packets=size)
    return np.maximum(before - probability(logits).min(axis=1), 0.0)


def feature_scores(flows: FlowData, values: Mapping[str, float], movable: np.ndarray) -> np.ndarray:
    """(N, cells): the importance of features by name, the same at all positions at which anything can change."""
    ones = {feature: np.ones(len(movable)) for feature in MANIPULABLE_FEATURES}
    there = of_cells(flows, ones, movable) > 0
    return there * np.array([values[FEATURES[cell.feature]] for cell in CELLS])

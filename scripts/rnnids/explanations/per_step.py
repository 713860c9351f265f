"""What happens over the packets of a flow: the detector's confidence and the features themselves."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rnnids.datasets.features import FEATURES, MANIPULABLE_FEATURES
from rnnids.datasets.flow_data import BENIGN, FlowData
from rnnids.datasets.selection import packet_values
from rnnids.flows.ranges import ragged_arange
from rnnids.storage import read_hdf5

DIRECTIONS = np.array(["forward", "reverse"])
QUARTILES = {"median": 0.5, "q25": 0.25, "q75": 0.75}


def step_of_packets(packet_count: np.ndarray) -> np.ndarray:
    """(P,) number of each packet within its flow, from 1."""
    return ragged_arange(np.ones(len(packet_count), dtype=np.int64), packet_count)


def flows_by_step(flows: FlowData) -> np.ndarray:
    """(T,) number of flows that reach each step."""
    return np.bincount(step_of_packets(flows.packet_count))[1:]


def mean_by_step(flows: FlowData, values: np.ndarray) -> np.ndarray:
    """Means of per-packet `values` (P, ...) at each step, over the flows that reach it: (T, ...)."""
    step = step_of_packets(flows.packet_count) - 1
    total = np.zeros((int(flows.packet_count.max()), *values.shape[1:]))
    np.add.at(total, step, values)
    return (total.T / np.bincount(step)).T


def median_by_step(flows: FlowData, values: np.ndarray) -> np.ndarray:
    """Medians of per-packet `values` (P,) at each step, over the flows that reach it: (T,)."""
    return pd.Series(values.astype(float)).groupby(step_of_packets(flows.packet_count)).median().to_numpy()


def read_confidence(path: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Confidence at every packet of predictions.h5: the probability given to the flow's true class.

    Returns:
        data frame attack, step, confidence, one row a packet; and the list of attack types.
    """
    with read_hdf5(path) as file:
        attack, count, logits = file["flows/attack"][:], file["flows/packet_count"][:], file["packets/logit"][:]
        attacks = json.loads(file.attrs["attacks"])
    attack = np.repeat(attack, count)
    towards_truth = np.where(attack == BENIGN, -1.0, 1.0) * logits
    confidence = 1 / (1 + np.exp(-towards_truth))
    return pd.DataFrame({"attack": attack, "step": step_of_packets(count), "confidence": confidence}), attacks


def quantile_frame(
    frame: pd.DataFrame, keys: list[str], *, column: str, quantiles: Mapping[str, float]
) -> pd.DataFrame:
    """Number of flows and quantiles of `column` for each group of `keys`.

    Args:
        quantiles: {name: quantile}.

    Returns:
        data frame of `keys`, flows and the names of `quantiles`, sorted by `keys`.
    """
    groups = frame.groupby(keys)[column]
    table = groups.quantile(np.array(list(quantiles.values()))).unstack()
    table.columns = list(quantiles)
    table.insert(0, "flows", groups.size())
    return table.reset_index()


def trajectories(flows: FlowData) -> pd.DataFrame:
    """Length and interarrival time over the steps of each attack type's flows, by direction (Fig. 9).

    Returns:
        data frame attack, step, direction, flows, feature, median, q25, q75 (bytes, ms), one row
        for every step at which a flow of the type has a packet of the direction.
    """
    keys = {
        "attack": np.repeat(flows.flows["attack"], flows.packet_count),
        "step": step_of_packets(flows.packet_count),
        "direction": DIRECTIONS[flows.packets["direction"]],
    }
    tables = []
    for feature in MANIPULABLE_FEATURES:
        frame = pd.DataFrame({**keys, "value": packet_values(flows, feature)})
        table = quantile_frame(frame, list(keys), column="value", quantiles=QUARTILES)
        table.insert(4, "feature", FEATURES[feature])
        tables.append(table)
    return pd.concat(tables).sort_values(["attack", "step", "direction"], kind="stable")

"""What in the labels of a data set deserves a look: idle rules, unlabelled neighbours of attacks, twins of flows."""

import json

import numpy as np
import pandas as pd

from rnnids.datasets.flow_data import BENIGN, TEST
from rnnids.datasets.near_duplicates import contradicted, seen_elsewhere, seen_in_training, signatures
from rnnids.datasets.splits import split_by_flow, split_by_time
from rnnids.labels.joins import key_numbers, overlaps
from rnnids.labels.labelling import endpoints
from rnnids.storage import read_hdf5

REVERSE_ONLY = 2  # of the column manipulable: the attacker responds
COLUMNS = (
    "start_ns",
    "duration_ns",
    "source_address",
    "destination_address",
    "source_port",
    "destination_port",
    "protocol",
    "offset",
    "packet_count",
    "capture",
    "attack",
    "split",
    "manipulable",
)


def read_flows(path):
    """(flow columns, names of the attacks) of a data set file, without packets.

    Raises:
        InputError: no such file, or none of this workflow.
    """
    with read_hdf5(path) as file:
        return {name: file["flows"][name][:] for name in COLUMNS}, json.loads(file.attrs["attacks"])


def _pairs(flows, swapped):
    """Columns of (first end's address, second end's address and port), the second being the one attacked."""
    ends = endpoints(flows)
    first, second = ("destination", "source") if swapped else ("source", "destination")
    return [ends[first][0][:, 0], ends[first][0][:, 1], ends[second][0][:, 0], ends[second][0][:, 1], ends[second][1]]


def unlabelled_neighbours(flows, attacks, margin_ns):
    """Benign flows between attacker and victim of an attack flow, at most `margin_ns` before or after it.

    A window that is too short, or one that was forgotten, shows here; so does a host that attacks
    and works. Either end may have begun the flow.

    Returns:
        data frame, one row per attack type: attack, flows, same_port (of them, those to the port that was
        attacked), first, last (start of the earliest and latest, ns; 0 without any).
    """
    is_attack = flows["attack"] != BENIGN
    attacking, benign = ({name: column[mask] for name, column in flows.items()} for mask in (is_attack, ~is_attack))
    responds = attacking["manipulable"] == REVERSE_ONLY
    attack_ends = [np.where(responds, back, forth) for forth, back in zip(*_both(attacking), strict=True)]
    rows = []
    by_port, by_host = (key_numbers(*(columns[:size] for columns in (attack_ends, *_both(benign)))) for size in (5, 4))
    for index, name in enumerate(attacks[1:], 1):
        here = attacking["attack"] == index
        near, same = (_near(keys, here, attacking, benign, margin_ns) for keys in (by_host, by_port))
        start = benign["start_ns"][near]
        times = (int(start.min()), int(start.max())) if len(start) else (0, 0)
        rows.append((name, int(near.sum()), int((near & same).sum()), *times))
    return pd.DataFrame(rows, columns=["attack", "flows", "same_port", "first", "last"])


def _both(flows):
    return [_pairs(flows, swapped) for swapped in (False, True)]


def _near(keys, here, attacking, benign, margin_ns):
    """(benign flows,) bool: those near an attack flow of `here`, in either direction."""
    attack_key, *ways = keys
    start, end = attacking["start_ns"][here], (attacking["start_ns"] + attacking["duration_ns"])[here]
    windows = attack_key[here], start - margin_ns - 1, end + margin_ns + 1
    life = benign["start_ns"], benign["start_ns"] + benign["duration_ns"]
    return np.logical_or(*(overlaps(key, *life, *windows) for key in ways))


def twins_by_split(path, flows, attacks, test_fraction, seed, prefix_packets):
    """How many test flows have a duplicate or near duplicate in the training split, for each way to split.

    `as built` is the split of the data set; `flow` and `time` are made anew; for `capture` each capture
    is tested in turn, so that all flows count, and none if there is one capture.

    Returns:
        data frame: split, attack (also "All"), flows (tested), duplicates, near_duplicates, contradictions (near
        duplicates of the other class anywhere in the data set).
    """
    exact, near = (pd.factorize(each)[0] for each in signatures(path, flows, prefix_packets))
    against = contradicted(near, flows["attack"] != BENIGN)
    splits = {
        "as built": flows["split"],
        "flow": split_by_flow(len(exact), test_fraction, seed),
        "time": split_by_time(flows["start_ns"], flows["capture"], flows["attack"], test_fraction),
    }
    counts = []
    for name, split in splits.items():
        seen = (seen_in_training(codes, split) for codes in (exact, near))
        counts.append(_count(name, flows, attacks, split == TEST, *seen, against))
    several = np.full(len(exact), flows["capture"].min() != flows["capture"].max())
    seen = (seen_elsewhere(codes, flows["capture"]) for codes in (exact, near))
    return pd.concat([*counts, _count("capture", flows, attacks, several, *seen, against)], ignore_index=True)


def _count(name, flows, attacks, tested, duplicates, near, against):
    size = len(attacks)
    masks = {"flows": tested, "duplicates": duplicates, "near_duplicates": near, "contradictions": against & tested}
    columns = {key: np.bincount(flows["attack"][mask], minlength=size) for key, mask in masks.items()}
    counts = pd.DataFrame({"split": name, "attack": attacks, **columns})
    counts.loc[size] = [name, "All", *counts[list(masks)].sum()]
    return counts

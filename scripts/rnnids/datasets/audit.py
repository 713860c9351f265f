"""What in the labels of a data set deserves a look: unlabelled neighbours of attacks, clues to them, twins of flows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rnnids.datasets.flow_data import BENIGN, TEST
from rnnids.datasets.near_duplicates import contradicted, seen_elsewhere, seen_in_training, signatures
from rnnids.datasets.splits import split_by_flow, split_by_time
from rnnids.labels.joins import Spans, endpoints, key_numbers, overlaps
from rnnids.settings import check, setting
from rnnids.storage import read_hdf5

COUNTED = ("flows", "duplicates", "near_duplicates", "contradictions")
HOUR_NS = 3_600_000_000_000
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


@dataclass(frozen=True, kw_only=True)
class LabelAudit:
    """What the label audit looks for."""

    margin: float = setting(600, "seconds around an attack flow in which benign flows of its ends are counted", above=0)
    prefix_packets: int = setting(10, "first packets of a flow that near duplicates share", minimum=1)

    def __post_init__(self) -> None:
        check(self)


def read_flow_columns(path: Path | str) -> tuple[dict[str, np.ndarray], list[str]]:
    """(flow columns, names of the attacks) of a data set file, without packets.

    Raises:
        InputError: no such file, or none of this workflow.
    """
    with read_hdf5(path) as file:
        return {name: file["flows"][name][:] for name in COLUMNS}, json.loads(file.attrs["attacks"])


def clues(flows: Mapping[str, np.ndarray], attacks: Sequence[str]) -> pd.DataFrame:
    """How well each circumstance of a flow alone tells attacks from benign flows: what is confounded with the label.

    A value is taken for a sign of attack where most of its training flows are attacks; the test flows are judged by
    that. A value that training lacks is judged as most training flows are, and so are all flows for the clue "none".

    Returns:
        data frame: clue, attack (also "Benign" and "All"), flows (tested), recognised (of them, those whose class is
        told: for "All" both classes).
    """
    is_attack, training = flows["attack"] != BENIGN, flows["split"] != TEST
    most = 2 * is_attack[training].sum() > training.sum()
    rows = []
    for clue, values in _circumstances(flows).items():
        code = pd.factorize(values)[0]
        attacking, seen = (
            np.bincount(code[mask], minlength=code.max() + 1) for mask in (training & is_attack, training)
        )
        verdict = np.where(seen > 0, 2 * attacking > seen, most)[code]
        for index, name in enumerate([*attacks, "All"]):
            tested = ~training & ((flows["attack"] == index) | (name == "All"))
            rows.append((clue, name, int(tested.sum()), int((verdict == is_attack)[tested].sum())))
    return pd.DataFrame(rows, columns=["clue", "attack", "flows", "recognised"])


def _circumstances(flows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{clue: (N,) values}: where and when a flow was, and the service it asked for."""
    ends = endpoints(flows)
    source, destination = (
        key_numbers([ends[end][0][:, 0], ends[end][0][:, 1]])[0] for end in ("source", "destination")
    )
    return {
        "none": np.zeros(len(flows["attack"])),
        "capture": flows["capture"],
        "hour": flows["start_ns"] // HOUR_NS,
        "source address": source,
        "destination address": destination,
        "destination port": flows["destination_port"],
    }


def _pairs(flows: Mapping[str, np.ndarray], swapped: bool) -> list[np.ndarray]:
    """Columns of (first end's address, second end's address and port), the second being the one attacked."""
    ends = endpoints(flows)
    first, second = ("destination", "source") if swapped else ("source", "destination")
    return [ends[first][0][:, 0], ends[first][0][:, 1], ends[second][0][:, 0], ends[second][0][:, 1], ends[second][1]]


def unlabelled_neighbours(flows: Mapping[str, np.ndarray], attacks: Sequence[str], margin_ns: int) -> pd.DataFrame:
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
        start = attacking["start_ns"][here]
        windows = start - margin_ns - 1, start + attacking["duration_ns"][here] + margin_ns + 1
        near, same = (_near(ways, Spans(key[here], *windows), benign) for key, *ways in (by_host, by_port))
        found = benign["start_ns"][near]
        times = (int(found.min()), int(found.max())) if len(found) else (0, 0)
        rows.append((name, int(near.sum()), int((near & same).sum()), *times))
    return pd.DataFrame(rows, columns=["attack", "flows", "same_port", "first", "last"])


def _both(flows: Mapping[str, np.ndarray]) -> list[list[np.ndarray]]:
    return [_pairs(flows, swapped) for swapped in (False, True)]


def _near(ways: Iterable[np.ndarray], windows: Spans, benign: Mapping[str, np.ndarray]) -> np.ndarray:
    """(benign flows,) bool: those whose key, in one of two directions, and life meet a window."""
    life = benign["start_ns"], benign["start_ns"] + benign["duration_ns"]
    return np.logical_or(*(overlaps(Spans(key, *life), windows) for key in ways))


def twins_by_split(
    path: Path | str,
    flows: Mapping[str, np.ndarray],
    attacks: Sequence[str],
    *,
    prefix_packets: int,
    test_fraction: float,
    seed: int = 0,
) -> pd.DataFrame:
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
        "time": split_by_time(flows["start_ns"], flows["capture"], flows["attack"], test_fraction=test_fraction),
    }
    masks = {}  # for each way to split: flows tested, with a duplicate and with a near duplicate in training
    for name, split in splits.items():
        masks[name] = (split == TEST, *(seen_in_training(codes, split) for codes in (exact, near)))
    several = np.full(len(exact), flows["capture"].min() != flows["capture"].max())
    masks["capture"] = (several, *(seen_elsewhere(codes, flows["capture"]) for codes in (exact, near)))
    counts = [
        _counts_by_attack(flows["attack"], attacks, (*of_split, against & of_split[0])).assign(split=name)
        for name, of_split in masks.items()
    ]
    return pd.concat(counts, ignore_index=True)[["split", "attack", *COUNTED]]


def _counts_by_attack(attack: np.ndarray, attacks: Sequence[str], masks: Sequence[np.ndarray]) -> pd.DataFrame:
    """Flows of each attack type, and of all, in each of the masks of ``COUNTED``."""
    columns = {
        name: np.bincount(attack[mask], minlength=len(attacks)) for name, mask in zip(COUNTED, masks, strict=True)
    }
    counts = pd.DataFrame({"attack": attacks, **columns})
    counts.loc[len(attacks)] = ["All", *counts[list(COUNTED)].sum()]
    return counts

"""The data sets that the paper's authors published: from their arrays, names and normalisation to a data set.

What their arrays do not hold stands in the data set as ``UNKNOWN`` says, and in its attribute `unknown`.
"""

import json
import random
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rnnids.cli import log
from rnnids.datasets.build import Dataset, check_classes, label_columns, write_pieces
from rnnids.datasets.features import DIRECTION, FEATURES, NUM_FEATURES
from rnnids.datasets.flow_data import TEST, TRAIN
from rnnids.datasets.plain_pickle import read_plain
from rnnids.datasets.published_arrays import STEPPING_BACK, AttackNames, Published
from rnnids.datasets.report import cut_rows, split_rows
from rnnids.errors import InputError
from rnnids.flows.columns import FLOW_COLUMNS, PACKET_COLUMNS
from rnnids.labels.rules import BENIGN_NAME

BENIGN_WORDS = ("normal", "benign")
FOLDS = 3  # of which the first is for testing
PIECE = 1 << 20  # packets written at a time
NAME = "published flows"  # of the one capture
UNKNOWN = {  # column: what it is about, and what stands there instead
    "start_ns": "times of day: 0",
    "source_address": "addresses: ::",
    "destination_address": "addresses: ::",
    "end_reason": "why flows end: unknown",
    "capture": "captures: one for all",
    "full_packet_count": "packets before the cut: those published",
    "payload_length": "payload: no such column",
}
# ASSUME: the time-outs are those of the authors' flow specification, and their captures had microseconds.
ATTRIBUTES = {"idle_timeout": 300.0, "active_timeout": 1800.0, "clock_resolution_ns": 1000}


def read_attack_names(path: Path | str, renames: Mapping[str, str]) -> AttackNames:
    """The names of attacks and their categories.

    Args:
        path: JSON or a pickle: {"mapping": {name: index}, "categories_mapping": {category: [name]}}, or the former
            alone. An attack without a category is one of its own.
        renames: {name there: name in the data set}.

    Raises:
        InputError: not such a file, or no name for benign flows.
    """
    content = _read_mapping(path)
    mapping = content.get("mapping", content)
    groups = content.get("categories_mapping", {}) if "mapping" in content else {}
    names = isinstance(mapping, dict) and all(type(index) is int and index >= 0 for index in mapping.values())
    lists = isinstance(groups, dict) and all(isinstance(group, list) for group in groups.values())
    if not names or not lists or len(set(mapping.values())) < len(mapping):
        raise InputError(f"{path}: no names of attacks with an index each; give the authors' categories_mapping")
    benign = [name for name in mapping if str(name).lower() in BENIGN_WORDS]
    if len(benign) != 1:
        raise InputError(f"{path}: no attack, or several, called Normal, so which flows are benign is unknown")
    for name in renames:
        if name not in mapping:
            log.warning("warning: rename: %s has no attack %r; it has %s", path, name, ", ".join(map(str, mapping)))
    attack = {index: renames.get(name, str(name)) for name, index in mapping.items()}
    attack[mapping[benign[0]]] = BENIGN_NAME
    own = {name: str(category) for category, group in reversed(groups.items()) for name in group}
    category = {index: own.get(name, attack[index]) for name, index in mapping.items()}
    category |= {index: BENIGN_NAME for index, name in attack.items() if name == BENIGN_NAME}
    return AttackNames(attack, category, mapping[benign[0]])


def _read_mapping(path: Path | str) -> dict[Any, Any]:
    try:
        text = Path(path).read_bytes()
        content = json.loads(text) if text.lstrip()[:1] == b"{" else read_plain(path)
    except OSError as error:
        raise InputError(f"{path}: no such file, or not readable; get it, or check the path") from error
    except ValueError as error:
        raise InputError(f"{path}: neither JSON nor a pickle ({error}); get it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: no mapping of names; give the authors' categories_mapping")
    return content


def read_normalisation(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, (15,) each, in the raw units of ``features.py``, of a pickle of both arrays.

    Raises:
        InputError: not such a file, or no numbers that one could divide by.
    """
    content = read_plain(path)
    if not isinstance(content, (tuple, list)) or len(content) != 2:
        raise InputError(f"{path}: not two arrays, mean and standard deviation; give the authors' normalization_data")
    mean, std = (np.asarray(part, dtype=float) if isinstance(part, (list, np.ndarray)) else None for part in content)
    if mean is None or std is None or mean.shape != (NUM_FEATURES,) or std.shape != (NUM_FEATURES,):
        raise InputError(f"{path}: not two arrays of {NUM_FEATURES} numbers; it must be that of {', '.join(FEATURES)}")
    if not (np.isfinite([mean, std]).all() and (std > 0).all()):
        raise InputError(f"{path}: numbers that are not finite, or a standard deviation of 0; get it again")
    mean[DIRECTION] = 1 - mean[DIRECTION]  # theirs is 1 for forward packets, ours 0
    return mean, std


def split_by_shuffle(count: int, seed: int) -> np.ndarray:
    """The authors' split: the first third of the shuffled flows is for testing, by Python's own generator.

    With seed 0 and the flows in their order it is that of the paper.

    Returns:
        (count,) uint8, TRAIN or TEST.
    """
    order = list(range(count))
    random.Random(seed).shuffle(order)
    split = np.full(count, TRAIN, dtype=np.uint8)
    split[order[: count // FOLDS]] = TEST
    return split


def assemble_published(
    published: Published, names: AttackNames, *, both_directions: tuple[str, ...], seed: int = 0
) -> Dataset:
    """Flows, their labels and their split as a data set.

    Args:
        both_directions: categories whose attacker controls both ends.
        seed: of :func:`split_by_shuffle`.

    Raises:
        InputError: one class only in the training split.
    """
    rule = np.zeros(max(names.attack) + 1, np.int64)
    rule[list(names.attack)] = np.arange(len(names.attack))
    rule[names.benign] = -1
    named = [(name, names.category[index]) for index, name in names.attack.items()]
    columns, category_of, categories = label_columns(
        rule[published.flows["index"]], named, both_directions, attacker_responds=False
    )
    count, size = published.flows["packet_count"].astype(np.int64), len(published.place)
    flows = {name: np.zeros((size, *column.shape), column.dtype) for name, column in FLOW_COLUMNS.items()}
    flows |= {name: column for name, column in published.flows.items() if name != "index"} | columns
    flows |= {
        "offset": np.cumsum(count) - count,
        "capture": np.zeros(size, np.uint16),
        "split": split_by_shuffle(published.shuffled, seed)[published.place],
    }
    check_classes(flows, "flow")
    return Dataset(flows, flows["offset"], published.dropped, category_of, categories)


def write_published(
    output: Path | str,
    published: Published,
    dataset: Dataset,
    *,
    max_packets: int,
    made_by: str,
    normalisation: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Write a data set (layout: ``build_dataset.py``), atomically.

    Args:
        normalisation: of :func:`read_normalisation`; None: that of the training split, as of any data set.
    """
    units = {name: column.unit for name, column in (FLOW_COLUMNS | PACKET_COLUMNS).items()}
    attributes = ATTRIBUTES | {
        "end_reasons": json.dumps(["unknown"]),
        "captures": json.dumps([NAME]),
        "max_packets": max_packets,
        "unknown": json.dumps(UNKNOWN),
    }
    pieces = _pieces(published, dataset.flows["offset"])
    write_pieces(
        output,
        dataset,
        pieces,
        units=units,
        attributes=attributes,
        made_by=made_by,
        normalisation=normalisation,
    )


def _pieces(published: Published, offset: np.ndarray) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
    total = len(published.packets["length"])
    cuts = np.unique([0, *np.searchsorted(offset, np.arange(PIECE, total, PIECE)), len(offset)])
    ends = np.append(offset, total)
    for first, stop in pairwise(cuts):
        packets = {name: column[ends[first] : ends[stop]] for name, column in published.packets.items()}
        yield slice(int(first), int(stop)), packets


def published_report(published: Published, dataset: Dataset) -> pd.DataFrame:
    """Counts of everything read, left out, cut and split, and what is unknown: columns section, item, count."""
    skipped = dict(published.skipped)
    rows = [
        ("read", "flows", len(published.dropped)),
        ("read", "packets_in_flows", published.packets_read),
        ("dropped", "flows_with_negative_interarrival_time", skipped.pop(STEPPING_BACK, 0)),
        ("dropped", "packets_of_dropped_flows", published.dropped_packets),
        *(("skipped_flows", reason, count) for reason, count in sorted(skipped.items())),
        *cut_rows(dataset.flows),
        *(("unknown", f"{column} ({text})", len(dataset.flows["offset"])) for column, text in UNKNOWN.items()),
        *split_rows(dataset.flows),
    ]
    return pd.DataFrame(rows, columns=["section", "item", "count"])


def published_labels(published: Published, names: AttackNames) -> pd.DataFrame:
    """One row per index of the published arrays: its attack, category and flows."""
    indices = sorted(names.attack)
    count = np.bincount(published.flows["index"], minlength=max(indices) + 1)
    return pd.DataFrame(
        {
            "rule": indices,
            "attack": [names.attack[index] for index in indices],
            "category": [names.category[index] for index in indices],
            "flows": count[indices],
        }
    )

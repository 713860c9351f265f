"""Training flows of some data sets and test flows of another in one data set.

So a detector is tried on traffic that was recorded elsewhere: whatever evaluates, attacks and explains on a data set
does so on this one. Its normalisation is that of its training flows; of one data set it is the very same, so that
detectors trained there go with it.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rnnids.datasets.build import Moments
from rnnids.datasets.encoding import encode_packets
from rnnids.datasets.features import NUM_FEATURES
from rnnids.datasets.flow_data import TEST, TRAIN, FlowData, concatenate, load_dataset
from rnnids.errors import InputError
from rnnids.storage import Attributes, create_column, create_hdf5, read_hdf5

TOGETHER = ("idle_timeout", "active_timeout", "max_packets", "end_reasons")  # attributes that must agree
BATCH = 1 << 14  # flows encoded at a time


def combine_datasets(train: Sequence[Path | str], test: Path | str, output: Path | str, *, made_by: str) -> None:
    """Write a data set of the training flows of `train` and the test flows of `test`.

    Args:
        output: the data set, of the layout of ``build_dataset.py``. made_by: text of ``storage.provenance``.

    Raises:
        InputError: files that are absent or damaged, or whose flows were made by other settings.
    """
    attributes = [_attributes(path) for path in (*train, test)]
    _check_together([*train, test], attributes)
    names = {key: _union([json.loads(own[key]) for own in attributes]) for key in ("attacks", "categories", "captures")}
    parts = [load_dataset(path, TRAIN) for path in train] + [load_dataset(test, TEST)]
    renamed = [_rename(part, own, names) for part, own in zip(parts, attributes, strict=True)]
    columns = set.intersection(*(set(part.packets) for part in renamed))
    both = renamed[0]
    for part in renamed[1:]:
        both = concatenate(_only(both, columns), _only(part, columns))
    split = np.repeat([TRAIN, TEST], [len(both) - len(parts[-1]), len(parts[-1])]).astype(np.uint8)
    mean, std = (parts[0].mean, parts[0].std) if len(train) == 1 else _moments(parts[:-1])
    flows = both.flows | {"offset": np.cumsum(both.packet_count, dtype=np.int64) - both.packet_count, "split": split}
    with create_hdf5(output, made_by) as file, read_hdf5(test) as source:
        for group, members in (("flows", flows), ("packets", both.packets)):
            for name, column in members.items():
                unit = Attributes(source[group][name]).get("unit", "")
                create_column(file, f"{group}/{name}", unit, data=column)
        file.attrs.update({key: attributes[0][key] for key in TOGETHER})
        file.attrs["clock_resolution_ns"] = max(int(own["clock_resolution_ns"]) for own in attributes)
        file.attrs.update({key: json.dumps(list(values)) for key, values in names.items()})
        file.attrs["mean"], file.attrs["std"] = mean, std


def _attributes(path: Path | str) -> dict[str, Any]:
    with read_hdf5(path) as file:
        attributes = dict(file.attrs)
        return {"captures": "[]", "end_reasons": "[]"} | attributes


def _check_together(paths: Sequence[Path | str], attributes: Sequence[dict[str, Any]]) -> None:
    for path, own in zip(paths, attributes, strict=True):
        for key in TOGETHER:
            if own[key] != attributes[0][key]:
                raise InputError(
                    f"{path}: {key} is {own[key]}, but {attributes[0][key]} in {paths[0]}; build both alike"
                )


def _union(lists: Sequence[Sequence[str]]) -> list[str]:
    """All names of the lists, in the order in which they come first."""
    return list(dict.fromkeys(name for names in lists for name in names))


def _rename(part: FlowData, own: dict[str, Any], names: dict[str, list[str]]) -> FlowData:
    """The flows of a data set with attacks, categories and captures by their places in `names`."""
    columns = {"attack": "attacks", "category": "categories", "capture": "captures"}
    flows = dict(part.flows)
    for column, key in columns.items():
        if column in flows and (known := json.loads(own[key])):
            flows[column] = np.array([names[key].index(name) for name in known], flows[column].dtype)[flows[column]]
    return replace(part, flows=flows, attacks=names["attacks"], categories=names["categories"])


def _only(part: FlowData, columns: set[str]) -> FlowData:
    """Flows with some columns of their packets."""
    return replace(part, packets={name: column for name, column in part.packets.items() if name in columns})


def _moments(parts: Sequence[FlowData]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the features over all packets, (15,) each."""
    moments = Moments(NUM_FEATURES)
    for part in parts:
        for first in range(0, len(part), BATCH):
            piece = part.take(np.arange(first, min(first + BATCH, len(part))))
            moments.add(encode_packets(piece.flows, piece.packets, piece.packet_count))
    return moments.mean, moments.std()

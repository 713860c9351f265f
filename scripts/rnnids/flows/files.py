"""Reading flow files: the flows of all captures at once, their packets piece by piece."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnnids.errors import InputError
from rnnids.flows.columns import ADDED_LATER, FLOW_COLUMNS, PACKET_COLUMNS
from rnnids.flows.ranges import gather_ranges
from rnnids.storage import Attributes, read_hdf5

CHUNK = 1 << 20  # packets read at a time
MOST = 1 << 16  # captures, that the column `capture` tells apart
SHARED_ATTRIBUTES = ("idle_timeout", "active_timeout", "end_reasons")  # must agree among captures


@dataclass(frozen=True)
class FlowFile:
    """What a flow file says of its capture, without its flows and packets.

    Attributes:
        path, name: of the flow file; of the capture.
        attributes: of the file: idle_timeout and active_timeout (s), end_reasons (JSON) ...
        units: unit of each column, by name; a file of an earlier version lacks those of ``ADDED_LATER``.
        packets: packets in flows.
        skipped: packets that belong to no flow, by reason.
        unknown: those of them whose layers are unknown or cannot be read: IP may have been in them. 0 in files of
            earlier versions.
    """

    path: Path | str
    name: str
    attributes: Mapping[str, Any]
    units: Mapping[str, str]
    packets: int
    skipped: Mapping[str, int]
    unknown: int = 0


def read_captures(paths: Sequence[Path | str]) -> tuple[list[FlowFile], dict[str, np.ndarray]]:
    """Read all flow files but for their packets.

    Returns:
        (captures, flows): list of FlowFile in order of their first flow, whatever the order of `paths`;
        dict of columns over all N flows, those of the flow files and `capture`, capture after capture.

    Raises:
        InputError: a file is absent or damaged, captures of one name or with different time-outs, no flow; too many.
    """
    if len(paths) > MOST:
        raise InputError(f"{paths[0]} and {len(paths) - 1:,} more: more captures than {MOST:,}; merge some (mergecap)")
    read = [_read_capture(path) for path in paths]
    read.sort(key=lambda item: (len(item[1]["start_ns"]) == 0, item[1]["start_ns"][:1].tolist(), item[0].name))
    captures = [capture for capture, _ in read]
    _check_together(captures)
    flows = {name: np.concatenate([columns[name] for _, columns in read]) for name in FLOW_COLUMNS}
    counts = [len(columns["start_ns"]) for _, columns in read]
    flows["capture"] = np.repeat(np.arange(len(read), dtype=np.uint16), counts)
    if not len(flows["capture"]):
        raise InputError(f"{', '.join(map(str, paths))}: no flows; give captures with TCP, UDP or ICMP packets")
    return captures, flows


def _read_capture(path: Path | str) -> tuple[FlowFile, dict[str, np.ndarray]]:
    with read_hdf5(path) as file:
        flows = {name: file["flows"][name][:] for name in FLOW_COLUMNS}
        attributes = dict(file.attrs)
        capture = FlowFile(
            path=path,
            name=str(attributes["capture"]),
            attributes=attributes,
            units={
                name: str(Attributes(file[group][name])["unit"])
                for group, names in (("flows", FLOW_COLUMNS), ("packets", PACKET_COLUMNS))
                for name in names
                if name not in ADDED_LATER or name in file[group]
            },
            packets=len(file["packets"]["iat_ns"]),
            skipped=json.loads(attributes["skipped"]),
            unknown=int(attributes.get("unknown_packets", 0)),
        )
    count = flows["packet_count"].astype(np.int64)
    in_a_row = np.array_equal(flows["offset"], np.cumsum(count) - count) and count.sum() == capture.packets
    if not in_a_row or (count < 1).any():
        raise InputError(f"{path}: /flows/offset: does not fit the packets; delete the file and extract it again")
    return capture, flows


def _check_together(captures: Sequence[FlowFile]) -> None:
    by_name: dict[str, FlowFile] = {}
    for capture in captures:
        other = by_name.setdefault(capture.name, capture)
        if other is not capture:
            raise InputError(
                f"{capture.path}: capture {capture.name!r} is also that of {other.path}; give it once, or rename one"
            )
        for key in SHARED_ATTRIBUTES:
            values = [file.attributes[key] for file in (captures[0], capture)]
            if values[0] != values[1]:
                raise InputError(
                    f"{capture.path}: {key} is {values[1]}, but {values[0]} in {captures[0].path};"
                    " extract both with the same settings"
                )


def flows_stepping_back(capture: FlowFile, offset: np.ndarray) -> np.ndarray:
    """Flows of a capture that have a negative interarrival time, whole flows looked at.

    Args:
        offset: (N,) row of the first packet of each flow of the capture.

    Returns:
        (N,) bool.
    """
    stepping_back = np.zeros(len(offset), dtype=bool)
    with read_hdf5(capture.path) as file:
        for first in range(0, capture.packets, CHUNK):
            rows = first + np.flatnonzero(file["packets"]["iat_ns"][first : first + CHUNK] < 0)
            stepping_back[np.searchsorted(offset, rows, side="right") - 1] = True
    return stepping_back


def shared_packet_columns(captures: Sequence[FlowFile]) -> list[str]:
    """Names of ``PACKET_COLUMNS`` that all of the flow files have."""
    return [name for name in PACKET_COLUMNS if all(name in capture.units for capture in captures)]


def read_packets(
    capture: FlowFile, offset: np.ndarray, count: np.ndarray, *, columns: Sequence[str] | None = None
) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
    """Yield the packets of chosen flows of a capture, about ``CHUNK`` rows read at a time.

    Args:
        offset, count: (n,) row of the first and number of packets to take of each flow, rising.
        columns: names of those to read; None: all that the file has.

    Yields:
        (slice of the n flows, dict of their packet columns, flow after flow).
    """
    columns = shared_packet_columns([capture]) if columns is None else columns
    end = offset + count
    first = 0
    with read_hdf5(capture.path) as file:
        while first < len(offset):
            stop = max(first + 1, int(np.searchsorted(end, offset[first] + CHUNK, side="right")))
            chunk = slice(first, stop)
            rows = slice(offset[first], end[stop - 1])
            ranges = offset[chunk] - offset[first], count[chunk]
            yield chunk, {name: gather_ranges(file["packets"][name][rows], *ranges) for name in columns}
            first = stop

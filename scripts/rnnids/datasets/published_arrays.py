"""Flows as the paper's authors published them: a list of arrays (T, 17) of float32, one row a packet.

The columns: source port, destination port, protocol, length in bytes, interarrival time in milliseconds, direction (1
forward), the flags SYN FIN RST PSH ACK URG ECE CWR NS, index of the attack, label (1 attack).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnids.cli import Progress, log
from rnnids.datasets.features import (
    DIRECTION,
    FLAG_BITS,
    INTERARRIVAL_TIME,
    NANOSECONDS_PER_MILLISECOND,
    NUM_FEATURES,
    PACKET_LENGTH,
)
from rnnids.datasets.plain_pickle import called, read_items
from rnnids.errors import InputError

WIDTH = NUM_FEATURES + 2
FIRST_FLAG, CATEGORY, LABEL = DIRECTION + 1, NUM_FEATURES, NUM_FEATURES + 1  # columns; the others are as in features.py
BATCH_PACKETS = 1 << 16  # checked at a time
LONGEST = 366 * 86_400_000.0  # milliseconds of a flow
STEPPING_BACK = "an interarrival time that is negative, or no number"


class AttackNames(NamedTuple):
    """What the indices of attacks mean.

    Attributes:
        attack, category: {index in the published arrays: name}, "Benign" for what is none.
        benign: the index of benign flows.
    """

    attack: dict[int, str]
    category: dict[int, str]
    benign: int


@dataclass(frozen=True)
class Published:
    """M flows that can be used, of N published.

    Attributes:
        flows: source_port, destination_port, protocol, full_packet_count, packet_count (after the cut), duration_ns,
            index (of the attack, in the published arrays); (M,).
        packets: ``PACKET_COLUMNS`` but those of ``ADDED_LATER``, after the cut.
        place: (M,) of each flow among those that the authors shuffled.
        shuffled: how many those are: all without a negative interarrival time.
        dropped: (N,) bool, all others.
        skipped: {reason: flows}. dropped_packets: of the flows with a negative interarrival time.
    """

    flows: Mapping[str, np.ndarray]
    packets: Mapping[str, np.ndarray]
    place: np.ndarray
    shuffled: int
    dropped: np.ndarray
    skipped: Mapping[str, int]
    packets_read: int
    dropped_packets: int


def read_published(paths: Sequence[Path | str], names: AttackNames, *, max_packets: int) -> Published:
    """Read flows; one with a value that cannot be is left out, counted, and named in the log.

    Args:
        paths: the pickle, or its parts in order.
        max_packets: of a flow that are kept, the first ones.

    Raises:
        InputError: a file cannot be read, or no flow can be used.
    """
    skipped: Counter[str] = Counter()
    found: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]] = []
    dropped: list[np.ndarray] = []
    shuffled = packets_read = dropped_packets = 0
    with Progress("reading", unit="flows") as done:
        for first, flows in _batches(read_items(paths)):
            reason, columns, packets = _check(flows, names, max_packets=max_packets)
            back = reason == STEPPING_BACK
            columns["place"] = (shuffled + np.cumsum(~back) - 1)[reason == ""]
            shuffled += int((~back).sum())
            sizes = np.array([len(flow) if isinstance(flow, np.ndarray) and flow.ndim else 0 for flow in flows])
            packets_read += int(sizes.sum())
            dropped_packets += int(sizes[back].sum())
            _count(reason, skipped, f"{called(paths)}: flow", first=first)
            found.append((columns, packets))
            dropped.append(reason != "")
            done.update(len(flows))
    if not any(len(columns["place"]) for columns, _ in found):
        raise InputError(
            f"{called(paths)}: no flow that could be used ({dict(skipped) or 'an empty list'}); get it again"
        )
    for text, count in skipped.items():
        log.warning("warning: %s: %s flows are left out: %s", called(paths), f"{count:,}", text)
    columns, packets = (
        {name: np.concatenate([part[i][name] for part in found]) for name in found[0][i]} for i in (0, 1)
    )
    return Published(
        place=columns.pop("place"),
        flows=columns,
        packets=packets,
        shuffled=shuffled,
        dropped=np.concatenate(dropped),
        skipped=skipped,
        packets_read=packets_read,
        dropped_packets=dropped_packets,
    )


def _count(reason: np.ndarray, skipped: Counter[str], name: str, *, first: int) -> None:
    """Add the flows of each reason to `skipped`; the log names the first of each, counted from `first`."""
    for text in dict.fromkeys(reason[reason != ""].tolist()):
        if text not in skipped:
            log.info("%s %s is left out: %s", name, f"{first + int(np.argmax(reason == text)) + 1:,}", text)
        skipped[text] += int((reason == text).sum())


def _batches(items: Iterable[Any]) -> Iterator[tuple[int, list[Any]]]:
    """Yield (number of the first, flows) with about ``BATCH_PACKETS`` packets each."""
    first, size, batch = 0, 0, []
    for item in items:
        batch.append(item)
        size += len(item) if isinstance(item, np.ndarray) and item.ndim else 1
        if size >= BATCH_PACKETS:
            yield first, batch
            first, size, batch = first + len(batch), 0, []
    if batch:
        yield first, batch


def _shape_fault(flow: Any) -> str:
    if not isinstance(flow, np.ndarray) or flow.dtype.kind != "f" or flow.ndim != 2:
        return "no array of numbers, one row a packet"
    if flow.shape[1] != WIDTH:
        return f"not {WIDTH} columns"
    return "" if len(flow) else "no packet"


def _check(
    flows: Sequence[Any], names: AttackNames, *, max_packets: int
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """((N,) why each flow is left out, "" for the M that stay; columns of these; columns of their packets)."""
    reason = np.array([_shape_fault(flow) for flow in flows], dtype=object)
    whole = [flow for flow, fault in zip(flows, reason, strict=True) if not fault]
    rows = np.concatenate(whole).astype(np.float64) if whole else np.zeros((0, WIDTH))
    count = np.array([len(flow) for flow in whole], dtype=np.int64)
    fault = _faults(rows, count, names)
    reason[reason == ""] = fault
    kept = fault == ""
    of_kept = np.repeat(kept, count)
    rows, count = rows[of_kept], count[kept]
    start = np.cumsum(count) - count
    iat_ns = np.rint(rows[:, INTERARRIVAL_TIME] * NANOSECONDS_PER_MILLISECOND).astype(np.int64)
    columns = {
        "source_port": rows[start, 0].astype(np.uint16),
        "destination_port": rows[start, 1].astype(np.uint16),
        "protocol": rows[start, 2].astype(np.uint8),
        "full_packet_count": count,
        "packet_count": np.minimum(count, max_packets).astype(np.int32),
        "duration_ns": np.add.reduceat(iat_ns, start) if len(start) else np.zeros(0, np.int64),
        "index": rows[start, CATEGORY].astype(np.int64),
    }
    stays = np.arange(len(rows)) - np.repeat(start, count) < max_packets
    rows = rows[stays]
    bits = np.array(list(FLAG_BITS.values()), dtype=np.float64)
    packets = {
        "iat_ns": iat_ns[stays],
        "length": rows[:, PACKET_LENGTH].astype(np.uint32),
        "direction": (1 - rows[:, DIRECTION]).astype(np.uint8),
        "flags": (rows[:, FIRST_FLAG:CATEGORY] @ bits).astype(np.uint16),
    }
    return reason, columns, packets


def _faults(rows: np.ndarray, count: np.ndarray, names: AttackNames) -> np.ndarray:
    """(N,) the first fault of each flow, "" where there is none; `rows` are those of all, one after the other."""
    fault = np.full(len(count), "", dtype=object)
    if not len(count):
        return fault
    start, flow = np.cumsum(count) - count, np.repeat(np.arange(len(count)), count)
    constant = rows == rows[start][flow]
    iat = rows[:, INTERARRIVAL_TIME]
    duration = np.add.reduceat(np.where(np.isfinite(iat), iat, 0), start)
    with np.errstate(invalid="ignore"):
        faults = {
            STEPPING_BACK: ~(iat >= 0),
            "numbers that are not finite": ~np.isfinite(rows).all(axis=1),
            "a port that is none, or changes": ~(_integers(rows[:, :2], 65535) & constant[:, :2]).all(axis=1),
            "a protocol that is none, or changes": ~(_integers(rows[:, 2], 255) & constant[:, 2]),
            "a length that is none": ~_integers(rows[:, PACKET_LENGTH], 65535),
            "a first packet that is not forward, or late": _of_first(rows, start),
            "interarrival times of more than a year": (duration > LONGEST)[flow],
            "a flag or direction beside 0 and 1": ~np.isin(rows[:, DIRECTION:CATEGORY], (0, 1)).all(axis=1),
            "an attack without a name": ~np.isin(rows[:, CATEGORY], list(names.attack)) | ~constant[:, CATEGORY],
            "a label that is not that of its attack": rows[:, LABEL] != (rows[:, CATEGORY] != names.benign),
        }
    for text, packets in faults.items():
        fault[(fault == "") & np.logical_or.reduceat(packets, start)] = text
    return fault


def _integers(values: np.ndarray, most: int) -> np.ndarray:
    return (values == np.rint(values)) & (values >= 0) & (values <= most)


def _of_first(rows: np.ndarray, start: np.ndarray) -> np.ndarray:
    fault = np.zeros(len(rows), dtype=bool)
    fault[start] = (rows[start, DIRECTION] != 1) | (rows[start, INTERARRIVAL_TIME] != 0)
    return fault

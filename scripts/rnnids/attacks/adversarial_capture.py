"""From adversarial flows back to packets: the capture as it would have been recorded, had the attacker sent them.

How packets are changed stands in :mod:`rnnids.flows.rewriting` and :mod:`rnnids.captures.rewrite`; what is left of the
capture goes over byte by byte. Where extraction repaired the capture, the copy is that of the repaired one.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rnnids.captures.copy import CaptureCopy, open_output, write_repaired
from rnnids.captures.pcap import check_readable, open_capture
from rnnids.captures.repair import Remedies
from rnnids.cli import log
from rnnids.datasets.flow_data import FlowData
from rnnids.errors import InputError
from rnnids.flows.extract import extraction_of, to_nanoseconds
from rnnids.flows.files import FlowFile, read_captures, read_packets
from rnnids.flows.rewriting import Connections, FlowChange, edits, flow_keys, plan
from rnnids.storage import atomic_path, fingerprint, scratch_folder

COMPARED = ("direction", "flags")  # columns of packets in which an adversarial flow is as the original


@dataclass(frozen=True)
class WrittenCapture:
    """What came of writing a capture.

    Attributes:
        flows: a row an adversarial flow of this capture, in the order of their start in the original: `row` in the data
            set, `start_ns` in the copy, `added_bytes`, `added_ns`, and `reason`, why it stayed as it was (empty: it is
            written).
        counts: packets by what happened to them, in words.
        warnings: what was found damaged in the original; the copy ends there.
    """

    flows: pd.DataFrame
    counts: Mapping[str, int]
    warnings: list[str]


def write_pcap(
    pcap: Path | str, output: Path | str, *, flows: Path | str, adversarial: FlowData, member: str | None = None
) -> WrittenCapture:
    """Write a capture in which adversarial flows stand in the place of the original ones.

    Args:
        pcap: the original capture, plain or compressed, or the zip archive that holds it; it is only read.
        output: the copy, of the same format; compressed if its name ends in .gz or .zst. It must not exist.
        flows: the flow file that was extracted from `pcap`.
        adversarial: flows after an attack, such as ``RobustSearch()(detector, flows).adversarial()``; those of other
            captures are left aside.
        member: name of the capture within the zip archive, if it is one.

    Returns:
        what was written, and what could not be.

    Raises:
        InputError: a capture other than that of the flow file; `output` exists.
    """
    if Path(output).exists():
        raise InputError(f"{output}: exists already; delete it, or name another file")
    (flow_file,), columns = read_captures([flows])
    check_origin(pcap, flow_file)
    chosen, changes = flow_changes(flow_file, columns, adversarial)
    extraction = extraction_of(flow_file.attributes)
    if extraction.unwrap:
        raise InputError(f"{flows}: of packets within tunnels, which cannot be written; extract without `unwrap`")
    connections = Connections(
        dict(zip(flow_keys(chosen.flows), changes, strict=True)),
        idle=to_nanoseconds(extraction.idle_timeout),
        active=to_nanoseconds(extraction.active_timeout),
    )
    counts: Counter[str] = Counter()
    with as_extracted(pcap, member, remedies=extraction.remedies(), output=output) as (source, inner):
        with open_capture(source, inner) as capture:
            plan(capture, connections)
        with open_capture(source, inner) as capture, atomic_path(output) as temporary:
            with open_output(temporary, output) as sink:
                copy = CaptureCopy(capture, sink, temporary.parent)
                for piece, records, packets in connections.walk(capture):
                    copy.add(piece, records, list(edits(capture, packets, counts)))
                copy.finish()
            warnings = list(capture.warnings)
    written = WrittenCapture(_table(chosen, changes), dict(counts), warnings)
    _log(output, written)
    return written


def check_origin(pcap: Path | str, flow_file: FlowFile) -> None:
    """Raise InputError where a flow file was not extracted from this very capture."""
    check_readable(pcap)
    made_by = json.loads(str(flow_file.attributes["provenance"]))
    if fingerprint(pcap) not in made_by["inputs"].values():
        raise InputError(
            f"{pcap}: not the capture that {flow_file.path} was extracted from, or changed since (its sha256 is"
            " another); give that capture, or extract this one and attack its flows"
        )


@contextlib.contextmanager
def as_extracted(
    pcap: Path | str, member: str | None, *, remedies: Remedies, output: Path | str
) -> Iterator[tuple[Path | str, str | None]]:
    """Yield (path, member) of a capture with the packets that extraction takes, in its order.

    That is the capture itself, or a repaired copy beside `output`, which is gone afterwards.
    """
    if remedies == Remedies():
        yield pcap, member
        return
    with scratch_folder(output) as scratch:
        repaired = scratch / "capture"
        with open_capture(pcap, member) as capture, open_output(repaired, repaired) as sink:
            write_repaired(capture, sink, scratch, remedies=remedies)
        yield repaired, None


def flow_changes(
    flow_file: FlowFile, columns: Mapping[str, np.ndarray], adversarial: FlowData
) -> tuple[FlowData, list[FlowChange]]:
    """What the adversarial flows of a capture change in it.

    Args:
        flow_file, columns: of the capture, as ``read_captures`` gives them.

    Returns:
        (the adversarial flows that lie in it, in its order; the change of each).
    """
    keys = flow_keys(columns)
    known, times = {key: place for place, key in enumerate(keys)}, Counter(keys)
    places = np.array([known.get(key, -1) for key in flow_keys(adversarial.flows)], dtype=np.int64)
    order = np.argsort(places, kind="stable")
    order = order[places[order] >= 0]
    chosen, places = adversarial.take(order), places[order]
    if not len(chosen):
        log.warning("warning: %s: none of the adversarial flows lies in it", flow_file.path)
        return chosen, []
    before = original_packets(flow_file, columns, places, count=chosen.packet_count.astype(np.int64))
    added = chosen.packets["length"].astype(np.int64) - before["length"].astype(np.int64)
    later = chosen.packets["iat_ns"].astype(np.int64) - before["iat_ns"]
    other = np.any([chosen.packets[name] != before[name] for name in COMPARED], axis=0)
    changes = []
    for number, place in enumerate(places):
        own = slice(chosen.start[number], chosen.start[number] + chosen.packet_count[number])
        change = FlowChange(added[own].tolist(), np.cumsum(later[own]).tolist())
        if times[keys[place]] > 1:
            change.reason = "another flow of the same ends begins at the same time"
        elif other[own].any():
            change.reason = "its packets are not those of the flow file"
        elif (later[own] < 0).any():
            change.reason = "a packet follows the one before it sooner than in the original"
        changes.append(change)
    return chosen, changes


def original_packets(
    flow_file: FlowFile, columns: Mapping[str, np.ndarray], places: np.ndarray, *, count: np.ndarray
) -> dict[str, np.ndarray]:
    """The first `count` packets of the flows at `places` of a flow file, flow after flow.

    Raises:
        InputError: a flow there has fewer packets.
    """
    if (count > columns["packet_count"][places]).any():
        raise InputError(f"{flow_file.path}: its flows are shorter than the adversarial ones; give the data set's own")
    names = ["iat_ns", "length", *COMPARED]
    pieces = [packets for _, packets in read_packets(flow_file, columns["offset"][places], count, columns=names)]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in names}


def _table(flows: FlowData, changes: list[FlowChange]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": flows.row,
            "start_ns": np.array([change.start_ns for change in changes], dtype=np.int64),
            "added_bytes": np.array([sum(change.added) for change in changes], dtype=np.int64),
            "added_ns": np.array([change.delay[-1] for change in changes], dtype=np.int64),
            "reason": np.array([change.reason for change in changes], dtype=object),
        }
    )


def _log(output: Path | str, written: WrittenCapture) -> None:
    reasons = written.flows.reason
    log.info("%s: %d of %d adversarial flows written", output, int((reasons == "").sum()), len(reasons))
    for reason, count in Counter(reasons[reasons != ""]).items():
        log.warning("warning: %s: %d flows stay as they were: %s", output, count, reason)
    for words, count in sorted(written.counts.items()):
        log.info("%s: %s %s %s", output, f"{count:,}", "packet" if count == 1 else "packets", words)
    for warning in written.warnings:
        log.warning("warning: %s: the original is damaged: %s; the copy ends there", output, warning)

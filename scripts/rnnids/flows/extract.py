"""From a capture to the file of its flows.

One pass over the packets in compiled code, one thread reading and parsing, the other putting them into
flows. Then the flows are sorted by start (stable: by first packet in the capture where starts are
equal) and written as HDF5 in CSR layout, the packets of each flow in a row. Memory follows the number
of live flows, never the size of the capture.

Interarrival times are stored as they are, negative where the capture's time steps back; building a
data set drops such flows and counts them. ``duration_ns`` is the sum of a flow's interarrival times.
"""

import itertools
import json
import os
from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from rnnids.captures.layers import TUNNELS, layer_table
from rnnids.captures.packets import PACKET, draw_keys, parse_batch
from rnnids.captures.pcap import BATCH, Capture, check_readable, open_capture
from rnnids.captures.records import SECOND
from rnnids.captures.repair import Remedies, Repair
from rnnids.captures.skipped import (
    by_name,
    new_counts,
    refuse_link,
    refuse_links,
    unknown_packets,
    unknown_warnings,
)
from rnnids.captures.unwrap import packets_to_ports, tunnel_hints, unwrap_batch
from rnnids.cli import Progress, log
from rnnids.flows.columns import FLOW_COLUMNS, PACKET_COLUMNS, Column
from rnnids.flows.external_sort import Bucket, in_order, scratch
from rnnids.flows.table import COUNTERS, END_REASONS, FLOW, SMALLEST, add_packets, rebuild, sweep
from rnnids.prefetch import prefetch
from rnnids.settings import check, fields, setting
from rnnids.storage import create_column, create_hdf5, provenance

ROWS, ENDED = 1 << 16, 1 << 14  # packets and flows held before they are spilled
CHUNK = 1 << 16  # rows of a chunk in the file
LONGEST = 1_000_000_000  # seconds of a time-out or window
PIECE = 1 << 15  # packets, at most, that one thread hands to the other; each time costs some 0.1 ms
AHEAD = 2  # pieces read while one is put into flows
SUFFIXES = {".gz", ".zst", ".zstd", ".pcap", ".pcapng", ".cap", ".dmp"}


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """How packets become flows (Sec. II), and what is repaired before."""

    idle_timeout: float = setting(300.0, "seconds without a packet that end a flow", above=0, maximum=LONGEST)
    active_timeout: float = setting(1800.0, "seconds after which a flow is ended in any case", above=0, maximum=LONGEST)
    drop_outgoing: bool = setting(False, "of Linux cooked captures, which can hold packets twice: keep what comes in")
    unwrap: tuple[str, ...] = setting(
        (), "tunnels of which the packets inside count, not what carries them", choices=TUNNELS
    )
    repair: bool = setting(False, "drop duplicates and put late packets in order, within these windows:")
    duplicate_window: float = setting(0.01, "seconds between equal packets, to keep one", above=0, maximum=LONGEST)
    reorder_window: float = setting(1.0, "seconds by which a packet can be late", above=0, maximum=LONGEST)

    def __post_init__(self) -> None:
        check(self)

    def remedies(self) -> Remedies:
        """The repairs that are asked for."""
        if not self.repair:
            return Remedies(drop_outgoing=self.drop_outgoing)
        return Remedies(
            drop_outgoing=self.drop_outgoing,
            duplicate_window=to_nanoseconds(self.duplicate_window),
            reorder_window=to_nanoseconds(self.reorder_window),
        )


def extraction_of(attributes: Mapping[str, Any]) -> Extraction:
    """The settings that a flow file was extracted with, from its attributes."""
    given = json.loads(str(attributes["provenance"]))["arguments"]
    kinds = {field.name: field.kind for field in fields(Extraction) if field.name in given and not field.many}
    values = {name: given[name] == "True" if kind is bool else kind(given[name]) for name, kind in kinds.items()}
    return Extraction(**values, unwrap=tuple(json.loads(attributes.get("unwrap", "[]"))))


def to_nanoseconds(seconds: float) -> int:
    """Seconds in whole nanoseconds."""
    return round(seconds * SECOND)


class PacketSink(Protocol):
    """What takes the packets of a capture: a :class:`FlowBuilder`, or a detector that watches them.

    Attributes:
        keys: of the packets' hashes, as of ``packets.draw_keys``.
    """

    keys: np.ndarray

    def add(self, packets: np.ndarray, /) -> None:
        """Take a (n,) PACKET array, in capture order."""

    def finish(self) -> int:
        """The capture has ended; returns the number of its flows."""

    def warnings(self) -> list[str]:
        """What to say about the packets."""


class FlowBuilder:
    """Groups packets, parsed with its `keys`, into flows and spills both into `bucket`; time-outs in nanoseconds."""

    def __init__(self, bucket: Bucket, idle: int, active: int) -> None:
        self.bucket, self.timeouts = bucket, (idle, active)
        self.keys = draw_keys()
        self.table = np.zeros(SMALLEST, FLOW)
        self.counters = np.zeros(1, COUNTERS)[0]
        self.rows, self.ended = bucket.packets.space(ROWS), np.empty(ENDED, FLOW)

    def add(self, packets: np.ndarray) -> None:
        """Assign a (n,) PACKET array, in capture order."""
        done = 0
        while True:
            done = add_packets(packets, done, self.table, *self.timeouts, self.rows, self.ended, self.counters)
            if done == len(packets):
                return
            self._flush()
            if 4 * self.counters["used"] > 3 * len(self.table):
                self.bucket.flows.append(sweep(self.table, self.counters["now"], *self.timeouts, False))
                self.table = rebuild(self.table, self.counters, self.keys)

    def finish(self) -> int:
        """End the flows that are still live; returns the number of all flows."""
        self._flush()
        self.bucket.flows.append(sweep(self.table, self.counters["now"], *self.timeouts, True))
        return int(self.counters["flows"])

    def warnings(self) -> list[str]:
        """What to say about the time stamps."""
        steps, largest = int(self.counters["steps_back"]), int(self.counters["largest_step"])
        if not steps:
            return []
        return [f"time steps back {steps:,} times between packets, by at most {largest / SECOND:g} s"]

    def _flush(self) -> None:
        self.bucket.packets.keep(self.counters["rows"])
        self.rows = self.bucket.packets.space(ROWS)
        self.bucket.flows.append(self.ended[: self.counters["ended"]])
        self.counters["rows"] = self.counters["ended"] = 0


def build_flows(
    capture: Capture, builder: PacketSink, repair: Repair, *, unwrap: Collection[str] = ()
) -> tuple[np.ndarray, list[str]]:
    """Build the flows of `capture`; returns (packets skipped, of ``skipped.new_counts``, and warnings)."""
    refuse_link(capture)
    counts = new_counts()
    for packets in prefetch(repaired_packets(capture, repair, counts=counts, keys=builder.keys, unwrap=unwrap), AHEAD):
        builder.add(packets)
    builder.finish()
    refuse_links(capture, counts)
    return counts, capture.warnings + builder.warnings() + unknown_warnings(counts, capture.packets_read)


def repaired_packets(
    capture: Capture, repair: Repair, *, counts: np.ndarray, keys: np.ndarray, unwrap: Collection[str] = ()
) -> Generator[np.ndarray, None, None]:
    """Yield (n,) PACKET arrays in the order in which they count, and report progress.

    An array is written again after ``AHEAD`` more. Where a pipe has no more for now, what there is comes at once.
    `counts` and `keys` are as in ``packets.parse_batch``.
    """
    ring = itertools.cycle([np.empty(PIECE, PACKET) for _ in range(AHEAD + 1)])
    packets, kept, position = next(ring), 0, 0
    layers, parse = layer_table(unwrap), unwrap_batch if unwrap else parse_batch
    with Progress(f"reading {os.path.basename(capture.path)}", total=capture.size, unit="bytes") as progress:
        for buffer, records in capture.batches():
            chosen = repair.select(buffer, records, counts)
            kept += parse(buffer, chosen, packets[kept:], counts, layers, keys)
            if kept > PIECE - BATCH or (kept and capture.waits()):
                yield repair.order(packets[:kept])
                packets, kept = next(ring), 0
                progress.update(capture.position() - position)
                position = capture.position()
        yield repair.order(packets[:kept])
        yield repair.rest()


def address_bytes(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """(n, 16) uint8 addresses from their two halves."""
    return np.stack([high, low], axis=1).astype(">u8").view(np.uint8)


def flow_columns(flows: np.ndarray, packet_count: np.ndarray, first_row: int) -> dict[str, np.ndarray]:
    """``FLOW_COLUMNS`` of sorted `flows`, a (n,) FLOW array, whose packets begin at row `first_row`."""
    return {
        "start_ns": flows["start"],
        "duration_ns": flows["last"] - flows["start"],
        "source_address": address_bytes(flows["source_high"], flows["source_low"]),
        "destination_address": address_bytes(flows["destination_high"], flows["destination_low"]),
        "source_port": flows["source_port"],
        "destination_port": flows["destination_port"],
        "protocol": flows["protocol"],
        "end_reason": flows["end_reason"],
        "offset": first_row + np.cumsum(packet_count) - packet_count,
        "packet_count": packet_count,
    }


def create_columns(file: h5py.File, group: str, columns: Mapping[str, Column], *, size: int) -> None:
    """Make the columns of a group for `size` rows."""
    for name, column in columns.items():
        shape = column.shape
        options = {"chunks": (min(max(size, 1), CHUNK), *shape), "maxshape": (None, *shape)}
        sizes = {"shape": (size, *shape), "dtype": column.dtype}
        create_column(file, f"{group}/{name}", column.unit, **sizes, **options)


def write_flows(file: h5py.File, bucket: Bucket, path: Path | str) -> Counter[int]:
    """Write the flows of `bucket` to `path`, open as `file`, by start; returns {UDP port of a tunnel: packets}."""
    create_columns(file, "flows", FLOW_COLUMNS, size=bucket.flows.count)
    create_columns(file, "packets", PACKET_COLUMNS, size=bucket.packets.count)
    flow, row, tunnelled = 0, 0, Counter[int]()
    groups = [dict(file[name].items()) for name in ("flows", "packets")]  # open, so that HDF5 keeps the last chunk
    with Progress("writing", total=bucket.packets.count, unit="packets") as progress:
        for flows, packets, packet_count in prefetch(in_order(bucket), depth=1):
            for name, values in flow_columns(flows, packet_count, row).items():
                fitting = FLOW_COLUMNS[name].fit(values, f"{path}: /flows/{name}")
                groups[0][name][flow : flow + len(flows)] = fitting
            count = len(packets["iat_ns"])
            for name, values in packets.items():
                groups[1][name][row : row + count] = values
            flow, row = flow + len(flows), row + count
            tunnelled.update(packets_to_ports(flows, packet_count))
            progress.update(count)
    return tunnelled


def extract_flows(
    pcap: Path | str,
    output: Path | str,
    *,
    name: str | None = None,
    member: str | None = None,
    idle_timeout: float = Extraction.idle_timeout,
    active_timeout: float = Extraction.active_timeout,
    drop_outgoing: bool = Extraction.drop_outgoing,
    repair: bool = Extraction.repair,
    duplicate_window: float = Extraction.duplicate_window,
    reorder_window: float = Extraction.reorder_window,
    unwrap: Sequence[str] = Extraction.unwrap,
) -> None:
    """Extract the flows of a capture into an HDF5 file (layout: :mod:`rnnids.flows.columns`).

    Args:
        pcap: pcap or pcapng file, plain, gzip or zstd, or a zip archive that holds it.
        output: the flow file; appears only when it is whole.
        name: what to call the capture in the file; None: its file name without suffixes.
        member: name of the capture within the zip archive, if it is one.
        idle_timeout, active_timeout: seconds, as in the paper (Sec. II).
        drop_outgoing: of Linux cooked captures, leave out what goes out.
        repair: drop duplicates and put late packets in order (:mod:`rnnids.captures.repair`).
        duplicate_window, reorder_window: seconds, where repaired.
        unwrap: tunnels of which the packets inside count (``layers.TUNNELS``).

    Raises:
        InputError: not a capture, an unsupported link type, a bad time-out, nowhere to write, a flow too large.
    """
    settings = Extraction(
        idle_timeout=idle_timeout,
        active_timeout=active_timeout,
        drop_outgoing=drop_outgoing,
        repair=repair,
        duplicate_window=duplicate_window,
        reorder_window=reorder_window,
        unwrap=tuple(unwrap),
    )
    check_readable(pcap)
    name = name or capture_name(Path(member or pcap))
    made_by = provenance("extract_flows.py", {**vars(settings), "name": name, "member": member}, [pcap])
    extract(pcap, output, settings, name=name, made_by=made_by, member=member)


def capture_name(path: Path) -> str:
    """The file's name without the suffixes of captures and compression."""
    while path.suffix.lower() in SUFFIXES:
        path = path.with_suffix("")
    return path.name


def extract(
    pcap: Path | str,
    output: Path | str,
    settings: Extraction,
    *,
    name: str,
    made_by: str,
    member: str | None = None,
    remedies: Remedies | None = None,
) -> None:
    """:func:`extract_flows` with its settings in one, and what it finds out by itself.

    Args:
        made_by: text of ``storage.provenance``.
        remedies: what to repair, other than `settings` say.
    """
    timeouts = to_nanoseconds(settings.idle_timeout), to_nanoseconds(settings.active_timeout)
    repair = Repair(remedies or settings.remedies())
    with open_capture(pcap, member) as capture, create_hdf5(output, made_by) as file, scratch(output) as bucket:
        counts, warnings = build_flows(capture, FlowBuilder(bucket, *timeouts), repair, unwrap=settings.unwrap)
        tunnelled = write_flows(file, bucket, output)
        warnings += tunnel_hints(counts, tunnelled, capture.packets_read, unwrap=settings.unwrap)
        if bucket.packets.count == 0:
            warnings = [*warnings, "no packet belongs to a flow: the file has no flows"]
        skipped = by_name(counts)
        file.attrs.update(
            capture=name,
            idle_timeout=float(settings.idle_timeout),
            active_timeout=float(settings.active_timeout),
            clock_resolution_ns=capture.resolution_ns or 1,
            packets_read=capture.packets_read,
            misordered=repair.misordered,
            skipped=json.dumps(skipped),
            unknown_packets=unknown_packets(counts),
            unwrap=json.dumps(settings.unwrap),
            warnings=json.dumps(warnings),
            end_reasons=json.dumps(END_REASONS),
        )
        kept = bucket.packets.count, bucket.flows.count
    _report(capture, kept, skipped, misordered=repair.misordered, warnings=warnings)


def _report(
    capture: Capture, counts: tuple[int, int], reasons: Mapping[str, int], *, misordered: int, warnings: Sequence[str]
) -> None:
    packets, flows = counts
    read = f"{capture.packets_read:,} packets read"
    log.info("%s: %s, %s in %s flows", capture.path, read, f"{packets:,}", f"{flows:,}")
    for reason, count in reasons.items():
        log.info("%s: %s packets skipped: %s", capture.path, f"{count:,}", reason)
    if misordered:
        log.info("%s: %s packets came late and were put in order", capture.path, f"{misordered:,}")
    for warning in warnings:
        log.warning("warning: %s: %s", capture.path, warning)

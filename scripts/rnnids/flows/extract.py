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

import numpy as np

from rnnids.captures.link_layers import LINK_TYPES, LINK_UNSUPPORTED, REASONS
from rnnids.captures.packets import PACKET, parse_batch
from rnnids.captures.pcap import BATCH, open_capture
from rnnids.captures.records import SECOND
from rnnids.captures.repair import Remedies, Repair
from rnnids.cli import Progress, log
from rnnids.errors import InputError
from rnnids.flows.external_sort import in_order, scratch
from rnnids.flows.table import COUNTERS, END_REASONS, FLOW, SMALLEST, add_packets, rebuild, sweep
from rnnids.prefetch import prefetch
from rnnids.storage import COLUMN_OPTIONS, create_hdf5

ROWS, ENDED = 1 << 16, 1 << 14  # packets and flows held before they are spilled
CHUNK = 1 << 16  # rows of a chunk in the file
LONGEST = 1_000_000_000  # seconds of a time-out or window
PIECE = 1 << 15  # packets, at most, that one thread hands to the other; each time costs some 0.1 ms
AHEAD = 2  # pieces read while one is put into flows
NO_REMEDIES = Remedies()
FLOW_COLUMNS = {  # name: (type, trailing shape, unit)
    "start_ns": ("i8", (), "nanoseconds since 1970-01-01 UTC"),
    "duration_ns": ("i8", (), "nanoseconds"),
    "source_address": ("u1", (16,), "IPv6 address, IPv4 as ::ffff:a.b.c.d"),
    "destination_address": ("u1", (16,), "IPv6 address, IPv4 as ::ffff:a.b.c.d"),
    "source_port": ("u2", (), "port (ICMP: 0)"),
    "destination_port": ("u2", (), "port (ICMP: 256 * type + code)"),
    "protocol": ("u1", (), "IP protocol number"),
    "end_reason": ("u1", (), "index into the attribute end_reasons"),
    "offset": ("i8", (), "row of the first packet in /packets"),
    "packet_count": ("i4", (), "packets"),
}
PACKET_COLUMNS = {
    "iat_ns": ("i8", (), "nanoseconds since the previous packet of the flow"),
    "length": ("u4", (), "bytes of the IP packet, header included"),
    "direction": ("u1", (), "0 forward, 1 reverse"),
    "flags": ("u2", (), "TCP header bits FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128, NS 256"),
}


def to_nanoseconds(seconds, name):
    """A time-out or window in nanoseconds.

    Raises:
        InputError: not a positive number of seconds.
    """
    if not 0 < seconds <= LONGEST:
        raise InputError(f"{name}: {seconds} cannot be used; give seconds above 0 and at most {LONGEST:,}")
    return round(seconds * SECOND)


class FlowBuilder:
    """Groups parsed packets into flows and spills both into `bucket`."""

    def __init__(self, bucket, idle, active):
        self.bucket, self.timeouts = bucket, (idle, active)
        self.table = np.zeros(SMALLEST, FLOW)
        self.counters = np.zeros(1, COUNTERS)[0]
        self.rows, self.ended = bucket.packets.space(ROWS), np.empty(ENDED, FLOW)

    def add(self, packets):
        """Assign a (n,) PACKET array, in capture order."""
        done = 0
        while True:
            done = add_packets(packets, done, self.table, *self.timeouts, self.rows, self.ended, self.counters)
            if done == len(packets):
                return
            self._flush()
            if 4 * self.counters["used"] > 3 * len(self.table):
                self.bucket.flows.append(sweep(self.table, self.counters["now"], *self.timeouts, False))
                self.table = rebuild(self.table, self.counters)

    def finish(self):
        """End the flows that are still live; returns the number of all flows."""
        self._flush()
        self.bucket.flows.append(sweep(self.table, self.counters["now"], *self.timeouts, True))
        return int(self.counters["flows"])

    def warnings(self):
        """What to say about the time stamps."""
        steps, largest = int(self.counters["steps_back"]), int(self.counters["largest_step"])
        if not steps:
            return []
        return [f"time steps back {steps:,} times between packets, by at most {largest / SECOND:g} s"]

    def _flush(self):
        self.bucket.packets.keep(self.counters["rows"])
        self.rows = self.bucket.packets.space(ROWS)
        self.bucket.flows.append(self.ended[: self.counters["ended"]])
        self.counters["rows"] = self.counters["ended"] = 0


def read_flows(capture, builder, repair):
    """Build the flows of `capture`; returns ((len(REASONS),) packets skipped, warnings)."""
    if capture.link is not None and capture.link not in LINK_TYPES:
        raise InputError(
            f"{capture.path}: byte 20: link type {capture.link} is not supported; "
            f"convert the capture to one of {', '.join(map(str, LINK_TYPES))}"
        )
    skipped = np.zeros(len(REASONS), np.int64)
    for packets in prefetch(repaired_packets(capture, repair, skipped), AHEAD):
        builder.add(packets)
    builder.finish()
    if capture.packets_read and skipped[LINK_UNSUPPORTED] == capture.packets_read:
        raise InputError(f"{capture.path}: byte 0: no packet has a supported link type; convert the capture")
    return skipped, capture.warnings + builder.warnings()


def repaired_packets(capture, repair, skipped):
    """Yield (n,) PACKET arrays in the order in which they count, and report progress.

    An array is written again after ``AHEAD`` more.
    """
    ring = itertools.cycle([np.empty(PIECE, PACKET) for _ in range(AHEAD + 1)])
    packets, kept, position = next(ring), 0, 0
    with Progress(f"reading {os.path.basename(capture.path)}", total=capture.size, unit="bytes") as progress:
        for buffer, records in capture.batches():
            kept += parse_batch(buffer, repair.select(buffer, records, skipped), packets[kept:], skipped)
            if kept > PIECE - BATCH:
                yield repair.order(packets[:kept])
                packets, kept = next(ring), 0
                progress.update(capture.position() - position)
                position = capture.position()
        yield repair.order(packets[:kept])
        yield repair.rest()


def address_bytes(high, low):
    """(n, 16) uint8 addresses from their two halves."""
    return np.stack([high, low], axis=1).astype(">u8").view(np.uint8)


def flow_columns(flows, packet_count, first_row):
    """The columns of sorted `flows` whose packets begin at row `first_row`."""
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


def create_columns(file, group, columns, size):
    """Make the columns of a group for `size` rows."""
    for name, (dtype, shape, unit) in columns.items():
        options = {**COLUMN_OPTIONS, "chunks": (min(max(size, 1), CHUNK), *shape)}
        column = file.create_dataset(f"{group}/{name}", (size, *shape), dtype, maxshape=(None, *shape), **options)
        column.attrs["unit"] = unit


def write_flows(file, bucket):
    """Write the flows of `bucket` to an open HDF5 file, sorted by start."""
    create_columns(file, "flows", FLOW_COLUMNS, bucket.flows.count)
    create_columns(file, "packets", PACKET_COLUMNS, bucket.packets.count)
    flow, row = 0, 0
    groups = [dict(file[name].items()) for name in ("flows", "packets")]  # open, so that HDF5 keeps the last chunk
    with Progress("writing", total=bucket.packets.count, unit="packets") as progress:
        for flows, packets, packet_count in prefetch(in_order(bucket), depth=1):
            for name, values in flow_columns(flows, packet_count, row).items():
                groups[0][name][flow : flow + len(flows)] = values
            count = len(packets["iat"])
            for name in PACKET_COLUMNS:
                groups[1][name][row : row + count] = packets["iat" if name == "iat_ns" else name]
            flow, row = flow + len(flows), row + count
            progress.update(count)


def extract(pcap, output, idle_timeout, active_timeout, name, made_by, member=None, remedies=NO_REMEDIES):
    """Extract the flows of a capture into an HDF5 file (layout: ``FLOW_COLUMNS``, ``PACKET_COLUMNS``).

    Args:
        pcap: path of a pcap or pcapng file, plain, gzip or zstd, or of a zip archive that holds it.
        output: path of the flow file; appears only when it is whole.
        idle_timeout, active_timeout: seconds (METHODS: 300 and 1800, as in the paper).
        name: what to call the capture in the file.
        made_by: text of ``storage.provenance``.
        member: name within the zip archive, or None.
        remedies: ``repair.Remedies``.

    Raises:
        InputError: not a capture, an unsupported link type, a bad time-out, nowhere to write.
    """
    idle, active = to_nanoseconds(idle_timeout, "idle_timeout"), to_nanoseconds(active_timeout, "active_timeout")
    repair = Repair(remedies)
    with open_capture(pcap, member) as capture, create_hdf5(output, made_by) as file, scratch(output) as bucket:
        skipped, warnings = read_flows(capture, FlowBuilder(bucket, idle, active), repair)
        if bucket.packets.count == 0:
            warnings = [*warnings, "no packet belongs to a flow: the file has no flows"]
        reasons = {reason: int(count) for reason, count in zip(REASONS, skipped, strict=True) if count}
        file.attrs.update(
            capture=name,
            idle_timeout=idle_timeout,
            active_timeout=active_timeout,
            clock_resolution_ns=capture.resolution_ns or 1,
            packets_read=capture.packets_read,
            misordered=repair.misordered,
            skipped=json.dumps(reasons),
            warnings=json.dumps(warnings),
            end_reasons=json.dumps(END_REASONS),
        )
        counts = bucket.packets.count, bucket.flows.count
        write_flows(file, bucket)
    _report(capture, counts, reasons, repair.misordered, warnings)


def _report(capture, counts, reasons, misordered, warnings):
    packets, flows = counts
    read = f"{capture.packets_read:,} packets read"
    log.info("%s: %s, %s in %s flows", capture.path, read, f"{packets:,}", f"{flows:,}")
    for reason, count in reasons.items():
        log.info("%s: %s packets skipped: %s", capture.path, f"{count:,}", reason)
    if misordered:
        log.info("%s: %s packets came late and were put in order", capture.path, f"{misordered:,}")
    for warning in warnings:
        log.warning("warning: %s: %s", capture.path, warning)

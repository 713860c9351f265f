"""Whether captures are whole, found out in seconds: what is large is looked at from both ends only."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rnnids.captures.layers import layer_table
from rnnids.captures.packets import PACKET, draw_keys, parse_batch
from rnnids.captures.pcap import BATCH, Capture, open_capture
from rnnids.captures.skipped import by_name, new_counts, refuse_link, refuse_links, unknown_warnings
from rnnids.captures.unwrap import tunnel_hints
from rnnids.cli import log
from rnnids.errors import InputError
from rnnids.settings import check, setting

WHOLE = 64 << 20  # bytes; files up to this size are read from beginning to end
BEGINNING = 100_000  # packets of a larger file that are looked into
TAIL = 4 << 20  # bytes at the end of a larger file
MAX_RECORD = 262144 + 24  # bytes, with its header; what libpcap takes for sane
MIN_CHAIN = 3  # records in a row that are no coincidence
BEFORE, AFTER = 86400, 366 * 86400  # seconds around the first packet in which the last ones lie
ZIP_MEMBER = re.compile(r"(.+?\.zip)!(.+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a publisher says of the captures of a data set; nothing by default."""

    files: int | None = setting(None, "how many captures there are; none: any number", minimum=0)
    bytes: tuple[str, ...] = setting((), "sizes of captures: name.pcap=bytes ...")
    smallest: int | None = setting(None, "bytes that every capture has at least; none: any size", minimum=0)
    truncated: tuple[str, ...] = setting((), "captures published cut within a packet")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Finding:
    """What was found of one file.

    Attributes:
        name: without its folder; of a member of an archive with it. size: bytes, None where it cannot be read.
        holds: what was read of it. fault: what is wrong, with a remedy; empty if nothing is.
    """

    name: str
    size: int | None
    holds: str
    fault: str


def split_member(path: str) -> tuple[str, str | None]:
    """(file, member) of a path as archive.zip!folder/1.pcap; the member is None in any other path."""
    found = ZIP_MEMBER.fullmatch(path)
    return (found[1], found[2]) if found else (path, None)


def check_captures(paths: Sequence[str], expected: Expected) -> tuple[list[Finding], list[str]]:
    """Check captures against what is expected of them.

    Args:
        paths: of files, or archive.zip!member.

    Returns:
        (a Finding for each, faults of the list of captures).
    """
    sizes = parse_sizes(expected.bytes)
    findings = [
        check_capture(
            path,
            next((sizes[name] for name in names_of(path) if name in sizes), None),
            expected.smallest or 0,
            may_be_cut=not set(expected.truncated).isdisjoint(names_of(path)),
        )
        for path in paths
    ]
    known = {name for path in paths for name in names_of(path)}
    faults = [
        f"expected.{key}: no capture is called {name!r}; take it out or correct it"
        for key, names in (("bytes", sizes), ("truncated", expected.truncated))
        for name in names
        if name not in known
    ]
    if expected.files not in (None, len(paths)):
        faults.append(f"{len(paths)} captures, expected {expected.files}; get the others, or correct `captures`")
    return findings, faults


def parse_sizes(texts: Sequence[str]) -> dict[str, int]:
    """{name: bytes} of "name=bytes" texts."""
    sizes = {}
    for text in texts:
        name, _, size = text.rpartition("=")
        if not name or not size.isdecimal():
            raise InputError(f"--expected-bytes: {text!r} is not of the form name.pcap=bytes; write it so")
        sizes[name] = int(size)
    return sizes


def names_of(path: str) -> list[str]:
    """What a capture may be called in `expected`: its member, or its name alone."""
    file, member = split_member(path)
    return [name for name in (member, os.path.basename(member or file)) if name]


def check_capture(
    path: str, expected_bytes: int | None = None, smallest: int = 0, *, may_be_cut: bool = False
) -> Finding:
    """Finding of one capture, a path or archive.zip!member.

    Args:
        expected_bytes: its size, for a member unpacked. A capture of just this size may end within a
            record: some are published like that.
        smallest: bytes that it has at least.
        may_be_cut: it is one of those published cut.
    """
    file, member = split_member(path)
    name = member or os.path.basename(file)
    try:
        with open_capture(file, member) as capture:
            size = capture.size
            holds, damage = _look_at(capture, file, member)
    except InputError as error:
        return Finding(name, None, "", str(error))
    if expected_bytes is not None and size != expected_bytes:
        return Finding(name, size, holds, f"{path}: {size:,} bytes, expected {expected_bytes:,}; fetch it again")
    if size < smallest:
        return Finding(name, size, holds, f"{path}: {size:,} bytes, expected {smallest:,} or more; fetch it again")
    if damage and expected_bytes is None and not may_be_cut:
        remedy = "fetch it again, or, if it is published so, name it in `expected.truncated`"
        return Finding(name, size, holds, f"{path}: {damage}; {remedy}")
    return Finding(name, size, f"{holds}; {damage}, as published" if damage else holds, "")


def _look_at(capture: Capture, path: str, member: str | None) -> tuple[str, str]:
    """(what it holds, what is wrong with it or "") of an open capture."""
    whole = capture.size <= WHOLE
    read = _parse(capture, None if whole else BEGINNING)
    if whole:
        return read, "; ".join(capture.warnings) or "no packets" * (capture.packets_read == 0)
    if member or capture.compression:
        return f"{capture.compression or 'zip'}, beginning: {read}", ""
    ends_well = pcapng_ends_well if capture.link is None else pcap_ends_well
    return f"both ends read, beginning: {read}", "" if ends_well(path, capture) else "the last record is cut"


def _parse(capture: Capture, limit: int | None) -> str:
    """What the first packets of a capture, or all, are: read as extraction reads them.

    Raises:
        InputError: what extraction refuses, or none of the packets belongs to a flow.
    """
    refuse_link(capture)
    counts, layers, keys = new_counts(), layer_table(), draw_keys()
    packets, kept = np.empty(BATCH, PACKET), 0
    for buffer, records in capture.batches():
        kept += int(parse_batch(buffer, records, packets, counts, layers, keys))
        if limit is not None and capture.packets_read >= limit:
            break
    refuse_links(capture, counts)
    skipped = ", ".join(f"{count:,} {name}" for name, count in by_name(counts).items())
    read = f"{capture.packets_read:,} packets" + f" ({skipped})" * bool(skipped)
    if capture.packets_read and not kept and not tunnel_hints(counts, {}, capture.packets_read, unwrap=()):
        raise InputError(f"{capture.path}: no packet belongs to a flow: {read}; is it the right file?")
    for warning in unknown_warnings(counts, capture.packets_read):
        log.warning("warning: %s: %s", capture.path, warning)
    return read


def pcap_ends_well(path: Path | str, capture: Capture) -> bool:
    """Whether the last record of a large pcap file is complete.

    Somewhere in the first ``MAX_RECORD`` bytes of the tail a record begins; from there the records lead
    from one to the next, up to the very end of a whole file.
    """
    order = ">" if capture.big else "<"
    with open(path, "rb") as file:
        file.seek(24)
        first_second = int(np.frombuffer(file.read(4), f"{order}u4")[0])
        file.seek(max(24, capture.size - TAIL))
        data = file.read()
    header = capture.record_header
    per_second = 10**9 if capture.resolution_ns == 1 else 10**6
    fields = [_numbers_at(data, at, order) for at in (0, 4, 8, 12)]
    second, fraction, length, original = (field[: len(fields[-1])].astype(np.int64) for field in fields)
    sane = (second >= first_second - BEFORE) & (second <= first_second + AFTER) & (fraction < per_second)
    sane &= (length <= original) & (length < MAX_RECORD)
    starts = np.flatnonzero(sane[:MAX_RECORD])
    return any(_leads_to_end(int(start), sane, length, header=header, end=len(data)) for start in starts)


def _numbers_at(data: bytes, shift: int, order: str) -> np.ndarray:
    """The 32-bit number at each byte of `data` from `shift` on."""
    parts = np.frombuffer(data, np.uint8)[shift:].astype(np.uint32)
    columns = [parts[place : len(parts) - 3 + place] for place in range(4)]
    columns = columns[::-1] if order == ">" else columns
    return columns[0] | columns[1] << np.uint32(8) | columns[2] << np.uint32(16) | columns[3] << np.uint32(24)


def _leads_to_end(start: int, sane: np.ndarray, length: np.ndarray, *, header: int, end: int) -> bool:
    chain = 0
    while start < len(sane) and sane[start]:
        start += header + int(length[start])
        chain += 1
    return start == end and chain >= MIN_CHAIN


def pcapng_ends_well(path: Path | str, capture: Capture) -> bool:
    """Whether the last block of a pcapng file is complete: its length stands at both of its ends."""
    order: Literal["big", "little"] = "big" if capture.big else "little"
    with open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        length = int.from_bytes(file.read(4), order)
        if not 12 <= length <= capture.size or length % 4:
            return False
        file.seek(4 - length, os.SEEK_END)
        return int.from_bytes(file.read(4), order) == length

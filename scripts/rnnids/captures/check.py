"""Whether captures are whole, found out in seconds: what is large is looked at from both ends only."""

import os
import re
from dataclasses import dataclass

import numpy as np

from rnnids.captures.pcap import open_capture
from rnnids.errors import InputError

WHOLE = 64 << 20  # bytes; files up to this size are read from beginning to end
TAIL = 4 << 20  # bytes at the end of a larger file
MAX_RECORD = 262144 + 24  # bytes, with its header; what libpcap takes for sane
MIN_CHAIN = 3  # records in a row that are no coincidence
BEFORE, AFTER = 86400, 366 * 86400  # seconds around the first packet in which the last ones lie
ZIP_MEMBER = re.compile(r"(.+?\.zip)!(.+)", re.IGNORECASE)


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


def split_member(path):
    """(file, member) of a path as archive.zip!folder/1.pcap; the member is None in any other path."""
    found = ZIP_MEMBER.fullmatch(path)
    return found.groups() if found else (path, None)


def check_capture(path, expected_bytes=None, smallest=0, may_be_cut=False):
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


def _look_at(capture, path, member):
    """(what it holds, what is wrong with it or "") of an open capture."""
    if capture.size <= WHOLE:
        for _ in capture.batches():
            pass
        damage = "; ".join(capture.warnings) or "no packets" * (capture.packets_read == 0)
        return f"{capture.packets_read:,} packets", damage
    if member or capture.compression:
        return f"{capture.compression or 'zip'}, beginning read", ""
    ends_well = pcapng_ends_well if capture.link is None else pcap_ends_well
    return "both ends read", "" if ends_well(path, capture) else "the last record is cut"


def pcap_ends_well(path, capture):
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
    return any(_leads_to_end(start, sane, length, header, len(data)) for start in np.flatnonzero(sane[:MAX_RECORD]))


def _numbers_at(data, shift, order):
    """The 32-bit number at each byte of `data` from `shift` on."""
    parts = np.frombuffer(data, np.uint8)[shift:].astype(np.uint32)
    columns = [parts[place : len(parts) - 3 + place] for place in range(4)]
    columns = columns[::-1] if order == ">" else columns
    return columns[0] | columns[1] << np.uint32(8) | columns[2] << np.uint32(16) | columns[3] << np.uint32(24)


def _leads_to_end(start, sane, length, header, end):
    chain = 0
    while start < len(sane) and sane[start]:
        start += header + int(length[start])
        chain += 1
    return start == end and chain >= MIN_CHAIN


def pcapng_ends_well(path, capture):
    """Whether the last block of a pcapng file is complete: its length stands at both of its ends."""
    order = "big" if capture.big else "little"
    with open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        length = int.from_bytes(file.read(4), order)
        if not 12 <= length <= capture.size or length % 4:
            return False
        file.seek(4 - length, os.SEEK_END)
        return int.from_bytes(file.read(4), order) == length

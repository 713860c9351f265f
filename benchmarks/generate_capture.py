"""Write a capture of any size from small ones, for measurements.

The source captures are written over and over, each time later and with other addresses, so that no
flow of one copy goes on in another: their flows, gaps and lengths stay what they were. Addresses are
moved by 0.1.0.0 a copy. Packets are as long as captured, or with --full as long as they were, padded
with zeros; --padding makes all frames longer, not what is in them. Checksums are not kept up.

Sources: pcap in microseconds, Ethernet, little endian, plain or gzip; IPv4 is moved, the rest is kept.
Memory follows the largest source, not the output.
"""

import gzip
import struct
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from rnnids import cli
from rnnids.errors import InputError
from rnnids.storage import atomic_path

MAGIC = bytes.fromhex("d4c3b2a1")
HEADER, RECORD, ETHERNET = 24, 16, 14  # bytes
STEP = 1 << 16  # between the addresses of two copies: 0.1.0.0
PAUSE = 2000  # seconds between two copies: more than any time-out


class Template:
    """One source capture in memory, and where its times and addresses stand.

    Attributes:
        content: (bytes,) uint8, the records.
        ends: (n,) where each record ends.
        seconds: (first, last) of the capture.
    """

    def __init__(self, path, full, padding=0):
        data = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
        if not data.startswith(MAGIC) or data[20] != 1:
            raise InputError(f"{path}: byte 0: not an Ethernet pcap in microseconds; give one of resources/lab")
        records = list(split_records(data, full, padding))
        self.content = np.frombuffer(b"".join(records), np.uint8).copy()
        self.ends = np.cumsum([len(record) for record in records])
        starts = self.ends - [len(record) for record in records]
        self.time_at = starts[:, None] + np.arange(4)
        self.times = self.content[self.time_at].copy().view("<u4")
        ipv4 = [len(record) >= RECORD + 34 and record[RECORD + 12 : RECORD + 14] == b"\x08\x00" for record in records]
        ends = starts[ipv4, None] + RECORD + ETHERNET + np.array([12, 16])
        self.address_at = ends[..., None] + np.arange(4)
        self.addresses = self.content[self.address_at].copy().view(">u4")
        self.seconds = int(self.times.min()), int(self.times.max())

    def copy(self, number, later):
        """The records `later` seconds later, with the addresses of copy `number`; valid until the next call."""
        self.content[self.time_at] = (self.times + np.uint32(later)).view(np.uint8)
        moved = (self.addresses + np.uint32(number * STEP % 2**32)).astype(">u4")
        self.content[self.address_at] = moved.view(np.uint8)
        return self.content


def split_records(data, full, padding=0):
    """Yield the records of a pcap file, padded to their original length if `full`, and by `padding` bytes."""
    at = HEADER
    while at < len(data):
        captured, original = struct.unpack_from("<II", data, at + 8)
        record = data[at : at + RECORD + captured]
        at += RECORD + captured
        if full and original > captured:
            record = record[:8] + struct.pack("<II", original, original) + record[RECORD:] + bytes(original - captured)
        if padding:
            lengths = (length + padding for length in struct.unpack_from("<II", record, 8))
            record = record[:8] + struct.pack("<II", *lengths) + record[RECORD:] + bytes(padding)
        yield record


def write_copies(file, templates, packets):
    """Write `packets` records to `file`, copy after copy."""
    first = min(template.seconds[0] for template in templates)
    period = max(template.seconds[1] for template in templates) - first + PAUSE
    written = number = 0
    while written < packets:
        for template in templates:
            count = min(packets - written, len(template.ends))
            if count:
                file.write(template.copy(number, number * period)[: template.ends[count - 1]])
            written += count
        number += 1


def main():
    """Parse the command line and write."""
    parser = cli.parser(__doc__)
    parser.add_argument("--sources", type=Path, nargs="+", required=True, help="captures in the order of time")
    parser.add_argument("--packets", type=cli.positive(int), required=True, help="packets to write")
    parser.add_argument("--full", action="store_true", help="pad packets to the length that they had")
    parser.add_argument("--padding", type=int, default=0, help="bytes added to each frame")
    parser.add_argument("--output", type=Path, required=True, help="pcap file to write")
    args = parser.parse_args()
    templates = [Template(path, args.full, args.padding) for path in args.sources]
    with atomic_path(args.output) as temporary, open(temporary, "wb") as file:
        file.write(MAGIC + struct.pack("<HHiIII", 2, 4, 0, 0, 262_144, 1))
        write_copies(file, templates, args.packets)


if __name__ == "__main__":
    cli.run(main)

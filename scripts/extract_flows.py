"""Extract the flows of a capture.

Reads a pcap or pcapng file (plain, gzip or zstd, or a member of a zip archive, which is not unpacked to
disk), groups its TCP, UDP and ICMP packets into bidirectional flows by the rules of go-flows (idle and
active time-out, end by FIN or RST), and writes them to an HDF5 file: /flows one row a flow, /packets one
row a packet, sorted by the start of the flow.

Packets that belong to no flow (ARP, fragments, other protocols ...) are counted by reason, damage is
read up to and reported; both stand in the file's attributes and in the log. Packets that the capture
holds twice or out of order can be repaired, by the rules that scripts/rnnids/captures/repair.py gives.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rnnids import cli, settings
from rnnids.flows.extract import Extraction, extract_flows
from rnnids.storage import read_hdf5


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--pcap", type=Path, required=True, help="capture to read, or the zip archive that holds it")
    parser.add_argument("--output", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument(
        "--member", type=cli.optional, help="name of the capture within the zip archive; none: it is no archive"
    )
    parser.add_argument("--name", type=cli.optional, help="of the capture; none: its file name without suffixes")
    settings.add_options(parser, Extraction)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and extract."""
    args = arguments(argv)
    extraction = settings.from_args(Extraction, args)
    extract_flows(args.pcap, args.output, name=args.name, member=args.member, **vars(extraction))
    with read_hdf5(args.output) as file:
        flows, packets = len(file["flows/packet_count"]), len(file["packets/length"])
    cli.tell("extraction %s: %s flows of %s packets", Path(args.pcap).name, f"{flows:,}", f"{packets:,}")


if __name__ == "__main__":
    cli.run(main)

"""Extract the flows of a capture.

Reads a pcap or pcapng file (plain, gzip or zstd), groups its TCP, UDP and ICMP packets into
bidirectional flows by the rules of go-flows (idle and active time-out, end by FIN or RST), and writes
them to an HDF5 file: /flows one row a flow, /packets one row a packet, sorted by the start of the flow.

Packets that belong to no flow (ARP, fragments, other protocols ...) are counted by reason, damage is
read up to and reported; both stand in the file's attributes and in the log.
"""

from pathlib import Path

from rnnids import cli
from rnnids.errors import InputError
from rnnids.flows import extract
from rnnids.storage import provenance

SUFFIXES = {".gz", ".zst", ".zstd", ".pcap", ".pcapng", ".cap", ".dmp"}


def capture_name(path):
    """The file's name without the suffixes of captures and compression."""
    while path.suffix.lower() in SUFFIXES:
        path = path.with_suffix("")
    return path.name


def main():
    """Parse the command line and extract."""
    parser = cli.parser(__doc__)
    parser.add_argument("--pcap", type=Path, required=True, help="capture to read")
    parser.add_argument("--output", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument("--idle-timeout", type=float, required=True, help="seconds of silence that end a flow")
    parser.add_argument("--active-timeout", type=float, required=True, help="seconds after which a flow is cut")
    parser.add_argument("--name", help="name of the capture (default: file name without suffixes)")
    args = parser.parse_args()
    if not args.pcap.is_file():
        raise InputError(f"{args.pcap}: no such file; check --pcap")
    name = args.name or capture_name(args.pcap)
    settings = {"idle_timeout": args.idle_timeout, "active_timeout": args.active_timeout, "name": name}
    made_by = provenance("extract_flows.py", settings, [args.pcap])
    extract(args.pcap, args.output, args.idle_timeout, args.active_timeout, name, made_by)


if __name__ == "__main__":
    cli.run(main)

"""Extract the flows of a capture.

Reads a pcap or pcapng file (plain, gzip or zstd, or a member of a zip archive, which is not unpacked to
disk), groups its TCP, UDP and ICMP packets into bidirectional flows by the rules of go-flows (idle and
active time-out, end by FIN or RST), and writes them to an HDF5 file: /flows one row a flow, /packets one
row a packet, sorted by the start of the flow.

Packets that belong to no flow (ARP, fragments, other protocols ...) are counted by reason, damage is
read up to and reported; both stand in the file's attributes and in the log. Packets that the capture
holds twice or out of order can be repaired (scripts/rnnids/repair.py says by which rules).
"""

from pathlib import Path

from rnnids import cli
from rnnids.captures.repair import Remedies
from rnnids.errors import InputError
from rnnids.flows.extract import extract, to_nanoseconds
from rnnids.storage import provenance

SUFFIXES = {".gz", ".zst", ".zstd", ".pcap", ".pcapng", ".cap", ".dmp"}


def capture_name(path):
    """The file's name without the suffixes of captures and compression."""
    while path.suffix.lower() in SUFFIXES:
        path = path.with_suffix("")
    return path.name


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--pcap", type=Path, required=True, help="capture to read, or the zip archive that holds it")
    parser.add_argument("--member", help="name of the capture within the zip archive")
    parser.add_argument("--output", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument("--idle-timeout", type=float, required=True, help="seconds of silence that end a flow")
    parser.add_argument("--active-timeout", type=float, required=True, help="seconds after which a flow is cut")
    parser.add_argument("--drop-outgoing", action="store_true", help="of Linux cooked captures: keep what comes in")
    parser.add_argument("--repair", action="store_true", help="drop duplicates and sort packets, in these windows:")
    parser.add_argument("--duplicate-window", type=float, required=True, help="seconds between equal packets")
    parser.add_argument("--reorder-window", type=float, required=True, help="seconds by which a packet can be late")
    parser.add_argument("--name", help="name of the capture (default: file name without suffixes)")
    return parser.parse_args()


def remedies(args):
    """The repairs that the options ask for."""
    windows = {key: to_nanoseconds(getattr(args, key), key) for key in ("duplicate_window", "reorder_window")}
    return Remedies(args.drop_outgoing, **(windows if args.repair else {}))


def main():
    """Parse the command line and extract."""
    args = arguments()
    if not args.pcap.is_file():
        raise InputError(f"{args.pcap}: no such file; check --pcap")
    args.name = args.name or capture_name(Path(args.member or args.pcap))
    settings = {key: value for key, value in vars(args).items() if key not in ("pcap", "output")}
    made_by = provenance("extract_flows.py", settings, [args.pcap])
    timeouts = args.idle_timeout, args.active_timeout
    extract(args.pcap, args.output, *timeouts, args.name, made_by, args.member, remedies(args))


if __name__ == "__main__":
    cli.run(main)

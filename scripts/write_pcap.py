"""Write a capture in which the evasions that an attack found stand in the place of the original flows.

The copy has the format of the original, pcap or pcapng, and is compressed if its name ends in .gz or .zst. A flow is
written if it was detected and the attack made it benign; all others stay as they are. Padding is zero bytes at the end
of the transport payload; a packet without payload, where the threat model lets it be padded, carries data from then on.
Lengths, checksums and the TCP numbers of both ends follow, and packets of the same ends come as much later as the
attacker waits. A flow that cannot be sent so, such as one whose packet would be longer than 65,535 bytes, stays as it
was; the log and the report say why.

The original is only read. It must be the very capture that the flow file was extracted from.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rnnids import cli
from rnnids.attacks.adversarial_capture import write_pcap
from rnnids.attacks.files import read_adversarial_flows
from rnnids.datasets.flow_data import TEST, load_dataset
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--pcap", type=Path, required=True, help="original capture, or the zip archive that holds it")
    parser.add_argument(
        "--member", type=cli.optional, help="name of the capture within the zip archive; none: it is no archive"
    )
    parser.add_argument("--flows", required=True, help="flow file that was extracted from it (HDF5)")
    parser.add_argument("--dataset", required=True, help="data set that was attacked (HDF5)")
    parser.add_argument("--attack", required=True, help="what an attack or a search made of its flows (HDF5)")
    parser.add_argument("--output", type=Path, required=True, help="output: the capture; must not exist")
    parser.add_argument(
        "--report", type=cli.optional, help="output: where each flow is in it, or why not (CSV); none: not written"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    data = load_dataset(args.dataset, TEST)
    _, adversarial, evaded = read_adversarial_flows(args.attack, data)
    written = write_pcap(
        args.pcap, args.output, flows=args.flows, adversarial=adversarial.take(evaded), member=args.member
    )
    if args.report is not None:
        write_csv(args.report, written.flows)


if __name__ == "__main__":
    cli.run(main)

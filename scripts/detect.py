"""Watch a capture with a trained detector and write an alert for each flow that it takes for an attack.

The capture may be of any size, or come through a pipe (`--pcap -`), packet by packet as tcpdump -U -w - writes it; it
needs no labels. Alerts are lines of JSON in the form of Suricata's EVE log (scripts/rnnids/detectors/detect.py names
the fields), each with the packet and the milliseconds into the flow at which the alarm sounded. `--output -`, the
default, prints each at once; a file is there when the capture has ended. A summary comes last, in the log and, if
asked, as JSON.

By default a flow is judged as `evaluate.py` judges it, by its last packet. `--rule any` and `--rule k_of_n` give the
alarm while the flow goes on; table_latency says how much earlier, and at how many false alarms. The time-outs and
`--max-packets` are to be those of the data set that the detector was trained on.
"""

import argparse
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rnnids import cli, settings
from rnnids.cli import log
from rnnids.datasets.build import DatasetOptions
from rnnids.detectors.alarms import AlarmRule
from rnnids.detectors.detect import Event, detect
from rnnids.detectors.lstm import pick_device
from rnnids.detectors.watch import Watching
from rnnids.flows.extract import Extraction
from rnnids.storage import atomic_path

PRINTED = "-"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--pcap", required=True, help="capture to watch, or the zip archive that holds it; -: a pipe")
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    parser.add_argument("--output", default=PRINTED, help="output: alerts (JSON lines); -: printed, each at once")
    parser.add_argument("--summary", help="output: the summary (JSON); only logged if not given")
    parser.add_argument("--dataset", help="data set of the model (HDF5), to measure --false-alarm-rate on")
    parser.add_argument(
        "--member", type=cli.optional, help="name of the capture within the zip archive; none: it is no archive"
    )
    settings.add_options(parser, AlarmRule)
    settings.add_options(parser, Watching)
    settings.add_options(parser, DatasetOptions, only=["max_packets"])
    settings.add_options(parser, Extraction)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    with writer(args.output) as emit:
        summary = detect(
            args.pcap,
            args.weights,
            emit,
            rule=settings.from_args(AlarmRule, args),
            watching=settings.from_args(Watching, args),
            extraction=settings.from_args(Extraction, args),
            max_packets=args.max_packets,
            dataset=args.dataset,
            member=args.member,
            device=pick_device(args.device),
        )
    report(summary)
    if args.summary:
        with atomic_path(args.summary) as path:
            path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def writer(output: str) -> Iterator[Callable[[Event], None]]:
    """What writes an event as a line, to a file that appears when it is whole, or to standard output."""
    if output == PRINTED:
        yield lambda event: print(json.dumps(event), flush=True)
        return
    with atomic_path(output) as path, open(path, "w", encoding="utf-8") as file:
        yield lambda event: print(json.dumps(event), file=file)


def report(summary: Mapping[str, Any]) -> None:
    """Log the summary."""
    name, alerts, flows = summary["capture"], summary["alerts"], summary["flows"]
    read = f"{summary['packets_read']:,} packets read, {summary['packets']:,} in {flows:,} flows"
    log.info("%s: %s; %s packets a second", name, read, f"{summary['packets_per_second']:,}")
    for reason, count in summary["skipped"].items():
        log.info("%s: %s packets skipped: %s", name, f"{count:,}", reason)
    for warning in summary["warnings"]:
        log.warning("warning: %s: %s", name, warning)
    share = f" ({100 * alerts / flows:.3g} %)" if flows else ""
    log.info("%s: %s flows raised the alarm%s", name, f"{alerts:,}", share)
    for what, words in (("sources", "from"), ("targets", "to")):
        for end, count in summary[what].items():
            log.info("%s: %s alerts %s %s", name, f"{count:,}", words, end)


if __name__ == "__main__":
    cli.run(main)

"""Whether adversarial flows survive as packets: write them to captures, extract these again, and ask the detector.

For each attack and each capture, the flows that were detected and that the attack made benign are written as
write_pcap.py does it, the copy's flows are extracted with the settings of the original's, and each one is looked up by
its ends and start. Writes a row an attack type: `flows` that the attack counts as evasions; of these `written`,
`found`, with the same packets (`same_packets`), the same logits within 1e-6 (`same_logits`), and still `benign`;
`share` of the latter. `reasons` says why the others fail; `others_changed` counts flows between other hosts that differ
from the original. An attack without evasions has one row, of type "none". --failures lists each flow that is not benign
once it is packets, with its reason.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from rnnids import cli
from rnnids.attacks.files import read_adversarial_flows, read_attack
from rnnids.attacks.round_trip import compare, recover_flows
from rnnids.captures.check import split_member
from rnnids.cli import log
from rnnids.datasets.flow_data import TEST, FlowData, load_dataset
from rnnids.detectors.lstm import load_detector, pick_device
from rnnids.detectors.protocol import Detector
from rnnids.errors import InputError
from rnnids.flows.files import read_captures
from rnnids.flows.rewriting import flow_keys
from rnnids.storage import write_csv

NONE = "none"  # in the place of an attack type, where an attack made no flow benign
COUNTED = ("written", "found", "same_packets", "same_logits", "benign")
COLUMNS = ["method", "kappa", "goal", "threat_model", "attack", "flows", *COUNTED, "share", "others_changed", "reasons"]
FAILURES = ["method", "kappa", "goal", "threat_model", "attack", "capture", "row", "start_ns", "reason"]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set that was attacked (HDF5)")
    parser.add_argument("--weights", required=True, help="model that was attacked (safetensors)")
    parser.add_argument("--pcaps", required=True, nargs="+", help="captures of the data set, or archive.zip!member")
    parser.add_argument("--flows", required=True, nargs="+", help="flow file of each capture, in the same order (HDF5)")
    parser.add_argument("--attacks", required=True, nargs="+", help="what attacks and searches found (HDF5)")
    parser.add_argument("--model-name", help="name in the column `model`; none: the folder of --weights")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    parser.add_argument("--output", required=True, type=Path, help="output: what survives, per attack type (CSV)")
    parser.add_argument("--failures", required=True, help="output: the flows that do not, by name (CSV)")
    args = parser.parse_args(argv)
    args.model_name = args.model_name or Path(args.weights).absolute().parent.name
    if len(args.pcaps) != len(args.flows):
        parser.error("--flows: give one file for each of --pcaps, in the same order")
    return args


def round_trips(
    detector: Detector, adversarial: FlowData, captures: Sequence[tuple[str, str]], *, goal: str, output: Path
) -> Iterator[pd.DataFrame]:
    """Yield the tables of ``round_trip.compare`` of all captures that hold some of the flows, and the capture's name.

    Args:
        captures: (capture, its flow file). output: beside which copies lie, which do not stay.
    """
    keys = flow_keys(adversarial.flows)
    left = set(keys)
    for pcap, flows in captures:
        (capture,), columns = read_captures([flows])
        if left.isdisjoint(here := set(flow_keys(columns))):
            continue
        own = adversarial.take([place for place, key in enumerate(keys) if key in left & here])
        left -= here
        file, member = split_member(pcap)
        recovered = recover_flows(file, own, flows=flows, output=output, member=member)
        table = compare(detector, recovered, own, goal=goal)
        yield table.assign(capture=capture.name, others_changed=recovered.others_changed)
    if left:
        raise InputError(
            f"{len(left)} adversarial flows lie in none of the captures; give all captures of the data set"
        )


def summary(flows: pd.DataFrame) -> dict:
    """Counts of the flows of one attack type."""
    reasons = Counter(flows.reason[flows.reason != ""])
    counts = {name: int(flows[name].sum()) for name in COUNTED}
    return {
        "flows": len(flows),
        **counts,
        "share": flows.benign.mean(),
        "others_changed": int(flows.groupby("capture").others_changed.first().sum()),
        "reasons": "; ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())),
    }


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    data = load_dataset(args.dataset, TEST)
    detector = load_detector(args.weights, data, pick_device(args.device))
    captures = list(zip(args.pcaps, args.flows, strict=True))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    rows, failures = [], []
    for path in args.attacks:
        attributes = read_attack(path).attrs
        first = {name: attributes.get(name, "") for name in ("method", "kappa", "goal", "threat_model")}
        _, adversarial, evaded = read_adversarial_flows(path, data)
        adversarial, goal = adversarial.take(evaded), first["goal"] or "last"
        tables = list(round_trips(detector, adversarial, captures, goal=goal, output=args.output))
        if not tables:
            rows.append(
                first | {"attack": NONE, "others_changed": 0, "reasons": ""} | dict.fromkeys(("flows", *COUNTED), 0)
            )
            continue
        flows = pd.concat(tables, ignore_index=True)
        kinds = dict(zip(adversarial.row, adversarial.flows["attack"], strict=True))
        flows = flows.assign(attack=[data.attacks[kinds[row]] for row in flows.row])
        rows += [first | {"attack": attack} | summary(own) for attack, own in flows.groupby("attack", sort=False)]
        failures += [first | row for row in flows[~flows.benign].to_dict("records")]
        log.info("%s: %d of %d evasions are still benign as packets", path, int(flows.benign.sum()), len(flows))
    write_csv(args.output, pd.DataFrame(rows, columns=COLUMNS), model=args.model_name)
    write_csv(args.failures, pd.DataFrame(failures, columns=FAILURES), model=args.model_name)


if __name__ == "__main__":
    cli.run(main)

"""Explain the verdict on one flow: confidence after each packet, the packet that turned it, what would turn it back.

Prints a summary and, where asked, writes two tables: the packets, with length, interarrival time, direction and the
detector's confidence after each; and the changes of single values that would turn the verdict, the smallest first, with
`feasible` where the attacker could make them. For an attack flow that is detected, the nearest evasion that the search
finds under the threat model is printed too.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from rnnids import cli
from rnnids.attacks.feasible_set import IAT, LENGTH, ThreatModel, feasible_set
from rnnids.attacks.search import RobustSearch
from rnnids.datasets.features import FEATURES, INTERARRIVAL_TIME, MANIPULABLE_FEATURES, PACKET_LENGTH
from rnnids.datasets.flow_data import FlowData, load_dataset
from rnnids.datasets.selection import packet_values
from rnnids.detectors.lstm import load_detector, pick_device
from rnnids.errors import InputError
from rnnids.explanations.single_flow import Change, FlowExplanation, explain_flow
from rnnids.settings import add_options, from_args
from rnnids.storage import write_csv

SHOWN = 5  # changes printed
UNITS = {PACKET_LENGTH: "bytes", INTERARRIVAL_TIME: "ms"}
RAW = {FEATURES[PACKET_LENGTH]: (LENGTH, 1), FEATURES[INTERARRIVAL_TIME]: (IAT, 1_000_000)}  # column, raw units


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    parser.add_argument("--row", required=True, type=int, help="the flow's row in the data set, as in predictions.h5")
    parser.add_argument("--grid-size", default=50, type=cli.positive(int), help="values tried of a feature, at most")
    add_options(parser, ThreatModel)
    parser.add_argument("--packets", default="", help="output: the packets (CSV); empty: not written")
    parser.add_argument("--changes", default="", help="output: what would turn the verdict (CSV); empty: not written")
    parser.add_argument("--seed", default=0, type=int, help="of the search")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    return parser.parse_args(argv)


def is_feasible(change: Change, limits: np.ndarray) -> bool:
    """Whether an attacker can make a change, given (T, 2, 2) lower and upper raw values of length and delay."""
    if change.feature not in RAW:
        return False
    column, unit = RAW[change.feature]
    low, high = limits[change.packet - 1, column]
    return bool(low <= change.value * unit <= high)


def packet_table(flow: FlowData, found: FlowExplanation) -> dict[str, list]:
    """Columns of the packets."""
    columns = {FEATURES[feature]: packet_values(flow, feature).tolist() for feature in MANIPULABLE_FEATURES}
    count = len(found.logit)
    direction = np.array(["forward", "reverse"])[flow.packets["direction"]].tolist()
    turned = [packet == found.turning_packet for packet in range(1, count + 1)]
    columns |= {"direction": direction, "logit": found.logit.tolist(), "confidence": found.confidence.tolist()}
    return {"packet": list(range(1, count + 1))} | columns | {"turned": turned}


def summary(flow: FlowData, found: FlowExplanation) -> str:
    """What the detector says of the flow, in a sentence."""
    verdict, name = ("attack" if found.logit[-1] > 0 else "benign"), flow.attacks[int(flow.flows["attack"][0])]
    percent = 100 * found.confidence[-1]
    return (
        f"{name}, {len(found.logit)} packets: classified as {verdict} (confidence in an attack {percent:.1f} %), since"
        f" packet {found.turning_packet}"
    )


def described(change: Change) -> str:
    """A change in words."""
    where = "all packets" if change.packet == 0 else f"packet {change.packet}"
    unit = UNITS.get(FEATURES.index(change.feature), "")
    name = change.feature.replace("_", " ")
    return f"{where}: {name} {change.original:.6g} -> {change.value:.6g} {unit}".rstrip()


def nearest_evasion(flow: FlowData, changed: FlowData) -> list[str]:
    """What an evasion changes, packet by packet, in words."""
    lines = []
    for feature in MANIPULABLE_FEATURES:
        before, after = packet_values(flow, feature).astype(float), packet_values(changed, feature).astype(float)
        for place in np.flatnonzero(before != after).tolist():
            one = Change(place + 1, FEATURES[feature], float(before[place]), float(after[place]), 0.0, 0.0)
            lines.append(described(one))
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    flows = load_dataset(args.dataset)
    if not 0 <= args.row < len(flows):
        raise InputError(f"{args.dataset}: no row {args.row}; rows are 0 to {len(flows) - 1}")
    detector, threat_model = load_detector(args.weights, flows, pick_device(args.device)), from_args(ThreatModel, args)
    flow = flows.take([args.row])
    found = explain_flow(detector, flows, args.row, grid_size=args.grid_size)
    feasible = feasible_set(flow, np.array([0]), threat_model)
    limits = np.stack([feasible.original[0].numpy(), feasible.upper[0].numpy()], axis=-1)  # (T, 2, 2)
    print(summary(flow, found))
    print(f"single values that turn the verdict: {len(found.changes)}")
    rows = [change._asdict() | {"feasible": is_feasible(change, limits)} for change in found.changes]
    for change, row in list(zip(found.changes, rows, strict=True))[:SHOWN]:
        print(f"  {described(change)}{' (the attacker can)' if row['feasible'] else ''}")
    if flow.is_attack[0] and found.logit[-1] > 0:
        result = RobustSearch()(detector, flow, threat_model=threat_model, seed=args.seed)
        lines = nearest_evasion(flow, result.adversarial()) if result.success[0] else []
        print(f"nearest evasion found: {f'{result.l1[0][0]:.3g} z-scores' if result.success[0] else 'none'}")
        print("".join(f"  {line}\n" for line in lines), end="")
    if args.packets:
        write_csv(args.packets, packet_table(flow, found))
    if args.changes:
        names = [*Change._fields, "feasible"]
        write_csv(args.changes, {name: [row[name] for row in rows] for name in names})


if __name__ == "__main__":
    cli.run(main)

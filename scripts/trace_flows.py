"""Single flows of each attack type, packet by packet, beside what the search made of them.

Writes a row a packet: length, interarrival time, direction and the detector's confidence that the flow is an attack
after this packet; and the same of the nearest evasion that the search found, in the columns `adversarial_*`. Of each
attack type there are three detected flows that evade, those with the smallest, the median and the greatest distance
(`sample` is nearest, median or farthest; `l1` in z-scores). Where none evades there is one flow, and no twin: `sample`
is then detected or, where the detector misses all flows as they are, missed. Packets count from 1.
"""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.attacks.files import read_adversarial_flows, read_attack
from rnnids.datasets.flow_data import TEST, FlowData, load_dataset
from rnnids.detectors.inference import packet_logits
from rnnids.detectors.lstm import load_detector, pick_device
from rnnids.explanations.partial_dependence import probability
from rnnids.storage import write_csv

SAMPLES = ("nearest", "median", "farthest")
DETECTED, MISSED = "detected", "missed"  # in their place, where no flow of a type evades
SIDES = ("forward", "reverse")
VALUES = ("length", "iat_ms", "confidence")
COLUMNS = ("threat_model", "goal", "attack", "sample", "row", "l1", "packet", "direction")
COLUMNS += (*VALUES, *(f"adversarial_{name}" for name in VALUES))


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set that was attacked (HDF5)")
    parser.add_argument("--weights", required=True, help="model that was attacked (safetensors)")
    parser.add_argument("--search", required=True, help="what a search found (HDF5)")
    parser.add_argument("--model-name", default="", help="name in the column `model`")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    parser.add_argument("--output", required=True, help="output: the packets of the flows (CSV)")
    return parser.parse_args(argv)


def chosen_flows(frame: pd.DataFrame, evaded: np.ndarray) -> Iterator[tuple[str, int]]:
    """Yield (sample, place in `frame`) of the flows that stand for their attack type.

    Args:
        frame: attacked flows with the columns attack, l1 and already_benign. evaded: (N,) bool.
    """
    for _, own in frame.groupby("attack"):
        twins = own[evaded[own.index]].sort_values("l1", kind="stable")
        if len(twins):
            places = {SAMPLES[0]: 0, SAMPLES[2]: len(twins) - 1, SAMPLES[1]: len(twins) // 2}
            kept = {place: sample for sample, place in places.items()}  # of one flow, the name that says most
            yield from ((kept[place], int(twins.index[place])) for place in sorted(kept))
            continue
        seen = own[~own.already_benign]
        yield (DETECTED if len(seen) else MISSED), int((seen if len(seen) else own).index[0])


def packet_columns(flows: FlowData, logit: np.ndarray) -> dict[str, np.ndarray]:
    """Length in bytes, interarrival time in ms and confidence of all packets."""
    return dict(zip(VALUES, (flows.packets["length"], flows.packets["iat_ns"] / 1e6, probability(logit)), strict=True))


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    data, frame = load_dataset(args.dataset, TEST), read_attack(args.search)
    if frame.empty:  # no attack flow in the test split
        write_csv(args.output, pd.DataFrame(columns=COLUMNS), model=args.model_name)
        return
    original, adversarial, evaded = read_adversarial_flows(args.search, data)
    names, rows = zip(*chosen_flows(frame, evaded), strict=True)
    places = np.array(rows)
    detector = load_detector(args.weights, data, pick_device(args.device))
    versions = [flows.take(places) for flows in (original, adversarial)]
    before, after = (packet_columns(flows, packet_logits(detector, flows)) for flows in versions)
    count = versions[0].packet_count
    chosen = frame.iloc[places]
    common = {
        "attack": [frame.attrs["attacks"][kind] for kind in chosen.attack],
        "sample": names,
        "row": chosen.row.to_numpy(),
        "l1": chosen.l1.to_numpy(),
    }
    table = pd.DataFrame({name: np.repeat(values, count) for name, values in common.items()})
    table["packet"] = np.concatenate([np.arange(1, length + 1) for length in count])
    table["direction"] = np.array(SIDES)[versions[0].packets["direction"]]
    twin = np.repeat(evaded[places], count)
    table = table.assign(**before, **{f"adversarial_{name}": np.where(twin, x, np.nan) for name, x in after.items()})
    table = table.assign(threat_model=frame.attrs["threat_model"], goal=frame.attrs["goal"])
    write_csv(args.output, table[list(COLUMNS)], model=args.model_name)


if __name__ == "__main__":
    cli.run(main)

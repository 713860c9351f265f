"""Do explanations predict attacks? What they say of single features and positions, and what attacks reach there.

Cells are length or delay of packet 1, 2-3, 4-10 or later ones. For each attack type, flows that are detected are
attacked with everything but the cell held fixed, by the search for evasions under the threat model; `drop` is the
mean fall of the last packet's logit to the least value found, `success` the share that evade. Beside them stands what
each method says of the cell. The second table has, per attack type and of the flows that the reference attack made
evade, how often it moves a packet down the sequential partial dependence of its type, and how the change of the logit
that single packets predict compares with the real one.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.attacks.feasible_set import ThreatModel, feasible_set
from rnnids.attacks.files import read_adversarial_flows
from rnnids.attacks.search import RobustSearch
from rnnids.attacks.targets import select_flows
from rnnids.cli import log
from rnnids.datasets.features import FEATURES, MANIPULABLE_FEATURES
from rnnids.datasets.flow_data import FlowData
from rnnids.datasets.selection import packet_values
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.lstm import LSTMDetector
from rnnids.detectors.protocol import Detector
from rnnids.explanations.importance import weight_importance
from rnnids.explanations.options import add_explanation_options, load_explained
from rnnids.explanations.partial_dependence import sequential_partial_dependence
from rnnids.explanations.per_step import step_of_packets
from rnnids.explanations.positions import CELLS, Comparison, allowed_numbers, feature_scores, method_scores
from rnnids.explanations.variation import vary_steps
from rnnids.settings import add_options, from_args
from rnnids.storage import read_csv, write_csv

NO_MOVES = pd.DataFrame(columns=["attack", "flows", "changes", "share_down", "predicted", "real"])
GLOBAL = ("feature_dropout", "shapley")  # metrics of tables, of features alone


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    add_explanation_options(parser, Comparison)
    add_options(parser, ThreatModel)
    parser.add_argument("--importance", required=True, nargs="+", help="feature dropout and Shapley values (CSV)")
    parser.add_argument("--attacks", required=True, help="adversarial flows of the reference attack (HDF5)")
    parser.add_argument("--cells", required=True, help="output: attack, feature, position, quantity, value (CSV)")
    parser.add_argument("--moves", required=True, help="output: the reference attack and the dependence (CSV)")
    return parser.parse_args(argv)


def movable_numbers(flows: FlowData, threat_model: ThreatModel) -> np.ndarray:
    """(P, 2) bool: lengths and interarrival times that the attacker can change."""
    feasible = feasible_set(flows, np.arange(len(flows)), threat_model)
    steps = feasible.upper.shape[1]
    packet = np.arange(steps) < flows.packet_count[:, None]
    return (feasible.upper > feasible.original).numpy()[packet]


def restricted_attacks(
    detector: Detector, flows: FlowData, search: RobustSearch, *, threat_model: ThreatModel, seed: int
) -> dict[str, np.ndarray]:
    """{drop, success, free: (N, cells)} of the search with everything but a cell held fixed."""
    found = {name: np.zeros((len(flows), len(CELLS))) for name in ("drop", "success", "free")}
    for place, cell in enumerate(CELLS):
        allowed = allowed_numbers(flows, cell)
        label = f"attacking {FEATURES[cell.feature]} of packet {cell.position}"
        result = search(detector, flows, threat_model=threat_model, allowed=allowed, seed=seed, label=label)
        found["drop"][:, place] = result.original_logit - result.lowest
        found["success"][:, place], found["free"][:, place] = result.success, result.free
    return found


def quick_search(settings: Comparison) -> RobustSearch:
    """The portfolio without what only brings evasions nearer: how low the logit can go is what counts here."""
    return RobustSearch(
        iterations=settings.descent,
        far_iterations=settings.descent,
        near_starts=0,
        fine_iterations=1,
        draws=settings.points,
        generations=settings.descent,
        children=8,
        values=8,
        depth=1,
        polish_rounds=0,
        nearer_rounds=0,
        exact_values=1000,
    )


def cell_rows(flows: FlowData, found: Mapping[str, np.ndarray], free: np.ndarray) -> list[dict[str, Any]]:
    """Rows attack, flows, feature, position, quantity, value: means over a type's flows that are free in a cell."""
    rows = []
    for kind in np.unique(flows.flows["attack"]):
        for place, cell in enumerate(CELLS):
            chosen = (flows.flows["attack"] == kind) & (free[:, place] > 0)
            names = {"attack": flows.attacks[kind], "flows": int(chosen.sum())}
            names |= {"feature": FEATURES[cell.feature], "position": cell.position}
            if chosen.any():
                rows += [
                    names | {"quantity": name, "value": float(values[chosen, place].mean())}
                    for name, values in found.items()
                ]
    return rows


def goes_down(flows: FlowData, feature: int, detector: Detector, *, new: np.ndarray, grid_size: int) -> np.ndarray:
    """Whether the sequential partial dependence of `flows` is lower at `new` (P,) values: of those that differ."""
    old = packet_values(flows, feature).astype(float)
    dependence = sequential_partial_dependence(detector, flows, feature=feature, grid_size=grid_size)
    curve = dict(enumerate(dependence.prediction, start=1))
    step = step_of_packets(flows.packet_count)
    return np.array(
        [
            np.interp(new[packet], dependence.value, curve[step[packet]])
            < np.interp(old[packet], dependence.value, curve[step[packet]])
            for packet in np.flatnonzero(old != new)
        ]
    )


def move_rows(detector: Detector, before: FlowData, after: FlowData, *, grid_size: int) -> list[dict[str, Any]]:
    """Rows of the second table: `before` and `after` are flows that the reference attack made evade."""
    logits = packet_logits(detector, before)
    new = {feature: packet_values(after, feature).astype(float) for feature in MANIPULABLE_FEATURES}
    varied = vary_steps(detector, before, [(feature, values[:, None]) for feature, values in new.items()])
    predicted = np.add.reduceat(sum(of_feature[:, 0] - logits for of_feature in varied), before.start)
    real = last_of_flow(packet_logits(detector, after) - logits, before.packet_count)
    rows = []
    for kind in np.unique(before.flows["attack"]):
        own = before.flows["attack"] == kind
        packets, of_type = np.repeat(own, before.packet_count), before.take(own)
        down = np.concatenate(
            [
                goes_down(of_type, feature, detector, new=values[packets], grid_size=grid_size)
                for feature, values in new.items()
            ]
        )
        numbers = {"flows": int(own.sum()), "changes": len(down), "share_down": down.mean() if len(down) else np.nan}
        numbers |= {"predicted": float(predicted[own].mean()), "real": float(real[own].mean())}
        rows.append({"attack": before.attacks[kind]} | numbers)
    return rows


def importance_of_features(detector: LSTMDetector, paths: Sequence[str]) -> dict[str, dict[str, float]]:
    """{method: {feature: importance}} of the methods that know no positions."""
    values = {"weights": dict(zip(FEATURES, weight_importance(detector).tolist(), strict=True))}
    for path in paths:
        table = read_csv(path, ("metric", "level", "feature"), ("value",))
        of_flows = table[table["metric"].isin(GLOBAL) & (table["level"] == "flow")]
        for name, rows in of_flows.groupby("metric"):
            values[str(name)] = dict(zip(rows["feature"], rows["value"], strict=True))
    return values


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    settings, threat_model = from_args(Comparison, args), from_args(ThreatModel, args)
    detector, data = load_explained(args.dataset, args.weights, device=args.device)
    flows = data.take(select_flows(data, settings.max_flows, args.seed))
    detected = last_of_flow(packet_logits(detector, flows, batch_packets=args.batch_packets), flows.packet_count) > 0
    flows = flows.take(detected)
    movable = movable_numbers(flows, threat_model)
    found = restricted_attacks(detector, flows, quick_search(settings), threat_model=threat_model, seed=args.seed)
    free = found.pop("free")
    found |= method_scores(
        detector,
        flows,
        pool=data,
        movable=movable,
        draws=settings.draws,
        seed=args.seed,
        batch_packets=args.batch_packets,
    )
    for name, values in importance_of_features(detector, args.importance).items():
        found[name] = feature_scores(flows, values, movable)
    write_csv(args.cells, cell_rows(flows, found, free))
    before, after, evaded = read_adversarial_flows(args.attacks, data)
    before, after = before.take(evaded), after.take(evaded)
    moves = move_rows(detector, before, after, grid_size=settings.draws) if len(before) else NO_MOVES
    write_csv(args.moves, moves)
    log.info("%d detected flows attacked in %d cells", len(flows), len(CELLS))


if __name__ == "__main__":
    cli.run(main)

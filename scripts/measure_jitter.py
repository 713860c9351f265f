"""Probability that evasions survive network jitter, against the margin delta that they keep.

Input: what a search found. Of each attack type some flows are taken that evade at 0 and beyond the search's delta; from
these evasions a minimum-norm descent goes on to every logit of --deltas. Then each gap between packets changes at
random, --draws times, in those flows of which an evasion reaches all of --deltas, so that margins are compared on the
same flows. Writes a row per attack type (or "All"), version and jitter: `version` is "original", the flows unmodified,
as a control, or "evasion" with its `delta`; of the `chosen` flows so many `reached` it; `survival` is the mean
probability that one of the `flows` is benign, with the ends of its 95 % interval over flows. A jitter of 0 is none.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.files import read_adversarial_flows, read_attack
from rnnids.attacks.jitter import JitterSurvival, mean_interval, survival, with_margin
from rnnids.attacks.round_trip import verdicts
from rnnids.attacks.targets import select_flows
from rnnids.cli import log
from rnnids.datasets.flow_data import TEST, FlowData, load_dataset
from rnnids.detectors.lstm import load_detector, pick_device
from rnnids.detectors.protocol import Detector
from rnnids.settings import add_options, from_args
from rnnids.storage import write_csv

ALL = "All"
COLUMNS = ["threat_model", "goal", "attack", "version", "delta", "jitter_ms", "chosen", "reached", "flows", "draws"]
COLUMNS += ["survival", "low", "high"]


class Version(NamedTuple):
    """The same N flows, unmodified or as an attack made them; which of them reach the margin."""

    name: str
    delta: float
    flows: FlowData
    reached: np.ndarray


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set that was attacked (HDF5)")
    parser.add_argument("--weights", required=True, help="model that was attacked (safetensors)")
    parser.add_argument("--search", required=True, help="what a search found under this threat model (HDF5)")
    add_options(parser, ThreatModel)
    add_options(parser, JitterSurvival)
    parser.add_argument("--model-name", help="name in the column `model`; none: the folder of --weights")
    parser.add_argument("--seed", default=0, type=int, help="of flows, jitter and bootstrap")
    parser.add_argument("--batch-packets", default=8192, type=cli.positive(int), help="padded packets in a batch")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    parser.add_argument("--output", required=True, help="output: survival per attack type (CSV)")
    args = parser.parse_args(argv)
    args.model_name = args.model_name or Path(args.weights).absolute().parent.name
    return args


def versions(
    detector: Detector, flows: FlowData, known: tuple[FlowData, FlowData], args: argparse.Namespace, *, goal: str
) -> list[Version]:
    """The original flows, and evasions that keep each margin.

    Args:
        known: evasions of the flows, the nearest and the nearest beyond the search's delta.
    """
    settings, (nearest, beyond) = from_args(JitterSurvival, args), known
    found = [Version("original", np.nan, flows, np.ones(len(flows), dtype=bool))]
    for delta in settings.deltas:
        evasions, reached = with_margin(
            detector,
            flows,
            nearest if delta == 0 else beyond,
            delta=delta,
            iterations=settings.iterations,
            threat_model=from_args(ThreatModel, args),
            goal=goal,
            batch_packets=args.batch_packets,
        )
        found.append(Version("evasion", delta, evasions, reached))
        log.info("delta %g: %d of %d flows reach it", delta, int(reached.sum()), len(flows))
    return found


def shares(
    detector: Detector, flows: FlowData, args: argparse.Namespace, *, goal: str
) -> list[tuple[float, np.ndarray]]:
    """(jitter in ms, probability that each flow is benign), first without jitter."""
    settings = from_args(JitterSurvival, args)
    _, verdict = verdicts(detector, flows, goal=goal, batch_packets=args.batch_packets)
    return [(0.0, (verdict <= 0).astype(float))] + [
        (
            jitter_ms,
            survival(
                detector,
                flows,
                jitter_ms=jitter_ms,
                draws=settings.draws,
                goal=goal,
                seed=args.seed,
                batch_packets=args.batch_packets,
            ),
        )
        for jitter_ms in settings.jitter_ms
    ]


def groups(kinds: np.ndarray, names: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """(name, mask) of all flows together and of each attack type, given the type of each."""
    return [(ALL, np.ones(len(kinds), dtype=bool)), *((names[kind], kinds == kind) for kind in np.unique(kinds))]


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    settings = from_args(JitterSurvival, args)
    data = load_dataset(args.dataset, TEST)
    detector = load_detector(args.weights, data, pick_device(args.device))
    attributes = read_attack(args.search).attrs
    goal, first = attributes["goal"], {name: attributes[name] for name in ("threat_model", "goal")}
    original, nearest, evaded = read_adversarial_flows(args.search, data)
    _, beyond, with_delta = read_adversarial_flows(args.search, data, margin=True)
    able = np.flatnonzero(evaded & with_delta)
    chosen = able[select_flows(original.take(able), settings.max_flows, args.seed)]
    known = nearest.take(chosen), beyond.take(chosen)
    found = versions(detector, original.take(chosen), known, args, goal=goal)
    common = np.logical_and.reduce([version.reached for version in found])
    kinds, rng, rows = original.flows["attack"][chosen], np.random.default_rng(args.seed), []
    for version in found:
        about = first | {"version": version.name, "delta": version.delta, "draws": settings.draws}
        for jitter_ms, values in shares(detector, version.flows.take(common), args, goal=goal):
            for attack, own in groups(kinds, data.attacks):
                interval = mean_interval(values[own[common]], settings.bootstrap_samples, rng)
                counts = {"chosen": own.sum(), "reached": version.reached[own].sum(), "flows": own[common].sum()}
                numbers = dict(zip(("survival", "low", "high"), interval, strict=True))
                rows.append(about | {"jitter_ms": jitter_ms, "attack": attack} | counts | numbers)
    write_csv(args.output, pd.DataFrame(rows, columns=COLUMNS), model=args.model_name)


if __name__ == "__main__":
    cli.run(main)

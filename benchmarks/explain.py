"""Measure the explanations of Sec. V against the plain way: flow by flow and step by step.

The plain ways run each flow anew from its first packet for every step: `values at once` takes all values of
a packet as one batch of torch's LSTM, as a careful user writes it, `value by value` takes them one after the other
(some of them: its time is linear in their number).
Ours and they run in turn, on the same flows and the same untrained detector of the paper's size; medians, their
ratios and the largest difference of a logit are written as CSV and, with the machine, as a page of Markdown.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from measure import in_turn, write_page

from rnnids import cli
from rnnids.datasets.features import CONSTANT_FEATURES, FEATURES, NUM_FEATURES, PACKET_LENGTH
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.lstm import LSTMDetector
from rnnids.errors import InputError
from rnnids.explanations.variation import vary_flows, vary_steps
from rnnids.storage import write_csv

OURS, AT_ONCE, ONE_BY_ONE = "ours", "values at once", "value by value"
DIFFERENCE = 1e-4  # of logits near 0: float32, summed in another order
STEP_FEATURES = [feature for feature in range(NUM_FEATURES) if feature not in CONSTANT_FEATURES]


@dataclass(frozen=True)
class Case:
    """One explanation of so many flows of equal length.

    Attributes:
        what: name. flows, steps, values: how many.
        features: indices that are varied. ways: what is measured.
        sample: `value by value` runs one value in so many, and its time is taken so many times.
        target: least ratio of `value by value` to ours, or None.
    """

    what: str
    flows: int
    steps: int
    values: int
    features: list[int]
    ways: tuple[str, ...] = (OURS, AT_ONCE)
    sample: int = 1
    target: float | None = None


CASES = [
    Case("sequential PDP", 1, 32, 20, [PACKET_LENGTH], (OURS, AT_ONCE, ONE_BY_ONE), sample=4, target=20),
    Case("sequential PDP", 8, 32, 20, [PACKET_LENGTH]),
    Case("sequential PDP", 1, 100, 100, [PACKET_LENGTH], (OURS, AT_ONCE, ONE_BY_ONE), sample=10, target=100),
    Case("mutual information", 2, 16, 100, STEP_FEATURES),
    Case("PDP of a constant feature", 32, 32, 20, list(CONSTANT_FEATURES[:1])),
]


def make_flows(count: int, steps: int) -> FlowData:
    """Random flows of equal length."""
    rng, packets = np.random.default_rng(0), count * steps
    flows = {"source_port": 1024, "destination_port": 80, "protocol": 6, "attack": 1, "packet_count": steps}
    return FlowData(
        flows={name: np.full(count, value, dtype=np.int64) for name, value in flows.items()},
        packets={
            "iat_ns": rng.integers(0, 10**9, packets),
            "length": rng.integers(40, 1500, packets),
            "direction": rng.integers(0, 2, packets),
            "flags": rng.integers(0, 512, packets),
        },
        start=np.arange(count) * steps,
        row=np.arange(count),
        attacks=["Benign", "Flood"],
        categories=["Benign", "DoS"],
        mean=np.full(NUM_FEATURES, 100.0),
        std=np.full(NUM_FEATURES, 500.0),
        clock_resolution_ns=1000,
        idle_timeout=300.0,
        active_timeout=1800.0,
    )


def ours(detector: LSTMDetector, flows: FlowData, case: Case, values: np.ndarray) -> np.ndarray:
    """(features, P, W) logits by the library."""
    if case.features[0] in CONSTANT_FEATURES:
        return np.stack([vary_flows(detector, flows, feature, values=values) for feature in case.features])
    return np.stack(vary_steps(detector, flows, [(feature, values) for feature in case.features]))


@torch.no_grad()
def plain(detector: LSTMDetector, flows: FlowData, case: Case, *, values: np.ndarray, at_once: bool) -> np.ndarray:
    """(features, P, W) logits, each flow run anew for each feature and step, or value as well."""
    logits = np.full((len(case.features), *values.shape), np.nan, dtype=np.float32)
    groups = [np.arange(case.values)] if at_once else np.arange(0, case.values, case.sample)[:, None]
    for of_feature, feature in zip(logits, case.features, strict=True):
        scores = torch.from_numpy((values[0] - flows.mean[feature]) / flows.std[feature]).float()
        vary = vary_whole if feature in CONSTANT_FEATURES else vary_prefixes
        for flow, first in enumerate(flows.start):
            inputs = torch.from_numpy(flows.padded(np.array([flow])))
            for group in groups:
                of_feature[first : first + case.steps, group] = vary(
                    detector, inputs, feature=feature, scores=scores[group]
                )
    return logits


def vary_whole(detector: LSTMDetector, inputs: torch.Tensor, *, feature: int, scores: torch.Tensor) -> np.ndarray:
    """(T, W) logits of a flow (1, T, 15) that has one of the (W,) scores throughout."""
    copies = inputs.repeat(len(scores), 1, 1)
    copies[:, :, feature] = scores[:, None]
    return detector(copies).T.numpy()


def vary_prefixes(detector: LSTMDetector, inputs: torch.Tensor, *, feature: int, scores: torch.Tensor) -> np.ndarray:
    """(T, W) logits of a flow (1, T, 15) that has one of the (W,) scores at a step, for each step."""
    logits = np.empty((inputs.shape[1], len(scores)), dtype=np.float32)
    for step in range(inputs.shape[1]):
        prefix = inputs[:, : step + 1].repeat(len(scores), 1, 1)
        prefix[:, step, feature] = scores
        logits[step] = detector(prefix)[:, -1].numpy()
    return logits


def measure(case: Case, detector: LSTMDetector, repeats: int) -> list[dict[str, str | int | float]]:
    """Rows of one case: a row for each way."""
    flows = make_flows(case.flows, case.steps)
    values = np.broadcast_to(np.linspace(40.0, 1500.0, case.values), (case.flows * case.steps, case.values))
    ways: dict[str, Callable[[], np.ndarray]] = {
        OURS: lambda: ours(detector, flows, case, values),
        AT_ONCE: lambda: plain(detector, flows, case, values=values, at_once=True),
        ONE_BY_ONE: lambda: plain(detector, flows, case, values=values, at_once=False),
    }
    results: dict[str, np.ndarray] = {}
    seconds = in_turn({way: lambda way=way: results.__setitem__(way, ways[way]()) for way in case.ways}, repeats)
    if ONE_BY_ONE in seconds:
        seconds[ONE_BY_ONE] *= case.sample
    names = {"what": case.what, "flows": case.flows, "steps": case.steps, "values": case.values}
    names["features"] = len(case.features)
    rows = []
    for way, taken in seconds.items():
        row = {"way": way, "seconds": taken, "ours_is_faster": taken / seconds[OURS]}
        row["target"] = case.target if way == ONE_BY_ONE and case.target else ""
        row["difference"] = np.nanmax(np.abs(results[way] - results[OURS]))
        rows.append(names | row)
    return rows


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--hidden-size", type=cli.positive(int), default=512, help="of the detector")
    parser.add_argument("--num-layers", type=cli.positive(int), default=3, help="of the detector")
    parser.add_argument("--repeats", type=cli.positive(int), default=3, help="runs of each way")
    parser.add_argument("--threads", type=cli.positive(int), default=1, help="of torch")
    parser.add_argument("--csv", type=Path, required=True, help="table to write")
    parser.add_argument("--page", type=Path, required=True, help="Markdown page to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, write, and fail if a target is missed or results differ."""
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    detector = LSTMDetector(args.hidden_size, args.num_layers).requires_grad_(False)
    rows = [row for case in CASES for row in measure(case, detector, args.repeats)]
    write_csv(args.csv, rows)
    words = [
        f"`make -C benchmarks explain`: {args.num_layers} x {args.hidden_size} units, medians of {args.repeats} runs "
        "in turn.",
        "Each plain way runs a flow anew from its first packet for every feature and step, one flow after the other;",
        "value by value, some of the values are run and the time is taken for all.",
        f"The largest difference of a logit between two ways is {max(row['difference'] for row in rows):.1e}.",
    ]
    write_page(
        args.page, "Explanations", words, [{name: row[name] for name in row if name != "difference"} for row in rows]
    )
    for row in rows:
        name = f"{row['what']}, {row['steps']} steps, {FEATURES[PACKET_LENGTH]}"
        if row["difference"] > DIFFERENCE:
            raise InputError(f"{name}: logits differ by {row['difference']:.1e}; the ways do not do the same")
        if row["target"] and row["ours_is_faster"] < row["target"]:
            raise InputError(
                f"{name}: {row['ours_is_faster']:.1f} times as fast as {row['way']}, less than {row['target']}"
            )


if __name__ == "__main__":
    cli.run(main)

"""Measure the explanations of Sec. V against the plain way: flow by flow and step by step.

The plain ways run each flow anew from its first packet for every step: `values at once` takes all values of
a packet as one batch of torch's LSTM, as a careful user writes it, `value by value` takes them one after the other
(some of them: its time is linear in their number).
Ours and they run in turn, on the same flows and the same untrained detector of the paper's size; medians, ratios
and the largest difference of a logit are written as CSV and, with the machine, as a page of Markdown.
"""

import datetime
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from rnnids import cli
from rnnids.data import FlowData
from rnnids.errors import InputError
from rnnids.features import CONSTANT_FEATURES, FEATURES, NUM_FEATURES, PACKET_LENGTH
from rnnids.interventions import vary_flows, vary_steps
from rnnids.model import Detector
from rnnids.storage import atomic_path, write_csv

BATCH_PACKETS = 32768
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
    features: list
    ways: tuple = (OURS, AT_ONCE)
    sample: int = 1
    target: float | None = None


CASES = [
    Case("sequential PDP", 1, 32, 20, [PACKET_LENGTH], (OURS, AT_ONCE, ONE_BY_ONE), sample=4, target=20),
    Case("sequential PDP", 8, 32, 20, [PACKET_LENGTH]),
    Case("sequential PDP", 1, 100, 100, [PACKET_LENGTH], (OURS, AT_ONCE, ONE_BY_ONE), sample=10, target=100),
    Case("mutual information", 2, 16, 100, STEP_FEATURES),
    Case("PDP of a constant feature", 32, 32, 20, list(CONSTANT_FEATURES[:1])),
]


def make_flows(count, steps):
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


def ours(model, data, case, values):
    """(features, P, W) logits by the library."""
    if case.features[0] in CONSTANT_FEATURES:
        return np.stack([vary_flows(model, data, feature, values, BATCH_PACKETS) for feature in case.features])
    return np.stack(vary_steps(model, data, [(feature, values) for feature in case.features], BATCH_PACKETS))


@torch.no_grad()
def plain(model, data, case, values, at_once):
    """(features, P, W) logits, each flow run anew for each feature and step, or value as well."""
    logits = np.full((len(case.features), *values.shape), np.nan, dtype=np.float32)
    groups = [np.arange(case.values)] if at_once else np.arange(0, case.values, case.sample)[:, None]
    for of_feature, feature in zip(logits, case.features, strict=True):
        scores = torch.from_numpy((values[0] - data.mean[feature]) / data.std[feature]).float()
        vary = vary_whole if feature in CONSTANT_FEATURES else vary_prefixes
        for flow, first in enumerate(data.start):
            inputs = torch.from_numpy(data.padded(np.array([flow])))
            for group in groups:
                of_feature[first : first + case.steps, group] = vary(model, inputs, feature, scores[group])
    return logits


def vary_whole(model, inputs, feature, scores):
    """(T, W) logits of a flow (1, T, 15) that has one of the (W,) scores throughout."""
    copies = inputs.repeat(len(scores), 1, 1)
    copies[:, :, feature] = scores[:, None]
    return model(copies).T.numpy()


def vary_prefixes(model, inputs, feature, scores):
    """(T, W) logits of a flow (1, T, 15) that has one of the (W,) scores at a step, for each step."""
    logits = np.empty((inputs.shape[1], len(scores)), dtype=np.float32)
    for step in range(inputs.shape[1]):
        prefix = inputs[:, : step + 1].repeat(len(scores), 1, 1)
        prefix[:, step, feature] = scores
        logits[step] = model(prefix)[:, -1].numpy()
    return logits


def seconds_of(function, *arguments):
    """(seconds, result) of a call."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def measure(case, model, repeats):
    """Rows of one case: a row for each way."""
    data = make_flows(case.flows, case.steps)
    values = np.broadcast_to(np.linspace(40.0, 1500.0, case.values), (case.flows * case.steps, case.values))
    ways = {
        OURS: lambda: ours(model, data, case, values),
        AT_ONCE: lambda: plain(model, data, case, values, True),
        ONE_BY_ONE: lambda: plain(model, data, case, values, False),
    }
    ours(model, make_flows(1, 2), case, values[:2])  # whatever torch prepares at its first call
    times, results = {way: [] for way in case.ways}, {}
    for _ in range(repeats):
        for way in case.ways:
            taken, results[way] = seconds_of(ways[way])
            times[way].append(taken * case.sample if way == ONE_BY_ONE else taken)
    names = {"what": case.what, "flows": case.flows, "steps": case.steps, "values": case.values}
    names["features"] = len(case.features)
    rows = []
    for way in case.ways:
        ratio = np.median(np.array(times[way]) / np.array(times[OURS]))
        difference = np.nanmax(np.abs(results[way] - results[OURS]))
        row = {"way": way, "median_s": np.median(times[way]), "least_s": min(times[way]), "most_s": max(times[way])}
        target = case.target if way == ONE_BY_ONE else None
        rows.append(names | row | {"ratio": ratio, "target": target, "difference": difference})
    return rows


def machine(threads):
    """The machine and the programs, in words."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return (
        f"{os.cpu_count()} x {names[0] if names else platform.machine()}, Python {platform.python_version()},"
        f" torch {torch.__version__}, {threads} thread; load when done {os.getloadavg()[0]:.1f};"
        f" {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    )


def page(rows, repeats, hidden_size, num_layers, threads):
    """The Markdown page."""
    lines = [
        "# Explanations",
        "",
        f"`make bench-explain`: {num_layers} x {hidden_size} units, medians of {repeats} runs in turn.",
        f"{machine(threads)}.",
        "Each plain way runs a flow anew from its first packet for every feature and step, one flow after the other;",
        "value by value, some of the values are run and the time is taken for all.",
        "",
        "| what | flows | steps | values | features | way | seconds | of ours | target |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        sizes = " | ".join(f"{row[key]}" for key in ("what", "flows", "steps", "values", "features", "way"))
        target = f">= {row['target']:g}x" if row["target"] else ""
        lines.append(f"| {sizes} | {row['median_s']:.3g} | {row['ratio']:.1f}x | {target} |")
    largest = max(row["difference"] for row in rows)
    lines += ["", f"The largest difference of a logit between two ways is {largest:.1e}."]
    return "\n".join([*lines, ""])


def main():
    """Parse the command line, measure, write, and fail if a target is missed or results differ."""
    parser = cli.parser(__doc__)
    parser.add_argument("--hidden-size", type=cli.positive(int), required=True, help="of the detector")
    parser.add_argument("--num-layers", type=cli.positive(int), required=True, help="of the detector")
    parser.add_argument("--repeats", type=cli.positive(int), required=True, help="runs of each way")
    parser.add_argument("--threads", type=cli.positive(int), required=True, help="of torch")
    parser.add_argument("--csv", type=Path, required=True, help="table to write")
    parser.add_argument("--page", type=Path, required=True, help="Markdown page to write")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = Detector(args.hidden_size, args.num_layers).requires_grad_(False)
    rows = [row for case in CASES for row in measure(case, model, args.repeats)]
    write_csv(args.csv, rows)
    with atomic_path(args.page) as temporary:
        text = page(rows, args.repeats, args.hidden_size, args.num_layers, args.threads)
        temporary.write_text(text, encoding="utf-8")
    for row in rows:
        name = f"{row['what']}, {row['steps']} steps, {FEATURES[PACKET_LENGTH]}"
        if row["difference"] > DIFFERENCE:
            raise InputError(f"{name}: logits differ by {row['difference']:.1e}; the ways do not do the same")
        if row["target"] and row["ratio"] < row["target"]:
            raise InputError(f"{name}: {row['ratio']:.1f} times as fast as {row['way']}, less than {row['target']}")


if __name__ == "__main__":
    cli.run(main)

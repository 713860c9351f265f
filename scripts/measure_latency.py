"""Measure how early a detector raises the alarm: on unmodified flows and under each attack.

Alarm rules: `last`, `any`, `k_of_n` (scripts/rnnids/detectors/alarms.py), each at logit 0 and at the threshold that a
given share of benign validation flows exceeds, so that rules can be compared at equal false alarms; a detector that
was trained without validation flows has the first alone.

latency.csv: traffic (test_flows: all flows of the test split; unmodified: those of them that were attacked; then each
attack), threshold_from, threshold, rule, attack (type, all of them, or Benign: its share are false alarms), flows,
detected, share with its 95 % interval, before_last_packet (of the detected flows, those of which the alarm comes before
their last packet) and, of the detected flows, the median and the 90 % quantile of packets, bytes and milliseconds up to
the alarm. alarms_by_packet.csv: the share that has raised the alarm when so many packets were seen.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rnnids import cli
from rnnids.attacks.files import read_adversarial_flows, read_attack
from rnnids.cli import log
from rnnids.datasets.flow_data import TEST, FlowData, load_dataset
from rnnids.detectors.alarms import AlarmRule
from rnnids.detectors.inference import packet_logits
from rnnids.detectors.latency import (
    LOGIT,
    RATE,
    EarlyDetection,
    alarm_rules,
    find_alarms,
    latency_rows,
    share_by_packets,
)
from rnnids.detectors.lstm import Trained, load_detector, pick_device, read_detector
from rnnids.detectors.metrics import Evaluation
from rnnids.detectors.thresholds import measure_threshold, validation_flows
from rnnids.errors import InputError
from rnnids.settings import add_options
from rnnids.storage import write_csv

Case = tuple[AlarmRule, str, float]  # a rule, where its threshold comes from, the threshold


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    parser.add_argument("--attacks", nargs="*", default=[], help="files of adversarial flows of its test split (HDF5)")
    parser.add_argument("--output", required=True, help="output: how early, per attack type (CSV)")
    parser.add_argument("--by-packet", required=True, help="output: alarms against packets seen (CSV)")
    parser.add_argument("--model-name", help="name in the column `model`; none: the folder of --weights")
    add_options(parser, AlarmRule, only=["k", "n"])
    add_options(parser, EarlyDetection)
    add_options(parser, Evaluation, only=["batch_packets"])
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    args = parser.parse_args(argv)
    args.model_name = args.model_name or Path(args.weights).absolute().parent.name
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    data = load_dataset(args.dataset, TEST)
    detector = load_detector(args.weights, data, pick_device(args.device))
    cases = list(rules_and_thresholds(read_detector(args.weights, detector.device), args))
    steps = range(1, int(data.packet_count.max()) + 1)
    rows, by_packet = [], []
    for traffic, flows in traffics(data, args.attacks):
        logits = packet_logits(detector, flows, batch_packets=args.batch_packets)
        for rule, source, threshold in cases:
            case = {"traffic": traffic, "threshold_from": source, "threshold": threshold, "rule": rule.name}
            alarms = find_alarms(flows, logits, rule, threshold=threshold)
            rows += [case | row for row in latency_rows(flows, alarms)]
            by_packet += [case | row for row in share_by_packets(flows, alarms, steps)]
    write_csv(args.output, rows, model=args.model_name)
    write_csv(args.by_packet, by_packet, model=args.model_name)


def rules_and_thresholds(trained: Trained, args: argparse.Namespace) -> Iterator[Case]:
    """Each rule at logit 0 and, where it can be measured, at the given rate of false alarms."""
    rules = alarm_rules(args.k, args.n)
    yield from ((rule, LOGIT, 0.0) for rule in rules)
    try:
        validation = validation_flows(trained, args.dataset)
    except InputError as error:
        log.warning("warning: %s: thresholds of logit 0 alone; %s", args.weights, error)
        return
    rate = args.false_alarm_rate
    yield from ((rule, RATE, measure_threshold(trained.detector, validation, rule, rate=rate)) for rule in rules)


def traffics(data: FlowData, paths: Sequence[str]) -> Iterator[tuple[str, FlowData]]:
    """(name, flows): the test split, those of its flows that were attacked, and these under each attack."""
    yield "test_flows", data
    attacked = np.zeros(len(data), dtype=bool)
    for path in paths:
        attacked |= np.isin(data.row, read_attack(path)["row"])
    if attacked.any():
        yield "unmodified", data.take(attacked)
    for path in paths:
        yield name_of(path), read_adversarial_flows(path, data)[1]


def name_of(path: str) -> str:
    """What an attack is called: cw_kappa_1, pgd, search_last_paper."""
    attributes = read_attack(path).attrs
    words = [attributes["method"]]
    if "kappa" in attributes:
        words.append(f"kappa_{attributes['kappa']:g}")
    words += [attributes[key] for key in ("goal", "threat_model") if key in attributes]
    return "_".join(map(str, words))


if __name__ == "__main__":
    cli.run(main)

"""How early a detector raises the alarm, by which rule, at how many false alarms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnids.datasets.flow_data import BENIGN, FlowData
from rnnids.detectors.alarms import RULES, AlarmRule, first_alarms, packet_scores
from rnnids.detectors.metrics import proportion_interval
from rnnids.settings import check, setting

ALL_ATTACKS = "All attacks"
QUANTILES = (0.5, 0.9)
LOGIT, RATE = "logit 0", "false-alarm rate"  # where a threshold comes from


@dataclass(frozen=True, kw_only=True)
class EarlyDetection:
    """How alarm rules are compared."""

    false_alarm_rate: float = setting(
        0.01, "share of benign validation flows that each rule's second threshold allows", minimum=0, below=1
    )

    def __post_init__(self) -> None:
        check(self)


def alarm_rules(k: int, n: int) -> list[AlarmRule]:
    """Every rule, with these settings of ``k_of_n``."""
    return [AlarmRule(rule=rule, k=k, n=n) for rule in RULES]


@dataclass(frozen=True)
class Alarms:
    """When flows raised the alarm.

    Attributes:
        packet: (N,) the packet at which each flow did, from 0; -1: it did not.
        bytes, milliseconds: (N,) seen of the flow, and passed since its first packet, by then.
        early: (N,) bool, before its last packet.
    """

    packet: np.ndarray
    bytes: np.ndarray
    milliseconds: np.ndarray
    early: np.ndarray


def find_alarms(flows: FlowData, logits: np.ndarray, rule: AlarmRule, *, threshold: float) -> Alarms:
    """When flows raise the alarm, given the logits (P,) of their packets."""
    count = flows.packet_count.astype(np.int64)
    packet = first_alarms(packet_scores(logits, count, rule), count, threshold)
    start = np.cumsum(count) - count
    at = start + np.maximum(packet, 0)
    octets = np.cumsum(flows.packets["length"], dtype=np.int64)
    elapsed = np.cumsum(flows.packets["iat_ns"], dtype=np.int64)
    return Alarms(
        packet=packet,
        bytes=octets[at] - octets[start] + flows.packets["length"][start],
        milliseconds=(elapsed[at] - elapsed[start]) / 1e6,
        early=(packet >= 0) & (packet < count - 1),
    )


def groups(flows: FlowData) -> Iterator[tuple[str, np.ndarray]]:
    """(name, (N,) bool) of benign flows, all attacks and each attack type, as far as there are any."""
    kind = flows.flows["attack"]
    named = [(name, kind == index) for index, name in enumerate(flows.attacks)]
    named.insert(1, (ALL_ATTACKS, kind != BENIGN))
    yield from ((name, chosen) for name, chosen in named if chosen.any())


def latency_rows(flows: FlowData, alarms: Alarms) -> list[dict[str, Any]]:
    """Rows of latency.csv: of each group of flows how many raise the alarm, and how early those do.

    Of benign flows, what is called detected are false alarms.
    """
    rows = []
    for name, chosen in groups(flows):
        found = chosen & (alarms.packet >= 0)
        total, detected = int(chosen.sum()), int(found.sum())
        low, high = proportion_interval(detected, total)
        row: dict[str, Any] = {"attack": name, "flows": total, "detected": detected}
        row |= {"share": detected / total, "low": low, "high": high}
        row["before_last_packet"] = float(alarms.early[found].mean()) if detected else np.nan
        measured = {"packets": alarms.packet + 1, "bytes": alarms.bytes, "milliseconds": alarms.milliseconds}
        for unit, values in measured.items():
            for quantile in QUANTILES:
                value = float(np.quantile(values[found], quantile)) if detected else np.nan
                row[f"{unit}_{100 * quantile:.0f}"] = value
        rows.append(row)
    return rows


def share_by_packets(flows: FlowData, alarms: Alarms, steps: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of alarms_by_packet.csv: what share of benign flows and of attacks has raised the alarm after a packet."""
    rows = []
    for name, chosen in groups(flows):
        if name not in (flows.attacks[BENIGN], ALL_ATTACKS):
            continue
        packet = alarms.packet[chosen]
        for step in steps:
            share = float(((packet >= 0) & (packet < step)).mean())
            rows.append({"attack": name, "packets": step, "share": share})
    return rows

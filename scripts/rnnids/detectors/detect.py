"""Alerts on the traffic of a capture, as Suricata writes them (EVE JSON, one event a line).

An event has the fields of Suricata's `alert` events that a detector of flows can fill: `timestamp` (of the packet that
raised the alarm), `flow_id`, `event_type`, the 5-tuple with the flow's initiator as its source, `proto`, `alert` and
`flow` (what had been seen of it by then); ICMP has type and code in place of ports. `rnnids` says how early and how
sure: `packet` (its number in the flow, from 1), `milliseconds` and `bytes` into the flow, `logit` and `confidence`.
"""

import datetime
import hashlib
import ipaddress
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rnnids.captures.packets import ICMP, ICMPV6, TCP, UDP
from rnnids.captures.pcap import open_capture
from rnnids.captures.records import SECOND
from rnnids.captures.repair import Repair
from rnnids.captures.skipped import by_name
from rnnids.datasets.build import DatasetOptions
from rnnids.detectors.alarms import AlarmRule
from rnnids.detectors.lstm import read_detector
from rnnids.detectors.thresholds import measure_threshold, validation_flows
from rnnids.detectors.watch import Watch, Watching
from rnnids.flows.extract import Extraction, build_flows, to_nanoseconds

Event = dict[str, Any]
PROTOCOLS = {ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMPV6: "IPv6-ICMP"}  # as Suricata calls them
SEVERITIES = ((0.99, 1), (0.9, 2), (0.0, 3))  # confidence from which on it is high, medium, low
SHOWN = 5  # sources and targets of a summary
SIGNATURE = {
    "action": "allowed",
    "gid": 1,
    "signature_id": 1,
    "rev": 1,
    "signature": "RNNIDS flow classified as an attack",
    "category": "Detection by a recurrent neural network",
}


def detect(
    pcap: Path | str,
    weights: Path | str,
    emit: Callable[[Event], None],
    *,
    rule: AlarmRule | None = None,
    watching: Watching | None = None,
    extraction: Extraction | None = None,
    max_packets: int = DatasetOptions.max_packets,
    dataset: Path | str | None = None,
    member: str | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Watch a capture with a trained detector, in one pass whatever its size.

    Args:
        pcap: capture; "-" is standard input. weights: the detector (safetensors).
        emit: called with each event, an object of JSON, as soon as its alarm is raised.
        rule: which packets of a flow raise the alarm; None: the last one, as in ``evaluate``.
        watching: threshold and memory. extraction: how packets become flows; None: as the detector's data by default.
        max_packets: of a flow that are looked at. member: name of the capture within the zip archive `pcap`, if it is.
        dataset: on which a rate of false alarms is measured, if `watching` gives one.

    Returns:
        the summary: packets, flows, alerts, threshold, the busiest ends of alerts, packets left out, warnings.

    Raises:
        InputError: files that cannot be read; a rate of false alarms and nothing to measure it on.
    """
    trained, rule, watching = read_detector(weights, device), rule or AlarmRule(), watching or Watching()
    rate, threshold = watching.false_alarm_rate, watching.threshold
    if rate is not None:
        threshold = measure_threshold(trained.detector, validation_flows(trained, dataset), rule, rate=rate)
    alerts = Alerts(emit, rule, threshold, capture=str(pcap))
    extraction = extraction or Extraction()
    timeouts = to_nanoseconds(extraction.idle_timeout), to_nanoseconds(extraction.active_timeout)
    watch = Watch(
        trained, rule, alerts.add, threshold=threshold, timeouts=timeouts, max_packets=max_packets, watching=watching
    )
    started = time.monotonic()
    with open_capture(pcap, member) as capture, watch:
        left_out, warnings = build_flows(capture, watch, Repair(extraction.remedies()), unwrap=extraction.unwrap)
    reasons = by_name(left_out)
    speed = round(capture.packets_read / max(time.monotonic() - started, 1e-9))
    counts = {"packets_read": capture.packets_read, "packets": watch.packets, "flows": watch.flows}
    rest = {"skipped": reasons, "warnings": warnings, "packets_per_second": speed}
    return {"capture": str(pcap), **counts, **alerts.summary(), **rest}


class Alerts:
    """Hands the alarms of a capture on as events, and counts them.

    Args:
        emit: called with each event. rule, threshold, capture: that the events name.
    """

    def __init__(self, emit: Callable[[Event], None], rule: AlarmRule, threshold: float, *, capture: str) -> None:
        self.emit, self.rule, self.threshold, self.capture = emit, rule, threshold, capture
        self.sources: Counter[str] = Counter()
        self.targets: Counter[str] = Counter()

    def add(self, flows: np.ndarray) -> None:
        """Take alarms, (n,) ``watch.WATCHED``."""
        for flow in flows:
            event = eve_event(flow, rule=self.rule, threshold=self.threshold, capture=self.capture)
            self.sources[event["src_ip"]] += 1
            self.targets[end_of(event)] += 1
            self.emit(event)

    def summary(self) -> dict[str, Any]:
        """How many there were, by which rule, and the busiest ends of their flows."""
        return {
            "alerts": self.sources.total(),
            "rule": self.rule.name,
            "threshold": self.threshold,
            "sources": dict(self.sources.most_common(SHOWN)),
            "targets": dict(self.targets.most_common(SHOWN)),
        }


def eve_event(flow: np.void, *, rule: AlarmRule, threshold: float, capture: str) -> Event:
    """The event of an alarm, of a flow as ``watch.WATCHED``."""
    protocol = int(flow["protocol"])
    event: Event = {
        "timestamp": timestamp(int(flow["start"] + flow["elapsed"])),
        "flow_id": flow_id(flow),
        "pcap_filename": capture,
        "event_type": "alert",
        "src_ip": address(flow["source_high"], flow["source_low"]),
        "src_port": int(flow["source_port"]),
        "dest_ip": address(flow["destination_high"], flow["destination_low"]),
        "dest_port": int(flow["destination_port"]),
        "proto": PROTOCOLS[protocol],
    }
    if protocol in (ICMP, ICMPV6):  # of which the ports hold 256 * type + code
        event["icmp_type"], event["icmp_code"] = divmod(event["dest_port"], 256)
        del event["src_port"], event["dest_port"]
    confidence = 1 / (1 + math.exp(-max(float(flow["logit"]), -700)))
    severity = next(severity for least, severity in SEVERITIES if confidence >= least)
    event["alert"] = SIGNATURE | {"severity": severity}
    event["flow"] = {
        "pkts_toserver": int(flow["forward_packets"]),
        "pkts_toclient": int(flow["reverse_packets"]),
        "bytes_toserver": int(flow["forward_bytes"]),
        "bytes_toclient": int(flow["reverse_bytes"]),
        "start": timestamp(int(flow["start"])),
    }
    event["rnnids"] = {
        "packet": int(flow["forward_packets"] + flow["reverse_packets"]),
        "milliseconds": float(flow["elapsed"]) / 1e6,
        "bytes": int(flow["forward_bytes"] + flow["reverse_bytes"]),
        "logit": float(flow["logit"]),
        "confidence": confidence,
        "rule": rule.name,
        "threshold": threshold,
    }
    return event


def flow_id(flow: np.void) -> int:
    """A number of 53 bits, which JSON holds exactly: the same for a flow whenever its capture is read."""
    ends = ("source_high", "source_low", "destination_high", "destination_low")
    key = [int(flow[name]) for name in (*ends, "source_port", "destination_port", "protocol", "start")]
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 11


def address(high: int, low: int) -> str:
    """An address of two 64-bit halves in words, IPv4 as such."""
    found = ipaddress.IPv6Address(int(high) << 64 | int(low))
    return str(found.ipv4_mapped or found)


def timestamp(nanoseconds: int) -> str:
    """Nanoseconds since 1970 as Suricata writes times, cut to microseconds."""
    seconds, rest = divmod(nanoseconds, SECOND)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}+0000"


def end_of(event: Mapping[str, Any]) -> str:
    """Address, protocol and port to which the flow of an event goes: 192.0.2.1 TCP 80."""
    port = event.get("dest_port")
    return " ".join(map(str, [event["dest_ip"], event["proto"], *([] if port is None else [port])]))

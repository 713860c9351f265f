"""From adversarial flows to packets and back: whether the flows that are read again are those that the attack made."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from rnnids.attacks.adversarial_capture import write_pcap
from rnnids.cli import log
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.inference import BATCH_PACKETS, packet_logits
from rnnids.detectors.protocol import Detector
from rnnids.flows.extract import extract_flows, extraction_of
from rnnids.flows.files import read_captures, read_packets
from rnnids.flows.rewriting import flow_keys
from rnnids.storage import scratch_folder

COMPARED = ("length", "iat_ns", "direction", "flags")
SAME_LOGIT = 1e-6  # that two logits differ by, at most


class Recovered(NamedTuple):
    """What was read again.

    Attributes:
        flows: FlowData of the N adversarial flows of a capture, with the packets that were read.
        table: a row a flow: of :attr:`WrittenCapture.flows`, and `written`, `found`, `same_packets`; `reason` says why
            it was not written, not found or is not the same, and is empty otherwise.
        others_changed: flows of other connections that are not what they were.
    """

    flows: FlowData
    table: pd.DataFrame
    others_changed: int


def recover_flows(
    pcap: Path | str, adversarial: FlowData, *, flows: Path | str, output: Path | str, member: str | None = None
) -> Recovered:
    """Write adversarial flows to a copy of their capture, extract its flows with the same settings, and find them.

    Args:
        pcap, member, flows: as of :func:`write_pcap`.
        output: the file beside which the copy lies for the time being.
    """
    log.info("%s: a copy with the adversarial flows is written and read again", pcap)
    with scratch_folder(output) as scratch:
        copy, again = scratch / "copy.pcap", scratch / "again.h5"
        table = write_pcap(pcap, copy, flows=flows, adversarial=adversarial, member=member).flows
        (before,), columns = read_captures([flows])
        extract_flows(copy, again, name=before.name, **vars(extraction_of(before.attributes)))
        rows = {row: place for place, row in enumerate(adversarial.row)}
        chosen = adversarial.take([rows[row] for row in table.row])
        (after,), found_columns = read_captures([again])
        places, reasons = find_flows(chosen, table, found_columns)
        there = np.array([reason == "" for reason in reasons], dtype=bool)
        packets = {name: column.copy() for name, column in chosen.packets.items()}
        order = np.flatnonzero(there)[np.argsort(places[there], kind="stable")]
        offsets, counts = found_columns["offset"][places[order]], chosen.packet_count[order].astype(np.int64)
        for chunk, values in read_packets(after, offsets, counts, columns=COMPARED):
            own = chosen.packet_rows(order[chunk])
            for name in COMPARED:
                packets[name][own] = values[name]
        changed = others_changed(columns, found_columns, chosen)
    recovered = replace(chosen, packets=packets)
    differs = np.any([packets[name] != chosen.packets[name] for name in COMPARED], axis=0)
    same = there.copy()
    same[np.repeat(np.arange(len(chosen)), chosen.packet_count)[differs]] = False
    table = table.assign(written=table.reason == "", reason=reasons, found=there, same_packets=same)
    table.loc[there & ~same, "reason"] = "its packets are not those of the attack"
    return Recovered(recovered, table, changed)


def find_flows(flows: FlowData, table: pd.DataFrame, columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """Where the flows stand that were written, by their ends and the time at which they should begin.

    Args:
        table: of :func:`write_pcap`, a row each. columns: flows of the copy.

    Returns:
        ((N,) rows among `columns`, 0 where not found; why not, empty where found).
    """
    known = {key: place for place, key in enumerate(flow_keys(columns))}
    expected = flow_keys(dict(flows.flows) | {"start_ns": table.start_ns.to_numpy()})
    places, reasons = np.zeros(len(flows), dtype=np.int64), list(table.reason)
    for number, key in enumerate(expected):
        if reasons[number]:
            continue
        if key not in known:
            reasons[number] = "no flow begins where it should"
        elif columns["packet_count"][known[key]] != flows.flows["full_packet_count"][number]:
            reasons[number] = "the flow has another number of packets"
        else:
            places[number] = known[key]
    return places, reasons


def others_changed(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], flows: FlowData) -> int:
    """How many flows of other ends than those of `flows` differ between the original capture and the copy."""
    ends = {frozenset((key[4], key[5])) for key in flow_keys(flows.flows)}
    summaries = []
    for columns in (before, after):
        numbers = zip(columns["duration_ns"].tolist(), columns["packet_count"].tolist(), strict=True)
        keys = flow_keys(columns)
        own = [(key, *rest) for key, rest in zip(keys, numbers, strict=True) if frozenset((key[4], key[5])) not in ends]
        summaries.append(set(own))
    return len(summaries[0] ^ summaries[1])


def verdicts(
    detector: Detector, flows: FlowData, *, goal: str = "last", batch_packets: int = BATCH_PACKETS
) -> tuple[np.ndarray, np.ndarray]:
    """(logits of all packets, logit of each flow that decides whether it is an attack).

    Args:
        goal: "last", the last packet's; "all", the largest of all.
    """
    logits = packet_logits(detector, flows, batch_packets=batch_packets)
    if not len(flows):
        return logits, np.empty(0, np.float32)
    if goal == "all":
        return logits, np.maximum.reduceat(logits, flows.start)
    return logits, logits[flows.start + flows.packet_count - 1]


def compare(detector: Detector, recovered: Recovered, adversarial: FlowData, *, goal: str) -> pd.DataFrame:
    """The table of recovered flows with what a detector says: columns `same_logits` and `benign` more.

    Args:
        adversarial: the flows as the attack made them, the recovered ones among them.
    """
    rows = {row: place for place, row in enumerate(adversarial.row)}
    made = adversarial.take([rows[row] for row in recovered.flows.row])
    (before, intended), (after, verdict) = (verdicts(detector, flows, goal=goal) for flows in (made, recovered.flows))
    table = recovered.table
    far = np.abs(before - after) > SAME_LOGIT
    same = np.ones(len(table), dtype=bool)
    same[np.repeat(np.arange(len(table)), made.packet_count)[far]] = False
    found = table.found.to_numpy(dtype=bool)
    table = table.assign(same_logits=same & found, benign=(verdict <= 0) & found)
    unexplained = found & ~table.benign & (table.reason == "")
    table.loc[unexplained & (intended > 0), "reason"] = (
        "no evasion: the detector raises an alarm for the attack's own flow"
    )
    table.loc[unexplained & (intended <= 0), "reason"] = "its logit lies on the other side of 0"
    return table

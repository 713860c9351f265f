"""Packets that are in no flow, counted by what they are: "not IP: ARP (EtherType 0x0806)"."""

from typing import TYPE_CHECKING

import numpy as np

from rnnids.captures.compiled import Integer
from rnnids.captures.layers import (
    BY_KEY,
    LINK,
    NO_IP,
    key_of,
    layer_name,
    may_hold_ip,
)
from rnnids.captures.reasons import LINK_UNSUPPORTED, NOT_IP, REASON_BITS, REASONS
from rnnids.errors import InputError
from rnnids.machine_code import njit

if TYPE_CHECKING:
    from rnnids.captures.pcap import Capture

COUNT = np.dtype([("verdict", "i8"), ("packets", "i8")])
SLOTS = 4096  # a power of 2
PROBES = 8  # places looked at; a verdict that finds none counts by its reason alone
SHOWN = 100  # verdicts told apart in a file
UNKNOWN_SHARE = 0.01  # of the packets of a capture, from which a warning says that layers are not known
NAMED = 3  # of the layers in a warning
REMEDY = "if tshark can read them, `tshark -r IN -U IP -w OUT` writes their IP packets alone"
PRIVATE = range(147, 163)  # link types
RELABEL = "if it holds Ethernet or raw IP, say so with `editcap -T ether IN OUT` or `editcap -T rawip IN OUT`"
REASON_MASK = (1 << REASON_BITS) - 1


@njit(cache=True, nogil=True)
def count_skipped(counts: np.ndarray, verdict: Integer) -> None:
    """Count a packet with this verdict in `counts`, of :func:`new_counts`."""
    reason = verdict & REASON_MASK
    if verdict == reason:
        counts[reason].packets += 1
        return
    start = verdict ^ (verdict >> 20) ^ (verdict >> 40)
    for probe in range(PROBES):
        slot = len(REASONS) + (start + probe) % (len(counts) - len(REASONS))
        if counts[slot].packets == 0:
            counts[slot].verdict = verdict
        if counts[slot].verdict == verdict:
            counts[slot].packets += 1
            return
    counts[reason].packets += 1


def new_counts() -> np.ndarray:
    """(SLOTS,) ``COUNT``: packets by verdict, of the bare reasons first; none yet."""
    return np.zeros(SLOTS, COUNT)


def by_name(counts: np.ndarray) -> dict[str, int]:
    """{what was skipped: packets}, in the order of ``REASONS``, then the most first.

    Beyond ``SHOWN`` kinds, the rest counts by reason alone.
    """
    found: dict[tuple[int, str], int] = {}
    for verdict, packets in _most_first(counts):
        reason, key = verdict & REASON_MASK, verdict >> REASON_BITS
        name = f"{REASONS[reason]}: {layer_name(key)}" if key and len(found) < SHOWN else REASONS[reason]
        found[reason, name] = found.get((reason, name), 0) + packets
    return {name: found[reason, name] for reason, name in sorted(found, key=lambda each: each[0])}


def packets_of(counts: np.ndarray, reason: int, key: int) -> int:
    """Packets skipped for this reason at this layer."""
    return int(counts["packets"][counts["verdict"] == (reason | key << REASON_BITS)].sum())


def refuse_link(capture: "Capture") -> None:
    """Raise InputError where no packet of a pcap file can be read, because of its link type."""
    if capture.link is not None and not _is_read(capture.link):
        remedy = RELABEL if capture.link in PRIVATE else REMEDY
        name = layer_name(key_of(LINK, capture.link))
        raise InputError(f"{capture.path}: byte 20: no IP packet can be found behind {name}; {remedy}")


def refuse_links(capture: "Capture", counts: np.ndarray) -> None:
    """Raise InputError where no packet of an open capture, read so far, is of a link type that can be read."""
    unread = [
        (verdict, packets) for verdict, packets in _most_first(counts) if verdict & REASON_MASK == LINK_UNSUPPORTED
    ]
    if capture.packets_read and sum(packets for _, packets in unread) == capture.packets_read:
        names = ", ".join(layer_name(verdict >> REASON_BITS) for verdict, _ in unread[:NAMED] if verdict >> REASON_BITS)
        raise InputError(f"{capture.path}: byte 0: no packet has a link type that can be read ({names}); {REMEDY}")


def _is_read(link: int) -> bool:
    layer = BY_KEY.get(key_of(LINK, link))
    return layer is not None and layer.step != NO_IP


def unknown_packets(counts: np.ndarray) -> int:
    """Packets in which IP may have been, but not found: of unknown layers, or of such that cannot be read."""
    return sum(packets for verdict, packets in _most_first(counts) if _is_unknown(verdict))


def unknown_warnings(counts: np.ndarray, packets_read: int) -> list[str]:
    """A warning if more than ``UNKNOWN_SHARE`` of the packets may hold IP that was not found; else none."""
    unknown = unknown_packets(counts)
    if unknown <= UNKNOWN_SHARE * packets_read:
        return []
    keys = [verdict >> REASON_BITS for verdict, _ in _most_first(counts) if _is_unknown(verdict)]
    names = [layer_name(key) for key in keys if key]
    shown = ", ".join(names[:NAMED]) + f" and {len(names) - NAMED} more" * (len(names) > NAMED)
    return [
        f"{unknown:,} of {packets_read:,} packets are skipped, of layers that are unknown or cannot be read ({shown}):"
        f" their conversations are missing; {REMEDY}"
    ]


def _is_unknown(verdict: int) -> bool:
    return verdict & REASON_MASK in (NOT_IP, LINK_UNSUPPORTED) and may_hold_ip(verdict >> REASON_BITS)


def _most_first(counts: np.ndarray) -> list[tuple[int, int]]:
    """(verdict, packets) of those that occur, the most first."""
    counts["verdict"][: len(REASONS)] = np.arange(len(REASONS))
    counted = counts[counts["packets"] > 0]
    order = np.argsort(-counted["packets"], kind="stable")
    return [(int(each["verdict"]), int(each["packets"])) for each in counted[order]]

"""Frames: where the IP header of a captured frame begins.

Walks along the table :mod:`rnnids.captures.layers`, layer by layer, whatever their nesting; the common case, Ethernet
or Linux cooked with or without VLAN tags, goes by a shorter way. Each function takes the frame as ``buffer[at:end]``
and reads nothing outside it.

A verdict is 0 where the IP header is found, else why not: a reason (an index of ``reasons.REASONS``) and, above its
``REASON_BITS``, the key of the layer at which reading ended.
"""

import numpy as np

from rnnids.captures import layers as table
from rnnids.captures.compiled import Integer, big16
from rnnids.captures.link_layers import (
    ETHERNET,
    IPV4,
    IPV6,
    LINUX_SLL,
    LINUX_SLL2,
    OF_LINK,
    OF_SAP,
    OLD_QINQ,
    PROVIDER_VLAN,
    TRUNCATED,
    UNREADABLE,
    VLAN,
    of_headers,
    of_links,
)
from rnnids.captures.reasons import KEPT, LINK_TRUNCATED, LINK_UNSUPPORTED, NOT_IP, REASON_BITS
from rnnids.captures.tunnels import NO_TUNNEL, of_tunnels
from rnnids.machine_code import njit

LONGEST_LLC = 1500  # in place of an EtherType: up to this it is a length, and LLC follows
DEEPEST = 24  # layers of a frame; more is a loop that somebody built
UNCOMMON = -1  # in place of an offset
NOT_TUNNELLED = -1  # in place of a verdict: the packet is not of the tunnel that its port or protocol says
SHIFT = table.SHIFT


@njit(cache=True, nogil=True, inline="always")
def common_ip(buffer: np.ndarray, at: Integer, end: Integer, link: Integer) -> Integer:
    """Offset of the IP header of a frame as most are: of Ethernet or Linux cooked, maybe with VLAN tags; or UNCOMMON.

    Nothing is called here and no table is looked into, for the sake of speed; :func:`walk` knows the rest.
    """
    if link == ETHERNET:
        size, place = 14, 12
    elif link == LINUX_SLL:
        size, place = 16, 14
    elif link == LINUX_SLL2:
        size, place = 20, 0
    else:
        return UNCOMMON
    if at + size > end:
        return UNCOMMON
    ethertype = big16(buffer, at + place)
    at += size
    while ethertype in (VLAN, PROVIDER_VLAN, OLD_QINQ):
        if at + 4 > end:
            return UNCOMMON
        ethertype = big16(buffer, at + 2)
        at += 4
    return at if ethertype in (IPV4, IPV6) else UNCOMMON


@njit(cache=True, nogil=True, inline="always")
def find_ip(
    buffer: np.ndarray, at: Integer, end: Integer, link: Integer, layers: np.ndarray
) -> tuple[Integer, Integer]:
    """Offset of the IP header of the frame ``buffer[at:end]`` of link type `link`; returns (offset, verdict).

    `layers` is of ``layers.layer_table``.
    """
    place = common_ip(buffer, at, end, link)
    if place != UNCOMMON:
        return place, KEPT
    return walk(buffer, at, end, OF_LINK | link, layers)


@njit(cache=True, nogil=True)
def walk(buffer: np.ndarray, at: Integer, end: Integer, key: Integer, layers: np.ndarray) -> tuple[Integer, Integer]:
    """Go from the layer `key`, which begins at `at`, to the IP header; returns (offset, verdict)."""
    for _ in range(DEEPEST):
        if key >> SHIFT == table.ETHERTYPE and key & 0xFFFF <= LONGEST_LLC:
            key = np.int64(OF_SAP)
        row = np.searchsorted(layers[:, 0], key)
        if row == len(layers) or layers[row, 0] != key:
            return at, ended_at(key)
        step = layers[row, 1]
        if step == table.IP:
            return at, KEPT
        if step in (table.NO_IP, table.CLOSED):
            return at, ended_at(key)
        here = key
        if step in (table.INTO, table.FIELD):
            at, key = fixed(buffer, at, end, layers[row])
        elif step < table.TO_WIRELESS:
            at, key = of_links(buffer, at, end, step)
        elif step < table.TO_VXLAN:
            at, key = of_headers(buffer, at, end, step)
        else:
            at, key = of_tunnels(buffer, at, end, layers[row])
        if key == TRUNCATED:
            return at, LINK_TRUNCATED
        if key == NO_TUNNEL:
            return at, NOT_TUNNELLED
        if key == UNREADABLE:
            return at, NOT_IP | here << REASON_BITS
    return at, ended_at(key)


@njit(cache=True, nogil=True)
def ended_at(key: Integer) -> Integer:
    """The verdict on a frame in which reading ended at the layer `key`."""
    return (LINK_UNSUPPORTED if key >> SHIFT == table.LINK else NOT_IP) | key << REASON_BITS


@njit(cache=True, nogil=True)
def fixed(buffer: np.ndarray, at: Integer, end: Integer, row: np.ndarray) -> tuple[Integer, Integer]:
    """Pass a header of fixed size that names what follows in a field, or not at all."""
    size, field, width, following = row[2], row[3], row[4], row[5]
    if at + size > end:
        return at, TRUNCATED
    number: Integer = np.int64(0)
    if width == 1:
        number = np.int64(buffer[at + field])
    elif width == 2:
        number = big16(buffer, at + field)
    return at + size, following | number

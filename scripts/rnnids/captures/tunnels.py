"""Tunnels: how to come from what carries them, a UDP payload or an IP protocol, to the packet inside.

Which tunnels are passed ``extraction.unwrap`` says; the others are not in the table. Functions are as in
:mod:`rnnids.captures.link_layers`; ``NO_TUNNEL`` in place of a key: port or protocol say so, the header does not, or
what it carries is of no conversation (an echo of GTP). Such packets count as what their outer header says.
"""

import numpy as np

from rnnids.captures import layers as table
from rnnids.captures.compiled import Integer, big16
from rnnids.captures.link_layers import ETHERNET, OF_ETHERTYPE, OF_LINK, OF_NSH, RAW_IP, TRUNCATED, UNREADABLE
from rnnids.machine_code import njit

OF_ERSPAN = table.key_of(table.ERSPAN, 0)
NO_TUNNEL = -3
ERSPAN_1_OR_2, ERSPAN_3 = 0x88BE, 0x22EB  # protocols of GRE
G_PDU = 0xFF  # message of GTP that carries a packet


@njit(cache=True, nogil=True)
def of_tunnels(buffer: np.ndarray, at: Integer, end: Integer, row: np.ndarray) -> tuple[Integer, Integer]:
    """Steps over the headers of tunnels; `row` is of the table."""
    step, following = row[1], row[5]
    if step == table.TO_GRE:
        return after_gre(buffer, at, end, following)
    if step == table.TO_ERSPAN3:
        return after_erspan3(buffer, at, end)
    if step == table.TO_TEREDO:
        return after_teredo(buffer, at, end)
    if at + 8 > end:
        return at, TRUNCATED
    if step == table.TO_GTP:
        return after_gtp(buffer, at, end)
    if step == table.TO_VXLAN:
        return at + 8, following if buffer[at] & 0x08 != 0 else NO_TUNNEL
    if step == table.TO_VXLAN_GPE:
        if buffer[at] & 0x08 == 0:
            return at, NO_TUNNEL
        return at + 8, OF_NSH | np.int64(buffer[at + 3]) if buffer[at] & 0x04 != 0 else OF_LINK | ETHERNET
    if buffer[at] & 0xC0 != 0:  # the version of Geneve
        return at, NO_TUNNEL
    return at + 8 + np.int64(buffer[at] & 0x3F) * 4, OF_ETHERTYPE | big16(buffer, at + 2)


@njit(cache=True, nogil=True)
def after_gre(buffer: np.ndarray, at: Integer, end: Integer, following: Integer) -> tuple[Integer, Integer]:
    """Pass the header of GRE, version 0 or 1 (PPTP); `following` is 0 where ERSPAN alone is asked for."""
    if at + 4 > end:
        return at, TRUNCATED
    flags, protocol, start = big16(buffer, at), big16(buffer, at + 2), at
    if flags & 0x07 > 1 or flags & 0x4000 != 0:  # an unknown version, or a route
        return at, NO_TUNNEL
    numbered = flags & 0x1000 != 0
    at += 4 + 4 * (flags & 0x8000 != 0) + 4 * (flags & 0x2000 != 0) + 4 * numbered
    if flags & 0x07 == 1 and flags & 0x0080 != 0:
        at += 4
    if protocol == ERSPAN_1_OR_2:
        return at, OF_ERSPAN | (2 if numbered else 1)
    if protocol == ERSPAN_3:
        return at, OF_ERSPAN | 3
    if following == 0 or (flags & 0x07 == 1 and at >= end):  # of PPTP, an acknowledgement alone
        return start, NO_TUNNEL
    return at, following | protocol


@njit(cache=True, nogil=True)
def after_erspan3(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass the header of ERSPAN III: 12 bytes, 8 more where its last bit says so; Ethernet or IP follows."""
    if at + 12 > end:
        return at, TRUNCATED
    last = big16(buffer, at + 10)
    size, kind = (20 if last & 1 != 0 else 12), last >> 10 & 0x1F
    if kind not in (0, 2):
        return at, UNREADABLE
    return at + size, OF_LINK | ETHERNET if kind == 0 else RAW_IP


@njit(cache=True, nogil=True)
def after_gtp(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass the header of GTP-U with its extensions."""
    flags = buffer[at]
    if flags >> 5 != 1 or flags & 0x10 == 0 or buffer[at + 1] != G_PDU:
        return at, NO_TUNNEL
    at += 8
    if flags & 0x07 != 0:
        if at + 4 > end:
            return at, TRUNCATED
        following = buffer[at + 3]
        at += 4
        while following != 0 and flags & 0x04 != 0:  # each in words of 4 bytes, the last byte naming the next
            size = np.int64(buffer[at]) * 4 if at < end else 4
            if size == 0:
                return at, UNREADABLE
            if at + size > end:
                return at, TRUNCATED
            following = buffer[at + size - 1]
            at += size
    return at, RAW_IP


@njit(cache=True, nogil=True)
def after_teredo(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass authentication and origin of Teredo, where they precede the IPv6 header."""
    if at + 4 <= end and big16(buffer, at) == 0x0001:
        at += 13 + np.int64(buffer[at + 2]) + np.int64(buffer[at + 3])
    if at + 8 <= end and big16(buffer, at) == 0x0000:
        at += 8
    if at >= end:
        return at, TRUNCATED
    return at, RAW_IP if buffer[at] >> 4 == 6 else NO_TUNNEL

"""Link layers: where the IP header of a captured frame begins.

Ethernet with any stack of VLAN tags, MPLS labels or a PPPoE session, Linux cooked (v1, v2), raw IP,
BSD loopback, IEEE 802.11 with or without radiotap. Each function takes the frame as
``buffer[at:end]``, reads nothing outside it, and returns (offset, reason), reason ``KEPT`` if the IP
header is expected at the offset.
"""

import numpy as np
from numba import njit

from rnnids.captures.compiled import Integer
from rnnids.captures.reasons import KEPT, LINK_TRUNCATED, LINK_UNSUPPORTED, NOT_IP

# Link types, https://www.tcpdump.org/linktypes.html
NULL, ETHERNET, RAW_BSD, RAW_OPENBSD, RAW, IEEE802_11, LOOP = 0, 1, 12, 14, 101, 105, 108
LINUX_SLL, RADIOTAP, IPV4_ONLY, IPV6_ONLY, LINUX_SLL2 = 113, 127, 228, 229, 276
LINK_TYPES = (
    NULL,
    ETHERNET,
    RAW_BSD,
    RAW_OPENBSD,
    RAW,
    IEEE802_11,
    LOOP,
    LINUX_SLL,
    RADIOTAP,
    IPV4_ONLY,
    IPV6_ONLY,
    LINUX_SLL2,
)
IPV4, IPV6, MPLS, MPLS_MULTICAST, PPPOE = 0x0800, 0x86DD, 0x8847, 0x8848, 0x8864  # EtherTypes
VLAN, PROVIDER_VLAN, OLD_QINQ = 0x8100, 0x88A8, 0x9100
PPP_IPV4, PPP_IPV6 = 0x0021, 0x0057


# Offsets are made unsigned here: numba then drops its test for negative indices, and the compiler
# turns the bytes into one load. `inline`, here and on the common path below, saves the reference
# counting of the buffer at each call: a third of the time.
@njit(cache=True, nogil=True, inline="always")
def big16(buffer: np.ndarray, at: Integer) -> Integer:
    """Unsigned big-endian 16-bit number at byte `at`."""
    at = np.uint64(at)
    return (np.int64(buffer[at]) << 8) | np.int64(buffer[at + np.uint64(1)])


@njit(cache=True, nogil=True, inline="always")
def big32(buffer: np.ndarray, at: Integer) -> Integer:
    """Unsigned big-endian 32-bit number at byte `at`, as uint64."""
    at = np.uint64(at)
    return (
        (np.uint64(buffer[at]) << np.uint64(24))
        | (np.uint64(buffer[at + np.uint64(1)]) << np.uint64(16))
        | (np.uint64(buffer[at + np.uint64(2)]) << np.uint64(8))
        | np.uint64(buffer[at + np.uint64(3)])
    )


@njit(cache=True, nogil=True, inline="always")
def big64(buffer: np.ndarray, at: Integer) -> Integer:
    """Unsigned big-endian 64-bit number at byte `at`."""
    return (big32(buffer, at) << np.uint64(32)) | big32(buffer, at + 4)


@njit(cache=True, nogil=True)
def skip_labels(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass a stack of MPLS labels; returns (offset behind it, reason). What follows is not named: look."""
    bottom = False
    while not bottom:
        if at + 4 > end:
            return at, LINK_TRUNCATED
        bottom = buffer[at + 2] & 1 == 1
        at += 4
    if at >= end:
        return at, LINK_TRUNCATED
    version = buffer[at] >> 4
    return at, KEPT if version == 4 or version == 6 else NOT_IP


@njit(cache=True, nogil=True, inline="always")
def after_ethertype(buffer: np.ndarray, at: Integer, end: Integer, ethertype: Integer) -> tuple[Integer, Integer]:
    """Offset of the IP header, `at` being the byte after `ethertype`; returns (offset, reason)."""
    while ethertype in (VLAN, PROVIDER_VLAN, OLD_QINQ):
        if at + 4 > end:
            return at, LINK_TRUNCATED
        ethertype = big16(buffer, at + 2)
        at += 4
    if ethertype in (IPV4, IPV6):
        return at, KEPT
    if ethertype in (MPLS, MPLS_MULTICAST):
        return skip_labels(buffer, at, end)
    if ethertype != PPPOE:
        return at, NOT_IP
    if at + 8 > end:
        return at, LINK_TRUNCATED
    protocol = big16(buffer, at + 6)
    return at + 8, KEPT if protocol in (PPP_IPV4, PPP_IPV6) else NOT_IP


@njit(cache=True, nogil=True)
def after_wireless(buffer: np.ndarray, at: Integer, end: Integer, radiotap: bool) -> tuple[Integer, Integer]:
    """Offset of the IP header in an IEEE 802.11 data frame; returns (offset, reason)."""
    if radiotap:
        if at + 4 > end:
            return at, LINK_TRUNCATED
        at += np.int64(buffer[at + 2]) | (np.int64(buffer[at + 3]) << 8)
    if at + 2 > end:
        return at, LINK_TRUNCATED
    control, bits = buffer[at], buffer[at + 1]
    if control & 0x0C != 0x08 or control & 0x40 != 0 or bits & 0x40 != 0:
        return at, NOT_IP  # management, control, no data, or encrypted
    at += 24
    if bits & 0x03 == 0x03:  # from one access point to another: a fourth address
        at += 6
    if control & 0x80 != 0:  # quality of service, and with it HT control
        at += 6 if bits & 0x80 != 0 else 2
    if at + 8 > end:
        return at, LINK_TRUNCATED
    if big32(buffer, at) != 0xAAAA0300 or big16(buffer, at + 4) != 0:
        return at, NOT_IP
    return after_ethertype(buffer, at + 8, end, big16(buffer, at + 6))


@njit(cache=True, nogil=True)
def after_family(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Offset of the IP header behind a BSD address family, in the byte order of whoever captured."""
    if at + 4 > end:
        return at, LINK_TRUNCATED
    family = max(buffer[at], buffer[at + 3])
    if buffer[at + 1] != 0 or buffer[at + 2] != 0 or min(buffer[at], buffer[at + 3]) != 0:
        # Some systems write a 16-bit family and an EtherType.
        return at + 4, KEPT if big16(buffer, at + 2) in (IPV4, IPV6) else NOT_IP
    # AF_INET is 2 everywhere; AF_INET6 is 10, 24, 28 or 30 by system.
    return at + 4, KEPT if family in (2, 10, 24, 28, 30) else NOT_IP


@njit(cache=True, nogil=True, inline="always")
def find_ip(buffer: np.ndarray, at: Integer, end: Integer, link: Integer) -> tuple[Integer, Integer]:
    """Offset of the IP header of the frame ``buffer[at:end]`` of link type `link`; returns (offset, reason)."""
    if link == ETHERNET:
        if at + 14 > end:
            return at, LINK_TRUNCATED
        return after_ethertype(buffer, at + 14, end, big16(buffer, at + 12))
    if link in (RAW, RAW_BSD, RAW_OPENBSD, IPV4_ONLY, IPV6_ONLY):
        return at, KEPT
    if link == LINUX_SLL:
        if at + 16 > end:
            return at, LINK_TRUNCATED
        return after_ethertype(buffer, at + 16, end, big16(buffer, at + 14))
    if link == LINUX_SLL2:
        if at + 20 > end:
            return at, LINK_TRUNCATED
        return after_ethertype(buffer, at + 20, end, big16(buffer, at))
    if link in (NULL, LOOP):
        return after_family(buffer, at, end)
    if link in (IEEE802_11, RADIOTAP):
        return after_wireless(buffer, at, end, link == RADIOTAP)
    return at, LINK_UNSUPPORTED

"""Link layers with a header of no fixed size: how to pass each of them (the others stand in the table alone).

Each function takes the rest of the frame as ``buffer[at:end]``, reads nothing outside it, and returns (offset, key):
where the next layer begins and what it is, a key of :mod:`rnnids.captures.layers`.
"""

import numpy as np

from rnnids.captures import layers as table
from rnnids.captures.compiled import Integer, big16, big32, little16, little32
from rnnids.machine_code import njit

ETHERNET, IEEE802_11, LINUX_SLL, RADIOTAP, LINUX_SLL2 = 1, 105, 113, 127, 276  # link types
IPV4, IPV6, ARP, PPPOE = 0x0800, 0x86DD, 0x0806, 0x8864  # EtherTypes
VLAN, PROVIDER_VLAN, OLD_QINQ = 0x8100, 0x88A8, 0x9100
TRUNCATED, UNREADABLE = -1, -2  # in place of a key
OF_LINK, OF_ETHERTYPE, OF_PPP, OF_SAP, OF_SNAP, OF_NLPID, OF_NSH, OF_FAMILY, OF_WIRELESS, OF_ERF = (
    table.key_of(space, 0)
    for space in (
        table.LINK,
        table.ETHERTYPE,
        table.PPP,
        table.SAP,
        table.SNAP,
        table.NLPID,
        table.NSH_NEXT,
        table.FAMILY,
        table.WIRELESS,
        table.ERF_TYPE,
    )
)
RAW_IP, WIRELESS_FRAME, CISCO_HDLC = OF_LINK | 101, OF_LINK | IEEE802_11, OF_LINK | 104
MANAGEMENT, CONTROL, WITHOUT_DATA, ENCRYPTED, AGGREGATED = range(5)  # numbers of WIRELESS
NFLOG_PAYLOAD = 9


@njit(cache=True, nogil=True)
def of_links(buffer: np.ndarray, at: Integer, end: Integer, step: Integer) -> tuple[Integer, Integer]:
    """Steps over what most frames have: Ethernet, LLC, PPP, MPLS, address families."""
    if step == table.TO_ETHERNET:
        return after_ethernet(buffer, at, end)
    if step == table.TO_LLC:
        return after_llc(buffer, at, end)
    if step == table.TO_SNAP:
        return after_snap(buffer, at, end)
    if step == table.TO_PPP:
        return after_ppp(buffer, at, end)
    if step == table.TO_PPP_OR_CISCO:
        if at < end and buffer[at] in (0x0F, 0x8F):  # Cisco's unicast and multicast
            return at, CISCO_HDLC
        return after_ppp(buffer, at, end)
    if step == table.TO_PPPD:  # the direction instead of an address
        at += 1
        return after_ppp(buffer, at + 1 if at < end and buffer[at] == 0x03 else at, end)
    if step == table.TO_LABELS:
        return after_labels(buffer, at, end)
    return after_family(buffer, at, end)


@njit(cache=True, nogil=True)
def after_ethernet(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass the header of Ethernet, or that which Cisco's ISL puts before it."""
    if at + 14 > end:
        return at, TRUNCATED
    number = big16(buffer, at + 12)
    # To 01-00-0C-00-00 or 03-00-0C-00-00 goes no other frame with a length.
    if number <= 1500 and big32(buffer, at) & 0xFDFFFFFF == 0x01000C00 and buffer[at + 4] == 0:
        return at + 26, OF_LINK | ETHERNET
    return at + 14, OF_ETHERTYPE | number


@njit(cache=True, nogil=True)
def after_llc(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Find out by the service access point what an LLC header, which is not passed, is followed by."""
    if at + 3 > end:
        return at, TRUNCATED
    point = np.int64(buffer[at])
    if point == 0xAA:
        return at + 3, OF_SAP | point
    return at, OF_SAP | point if point != 0 else UNREADABLE


@njit(cache=True, nogil=True)
def after_snap(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass organisation and protocol of SNAP."""
    if at + 5 > end:
        return at, TRUNCATED
    organisation, protocol = np.int64(big32(buffer, at) >> np.uint64(8)), big16(buffer, at + 3)
    if organisation in (0x000000, 0x0000F8):  # RFC 1042, IEEE 802.1H
        return at + 5, OF_ETHERTYPE | protocol
    return at + 5, OF_SNAP | organisation << 16 | protocol


@njit(cache=True, nogil=True)
def after_ppp(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass address and control, unless left out, and the protocol of one or two bytes (RFC 1661, 6.5)."""
    if at + 2 <= end and buffer[at] == 0xFF and buffer[at + 1] == 0x03:
        at += 2
    if at >= end:
        return at, TRUNCATED
    if buffer[at] & 1 == 1:
        return at + 1, OF_PPP | np.int64(buffer[at])
    if at + 2 > end:
        return at, TRUNCATED
    return at + 2, OF_PPP | big16(buffer, at)


@njit(cache=True, nogil=True)
def after_labels(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass a stack of MPLS labels. What follows is not named: IP, or Ethernet with or without a control word."""
    bottom = False
    while not bottom:
        if at + 4 > end:
            return at, TRUNCATED
        bottom = buffer[at + 2] & 1 == 1
        at += 4
    if at >= end:
        return at, TRUNCATED
    version = buffer[at] >> 4
    if version in (4, 6) and (fits(buffer, at, end) or not is_ethernet(buffer, at, end)):
        return at, RAW_IP
    if version == 0 and (is_ethernet(buffer, at + 4, end) or not is_ethernet(buffer, at, end)):
        return at + 4, OF_LINK | ETHERNET  # RFC 4448
    if version == 1 and not is_ethernet(buffer, at, end):
        return at, UNREADABLE  # an associated channel, RFC 4385
    return at, OF_LINK | ETHERNET


@njit(cache=True, nogil=True)
def is_ethernet(buffer: np.ndarray, at: Integer, end: Integer) -> bool:
    """Whether the bytes look like an Ethernet header: its type is a tag, or that of the IP version that follows."""
    if at + 15 > end:
        return False
    number, version = big16(buffer, at + 12), buffer[at + 14] >> 4
    return bool(
        number in (VLAN, PROVIDER_VLAN) or (number == IPV4 and version == 4) or (number == IPV6 and version == 6)
    )


@njit(cache=True, nogil=True)
def fits(buffer: np.ndarray, at: Integer, end: Integer) -> bool:
    """Whether the bytes, of IP version 4 or 6, have the length that their header says, or are cut off before it."""
    if at + 20 > end:
        return True
    if buffer[at] >> 4 == 4:
        return bool(buffer[at] & 0x0F >= 5 and big16(buffer, at + 2) <= end - at)
    return big16(buffer, at + 4) + 40 <= end - at


@njit(cache=True, nogil=True)
def after_family(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass a BSD address family, in the byte order of whoever captured."""
    if at + 4 > end:
        return at, TRUNCATED
    family = max(np.int64(buffer[at]), np.int64(buffer[at + 3]))
    if buffer[at + 1] != 0 or buffer[at + 2] != 0 or min(buffer[at], buffer[at + 3]) != 0:
        return at + 4, OF_ETHERTYPE | big16(buffer, at + 2)  # some systems write a 16-bit family and an EtherType
    return at + 4, OF_FAMILY | family


@njit(cache=True, nogil=True)
def of_headers(buffer: np.ndarray, at: Integer, end: Integer, step: Integer) -> tuple[Integer, Integer]:
    """Steps over headers that tell their own length."""
    if step == table.TO_WIRELESS:
        return after_wireless(buffer, at, end)
    if step == table.TO_RADIOTAP:
        return (at + little16(buffer, at + 2), WIRELESS_FRAME) if at + 4 <= end else (at, TRUNCATED)
    if step == table.TO_AVS:
        return (at + np.int64(big32(buffer, at + 4)), WIRELESS_FRAME) if at + 8 <= end else (at, TRUNCATED)
    if step == table.TO_PPI:
        if at + 8 > end:
            return at, TRUNCATED
        return at + little16(buffer, at + 2), OF_LINK | little32(buffer, at + 4) & 0xFFFF
    if step == table.TO_PKTAP:
        return after_pktap(buffer, at, end)
    if step == table.TO_NFLOG:
        return after_nflog(buffer, at, end)
    if step == table.TO_IPOIB:
        return after_ipoib(buffer, at, end)
    if step == table.TO_NSH:  # length in words of 4 bytes
        return (
            (at + (big16(buffer, at) & 0x3F) * 4, OF_NSH | np.int64(buffer[at + 3]))
            if at + 4 <= end
            else (at, TRUNCATED)
        )
    if step == table.TO_TRILL:
        return (at + 6 + (big16(buffer, at) >> 6 & 0x1F) * 4, OF_LINK | ETHERNET) if at + 2 <= end else (at, TRUNCATED)
    if step == table.TO_MACSEC:
        return after_macsec(buffer, at, end)
    if step == table.TO_FRAME_RELAY:
        return after_frame_relay(buffer, at, end)
    if step == table.TO_TOKEN_RING:
        return after_token_ring(buffer, at, end)
    if step == table.TO_PFLOG:  # its length leaves out what fills it up to words
        return (at + (np.int64(buffer[at]) + 3 & ~3), RAW_IP) if at < end else (at, TRUNCATED)
    if step == table.TO_ERF:
        return after_erf(buffer, at, end)
    if step == table.TO_DOCSIS:
        return after_docsis(buffer, at, end)
    if step == table.TO_BRIDGED:  # over ATM two bytes of padding come first
        padded = at + 2 <= end and big16(buffer, at) == 0 and not is_ethernet(buffer, at, end)
        return at + 2 if padded and is_ethernet(buffer, at + 2, end) else at, OF_LINK | ETHERNET
    # IP over ATM, with or without LLC and SNAP
    return at, OF_SAP if at < end and buffer[at] == 0xAA else RAW_IP


@njit(cache=True, nogil=True)
def after_wireless(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass the header of an IEEE 802.11 data frame."""
    if at + 2 > end:
        return at, TRUNCATED
    control, bits = buffer[at], buffer[at + 1]
    if control & 0x0C != 0x08:
        return at, OF_WIRELESS | (MANAGEMENT if control & 0x0C == 0 else CONTROL)
    if control & 0x40 != 0:
        return at, OF_WIRELESS | WITHOUT_DATA
    if bits & 0x40 != 0:
        return at, OF_WIRELESS | ENCRYPTED
    start, at = at, at + 24
    if bits & 0x03 == 0x03:  # from one access point to another: a fourth address
        at += 6
    if control & 0x80 != 0:  # quality of service, and with it HT control
        if at + 2 > end:
            return start, TRUNCATED
        if buffer[at] & 0x80 != 0:
            return at, OF_WIRELESS | AGGREGATED
        at += 6 if bits & 0x80 != 0 else 2
    return at, OF_SAP


@njit(cache=True, nogil=True)
def after_pktap(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass the header of Apple's PKTAP, in the byte order of whoever captured: length, kind, link type, more."""
    if at + 12 > end:
        return at, TRUNCATED
    if buffer[at + 2] == 0 and buffer[at + 3] == 0:
        length, link = little32(buffer, at), little32(buffer, at + 8)
    else:
        length, link = np.int64(big32(buffer, at)), np.int64(big32(buffer, at + 8))
    return (at + length, OF_LINK | link & 0xFFFF) if length >= 12 else (at, UNREADABLE)


@njit(cache=True, nogil=True)
def after_nflog(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Find the payload among the attributes of NFLOG: length and kind in the capturing host's byte order, value."""
    at += 4  # family, version, resource
    while at + 4 <= end:
        little = buffer[at + 3] == 0  # kinds are small numbers
        size = little16(buffer, at) if little else big16(buffer, at)
        kind = little16(buffer, at + 2) if little else big16(buffer, at + 2)
        if size < 4:
            return at, UNREADABLE
        if kind == NFLOG_PAYLOAD:
            # Of what is not IP (ARP, seen by a bridge) the family tells nothing.
            return at + 4, RAW_IP if at + 4 < end and buffer[at + 4] >> 4 in (4, 6) else UNREADABLE
        at += size + 3 & ~3
    return at, TRUNCATED


@njit(cache=True, nogil=True)
def after_ipoib(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass type and two reserved bytes, which a global routing header of 40 bytes may precede."""
    if at + 4 <= end and big16(buffer, at) in (IPV4, IPV6, ARP) and big16(buffer, at + 2) == 0:
        return at + 4, OF_ETHERTYPE | big16(buffer, at)
    return (at + 44, OF_ETHERTYPE | big16(buffer, at + 40)) if at + 44 <= end else (at, TRUNCATED)


@njit(cache=True, nogil=True)
def after_macsec(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass the security tag of MACsec, unless what follows is encrypted or changed (bits E and C)."""
    if at < end and buffer[at] & 0x0C != 0:
        return at, UNREADABLE
    size = 14 if at < end and buffer[at] & 0x20 != 0 else 6  # with the sender's identifier or without
    return (at + size + 2, OF_ETHERTYPE | big16(buffer, at + size)) if at + size + 2 <= end else (at, TRUNCATED)


@njit(cache=True, nogil=True)
def after_frame_relay(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass address, control and padding; Cisco writes an EtherType right behind the address."""
    start = at
    while at < end and at < start + 4 and buffer[at] & 1 == 0:
        at += 1
    at += 1
    if at + 3 > end:
        return start, TRUNCATED
    if buffer[at] != 0x03:
        return at + 2, OF_ETHERTYPE | big16(buffer, at)
    at += 2 if buffer[at + 1] == 0 else 1
    return at + 1, OF_NLPID | np.int64(buffer[at])


@njit(cache=True, nogil=True)
def after_token_ring(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass the header of Token Ring, with the route where the source's address says that there is one."""
    if at + 15 > end:
        return at, TRUNCATED
    return at + 14 + (np.int64(buffer[at + 14] & 0x1F) if buffer[at + 8] & 0x80 != 0 else 0), OF_SAP


@njit(cache=True, nogil=True)
def after_erf(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass the record header of Endace, with its extensions."""
    if at + 16 > end:
        return at, TRUNCATED
    kind, more = np.int64(buffer[at + 8] & 0x7F), buffer[at + 8] & 0x80 != 0
    at += 16
    while more:
        if at + 8 > end:
            return at, TRUNCATED
        more = buffer[at] & 0x80 != 0
        at += 8
    return at, OF_ERF | kind


@njit(cache=True, nogil=True)
def after_docsis(buffer: np.ndarray, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Pass the MAC header of a DOCSIS packet with its extension; other kinds hold no IP packet that can be read."""
    if at + 6 > end:
        return at, TRUNCATED
    if buffer[at] & 0xFE != 0:
        return at, UNREADABLE
    return at + 6 + (np.int64(buffer[at + 1]) if buffer[at] & 1 != 0 else 0), OF_LINK | ETHERNET

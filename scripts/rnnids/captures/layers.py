"""The table of layers: for each link type, EtherType and so on, how to come from it to the IP header.

One line a layer. A layer is named by a space of numbers and its number there: Ethernet is (LINK, 1), a VLAN tag
(ETHERTYPE, 0x8100). Its step says how to go on: ``IP`` begins here; ``INTO`` the next layer after `size` bytes; by a
``FIELD`` of `width` bytes at byte `at` of `size`, a number in the next space; or by a step of its own, which
:mod:`rnnids.captures.link_layers` compiles. To add a layer with a header of fixed size, add its line.

``NO_IP``: no IP packet can follow. ``CLOSED``: one may, but it cannot be read (compressed, encrypted, in parts). What
is in no line is unknown: :mod:`rnnids.captures.skipped` counts it by its number, and warns if it is much.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from rnnids.captures.layer_names import ETHERTYPE_NAMES, IP_PROTOCOL_NAMES, LINK_NAMES

# Spaces of numbers. A key is a space and a number in it.
LINK, ETHERTYPE, PPP, SAP, SNAP, NLPID, NSH_NEXT, FAMILY, WIRELESS, ERF_TYPE, IP_PROTOCOL, UDP_PORT, ERSPAN = range(
    1, 14
)
SHIFT = 40  # bits of a number: SNAP has five bytes
# Steps.
IP, NO_IP, CLOSED, INTO, FIELD = range(5)
(
    TO_LLC,
    TO_SNAP,
    TO_ETHERNET,
    TO_PPP,
    TO_PPP_OR_CISCO,
    TO_PPPD,
    TO_LABELS,
    TO_FAMILY,
    TO_WIRELESS,
    TO_RADIOTAP,
    TO_AVS,
    TO_PPI,
    TO_PKTAP,
    TO_NFLOG,
    TO_IPOIB,
    TO_NSH,
    TO_TRILL,
    TO_MACSEC,
    TO_FRAME_RELAY,
    TO_TOKEN_RING,
    TO_PFLOG,
    TO_ERF,
    TO_DOCSIS,
    TO_BRIDGED,
    TO_CLIP,
) = range(10, 35)
TO_VXLAN, TO_VXLAN_GPE, TO_GENEVE, TO_GTP, TO_TEREDO, TO_GRE, TO_ERSPAN3 = range(50, 57)
TUNNELS = ("vxlan", "gre", "erspan", "geneve", "gtp", "ipip", "6in4", "teredo")  # names of extraction.unwrap


@dataclass(frozen=True)
class Layer:
    """One line of the table.

    Attributes:
        space, number, name: what it is.
        step: how to go on. source: where that is written.
        next: the space of the number that the field holds, or with INTO the layer that follows, (space, number).
        size, at, width: bytes of the header, place and bytes of the field.
        tunnel: name in ``TUNNELS``; such a layer is passed only where it is asked for.
    """

    space: int
    number: int
    name: str
    step: int
    source: str
    next: int | tuple[int, int] = 0
    size: int = 0
    at: int = 0
    width: int = 2
    tunnel: str = ""


LINKTYPES = "tcpdump.org/linktypes"
ETH = (LINK, 1)
LAYERS = (
    # Link types
    Layer(LINK, 0, "BSD loopback", TO_FAMILY, LINKTYPES),
    Layer(LINK, 1, "Ethernet", TO_ETHERNET, "IEEE 802.3"),
    Layer(LINK, 6, "Token Ring", TO_TOKEN_RING, "IEEE 802.5"),
    Layer(LINK, 8, "SLIP", INTO, LINKTYPES, (ETHERTYPE, 0x0800), size=16),
    Layer(LINK, 9, "PPP", TO_PPP, "RFC 1661, 1662"),
    Layer(LINK, 10, "FDDI", INTO, "ISO 9314-2", (SAP, 0), size=13),
    Layer(LINK, 11, "LLC over ATM", TO_LLC, "RFC 2684"),
    Layer(LINK, 12, "raw IP", IP, LINKTYPES),
    Layer(LINK, 14, "raw IP", IP, LINKTYPES),
    Layer(LINK, 50, "PPP in HDLC", TO_PPP_OR_CISCO, LINKTYPES),
    Layer(LINK, 51, "PPPoE", INTO, "RFC 2516", (LINK, 9), size=6),
    Layer(LINK, 100, "LLC over ATM", TO_LLC, "RFC 2684"),
    Layer(LINK, 101, "raw IP", IP, LINKTYPES),
    Layer(LINK, 104, "Cisco HDLC", FIELD, "RFC 1547, 4.3.1", ETHERTYPE, size=4, at=2),
    Layer(LINK, 105, "IEEE 802.11", TO_WIRELESS, "IEEE 802.11"),
    Layer(LINK, 106, "IP over ATM", TO_CLIP, LINKTYPES),
    Layer(LINK, 107, "Frame Relay", TO_FRAME_RELAY, "RFC 2427"),
    Layer(LINK, 108, "OpenBSD loopback", TO_FAMILY, LINKTYPES),
    Layer(LINK, 109, "OpenBSD encapsulated IP", INTO, LINKTYPES, (LINK, 101), size=12),
    Layer(LINK, 113, "Linux cooked", FIELD, LINKTYPES, ETHERTYPE, size=16, at=14),
    Layer(LINK, 117, "OpenBSD pflog", TO_PFLOG, LINKTYPES),
    Layer(LINK, 119, "IEEE 802.11 with Prism header", INTO, LINKTYPES, (LINK, 105), size=144),
    Layer(LINK, 122, "IP over Fibre Channel", INTO, "RFC 2625", (SAP, 0), size=16),
    Layer(LINK, 123, "SunATM", INTO, LINKTYPES, (SAP, 0), size=4),
    Layer(LINK, 127, "IEEE 802.11 with radiotap header", TO_RADIOTAP, "radiotap.org"),
    Layer(LINK, 138, "IP over IEEE 1394", FIELD, LINKTYPES, ETHERTYPE, size=18, at=16),
    Layer(LINK, 143, "DOCSIS", TO_DOCSIS, "DOCSIS 3.1 MULPI, 6.2"),
    Layer(LINK, 163, "IEEE 802.11 with AVS header", TO_AVS, LINKTYPES),
    Layer(LINK, 166, "PPP of pppd", TO_PPPD, LINKTYPES),
    Layer(LINK, 192, "PPI", TO_PPI, "Per-Packet Information Header Specification 1.0.10"),
    Layer(LINK, 197, "Endace ERF", TO_ERF, "Endace, Extensible Record Format"),
    Layer(LINK, 204, "PPP with direction", INTO, LINKTYPES, (LINK, 9), size=1),
    Layer(LINK, 205, "Cisco HDLC with direction", INTO, LINKTYPES, (LINK, 104), size=1),
    Layer(LINK, 206, "Frame Relay with direction", INTO, LINKTYPES, (LINK, 107), size=1),
    Layer(LINK, 219, "MPLS", TO_LABELS, "RFC 3032"),
    Layer(LINK, 226, "Solaris ipnet", INTO, LINKTYPES, (LINK, 101), size=24),
    Layer(LINK, 228, "raw IPv4", IP, LINKTYPES),
    Layer(LINK, 229, "raw IPv6", IP, LINKTYPES),
    Layer(LINK, 239, "NFLOG", TO_NFLOG, LINKTYPES),
    Layer(LINK, 240, "netANALYZER", INTO, LINKTYPES, ETH, size=4),
    Layer(LINK, 241, "netANALYZER with preamble", INTO, LINKTYPES, ETH, size=12),
    Layer(LINK, 242, "IP over InfiniBand", TO_IPOIB, "RFC 4391, 6"),
    Layer(LINK, 258, "Apple PKTAP", TO_PKTAP, LINKTYPES),
    Layer(LINK, 276, "Linux cooked 2", FIELD, LINKTYPES, ETHERTYPE, size=20, at=0),
    Layer(LINK, 281, "Ethernet with Broadcom tag", FIELD, LINKTYPES, ETHERTYPE, size=18, at=16),
    Layer(LINK, 282, "Ethernet behind Broadcom tag", INTO, LINKTYPES, ETH, size=4),
    Layer(LINK, 284, "Ethernet with DSA tag", FIELD, LINKTYPES, ETHERTYPE, size=18, at=16),
    Layer(LINK, 285, "Ethernet with EDSA tag", TO_ETHERNET, LINKTYPES),
    *(Layer(LINK, number, name, NO_IP, LINKTYPES) for number, name in LINK_NAMES.items()),
    # EtherTypes
    Layer(ETHERTYPE, 0x0800, "IPv4", IP, "RFC 894"),
    Layer(ETHERTYPE, 0x86DD, "IPv6", IP, "RFC 2464"),
    *(
        Layer(ETHERTYPE, number, "VLAN tag", FIELD, "IEEE 802.1Q and its precursors", ETHERTYPE, size=4, at=2)
        for number in (0x8100, 0x88A8, 0x9100, 0x9200, 0x9300)
    ),
    Layer(ETHERTYPE, 0x22F3, "TRILL", TO_TRILL, "RFC 6325, 3"),
    Layer(ETHERTYPE, 0x6558, "bridged Ethernet", INTO, "RFC 1701", ETH),
    Layer(ETHERTYPE, 0x8847, "MPLS", TO_LABELS, "RFC 3032"),
    Layer(ETHERTYPE, 0x8848, "MPLS multicast", TO_LABELS, "RFC 5332"),
    Layer(ETHERTYPE, 0x8864, "PPPoE session", INTO, "RFC 2516", (LINK, 9), size=6),
    Layer(ETHERTYPE, 0x880B, "PPP", INTO, "RFC 7042", (LINK, 9)),
    Layer(ETHERTYPE, 0x8870, "LLC in a jumbo frame", TO_LLC, "draft-ietf-isis-ext-eth-01"),
    Layer(ETHERTYPE, 0x88E5, "MACsec", TO_MACSEC, "IEEE 802.1AE, 9"),
    Layer(ETHERTYPE, 0x88E7, "provider backbone bridge", INTO, "IEEE 802.1ah", ETH, size=4),
    Layer(ETHERTYPE, 0x8903, "FabricPath", INTO, "Cisco FabricPath: FTag and TTL", ETH, size=2),
    Layer(ETHERTYPE, 0x8909, "Cisco MetaData", FIELD, "Cisco TrustSec", ETHERTYPE, size=8, at=6),
    Layer(ETHERTYPE, 0x8926, "VN-tag", FIELD, "Cisco VN-Link", ETHERTYPE, size=6, at=4),
    Layer(ETHERTYPE, 0x892F, "HSR tag", FIELD, "IEC 62439-3, 5", ETHERTYPE, size=6, at=4),
    Layer(ETHERTYPE, 0x893F, "E-tag", FIELD, "IEEE 802.1BR", ETHERTYPE, size=8, at=6),
    Layer(ETHERTYPE, 0x894F, "NSH", TO_NSH, "RFC 8300"),
    Layer(ETHERTYPE, 0xDADA, "EDSA tag", FIELD, "Marvell DSA", ETHERTYPE, size=8, at=6),
    Layer(ETHERTYPE, 0xF1C1, "FRER tag", FIELD, "IEEE 802.1CB, 7.8", ETHERTYPE, size=6, at=4),
    *(Layer(ETHERTYPE, number, name, NO_IP, "IANA, IEEE 802 numbers") for number, name in ETHERTYPE_NAMES.items()),
    # PPP protocols
    Layer(PPP, 0x0021, "IPv4", IP, "RFC 1332"),
    Layer(PPP, 0x0057, "IPv6", IP, "RFC 5072"),
    Layer(PPP, 0x0031, "bridged Ethernet", INTO, "RFC 3518, 4.2", ETH, size=2),
    Layer(PPP, 0x0281, "MPLS", TO_LABELS, "RFC 3032"),
    Layer(PPP, 0x0283, "MPLS multicast", TO_LABELS, "RFC 3032"),
    Layer(PPP, 0x002D, "compressed TCP", CLOSED, "RFC 1144"),
    Layer(PPP, 0x002F, "uncompressed TCP", CLOSED, "RFC 1144"),
    Layer(PPP, 0x003D, "multilink fragment", CLOSED, "RFC 1990"),
    Layer(PPP, 0x0053, "encrypted", CLOSED, "RFC 1968"),
    Layer(PPP, 0x00FD, "compressed", CLOSED, "RFC 1962"),
    Layer(PPP, 0x8021, "IPCP", NO_IP, "RFC 1332"),
    Layer(PPP, 0x8057, "IPV6CP", NO_IP, "RFC 5072"),
    Layer(PPP, 0x80FD, "CCP", NO_IP, "RFC 1962"),
    Layer(PPP, 0xC021, "LCP", NO_IP, "RFC 1661"),
    Layer(PPP, 0xC023, "PAP", NO_IP, "RFC 1334"),
    Layer(PPP, 0xC025, "LQR", NO_IP, "RFC 1989"),
    Layer(PPP, 0xC223, "CHAP", NO_IP, "RFC 1994"),
    Layer(PPP, 0xC227, "EAP", NO_IP, "RFC 3748"),
    # LLC: service access points, SNAP, network layer identifiers
    Layer(SAP, 0x00, "LLC", TO_LLC, "IEEE 802.2"),
    Layer(SAP, 0x06, "IP", INTO, "RFC 1042", (LINK, 101), size=3),
    Layer(SAP, 0xAA, "SNAP", TO_SNAP, "RFC 1042"),
    Layer(SAP, 0xFE, "ISO network layer", FIELD, "ISO/IEC TR 9577", NLPID, size=4, at=3, width=1),
    Layer(SAP, 0x42, "spanning tree", NO_IP, "IEEE 802.1D"),
    Layer(SAP, 0xE0, "IPX", NO_IP, "Novell"),
    Layer(SAP, 0xF0, "NetBIOS", NO_IP, "IEEE 802.2"),
    Layer(SAP, 0xFF, "raw IPX", NO_IP, "Novell"),
    Layer(SNAP, 0x0080C20001, "bridged Ethernet", TO_BRIDGED, "RFC 2427, 4.2; RFC 2684, 5.2"),
    Layer(SNAP, 0x0080C20007, "bridged Ethernet", TO_BRIDGED, "RFC 2427, 4.2; RFC 2684, 5.2"),
    Layer(SNAP, 0x00000C2000, "CDP", NO_IP, "Cisco"),
    Layer(SNAP, 0x00000C2003, "VTP", NO_IP, "Cisco"),
    Layer(SNAP, 0x00000C2004, "DTP", NO_IP, "Cisco"),
    Layer(SNAP, 0x00000C0104, "PAgP", NO_IP, "Cisco"),
    Layer(SNAP, 0x00000C010B, "per-VLAN spanning tree", NO_IP, "Cisco"),
    Layer(SNAP, 0x00000C0111, "UDLD", NO_IP, "RFC 5171"),
    Layer(SNAP, 0x080007809B, "AppleTalk", NO_IP, "Apple"),
    Layer(NLPID, 0xCC, "IPv4", IP, "ISO/IEC TR 9577"),
    Layer(NLPID, 0x8E, "IPv6", IP, "ISO/IEC TR 9577"),
    Layer(NLPID, 0x80, "SNAP", TO_SNAP, "RFC 2427"),
    Layer(NLPID, 0xCF, "PPP", INTO, "RFC 1973", (LINK, 9)),
    *(
        Layer(NLPID, number, name, NO_IP, "ISO/IEC TR 9577")
        for number, name in {0x81: "CLNP", 0x82: "ES-IS", 0x83: "IS-IS"}.items()
    ),
    # What follows the headers of NSH (and of VXLAN-GPE), BSD address families, wireless and Endace frames
    Layer(NSH_NEXT, 1, "IPv4", IP, "RFC 8300, 2.2"),
    Layer(NSH_NEXT, 2, "IPv6", IP, "RFC 8300, 2.2"),
    Layer(NSH_NEXT, 3, "Ethernet", INTO, "RFC 8300, 2.2", ETH),
    Layer(NSH_NEXT, 4, "NSH", TO_NSH, "RFC 8300, 2.2"),
    Layer(NSH_NEXT, 5, "MPLS", TO_LABELS, "RFC 8300, 2.2"),
    Layer(FAMILY, 2, "IPv4", IP, "AF_INET everywhere"),
    *(Layer(FAMILY, number, "IPv6", IP, "AF_INET6 by system") for number in (10, 24, 26, 28, 30)),
    Layer(WIRELESS, 0, "management", NO_IP, "IEEE 802.11"),
    Layer(WIRELESS, 1, "control", NO_IP, "IEEE 802.11"),
    Layer(WIRELESS, 2, "without data", NO_IP, "IEEE 802.11"),
    Layer(WIRELESS, 3, "encrypted", CLOSED, "IEEE 802.11"),
    Layer(WIRELESS, 4, "aggregated", CLOSED, "IEEE 802.11"),
    Layer(ERF_TYPE, 1, "HDLC", INTO, "Endace ERF", (LINK, 50)),
    *(Layer(ERF_TYPE, number, "Ethernet", INTO, "Endace ERF", ETH, size=2) for number in (2, 11, 16, 20)),
    Layer(ERF_TYPE, 22, "IPv4", IP, "Endace ERF"),
    Layer(ERF_TYPE, 23, "IPv6", IP, "Endace ERF"),
    # Tunnels: passed where extraction.unwrap names them
    Layer(IP_PROTOCOL, 4, "IP in IP", IP, "RFC 2003", tunnel="ipip"),
    Layer(IP_PROTOCOL, 41, "IPv6 in IP", IP, "RFC 4213", tunnel="6in4"),
    Layer(IP_PROTOCOL, 47, "GRE", TO_GRE, "RFC 2784, 2890, 2637", ETHERTYPE, tunnel="gre"),
    Layer(ERSPAN, 1, "ERSPAN I", INTO, "draft-foschiano-erspan", ETH, tunnel="erspan"),
    Layer(ERSPAN, 2, "ERSPAN II", INTO, "draft-foschiano-erspan, 4.2", ETH, size=8, tunnel="erspan"),
    Layer(ERSPAN, 3, "ERSPAN III", TO_ERSPAN3, "draft-foschiano-erspan, 4.3", tunnel="erspan"),
    Layer(UDP_PORT, 4789, "VXLAN", TO_VXLAN, "RFC 7348, 5", ETH, tunnel="vxlan"),
    Layer(UDP_PORT, 8472, "VXLAN", TO_VXLAN, "RFC 7348, 5; the port of Linux", ETH, tunnel="vxlan"),
    Layer(UDP_PORT, 4790, "VXLAN-GPE", TO_VXLAN_GPE, "draft-ietf-nvo3-vxlan-gpe, 3", tunnel="vxlan"),
    Layer(UDP_PORT, 6081, "Geneve", TO_GENEVE, "RFC 8926, 3", ETHERTYPE, tunnel="geneve"),
    Layer(UDP_PORT, 2152, "GTP-U", TO_GTP, "3GPP TS 29.281, 5.1", (LINK, 101), tunnel="gtp"),
    Layer(UDP_PORT, 3544, "Teredo", TO_TEREDO, "RFC 4380, 5.1.1", (LINK, 101), tunnel="teredo"),
    *(Layer(IP_PROTOCOL, number, name, NO_IP, "IANA, protocol numbers") for number, name in IP_PROTOCOL_NAMES.items()),
)


def key_of(space: int, number: int) -> int:
    """The key of a layer: one integer."""
    return space << SHIFT | number


TUNNEL_PORTS = {layer.number: layer.tunnel for layer in LAYERS if layer.space == UDP_PORT}
TUNNEL_PROTOCOLS = {layer.number: layer.tunnel for layer in LAYERS if layer.space == IP_PROTOCOL and layer.tunnel}
BY_KEY = {key_of(layer.space, layer.number): layer for layer in LAYERS}
assert len(BY_KEY) == len(LAYERS), "a layer stands in the table twice"
# How a number is written for people.
NUMBERS = {
    LINK: "link type {}",
    ETHERTYPE: "EtherType 0x{:04x}",
    PPP: "PPP protocol 0x{:04x}",
    SAP: "LLC 0x{:02x}",
    SNAP: "SNAP 0x{:010x}",
    NLPID: "NLPID 0x{:02x}",
    NSH_NEXT: "NSH next protocol {}",
    FAMILY: "address family {}",
    WIRELESS: "IEEE 802.11 frame {}",
    ERF_TYPE: "ERF type {}",
    IP_PROTOCOL: "IP protocol {}",
    UDP_PORT: "UDP port {}",
    ERSPAN: "ERSPAN type {}",
}


def layer_name(key: int) -> str:
    """A layer in words: "ARP (EtherType 0x0806)", or its number alone where it is unknown."""
    space, number = key >> SHIFT, key & ((1 << SHIFT) - 1)
    written = NUMBERS[space].format(number)
    return f"{BY_KEY[key].name} ({written})" if key in BY_KEY else written


def may_hold_ip(key: int) -> bool:
    """Whether IP packets may have been lost where reading ended at this layer: it is unknown, or cannot be read."""
    layer = BY_KEY.get(key)
    return layer is None or layer.step != NO_IP


def layer_table(unwrap: Collection[str] = ()) -> np.ndarray:
    """The table as compiled code reads it, without the tunnels that are not in `unwrap`.

    It is an argument of compiled functions, not one of their constants: what numba keeps on disk knows nothing of
    changes to this file.

    Returns:
        (n, 6) int64, sorted by key: key, step, size, at, width, next.
    """
    rows = []
    for key, layer in BY_KEY.items():
        following = key_of(*layer.next) if isinstance(layer.next, tuple) else key_of(layer.next, 0)
        if layer.step == TO_GRE and "gre" not in unwrap and "erspan" in unwrap:
            following = 0  # only for the sake of what it carries
        elif layer.tunnel and layer.tunnel not in unwrap:
            continue
        rows.append((key, layer.step, layer.size, layer.at, layer.width if layer.step == FIELD else 0, following))
    return np.array(sorted(rows), np.int64)

"""Frames around an IP packet, of every link layer and tunnel that is read, after the documents that describe them."""

import struct

from captures import ethernet, ipv4, udp

MACS = bytes.fromhex("020000000002020000000001")
SNAP = bytes.fromhex("aaaa03000000")
ETHER = 0x0800


def mac(ethertype, rest):
    """An Ethernet frame of this EtherType, or length."""
    return MACS + struct.pack(">H", ethertype) + rest


def llc(rest, ethertype=ETHER):
    """LLC and SNAP."""
    return SNAP + struct.pack(">H", ethertype) + rest


def nflog(packet, order="<"):
    """A message of NFLOG: packet header, prefix of odd length, payload."""
    parts = [struct.pack(">BBH", 2, 0, 5)]
    for kind, value in ((1, struct.pack(">HBB", 0x0800, 1, 0)), (10, b"drop\0"), (9, packet)):
        parts.append(struct.pack(f"{order}HH", 4 + len(value), kind) + value + bytes(-len(value) % 4))
    return b"".join(parts)


def pktap(link, frame, order="<"):
    """Apple's header of 108 bytes."""
    return struct.pack(f"{order}III", 108, 1, link) + bytes(96) + frame


def erf(frame, extension=b""):
    """A record of Endace: time, type, flags, length of the record and on the wire, two bytes of padding."""
    sizes = struct.pack(">BBHHH", 0x82 if extension else 2, 0, 18 + len(extension) + len(frame), 0, len(frame))
    return bytes(8) + sizes + extension + bytes(2) + frame


def docsis(frame):
    """A packet of DOCSIS: control, length, the checksum of these (ITU-T X.25, 2.2.7), the frame with its own."""
    header, check = struct.pack(">BBH", 0, 0, len(frame) + 4), 0xFFFF
    for byte in header:
        check ^= byte
        for _ in range(8):
            check = check >> 1 ^ (0x8408 if check & 1 else 0)
    return header + struct.pack("<H", check ^ 0xFFFF) + frame + bytes(4)


def made_by_known(ip):
    """An Ethernet frame between cards of a maker that tshark, which guesses, knows."""
    return bytes.fromhex("000c29000001000c29000002") + ethernet(ip)[12:]


# name: (link type, what stands before and around an IPv4 packet)
FRAMES = {
    "PPP": (9, lambda ip: b"\x00\x21" + ip),
    "PPP, protocol of one byte": (9, lambda ip: b"\x21" + ip),
    "PPP in HDLC framing": (9, lambda ip: b"\xff\x03\x00\x21" + ip),
    "PPP in HDLC framing, protocol of one byte": (9, lambda ip: b"\xff\x03\x21" + ip),
    "PPP, MPLS": (9, lambda ip: b"\x02\x81\x00\x01\x01\x40" + ip),
    "PPP, bridged": (9, lambda ip: b"\x00\x31\x00\x01" + ethernet(ip)),
    "PPP HDLC": (50, lambda ip: b"\xff\x03\x00\x21" + ip),
    "PPP HDLC, Cisco": (50, lambda ip: b"\x0f\x00\x08\x00" + ip),
    "PPP HDLC, Cisco multicast": (50, lambda ip: b"\x8f\x00\x08\x00" + ip),
    "PPPoE as link type": (51, lambda ip: b"\x11\x00\x00\x01\x00\x2a\x00\x21" + ip),
    "Cisco HDLC": (104, lambda ip: b"\x0f\x00\x08\x00" + ip),
    "Cisco HDLC, MPLS": (104, lambda ip: b"\x0f\x00\x88\x47\x00\x01\x01\x40" + ip),
    "Cisco HDLC with direction": (205, lambda ip: b"\x01\x0f\x00\x08\x00" + ip),
    "pppd": (166, lambda ip: b"\x01\x03\x00\x21" + ip),
    "PPP with direction": (204, lambda ip: b"\x00\xff\x03\x00\x21" + ip),
    "PPPoE, one byte": (1, lambda ip: mac(0x8864, b"\x11\x00\x00\x01\x00\x2a\x21" + ip)),
    "PPPoE behind a VLAN tag": (1, lambda ip: mac(0x8100, b"\0\5\x88\x64\x11\x00\x00\x01\x00\x2a\x00\x21" + ip)),
    "LLC/SNAP": (1, lambda ip: mac(8 + len(ip), llc(ip))),
    "LLC/SNAP behind a VLAN tag": (1, lambda ip: mac(0x8100, struct.pack(">HH", 5, 8 + len(ip)) + llc(ip))),
    "LLC/SNAP of IEEE 802.1H": (1, lambda ip: mac(60, b"\xaa\xaa\x03\x00\x00\xf8\x08\x00" + ip)),
    "LLC with the access point of IP": (1, lambda ip: mac(60, b"\x06\x06\x03" + ip)),
    "LLC of ISO": (1, lambda ip: mac(60, b"\xfe\xfe\x03\xcc" + ip)),
    "SNAP, bridged": (1, lambda ip: mac(60, b"\xaa\xaa\x03\x00\x80\xc2\x00\x07" + ethernet(ip))),
    "SNAP around a VLAN tag": (1, lambda ip: mac(60, llc(b"\0\5\x08\x00" + ip, 0x8100))),
    "ISL": (1, lambda ip: b"\x01\x00\x0c\x00\x00\x00" + bytes(6) + b"\0\x50" + SNAP[:3] + bytes(9) + ethernet(ip)),
    "VN-tag": (1, lambda ip: mac(0x8926, b"\0\1\0\2\x08\x00" + ip)),
    "VN-tag and VLAN tag": (1, lambda ip: mac(0x8926, b"\0\1\0\2\x81\x00\0\5\x08\x00" + ip)),
    "E-tag": (1, lambda ip: mac(0x893F, b"\0\0\0\1\0\0\x08\x00" + ip)),
    "VLAN tag and E-tag": (1, lambda ip: mac(0x8100, b"\0\5\x89\x3f\0\0\0\1\0\0\x08\x00" + ip)),
    "802.1ah": (1, lambda ip: mac(0x88E7, b"\0\0\0\7" + ethernet(ip))),
    "802.1ah behind a B-tag, tagged within": (
        1,
        lambda ip: mac(0x88A8, b"\0\5\x88\xe7\0\0\0\7" + ethernet(ip, tags=(0x8100,))),
    ),
    "FabricPath": (1, lambda ip: mac(0x8903, b"\0\1" + ethernet(ip))),
    "FabricPath, tagged within": (1, lambda ip: mac(0x8903, b"\0\1" + ethernet(ip, tags=(0x8100, 0x8100)))),
    "Cisco MetaData": (1, lambda ip: mac(0x8909, b"\1\1\0\1\0\7\x08\x00" + ip)),
    "TRILL": (1, lambda ip: mac(0x22F3, b"\0\1\0\1\0\2" + ethernet(ip))),
    "TRILL with options": (1, lambda ip: mac(0x22F3, b"\0\x41\0\1\0\2" + bytes(4) + ethernet(ip))),
    "MACsec without encryption": (1, lambda ip: mac(0x88E5, b"\x20\0\0\0\0\1" + bytes(8) + b"\x08\x00" + ip)),
    "HSR": (1, lambda ip: mac(0x892F, b"\0\x50\0\1\x08\x00" + ip)),
    "FRER": (1, lambda ip: mac(0xF1C1, b"\0\0\0\1\x08\x00" + ip)),
    "MPLS, pseudowire with control word": (1, lambda ip: mac(0x8847, b"\0\1\1\x40" + bytes(4) + made_by_known(ip))),
    "MPLS, pseudowire without": (1, lambda ip: mac(0x8847, b"\0\1\0\x40\0\2\1\x40" + ethernet(ip))),
    "MPLS, pseudowire to an address that begins with 4": (
        1,
        lambda ip: mac(0x8847, b"\0\1\1\x40" + b"\x42" + ethernet(ip)[1:]),
    ),
    "MPLS as link type": (219, lambda ip: b"\0\1\1\x40" + ip),
    "NSH": (1, lambda ip: mac(0x894F, b"\0\2\2\1" + b"\0\0\1\xff" + ip)),
    "NSH around Ethernet": (1, lambda ip: mac(0x894F, b"\0\6\1\3" + b"\0\0\1\xff" + bytes(16) + ethernet(ip))),
    "NFLOG": (239, nflog),
    "NFLOG, big-endian": (239, lambda ip: nflog(ip, ">")),
    "PKTAP around Ethernet": (258, lambda ip: pktap(1, ethernet(ip))),
    "PKTAP around raw IP, big-endian": (258, lambda ip: pktap(12, ip, ">")),
    "PPI around Ethernet": (192, lambda ip: struct.pack("<BBHI", 0, 0, 8, 1) + ethernet(ip)),
    "PPI around 802.11": (
        192,
        lambda ip: struct.pack("<BBHI", 0, 0, 12, 105) + bytes(4) + b"\x08\x01" + bytes(22) + llc(ip),
    ),
    "IPNET": (226, lambda ip: struct.pack(">BBHI", 1, 2, 0, len(ip)) + bytes(16) + ip),
    "IPoIB": (242, lambda ip: b"\x08\x00\0\0" + ip),
    "IPoIB with routing header": (242, lambda ip: b"\x60" + bytes(39) + b"\x08\x00\0\0" + ip),
    "LOOP": (108, lambda ip: b"\0\0\0\2" + ip),
    "SLL": (113, lambda ip: bytes(14) + b"\x08\x00" + ip),
    "SLL, LLC": (113, lambda ip: bytes(14) + b"\x00\x04" + llc(ip)),
    "SLL, VN-tag": (113, lambda ip: bytes(14) + b"\x89\x26\0\1\0\2\x08\x00" + ip),
    "SLL2": (276, lambda ip: b"\x08\x00" + bytes(18) + ip),
    "SLL2, PPPoE": (276, lambda ip: b"\x88\x64" + bytes(18) + b"\x11\x00\x00\x01\x00\x2a\x21" + ip),
    "Frame Relay": (107, lambda ip: b"\x18\x41\x03\xcc" + ip),
    "Frame Relay, SNAP": (107, lambda ip: b"\x18\x41\x03\x00\x80\x00\x00\x00\x08\x00" + ip),
    "Frame Relay, Cisco": (107, lambda ip: b"\x18\x41\x08\x00" + ip),
    "Frame Relay with direction": (206, lambda ip: b"\x01\x18\x41\x03\xcc" + ip),
    "FDDI": (10, lambda ip: b"\x50" + MACS + llc(ip)),
    "Token Ring": (6, lambda ip: b"\x10\x40" + MACS + llc(ip)),
    "Token Ring with a route": (
        6,
        lambda ip: b"\x10\x40" + MACS[:6] + b"\x82" + MACS[7:] + b"\x06\0" + bytes(4) + llc(ip),
    ),
    "ATM": (100, llc),
    "ATM of BSD": (11, llc),
    "Classical IP over ATM": (106, llc),
    "Classical IP over ATM, without LLC": (106, lambda ip: ip),
    "ATM, bridged": (100, lambda ip: b"\xaa\xaa\x03\x00\x80\xc2\x00\x07\0\0" + made_by_known(ip)),
    "SunATM": (123, lambda ip: b"\x82\0\0\x23" + llc(ip)),
    "IP over Fibre Channel": (122, lambda ip: bytes(16) + llc(ip)),
    "IEEE 1394": (138, lambda ip: bytes(16) + b"\x08\x00" + ip),
    "Prism": (119, lambda ip: struct.pack("<II", 0x44, 144) + bytes(136) + b"\x08\x01" + bytes(22) + llc(ip)),
    "AVS": (163, lambda ip: struct.pack(">II", 0x80211001, 64) + bytes(56) + b"\x08\x01" + bytes(22) + llc(ip)),
    "pflog": (117, lambda ip: bytes([61, 2]) + bytes(62) + ip),
    "OpenBSD ENC": (109, lambda ip: b"\0\0\0\2" + bytes(8) + ip),
    "SLIP": (8, lambda ip: bytes(16) + ip),
    "ERF": (197, lambda ip: erf(ethernet(ip))),
    "ERF with an extension": (197, lambda ip: erf(ethernet(ip), b"\x03" + bytes(7))),
    "DOCSIS": (143, lambda ip: docsis(ethernet(ip))),
    "netANALYZER": (240, lambda ip: b"\0\4\0\0" + ethernet(ip)),
    "DSA tag": (284, lambda ip: MACS + bytes(4) + b"\x08\x00" + ip),
    "EDSA tag": (285, lambda ip: MACS + b"\xda\xda\0\0" + bytes(4) + b"\x08\x00" + ip),
    "Broadcom tag": (281, lambda ip: MACS + bytes(4) + b"\x08\x00" + ip),
    "Broadcom tag before": (282, lambda ip: bytes(4) + ethernet(ip)),
}


UNLIKE_TSHARK = {  # name: why it finds nothing there, or something else
    "SNAP, bridged": "it expects the padding that RFC 2684 has over ATM on Ethernet too",
    "MPLS, pseudowire to an address that begins with 4": "it takes what begins with a 4 for IP",
    "NFLOG, big-endian": "it reads this header in little-endian order, unless told",
    "PKTAP around raw IP, big-endian": "it reads this header in little-endian order alone",
    "IPoIB": "it expects a global routing header",
    "Classical IP over ATM": "it expects no LLC, unlike libpcap",
    "SLIP": "it shows the bytes and no packet",
}


def over_udp(port, content, source=40000):
    """A frame of mirrored traffic."""
    return ethernet(ipv4("192.0.2.1", "192.0.2.2", 17, udp(source, port, content)))


def over_ip(protocol, content):
    """A frame that carries an IP protocol."""
    return ethernet(ipv4("192.0.2.1", "192.0.2.2", protocol, content))


GTP = b"\x30\xff\0\x28\0\0\0\1"
# name: (tunnel of extraction.unwrap, the frame around an IPv4 packet)
TUNNELLED = {
    "VXLAN": ("vxlan", lambda ip: over_udp(4789, b"\x08\0\0\0\0\0\7\0" + ethernet(ip))),
    "VXLAN, tagged within": ("vxlan", lambda ip: over_udp(4789, b"\x08\0\0\0\0\0\7\0" + ethernet(ip, tags=(0x8100,)))),
    "VXLAN at the port of Linux": ("vxlan", lambda ip: over_udp(8472, b"\x08\0\0\0\0\0\7\0" + ethernet(ip))),
    "VXLAN-GPE": ("vxlan", lambda ip: over_udp(4790, b"\x0c\0\0\1\0\0\7\0" + ip)),
    "GRE": ("gre", lambda ip: over_ip(47, b"\0\0\x08\0" + ip)),
    "GRE with key and checksum": ("gre", lambda ip: over_ip(47, b"\xa0\0\x08\0" + bytes(8) + ip)),
    "GRE, bridged": ("gre", lambda ip: over_ip(47, b"\x20\0\x65\x58\0\0\0\7" + ethernet(ip))),
    "PPTP": ("gre", lambda ip: over_ip(47, b"\x30\x81\x88\x0b\0\x30\0\1\0\0\0\1\0\0\0\1\xff\x03\0\x21" + ip)),
    "ERSPAN I": ("erspan", lambda ip: over_ip(47, b"\0\0\x88\xbe" + ethernet(ip))),
    "ERSPAN II": ("erspan", lambda ip: over_ip(47, b"\x10\0\x88\xbe\0\0\0\1" + bytes(8) + ethernet(ip))),
    "ERSPAN III": ("erspan", lambda ip: over_ip(47, b"\x10\0\x22\xeb\0\0\0\1" + bytes(12) + ethernet(ip))),
    "ERSPAN III with more": (
        "erspan",
        lambda ip: over_ip(47, b"\x10\0\x22\xeb\0\0\0\1" + bytes(11) + b"\1" + bytes(8) + ethernet(ip)),
    ),
    "Geneve": ("geneve", lambda ip: over_udp(6081, b"\0\0\x65\x58\0\0\7\0" + ethernet(ip))),
    "Geneve with options": ("geneve", lambda ip: over_udp(6081, b"\2\0\x08\0\0\0\7\0" + bytes(8) + ip)),
    "GTP-U": ("gtp", lambda ip: over_udp(2152, GTP + ip, source=2152)),
    "GTP-U with sequence": ("gtp", lambda ip: over_udp(2152, b"\x32" + GTP[1:] + b"\0\1\0\0" + ip)),
    "GTP-U with an extension": ("gtp", lambda ip: over_udp(2152, b"\x34" + GTP[1:] + b"\0\1\0\x85" + b"\1\0\1\0" + ip)),
    "IP in IP": ("ipip", lambda ip: over_ip(4, ip)),
}

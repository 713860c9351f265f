"""The layout of flow files: every column of /flows, one row a flow, and of /packets, one row a packet.

Flows are sorted by their start; the packets of a flow lie in a row, flow after flow. Data set files have these columns
and more.

``payload_length`` follows from header fields alone: IP length less IP headers (those of IPv6 extensions too) less the
TCP header by its data offset, or 8 bytes of UDP or ICMP. So it is that of the packet as sent, also where the capture
cut it off. A packet whose fixed TCP header (20 bytes, the data offset among them) was not captured is in no flow at
all, so no option is taken for payload. The UDP length field is not looked at. Where headers claim more than the IP
length has, it is 0. Where segmentation offload left an IP length of 0, the frame's length on the wire stands in for it,
as for ``length``, and payload beyond 65535 bytes counts as 65535. Files of earlier versions lack it (``ADDED_LATER``).
"""

from dataclasses import dataclass

import numpy as np

from rnnids.errors import InputError


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        dtype, shape: numpy's type of an item, its shape.
        unit: as it stands in the file, in the column's attribute `unit`.
        meaning: in a line.
    """

    dtype: str
    unit: str
    meaning: str
    shape: tuple[int, ...] = ()

    def fit(self, values: np.ndarray, place: str) -> np.ndarray:
        """Whole numbers as the column holds them; HDF5 would put the largest that it holds for a larger one.

        Raises:
            InputError: one is too large; `place` says where.
        """
        if values.dtype == self.dtype or not len(values):
            return values
        largest, limit = int(values.max()), int(np.iinfo(self.dtype).max)
        if largest > limit:
            raise InputError(
                f"{place}: {largest:,} {self.unit} are more than the {limit:,} that it holds; give a shorter"
                " active_timeout, which makes more flows with fewer packets, or split the capture"
            )
        return values.astype(self.dtype)


ADDRESS = "IPv6 address, IPv4 as ::ffff:a.b.c.d"
FLOW_COLUMNS = {
    "start_ns": Column("i8", "nanoseconds since 1970-01-01 UTC", "time of the first packet"),
    "duration_ns": Column("i8", "nanoseconds", "from the first packet to the last, the sum of the interarrival times"),
    "source_address": Column("u1", ADDRESS, "who sent the first packet", (16,)),
    "destination_address": Column("u1", ADDRESS, "to whom the first packet went", (16,)),
    "source_port": Column("u2", "port (ICMP: 0)", "of the first packet"),
    "destination_port": Column("u2", "port (ICMP: 256 * type + code)", "of the first packet"),
    "protocol": Column("u1", "IP protocol number", "1 ICMP, 6 TCP, 17 UDP, 58 ICMPv6"),
    "end_reason": Column("u1", "index into the attribute end_reasons", "why the flow ends with its last packet"),
    "offset": Column("i8", "row of the first packet in /packets", "where the flow's packets begin"),
    "packet_count": Column("i4", "packets", "how many rows of /packets are the flow's"),
}
FLAGS = "TCP header bits FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128, NS 256"
ADDED_LATER = ("payload_length",)  # columns of /packets that flow files and data sets of earlier versions do not have
PACKET_COLUMNS = {
    "iat_ns": Column(
        "i8", "nanoseconds since the previous packet of the flow", "0 for the first, negative where time steps back"
    ),
    "length": Column("u4", "bytes of the IP packet, header included", "as the IP header says, not as captured"),
    "direction": Column("u1", "0 forward, 1 reverse", "forward is the direction of the flow's first packet"),
    "flags": Column("u2", FLAGS, "0 where the protocol is not TCP"),
    "payload_length": Column(
        "u2", "bytes of transport payload", "behind the header of TCP, UDP or ICMP, as the headers say, not as captured"
    ),
}

"""The columns of flow files."""

FLOW_COLUMNS = (
    "start_ns",
    "duration_ns",
    "source_address",
    "destination_address",
    "source_port",
    "destination_port",
    "protocol",
    "end_reason",
    "offset",
    "packet_count",
)
PACKET_COLUMNS = ("iat_ns", "length", "direction", "flags")

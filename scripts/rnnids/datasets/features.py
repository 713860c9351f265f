"""The 15 packet features of Sec. II, in the order of the model's inputs.

Raw units: ports and protocol as numbers, packet length in bytes (IP total length),
interarrival time (IAT) in milliseconds, direction 0 (forward) or 1 (reverse), flags 0 or 1.
"""

# On disk the TCP flags are the nine bits of the header; the model reads them in this order.
FLAG_BITS = {
    "SYN": 2,
    "FIN": 1,
    "RST": 4,
    "PSH": 8,
    "ACK": 16,
    "URG": 32,
    "ECE": 64,
    "CWR": 128,
    "NS": 256,
}
FEATURES = (
    "source_port",
    "destination_port",
    "protocol",
    "packet_length",
    "interarrival_time",
    "direction",
    *FLAG_BITS,
)
FEATURE_LABELS = (
    "Source port",
    "Destination port",
    "Protocol",
    "Packet length",
    "Interarrival time",
    "Direction",
    *(f"{flag} flag" for flag in FLAG_BITS),
)
NUM_FEATURES = len(FEATURES)
PACKET_LENGTH = FEATURES.index("packet_length")
INTERARRIVAL_TIME = FEATURES.index("interarrival_time")
DIRECTION = FEATURES.index("direction")
CONSTANT_FEATURES = (0, 1, 2)  # the same for every packet of a flow
MANIPULABLE_FEATURES = (PACKET_LENGTH, INTERARRIVAL_TIME)  # Sec. III

FORWARD, REVERSE = 0, 1
NANOSECONDS_PER_MILLISECOND = 1_000_000

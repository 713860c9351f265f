"""Why a captured packet is in no flow: a number in compiled code, words in the flow file and the log."""

REASONS = (
    "",
    "no timestamp",
    "timestamp out of range",
    "undeclared interface",
    "unsupported link type",
    "truncated link header",
    "not IP",
    "truncated IP header",
    "malformed IP header",
    "fragment",
    "unsupported transport protocol",
    "truncated transport header",
    "malformed transport header",
    "outgoing copy",
    "duplicate",
)
REASON_BITS = 8  # of a verdict: above them stands the key of a layer
KEPT = 0  # no reason: the packet is in a flow
NO_TIME, BAD_TIME, NO_INTERFACE = range(1, 4)  # the record cannot be used, whatever its packet
LINK_UNSUPPORTED, LINK_TRUNCATED, NOT_IP, IP_TRUNCATED, IP_MALFORMED, FRAGMENT = range(4, 10)
TRANSPORT_UNSUPPORTED, TRANSPORT_TRUNCATED, TRANSPORT_MALFORMED = range(10, 13)
OUTGOING, DUPLICATE = 13, 14  # only where repair.py is asked to look for them

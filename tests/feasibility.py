"""What an attacker may send, read from the paper and the threat model once more: one flow, one packet at a time.

Shares no code with the library's projection or gate; all in bytes and nanoseconds, in Python's whole numbers.
"""

from fractions import Fraction

from rnnids.attacks.feasible_set import ThreatModel
from rnnids.datasets.flow_data import FlowData

FORWARD_BIT, REVERSE_BIT = 1, 2


def violations(flows: FlowData, changed: FlowData, threat: ThreatModel) -> list[str]:
    """Everything that is wrong with `changed` versions of `flows`, one line each."""
    found = []
    for flow in range(len(flows)):
        found += [f"flow {flow}: {what}" for what in _of_flow(flows, changed, flow, threat)]
    return found


def _of_flow(flows: FlowData, changed: FlowData, flow: int, threat: ThreatModel) -> list[str]:
    found, bytes_added, time_added = [], 0, 0
    for number in range(int(flows.packet_count[flow])):
        place = int(flows.start[flow]) + number
        old, new = (
            {name: int(data.packets[name][place]) for name in ("length", "iat_ns")} for data in (flows, changed)
        )
        more, later = new["length"] - old["length"], new["iat_ns"] - old["iat_ns"]
        bytes_added, time_added = bytes_added + more, time_added + later
        bit = FORWARD_BIT if flows.packets["direction"][place] == 0 else REVERSE_BIT
        if (more or later) and not int(flows.flows["manipulable"][flow]) & bit:
            found.append("the victim's packet changed")
        if more < 0 or later < 0:
            found.append("shorter or sooner")
        if number == 0 and later:
            found.append("the first packet has nothing to come later than")
        if more and new["length"] > threat.mtu:
            found.append("longer than the MTU")
        if more and threat.padding == "payload" and flows.packets["payload_length"][place] == 0:
            found.append("an empty packet was padded")
        if later % int(flows.clock_resolution_ns):
            found.append("off the clock")
        if later and new["iat_ns"] >= _ns(flows.idle_timeout):
            found.append("longer silent than the idle time-out")
        if threat.bytes_per_packet is not None and more > threat.bytes_per_packet:
            found.append("too many bytes for a packet")
        if threat.delay_per_packet is not None and later > _ns(threat.delay_per_packet):
            found.append("too much delay for a packet")
    if threat.bytes_per_flow is not None and bytes_added > threat.bytes_per_flow:
        found.append("too many bytes for a flow")
    if threat.delay_per_flow is not None and time_added > _ns(threat.delay_per_flow):
        found.append("too much delay for a flow")
    if time_added and int(flows.flows["duration_ns"][flow]) + time_added >= _ns(flows.active_timeout):
        found.append("longer than the active time-out")
    return found


def _ns(seconds: float) -> Fraction:
    return Fraction(str(seconds)) * 10**9

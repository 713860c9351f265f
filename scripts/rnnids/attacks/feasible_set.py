"""What an attacker can make of a flow: the feasible set of Sec. III, made realisable.

Only length and interarrival time change, only of packets that the attacker sends, and only
upwards; the first interarrival time stays 0. Beyond the paper, a changed flow can really be sent
and stays one flow: whole bytes, length at most max(original, MTU), interarrival times on the
capture's clock and below `idle_timeout`, total duration below `active_timeout`.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rnnids.datasets import encoding
from rnnids.datasets.features import (
    FORWARD,
    INTERARRIVAL_TIME,
    MANIPULABLE_FEATURES,
    NANOSECONDS_PER_MILLISECOND,
    PACKET_LENGTH,
)
from rnnids.datasets.flow_data import FlowData, is_packet
from rnnids.errors import InputError
from rnnids.settings import check, setting

PADDING = ("any", "payload")
LENGTH, IAT = 0, 1  # columns of raw values
UNITS = (1, NANOSECONDS_PER_MILLISECOND)  # raw values (bytes, ns) to units of features.py (bytes, ms)
BISECTIONS = 60  # halvings of at most 1800 s: far below a nanosecond


@dataclass(frozen=True)
class FeasibleSet:
    """Feasible raw values of a padded batch of B flows: bytes and nanoseconds, float64 (exact).

    Attributes:
        original: (B, T, 2), also the lower bound.
        upper: (B, T, 2), equal to `original` where nothing may change.
        room: (B, 2) bytes and ns by which a flow may grow in all; may be infinite.
        grid: (2,) steps: one byte, one tick of the capture's clock.
    """

    original: Tensor
    upper: Tensor
    room: Tensor
    grid: Tensor

    def take(self, flows: Tensor) -> "FeasibleSet":
        """That of some flows, by their numbers."""
        return FeasibleSet(self.original[flows], self.upper[flows], self.room[flows], self.grid)

    def restricted(self, allowed: np.ndarray, packets: Tensor) -> "FeasibleSet":
        """That in which only some numbers can change: `allowed` (P, 2) bool of the flows' `packets` (B, T) bool."""
        may_change = torch.zeros_like(self.original, dtype=torch.bool)
        may_change[packets] = torch.from_numpy(allowed).to(packets.device)
        return replace(self, upper=torch.where(may_change, self.upper, self.original))

    def contains(self, values: Tensor) -> Tensor:
        """(B,) bool: flows whose raw `values` (B, T, 2) can be sent."""
        inside = ((values >= self.original) & (values <= self.upper)).all(dim=2).all(dim=1)
        return inside & ((values - self.original).sum(dim=1) <= self.room).all(dim=1)


@dataclass(frozen=True, kw_only=True)
class ThreatModel:
    """What an attacker can do to the packets that she sends (Sec. III); the default is the paper's attacker."""

    mtu: int = setting(1500, "bytes of an IP packet up to which padding can make it grow", minimum=68, maximum=65535)
    padding: str = setting("any", "packets that can be padded: any, or those that carry payload", choices=PADDING)
    bytes_per_packet: int | None = setting(None, "bytes added to a packet, at most; none: up to the MTU", minimum=0)
    bytes_per_flow: int | None = setting(None, "bytes added to a flow, at most; none: no limit", minimum=0)
    delay_per_packet: float | None = setting(None, "seconds added before a packet, at most; none: no limit", minimum=0)
    delay_per_flow: float | None = setting(None, "seconds added to a flow, at most; none: no limit", minimum=0)

    def __post_init__(self) -> None:
        check(self)
        if 0 in (self.bytes_per_packet, self.bytes_per_flow) and 0 in (self.delay_per_packet, self.delay_per_flow):
            raise InputError("threat model: it may add neither bytes nor delay, so nothing can be attacked; allow one")


def feasible_set(
    data: FlowData, rows: np.ndarray, threat_model: ThreatModel, *, device: torch.device | str = "cpu"
) -> FeasibleSet:
    """The feasible set of flows `rows` of a FlowData."""
    packet, packet_rows = is_packet(data.packet_count[rows]), data.packet_rows(rows)
    original = raw_values(data, rows)
    movable = np.zeros(packet.shape, dtype=bool)
    movable[packet] = sent_by_attacker(data, rows)
    tick = data.clock_resolution_ns
    limit = np.array([threat_model.mtu, 1e9 * data.idle_timeout - tick])
    upper = np.where(movable[..., None], np.maximum(original, limit), original)
    upper[:, 0, IAT] = original[:, 0, IAT]
    caps = np.array([_limit(threat_model.bytes_per_packet), 1e9 * _limit(threat_model.delay_per_packet)])
    upper = np.minimum(upper, original + caps)
    if threat_model.padding == "payload":
        empty = np.ones(packet.shape, dtype=bool)
        empty[packet] = payload_lengths(data)[packet_rows] == 0
        upper[..., LENGTH] = np.where(empty, original[..., LENGTH], upper[..., LENGTH])
    room = np.full((len(rows), 2), _limit(threat_model.bytes_per_flow))
    left = np.maximum(0, 1e9 * data.active_timeout - tick - data.flows["duration_ns"][rows])
    room[:, IAT] = np.minimum(left, 1e9 * _limit(threat_model.delay_per_flow))
    tensors = (original, upper, room, np.array([1.0, tick]))
    return FeasibleSet(*(torch.from_numpy(np.ascontiguousarray(value)).to(device) for value in tensors))


def raw_values(data: FlowData, rows: np.ndarray, steps: int | None = None) -> np.ndarray:
    """(B, T, 2) float64, bytes and ns, of flows `rows` of a FlowData, 0 after their end; T: `steps`, or the longest."""
    count, packet_rows = data.packet_count[rows], data.packet_rows(rows)
    packet = np.arange(int(count.max()) if steps is None else steps) < np.asarray(count)[:, None]
    values = np.zeros((*packet.shape, 2))
    values[packet, LENGTH] = data.packets["length"][packet_rows]
    values[packet, IAT] = data.packets["iat_ns"][packet_rows]
    return values


def _limit(value: float | None) -> float:
    return math.inf if value is None else value


def payload_lengths(data: FlowData) -> np.ndarray:
    """(P,) bytes of transport payload of each packet.

    Raises:
        InputError: the data set comes from flow files that do not have them.
    """
    if "payload_length" not in data.packets:
        raise InputError(
            "threat model: padding of payload alone needs the payload length of each packet, and this data set was"
            " made by an earlier version without it; extract the flows again"
        )
    return data.packets["payload_length"]


def sent_by_attacker(data: FlowData, rows: np.ndarray) -> np.ndarray:
    """(packets of `rows`,) bool: bit 1 of `manipulable` stands for forward packets, bit 2 for reverse ones."""
    manipulable = np.repeat(data.flows["manipulable"][rows], data.packet_count[rows])
    direction = data.packets["direction"][data.packet_rows(rows)]
    return np.where(direction == FORWARD, manipulable & 1, manipulable & 2) != 0


def project(values: Tensor, feasible: FeasibleSet) -> Tensor:
    """The feasible values nearest to `values`, on the grid; feasible values stay as they are.

    Args:
        values: (B, T, 2) raw values.

    Returns:
        (B, T, 2). Nearest in both features up to the grid's rounding: each coordinate is clipped,
        and where a flow would outlast `active_timeout`, or a limit of the threat model, all its growing interarrival
        times, or lengths, are lowered by the same amount (the projection onto a box cut by a half-space).
    """
    low, high, grid = feasible.original, feasible.upper, feasible.grid
    values = torch.minimum(torch.maximum(values, low), high)
    # Rounding counts from the original, which lies on the grid itself, and upper limits may not.
    growth = torch.round((values - low) / grid) * grid
    growth = torch.where(low + growth > high, growth - grid, growth)
    too_much = growth.sum(dim=1) > feasible.room
    for column in (LENGTH, IAT):
        flows = too_much[:, column]
        if flows.any():
            wanted, most = (values - low)[flows, :, column], (high - low)[flows, :, column]
            growth[flows, :, column] = shorten(wanted, most, feasible.room[flows, column], tick=grid[column])
    return low + growth


def reachable_values(data: FlowData, threat_model: ThreatModel, *, feature: int, uniform: np.ndarray) -> np.ndarray:
    """Random values that an attacker can give to one feature in all packets of a flow at once.

    Bytes that are added are uniform, delays log-uniform; where a flow would outgrow its limits they are lowered.

    Args:
        data: N flows of P packets. feature: ``PACKET_LENGTH`` or ``INTERARRIVAL_TIME``.
        uniform: (P, W) numbers in [0, 1) behind the values.

    Returns:
        (P, W) raw values in the units of ``features.py``.
    """
    rows, column = np.arange(len(data)), MANIPULABLE_FEATURES.index(feature)
    feasible, packet = feasible_set(data, rows, threat_model), torch.from_numpy(is_packet(data.packet_count))
    room, step = (feasible.upper - feasible.original)[..., column], feasible.grid[column]
    found = np.empty(uniform.shape)
    for number, shares in enumerate(uniform.T):
        share = torch.zeros_like(room)
        share[packet] = torch.from_numpy(np.ascontiguousarray(shares))
        growth = share * room if feature == PACKET_LENGTH else step * (room / step).clamp(min=1) ** share
        values = feasible.original.clone()
        values[..., column] += torch.where(room > 0, growth, 0.0)
        found[:, number] = project(values, feasible)[packet][:, column].numpy() / UNITS[column]
    return found


def shorten(growth: Tensor, cap: Tensor, total: Tensor, *, tick: Tensor) -> Tensor:
    """Nearest point of {0 <= g <= cap, sum g <= total} to each row of `growth`, rounded down to ticks.

    Args:
        growth, cap: (B, T) ns or bytes. total: (B,), of the same unit. tick: of the grid.
    """
    low, high = torch.zeros_like(total), growth.amax(dim=1)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        exceeds = (growth - middle[:, None]).clamp(min=0).minimum(cap).sum(dim=1) > total
        low, high = torch.where(exceeds, middle, low), torch.where(exceeds, high, middle)
    return torch.floor((growth - high[:, None]).clamp(min=0).minimum(cap) / tick) * tick


def normalise(values: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Raw values (bytes, ns) -> float32 z-scores, as :func:`rnnids.datasets.encoding.normalise` makes them.

    Args:
        values: (..., 2). mean, std: (2,) of the two features, in bytes and ms.
    """
    units = torch.tensor(UNITS, dtype=values.dtype, device=values.device)
    return encoding.normalise(values / units, mean, std).float()


def manipulable_statistics(data: FlowData, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """(mean, std), each (2,) float64: of length in bytes and interarrival time in ms."""
    columns = [PACKET_LENGTH, INTERARRIVAL_TIME]
    mean, std = (torch.from_numpy(np.asarray(values)[columns]).to(device) for values in (data.mean, data.std))
    return mean, std


def raw_scale(std: Tensor) -> Tensor:
    """(2,) standard deviations in the raw values' units, bytes and ns, from those in bytes and ms."""
    return std * torch.tensor(UNITS, dtype=std.dtype, device=std.device)


def distances(values: Tensor, feasible: FeasibleSet, std: Tensor) -> tuple[Tensor, Tensor]:
    """L1 and L-infinity distance from the original flows in z-scores: two (B,) float64."""
    change = ((values - feasible.original) / raw_scale(std)).abs()
    return change.sum(dim=(1, 2)), change.amax(dim=(1, 2))


def packet_values(values: Tensor, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Padded raw values -> integer columns (length, iat_ns) of the packets, flow after flow."""
    flat = values.cpu().numpy()[is_packet(count)]
    return flat[:, LENGTH].astype(np.uint32), flat[:, IAT].astype(np.int64)

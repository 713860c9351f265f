"""A detector at work: packets in, alarms out, flow by flow as they come, over a capture of any size or a pipe.

Packets are put into flows by the code that extracts them, encoded by the code that feeds the detector in training, and
judged piece by piece: of each live flow the detector's states are kept, from which it goes on. So every packet is seen
once, an alarm comes with the packet that raises it, and the verdict on a flow is that of ``evaluate.py``, which sees
the first `max_packets` packets of it as well.

Memory follows the number of live flows: some 200 bytes of each, and their states up to a limit; further states lie in a
file. A flow that passed a time-out goes when the capture's clock has moved on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch

from rnnids.captures.compiled import Record
from rnnids.captures.packets import PACKET, draw_keys
from rnnids.captures.records import SECOND
from rnnids.datasets.encoding import encode_packets
from rnnids.detectors.alarms import AlarmRule, score_after, score_at_end
from rnnids.detectors.lstm import Trained, as_lstm
from rnnids.detectors.packed_lstm import pack
from rnnids.detectors.state_store import StateStore
from rnnids.flows.ranges import ragged_arange
from rnnids.flows.table import COUNTERS, DIRECTION_BIT, FLOW, ROW, SMALLEST, TCP_FLAGS, add_packets, rebuild, sweep
from rnnids.machine_code import njit
from rnnids.settings import check, setting

ENDED = 1 << 14  # flows that end in a piece, at most
LATE = 60 * SECOND  # ns for which a flow waits beyond its time-out, for packets that come late

# A flow that is watched, as far as it has been seen.
WATCHED = np.dtype(
    [
        ("source_high", "u8"),  # addresses as in packets.PACKET, ports those of the flow's first packet
        ("source_low", "u8"),
        ("destination_high", "u8"),
        ("destination_low", "u8"),
        ("id", "i8"),  # as in table.FLOW
        ("start", "i8"),  # ns since 1970, of the first packet
        ("elapsed", "i8"),  # ns from the first to the last packet seen
        ("forward_bytes", "i8"),
        ("reverse_bytes", "i8"),
        ("forward_packets", "i4"),
        ("reverse_packets", "i4"),
        ("source_port", "u2"),
        ("destination_port", "u2"),
        ("protocol", "u1"),
        ("alarmed", "?"),
        ("settled", "?"),  # nothing more can change the verdict
        ("logit", "f4"),  # of the last packet seen; of an alarm: its score
    ],
    align=True,
)


@dataclass(frozen=True, kw_only=True)
class Watching:
    """What is watched of each flow, and what it may cost."""

    threshold: float = setting(0.0, "logit above which a packet is an attack's")
    false_alarm_rate: float | None = setting(
        None,
        "share of benign validation flows that may raise the alarm, instead of a threshold; none: threshold counts",
        minimum=0,
        below=1,
    )
    batch_packets: int = setting(16384, "packets that the detector is given at a time", minimum=1)
    state_memory: int = setting(
        256, "MiB of states of live flows that are kept in memory; more lie in a file", minimum=1
    )

    def __post_init__(self) -> None:
        check(self)


class Watch:
    """Watches the packets of a capture; what ``extract.build_flows`` fills.

    Args:
        trained: the detector with its normalisation.
        rule: which packets of a flow raise the alarm. threshold: the logit above which they do.
        alarm: called with (n,) WATCHED flows as they are at their alarm, `logit` its score, in the order of time.
        timeouts: idle and active, in nanoseconds. max_packets: that are seen of a flow, the first ones.
        watching: what it may cost. folder: for states beyond memory.

    Attributes:
        flows, packets: that were seen; flows and packets beyond `max_packets` count as well.
    """

    def __init__(
        self,
        trained: Trained,
        rule: AlarmRule,
        alarm: Callable[[np.ndarray], None],
        *,
        threshold: float,
        timeouts: tuple[int, int],
        max_packets: int,
        watching: Watching | None = None,
        folder: Path | None = None,
    ) -> None:
        self.trained, self.rule, self.alarm, self.threshold = trained, rule, alarm, threshold
        watching = watching or Watching()
        self.timeouts, self.max_packets, self.batch_packets = timeouts, max_packets, watching.batch_packets
        self.detector = as_lstm(trained.detector, "Watching goes on packet by packet with")
        self.shape = 2, self.detector.lstm.num_layers, self.detector.lstm.hidden_size
        self.states = StateStore(int(np.prod(self.shape)), watching.state_memory << 20, folder)
        self.keys, self.table = draw_keys(), np.zeros(SMALLEST, FLOW)
        self.counters = np.zeros(1, COUNTERS)[0]
        self.rows, self.ended = np.empty(self.batch_packets, ROW), np.empty(ENDED, FLOW)
        self.places: dict[int, int] = {}  # flow id -> its place in what follows, and in the states
        self.watched = np.zeros(1024, WATCHED)
        self.recent = np.empty((1024, rule.window[1]), np.float32)  # logits of the last packets
        self.free = list(range(1023, -1, -1))
        self.packets, self.swept = 0, np.iinfo(np.int64).min

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.states.close()

    @property
    def flows(self) -> int:
        """Flows begun so far."""
        return int(self.counters["flows"])

    def add(self, packets: np.ndarray) -> None:
        """Watch a (n,) PACKET array, in capture order."""
        for first in range(0, len(packets), self.batch_packets):
            self._add(packets[first : first + self.batch_packets])
        self.packets += len(packets)
        # Where the clock jumps back and forth, one step must not end flows that later packets go on with.
        if len(packets) and packets["time"][-1] > self.swept + self.timeouts[0] // 10:
            self.swept = int(packets["time"][-1])
            self._settle(sweep(self.table, self.swept - LATE, *self.timeouts, False))

    def finish(self) -> int:
        """End the flows that are still live; returns the number of all flows."""
        self._settle(sweep(self.table, self.counters["now"], *self.timeouts, True))
        return self.flows

    def warnings(self) -> list[str]:
        """What to say about the time stamps."""
        steps = int(self.counters["steps_back"])
        return [f"time steps back {steps:,} times between packets; such flows are no part of data sets"] * (steps > 0)

    def _add(self, packets: np.ndarray) -> None:
        done = 0
        while done < len(packets):
            first = done
            done = add_packets(packets, done, self.table, *self.timeouts, self.rows, self.ended, self.counters)
            self._judge(packets[first:done], self.rows[: done - first])
            self._settle(self.ended[: self.counters["ended"]])
            self.counters["rows"] = self.counters["ended"] = 0
            if 4 * self.counters["used"] > 3 * len(self.table):
                self._settle(sweep(self.table, self.counters["now"], *self.timeouts, False))
                self.table = rebuild(self.table, self.counters, self.keys)

    def _judge(self, packets: np.ndarray, rows: np.ndarray) -> None:
        """Let the detector go on with flows, and raise alarms; `rows` (P,) say to which flow `packets` (P,) belong."""
        order = np.argsort(rows["id"], kind="stable")
        ids, begin, count = np.unique(rows["id"][order], return_index=True, return_counts=True)
        places = np.array([self.places.get(id, -1) for id in ids.tolist()], np.int64)
        new = np.flatnonzero(places < 0)
        places[new] = self._place_new(ids[new], packets[order[begin[new]]])
        watched = self.watched[places]
        seen = watched["forward_packets"] + watched["reverse_packets"]
        count = np.minimum(count, self.max_packets - seen)  # of a flow that has been seen to its limit: none
        some = np.flatnonzero(count > 0)
        if not len(some):
            return
        some = some[np.argsort(-count[some], kind="stable")]  # longest first, as the detector wants them
        places, count, begin = places[some], count[some], begin[some]
        chosen = order[ragged_arange(begin, count)]
        logits = self._advance(places, count, rows[chosen], fresh=seen[some] == 0)
        alarms = np.empty(len(places), WATCHED)
        last = self.rule.rule == "last"
        raised = _note(
            self.watched,
            self.recent,
            places,
            count,
            logits,
            rows[chosen],
            alarms,
            self.rule.window[0],
            last,
            self.max_packets,
            self.threshold,
        )
        self._raise(alarms[:raised])

    def _place_new(self, ids: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Places for new flows; `first` (n,) are their first packets."""
        while len(self.free) < len(ids):
            size = len(self.watched)
            self.watched = np.concatenate([self.watched, np.zeros(size, WATCHED)])
            self.recent = np.concatenate([self.recent, np.empty_like(self.recent)])
            self.free = [*range(2 * size - 1, size - 1, -1), *self.free]
        places = np.array([self.free.pop() for _ in ids], np.int64)
        self.places.update(zip(ids.tolist(), places.tolist(), strict=True))
        fresh = np.zeros(len(ids), WATCHED)
        for name in set(WATCHED.names or ()) & set(PACKET.names or ()):
            fresh[name] = first[name]
        fresh["id"], fresh["start"] = ids, first["time"]
        self.watched[places] = fresh
        return places

    def _advance(self, places: np.ndarray, count: np.ndarray, rows: np.ndarray, *, fresh: np.ndarray) -> np.ndarray:
        """(P,) logits of the packets `rows` of flows at `places`, `count` of each; `fresh`: they have no states yet."""
        flows = {name: self.watched[name][places] for name in ("source_port", "destination_port", "protocol")}
        packets = {"iat_ns": rows["iat_ns"], "length": rows["length"]}
        packets |= {"direction": rows["flags"] >> DIRECTION_BIT, "flags": rows["flags"] & TCP_FLAGS}
        trained = self.trained
        encoded = encode_packets(flows, packets, count, mean=trained.mean, std=trained.std, dtype=np.float32)
        packing = pack(count)
        flow, step = np.divmod(packing.index.numpy(), int(count.max()))
        packed = (np.cumsum(count) - count)[flow] + step  # row of each packet that the detector is given
        values = np.zeros((len(places), self.states.width), np.float32)
        values[~fresh] = self.states.read(places[~fresh])
        device = self.detector.device
        states = torch.from_numpy(values.reshape(-1, *self.shape).transpose(1, 2, 0, 3).copy()).to(device)
        sizes = torch.as_tensor(np.asarray(packing.sizes), dtype=torch.int64)
        inputs = torch.from_numpy(encoded[packed]).to(device)
        outputs, after = self.detector.advance(inputs, sizes, (states[0], states[1]))
        values = torch.stack(after).cpu().numpy().transpose(2, 0, 1, 3).reshape(len(places), -1)
        self.states.write(places, values)
        logits = np.empty(len(rows), np.float32)
        logits[packed] = outputs.float().cpu().numpy()
        return logits

    def _settle(self, ended: np.ndarray) -> None:
        """Judge flows that have ended, (n,) FLOW, and let them go."""
        if not len(ended):
            return
        places = np.array([self.places.pop(id) for id in ended["id"].tolist()], np.int64)
        alarms = np.empty(len(places), WATCHED)
        k, last = self.rule.window[0], self.rule.rule == "last"
        raised = _settle_flows(self.watched, self.recent, places, alarms, k, last, self.threshold)
        self.free += places.tolist()
        self._raise(alarms[:raised])

    def _raise(self, alarms: np.ndarray) -> None:
        if len(alarms):
            self.alarm(alarms[np.argsort(alarms["start"] + alarms["elapsed"], kind="stable")])


@njit(cache=True, nogil=True)
def _note(
    watched: np.ndarray,
    recent: np.ndarray,
    places: np.ndarray,
    count: np.ndarray,
    logits: np.ndarray,
    rows: np.ndarray,
    alarms: np.ndarray,
    k: int,
    last: bool,
    max_packets: int,
    threshold: float,
) -> int:
    """Add packets to the flows at `places`, flow after flow; fills `alarms` and returns their number."""
    row = raised = 0
    for place, packets in zip(places, count):  # noqa: B905 - numba's zip takes no keywords
        flow = watched[place]
        for _ in range(packets):
            seen = flow.forward_packets + flow.reverse_packets
            flow.elapsed += rows[row].iat_ns
            if rows[row].flags >> DIRECTION_BIT:
                flow.reverse_packets, flow.reverse_bytes = (
                    flow.reverse_packets + 1,
                    flow.reverse_bytes + rows[row].length,
                )
            else:
                flow.forward_packets, flow.forward_bytes = (
                    flow.forward_packets + 1,
                    flow.forward_bytes + rows[row].length,
                )
            flow.logit = logits[row]
            score = score_after(logits[row], recent[place], seen, k)
            if not last and not flow.alarmed and score > threshold:
                raised = _alarm(flow, score, alarms, raised)
            if seen + 1 == max_packets:
                raised = _settle_flow(flow, recent[place], alarms, raised, k, last, threshold)
            row += 1
    return raised


@njit(cache=True, nogil=True)
def _alarm(flow: Record, score: float, alarms: np.ndarray, raised: int) -> int:
    flow.alarmed = True
    alarms[raised] = flow
    alarms[raised].logit = score
    return raised + 1


@njit(cache=True, nogil=True)
def _settle_flow(
    flow: Record, recent: np.ndarray, alarms: np.ndarray, raised: int, k: int, last: bool, threshold: float
) -> int:
    """The last that is said of a flow."""
    if flow.settled:
        return raised
    flow.settled = True
    score = flow.logit if last else score_at_end(recent, flow.forward_packets + flow.reverse_packets, k)
    if not flow.alarmed and score > threshold:
        return _alarm(flow, score, alarms, raised)
    return raised


@njit(cache=True, nogil=True)
def _settle_flows(
    watched: np.ndarray,
    recent: np.ndarray,
    places: np.ndarray,
    alarms: np.ndarray,
    k: int,
    last: bool,
    threshold: float,
) -> int:
    raised = 0
    for place in places:
        raised = _settle_flow(watched[place], recent[place], alarms, raised, k, last, threshold)
    return raised

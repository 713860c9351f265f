"""The table of live flows under captures made to slow it down: chosen keys, time-outs in bad moments."""

import os
import time

import h5py
import numpy as np
import pytest
from captures import START, ethernet, ipv6, pcap, random_traffic, udp
from chosen_flows import CHOSEN, colliding, drawn, mix, neighbours, packets

from rnnids.captures.packets import MAPPED, TCP, draw_keys
from rnnids.datasets.build import label_columns
from rnnids.errors import InputError
from rnnids.flows import extract
from rnnids.flows.external_sort import scratch
from rnnids.flows.extract import FlowBuilder, extract_flows
from rnnids.flows.files import read_captures
from rnnids.flows.follow import hash_keys
from rnnids.flows.table import RST

COUNT = 50_000
IDLE, ACTIVE = 300, 1800  # here nanoseconds


def without_key(flows):
    """The hash of flows as it was before there were keys."""
    ends = [
        mix(flows[f"{end}_high"] + mix(flows[f"{end}_low"] ^ (flows[f"{end}_port"].astype(np.uint64) << np.uint64(48))))
        for end in ("source", "destination")
    ]
    return mix(ends[0] + ends[1] + flows["protocol"])


def longest_run(hashes, slots=1 << 17):
    """Filled slots in a row, at most, of a table with linear probing, and how many keys its fullest slot has."""
    wanted = np.bincount((hashes & np.uint64(slots - 1)).astype(np.int64), minlength=slots)
    balance = np.cumsum(wanted - 1)
    waiting = balance - np.minimum.accumulate(np.minimum(balance, 0))  # keys that go on to the next slot
    ends = np.flatnonzero((waiting == 0) & (wanted == 0))
    return int(np.diff(ends).max()), int(wanted.max())


def test_the_chosen_flows_collide_where_there_is_no_key():
    assert len(np.unique(without_key(colliding(COUNT)))) == 1
    assert (np.sort(without_key(neighbours(COUNT)) & np.uint64(0xFFFF)) == np.arange(COUNT)).all()


@pytest.mark.parametrize("family", CHOSEN)
@pytest.mark.parametrize("draw", range(3))
def test_chosen_flows_fill_the_table_as_random_ones_do(family, draw):
    chosen = CHOSEN[family](COUNT)
    assert len(np.unique(chosen[["source_high", "source_low", "destination_high", "source_port"]])) == len(chosen)
    keys = draw_keys()
    run, fullest = longest_run(hash_keys(chosen, keys))
    random_run, _ = longest_run(hash_keys(drawn(COUNT), keys))
    assert run < 3 * random_run
    assert fullest < 12  # 0.4 keys a slot: one in 10**12 tables of random hashes has such a slot


def test_the_hash_is_that_of_both_directions_and_of_no_other_keys():
    there = drawn(1000)
    back = there.copy()
    for part in ("high", "low", "port"):
        back[f"source_{part}"], back[f"destination_{part}"] = there[f"destination_{part}"], there[f"source_{part}"]
    keys = draw_keys()
    assert (hash_keys(there, keys) == hash_keys(back, keys)).all()
    assert not (hash_keys(there, keys) == hash_keys(there, draw_keys())).any()


def build(packets_of_all, tmp_path, piece=1 << 15):
    """Put packets into flows as extraction does; returns (CPU seconds, number of flows)."""
    with scratch(tmp_path / "flows.h5") as bucket:
        builder = FlowBuilder(bucket, IDLE, ACTIVE)
        packets_of_all["hash"] = hash_keys(packets_of_all, builder.keys)
        before = time.process_time()
        for first in range(0, len(packets_of_all), piece):
            builder.add(packets_of_all[first : first + piece])
        found = builder.finish()
        return time.process_time() - before, found


def test_200000_chosen_flows_take_no_longer_than_others(tmp_path):
    build(drawn(1000), tmp_path)
    seconds = {}
    for name, make in (("chosen", colliding), ("random", drawn)):
        flows = make(200_000)
        flows["time"] = 0
        taken = [build(flows, tmp_path) for _ in range(3)]
        assert {found for _, found in taken} == {200_000}
        seconds[name] = min(second for second, _ in taken)
    assert seconds["chosen"] < 3 * seconds["random"] + 0.1  # it was some 60 times


def waves(count, wave, gap):
    """One-packet flows, `wave` at a time, the waves `gap` ns apart."""
    return packets(count, source_low=MAPPED | np.arange(count, dtype=np.uint64), time=np.arange(count) // wave * gap)


def short_ones(count):
    """Half of the flows stay, the others are TCP flows that end at once: slots are used up while few flows live."""
    made = waves(count, count, 0)
    made["protocol"][count // 2 :], made["flags"][count // 2 :] = TCP, RST
    return made


PATTERNS = {
    "all stay": lambda count: waves(count, count, 0),
    "each wave ends the one before": lambda count: waves(count, 40_000, IDLE + 1),
    "just within the time-out": lambda count: waves(count, 40_000, IDLE // 5),
    "one wave ends at each sweep": lambda count: waves(count, 16_384, IDLE + 1),
    "ended at once": short_ones,
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_passing_over_the_table_costs_a_few_slots_a_flow(pattern, tmp_path, monkeypatch):
    passed = []

    def counted(table, *rest):
        passed.append(len(table))
        return sweep(table, *rest)

    sweep = extract.sweep
    monkeypatch.setattr(extract, "sweep", counted)
    flows = PATTERNS[pattern](1_000_000)
    assert build(flows, tmp_path)[1] == len(flows)
    assert sum(passed) < 4.5 * len(flows)


def test_which_keys_are_drawn_shows_nowhere_in_the_file(tmp_path):
    ends = colliding(3000)
    frames = []
    for i, flow in enumerate(ends):
        source = flow["source_high"].item() << 64 | flow["source_low"].item()
        frames.append((START + 1000 * (i // 7), ethernet(ipv6(source, 1 << 64, 17, udp(1000, 53)))))
    (tmp_path / "capture.pcap").write_bytes(pcap(frames))
    for name in ("one.h5", "two.h5"):
        extract_flows(tmp_path / "capture.pcap", tmp_path / name)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_numbers_of_flows_beyond_32_bits_change_nothing(tmp_path, monkeypatch):
    """The counters of a run that has seen more flows than 32 bits count."""
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(list(random_traffic(np.random.default_rng(0), 300))))
    extract_flows(path, tmp_path / "few.h5", name="x")
    begin = FlowBuilder.__init__

    def late(self, *arguments):
        begin(self, *arguments)
        self.counters["flows"] = 2**40

    monkeypatch.setattr(FlowBuilder, "__init__", late)
    extract_flows(path, tmp_path / "many.h5", name="x")
    assert (tmp_path / "many.h5").read_bytes() == (tmp_path / "few.h5").read_bytes()


@pytest.mark.parametrize("packets", [2**31 - 1, 2**31, 2**40])
def test_a_flow_of_more_packets_than_its_column_counts_is_refused_in_words(packets, tmp_path, monkeypatch):
    path, output = tmp_path / "capture.pcap", tmp_path / "flows.h5"
    path.write_bytes(pcap(list(random_traffic(np.random.default_rng(0), 20))))
    in_order = extract.in_order

    def counted(bucket):
        for flows, columns, count in in_order(bucket):
            count[0] = packets
            yield flows, columns, count

    monkeypatch.setattr(extract, "in_order", counted)
    if packets < 2**31:
        extract_flows(path, output)
        with h5py.File(output) as file:
            assert file["flows/packet_count"][0] == packets
        return
    with pytest.raises(InputError, match=rf"{output}: /flows/packet_count: {packets:,} packets are more than the"):
        extract_flows(path, output)
    assert os.listdir(tmp_path) == ["capture.pcap"]


def test_more_captures_than_their_column_tells_apart_are_refused():
    with pytest.raises(InputError, match=r"a\.h5 and 65,536 more: more captures than 65,536; merge some"):
        read_captures(["a.h5"] * (2**16 + 1))


def test_more_names_of_attacks_than_their_column_tells_apart_are_refused():
    names = [(f"attack {number}", "x") for number in range(2**16)]
    with pytest.raises(InputError, match="65,537 names of attacks, the column holds 65,536"):
        label_columns(np.zeros(1, int), names, [], attacker_responds=False)

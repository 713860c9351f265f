"""Adversarial captures: a second reader finds nothing wrong with them, and they give the adversarial flows again."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
import zstandard
from captures import RST, SYN, block, ethernet, icmp, interface, pcap, pcapng, section, udp
from conversations import MILLISECOND, checksummed, connection, segment
from second_reader import numbering, read, segment_of

import rnnids
from rnnids.datasets.flow_data import FlowData
from rnnids.errors import InputError
from rnnids.flows.extract import extract_flows
from rnnids.flows.rewriting import flow_keys
from rnnids.storage import read_hdf5

START = 1_700_000_000 * 10**9


def flow_data(path):
    """All flows of a flow file as a FlowData without labels."""
    with read_hdf5(path) as file:
        flows = {name: column[:] for name, column in file["flows"].items()}
        packets = {name: column[:] for name, column in file["packets"].items()}
        start, zeros = flows.pop("offset"), np.zeros(15)
        settings = {name: float(file.attrs[name]) for name in ("idle_timeout", "active_timeout")}
        tick = int(file.attrs["clock_resolution_ns"])
    names = {"attacks": ["Benign"], "categories": ["Benign"]}
    return FlowData(
        flows=flows,
        packets=packets,
        start=start,
        row=np.arange(len(start)),
        mean=zeros,
        std=zeros + 1,
        clock_resolution_ns=tick,
        **names,
        **settings,
    )


def attacked(flows, rng, rows, most=300):
    """Flows `rows`, some of their forward packets padded and delayed at random."""
    flows = flows.take(rows)
    count = len(flows.packets["length"])
    forward = flows.packets["direction"] == 0
    first = np.zeros(count, dtype=bool)
    first[flows.start] = True
    padded, delayed = forward & (rng.random(count) < 0.5), forward & ~first & (rng.random(count) < 0.3)
    length = flows.packets["length"] + np.where(padded, rng.integers(1, most, count), 0)
    delay = np.where(delayed, rng.integers(1, 3000, count), 0) * MILLISECOND
    flows.packets["length"] = length.astype(np.uint32)
    flows.packets["iat_ns"] = flows.packets["iat_ns"] + delay
    return flows


def traffic(rng, six=False):
    """(time, frame) pairs of connections side by side, UDP, ICMP and one TCP reset among them."""
    hosts = ("fd00::1", "fd00::2") if six else ("10.0.0.1", "10.0.0.2")
    packets = []
    for number in range(4):
        begin = START + int(rng.integers(2000)) * MILLISECOND
        packets += connection(rng, begin, (hosts[0], 40000 + number), (hosts[1], 80))
    for number in range(6):
        time = START + number * 300 * MILLISECOND
        for protocol, body in ((17, udp(53, 5353, bytes(number))), (58 if six else 1, icmp(128 if six else 8))):
            packets.append((time, ethernet(checksummed(*hosts, protocol, body))))
    scan = [((41000, 22), (7, 0), SYN), ((22, 41000), (0, 8), RST | 16)]
    for step, (ports, numbers, flags) in enumerate(scan):
        ends = hosts if step == 0 else hosts[::-1]
        packet = checksummed(*ends, 6, segment(ports, numbers, flags))
        packets.append((START + step * MILLISECOND, ethernet(packet) + bytes(max(0, 46 - len(packet)))))
    packets.append((START + 5 * MILLISECOND, ethernet(bytes(28), 0x0806)))
    return sorted(packets, key=lambda packet: packet[0])


def as_link(packets, link):
    """The same packets in frames of another link layer, from those of Ethernet."""
    if link != "ethernet":
        packets = [(time, frame[: 14 + ip_length(frame)]) for time, frame in packets if frame[12:14] == b"\x08\x00"]
    changed = {
        "ethernet": lambda frame: frame,
        "vlan": lambda frame: frame[:12] + struct.pack(">HH", 0x8100, 7) + frame[12:],
        "raw": lambda frame: frame[14:],
        "cooked": lambda frame: bytes(14) + frame[12:],
        "pppoe": lambda frame: (
            frame[:12] + struct.pack(">HBBHHH", 0x8864, 0x11, 0, 1, 2 + ip_length(frame), 0x21) + frame[14:]
        ),
    }[link]
    return [(time, changed(frame)) for time, frame in packets]


def ip_length(frame):
    return int.from_bytes(frame[16:18], "big")


LINKS = {"ethernet": 1, "vlan": 1, "raw": 101, "cooked": 113, "pppoe": 1}
FILES = {
    "a.pcap": pcap,
    "b.pcap": lambda packets: pcap(packets, order=">", tick=1),
    "c.pcap.gz": lambda packets: gzip.compress(pcap(packets)),
    "d.pcap.zst": lambda packets: zstandard.compress(pcap(packets)),
    "e.pcapng": pcapng,
    "f.pcapng.gz": lambda packets: gzip.compress(pcapng(packets, order=">")),
}


def written(folder, data, name="a.pcap", seed=0, chosen=0.6, most=300):
    """(original, copy, all flows, adversarial flows, WrittenCapture) of a capture whose flows are attacked."""
    original, copy = folder / name, folder / f"copy_{name}"
    original.write_bytes(data)
    extract_flows(original, folder / "flows.h5")
    flows, rng = flow_data(folder / "flows.h5"), np.random.default_rng(seed)
    adversarial = attacked(flows, rng, np.flatnonzero(rng.random(len(flows)) < chosen), most)
    result = rnnids.write_pcap(original, copy, flows=folder / "flows.h5", adversarial=adversarial)
    return original, copy, flows, adversarial, result


def assert_round_trip(copy, flows, adversarial, result, folder, **settings):
    """Extracted again, the flows are the adversarial ones, and all others what they were."""
    assert list(result.flows.reason) == [""] * len(adversarial)
    extract_flows(copy, folder / "again.h5", **settings)
    again = flow_data(folder / "again.h5")
    assert len(again) == len(flows)
    places = {key[1:]: [] for key in flow_keys(again.flows)}
    for place, key in enumerate(flow_keys(again.flows)):
        places[key[1:]].append(place)
    expected = dict(zip(adversarial.row, range(len(adversarial)), strict=True))
    start = dict(zip(result.flows.row, result.flows.start_ns, strict=True))
    for row, key in enumerate(flow_keys(flows.flows)):
        place = places[key[1:]].pop(0)
        source, number = (adversarial, expected[row]) if row in expected else (flows, row)
        own, found = (each.packets_of(np.array([i])) for each, i in ((source, number), (again, place)))
        for name in ("length", "iat_ns", "direction", "flags"):
            np.testing.assert_array_equal(found[name], own[name])
        if row in expected:
            assert again.flows["start_ns"][place] == start[row]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("seed", range(3))
def test_a_second_reader_finds_no_fault_and_extraction_the_adversarial_flows(tmp_path, name, seed):
    rng = np.random.default_rng(seed)
    packets = traffic(rng, six=seed % 2 == 1)
    original, copy, flows, adversarial, result = written(tmp_path, FILES[name](packets), name, seed)
    assert_round_trip(copy, flows, adversarial, result, tmp_path)
    before, after = read(original), read(copy)
    assert len(before) == len(after)
    assert [packet.time for packet in after] == sorted(packet.time for packet in after)
    segments = [found for packet in after if (found := segment_of(packet))]
    assert [found.faults for found in segments if found.faults] == []
    counted = (numbering([found for packet in each if (found := segment_of(packet))]) for each in (before, after))
    gaps = [sorted(pair) for pair in counted]
    assert gaps[0] == gaps[1]  # no byte is missing, none acknowledged too early, but for those in the original


@pytest.mark.parametrize("link", LINKS)
def test_each_link_layer_is_written_back_as_it_was(tmp_path, link):
    packets = as_link(traffic(np.random.default_rng(5)), link)
    data = pcap(packets, link=LINKS[link])
    _original, copy, flows, adversarial, result = written(tmp_path, data)
    assert_round_trip(copy, flows, adversarial, result, tmp_path)
    segments = [found for packet in read(copy) if (found := segment_of(packet))]
    assert [found.faults for found in segments if found.faults] == []


def test_payload_keeps_its_order_and_all_else_its_bytes(tmp_path):
    packets = traffic(np.random.default_rng(7))
    original, copy, _flows, adversarial, _result = written(tmp_path, pcap(packets), chosen=0.4)
    digest = hashlib.sha256(original.read_bytes()).hexdigest()
    changed = {frozenset(((bytes(key[4])[-4:], key[1]), (bytes(key[5])[-4:], key[2]))) for key in keys(adversarial)}
    untouched = [[], []]
    streams = [{}, {}]
    for side, path in enumerate((original, copy)):
        for packet in read(path):
            found = segment_of(packet)
            if found and frozenset(found.ends) in changed and found.protocol == 6:
                streams[side].setdefault(found.ends, []).append(found.payload)
            elif not found or found.protocol == 6:
                untouched[side].append(packet)
    assert untouched[0] == untouched[1]
    assert streams[0].keys() == streams[1].keys()
    for ends, before in streams[0].items():
        for one, other in zip(before, streams[1][ends], strict=True):
            assert other == one + bytes(len(other) - len(one))
    assert hashlib.sha256(original.read_bytes()).hexdigest() == digest


def keys(flows):
    return flow_keys(flows.flows)


def unchanged(folder, data, name="a.pcap"):
    """(original, copy) where no flow is attacked."""
    original, copy, *_ = written(folder, data, name, chosen=-1)
    return original.read_bytes(), copy.read_bytes()


def test_without_adversarial_flows_the_copy_is_the_capture(tmp_path):
    before, after = unchanged(tmp_path, pcap(traffic(np.random.default_rng(1))))
    assert before == after


def test_a_delay_moves_what_follows_in_the_connection_and_nothing_else(tmp_path):
    first = connection(np.random.default_rng(2), START)
    later = connection(np.random.default_rng(3), first[-1][0] + 50 * MILLISECOND)
    other = connection(np.random.default_rng(4), START, ("10.0.0.3", 40000))
    packets = sorted(first + later + other, key=lambda packet: packet[0])
    original = tmp_path / "a.pcap"
    original.write_bytes(pcap(packets))
    extract_flows(original, tmp_path / "flows.h5")
    flows = flow_data(tmp_path / "flows.h5")
    rows = [row for row, key in enumerate(keys(flows)) if key[0] == START and key[4].endswith(bytes([10, 0, 0, 1]))]
    adversarial = flows.take(rows)
    adversarial.packets["iat_ns"][2] += 7000 * MILLISECOND
    result = rnnids.write_pcap(original, tmp_path / "b.pcap", flows=tmp_path / "flows.h5", adversarial=adversarial)
    assert result.flows.added_ns.tolist() == [7000 * MILLISECOND]
    times = {}
    for side, path in enumerate((original, tmp_path / "b.pcap")):
        for packet in read(path):
            times.setdefault(packet.frame, [[], []])[side].append(packet.time)
    shifts = {frame: {after - before for before, after in zip(*pair, strict=True)} for frame, pair in times.items()}
    early, moved = {frame for _, frame in first[:2]}, {frame for _, frame in first[2:] + later}
    assert all(shift == ({7000 * MILLISECOND} if frame in moved - early else {0}) for frame, shift in shifts.items())


def test_blocks_that_are_no_packets_stay_and_old_promises_go(tmp_path):
    packets = traffic(np.random.default_rng(8))
    names = block(4, bytes(4))
    comment = struct.pack("<HH4sHHBxxxHH", 1, 4, b"note", 3, 1, 2, 0, 0)  # a comment, a hash, the end
    blocks = [section(), interface(resolution=9), names]
    for time, frame in packets:
        body = struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(frame), len(frame)) + frame
        blocks.append(block(6, body + bytes(-len(frame) % 4) + comment))
    blocks.append(block(5, bytes(12)))
    _, copy, flows, adversarial, result = written(tmp_path, b"".join(blocks), "a.pcapng")
    data = copy.read_bytes()
    assert data.count(names) == 1
    assert data.count(block(5, bytes(12))) == 1
    assert data.count(b"note") == len(packets)
    without = struct.pack("<HH4sHH", 1, 4, b"note", 0, 0)
    assert data.count(without) == result.counts["changed"] - delayed_only(result) > 0
    assert_round_trip(copy, flows, adversarial, result, tmp_path)


def delayed_only(result):
    """Packets of which the time alone changes."""
    return result.counts["changed"] - sum(
        count for words, count in result.counts.items() if words.startswith("with their checksum")
    )


def refused(folder, data, change=lambda flows: None, name="a.pcap"):
    """The reasons of adversarial flows: `change` is given those of a capture, all chosen."""
    original = folder / name
    original.write_bytes(data)
    extract_flows(original, folder / "flows.h5")
    flows = flow_data(folder / "flows.h5").take(slice_of_all(folder / "flows.h5"))
    change(flows)
    result = rnnids.write_pcap(original, folder / "out.pcap", flows=folder / "flows.h5", adversarial=flows)
    kept = read(folder / "out.pcap") == read(original)
    return list(result.flows.reason), kept


def slice_of_all(path):
    return np.arange(len(flow_data(path)))


def one(body, protocol=17, **fields):
    return pcap([(START, ethernet(checksummed("10.0.0.1", "10.0.0.2", protocol, body)))], **fields)


def longer(by):
    def change(flows):
        flows.packets["length"][0] += by

    return change


def test_what_cannot_be_sent_stays_as_it_was_and_says_why(tmp_path):
    assert refused(tmp_path / "", one(udp(1, 2)), longer(65535))[0] == ["longer than 65,535 bytes"]


def test_a_packet_without_ip_length_is_not_padded(tmp_path):
    frame = bytearray(ethernet(checksummed("10.0.0.1", "10.0.0.2", 17, udp(1, 2, bytes(90)))))
    frame[16:18] = bytes(2)
    reasons, kept = refused(tmp_path, pcap([(START, bytes(frame))]), longer(5))
    assert reasons == ["no IP length (segmentation offload)"]
    assert kept


def test_an_authenticated_packet_is_not_padded(tmp_path):
    header = struct.pack(">BBHIII", 17, 4, 0, 1, 1, 0) + bytes(8)
    body = checksummed("fd00::1", "fd00::2", 17, udp(1, 2))
    packet = body[:4] + struct.pack(">HB", len(body) - 40 + 24, 51) + body[7:40] + header + body[40:]
    reasons, kept = refused(tmp_path, pcap([(START, ethernet(packet))]), longer(5))
    assert reasons == ["an IPsec authentication header covers it"]
    assert kept


def two(tick=1000, order="<", time=START):
    frame = ethernet(checksummed("10.0.0.1", "10.0.0.2", 17, udp(1, 2)))
    return pcap([(time, frame), (time + MILLISECOND, frame)], order, tick)


def later(by):
    def change(flows):
        flows.packets["iat_ns"][1] += by

    return change


@pytest.mark.parametrize(
    ("delay", "time", "reason"),
    [
        (500, START, "the clock of the capture is too coarse for its delays"),
        (-1000, START, "a packet follows the one before it sooner than in the original"),
        (10**9, (2**32 - 1) * 10**9, "delayed beyond the last second of the capture's clock"),
    ],
)
def test_a_delay_that_the_clock_cannot_show_is_refused(tmp_path, delay, time, reason):
    assert refused(tmp_path, two(time=time), later(delay)) == ([reason], True)


def test_flows_of_another_kind_are_refused(tmp_path):
    def change(flows):
        flows.packets["flags"][0] = 2

    assert refused(tmp_path, two(), change) == (["its packets are not those of the flow file"], True)


def inputs(tmp_path):
    (tmp_path / "a.pcap").write_bytes(two())
    extract_flows(tmp_path / "a.pcap", tmp_path / "flows.h5")
    return tmp_path / "a.pcap", tmp_path / "b.pcap", tmp_path / "flows.h5", flow_data(tmp_path / "flows.h5")


def test_another_capture_is_refused_and_nothing_written(tmp_path):
    pcap_path, output, flows, adversarial = inputs(tmp_path)
    pcap_path.write_bytes(two() + two()[24:])
    with pytest.raises(InputError, match=r"a\.pcap: not the capture that .*flows\.h5 was extracted from"):
        rnnids.write_pcap(pcap_path, output, flows=flows, adversarial=adversarial)
    assert not output.exists()


def test_an_output_that_exists_is_kept(tmp_path):
    pcap_path, _, flows, adversarial = inputs(tmp_path)
    with pytest.raises(InputError, match="exists already"):
        rnnids.write_pcap(pcap_path, pcap_path, flows=flows, adversarial=adversarial)
    assert pcap_path.read_bytes() == two()


def disorder(packets, rng):
    """Some packets twice within milliseconds, some up to 200 ms later than their time says."""
    order = []
    for time, frame in packets:
        order.append((time + int(rng.integers(200) * (rng.random() < 0.1)) * MILLISECOND, len(order), time, frame))
        if rng.random() < 0.1:
            order.append((time + MILLISECOND, len(order), time + MILLISECOND, frame))
    return [(time, frame) for _, _, time, frame in sorted(order)]


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_of_a_capture_that_extraction_repaired_the_repaired_one_is_written(tmp_path, make):
    rng = np.random.default_rng(11)
    packets = disorder(traffic(rng), rng)
    original, copy = tmp_path / "a.pcap", tmp_path / "b.pcap"
    original.write_bytes(make(packets))
    repair = {"repair": True, "duplicate_window": 0.005, "reorder_window": 0.5}
    extract_flows(original, tmp_path / "flows.h5", **repair)
    flows = flow_data(tmp_path / "flows.h5")
    adversarial = attacked(flows, rng, np.flatnonzero(rng.random(len(flows)) < 0.6))
    result = rnnids.write_pcap(original, copy, flows=tmp_path / "flows.h5", adversarial=adversarial)
    assert_round_trip(copy, flows, adversarial, result, tmp_path, **repair)
    assert len(read(copy)) == sum(flows.packet_count) + 1  # and the one that is not IP
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pcap", "again.h5", "b.pcap", "flows.h5"]


def test_what_a_damaged_capture_still_holds_is_written(tmp_path):
    reasons, _ = refused(tmp_path, two()[:-3], longer(9))
    assert reasons == [""]
    assert len(read(tmp_path / "out.pcap")) == 1

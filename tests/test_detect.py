"""Watching a capture: the verdicts are those of evaluate, however packets come; alerts have Suricata's form."""

import copy
import errno
import gzip
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace

import captures
import detectors
import numpy as np
import pytest
import torch
from conftest import REPOSITORY

from rnnids.captures.packets import PACKET
from rnnids.datasets.flow_data import FlowData
from rnnids.datasets.selection import first_packets
from rnnids.detectors.alarms import AlarmRule, first_alarms, packet_scores
from rnnids.detectors.detect import address, detect, eve_event, timestamp
from rnnids.detectors.inference import packet_logits
from rnnids.detectors.lstm import LSTMDetector, Trained, read_detector, save_detector
from rnnids.detectors.state_store import StateStore
from rnnids.detectors.watch import WATCHED, Watch, Watching
from rnnids.errors import InputError
from rnnids.flows.extract import Extraction, extract_flows
from rnnids.flows.files import flows_stepping_back, read_captures, read_packets

WEIGHTS = REPOSITORY / "resources/models/lab_baseline.safetensors"
EMBEDDED = REPOSITORY / "resources/lab/session4_thu.pcap.gz"
RULES = [AlarmRule(), AlarmRule(rule="any"), AlarmRule(rule="k_of_n")]
CLOSE = 1e-3  # logits nearer to the threshold may fall on either side: sums are in another order


def flow_data(pcap, folder, trained, max_packets=100):
    """The flows of a capture as a data set has them, but unlabelled and with the detector's normalisation."""
    extract_flows(pcap, folder / "flows.h5")
    (capture,), flows = read_captures([folder / "flows.h5"])
    count = flows["packet_count"].astype(np.int64)
    kept = np.flatnonzero(~flows_stepping_back(capture, flows["offset"]))
    pieces = [packets for _, packets in read_packets(capture, flows["offset"], count)]
    packets = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    nothing = {name: np.zeros(len(count), np.uint16) for name in ("attack", "category")}
    data = FlowData(
        flows | nothing | {"packet_count": count},
        packets,
        start=flows["offset"],
        row=np.arange(len(count)),
        attacks=["Benign"],
        categories=["Benign"],
        mean=trained.mean,
        std=trained.std,
        clock_resolution_ns=1000,
        idle_timeout=300,
        active_timeout=1800,
    )
    return first_packets(data.take(kept), max_packets)


def key(event):
    """What tells the flow of an event from all others of a capture."""
    ports = (
        event.get("src_port", 0),
        event.get("dest_port", 256 * event.get("icmp_type", 0) + event.get("icmp_code", 0)),
    )
    return (event["flow"]["start"], event["src_ip"], event["dest_ip"], *ports)


def keys(data):
    """The same of each flow of a FlowData."""
    halves = [data.flows[f"{end}_address"].view(">u8").astype(np.uint64) for end in ("source", "destination")]
    ends = [[address(*half) for half in of_all.tolist()] for of_all in halves]
    ports = data.flows["source_port"].tolist(), data.flows["destination_port"].tolist()
    return list(zip([timestamp(int(start)) for start in data.flows["start_ns"]], *ends, *ports, strict=True))


def watch(pcap, weights=WEIGHTS, **options):
    """(events, summary) of a capture."""
    events = []
    summary = detect(pcap, weights, events.append, **options)
    return events, summary


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """An embedded capture as a data set has it, and its logits as evaluate has them."""
    trained = read_detector(WEIGHTS)
    data = flow_data(EMBEDDED, tmp_path_factory.mktemp("embedded"), trained)
    return data, packet_logits(trained.detector, data)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_verdicts_on_an_embedded_capture_are_those_of_evaluate_flow_by_flow(embedded, rule):
    data, logits = embedded
    events, summary = watch(EMBEDDED, rule=rule)
    found = {key(event): event["rnnids"] for event in events}
    assert len(found) == len(events) == summary["alerts"] > 500
    assert summary["flows"] == len(data)
    scores = packet_scores(logits, data.packet_count, rule)
    packet = first_alarms(scores, data.packet_count, 0.0)
    sure = np.minimum.reduceat(np.abs(logits), data.start) > CLOSE
    assert sure.mean() > 0.95
    elapsed = np.add.accumulate(data.packets["iat_ns"])
    octets = np.add.accumulate(data.packets["length"].astype(np.int64))
    for flow, name in enumerate(keys(data)):
        if not sure[flow]:
            continue
        assert (name in found) == (packet[flow] >= 0)
        if packet[flow] >= 0:
            first, at = data.start[flow], data.start[flow] + packet[flow]
            alert = found[name]
            assert alert["packet"] == packet[flow] + 1
            assert alert["milliseconds"] == pytest.approx((elapsed[at] - elapsed[first]) / 1e6)
            assert alert["bytes"] == octets[at] - octets[first] + data.packets["length"][first]
            assert alert["logit"] == pytest.approx(float(scores[at]), abs=CLOSE)


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    """A capture of random traffic whose flows end in every way, with a detector of random weights."""
    folder = tmp_path_factory.mktemp("wild")
    packets = list(captures.random_traffic(np.random.default_rng(3), 3000))
    (folder / "wild.pcap").write_bytes(captures.pcap(packets))
    mean, std = np.full(15, 0.4), np.full(15, 0.5)
    mean[:6], std[:6] = [3000, 3000, 6, 80, 4000, 0.3], [3000, 3000, 5, 30, 9000, 0.5]
    torch.manual_seed(5)
    detector = LSTMDetector(7, 2)
    data = flow_data(folder / "wild.pcap", folder, Trained(detector, mean, std, {}), max_packets=1)
    with torch.no_grad():  # so that half of the flows begin suspicious
        detector.readout.bias -= float(np.median(packet_logits(detector, data)))
    training = {"validation_fraction": 0.5, "seed": 0}
    save_detector(folder / "weights.safetensors", detector, mean, std=std, training=training)
    return folder


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("max_packets", [1, 4, 100])
def test_how_packets_come_changes_nothing(wild, tmp_path, rule, max_packets):
    """A few packets at a time against whole flows in memory."""
    weights = wild / "weights.safetensors"
    trained = read_detector(weights)
    data = flow_data(wild / "wild.pcap", tmp_path, trained, max_packets)
    logits = packet_logits(trained.detector, data)
    expected = first_alarms(packet_scores(logits, data.packet_count, rule), data.packet_count, 0.0)
    flows = {name: packet + 1 for name, packet in zip(keys(data), expected.tolist(), strict=True) if packet >= 0}
    assert 0.05 < len(flows) / len(data) < 0.95
    for batch in (7, 3000) if max_packets == 4 else (500,):
        options = {"rule": rule, "watching": Watching(batch_packets=batch), "max_packets": max_packets}
        events, _ = watch(wild / "wild.pcap", weights, **options)
        assert {key(event): event["rnnids"]["packet"] for event in events} == flows


def test_states_beyond_memory_lie_in_a_file(tmp_path):
    store, rng = StateStore(6, 4 * 6 * 3, tmp_path), np.random.default_rng(0)
    known = {}
    for _ in range(50):
        places = rng.choice(20, 5, replace=False)
        values = rng.normal(size=(5, 6)).astype(np.float32)
        store.write(places, values)
        known |= dict(zip(places.tolist(), values, strict=True))
        asked = rng.permutation(list(known))
        np.testing.assert_array_equal(store.read(asked), [known[place] for place in asked])
    assert len(store.rows) == 3
    assert not list(tmp_path.iterdir())  # the file has no name, so a killed job leaves none
    store.close()


def test_states_are_whole_in_the_file_or_the_disk_is_said_to_be_full(tmp_path, monkeypatch):
    store, write, room = StateStore(6, 1, tmp_path), os.pwrite, 100

    def few(handle, data, at):
        """Some bytes, as disks and limits do that are nearly full."""
        data = data[: min(7, room - at)]
        if not len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data, at)

    monkeypatch.setattr(os, "pwrite", few)
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    store.write(np.arange(4), values)
    assert (store.read(np.arange(4)) == values).all()
    with pytest.raises(OSError, match="No space"):
        store.write(np.arange(5, 6), values[:1])


def test_states_in_a_file_change_no_verdict(wild, monkeypatch):
    whole, _ = watch(wild / "wild.pcap", wild / "weights.safetensors", rule=AlarmRule(rule="any"))
    init = StateStore.__init__
    monkeypatch.setattr(StateStore, "__init__", lambda self, width, memory, folder: init(self, width, 1, folder))
    little, _ = watch(wild / "wild.pcap", wild / "weights.safetensors", rule=AlarmRule(rule="any"))
    assert little == whole


def test_places_are_used_again():
    trained = Trained(LSTMDetector(3, 1), np.zeros(15), np.ones(15), {})
    packets = [(captures.START + flow * 10**9 + step * 10**6, flow, step) for flow in range(5000) for step in range(2)]
    raised = []
    options = {
        "threshold": -1e9,
        "timeouts": (10**9 * 5, 10**9 * 50),
        "max_packets": 100,
        "watching": Watching(batch_packets=64),
    }
    with Watch(trained, AlarmRule(), lambda alarms: raised.extend(alarms["id"].tolist()), **options) as watcher:
        array = np.zeros(len(packets), PACKET)
        array["time"], array["source_port"] = [time for time, _, _ in packets], [flow % 60000 for _, flow, _ in packets]
        array["hash"], array["protocol"], array["length"] = array["source_port"] * 7919, 17, 60
        for first in range(0, len(array), 500):
            watcher.add(array[first : first + 500])
        assert len(watcher.places) < 600
        assert len(watcher.watched) == 1024
        watcher.finish()
    assert sorted(raised) == list(range(5000))


def test_a_pipe_is_watched_while_it_is_open():
    """The alarm of a flow comes before the capture goes on."""
    syn = captures.ethernet(captures.ipv4("172.16.0.10", "192.168.10.50", 6, captures.tcp(40000, 8080, captures.SYN)))
    rst = captures.ethernet(captures.ipv4("192.168.10.50", "172.16.0.10", 6, captures.tcp(8080, 40000, captures.RST)))
    first = captures.pcap([(captures.START, syn), (captures.START + 10**6, rst)])
    command = [sys.executable, REPOSITORY / "scripts/detect.py", "--pcap=-", f"--weights={WEIGHTS}"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([*command, "--threshold=-1e9", "--rule=any"], **pipes) as process:
        process.stdin.write(first)
        process.stdin.flush()
        timer = threading.Timer(120, process.kill)
        timer.start()
        line = process.stdout.readline()
        timer.cancel()
        assert line, process.stderr.read()
        event = json.loads(line)
        assert (event["src_ip"], event["dest_port"], event["rnnids"]["packet"]) == ("172.16.0.10", 8080, 1)
        process.stdin.close()
        assert process.wait() == 0
        assert b"1 flows raised the alarm" in process.stderr.read()


def test_a_pipe_gives_what_the_file_gives(wild, tmp_path):
    weights = wild / "weights.safetensors"
    options = ["--rule=any", f"--weights={weights}"]
    run = [sys.executable, str(REPOSITORY / "scripts/detect.py"), *options]
    packed = gzip.compress((wild / "wild.pcap").read_bytes())
    piped = subprocess.run([*run, "--pcap=-"], input=packed, capture_output=True, check=True)
    events, _ = watch(wild / "wild.pcap", weights, rule=AlarmRule(rule="any"))
    found = [json.loads(line) | {"pcap_filename": events[0]["pcap_filename"]} for line in piped.stdout.splitlines()]
    assert sorted(map(key, found)) == sorted(map(key, events))


def test_an_alert_in_suricatas_form():
    flow = np.zeros(1, WATCHED)[0]
    flow["source_low"], flow["destination_low"] = 0xFFFF_0A00_0001, 0xFFFF_0A00_0002
    flow["source_port"], flow["destination_port"], flow["protocol"] = 40000, 443, 6
    flow["start"], flow["elapsed"], flow["logit"] = 1_500_000_000_123_456_789, 2_500_000, 3.0
    flow["forward_packets"], flow["reverse_packets"], flow["forward_bytes"], flow["reverse_bytes"] = 2, 1, 120, 60
    event = json.loads(json.dumps(eve_event(flow, rule=AlarmRule(rule="any"), threshold=0.0, capture="a.pcap")))
    assert event["timestamp"] == "2017-07-14T02:40:00.125956+0000"
    assert event["event_type"] == "alert"
    assert (event["src_ip"], event["src_port"]) == ("10.0.0.1", 40000)
    assert (event["dest_ip"], event["dest_port"], event["proto"]) == ("10.0.0.2", 443, "TCP")
    assert event["alert"]["severity"] == 2
    assert event["flow"] == {
        "pkts_toserver": 2,
        "pkts_toclient": 1,
        "bytes_toserver": 120,
        "bytes_toclient": 60,
        "start": "2017-07-14T02:40:00.123456+0000",
    }
    assert event["rnnids"]["packet"] == 3
    assert event["rnnids"]["milliseconds"] == 2.5
    assert event["rnnids"]["confidence"] == pytest.approx(0.9525741)
    assert 0 <= event["flow_id"] < 2**53
    ping = copy.deepcopy(flow)
    ping["protocol"], ping["destination_port"] = 1, 8 * 256 + 3
    event = eve_event(ping, rule=AlarmRule(), threshold=0.0, capture="a.pcap")
    assert (event["proto"], event["icmp_type"], event["icmp_code"]) == ("ICMP", 8, 3)
    assert "dest_port" not in event


def test_a_rate_of_false_alarms_is_measured_on_what_training_held_out(tmp_path, capsys):
    detector, data = detectors.trained()
    dataset = detectors.write_dataset(tmp_path / "dataset.h5", data, np.zeros(len(data)))
    training = {"validation_fraction": 0.5, "seed": 3}
    save_detector(tmp_path / "weights.safetensors", detector, data.mean, std=data.std, training=training)
    (tmp_path / "one.pcap").write_bytes(captures.pcap(list(captures.random_traffic(np.random.default_rng(0), 50))))
    options = {"watching": Watching(false_alarm_rate=0.1), "dataset": dataset, "rule": AlarmRule(rule="any")}
    _, summary = watch(tmp_path / "one.pcap", tmp_path / "weights.safetensors", **options)
    held_out = np.random.default_rng([3, len(data)]).permutation(len(data))[: len(data) // 2]
    benign = data.take(np.sort(held_out[~data.is_attack[held_out]]))
    highest = np.maximum.reduceat(packet_logits(detector, benign), benign.start)
    assert (highest > summary["threshold"]).sum() == int(0.1 * len(benign))
    with pytest.raises(InputError, match="give the detector's data set with --dataset"):
        watch(tmp_path / "one.pcap", tmp_path / "weights.safetensors", watching=Watching(false_alarm_rate=0.1))
    with pytest.raises(InputError, match="not the data set that the detector was trained on"):
        watch(tmp_path / "one.pcap", WEIGHTS, watching=Watching(false_alarm_rate=0.1), dataset=dataset)
    save_detector(tmp_path / "other.safetensors", detector, data.mean, std=data.std, training={"seed": 0})
    with pytest.raises(InputError, match="trained without validation flows"):
        watch(tmp_path / "one.pcap", tmp_path / "other.safetensors", **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "the file is empty"), (b"hello, not a capture", "not a capture"), (None, "no such file; check the path")],
)
def test_bad_input_leaves_nothing(tmp_path, capfd, content, message):
    if content is not None:
        (tmp_path / "bad.pcap").write_bytes(content)
    code = detectors.run_script(
        "detect.py", pcap=tmp_path / "bad.pcap", weights=WEIGHTS, output=tmp_path / "alerts.jsonl", device="cpu"
    )
    assert code == 2
    assert message in capfd.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} <= {"bad.pcap"}


def test_the_script_writes_lines_and_a_summary(wild, tmp_path):
    outputs = {"output": tmp_path / "alerts.jsonl", "summary": tmp_path / "summary.json"}
    inputs = {"pcap": wild / "wild.pcap", "weights": wild / "weights.safetensors"}
    assert detectors.run_script("detect.py", **inputs, **outputs, rule="k_of_n", k=2, n=3, device="cpu") == 0
    lines = [json.loads(line) for line in outputs["output"].read_text().splitlines()]
    summary = json.loads(outputs["summary"].read_text())
    assert summary["alerts"] == len(lines) > 0
    assert summary["packets_read"] == 3000
    assert summary["rule"] == lines[0]["rnnids"]["rule"] == "2 of 3"
    assert 0 < sum(summary["sources"].values()) <= len(lines)


def test_longer_timeouts_give_fewer_flows(wild):
    counts = [
        watch(wild / "wild.pcap", wild / "weights.safetensors", extraction=replace(Extraction(), idle_timeout=seconds))[
            1
        ]
        for seconds in (1, 300)
    ]
    assert counts[0]["flows"] > counts[1]["flows"]

"""How early alarms come: every number against counting flow by flow; the table and the figure of them."""

import detectors
import numpy as np
import pandas as pd
import pytest

from rnnids.datasets.flow_data import TEST, load_dataset
from rnnids.detectors.alarms import AlarmRule, first_alarms, packet_scores
from rnnids.detectors.inference import packet_logits
from rnnids.detectors.latency import find_alarms
from rnnids.detectors.lstm import load_detector, save_detector
from rnnids.reporting.alarms import traffic_label


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """latency.csv and alarms_by_packet.csv of a tiny detector and one attack on it."""
    place = tmp_path_factory.mktemp("latency")
    detector, _ = detectors.trained()
    flows = detectors.flows(240)
    dataset = detectors.write_dataset(place / "dataset.h5", flows, np.arange(len(flows)) % 3 == 0)
    training = {"validation_fraction": 0.3, "seed": 0}
    save_detector(place / "weights.safetensors", detector, flows.mean, std=flows.std, training=training)
    inputs = {"dataset": dataset, "weights": place / "weights.safetensors", "device": "cpu"}
    attack = {"kappa": 2.5, "iterations": 5, "max_flows": 10, "output": place / "cw.h5"}
    assert detectors.run_script("attack_cw.py", **inputs, **attack) == 0
    outputs = {"output": place / "latency.csv", "by_packet": place / "alarms_by_packet.csv"}
    assert detectors.run_script("measure_latency.py", **inputs, **outputs, attacks=(place / "cw.h5",), k=2, n=3) == 0
    return place


def test_rows_are_what_counting_gives(folder):
    data = load_dataset(folder / "dataset.h5", TEST)
    logits = packet_logits(load_detector(folder / "weights.safetensors", data), data)
    table = pd.read_csv(folder / "latency.csv").query("traffic == 'test_flows'")
    rules = {"last": AlarmRule(), "any": AlarmRule(rule="any"), "2 of 3": AlarmRule(rule="k_of_n", k=2, n=3)}
    assert set(table.rule) == set(rules)
    for _, row in table.iterrows():
        packet = first_alarms(
            packet_scores(logits, data.packet_count, rules[row.rule]), data.packet_count, row.threshold
        )
        kind = data.flows["attack"]
        chosen = kind > 0 if row.attack == "All attacks" else kind == data.attacks.index(row.attack)
        flows = [flow for flow in np.flatnonzero(chosen) if packet[flow] >= 0]
        assert (row.flows, row.detected) == (chosen.sum(), len(flows))
        assert row.share == len(flows) / chosen.sum()
        if not flows:
            assert np.isnan(row.packets_50)
            continue
        until = [slice(data.start[flow], data.start[flow] + packet[flow] + 1) for flow in flows]
        assert row.packets_50 == np.median([packet[flow] + 1 for flow in flows])
        assert row.bytes_90 == pytest.approx(np.quantile([data.packets["length"][s].sum() for s in until], 0.9))
        passed = [data.packets["iat_ns"][s][1:].sum() / 1e6 for s in until]
        assert row.milliseconds_50 == pytest.approx(np.median(passed))
        early = [packet[flow] + 1 < data.packet_count[flow] for flow in flows]
        assert row.before_last_packet == pytest.approx(np.mean(early))


def test_an_attack_is_shown_beside_the_same_flows_unmodified(folder):
    table = pd.read_csv(folder / "latency.csv").query("attack == 'All attacks' and threshold_from == 'logit 0'")
    table = table.set_index(["traffic", "rule"])
    assert list(dict.fromkeys(table.index.get_level_values(0))) == ["test_flows", "unmodified", "cw_kappa_2.5"]
    assert table.flows["unmodified", "last"] == table.flows["cw_kappa_2.5", "last"] == 20
    assert table.share["cw_kappa_2.5", "last"] < table.share["unmodified", "last"]


def test_each_rule_keeps_the_rate_of_false_alarms_on_validation_flows(folder):
    table = pd.read_csv(folder / "latency.csv")
    equal = table[table.threshold_from == "false-alarm rate"]
    assert set(equal.rule) == {"last", "any", "2 of 3"}
    thresholds = equal.groupby("rule").threshold.first()
    assert thresholds["any"] >= thresholds["2 of 3"]


def test_shares_rise_to_those_of_all_packets(folder):
    by_packet = pd.read_csv(folder / "alarms_by_packet.csv")
    final = pd.read_csv(folder / "latency.csv").set_index(["traffic", "threshold_from", "rule", "attack"]).share
    for case, rows in by_packet.groupby(["traffic", "threshold_from", "rule", "attack"]):
        share = rows.sort_values("packets").share.to_numpy()
        assert (np.diff(share) >= 0).all()
        assert share[-1] == final[case]


def test_bytes_and_time_of_the_first_packet_are_its_own():
    flows = detectors.flows(40)
    logits = np.full(len(flows.packets["length"]), 1.0, np.float32)
    alarms = find_alarms(flows, logits, AlarmRule(rule="any"), threshold=0)
    np.testing.assert_array_equal(alarms.packet, 0)
    np.testing.assert_array_equal(alarms.bytes, flows.packets["length"][flows.start])
    np.testing.assert_array_equal(alarms.milliseconds, 0)


def test_the_table_shows_every_case_and_type(folder, tmp_path):
    outputs = {"output": tmp_path / "latency.csv", "html": tmp_path / "latency.html", "dataset": "lab"}
    assert detectors.run_script("tabulate_latency.py", latency=folder / "latency.csv", **outputs) == 0
    page = outputs["html"].read_text()
    for words in ("All test flows", "Attacked flows, unmodified", "CW, κ = 2.5", "2 of 3", "Flood", "Bot", "Benign"):
        assert words in page
    assert "nan" not in page
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "latency.csv"), pd.read_csv(folder / "latency.csv"))


def test_the_figure_is_drawn_the_same_twice(folder, tmp_path):
    for name in ("one", "two"):
        outputs = {"output": tmp_path / f"{name}.pdf"}
        assert detectors.run_script("plot_latency.py", by_packet=folder / "alarms_by_packet.csv", **outputs) == 0
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_detector_without_validation_flows_is_timed_at_logit_0(folder, tmp_path, caplog):
    data = load_dataset(folder / "dataset.h5")
    save_detector(tmp_path / "w.safetensors", detectors.trained()[0], data.mean, std=data.std, training={"seed": 0})
    inputs = {"dataset": folder / "dataset.h5", "weights": tmp_path / "w.safetensors", "device": "cpu"}
    outputs = {"output": tmp_path / "latency.csv", "by_packet": tmp_path / "by_packet.csv"}
    assert detectors.run_script("measure_latency.py", **inputs, **outputs) == 0
    assert set(pd.read_csv(tmp_path / "latency.csv").threshold_from) == {"logit 0"}


@pytest.mark.parametrize(
    ("traffic", "label"),
    [
        ("pgd", "PGD"),
        ("search_all_paper", "Search, all packets, paper"),
        ("search_last_payload_3s", "Search, last packet, payload 3s"),
    ],
)
def test_attacks_in_words(traffic, label):
    assert traffic_label(traffic) == label

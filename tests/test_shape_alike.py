"""Label files in the shape of the published ones, made from the laboratory captures and their rules."""

import json
import logging
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from generated_flows import NOON, SECOND, address_texts, make_flows, write_flow_file
from ground_truths import HEADER, ground_truth_of, ground_truth_row, reference_ground_truth

import build_dataset
import extract_flows
import tabulate_table1
from rnnids.datasets.flow_data import load_dataset
from rnnids.errors import InputError

REPOSITORY = Path(__file__).parents[1]
EXTRACTION = "--idle-timeout 300 --active-timeout 1800 --duplicate-window 0.01 --reorder-window 1"
CATEGORIES = {  # of the lab: of UNSW-NB15
    "Brute Force": "Fuzzers",
    "DoS": "DoS",
    "Web Attack": "Exploits",
    "Infiltration": "Analysis",
    "Botnet": "Backdoors",
    "PortScan": "Reconnaissance",
    "DDoS": "Generic",
}
OUTPUTS = {"output": "dataset.h5", "report": "report.csv", "label-report": "labels.csv", "counts": "counts.csv"}


def run(monkeypatch, script, *words):
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, words)])
    script.main()


def build(monkeypatch, folder, flows, labels, kind, *more):
    """Build a data set by the script; the folder of its outputs."""
    words = ["--flows", *flows, "--labels", labels, "--label-kind", kind, "--no-follow-connections", *more]
    words += ["--split", "time", "--max-packets", 5, "--both-directions", "Backdoors", "Botnet"]
    for option, name in OUTPUTS.items():
        words += [f"--{option}", folder / name]
    run(monkeypatch, build_dataset, *words)
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Flow files of the laboratory captures, and the data set that their rules make."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        for pcap in sorted((REPOSITORY / "resources/lab").glob("*.pcap.gz")):
            output = folder / f"{pcap.name.split('.')[0]}.h5"
            run(patch, extract_flows, "--pcap", pcap, "--output", output, *EXTRACTION.split())
        flows = sorted(folder.glob("*.h5"))
        build(patch, folder / "rules", flows, REPOSITORY / "config/labels/lab.csv", "rules", "--follow-connections")
    return flows, load_dataset(folder / "rules/dataset.h5")


def names(data):
    """(N,) attack of each flow."""
    return np.array(data.attacks, dtype=object)[data.flows["attack"]]


def test_a_ground_truth_as_that_of_unsw_nb15(lab, tmp_path, monkeypatch):
    flows, by_rules = lab
    categories = dict(zip(by_rules.attacks, [None] * len(by_rules.attacks), strict=True))
    for attack, category in zip(by_rules.flows["attack"], by_rules.flows["category"], strict=True):
        categories[by_rules.attacks[attack]] = CATEGORIES.get(by_rules.categories[category])
    assert set(categories.values()) == {None, *CATEGORIES.values()}
    truth = tmp_path / "NUSW-NB15_GT.csv"
    truth.write_text(ground_truth_of(by_rules.flows, names(by_rules), categories, np.random.default_rng(0)))
    folder = build(monkeypatch, tmp_path, flows, truth, "ground_truth")
    data = load_dataset(folder / "dataset.h5")
    expected = reference_ground_truth(by_rules.flows, truth)
    assert names(data).tolist() == [category or "Benign" for category, *_ in expected]
    sides = [0 if not name else 3 if name == "Backdoors" else 1 + responds for name, responds, _ in expected]
    assert data.flows["manipulable"].tolist() == sides and set(sides) == {0, 1, 2, 3}
    # No benign host shares an attack's 5-tuple, so both labels agree on what is an attack.
    assert (data.is_attack == by_rules.is_attack).all()
    rows = pd.read_csv(folder / "labels.csv")
    assert (rows["attack"] == rows["category"]).all() and (rows["rows_without_flows"] == 0).all()
    report = pd.read_csv(folder / "report.csv").set_index("item")["count"]
    assert report["repeats another row"] > 1000 and report["protocol of no flow"] > 100


def test_table_1_stands_beside_that_of_unsw_nb15(lab, tmp_path, monkeypatch):
    flows, by_rules = lab
    categories = dict.fromkeys(by_rules.attacks, "Exploits")
    truth = tmp_path / "truth.csv"
    truth.write_text(ground_truth_of(by_rules.flows, names(by_rules), categories, np.random.default_rng(1)))
    folder = build(monkeypatch, tmp_path, flows, truth, "ground_truth")
    words = ["--counts", folder / "counts.csv", "--paper", REPOSITORY / "resources/paper/table1.csv"]
    words += ["--dataset", "unsw_nb15", "--output", tmp_path / "t.csv", "--html", tmp_path / "t.html"]
    run(monkeypatch, tabulate_table1, *words)
    table = pd.read_csv(tmp_path / "t.csv").set_index("attack")
    assert table.loc["Exploits", "paper_proportion_percent"] == 1.42
    assert table.loc["Exploits", "flows"] == by_rules.is_attack.sum()
    assert table["proportion_percent"].sum() == pytest.approx(100, abs=1e-3)
    assert "UNSW-NB15" in (tmp_path / "t.html").read_text()


def test_a_flow_csv_as_that_of_cic_ids_2017(lab, tmp_path, monkeypatch):
    flows, by_rules = lab
    data = by_rules.flows
    ends = [address_texts(data[f"{end}_address"]) for end in ("source", "destination")]
    local = pd.DatetimeIndex(data["start_ns"], tz="UTC").tz_convert("Etc/GMT+3")
    icmp = data["protocol"] == 1
    table = pd.DataFrame(
        {
            "Flow ID": "id",
            " Source IP": ends[0],
            " Source Port": np.where(icmp, 0, data["source_port"]),
            " Destination IP": ends[1],
            " Destination Port": np.where(icmp, 0, data["destination_port"]),
            " Protocol": data["protocol"],
            " Timestamp": local.strftime("%d/%m/%Y %I:%M:%S"),
            " Label": np.where(by_rules.is_attack, names(by_rules), "BENIGN"),
        }
    )
    path = tmp_path / "flows.csv"
    table.to_csv(path, index=False, encoding="utf-8-sig")
    folder = build(monkeypatch, tmp_path, flows, path, "flow_csv", "--time-zone", "UTC-03:00")
    found = load_dataset(folder / "dataset.h5")
    assert names(found).tolist() == names(by_rules).tolist()
    rows = pd.read_csv(folder / "labels.csv").set_index("attack")
    assert rows.loc["Benign", "flows"] == (~by_rules.is_attack).sum()
    assert (rows["rows_without_flows"] == 0).all()


@pytest.fixture
def two_captures(tmp_path):
    """Flow files of one address family each; in both a client visits a server every second for a minute."""

    def make(clients, server="149.171.126.16"):
        paths = []
        for index, client in enumerate(clients):
            rows = [(3600 * index + second, 1, client, 1025, server, 80, 6) for second in range(0, 600, 10)]
            count = np.ones(len(rows), dtype=np.int32)
            packets = {name: np.zeros(len(rows), kind) for name, kind in PACKETS.items()}
            paths.append(tmp_path / f"{index}.h5")
            write_flow_file(paths[-1], make_flows(rows), count, packets)
        return paths

    return make


PACKETS = {
    "iat_ns": np.int64,
    "length": np.uint32,
    "direction": np.uint8,
    "flags": np.uint16,
    "payload_length": np.uint16,
}


def truth_of(path, client, shift=0, server="149.171.126.16"):
    start = NOON // SECOND + shift
    path.write_text(f"{HEADER}\n{ground_truth_row(start, start + 300, 'DoS', 'tcp', client, 1025, server, 80)}\n")
    return path


def test_a_capture_without_any_attack_is_a_benign_one(two_captures, tmp_path, monkeypatch):
    flows = two_captures(["175.45.176.0", "10.0.0.1"])
    folder = build(monkeypatch, tmp_path, flows, truth_of(tmp_path / "t.csv", "175.45.176.0"), "ground_truth")
    with h5py.File(folder / "dataset.h5") as file:
        assert json.loads(file.attrs["captures"]) == ["0", "1"]
        per_capture = np.bincount(file["flows/capture"], weights=file["flows/attack"])
    assert per_capture.tolist() == [36, 0]  # 300 s and the tolerance after them


def test_captures_of_ipv6_alone_are_labelled_by_ipv6_rows_and_by_no_others(two_captures, tmp_path, monkeypatch, caplog):
    flows = two_captures(["2001:db8::1", "2001:db8::2"], "2001:db8::50")
    truth = truth_of(tmp_path / "t.csv", "2001:db8::1", server="2001:0DB8::50")
    data = load_dataset(build(monkeypatch, tmp_path, flows, truth, "ground_truth") / "dataset.h5")
    assert data.is_attack.sum() == 36
    with pytest.raises(InputError, match="benign flows only in the training split"):
        build(monkeypatch, tmp_path, flows, truth_of(tmp_path / "t.csv", "175.45.176.0"), "ground_truth")
    assert "the times overlap: check addresses, ports and protocols" in caplog.text


def test_a_ground_truth_in_local_time_is_recognised(two_captures, tmp_path, monkeypatch, caplog):
    flows = two_captures(["175.45.176.0", "10.0.0.1"])
    truth = truth_of(tmp_path / "t.csv", "175.45.176.0", shift=-5 * 3600)
    with pytest.raises(InputError, match="benign flows only"), caplog.at_level(logging.WARNING):
        build(monkeypatch, tmp_path, flows, truth, "ground_truth")
    assert "36 flows would match if the windows were moved by +5 hours" in caplog.text

"""The label audit: unlabelled neighbours of attacks, and flows of the test split that training has seen."""

from collections import defaultdict

import h5py
import numpy as np
import pandas as pd
import pytest
from generated_flows import (
    COLUMNS,
    NOON,
    SECOND,
    address_texts,
    make_flows,
    random_flows,
    random_packets,
    write_flow_file,
)

import audit_labels
import build_dataset
from rnnids.datasets import near_duplicates as twins
from rnnids.datasets.audit import clues, read_flow_columns, twins_by_split, unlabelled_neighbours
from rnnids.datasets.splits import split_by_flow, split_by_time

SCAN = "2017-07-05T12:00:00Z,2017-07-05T12:30:00Z,172.16.0.1/32,192.168.10.50/32,,,true,Scan,PortScan"
IDLE = "2017-07-09T12:00:00Z,2017-07-09T12:30:00Z,172.16.0.1/32,192.168.10.5/32,,,true,Late,DoS"
BUILD = "--no-follow-connections --split time --max-packets 6 --both-directions Botnet"
WAYS = {"prefix_packets": 3, "test_fraction": 0.25, "seed": 5}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A data set of two captures, with flows that resemble each other in parts, and its reports."""
    folder, rng = tmp_path_factory.mktemp("audit"), np.random.default_rng(3)
    for name in ("mon", "tue"):
        flows = random_flows(rng, 400)
        count, packets = random_packets(rng, flows, longest=9)
        packets["length"] = rng.choice([40, 41, 1500], len(packets["length"]), p=[0.6, 0.1, 0.3]).astype(np.uint32)
        packets["flags"][:], packets["direction"][:] = 16, 0
        packets["iat_ns"][:] = 0
        write_flow_file(folder / f"{name}.h5", flows, count, packets)
    (folder / "rules.csv").write_text("\n".join([COLUMNS, SCAN, IDLE, ""]))
    outputs = {"output": "dataset.h5", "report": "report.csv", "label-report": "labels.csv", "counts": "counts.csv"}
    words = ["--flows", folder / "mon.h5", folder / "tue.h5", "--labels", folder / "rules.csv", *BUILD.split()]
    for option, name in outputs.items():
        words += [f"--{option}", folder / name]
    build_dataset.main([*map(str, words)])
    return folder


def descriptions(path, prefix, step):
    """What near duplicates share, flow by flow."""
    with h5py.File(path) as file:
        flows = {name: column[:] for name, column in file["flows"].items()}
        packets = {name: file["packets"][name][:] for name in ("length", "direction", "flags")}
    found = []
    for i, first in enumerate(flows["offset"]):
        rows = slice(first, first + min(flows["packet_count"][i], prefix))
        columns = (packets["length"][rows] // step, packets["direction"][rows], packets["flags"][rows])
        service = int(flows["destination_port"][i]), int(flows["protocol"][i])
        found.append((service, tuple(tuple(column.tolist()) for column in columns)))
    return found


@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_signatures_are_equal_for_equal_flows_alone(built, monkeypatch, chunk):
    monkeypatch.setattr(twins, "CHUNK", chunk)
    path = built / "dataset.h5"
    flows, _ = read_flow_columns(path)
    for found, expected in zip(
        twins.signatures(path, flows, 3), (descriptions(path, 99, 1), descriptions(path, 3, 32)), strict=True
    ):
        assert len(set(found.tolist())) == len(set(expected)) == len(set(zip(found.tolist(), expected, strict=True)))
        assert len(set(expected)) < len(expected)


def test_twins_are_those_of_a_naive_count(built):
    path = built / "dataset.h5"
    flows, attacks = read_flow_columns(path)
    table = twins_by_split(path, flows, attacks, **WAYS).set_index(["split", "attack"])
    exact, near = descriptions(path, 99, 1), descriptions(path, 3, 32)
    count, capture = len(exact), flows["capture"]
    splits = {
        "as built": flows["split"],
        "flow": split_by_flow(count, 0.25, 5),
        "time": split_by_time(flows["start_ns"], capture, flows["attack"], test_fraction=0.25),
    }
    for name, split in splits.items():
        for column, looks in (("duplicates", exact), ("near_duplicates", near)):
            training = {looks[i] for i in range(count) if split[i] == 0}
            expected = defaultdict(int)
            for i in np.flatnonzero(split == 1):
                expected[attacks[flows["attack"][i]]] += looks[i] in training
            assert {a: table.loc[(name, a), column] for a in ("Benign", "Scan")} == expected
            assert table.loc[(name, "All"), column] == sum(expected.values()) > 0
        assert table.loc[(name, "All"), "flows"] == (split == 1).sum()
    places = defaultdict(set)
    for i in range(count):
        places[near[i]].add(capture[i])
    assert table.loc[("capture", "All"), "near_duplicates"] == sum(len(places[look]) > 1 for look in near)
    assert table.loc[("capture", "All"), "flows"] == count
    classes = defaultdict(set)
    for i in range(count):
        classes[near[i]].add(flows["attack"][i] > 0)
    assert table.loc[("capture", "All"), "contradictions"] == sum(len(classes[look]) > 1 for look in near) > 0


def test_clues_tell_what_a_naive_majority_of_each_value_tells(built):
    flows, attacks = read_flow_columns(built / "dataset.h5")
    table = clues(flows, attacks).set_index(["clue", "attack"])
    values = {
        "none": [0] * len(flows["attack"]),
        "capture": flows["capture"].tolist(),
        "hour": [str(np.datetime64(int(start), "ns"))[:13] for start in flows["start_ns"]],
        "source address": address_texts(flows["source_address"]),
        "destination address": address_texts(flows["destination_address"]),
        "destination port": flows["destination_port"].tolist(),
    }
    assert set(table.index.get_level_values("clue")) == set(values)
    bad, training = (flows["attack"] > 0).tolist(), (flows["split"] == 0).tolist()
    for clue, of_flow in values.items():
        seen = defaultdict(list)
        for value, attack, train in zip(of_flow, bad, training, strict=True):
            if train:
                seen[value].append(attack)
                seen["all flows"].append(attack)
        for index, name in enumerate([*attacks, "All"]):
            rows = [i for i in range(len(bad)) if not training[i] and (name == "All" or flows["attack"][i] == index)]
            told = [np.mean(seen.get(of_flow[i], seen["all flows"])) > 0.5 for i in rows]
            expected = [len(rows), sum(verdict == bad[i] for verdict, i in zip(told, rows, strict=True))]
            assert table.loc[clue, name].tolist() == expected
    assert table.loc[("none", "Benign"), "recognised"] == table.loc[("none", "Benign"), "flows"]


def test_an_attacker_of_one_address_is_told_by_it_but_not_by_the_port():
    rng = np.random.default_rng(1)
    attack = rng.random(400) < 0.3
    hosts = np.where(attack, "172.16.0.1", [f"10.0.0.{host}" for host in rng.integers(1, 5, 400)])
    flows = make_flows([(10 * i, 1, host, 5000, "192.168.10.50", 80, 6) for i, host in enumerate(hosts)])
    flows["attack"], flows["split"] = attack.astype(int), rng.integers(0, 2, 400)
    table = clues(flows, ["Benign", "Flood"]).set_index(["clue", "attack"])
    tested = table.loc[("source address", "All"), "flows"]
    assert table.loc[("source address", "All"), "recognised"] == tested == (flows["split"] == 1).sum()
    assert table.loc[("destination port", "Flood"), "recognised"] == 0
    assert table.loc[("destination address", "All")].tolist() == table.loc[("none", "All")].tolist()


def test_one_capture_cannot_be_split_by_capture(built):
    path = built / "dataset.h5"
    flows, attacks = read_flow_columns(path)
    flows["capture"][:] = 0
    table = twins_by_split(path, flows, attacks, **WAYS)
    assert (table[table["split"] == "capture"][["flows", "duplicates", "near_duplicates"]] == 0).all(axis=None)


@pytest.mark.parametrize("margin", [0, 30, 600])
def test_neighbours_are_those_of_all_pairs(built, margin):
    flows, attacks = read_flow_columns(built / "dataset.h5")
    rng = np.random.default_rng(0)
    flows["manipulable"] = np.where(flows["attack"] > 0, rng.choice([1, 2, 3], len(flows["attack"])), 0)
    flows["duration_ns"] //= 60
    flows["attack"][rng.random(len(flows["attack"])) < 0.7] = 0
    table = unlabelled_neighbours(flows, attacks, margin * SECOND).set_index("attack")
    ends = list(zip(*(address_texts(flows[f"{end}_address"]) for end in ("source", "destination")), strict=True))
    ports = list(zip(flows["source_port"].tolist(), flows["destination_port"].tolist(), strict=True))
    start, end = flows["start_ns"], flows["start_ns"] + flows["duration_ns"]
    near, same = [], []
    for i in np.flatnonzero(flows["attack"] == 0):
        for j in np.flatnonzero(flows["attack"]):
            if start[i] > end[j] + margin * SECOND or end[i] < start[j] - margin * SECOND:
                continue
            way = -1 if flows["manipulable"][j] == 2 else 1
            attacked = ends[j][::way], ports[j][::way][1]
            for here in (1, -1):
                if ends[i][::here] == attacked[0]:
                    near.append(i)
                    same += [i] * (ports[i][::here][1] == attacked[1])
    assert table.loc["Scan", "flows"] == len(set(near)) > 0
    assert table.loc["Scan", "same_port"] == len(set(same))
    assert (table.loc["Scan", "first"], table.loc["Scan", "last"]) == (start[near].min(), start[near].max())
    assert table.loc["Late"].tolist() == [0, 0, 0, 0]


def test_a_window_that_is_too_short_shows():
    rows = [(second, 1, "172.16.0.1", 1000 + second, "192.168.10.50", 21, 6) for second in range(0, 3600, 60)]
    flows = make_flows([*rows, (5, 1, "172.16.0.1", 9, "192.168.10.5", 21, 6)])
    flows["attack"] = (flows["start_ns"] < NOON + 240 * SECOND).astype(int)
    flows["attack"][-1] = 0
    flows["manipulable"] = flows["attack"]
    row = unlabelled_neighbours(flows, ["Benign", "FTP"], 600 * SECOND).iloc[0]
    assert (row["flows"], row["same_port"], row["first"]) == (10, 10, NOON + 240 * SECOND)


def test_the_page_and_the_numbers_say_the_same_and_nothing_changes_in_a_second_run(built, tmp_path):
    words = [
        "--dataset",
        built / "dataset.h5",
        "--label-report",
        built / "labels.csv",
        "--report",
        built / "report.csv",
    ]
    words += ["--test-fraction", "0.25", "--prefix-packets", "3"]
    for folder in (tmp_path / "one", tmp_path / "two"):
        outputs = ["--output", folder / "a.csv", "--html", folder / "a.html"]
        audit_labels.main([*map(str, [*words, *outputs])])
    for name in ("a.csv", "a.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    frame = pd.read_csv(tmp_path / "one/a.csv", dtype=str).set_index(["section", "subject", "measure"])["value"]
    assert frame["rules", "3 / Late", "remark"] == "matches no flow"
    assert ("rules", "2 / Scan", "remark") not in frame.index
    rules = pd.read_csv(built / "labels.csv")
    assert frame["rules", "2 / Scan", "flows"] == str(rules["flows"][0])
    page = (tmp_path / "one/a.html").read_text()
    assert f"Label audit of {built.name}" in page
    day = "2017-07-05".replace("-", "\N{NON-BREAKING HYPHEN}")
    assert f">{day}\N{NO-BREAK SPACE}12:30:00<" in page and rules["end"][0] == "2017-07-05T12:30:00.000000000Z"
    assert page.count("<table>") == 5 and page.count("matches no flow") == 1
    assert f">{int(frame['twins', 'flow / Benign', 'flows']):,}<" in page

"""From flow files to a data set: what is kept, cut, split, normalised, counted and refused."""

import copy
import json
import logging
import math
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from generated_flows import (
    COLUMNS,
    address_texts,
    make_flows,
    random_flows,
    random_packets,
    reference_labels,
    write_flow_file,
)

import build_dataset
import extract_flows
from rnnids.datasets.build import DatasetOptions, Moments
from rnnids.datasets.encoding import encode_packets
from rnnids.datasets.flow_data import TEST, TRAIN, load_dataset
from rnnids.errors import InputError
from rnnids.flows import files as flow_files

REPOSITORY = Path(__file__).parents[1]
PUBLIC = REPOSITORY.parent / "shared/data/public"
SCAN = "2017-07-05T12:00:00Z,2017-07-05T12:30:00Z,172.16.0.1/32,192.168.10.50/32,,,true,Scan,PortScan"
BOT = "2017-07-05T12:10:00Z,2017-07-05T12:40:00Z,192.168.10.5/32,172.16.0.20/32,,,true,Bot,Botnet"
FLOOD = "2017-07-05T12:20:00Z,2017-07-05T12:30:00Z,172.16.0.1/32,192.168.10.0/24,,,false,Flood,DoS"
OUTPUTS = {"output": "dataset.h5", "report": "report.csv", "label_report": "labels.csv", "counts": "counts.csv"}
DEFAULTS = {"split": "flow", "test_fraction": 0.333333, "seed": 0, "max_packets": 10, "both_directions": ["Botnet"]}


def run(script, **options):
    """Run a script's main() with options as the configuration would give them."""
    words = []
    for name, value in options.items():
        words.append(f"--{'no-' if value is False else ''}{name.replace('_', '-')}")
        words += [] if isinstance(value, bool) else map(str, value if isinstance(value, list) else [value])
    script.main(words)


@pytest.fixture
def build(tmp_path):
    """Builds a data set by the script: build(flow files, option=...) -> folder of the four outputs."""
    rules = tmp_path / "rules.csv"
    rules.write_text("\n".join([COLUMNS, SCAN, BOT, FLOOD, ""]))

    def call(flows, folder="out", **options):
        paths = {name: tmp_path / folder / file for name, file in OUTPUTS.items()}
        run(build_dataset, **DEFAULTS | {"flows": flows, "labels": rules} | paths | options)
        return tmp_path / folder

    return call


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """Three flow files of 1,200 flows together, all of one hour: {path: (flows, packet count, packets)}."""
    folder, rng, files = tmp_path_factory.mktemp("flows"), np.random.default_rng(1), {}
    for name, count in (("mon", 300), ("tue", 500), ("wed", 400)):
        flows = random_flows(rng, count)
        files[folder / f"{name}.h5"] = (flows, *random_packets(rng, flows))
        write_flow_file(folder / f"{name}.h5", *files[folder / f"{name}.h5"])
    return files


@pytest.fixture
def made(made_once):
    """The three flow files of ``made_once``, and their contents to do with as one likes."""
    return copy.deepcopy(made_once)


def small_file(path, seconds, source="172.16.0.1", **attributes):
    """A flow file with one flow of three packets per entry of `seconds`."""
    rows = [(second, 1, source, 1000 + i, "192.168.10.50", 80, 6) for i, second in enumerate([*seconds, 0])]
    flows = {name: column[:-1] for name, column in make_flows(rows).items()}
    packets = {
        "iat_ns": np.tile(np.array([0, 5, 7]), len(seconds)),
        "length": np.full(3 * len(seconds), 60, np.uint32),
        "direction": np.zeros(3 * len(seconds), np.uint8),
        "flags": np.full(3 * len(seconds), 16, np.uint16),
        "payload_length": np.full(3 * len(seconds), 20, np.uint16),
    }
    write_flow_file(path, flows, np.full(len(seconds), 3, np.int32), packets, **attributes)
    return path


def counts_of(path):
    """dataset_report.csv as {item: count}."""
    return pd.read_csv(path).set_index("item")["count"].to_dict()


def capture_names(folder):
    """The captures of a data set, in the order of its column capture."""
    with h5py.File(folder / "dataset.h5") as file:
        return json.loads(file.attrs["captures"])


@pytest.fixture
def copied(made, tmp_path):
    """Paths of the flow files of ``made``, copied, to change."""
    return [Path(shutil.copy(path, tmp_path)) for path in made]


def test_flow_files_of_an_earlier_version_make_a_data_set_without_payload_lengths(build, copied, caplog):
    whole = load_dataset(build(copied, "whole") / "dataset.h5")
    assert "of an earlier version" not in caplog.text
    for count in (1, len(copied)):  # one among others, then all of them
        for path in copied[:count]:
            with h5py.File(path, "a") as file:
                file["packets"].pop("payload_length", None)
        caplog.clear()
        data = load_dataset(build(copied) / "dataset.h5")
        assert "payload_length" not in data.packets
        assert {name: column.tolist() for name, column in data.packets.items()} == {
            name: column.tolist() for name, column in whole.packets.items() if name != "payload_length"
        }
        assert np.array_equal(data.mean, whole.mean) and np.array_equal(data.std, whole.std)
        assert [path for path in copied if str(path) in caplog.text] == copied[:count]
        assert "of an earlier version, without packets/payload_length, so the data set has none" in caplog.text


def test_another_missing_column_is_damage(build, copied):
    with h5py.File(copied[0], "a") as file:
        del file["packets/flags"]
    with pytest.raises(InputError, match=r"mon\.h5: damaged"):
        build(copied)


@pytest.mark.parametrize("chunk", [64, 1 << 20])
def test_every_flow_is_there_cut_or_dropped(build, made, monkeypatch, chunk):
    monkeypatch.setattr(flow_files, "CHUNK", chunk)
    folder = build(list(made))
    data, row, dropped = load_dataset(folder / "dataset.h5"), 0, 0
    for index, name in enumerate(capture_names(folder)):
        flows, count, packets = next(content for path, content in made.items() if path.stem == name)
        for i, first in enumerate(np.cumsum(count) - count):
            whole = slice(first, first + count[i])
            if (packets["iat_ns"][whole] < 0).any():
                dropped += 1
                continue
            cut = slice(first, first + min(count[i], 10))
            here = slice(data.start[row], data.start[row] + data.packet_count[row])
            for column, values in packets.items():
                assert data.packets[column][here].tolist() == values[cut].tolist()
            assert all(
                data.flows[column][row].tolist() == flows[column][i].tolist() for column in flows if column != "capture"
            )
            assert (data.flows["capture"][row], data.flows["full_packet_count"][row]) == (index, count[i])
            row += 1
    assert row == len(data) and 0 < dropped == 1200 - row


def test_packets_are_read_in_pieces(made, monkeypatch):
    monkeypatch.setattr(flow_files, "CHUNK", 64)
    captures, flows = flow_files.read_captures(list(made))
    offset, count = (flows[name][flows["capture"] == 0].astype(np.int64) for name in ("offset", "packet_count"))
    pieces = list(flow_files.read_packets(captures[0], offset, count))
    assert sum(len(packets["length"]) for _, packets in pieces) == captures[0].packets
    assert all(len(packets["length"]) <= 64 for _, packets in pieces)


def test_labels_are_those_of_the_reference(build, made, tmp_path):
    folder = build(list(made))
    data, rules = load_dataset(folder / "dataset.h5"), pd.read_csv(tmp_path / "rules.csv")
    flows, kept = [], []
    for index, name in enumerate(capture_names(folder)):
        of_capture, count, packets = next(content for path, content in made.items() if path.stem == name)
        flows.append(of_capture | {"capture": np.full(len(count), index, np.uint16)})
        kept += [packet_times.min() >= 0 for packet_times in np.split(packets["iat_ns"], np.cumsum(count)[:-1])]
    merged = {name: np.concatenate([part[name] for part in flows]) for name in flows[0]}
    expected = []
    for rule, responds, *_ in reference_labels(merged, tmp_path / "rules.csv", 300, True):
        attack, category = ("Benign", "Benign") if rule < 0 else (rules["attack"][rule], rules["category"][rule])
        manipulable = 0 if rule < 0 else 3 if category == "Botnet" else 2 if responds else 1
        expected.append((attack, category, manipulable))
    columns = (data.flows[name] for name in ("attack", "category", "manipulable"))
    found = [(data.attacks[a], data.categories[c], m) for a, c, m in zip(*columns, strict=True)]
    assert found == [row for row, keep in zip(expected, kept, strict=True) if keep]
    assert set(data.flows["manipulable"]) == {0, 1, 2, 3}


@pytest.mark.parametrize("chunk", [64, 1 << 20])
def test_normalisation_is_that_of_the_training_packets_alone(build, made, monkeypatch, chunk):
    monkeypatch.setattr(flow_files, "CHUNK", chunk)
    path = build(list(made)) / "dataset.h5"
    train = load_dataset(path, TRAIN)
    raw = encode_packets(train.flows, train.packets, train.packet_count)
    std = raw.std(axis=0)
    np.testing.assert_allclose(train.mean, raw.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(train.std, np.where(std == 0, 1, std), rtol=1e-12)
    assert (train.std[-2:] == 1).all()  # CWR and NS are never set
    everything = load_dataset(path)
    other = encode_packets(everything.flows, everything.packets, everything.packet_count).mean(axis=0)
    assert not np.allclose(train.mean, other, rtol=1e-6)


def test_moments_are_numpys_also_far_from_zero():
    rng = np.random.default_rng(0)
    rows = rng.normal(1e9, 1.0, (10_000, 3)) * [1, 1e-6, 0]
    rows[:, 2] = 0.1  # a constant whose mean is not exact in floating point
    moments = Moments(3)
    for piece in np.split(rows, [1, 1, 17, 5000, 9999]):
        moments.add(piece)
    exact = [math.fsum(column) / len(rows) for column in rows.T]
    np.testing.assert_allclose(moments.mean, exact, rtol=1e-14)
    np.testing.assert_allclose(moments.std()[:2], rows[:, :2].std(axis=0), rtol=1e-9)
    assert moments.std()[2] == 1


def test_split_by_capture_takes_the_named_captures(build, made):
    folder = build(list(made), split="capture", test_captures=["mon", "wed"])
    data, names = load_dataset(folder / "dataset.h5"), capture_names(folder)
    of_split = [{names[index] for index in data.flows["capture"][data.flows["split"] == s]} for s in (TRAIN, TEST)]
    assert of_split == [{"tue"}, {"mon", "wed"}]


def test_neither_the_order_nor_the_place_of_the_files_matters(build, made):
    one, other = build(list(made), "one"), build(list(made)[::-1], "another")
    for name in ("report.csv", "labels.csv", "counts.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    with h5py.File(one / "dataset.h5") as a, h5py.File(other / "dataset.h5") as b:
        for group in ("flows", "packets"):
            assert set(a[group]) == set(b[group])
            assert all((a[group][name][:] == b[group][name][:]).all() for name in a[group])
        assert (a.attrs["mean"] == b.attrs["mean"]).all() and (a.attrs["std"] == b.attrs["std"]).all()


def test_every_flow_and_packet_is_counted_once(build, made):
    folder = build(list(made))
    data, report = load_dataset(folder / "dataset.h5"), counts_of(folder / "report.csv")
    total = sum(int(count.sum()) for _, count, _ in made.values())
    assert report["flows"] == 1200 == report["mon"] + report["tue"] + report["wed"]
    assert report["packets_in_flows"] == total == report["packets_of_captures"] - report["not IP"] - report["fragment"]
    kept = report["train_flows"] + report["test_flows"]
    assert kept == len(data) == 1200 - report["flows_with_negative_interarrival_time"]
    kept_packets = report["train_packets"] + report["test_packets"]
    assert (
        kept_packets
        == total - report["packets_cut"] - report["packets_of_dropped_flows"]
        == len(data.packets["length"])
    )
    counts = pd.read_csv(folder / "counts.csv")
    assert counts["attack"].tolist() == data.attacks == ["Benign", "Scan", "Bot", "Flood"]
    assert counts["category"].tolist() == ["Benign", "PortScan", "Botnet", "DoS"]
    assert counts["flows"].tolist() == np.bincount(data.flows["attack"], minlength=4).tolist()
    assert (counts["train_flows"] + counts["test_flows"]).tolist() == counts["flows"].tolist()
    assert counts["packets"].sum() == kept_packets
    rules = pd.read_csv(folder / "labels.csv")
    assert rules["continuations"].sum() == report["continuations"] > 0
    assert rules["flows"].sum() > report["flows_matched_by_a_rule"] > report["flows_matched_by_several_rules"] > 0


def test_useless_rules_are_logged(build, tmp_path, caplog):
    flows = [small_file(tmp_path / "a.h5", [0, 1, 2, 3, 4, 5]), small_file(tmp_path / "b.h5", range(20), "172.16.0.20")]
    rules = tmp_path / "own.csv"
    late = SCAN.replace("T12:", "T15:").replace("Scan,", "Late,")
    few = SCAN.replace("12:30:00Z", "12:00:00Z").replace("Scan,", "Few,")
    rules.write_text("\n".join([COLUMNS, SCAN, few, late]))
    with caplog.at_level(logging.WARNING):
        build(flows, labels=rules)
    assert f"{rules}:4: the rule for Late matches no flow" in caplog.text
    assert "1 flows match several rules" in caplog.text
    assert "Few: none of its 1 flows is in the" in caplog.text
    assert "Scan: none" not in caplog.text


def test_rules_in_local_time_are_recognised(build, tmp_path, caplog):
    rules = tmp_path / "own.csv"
    rules.write_text(f"{COLUMNS}\n{SCAN.replace('T12:', 'T09:')}\n")
    with pytest.raises(InputError, match="benign flows only in the training split"):
        build([small_file(tmp_path / "a.h5", range(6))], labels=rules)
    assert "no rule matches any flow; 6 flows would match if the windows were moved by +3 hours" in caplog.text


def test_rules_in_local_time_are_recognised_beside_one_that_matches_at_any_time(build, tmp_path, caplog):
    sources = {"a": "172.16.0.1", "b": "172.16.0.20", "c": "172.16.0.21"}
    flows = [small_file(tmp_path / f"{name}.h5", range(9), source) for name, source in sources.items()]
    general = SCAN.replace("T12:30", "T23:30").replace("T12:00", "T01:00").replace("172.16.0.1/32", "172.16.0.20/32")
    windows = [SCAN.replace("T12:", "T09:").replace("Scan,", f"Scan {number},") for number in range(4)]
    rules = tmp_path / "own.csv"
    rules.write_text("\n".join([COLUMNS, general, *windows]))
    with caplog.at_level(logging.WARNING):
        build(flows, labels=rules)
    assert "only 1 of 5 rows match flows; 5 would if the windows were moved by +3 hours" in caplog.text
    caplog.clear()
    rules.write_text("\n".join([COLUMNS, general, *windows]).replace("T09:", "T12:"))
    with caplog.at_level(logging.WARNING):
        build(flows, labels=rules)
    assert "time zone" not in caplog.text


def test_overlapping_captures_are_recognised(build, tmp_path, caplog):
    """The second capture has the first one's last flows once more, in the other direction."""
    first, again = small_file(tmp_path / "a.h5", range(0, 60, 10)), small_file(tmp_path / "b.h5", [40, 50, 60, 70])
    with h5py.File(again, "r+") as file:
        file["flows/source_port"][:] = 1004 + np.arange(4)
        for end in ("address", "port"):
            one, other = file[f"flows/source_{end}"][:], file[f"flows/destination_{end}"][:]
            file[f"flows/source_{end}"][:], file[f"flows/destination_{end}"][:] = other, one
    other = small_file(tmp_path / "c.h5", range(0, 60, 10), "172.16.0.21")
    with caplog.at_level(logging.WARNING):
        folder = build([first, again, other])
    assert "a, b: 4 flows are in more than one capture" in caplog.text
    assert counts_of(folder / "report.csv")["flows_in_several_captures"] == 4


def test_captures_one_after_the_other_share_no_flows(build, tmp_path, caplog):
    files = [small_file(tmp_path / f"{name}.h5", range(begin, begin + 9)) for name, begin in (("a", 0), ("b", 30))]
    files.append(small_file(tmp_path / "c.h5", range(100, 120), "172.16.0.21"))
    with caplog.at_level(logging.WARNING):
        build(files)
    assert "more than one capture" not in caplog.text


def test_rules_of_another_day_are_recognised(build, tmp_path, caplog):
    rules = tmp_path / "own.csv"
    rules.write_text(f"{COLUMNS}\n{SCAN.replace('2017-07-05', '2017-07-09')}\n")
    with pytest.raises(InputError, match="benign flows only"):
        build([small_file(tmp_path / "a.h5", range(6))], labels=rules)
    assert "all flows start 96 hours before all windows" in caplog.text


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"idle_timeout": 60.0}, "b.h5: idle_timeout is 60.0, but 300.0 in"),
        ({"active_timeout": 60.0}, "b.h5: active_timeout is 60.0, but 1800.0 in"),
        ({"capture": "a"}, "b.h5: capture 'a' is also that of"),
    ],
)
def test_captures_that_do_not_belong_together_are_refused(build, tmp_path, attributes, expected):
    flows = [small_file(tmp_path / "a.h5", [0]), small_file(tmp_path / "b.h5", [9], **attributes)]
    with pytest.raises(InputError, match=expected):
        build(flows)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"split": "capture"}, "--test-captures: .* name some of [montuewd, ]+$"),
        ({"split": "capture", "test_captures": ["teu"]}, "no capture is called 'teu'; did you mean 'tue'"),
        ({"split": "capture", "test_captures": ["mon", "tue", "wed"]}, "no flows in the training split"),
    ],
)
def test_impossible_settings_are_refused(build, made, tmp_path, options, expected):
    with pytest.raises(InputError, match=expected):
        build(sorted(made), **options)
    assert not (tmp_path / "out/dataset.h5").exists()


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("test_fraction", 1, "expected above 0 and below 1"),
        ("max_packets", 0, "expected at least 1"),
        ("split", "attack", "allowed: flow, time, capture"),
    ],
)
def test_settings_out_of_range_are_refused(build, made, tmp_path, capsys, option, value, expected):
    with pytest.raises(InputError, match=f"{option}: .*{expected}"):
        DatasetOptions(**{option: value})
    with pytest.raises(SystemExit, match="2"):
        build(sorted(made), **{option: value})
    assert f"argument --{option.replace('_', '-')}: " in (said := capsys.readouterr().err) and expected in said
    assert not (tmp_path / "out/dataset.h5").exists()


def test_inputs_and_outputs_are_enough(build, made, tmp_path):
    """What the configuration says by default is what the script does by default."""
    rules = tmp_path / "rules.csv"
    rules.write_text("\n".join([COLUMNS, SCAN, BOT, FLOOD, ""]))
    paths = {name: tmp_path / "bare" / file for name, file in OUTPUTS.items()}
    run(build_dataset, flows=list(made), labels=rules, **paths)
    given = build(list(made), max_packets=100, both_directions=["Botnet", "Backdoors"], follow_connections=True)
    bare, full = (load_dataset(folder / "dataset.h5") for folder in (tmp_path / "bare", given))
    assert bare.digest() == full.digest()


def test_a_training_split_needs_both_classes(build, tmp_path):
    with pytest.raises(InputError, match="attacks only in the training split"):
        build([small_file(tmp_path / "a.h5", range(6))])
    with pytest.raises(InputError, match="benign flows only in the training split"):
        build([small_file(tmp_path / "a.h5", range(6), "172.16.0.20")])


def test_captures_without_flows_count_for_nothing(build, tmp_path):
    empty = small_file(tmp_path / "empty.h5", [])
    with pytest.raises(InputError, match=r"empty\.h5: no flows"):
        build([empty])
    flows = [small_file(tmp_path / "a.h5", range(6)), small_file(tmp_path / "b.h5", range(9), "172.16.0.20")]
    assert len(load_dataset(build([empty, *flows]) / "dataset.h5")) == 15


@pytest.mark.parametrize("column", ["packets/iat_ns", "packets/length", "flows/start_ns"])
def test_a_flipped_bit_is_found(build, made, tmp_path, column):
    source = next(iter(made))
    with h5py.File(source) as file:
        chunk = file[column].id.get_chunk_info(0)
    content = bytearray(source.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    damaged = tmp_path / "mon.h5"
    damaged.write_bytes(content)
    with pytest.raises(InputError, match=r"mon\.h5: damaged"):
        build([damaged])
    assert not (tmp_path / "out/dataset.h5").exists()


def test_files_of_another_kind_are_refused(build, made, tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    for path in (tmp_path / "text.h5", tmp_path / "absent.h5", build(list(made)) / "dataset.h5"):
        with pytest.raises(InputError, match=path.name):
            build([path])


def test_flows_that_do_not_fit_their_packets_are_refused(build, tmp_path):
    path = small_file(tmp_path / "a.h5", range(6))
    with h5py.File(path, "r+") as file:
        file["flows/packet_count"][3] = 2
    with pytest.raises(InputError, match=r"a\.h5: /flows/offset: does not fit the packets"):
        build([path])


def extract(pcap, folder):
    """The flow file of a capture with the paper's time-outs."""
    output = folder / f"{pcap.name.split('.')[0]}.h5"
    windows = {"idle_timeout": 300, "active_timeout": 1800, "duplicate_window": 0.01, "reorder_window": 1}
    run(extract_flows, pcap=pcap, output=output, **windows)
    return output


def test_the_shipped_captures_come_out_as_described(build, tmp_path):
    pcaps = sorted((REPOSITORY / "resources/lab").glob("*.pcap.gz"))
    rules = REPOSITORY / "config/labels/lab.csv"
    folder = build([extract(pcap, tmp_path) for pcap in pcaps], labels=rules, max_packets=100)
    data, report = load_dataset(folder / "dataset.h5"), counts_of(folder / "report.csv")
    assert len(data) == 28_874  # as go-flows counts them
    assert (report["flows_matched_by_several_rules"], report["flows_with_negative_interarrival_time"]) == (0, 0)
    expected = reference_labels(data.flows, rules, 300, True)
    names = ["Benign", *pd.read_csv(rules)["attack"].unique()]
    attacks = pd.read_csv(rules)["attack"]
    assert [data.attacks[index] for index in data.flows["attack"]] == [
        "Benign" if rule < 0 else attacks[rule] for rule, *_ in expected
    ]
    assert data.attacks == names
    # Attack sources and the infiltrated client do nothing else, and their side is the attacker's.
    hostile = {"172.16.0.1", "172.16.0.10", "172.16.0.11", "192.168.10.19"}
    begun, met = (
        np.isin([str(address) for address in address_texts(data.flows[f"{end}_address"])], list(hostile))
        for end in ("source", "destination")
    )
    assert data.is_attack[begun | met].all()
    one_side = ~np.isin(data.flows["category"], [0, data.categories.index("Botnet")])
    assert (data.flows["manipulable"][one_side] == np.where(begun, 1, 2)[one_side]).all()
    assert (data.flows["manipulable"] == 2).sum() == 258  # begun by victims


@pytest.mark.shared
@pytest.mark.skipif(not PUBLIC.exists(), reason="pieces of CIC-IDS-2017 are not here")
@pytest.mark.parametrize("rules", ["corrected", "published"])
def test_pieces_of_cic_ids_2017_get_their_labels(build, tmp_path, rules):
    truth = {"thu_xss": "Web Attack - XSS", "thu_sqli": "Web Attack - Sql Injection", "mon_benign": "Benign"}
    flows = [extract(PUBLIC / f"cic2017-{piece}.pcap.gz", tmp_path) for piece in truth]
    folder = build(flows, labels=REPOSITORY / f"config/labels/cic_ids_2017_{rules}.csv")
    data = load_dataset(folder / "dataset.h5")
    for piece, attack in truth.items():
        here = data.flows["capture"] == capture_names(folder).index(f"cic2017-{piece}")
        assert here.any()
        assert set(data.flows["attack"][here]) == {data.attacks.index(attack)}

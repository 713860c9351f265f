"""The authors' published data and nets: read without being run, imported, and used by the workflow."""

import builtins
import functools
import gzip
import json
import math
import os
import pickle
import random
import re
import struct

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import TINY, snakemake
from published_files import (
    FLOWS,
    GROUPS,
    NAMES,
    normalisation,
    published_arrays,
    their_net,
    write_parts,
    write_published,
)

import import_published
from rnnids.datasets import plain_pickle
from rnnids.datasets.flow_data import TEST, load_dataset
from rnnids.datasets.plain_pickle import read_items, read_plain
from rnnids.datasets.published import read_attack_names, read_normalisation
from rnnids.detectors.lstm import LSTMDetector, load_detector
from rnnids.detectors.operating_points import benign_flows_per_hour
from rnnids.detectors.published_nets import read_net
from rnnids.errors import InputError
from rnnids.storage import read_hdf5

PLAIN = {"mean": np.float32(0.5), "whole": np.int64(-3), "list": [1, 2.5, None, True, ("a", b"b")], "big": 2**70}


def equal(first, second):
    """Whether two lists hold the same arrays, element types included."""
    pairs = zip(first, second, strict=True)
    return all(np.array_equal(one, two) and one.dtype == two.dtype for one, two in pairs)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("parts", [1, 4])
def test_a_list_of_arrays_comes_back_from_its_parts(tmp_path, protocol, parts):
    rng = np.random.default_rng(0)
    arrays = [rng.random((size % 9, 17), np.float32) for size in range(2500)]
    arrays += [np.asfortranarray(arrays[7]), arrays[8].astype(">f4"), arrays[9].astype(np.float64), np.zeros(3, bool)]
    assert equal(read_items(write_parts(tmp_path, arrays, parts, protocol)), arrays)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_come_back(tmp_path, protocol):
    path = tmp_path / "plain.pickle"
    path.write_bytes(pickle.dumps(PLAIN, protocol=protocol))
    assert read_plain(path) == PLAIN
    path.write_bytes(pickle.dumps((np.arange(3.0), np.ones(2, np.float32)), protocol=protocol))
    assert equal(read_plain(path), [np.arange(3.0), np.ones(2, np.float32)])


def test_names_of_both_versions_of_numpy_are_admitted(tmp_path):
    path = tmp_path / "names.pickle"
    content = pickle.dumps(np.arange(5.0), protocol=2)
    assert b"numpy._core.multiarray" in content
    for module in (b"numpy._core", b"numpy.core"):
        path.write_bytes(content.replace(b"numpy._core", module))
        assert np.array_equal(read_plain(path), np.arange(5.0))


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def nested_global():
    """STACK_GLOBAL of an attribute of an attribute."""
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text for text in (b"numpy", b"ndarray.__class__"))
    return b"\x80\x04" + texts + b"\x93."


def reconstruct(cls):
    """numpy's own function, asked for an array of another class."""
    return Calls(np._core.multiarray._reconstruct, cls, (0,), b"b")


HOSTILE = {
    "system": (pickle.dumps([Calls(os.system, "touch HACKED")]), "the name posix.system"),
    "eval": (pickle.dumps([Calls(eval, "open('HACKED', 'w')")]), "the name builtins.eval"),
    "getattr": (pickle.dumps([Calls(getattr, Calls(__import__, "os"), "system")]), "the name builtins."),
    "partial": (pickle.dumps(functools.partial(os.system, "touch HACKED")), "the name functools.partial"),
    "old opcodes": (b"(S'touch HACKED'\ni__main__\nf\n.", "the operation STRING"),
    "instance": (b"\x80\x02(ios\nsystem\n.", "the operation INST"),
    "new object": (b"\x80\x02]N\x81.", "the operation NEWOBJ"),
    "persistent": (b"\x80\x02]Q.", "the operation BINPERSID"),
    "extension": (b"\x80\x02\x82\x01.", "the operation EXT1"),
    "nested name": (nested_global(), "the name numpy.ndarray.__class__"),
    "deep": (pickle.dumps({"mapping": [({"a": Calls(os.system, "touch HACKED")},)]}), "the name posix.system"),
    "objects": (pickle.dumps([np.array([Calls(os.system, "touch HACKED")], object)]), "an array of elements 'O8'"),
    "plain objects": (pickle.dumps([np.array(["a", 1], object)]), "an array of elements 'O8' and not of numbers"),
    "structures": (pickle.dumps([np.zeros(2, "f4,i4")]), "an array of elements 'V8' and not of numbers"),
    "other class": (pickle.dumps([reconstruct(np.matrix)]), "the name numpy.matrix"),
    "class of names": (pickle.dumps([reconstruct(np.dtype)]), "an array of a class of its own"),
    "set": (pickle.dumps([{1, 2}]), "the operation EMPTY_SET"),
    "state": (b"\x80\x02]}b.", "a state for something of type list"),
    "call of a text": (b"\x80\x02X\x01\x00\x00\x00a)R.", "a call of something of type str"),
    "call of a class": (b"\x80\x02cnumpy\nndarray\n)R.", "a call of ndarray"),
    "eight GiB": (b"\x80\x04]\x8e" + struct.pack("<Q", 1 << 33), "asks for 8,589,93"),
    "text without end": (b"\x80\x04]X" + struct.pack("<I", 0x7FFFFFFF), "asks for 2,147,48"),
    "array larger than its bytes": (
        pickle.dumps([np.zeros((3, 17), np.float32)], 2).replace(b"K\x03K\x11", b"J\x00\x00\x00\x7fK\x11"),
        "not a pickle of plain data, or damaged",
    ),
    "negative shape": (
        pickle.dumps([np.zeros((3, 17), np.float32)], 2).replace(b"K\x03K\x11", b"J\xff\xff\xff\xffK\x11"),
        "not a pickle of plain data, or damaged",
    ),
    "a tower of lists": (b"\x80\x02" + b"]" * 5000, "too much in one item"),
    "a tower of tuples": (b"\x80\x02})" + b"\x85" * 3000 + b"Ns.", "a key of type tuple"),
    "one list in itself": (b"\x80\x02]q\x00}h\x00Ns.", "a key of type list"),
    "nothing": (b"", "damaged"),
    "text": (b"no pickle at all", "damaged"),
    "cut": (pickle.dumps([np.zeros((3, 17), np.float32)])[:-30], "damaged"),
    "more behind": (pickle.dumps(["a"]) + b"x", "there is more behind its end"),
    "unknown reference": (b"\x80\x02h\x07.", "it refers back to an item before"),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_what_could_run_a_program_is_refused_by_name(tmp_path, monkeypatch, case, packed):
    content, words = HOSTILE[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plain_pickle, "MOST_OPERATIONS", 4096)
    path = tmp_path / "flows.pickle"
    path.write_bytes(gzip.compress(content) if packed else content)
    for read in (read_plain, lambda path: list(read_items([path]))):
        with pytest.raises(InputError) as error:
            read(path)
        assert words in str(error.value) and str(path) in str(error.value)
        assert len(str(error.value)) < 500
    assert os.listdir(tmp_path) == ["flows.pickle"]


def test_no_import_and_no_call_happens(tmp_path, monkeypatch):
    path = tmp_path / "flows.pickle"
    path.write_bytes(pickle.dumps([Calls(os.system, "true"), Calls(eval, "1")]))
    for module, name in ((os, "system"), (builtins, "eval"), (pickle, "Unpickler"), (pickle, "loads")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("called"))
    with pytest.raises(InputError):
        list(read_items([path]))


def test_random_damage_never_does_worse_than_a_refusal(tmp_path):
    content = bytearray(pickle.dumps([np.ones((2, 17), np.float32), PLAIN, "text"], protocol=4))
    rng, path = random.Random(0), tmp_path / "flows.pickle"
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            list(read_items([path]))
        except InputError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda paths: paths[::-1], "damaged"),
        (lambda paths: paths[:-1], "damaged"),
        (lambda paths: [*paths, paths[0].parent / "absent"], "absent: no such file"),
    ],
)
def test_parts_that_are_missing_or_out_of_order(tmp_path, change, words):
    paths = change(write_parts(tmp_path, published_arrays()[1]))
    with pytest.raises(InputError, match=words):
        list(read_items(paths))


def run(folder, *options, rename="DoS / DDoS:DoS Hulk=DoS Hulk"):
    """Import the files of a folder; the paths of dataset.h5 and its reports."""
    files = {name: folder / name for name in ("dataset.h5", "report.csv", "label_report.csv", "counts.csv")}
    outputs = zip(("--output", "--report", "--label-report", "--counts"), files.values(), strict=True)
    words = [str(word) for pair in outputs for word in pair]
    paths = map(str, sorted(folder.glob(f"{FLOWS}*")))
    categories = ["--categories", str(folder / "flows_categories_mapping.json")]
    import_published.main(["--flows", *paths, *categories, *words, "--rename", rename, *options])
    return files


@pytest.fixture(scope="module")
def arrays():
    """(FlowData, arrays) of random flows."""
    return published_arrays()


def test_the_data_set_is_that_of_the_arrays(tmp_path, arrays):
    expected, flows = arrays
    write_published(tmp_path, flows)
    files = run(tmp_path)
    data = load_dataset(files["dataset.h5"])
    assert list(data.attacks) == ["Benign", "Botnet:ARES", "DoS Hulk"]
    assert list(data.categories) == ["Benign", "Botnet", "DoS"]
    assert data.flows["attack"].tolist() == np.array([0, 2, 1])[expected.flows["attack"]].tolist()
    for name in ("source_port", "destination_port", "protocol", "packet_count", "manipulable"):
        assert data.flows[name].tolist() == expected.flows[name].tolist(), name
    for name in ("length", "direction", "flags"):
        assert data.packets[name].tolist() == expected.packets[name].tolist(), name
    iat_ms = np.concatenate(flows)[:, 4].astype(np.float64)
    assert data.packets["iat_ns"].tolist() == np.rint(iat_ms * 1e6).astype(np.int64).tolist()
    assert np.abs(data.packets["iat_ns"] - expected.packets["iat_ns"]).max() < 100
    assert "payload_length" not in data.packets
    raw = np.concatenate(flows)[:, :15].astype(np.float64)
    raw[:, 5] = 1 - raw[:, 5]
    train = np.repeat(data.flows["split"] != TEST, data.packet_count)
    np.testing.assert_allclose(data.mean, raw[train].mean(axis=0), rtol=1e-6)
    with read_hdf5(files["dataset.h5"]) as file:
        assert set(json.loads(file.attrs["unknown"])) >= {"start_ns", "source_address", "payload_length"}
        assert file["flows/source_address"].shape == (len(flows), 16) and not file["flows/start_ns"][:].any()
    assert math.isnan(benign_flows_per_hour(data))


def test_the_split_is_the_authors(tmp_path, arrays):
    """Their code: flows without negative interarrival times, random.seed(0), random.shuffle, the first third."""
    flows = [flow.copy() for flow in arrays[1]]
    flows[3][0, 4] = -1
    flows[11][0, 0] = 0.5  # which they would keep
    write_published(tmp_path, flows)
    data = load_dataset(run(tmp_path)["dataset.h5"])
    theirs = [number for number, flow in enumerate(flows) if np.all(flow[:, 4] >= 0)]
    random.seed(0)
    random.shuffle(theirs)
    test = set(theirs[: math.floor(len(theirs) / 3)])
    kept = [number for number in range(len(flows)) if number not in (3, 11)]
    assert [number in test for number in kept] == (data.flows["split"] == TEST).tolist()


def test_reports_count_everything(tmp_path, arrays):
    write_published(tmp_path, arrays[1])
    files = run(tmp_path, "--max-packets", "2")
    counts = pd.read_csv(files["counts.csv"]).set_index("attack")
    assert counts["flows"].sum() == 160 and counts.loc["Benign", "flows"] == 80
    report = pd.read_csv(files["report.csv"]).set_index("item")["count"]
    packets = sum(map(len, arrays[1]))
    assert (
        report["packets_in_flows"] == packets == report["packets_cut"] + report[["train_packets", "test_packets"]].sum()
    )
    assert report["test_flows"] == 160 // 3 and report["train_flows"] == 160 - 160 // 3
    assert sum(text.startswith("source_address") for text in report.index) == 1
    labels = pd.read_csv(files["label_report.csv"])
    assert labels["rule"].tolist() == [0, 1, 2] and labels["flows"].sum() == 160
    data = load_dataset(files["dataset.h5"])
    assert data.packet_count.max() == 2 and data.flows["full_packet_count"].max() > 2


def damaged(flow, row, column, value):
    """A flow with one other value."""
    changed = flow.copy()
    changed[row, column] = value
    return changed


FAULTS = {
    "a port that is none, or changes": lambda flow: damaged(flow, 0, 0, 80.5),
    "a protocol that is none, or changes": lambda flow: damaged(flow, -1, 2, 300),
    "a length that is none": lambda flow: damaged(flow, 0, 3, 70_000),
    "an interarrival time that is negative, or no number": lambda flow: damaged(flow, -1, 4, np.nan),
    "numbers that are not finite": lambda flow: damaged(flow, 0, 1, np.inf),
    "a first packet that is not forward, or late": lambda flow: damaged(flow, 0, 4, 1),
    "interarrival times of more than a year": lambda flow: damaged(np.vstack([flow[:1], flow[:1]]), 1, 4, 1e11),
    "a flag or direction beside 0 and 1": lambda flow: damaged(flow, 0, 14, 2),
    "an attack without a name": lambda flow: damaged(flow, 0, 15, 9),
    "a label that is not that of its attack": lambda flow: damaged(flow, 0, 16, 1 - flow[0, 16]),
    "not 17 columns": lambda flow: flow[:, :16].copy(),
    "no packet": lambda flow: flow[:0].copy(),
    "no array of numbers, one row a packet": lambda flow: flow.tolist(),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_a_flow_with_a_value_that_cannot_be_is_left_out_and_counted(tmp_path, arrays, caplog, reason):
    flows = list(arrays[1])
    flows[5] = FAULTS[reason](flows[5])
    write_published(tmp_path, arrays[1])
    write_parts(tmp_path, flows)
    with caplog.at_level("INFO"):
        files = run(tmp_path)
    data = load_dataset(files["dataset.h5"])
    others = [number for number in range(160) if number != 5]
    assert data.flows["source_port"].tolist() == arrays[0].flows["source_port"][others].tolist()
    assert f"{FLOWS}aa and 2 more parts: flow 6 is left out: {reason}" in caplog.text
    report = pd.read_csv(files["report.csv"]).set_index("item")["count"]
    assert report[reason if reason in report else "flows_with_negative_interarrival_time"] == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "no flow that could be used"),
        ([np.zeros((2, 15), np.float32)], "no flow that could be used"),
        ({"a": 1}, "holds no list"),
        ([flow for flow in published_arrays()[1] if flow[0, 16]], "attacks only in the training split"),
    ],
)
def test_files_without_use_are_refused(tmp_path, arrays, content, words):
    write_published(tmp_path, arrays[1])
    write_parts(tmp_path, content)
    with pytest.raises(InputError, match=words):
        run(tmp_path)
    assert not (tmp_path / "dataset.h5").exists()


@pytest.mark.parametrize("write", [lambda content: json.dumps(content).encode(), pickle.dumps], ids=["json", "pickle"])
def test_names_of_attacks(tmp_path, caplog, write):
    path = tmp_path / "names"
    path.write_bytes(write({"mapping": NAMES, "categories_mapping": GROUPS | {"DoS": []}}))
    names = read_attack_names(path, {"Botnet:ARES": "Botnet ARES"})
    assert names.attack == {0: "Botnet ARES", 1: "DoS / DDoS:DoS Hulk", 2: "Benign"} and names.benign == 2
    assert names.category == {0: "Botnet", 1: "DoS / DDoS:DoS Hulk", 2: "Benign"}
    path.write_bytes(write(NAMES))
    assert read_attack_names(path, {}).category[0] == "Botnet:ARES"
    for content, words in (
        ({"mapping": {"a": 0}}, "called Normal"),
        ({"mapping": {"Normal": 0, "a": 0}}, "an index each"),
        ({"mapping": {"Normal": "x"}}, "an index each"),
    ):
        path.write_bytes(write(content))
        with pytest.raises(InputError, match=words):
            read_attack_names(path, {})
    path.write_bytes(write(NAMES))
    assert read_attack_names(path, {"Bot": "ARES"}).attack[0] == "Botnet:ARES"
    assert "has no attack 'Bot'; it has Botnet:ARES, " in caplog.text


def test_normalisation(tmp_path, arrays):
    path, (mean, std) = tmp_path / "normalisation.pickle", normalisation(arrays[1])
    path.write_bytes(pickle.dumps((mean, std)))
    ours = read_normalisation(path)
    expected = mean.astype(float)
    expected[5] = 1 - expected[5]
    assert np.array_equal(ours[0], expected) and np.array_equal(ours[1], std.astype(float))
    for content in (mean, (mean[:14], std[:14]), (mean, 0 * std), (mean * np.nan, std), ("a", "b")):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match=str(path)):
            read_normalisation(path)


def import_net(folder, state):
    """The path of the weights of a net of this state, with the normalisation of the folder's files."""
    torch.save(state, folder / "net.pth")
    words = ["--net", folder / "net.pth", "--weights", folder / "weights.safetensors"]
    import_published.main(
        [str(word) for word in [*words, "--normalisation", folder / "flows_normalization_data.pickle"]]
    )
    return folder / "weights.safetensors"


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("inputs", [15, 30])
def test_an_imported_net_has_the_logits_of_theirs(tmp_path, arrays, inputs, layers):
    flows = arrays[1]
    write_published(tmp_path, flows)
    lstm, readout, state = their_net(inputs, hidden=7, layers=layers)
    normal = ["--normalisation", str(tmp_path / "flows_normalization_data.pickle")]
    data = load_dataset(run(tmp_path, *normal)["dataset.h5"])
    detector = load_detector(import_net(tmp_path, state), data)
    assert detector.architecture["hidden_size"] == 7 and detector.architecture["num_layers"] == layers
    assert detector.feature_dropout == (inputs == 30)
    mean, std = normalisation(flows)
    dropped = torch.zeros(15, dtype=torch.bool)
    for number, flow in enumerate(flows[:40]):
        theirs = torch.from_numpy((flow[:, :15] - mean) / std)
        if inputs == 30:
            dropped[number % 15] = number % 3 > 0
            kept = (~dropped).float().expand_as(theirs)
            theirs = torch.cat([theirs * kept, kept], dim=1)
        expected = readout(lstm(theirs[:, None])[0])[:, 0, 0]
        given = torch.from_numpy(data.padded(np.array([number])))
        suppressed = dropped[None] if inputs == 30 else None
        with torch.no_grad():
            logits = detector(given, data.packet_count[[number]], suppressed=suppressed)[0]
        torch.testing.assert_close(logits, expected.detach(), atol=1e-5, rtol=0)


def test_names_of_layers_do_not_matter(tmp_path, arrays):
    write_published(tmp_path, arrays[1])
    state = {
        name.replace("lstm.", "module.rnn.").replace("h2o", "out"): value for name, value in their_net()[2].items()
    }
    assert isinstance(load_detector(import_net(tmp_path, state)), LSTMDetector)


NETS = {
    "gru": (torch.nn.ModuleDict({"g": torch.nn.GRU(15, 4), "o": torch.nn.Linear(4, 1)}).state_dict, "four gates"),
    "both directions": (torch.nn.LSTM(15, 4, bidirectional=True).state_dict, "one LSTM in one direction"),
    "no linear layer": (torch.nn.LSTM(15, 4).state_dict, "one LSTM in one direction"),
    "16 inputs": (lambda: their_net(16)[2], "takes 16 inputs"),
    "other linear layer": (lambda: their_net()[2] | {"h2o.weight": torch.zeros(1, 9)}, "do not fit each other"),
    "not finite": (lambda: their_net()[2] | {"h2o.bias": torch.tensor([math.nan])}, "not finite"),
    "one tensor": (lambda: torch.zeros(3), "something else than named weights"),
    "a program": (lambda: Calls(os.system, "touch HACKED"), "not a file of weights alone"),
    "a whole net": (lambda: torch.nn.LSTM(15, 4), "not a file of weights alone"),
}


@pytest.mark.parametrize("case", NETS)
def test_nets_that_are_refused(tmp_path, monkeypatch, case):
    make, words = NETS[case]
    monkeypatch.chdir(tmp_path)
    torch.save(make(), "net.pth")
    with pytest.raises(InputError, match=words):
        read_net("net.pth")
    assert os.listdir() == ["net.pth"]


def test_files_that_are_no_nets(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_net(tmp_path / "absent.pth")
    for content in (b"", b"text", b"PK\x03\x04" + bytes(100), pickle.dumps([1])):
        (tmp_path / "net.pth").write_bytes(content)
        with pytest.raises(InputError, match=r"net\.pth"):
            read_net(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give at least one"),
        (["--net", "a.pth"], "--net: needs --weights too"),
        (["--flows", "a", "--categories", "b", "--output", "c", "--report", "d"], "needs --label-report too"),
    ],
)
def test_options_that_are_missing_are_named(words, message):
    with pytest.raises(InputError, match=message):
        import_published.main(words)


DESCRIPTION = {
    "published": {
        "flows": [f"published/{FLOWS}*"],
        "categories": "published/flows_categories_mapping.json",
        "normalisation": "published/flows_normalization_data.pickle",
        "nets": {"feature_dropout": "published/dropout.pth"},
    },
    "rename": {"DoS / DDoS:DoS Hulk": "DoS Hulk", "Botnet:ARES": "Botnet ARES"},
    "source": "the tests",
}
SMALL = TINY | {
    "selected_datasets": ["authors"],
    "selected_models": ["baseline", "feature_dropout"],
    "selected_threat_models": ["paper"],
    "all_packets_goal": False,
    "attacks": TINY["attacks"] | {"kappas": [1], "selection": {"max_flows": 2, "chunks": 1}},
    "bounds": {"numbers": 1},
    "datasets": {"authors": DESCRIPTION},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with published files and a configuration that names them."""
    place = tmp_path_factory.mktemp("authors")
    write_published(place / "published", published_arrays()[1], {"dropout.pth": 30})
    (place / "small.json").write_text(json.dumps(SMALL))
    return place


def test_the_workflow_runs_on_published_flows_and_nets(checkout, folder):
    """To Tables I to III and Fig. 3, with a net of theirs and one that is trained."""
    results = folder / "results/authors"
    targets = ("table1", "table2", "table3", "fig3")
    run = snakemake(checkout, folder, "--cores", 2, "--configfile", "small.json", "--", *targets)
    assert run.returncode == 0, run.stdout
    assert re.findall("rule (import_net|train|train_adversarially):", run.stdout).count("train") == 1
    first = pd.read_csv(results / "tables/table1.csv").set_index("attack")
    assert first["flows"].to_dict() == {"Benign": 80, "Botnet ARES": 40, "DoS Hulk": 40}
    assert first.loc["DoS Hulk", "paper_proportion_percent"] == 10.1
    second = pd.read_csv(results / "tables/table2.csv")
    ours = second[second["source"] == "ours"].set_index("model")["value"]
    assert set(ours.index) == {"baseline", "feature_dropout", "flow_statistics"} and ours["baseline"].notna().all()
    assert (results / "tables/table3.html").stat().st_size > 1000
    assert (results / "figures/fig3.pdf").stat().st_size > 1000
    data = load_dataset(results / "dataset.h5")
    net = load_detector(results / "feature_dropout/weights.safetensors", data)
    assert net.feature_dropout and net.architecture["hidden_size"] == 4
    assert load_detector(results / "baseline/weights.safetensors", data).architecture["hidden_size"] == 8


def test_all_is_planned_but_for_what_needs_captures(checkout, folder):
    run = snakemake(checkout, folder, "-n", "--configfile", "small.json", "--", "all", "check_datasets")
    assert run.returncode == 0, run.stdout
    assert "published flows have no captures, addresses, times or payload" in run.stdout
    for rule in ("extract_flows", "audit_labels", "check_round_trip", "make_page", "check_dataset"):
        assert f"rule {rule}:" not in run.stdout
    assert all(f"rule plot_fig{number}:" in run.stdout for number in (1, 2, 4, 6, 7, 8, 9, 10))


def test_published_yaml_is_planned_and_says_what_is_missing_and_where_it_is(checkout, tmp_path):
    configuration = ["--configfile", checkout / "config/published.yaml"]
    run = snakemake(checkout, tmp_path, "-n", *configuration)
    assert run.returncode == 0, run.stdout
    assert "cic_ids_2017_published_flows: 3 of 3 files are missing:" in run.stdout
    assert "published/flows15.pickle.gz.part-*" in run.stdout
    assert "Source: https://github.com/CN-TU/adversarial-recurrent-ids" in run.stdout
    assert run.stdout.count("rule import_published:") == 2
    run = snakemake(checkout, tmp_path, "--cores", 1, *configuration, "--", "table1")
    assert run.returncode != 0 and not (tmp_path / "results").exists()
    assert "3 of 3 files are missing" in run.stdout

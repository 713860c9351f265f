"""A detector of one's own: made of a file, trained, kept and read again, and refused with words where it cannot be."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import REPOSITORY, snakemake
from explained import make_flows

import check_detector
from rnnids.attacks.bounds import DistanceBounds
from rnnids.datasets.features import NUM_FEATURES
from rnnids.detectors.contract import check_contract
from rnnids.detectors.lstm import load_detector, save_detector
from rnnids.detectors.own import OwnDetector
from rnnids.detectors.packed_lstm import pack
from rnnids.detectors.training import Training, fit
from rnnids.errors import InputError
from rnnids.explanations.importance import weight_importance

SHIPPED = ["gru.py:GRU", "tcn.py:TCN", "transformer.py:Transformer"]
SMALL = """
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self, inputs=15, hidden_size=8):
        super().__init__()
        self.rnn, self.readout = nn.RNN(inputs, hidden_size, batch_first=True), nn.Linear(hidden_size, 1)

    def forward(self, inputs):
        return self.readout(self.rnn(inputs)[0]).squeeze(-1)


class Backwards(Small):
    def forward(self, inputs):
        return super().forward(inputs.flip(1)).flip(1)


class Fixed(Small):
    def __init__(self):
        super().__init__()


class Counting(Small):
    def forward(self, inputs, lengths):
        return super().forward(inputs) + torch.from_numpy(lengths > 0)[:, None]


class Failing(Small):
    def forward(self, inputs):
        return self.readout(inputs)


class Dropping(Small):
    def __init__(self, inputs=15, hidden_size=8):
        super().__init__(inputs, hidden_size)
        self.dropout = nn.Dropout(0.5)

    def forward(self, inputs):
        return self.readout(self.dropout(self.rnn(inputs)[0])).squeeze(-1)


class Bare:
    pass


def broken():
    raise RuntimeError("no such luck")
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    return path


@pytest.mark.parametrize("suppress", ["none", "forward"])
@pytest.mark.parametrize("feature_dropout", [False, True])
@pytest.mark.parametrize("name", SHIPPED)
def test_those_that_are_shipped_keep_the_protocol(name, feature_dropout, suppress):
    torch.manual_seed(0)
    source = str(REPOSITORY / "config/detectors" / name)
    training = Training(detector=source, hidden_size=16, suppress=suppress, feature_dropout=feature_dropout)
    check_contract(training.new_detector())
    assert len((REPOSITORY / "config/detectors" / name.partition(":")[0]).read_text().splitlines()) < 60


def test_packed_packets_get_the_logits_of_padded_flows(file):
    torch.manual_seed(0)
    detector = OwnDetector(f"{file}:Small", {"hidden_size": 5}, feature_dropout=True)
    count = np.array([2, 5, 1, 3])
    packing, flows = pack(count), torch.randn(4, 5, NUM_FEATURES)
    hidden = torch.rand(4, NUM_FEATURES) < 0.3
    packets = flows[packing.flow, packing.step]
    expected = detector(flows, count, suppressed=hidden)[packing.flow, packing.step]
    torch.testing.assert_close(detector(packets, packing=packing, suppressed=hidden), expected)


def test_it_learns_and_comes_back_as_it_was(file, tmp_path):
    rng = np.random.default_rng(0)
    attack = rng.integers(0, 2, 200)
    count = rng.integers(1, 6, 200)
    length = np.repeat(np.where(attack, 1200, 60), count)
    data = make_flows(count, attack=attack, length=length)
    settings = Training(detector=f"{file}:Small", hidden_size=8, epochs=12, batch_packets=64, feature_dropout=True)
    torch.manual_seed(0)
    detector = settings.new_detector()
    _, curve = fit(detector, data, settings, checkpoint=tmp_path / "checkpoint")
    assert curve[-1]["validation_accuracy"] > 0.95 > curve[0]["validation_accuracy"]
    save_detector(tmp_path / "w.safetensors", detector, data.mean, std=data.std, training={})
    again = load_detector(tmp_path / "w.safetensors", data)
    flows = torch.from_numpy(data.padded(np.arange(9)))
    torch.testing.assert_close(again(flows), detector(flows).detach())
    assert again.architecture == detector.architecture
    file.write_text(SMALL + "\n# changed\n")
    with pytest.raises(InputError, match=r"small\.py: has changed since"):
        load_detector(tmp_path / "w.safetensors", data)


def test_dropout_is_active_in_epochs_of_training_alone(file, tmp_path):
    data = make_flows([3] * 40, attack=np.arange(40) % 2)
    settings = Training(detector=f"{file}:Dropping", hidden_size=8, epochs=1)
    detector = settings.new_detector()
    check_contract(detector)
    modes = []
    detector.network.dropout.register_forward_pre_hook(lambda layer, _: modes.append(layer.training))
    fit(detector, data, settings, checkpoint=tmp_path / "checkpoint")
    assert modes == sorted(modes, reverse=True) and set(modes) == {True, False}  # epoch, then validation
    save_detector(tmp_path / "w.safetensors", detector, data.mean, std=data.std, training={})
    again = load_detector(tmp_path / "w.safetensors", data)
    check_contract(again)
    assert again.network.rnn.training and not again.network.dropout.training  # cuDNN asks for the former


def test_what_is_an_lstm_s_alone_says_so(file):
    detector = OwnDetector(f"{file}:Small", {})
    with pytest.raises(InputError, match=r"an LSTM only, and this detector is .*small\.py:Small"):
        weight_importance(detector)
    upper, exact = np.array([0.5, np.inf]), np.array([True, False])
    bracket = DistanceBounds()(detector, make_flows([2, 3]), upper, exact=exact)
    assert bracket.lower.tolist() == [0.5, 0]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("small.py:Backwards", [], "not causal: a packet changes logits before it|padding"),
        ("small.py:Failing", [], "fails on flows"),
        ("small.py:Fixed", ["--feature-dropout"], "has no parameter `inputs`"),
        ("small.py:Bare", [], "not a torch.nn.Module with parameters"),
        ("small.py:broken", [], "cannot be made .*no such luck"),
        ("small.py:Nobody", [], "has no class Nobody"),
        ("small.py", [], "named FILE:CLASS, and there is no such file"),
        ("nowhere.py:Small", [], "no such file here"),
        ("text.txt:Small", [], "not a file of Python"),
        ("wrong.py:Small", [], "cannot be imported .*SyntaxError"),
    ],
)
def test_one_that_cannot_be_used_is_refused(file, monkeypatch, name, options, words):
    (file.parent / "text.txt").write_text(SMALL)
    (file.parent / "wrong.py").write_text("class Small(:\n")
    monkeypatch.chdir(file.parent)
    with pytest.raises(InputError, match=words):
        check_detector.main([name, *options])


def test_a_sound_one_is_told_so(file, caplog):
    caplog.set_level("INFO")
    check_detector.main([f"{file}:Counting", "--hidden-size", "8"])
    assert "keeps the protocol" in caplog.text and "told 100 % of random flows apart" in caplog.text


def test_the_manual_s_own_network_works(tmp_path):
    manual = (REPOSITORY / "docs/own_detector.md").read_text()
    (tmp_path / "small.py").write_text(re.search(r"```python\n(.*?)```", manual, flags=re.DOTALL)[1])
    (command,) = re.findall(r"(?m)^python (scripts/check_detector.py .*)$", manual)
    words = [sys.executable, REPOSITORY / command.split()[0], *command.split()[1:]]
    run = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0 and "keeps the protocol" in run.stderr, run.stderr


def test_the_workflow_trains_attacks_and_scores_one_and_trains_anew_when_its_file_changes(checkout, study):
    manual = (REPOSITORY / "docs/own_detector.md").read_text()
    (study / "small.py").write_text(re.search(r"```python\n(.*?)```", manual, flags=re.DOTALL)[1])
    models = {"small": {"detector": "small.py:Small", "hidden_size": 8, "epochs": 2}}
    own = {"selected_models": ["small"], "models": models, "attacks": {"kappas": [1], "selection": {"chunks": 1}}}
    own |= {"selected_threat_models": ["paper"], "all_packets_goal": False}
    (study / "own.json").write_text(json.dumps(own))
    words = ["--cores", 1, "--configfile", "tiny.yaml", "own.json", "--", "results/tiny/small/ars.csv"]
    run = snakemake(checkout, study, *words)
    assert run.returncode == 0, run.stdout
    scores = pd.read_csv(study / "results/tiny/small/ars.csv")
    assert len(scores) > 2 and set(scores["verdict"]) & {"ok", "refuted"}
    with (study / "small.py").open("a") as file:
        file.write("# another\n")
    again = snakemake(checkout, study, "-n", *words)
    assert "train" in again.stdout and "Updated input files: small.py" in again.stdout


def test_the_shipped_configuration_plans(tmp_path):
    run = snakemake(REPOSITORY, tmp_path, "-n", "--configfile", REPOSITORY / "config/detectors.yaml", "--", "table_ars")
    assert run.returncode == 0, run.stdout
    assert all(f"results/lab/{model}/weights.safetensors" in run.stdout for model in ("gru", "tcn", "transformer"))

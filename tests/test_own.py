"""A detector of one's own: made of a file, trained here or elsewhere, kept, read again, used or refused."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from conftest import REPOSITORY, snakemake
from detectors import flows as chosen_flows
from detectors import write_dataset
from explained import make_flows
from sklearn.ensemble import ExtraTreesClassifier
from torch import nn

import check_detector
import import_detector
from rnnids.attacks.bounds import DistanceBounds
from rnnids.attacks.gradient import CarliniWagner
from rnnids.attacks.search import RobustSearch
from rnnids.datasets.features import NUM_FEATURES
from rnnids.datasets.flow_data import is_packet
from rnnids.detectors.contract import check_contract
from rnnids.detectors.lstm import load_detector, save_detector
from rnnids.detectors.own import OwnDetector
from rnnids.detectors.packed_lstm import pack
from rnnids.detectors.training import Training, fit
from rnnids.errors import InputError
from rnnids.explanations.gradients import integrated_gradients
from rnnids.explanations.importance import weight_importance

SHIPPED = ["gru.py:GRU", "tcn.py:TCN", "transformer.py:Transformer", "forest.py:Forest"]
FOREST = REPOSITORY / "config/detectors/forest.py"
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


class Untrainable(Small):
    differentiable = False


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
        ("small.py", [], "named FILE:CLASS, FILE.pt or FILE.onnx, and there is no such file"),
        ("small.py:Small", ["--trained", "nowhere.safetensors"], "not a state dict in safetensors"),
        ("small.py:Small", ["--trained", "small.py"], "not a state dict in safetensors"),
        ("wrong.pt", [], "not a network in TorchScript"),
        ("wrong.onnx", [], "ONNX needs onnxruntime: pip install|not a network that onnxruntime can run"),
        ("nowhere.py:Small", [], "no such file here"),
        ("text.txt:Small", [], "not a file of Python"),
        ("wrong.py:Small", [], "cannot be imported .*SyntaxError"),
    ],
)
def test_one_that_cannot_be_used_is_refused(file, monkeypatch, name, options, words):
    (file.parent / "text.txt").write_text(SMALL)
    for name_of_wrong in ("wrong.py", "wrong.pt", "wrong.onnx"):
        (file.parent / name_of_wrong).write_text("class Small(:\n")
    monkeypatch.chdir(file.parent)
    with pytest.raises(InputError, match=words):
        check_detector.main([name, *options])


def test_a_sound_one_is_told_so(file, caplog):
    caplog.set_level("INFO")
    check_detector.main([f"{file}:Counting", "--hidden-size", "8"])
    assert "keeps the protocol" in caplog.text and "told 100 % of random flows apart" in caplog.text


def test_a_missing_gradient_is_no_fault(file, caplog):
    caplog.set_level("INFO")
    check_detector.main([f"{file}:Untrainable"])
    assert "keeps the protocol" in caplog.text and "told" not in caplog.text


def scripted(network, path):
    torch.jit.script(network).save(str(path))


def in_onnx(network, path):
    """A file of ONNX, by the exporter that needs no package but onnx."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: import of ONNX is NOT tested")
    pytest.importorskip("onnx", reason="onnx is not installed: import of ONNX is NOT tested")
    axes = {"inputs": {0: "B", 1: "T"}, "logits": {0: "B", 1: "T"}}
    names = {"input_names": ["inputs"], "output_names": ["logits"], "dynamic_axes": axes}
    torch.onnx.export(network, torch.zeros(2, 3, NUM_FEATURES), str(path), dynamo=False, **names)


class Elsewhere(nn.Module):
    """Small, with the same names, as somebody wrote it who knows nothing of this project."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.readout = nn.RNN(NUM_FEATURES, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.readout(self.rnn(inputs)[0]).squeeze(-1)


class WithLengths(Elsewhere):
    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.readout(self.rnn(inputs)[0]).squeeze(-1) + (lengths > 99)[:, None]


@pytest.fixture
def elsewhere(tmp_path):
    """A network that calls short packets attacks, and flows to attack, with the file of their data set."""
    torch.manual_seed(3)
    network, data = Elsewhere(), chosen_flows(60)
    inputs, packet = torch.from_numpy(data.padded(np.arange(60))), torch.from_numpy(is_packet(data.packet_count))
    labels = torch.from_numpy(np.repeat(data.is_attack, data.packet_count)).float()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.03)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(network(inputs)[packet], labels).backward()
        optimiser.step()
    return network.eval().requires_grad_(False), data, write_dataset(tmp_path / "data.h5", data, np.arange(60) % 2)


def imported(tmp_path, dataset, detector, *words):
    """A detector as import_detector.py makes it."""
    weights = tmp_path / "weights.safetensors"
    files = ["--dataset", str(dataset), "--detector", str(detector), "--weights", str(weights)]
    import_detector.main([*files, "--hidden-size", "8", *words])
    return load_detector(weights)


@pytest.mark.parametrize(("suffix", "write"), [("pt", scripted), ("onnx", in_onnx)])
def test_what_was_trained_elsewhere_says_and_is_evaded_as_its_class_with_its_weights(
    file, elsewhere, tmp_path, suffix, write
):
    network, data, dataset = elsewhere
    safetensors.torch.save_file(network.state_dict(), tmp_path / "given.safetensors")
    write(network, tmp_path / f"net.{suffix}")
    words = ["--trained", str(tmp_path / "given.safetensors")]
    ours = imported(tmp_path, dataset, f"{file}:Small", *words)
    theirs = imported(tmp_path, dataset, tmp_path / f"net.{suffix}")
    inputs = torch.from_numpy(data.padded(np.arange(60)))
    assert torch.equal(ours(inputs), network(inputs))
    torch.testing.assert_close(theirs(inputs), ours(inputs), rtol=1e-5, atol=1e-5)
    search, attacked = RobustSearch(draws=16, generations=2, nearer_rounds=2, restarts=1), data.take(data.is_attack)
    if theirs.differentiable:
        left, right = (CarliniWagner(kappa=4)(detector, attacked) for detector in (ours, theirs))
        assert left.success.any()
        np.testing.assert_allclose(left.l1, right.l1, rtol=1e-3)
    else:
        ours.differentiable = False
    left, right = (search(detector, attacked) for detector in (ours, theirs))
    assert left.success.any()
    np.testing.assert_allclose(left.l1, right.l1, rtol=1e-3)


def test_a_script_is_given_lengths_as_a_tensor(tmp_path):
    scripted(WithLengths(), tmp_path / "net.pt")
    detector = OwnDetector(str(tmp_path / "net.pt"), {}).eval()
    assert detector.takes_lengths
    check_contract(detector)
    torch.jit.freeze(torch.jit.script(Elsewhere().eval())).save(str(tmp_path / "frozen.pt"))
    check_contract(OwnDetector(str(tmp_path / "frozen.pt"), {}))


def test_a_script_is_trained_on_and_its_file_must_stay_as_it_was(elsewhere, tmp_path):
    network, data, _ = elsewhere
    scripted(network, tmp_path / "net.pt")
    detector = OwnDetector(str(tmp_path / "net.pt"), {})
    fit(detector, data, Training(epochs=1), checkpoint=tmp_path / "checkpoint")
    save_detector(tmp_path / "w.safetensors", detector, data.mean, std=data.std, training={})
    inputs = torch.from_numpy(data.padded(np.arange(9)))
    again = load_detector(tmp_path / "w.safetensors")
    torch.testing.assert_close(again(inputs), detector(inputs).detach())
    assert not torch.allclose(again(inputs), network(inputs))
    scripted(Elsewhere(), tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"net\.pt: has changed since"):
        load_detector(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("readout.bias"), r"it lacks readout\.bias; check class and sizes"),
        (lambda state: state.update(more=torch.zeros(2)), "the network lacks more"),
        (lambda state: state.update({"readout.bias": torch.zeros(3)}), r"readout\.bias has the shape \(3,\) and not"),
        (lambda state: state["readout.bias"].fill_(np.nan), r"readout\.bias holds numbers that are not finite"),
    ],
)
def test_weights_that_do_not_fit_are_named(file, tmp_path, change, words):
    state = {name: value.clone() for name, value in Elsewhere().state_dict().items()}
    change(state)
    safetensors.torch.save_file(state, tmp_path / "given.safetensors")
    with pytest.raises(InputError, match=rf"given\.safetensors: .*{words}"):
        imported(tmp_path, "unread.h5", f"{file}:Small", "--trained", str(tmp_path / "given.safetensors"))


def test_what_cannot_be_imported_says_why(file, tmp_path):
    scripted(Elsewhere(), tmp_path / "net.pt")
    with pytest.raises(InputError, match="an untrained network; give its state dict"):
        imported(tmp_path, "unread.h5", f"{file}:Small")
    with pytest.raises(InputError, match="holds its weights itself"):
        imported(tmp_path, "unread.h5", tmp_path / "net.pt", "--trained", "unread.safetensors")
    state = OwnDetector(f"{file}:Backwards", {}).network.state_dict()
    safetensors.torch.save_file(state, tmp_path / "given.safetensors")
    with pytest.raises(InputError, match=r"given\.safetensors: (not causal|padding)"):
        imported(tmp_path, "unread.h5", f"{file}:Backwards", "--trained", str(tmp_path / "given.safetensors"))


def test_onnx_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").touch()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"net\.onnx: .* pip install onnxruntime, or conda install -c conda-forge"):
        OwnDetector(str(tmp_path / "net.onnx"), {})


class Remembered(ExtraTreesClassifier):
    """scikit-learn's forest, of which the last one fitted is at hand."""

    last = None

    def fit(self, *given):
        Remembered.last = self
        return super().fit(*given)


def test_the_forest_says_what_that_of_scikit_learn_says(monkeypatch):
    specification = importlib.util.spec_from_file_location("forest", FOREST)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(module, "ExtraTreesClassifier", Remembered)
    torch.manual_seed(0)
    data = chosen_flows(200)
    inputs, packet = torch.from_numpy(data.padded(np.arange(200))), torch.from_numpy(is_packet(data.packet_count))
    forest = module.Forest()
    forest.fit(inputs, data.packet_count, data.is_attack)
    known = forest.statistics(inputs)
    mean = inputs[3, : data.packet_count[3]].mean(0)
    torch.testing.assert_close(known[3, data.packet_count[3] - 1, NUM_FEATURES : 2 * NUM_FEATURES], mean)
    share = Remembered.last.predict_proba(known[packet].numpy())[:, 1].clip(module.CERTAIN, 1 - module.CERTAIN)
    assert np.unique(share).size > 20
    found = forest(inputs)[packet].numpy()
    np.testing.assert_allclose(found, np.log(share / (1 - share)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("feature_dropout", [False, True])
def test_what_has_no_gradient_is_fitted_kept_searched_and_not_derived(tmp_path, feature_dropout):
    data = chosen_flows(120)
    settings = Training(detector=f"{FOREST}:Forest", feature_dropout=feature_dropout)
    torch.manual_seed(0)
    detector = settings.new_detector()
    _, curve = fit(detector, data, settings, checkpoint=tmp_path / "checkpoint")
    assert [row["epoch"] for row in curve] == [1] and curve[0]["validation_accuracy"] > 0.9
    check_contract(detector)
    save_detector(tmp_path / "w.safetensors", detector, data.mean, std=data.std, training={})
    again, attacked = load_detector(tmp_path / "w.safetensors", data), data.take(data.is_attack)
    inputs = torch.from_numpy(data.padded(np.arange(120)))
    assert torch.equal(again(inputs), detector(inputs))
    if not feature_dropout:
        result = RobustSearch(draws=16, generations=2, nearer_rounds=2, restarts=1)(again, attacked)
        assert result.success.any() and not result.gradients.any()
    for derive in (CarliniWagner(), integrated_gradients):
        with pytest.raises(InputError, match="no gradient, which this needs"):
            derive(again, attacked)


def test_what_can_be_trained_by_nothing_says_so(file, tmp_path):
    settings = Training(detector=f"{file}:Untrainable")
    with pytest.raises(InputError, match="no gradient"):
        fit(settings.new_detector(), make_flows([3] * 40), settings, checkpoint=tmp_path / "checkpoint")


def test_a_network_that_fits_itself_is_tried_so(caplog):
    caplog.set_level("INFO")
    check_detector.main([f"{FOREST}:Forest"])
    assert "only draws attack it" in caplog.text
    assert "told 100 % of random flows apart by their lengths after fitting itself" in caplog.text


def test_the_manual_s_own_network_works(tmp_path):
    manual = (REPOSITORY / "docs/own_detector.md").read_text()
    (tmp_path / "small.py").write_text(re.search(r"```python\n(.*?)```", manual, flags=re.DOTALL)[1])
    command = re.findall(r"(?m)^python (scripts/check_detector.py .*)$", manual)[0]
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
    models = ("gru", "tcn", "transformer", "forest")
    assert all(f"results/lab/{model}/weights.safetensors" in run.stdout for model in models)


def test_the_workflow_takes_what_is_trained_already_and_what_has_no_gradient(checkout, study, file):
    torch.manual_seed(0)
    scripted(Elsewhere(), study / "net.pt")
    shutil.copy(file, study / "given.py")
    safetensors.torch.save_file(Elsewhere().state_dict(), study / "given.safetensors")
    forest = {"detector": "config/detectors/forest.py:Forest"}
    given = {"detector": "given.py:Small", "weights": "given.safetensors"}
    own = {"selected_models": ["baseline", "theirs", "given"], "transfer": {"pairs": []}, "all_packets_goal": False}
    own |= {"models": {"baseline": forest, "theirs": {"detector": "net.pt"}, "given": given}}
    own |= {"selected_threat_models": ["paper"], "attacks": {"kappas": [1], "selection": {"chunks": 1}}}
    (study / "own.json").write_text(json.dumps(own))
    words = ["--cores", 1, "--configfile", "tiny.yaml", "own.json", "--"]
    folder = study / "results/tiny"
    run = snakemake(checkout, study, *words, "fig3", "results/tiny/theirs/weights.safetensors")
    assert run.returncode == 0, run.stdout
    assert (folder / "figures/fig3.pdf").stat().st_size > 1000 and not (folder / "theirs/learning_curve.csv").exists()
    assert set(pd.read_csv(folder / "baseline/ars.csv")["verdict"]) & {"ok", "refuted", "inert"}
    plan = snakemake(checkout, study, "-n", *words, "table_ars", "table_defences", "attacks_all")
    assert plan.returncode == 0 and "rule import_detector:" in plan.stdout
    assert "results/tiny/given/weights.safetensors" in plan.stdout
    assert "baseline: without gradient, so CW, PGD and FGSM leave them out" in plan.stdout
    assert "theirs/attacks/cw" in plan.stdout and "baseline/attacks/cw" not in plan.stdout
    refused = snakemake(checkout, study, "-n", *words, "fig2")
    assert refused.returncode != 0
    assert "models.baseline: config/detectors/forest.py:Forest has no gradient" in refused.stdout

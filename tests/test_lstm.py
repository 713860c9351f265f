"""The detector: causal, blind where it should be, and the same after saving."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from rnnids.datasets.features import DIRECTION, INTERARRIVAL_TIME, NUM_FEATURES, PACKET_LENGTH
from rnnids.detectors.lstm import LSTMDetector, load_detector, pick_device, save_detector
from rnnids.detectors.tensor_files import read_tensors, write_tensors
from rnnids.errors import InputError


def detector(**variant):
    torch.manual_seed(0)
    return LSTMDetector(hidden_size=8, num_layers=2, **variant)


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    values = torch.randn(6, 7, NUM_FEATURES)
    values[..., DIRECTION] = torch.where(torch.rand(6, 7) < 0.5, -1.0, 1.0)  # z-scores of forward and reverse
    return values


def test_causal_so_padding_is_inert(inputs):
    model = detector()
    changed = inputs.clone()
    changed[:, 4:] = 9.0
    assert torch.equal(model(inputs)[:, :4], model(changed)[:, :4])
    assert torch.allclose(model(inputs)[:, :4], model(inputs[:, :4]), atol=1e-6)
    assert not torch.equal(model(inputs)[:, 4:], model(changed)[:, 4:])


@pytest.mark.parametrize("variant", [{}, {"feature_dropout": True}, {"suppress": "forward"}])
def test_going_on_from_states_gives_what_whole_flows_give(inputs, variant):
    model, lengths = detector(**variant), np.array([7, 7, 5, 3, 1, 1])
    states = model.states(inputs, lengths)
    packets = torch.cat([flow[:length] for flow, length in zip(inputs, lengths, strict=True)])
    whole = torch.cat([flow[:length] for flow, length in zip(model(inputs), lengths, strict=True)])
    assert len(states) == len(packets) == lengths.sum()
    other = torch.randn_like(packets)  # an alternative beside each packet is none of its business
    found = model.next_logits(states, torch.stack([packets, other], dim=1))
    torch.testing.assert_close(found[:, 0], whole, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found[:, 1], whole, atol=1e-3)
    chosen = np.array([11, 0, 23])
    torch.testing.assert_close(model.next_logits(states[chosen], packets[chosen, None])[:, 0], whole[chosen])
    torch.testing.assert_close(model.next_logits(states[5:9], packets[5:9, None])[:, 0], whole[5:9])


@pytest.mark.parametrize(("suppress", "hidden"), [("both", "any"), ("forward", "forward")])
@pytest.mark.parametrize("feature", [PACKET_LENGTH, INTERARRIVAL_TIME])
def test_reduced_models_do_not_see_what_they_must_not(inputs, suppress, hidden, feature):
    model = detector(suppress=suppress)
    forward = inputs[..., DIRECTION] < 0
    changed = inputs.clone()
    changed[..., feature] += 5.0 * (forward if hidden == "forward" else True)
    assert torch.equal(model(inputs), model(changed))
    if suppress == "forward":
        changed[..., feature] += 5.0 * ~forward
        assert not torch.equal(model(inputs), model(changed))


def test_feature_dropout_flag_reaches_the_net(inputs):
    model = detector(feature_dropout=True)
    suppressed = torch.zeros(6, NUM_FEATURES, dtype=torch.bool)
    suppressed[:, 2] = True
    changed = inputs.clone()
    changed[..., 2] = 4.0
    assert torch.equal(model(inputs, suppressed=suppressed), model(changed, suppressed=suppressed))
    zero = inputs.clone()
    zero[..., 2] = 0.0
    assert not torch.allclose(model(zero, suppressed=suppressed), model(zero))  # missing is not the same as zero
    assert torch.equal(model(inputs), model(inputs, suppressed=torch.zeros_like(suppressed)))


def test_save_and_load(tmp_path):
    model = detector(suppress="forward")
    mean, std = np.arange(15.0), np.arange(1.0, 16.0)
    save_detector(tmp_path / "w.safetensors", model, mean, std=std, training={"epoch": 3})
    loaded = load_detector(tmp_path / "w.safetensors")
    assert loaded.architecture == model.architecture
    weights = model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in loaded.state_dict().items())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    with safetensors.safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        description = json.loads(file.metadata()["rnnids"])
    assert (description["mean"], description["std"]) == (mean.tolist(), std.tolist())
    assert description["training"] == {"epoch": 3}
    assert description["features"][PACKET_LENGTH] == "packet_length"


def test_a_model_goes_with_its_normalisation(tmp_path):
    path = tmp_path / "w.safetensors"
    save_detector(path, detector(), np.ones(15), std=np.full(15, 2.0), training={})
    load_detector(path, SimpleNamespace(mean=np.ones(15), std=np.full(15, 2.0)))
    for mean, std in ((1.0, 2.0 + 1e-15), (1.0 + 1e-15, 2.0)):
        with pytest.raises(InputError, match="another data set"):
            load_detector(path, SimpleNamespace(mean=np.full(15, mean), std=np.full(15, std)))


@pytest.fixture
def saved(tmp_path):
    """A file of a small detector."""
    path = tmp_path / "w.safetensors"
    save_detector(path, detector(), np.ones(15), std=np.ones(15), training={})
    return path


def test_every_flipped_bit_is_found(saved):
    content, rng = saved.read_bytes(), np.random.default_rng(0)
    end = 8 + int.from_bytes(content[:8], "little")  # of the description
    for place in [*rng.integers(0, end, 300), *rng.integers(end, len(content), 300)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        saved.write_bytes(damaged)
        with pytest.raises(InputError, match=r"w\.safetensors: .*train it again"):
            load_detector(saved)


def rewritten(path, change):
    """Save a model's file anew, its digest right, after ``change(description, weights)``."""
    weights, texts = read_tensors(path, ["rnnids"])
    description = json.loads(texts["rnnids"])
    change(description, weights)
    write_tensors(path, weights, {"rnnids": json.dumps(description)})


def reverse_features(description, _):
    description["features"] = description["features"][::-1]


def set_weight(value):
    def change(_, weights):
        weights["lstm.weight_hh_l0"][0, 0] = value

    return change


def describe(**changes):
    return lambda description, _: description.update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (reverse_features, "made for other features, or for these in another order"),
        (describe(features=[]), "made for other features"),
        (describe(mean=[0.0] * 14 + [float("nan")]), "its normalisation cannot be used"),
        (describe(std=[1.0] * 14 + [0.0]), "its normalisation cannot be used"),
        (describe(std=[1.0] * 14), "its normalisation cannot be used"),
        (describe(mean="x"), "not a model of this workflow, or damaged"),
        (set_weight(float("inf")), "lstm.weight_hh_l0 holds numbers that are not finite"),
        (set_weight(float("nan")), "lstm.weight_hh_l0 holds numbers that are not finite"),
        (describe(architecture={"hidden_size": 10**9, "num_layers": 1}), "damaged"),
        (describe(architecture={"hidden_size": 4, "num_layers": 10**9}), "more layers than its weights"),
        (describe(architecture={"hidden_size": "4", "num_layers": 1}), "damaged"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(change, message, saved):
    rewritten(saved, change)
    with pytest.raises(InputError, match=message):
        load_detector(saved)


def test_equal_models_are_equal_files(tmp_path):
    weights, texts = {"a": torch.ones(3), "b": torch.zeros(2, 2)}, {name: name for name in "uvwxyz"}
    for number in range(12):
        write_tensors(tmp_path / f"{number}", weights, texts)
    assert len({(tmp_path / f"{number}").read_bytes() for number in range(12)}) == 1
    found, said = read_tensors(tmp_path / "0", list(texts))
    assert said == texts and all(torch.equal(found[name], weights[name]) for name in weights)


def test_a_model_of_an_earlier_version_is_read_with_a_warning(saved, caplog):
    weights, texts = read_tensors(saved, ["rnnids"])
    safetensors.torch.save_file(weights, saved, metadata=texts)
    load_detector(saved)
    assert "of an earlier version, without a digest" in caplog.text


def test_a_model_says_what_it_was_computed_on(saved):
    with safetensors.safe_open(saved, framework="pt") as file:
        found = json.loads(file.metadata()["rnnids"])["computed_on"]
    assert found["torch"] == torch.__version__
    assert found["threads"] == str(torch.get_num_threads())
    assert {"processor", "instructions", "numpy", "python", "mkl", "onednn"} <= found.keys()
    assert all(isinstance(words, str) and words for words in found.values())


def test_wrong_files(tmp_path):
    path = tmp_path / "w.safetensors"
    save_detector(path, detector(), np.ones(15), std=np.ones(15), training={})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="damaged"):
        load_detector(path)
    with pytest.raises(InputError, match="absent"):
        load_detector(tmp_path / "absent.safetensors")


def test_device():
    assert pick_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        assert pick_device("auto").type == "cpu"
        with pytest.raises(InputError, match="cuda"):
            pick_device("cuda")


def test_float32_is_float32_on_a_gpu_too(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    assert pick_device("auto").type == "cuda"
    assert not torch.backends.cudnn.allow_tf32

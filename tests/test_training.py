"""Training: the right loss, and the same end however often it is interrupted."""

import logging
import math
import re
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import detectors
import numpy as np
import pandas as pd
import pytest
import safetensors
import torch
from torch.nn import functional

from rnnids.detectors import training
from rnnids.detectors.checkpoints import load_checkpoint
from rnnids.detectors.lstm import LSTMDetector
from rnnids.errors import InputError

SETTINGS = replace(detectors.TRAINING, epochs=4)
SCRIPT = Path(__file__).parents[1] / "scripts/train.py"
CPU = torch.device("cpu")


def new_model(**variant):
    torch.manual_seed(0)
    return LSTMDetector(hidden_size=8, num_layers=1, **variant)


def fit(checkpoint, settings=SETTINGS, model=None, seed=0):
    model = model or new_model(feature_dropout=True)
    best, curve = training.fit(model, detectors.flows(), settings, checkpoint=checkpoint, seed=seed)
    return model.state_dict(), best, curve


def test_loss_is_that_of_every_packet():
    model, data = new_model(), detectors.flows(20)
    rows = np.array([3, 0, 7, 12])
    expected = 0.0
    for row in rows:
        logits = model(torch.from_numpy(data.padded(np.array([row]))))[0]
        expected += functional.softplus(-logits if data.is_attack[row] else logits).sum().item()
    assert training.summed_loss(model, training.load_batch(data, rows, CPU), "float32").item() == pytest.approx(
        expected, rel=1e-5
    )


def test_interrupted_training_ends_with_the_same_weights(tmp_path, monkeypatch):
    whole, best, curve = fit(tmp_path / "whole")
    step, calls = training.summed_loss, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 8:  # in the middle of an epoch
            raise KeyboardInterrupt
        return step(*arguments, **options)

    monkeypatch.setattr(training, "summed_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "checkpoint")
    monkeypatch.setattr(training, "summed_loss", step)
    assert (tmp_path / "checkpoint").exists()
    resumed, resumed_best, resumed_curve = fit(tmp_path / "checkpoint")
    assert resumed_curve == curve
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert all(torch.equal(resumed_best[name], best[name]) for name in best)


def test_checkpoint_of_other_settings_is_left_alone(tmp_path):
    fit(tmp_path / "checkpoint", seed=1)
    other, _, _ = fit(tmp_path / "checkpoint")
    anew, _, _ = fit(tmp_path / "new")
    assert all(torch.equal(other[name], anew[name]) for name in anew)


def test_checkpoint_of_other_labels_is_left_alone(tmp_path):
    """Rules that label otherwise leave lengths and normalisation as they are."""
    data = detectors.flows()
    relabelled = replace(data, flows=data.flows | {"attack": 1 - np.minimum(data.flows["attack"], 1)})
    weights = []
    for checkpoint, flows in (("a", data), ("a", relabelled), ("b", relabelled)):
        model = new_model()
        training.fit(model, flows, SETTINGS, checkpoint=tmp_path / checkpoint)
        weights.append(torch.cat([value.ravel() for value in model.state_dict().values()]))
    assert not torch.equal(weights[0], weights[1])
    assert torch.equal(weights[1], weights[2])


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"\xff" * 100])
def test_checkpoint_that_is_none_is_left_alone(tmp_path, content):
    (tmp_path / "checkpoint").write_bytes(content)
    settings = replace(SETTINGS, epochs=1)
    assert fit(tmp_path / "checkpoint", settings)[2] == fit(tmp_path / "new", settings)[2]


def test_a_damaged_checkpoint_is_left_alone_whichever_bit_it_is(tmp_path, caplog):
    settings = replace(SETTINGS, epochs=1)
    fit(tmp_path / "checkpoint", settings)
    with safetensors.safe_open(tmp_path / "checkpoint", framework="pt") as file:
        run = file.metadata()["run"]
    assert load_checkpoint(tmp_path / "checkpoint", run)
    content, rng = (tmp_path / "checkpoint").read_bytes(), np.random.default_rng(0)
    for place in rng.integers(len(content), size=200):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        (tmp_path / "checkpoint").write_bytes(damaged)
        assert load_checkpoint(tmp_path / "checkpoint", run) is None
    assert caplog.text.count("is damaged") == 200


def test_a_full_disk_ends_a_training_in_one_line(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(InputError, match=r"checkpoint: no space left to write it"):
            fit(tmp_path / "checkpoint")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_diverging_training_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "summed_loss", lambda model, *_, **options: next(model.parameters()).sum() * math.nan)
    with pytest.raises(InputError, match="diverges"):
        fit(tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()


def test_learning_rate_falls_to_0_along_a_cosine():
    optimiser = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    rates = []
    for done in (0, 1, 2, 3, 4):
        training.set_learning_rate(optimiser, replace(SETTINGS, epochs=4, learning_rate=0.5), done)
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([0.5, 0.25 + 0.25 * math.sqrt(0.5), 0.25, 0.25 - 0.25 * math.sqrt(0.5), 0])


def test_every_step_has_its_own_rate_and_batch_mean(monkeypatch):
    """Each batch's gradient is that of its mean loss per packet, and the rate falls within an epoch."""
    seen = []
    data, model = detectors.flows(), new_model()
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    step, monitored = optimiser.step, training.summed_loss

    def loss(model, batch, *rest, **options):
        seen.append(batch.rows)
        return monitored(model, batch, *rest, **options)

    def checked_step():
        rows = seen[-1]
        alone = monitored(model, training.load_batch(data, rows, CPU), "float32")
        expected = torch.autograd.grad(alone, model.readout.weight)[0]
        got = model.readout.weight.grad
        assert torch.allclose(got, expected / int(data.packet_count[rows].sum()), atol=1e-6)
        rates.append(optimiser.param_groups[0]["lr"])
        step()

    rates = []
    monkeypatch.setattr(training, "summed_loss", loss)
    monkeypatch.setattr(training, "CLIP_NORM", math.inf)
    optimiser.step = checked_step
    training.train_epoch(model, optimiser, data, settings=replace(SETTINGS, learning_rate=0.01), epoch=1)
    assert sorted(np.concatenate(seen)) == list(range(len(data)))
    assert len(set(rates)) == len(seen) > 2
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(0.01 * 0.5 * (1 + math.cos(math.pi / 4)))  # after one of four epochs


def test_feature_dropout_suppresses_one_feature_of_a_flow_on_average(monkeypatch):
    shares, wanted = [], training.summed_loss

    def loss(model, batch, precision, suppressed):
        assert suppressed.shape == (len(batch.rows), 15)
        shares.append(suppressed.float())
        return wanted(model, batch, precision, suppressed=suppressed)

    monkeypatch.setattr(training, "summed_loss", loss)
    model = new_model(feature_dropout=True)
    optimiser = torch.optim.Adam(model.parameters())
    for epoch in range(3):
        training.train_epoch(model, optimiser, detectors.flows(400), settings=SETTINGS, epoch=epoch)
    drawn = torch.cat(shares)
    assert len(drawn) == 1200
    assert float(drawn.sum(dim=1).mean()) == pytest.approx(1, abs=0.15)  # 15 features, each with 1/15
    assert (drawn.mean(dim=0) > 0.03).all()
    assert not torch.equal(drawn[:400], drawn[400:800])


def test_the_curve_counts_epochs_from_1(tmp_path):
    curve = fit(tmp_path / "checkpoint", replace(SETTINGS, epochs=2))[2]
    assert [row["epoch"] for row in curve] == [1, 2]
    assert tuple(curve[0]) == training.CURVE


def test_a_cpu_computes_in_float32_whatever_the_precision():
    model, data = new_model(), detectors.flows(20)
    batch = training.load_batch(data, np.arange(20), CPU)
    assert torch.equal(training.summed_loss(model, batch, "auto"), training.summed_loss(model, batch, "float32"))


def test_best_weights_have_the_smallest_validation_loss(tmp_path):
    model = new_model()
    _, best, curve = fit(tmp_path / "checkpoint", replace(SETTINGS, learning_rate=0.3, epochs=6), model)
    _, validation = training.hold_out(detectors.flows(), SETTINGS.validation_fraction, 0)
    model.load_state_dict(best)
    loss, _ = training.validate(model, validation, SETTINGS.batch_packets)
    assert loss == pytest.approx(min(row["validation_loss"] for row in curve), rel=1e-5)


def test_something_is_left_to_fit():
    with pytest.raises(InputError, match="leaves none to fit"):
        training.hold_out(detectors.flows(10), 1.0, 0)


def test_hold_out_divides():
    data = detectors.flows(50)
    fitted, validation = training.hold_out(data, 0.2, 0)
    assert len(validation) == 10
    assert sorted([*fitted.row, *validation.row]) == list(range(50))


def test_learns_what_can_be_learnt():
    model, data = detectors.trained()
    _, accuracy = training.validate(model, data, SETTINGS.batch_packets)
    assert accuracy > 0.85


def test_one_class_is_an_error(tmp_path):
    data = detectors.flows()
    for chosen, kind in ((data.is_attack, "attack"), (~data.is_attack, "benign")):
        with pytest.raises(InputError, match=f"all .* flows are {kind}"):
            training.fit(new_model(), data.take(chosen), SETTINGS, checkpoint=tmp_path / "checkpoint")


def test_threads_change_the_loss_by_rounding_only(tmp_path):
    threads, losses = torch.get_num_threads(), []
    for count in (1, 2):
        torch.set_num_threads(count)
        losses.append(fit(tmp_path / str(count))[2][-1]["train_loss"])
    torch.set_num_threads(threads)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def command(directory, dataset, launcher=()):
    outputs = {"weights": "w.safetensors", "best": "b.safetensors", "curve": "c.csv", "checkpoint": "k"}
    words = [f"--{name}={directory / path}" for name, path in outputs.items()]
    options = "--hidden-size 8 --num-layers 1 --suppress none --epochs 2 --learning-rate 0.03 --batch-packets 128"
    options += " --validation-fraction 0.1 --precision float32 --seed 0 --device cpu --feature-dropout"
    directory.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, *launcher, SCRIPT, "--dataset", dataset, *words, *options.split()],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def dataset(tmp_path):
    data = detectors.flows()
    return detectors.write_dataset(tmp_path / "dataset.h5", data, np.arange(len(data)) % 3 == 0)


def test_two_processes_have_the_loss_curve_of_one(tmp_path, dataset):
    alone = command(tmp_path / "one", dataset)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    together = command(tmp_path / "two", dataset, launcher)
    assert (alone.returncode, together.returncode) == (0, 0), together.stderr
    curves = [pd.read_csv(tmp_path / name / "c.csv") for name in ("one", "two")]
    np.testing.assert_allclose(*curves, rtol=1e-4)
    assert not (tmp_path / "two" / "k").exists()


def test_how_long_the_rest_takes_is_said_after_the_first_epoch(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(training.cli, "PLAIN_INTERVAL", 0)
    training.fit(new_model(), detectors.flows(), SETTINGS, checkpoint=tmp_path / "checkpoint", label="training wide")
    lines = [record.getMessage() for record in caplog.records if getattr(record, "told", False)]
    assert [line.rpartition(",")[0] for line in lines] == [f"training wide: epoch {epoch} of 4" for epoch in (2, 3)]
    assert all(re.search(r", \d+ s left$", line) for line in lines)

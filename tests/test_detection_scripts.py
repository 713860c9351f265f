"""From a data set to the ARS by the scripts alone; every file recomputed from the ones before it."""

import detectors
import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from rnnids.attacks.ars import adversarial_robustness_score
from rnnids.attacks.files import read_adversarial_flows
from rnnids.datasets.flow_data import TEST, load_dataset
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.lstm import load_model

TRAINING = {"hidden_size": 12, "num_layers": 1, "suppress": "none", "epochs": 12, "learning_rate": 0.03, "seed": 0}
TRAINING |= {"batch_packets": 256, "validation_fraction": 0.1, "precision": "float32", "device": "cpu"}
EVALUATION = {"model_name": "tiny", "bootstrap_samples": 50, "seed": 0, "batch_packets": 256, "device": "cpu"}
ATTACK = {"delta": -0.2, "learning_rate": 0.1, "iterations": 10, "objective": "all_packets", "keep": "best"}
ATTACK |= {"mtu": 1500, "seed": 0, "batch_packets": 256, "device": "cpu", "chunk": 1, "chunks": 1}
SEARCH = {
    "search": "minimum_norm",
    "search_iterations": 20,
    "search_step": 5,
    "search_gamma": 0.2,
    "kappa_start": 0.5,
    "kappa_step": 2,
    "max_rounds": 2,
}
ARS_COLUMNS = "model attack category flows already_benign success_ratio ars low high ars_detected"
FLOW_COLUMNS = "row attack original_logit logit l1 linf last_l1 iteration already_benign success success_delta"


def paths(folder, *names, **others):
    """Options that name files in `folder`."""
    return {name.partition(".")[0]: folder / name for name in names} | {k: folder / v for k, v in others.items()}


def evaluate(folder, **inputs):
    outputs = paths(folder, "predictions.h5", "metrics.csv", "recall.csv", "confusion.csv")
    return detectors.run_script("evaluate.py", **EVALUATION, **inputs, **outputs)


def attack(folder, name="cw.h5", **options):
    return detectors.run_script("attack_cw.py", **ATTACK | {"kappa": 2.5} | options, output=folder / name)


def minimise(folder, name="ars.h5", **options):
    outputs = paths(folder, output=name, checkpoint="ars.checkpoint")
    return detectors.run_script("minimise_distances.py", **ATTACK | SEARCH | options, **outputs)


def score(folder, *distances):
    words = {"model_name": "tiny", "bootstrap_samples": 20, "seed": 0, "output": folder / "ars.csv"}
    return detectors.run_script("score_robustness.py", **words, distances=distances)


def gather(folder, *chunks):
    return detectors.run_script("gather_attack.py", chunks=chunks, output=folder / "gathered.h5")


def summarise(folder):
    outputs = {"attacks": folder / "cw.h5", "model_name": "tiny", "output": folder / "summary.csv"}
    return detectors.run_script("summarise_attacks.py", **outputs)


def run_all(folder):
    """Exit codes of all scripts, in order."""
    flows = detectors.flows(240)
    dataset = detectors.write_dataset(folder / "dataset.h5", flows, np.arange(len(flows)) % 3 == 0)
    outputs = paths(folder, "weights.safetensors", "last.safetensors", "curve.csv", "checkpoint")
    trained = detectors.run_script("train.py", dataset=dataset, **TRAINING, **outputs)
    inputs = {"dataset": dataset, "weights": folder / "weights.safetensors"}
    codes = [trained, evaluate(folder, **inputs), attack(folder, **inputs), summarise(folder)]
    codes += [minimise(folder, **inputs), score(folder, folder / "ars.h5")]
    return inputs, codes


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folder with the files of all scripts."""
    folder = tmp_path_factory.mktemp("results")
    assert run_all(folder)[1] == [0] * 6
    return folder


@pytest.fixture(scope="module")
def data(results):
    return load_dataset(results / "dataset.h5", TEST)


@pytest.fixture(scope="module")
def inputs(results):
    return {"dataset": results / "dataset.h5", "weights": results / "weights.safetensors"}


def test_nothing_else_is_left(results):
    names = {path.name for path in results.iterdir()}
    outputs = {"weights.safetensors", "last.safetensors", "curve.csv", "predictions.h5", "metrics.csv", "recall.csv"}
    assert names == outputs | {"dataset.h5", "confusion.csv", "cw.h5", "summary.csv", "ars.csv", "ars.h5"}


def test_metrics_are_those_of_the_predictions(results, data):
    metrics = pd.read_csv(results / "metrics.csv").set_index(["level", "metric"]).value
    with h5py.File(results / "predictions.h5") as file:
        logits, flow_logits = file["packets/logit"][:], file["flows/logit"][:]
        assert file["flows/row"][:].tolist() == data.row.tolist()
    label = np.repeat(data.is_attack, data.packet_count)
    for level, true, values in (("packet", label, logits), ("flow", data.is_attack, flow_logits)):
        assert metrics[level, "f1"] == pytest.approx(f1_score(true, values > 0))
        assert metrics[level, "youden_j"] == pytest.approx(balanced_accuracy_score(true, values > 0, adjusted=True))
    assert flow_logits.tolist() == [logits[data.start[i] + data.packet_count[i] - 1] for i in range(len(data))]
    recall = pd.read_csv(results / "recall.csv").set_index("attack")
    confusion = pd.read_csv(results / "confusion.csv").query("level == 'flow'").set_index(["true", "predicted"])
    assert recall.flows.sum() == data.is_attack.sum()
    assert recall.detected.sum() == confusion["count"]["attack", "attack"]
    false_alarms = (~data.is_attack & (flow_logits > 0)).sum()
    assert confusion["count"]["benign", "attack"] == false_alarms
    assert confusion["count"].sum() == len(data)
    for index, name in enumerate(data.attacks[1:], start=1):
        assert recall.recall[name] == (flow_logits[data.flows["attack"] == index] > 0).mean()
        assert recall.category[name] == data.categories[index]


def test_adversarial_flows_are_as_reported(results, data, inputs):
    with h5py.File(results / "cw.h5") as file:
        columns = {name: column[:] for name, column in file["flows"].items()}
        assert (file.attrs["method"], file.attrs["kappa"], file.attrs["delta"]) == ("cw", 2.5, -0.2)
    assert set(columns) == {*FLOW_COLUMNS.split(), "offset", "packet_count"}
    assert sorted(columns["row"]) == sorted(data.row[data.is_attack])
    original, adversarial, evaded = read_adversarial_flows(results / "cw.h5", data)
    model = load_model(inputs["weights"], data)
    logits = last_of_flow(packet_logits(model, adversarial, 10**6), adversarial.packet_count)
    np.testing.assert_allclose(logits, columns["logit"], atol=1e-5)
    assert ((logits <= 0) == columns["success"]).all()
    assert ((logits <= -0.2) == columns["success_delta"]).all()
    before = last_of_flow(packet_logits(model, original, 10**6), original.packet_count)
    assert (evaded == ((before > 0) & (logits <= 0))).all()
    assert evaded.any()
    growth = [adversarial.packets[name].astype(float) - original.packets[name] for name in ("length", "iat_ns")]
    change = growth[0] / data.std[3] + growth[1] / 1e6 / data.std[4]
    np.testing.assert_allclose(np.add.reduceat(change, original.start), columns["l1"], atol=1e-9)
    assert columns["offset"].tolist() == original.start.tolist()


def test_success_at_0_and_at_delta_are_told_apart(tmp_path, inputs):
    assert attack(tmp_path, **inputs, delta=-3, keep="last") == 0
    with h5py.File(tmp_path / "cw.h5") as file:
        logit, success, at_delta = (file[f"flows/{name}"][:] for name in ("logit", "success", "success_delta"))
    assert (success == (logit <= 0)).all()
    assert (at_delta == (logit <= -3)).all()
    assert success.sum() > at_delta.sum()


def test_summary_is_that_of_the_flows(results, data):
    summary = pd.read_csv(results / "summary.csv").set_index("attack")
    with h5py.File(results / "cw.h5") as file:
        flows = pd.DataFrame({name: file[f"flows/{name}"][:] for name in FLOW_COLUMNS.split()})
    for name, chosen in (("All", flows), *((data.attacks[i], flows[flows.attack == i]) for i in (1, 2))):
        fooled = chosen[chosen.logit <= 0]
        expected = [len(chosen), len(fooled) / len(chosen), fooled.l1.mean(), fooled.linf.mean(), fooled.l1.median()]
        row = summary.loc[name, ["flows", "success_ratio", "mean_l1", "mean_linf", "median_l1"]]
        assert row.tolist() == pytest.approx(expected)


def test_scores_are_those_of_the_distances(results, data):
    scores = pd.read_csv(results / "ars.csv")
    assert scores.columns.tolist() == ARS_COLUMNS.split()
    with h5py.File(results / "ars.h5") as file:
        attack_type, l1 = file["flows/attack"][:], file["flows/l1"][:]
    for row in scores.itertuples():
        distances = l1[attack_type == data.attacks.index(row.attack)]
        assert row.ars == pytest.approx(adversarial_robustness_score(distances))
        assert row.flows == len(distances)
        assert row.low <= row.ars <= row.high


def test_chunks_hold_together_what_one_job_finds(results, inputs, tmp_path):
    names = [f"chunk_{chunk}.h5" for chunk in (1, 2, 3)]
    for chunk, name in enumerate(names, start=1):
        assert attack(tmp_path, name, **inputs, chunks=3, chunk=chunk) == 0
    assert gather(tmp_path, *(tmp_path / name for name in names)) == 0
    with h5py.File(results / "cw.h5") as whole, h5py.File(tmp_path / "gathered.h5") as gathered:
        assert {name: gathered.attrs[name] for name in ("method", "delta", "kappa", "attacks")} == {
            name: whole.attrs[name] for name in ("method", "delta", "kappa", "attacks")
        }
        for group in ("flows", "packets"):
            assert set(whole[group]) == set(gathered[group])
            for name, column in whole[group].items():
                np.testing.assert_allclose(gathered[group][name][:], column[:], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("search", ["minimum_norm", "rising_kappa"])
def test_the_score_does_not_depend_on_the_chunks(inputs, tmp_path, search):
    scores = []
    for chunks in (1, 2):
        names = [tmp_path / f"{chunk}_of_{chunks}.h5" for chunk in range(1, chunks + 1)]
        for chunk, name in enumerate(names, start=1):
            assert minimise(tmp_path, name.name, **inputs, search=search, chunks=chunks, chunk=chunk) == 0
        assert score(tmp_path, *names) == 0
        scores.append(pd.read_csv(tmp_path / "ars.csv"))
    pd.testing.assert_frame_equal(*scores, rtol=1e-3)
    assert ("stopped" in scores[0]) == (search == "rising_kappa")


def test_chunks_of_different_attacks_are_not_put_together(results, inputs, tmp_path, capfd):
    assert attack(tmp_path, "other.h5", **inputs, kappa=1) == 0
    assert gather(tmp_path, results / "cw.h5", tmp_path / "other.h5") == 2
    assert "other.h5: made by another attack than" in capfd.readouterr().err
    assert not (tmp_path / "gathered.h5").exists()


def test_two_runs_give_the_same_tables(results, tmp_path):
    run_all(tmp_path)
    for path in results.glob("*.csv"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kappa", [0, -1, "nan", "inf", "much"])
def test_kappa_is_a_finite_number_above_0(tmp_path, capfd, inputs, kappa):
    assert attack(tmp_path, **inputs, kappa=kappa) == 2
    assert f"--kappa: {kappa} is not above 0" in capfd.readouterr().err or kappa == "much"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["benign", "attack"])
def test_one_class_to_test(tmp_path, inputs, data, kind):
    """Undefined numbers are blank, and where there is nothing to attack the files say so."""
    flows = detectors.flows(240)
    chosen = flows.is_attack if kind == "attack" else ~flows.is_attack
    one = {**inputs, "dataset": detectors.write_dataset(tmp_path / "dataset.h5", flows, chosen)}
    assert evaluate(tmp_path, **one) == 0
    metrics = pd.read_csv(tmp_path / "metrics.csv").set_index(["level", "metric"]).value
    undefined = {"youden_j", "roc_auc", "average_precision"} | ({"recall"} if kind == "benign" else set())
    assert set(metrics["flow"].index[metrics["flow"].isna()]) == undefined
    assert attack(tmp_path, **one) == summarise(tmp_path) == 0
    assert minimise(tmp_path, **one) == score(tmp_path, tmp_path / "ars.h5") == 0
    with h5py.File(tmp_path / "cw.h5") as file:
        assert (len(file["flows/row"]) > 0) == (kind == "attack")


@pytest.mark.parametrize("option", ["hidden_size", "epochs", "batch_packets", "learning_rate", "validation_fraction"])
def test_training_options_are_above_0(tmp_path, capfd, inputs, option):
    outputs = paths(tmp_path, "weights.safetensors", "last.safetensors", "curve.csv", "checkpoint")
    assert detectors.run_script("train.py", dataset=inputs["dataset"], **TRAINING | {option: 0}, **outputs) == 2
    assert f"--{option.replace('_', '-')}: 0 is not above 0" in capfd.readouterr().err


def test_one_class_to_train_on(tmp_path, capfd):
    flows = detectors.flows(40)
    dataset = detectors.write_dataset(tmp_path / "dataset.h5", flows, flows.is_attack)
    outputs = paths(tmp_path, "weights.safetensors", "last.safetensors", "curve.csv", "checkpoint")
    assert detectors.run_script("train.py", dataset=dataset, **TRAINING, **outputs) == 2
    assert "all 20 flows are benign" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.h5"]


def test_damaged_input_is_named(tmp_path, capfd, inputs):
    damaged = bytearray(inputs["weights"].read_bytes())
    damaged[20] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(damaged)
    assert evaluate(tmp_path, **inputs | {"weights": tmp_path / "weights.safetensors"}) == 2
    assert attack(tmp_path, **inputs | {"dataset": tmp_path / "absent.h5"}) == 2
    errors = capfd.readouterr().err
    assert "weights.safetensors" in errors
    assert "absent.h5: no such file" in errors
    assert "Traceback" not in errors

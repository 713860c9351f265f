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
from rnnids.detectors.lstm import load_detector
from rnnids.storage import Attributes

TRAINING = {"hidden_size": 12, "num_layers": 1, "suppress": "none", "epochs": 12, "learning_rate": 0.03, "seed": 0}
TRAINING |= {"batch_packets": 256, "validation_fraction": 0.1, "precision": "float32", "device": "cpu"}
EVALUATION = {"model_name": "tiny", "bootstrap_samples": 50, "seed": 0, "batch_packets": 256, "device": "cpu"}
ATTACK = {"iterations": 10, "batch_packets": 256, "device": "cpu"}
SEARCH = {"iterations": 15, "far_iterations": 5, "near_starts": 1, "near_iterations": 5, "fine_iterations": 2}
SEARCH |= {"draws": 16, "generations": 4, "children": 4, "values": 8, "depth": 1}
SEARCH |= {"polish_rounds": 2, "nearer_rounds": 1, "restarts": 1, "batch_packets": 256, "device": "cpu"}
ARS_COLUMNS = "model attack category flows already_benign success_ratio ars low high ars_detected"
FLOW_COLUMNS = "row attack original_logit logit l1 linf last_l1 iteration already_benign success success_delta"


def paths(folder, *names, **others):
    """Options that name files in `folder`."""
    return {name.partition(".")[0]: folder / name for name in names} | {k: folder / v for k, v in others.items()}


def evaluate(folder, **inputs):
    outputs = paths(folder, "predictions.h5", "metrics.csv", "recall.csv", "confusion.csv")
    return detectors.run_script("evaluate.py", **EVALUATION, **inputs, **outputs)


def attack(folder, name="cw.h5", **options):
    return detectors.run_script(
        "attack_cw.py", **ATTACK | {"kappa": 2.5, "max_flows": 20} | options, output=folder / name
    )


def search(folder, name="search.h5", **options):
    return detectors.run_script("search_evasions.py", **SEARCH | {"max_flows": 20} | options, output=folder / name)


def score(folder, *searches):
    words = {"model_name": "tiny", "bootstrap_samples": 20}
    outputs = paths(folder, "ars.csv", output="robustness.csv")
    return detectors.run_script("score_robustness.py", **words, searches=searches, **outputs)


def gather(folder, *chunks, name="gathered.h5"):
    return detectors.run_script("gather_attack.py", chunks=chunks, output=folder / name)


def summarise(folder):
    outputs = {"attacks": folder / "cw.h5", "model_name": "tiny", "output": folder / "summary.csv"}
    return detectors.run_script("summarise_attacks.py", **outputs)


def run_all(folder):
    """Exit codes of all scripts, in order."""
    flows = detectors.flows(240)
    dataset = detectors.write_dataset(folder / "dataset.h5", flows, np.arange(len(flows)) % 3 == 0)
    outputs = paths(folder, "weights.safetensors", "best.safetensors", "curve.csv", "checkpoint")
    trained = detectors.run_script("train.py", dataset=dataset, **TRAINING, **outputs)
    inputs = {"dataset": dataset, "weights": folder / "weights.safetensors"}
    codes = [trained, evaluate(folder, **inputs), attack(folder, **inputs), summarise(folder)]
    codes += [search(folder, **inputs, known=(folder / "cw.h5",)), score(folder, folder / "search.h5")]
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
    outputs = {"weights.safetensors", "best.safetensors", "curve.csv", "predictions.h5", "metrics.csv", "recall.csv"}
    assert names == outputs | {
        "dataset.h5",
        "confusion.csv",
        "cw.h5",
        "summary.csv",
        "ars.csv",
        "robustness.csv",
        "search.h5",
    }


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
        assert (Attributes(file)["method"], file.attrs["kappa"], file.attrs["delta"]) == ("cw", 2.5, -0.2)
    assert set(columns) == {*FLOW_COLUMNS.split(), "offset", "packet_count"}
    assert sorted(columns["row"]) == sorted(data.row[data.is_attack])
    original, adversarial, evaded = read_adversarial_flows(results / "cw.h5", data)
    model = load_detector(inputs["weights"], data)
    logits = last_of_flow(packet_logits(model, adversarial, batch_packets=10**6), adversarial.packet_count)
    np.testing.assert_allclose(logits, columns["logit"], atol=1e-5)
    assert ((logits <= 0) == columns["success"]).all()
    assert ((logits <= -0.2) == columns["success_delta"]).all()
    before = last_of_flow(packet_logits(model, original, batch_packets=10**6), original.packet_count)
    assert (evaded == ((before > 0) & (logits <= 0))).all()
    assert evaded.any()
    growth = [adversarial.packets[name].astype(float) - original.packets[name] for name in ("length", "iat_ns")]
    change = growth[0] / data.std[3] + growth[1] / 1e6 / data.std[4]
    np.testing.assert_allclose(np.add.reduceat(change, original.start), columns["l1"], atol=1e-9)
    assert columns["offset"].tolist() == original.start.tolist()


def test_success_at_0_and_at_delta_are_told_apart(tmp_path, inputs):
    assert attack(tmp_path, **inputs, delta=-3, keep="last", gradient_norm="none", final_rate=1, learning_rate=0.1) == 0
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
    assert scores.columns[: len(ARS_COLUMNS.split())].tolist() == ARS_COLUMNS.split()
    whole = pd.read_csv(results / "robustness.csv")
    assert whole.threat_model.tolist() == ["paper"] * len(scores)
    assert whole.goal.tolist() == ["last"] * len(scores)
    pd.testing.assert_frame_equal(whole.drop(columns=["threat_model", "goal"]), scores)
    with h5py.File(results / "search.h5") as file:
        columns = {name: column[:] for name, column in file["flows"].items()}
    for row in scores.itertuples():
        own = columns["attack"] == data.attacks.index(row.attack)
        assert row.ars == pytest.approx(adversarial_robustness_score(columns["l1"][own]))
        assert row.ars_margin == pytest.approx(adversarial_robustness_score(columns["l1_margin"][own]))
        assert row.flows == own.sum()
        assert row.already_benign == columns["already_benign"][own].sum()
        assert row.success_ratio == columns["success"][own].mean()
        assert row.low <= row.ars <= row.high
        assert row.ars <= row.ars_margin


def test_what_a_search_found_can_be_checked(results, data, inputs):
    """Every distance is that of the flow that is written with it, and the flow evades."""
    original, adversarial, evaded = read_adversarial_flows(results / "search.h5", data)
    with h5py.File(results / "search.h5") as file:
        columns = {name: column[:] for name, column in file["flows"].items()}
    logits = packet_logits(load_detector(inputs["weights"], data), adversarial, batch_packets=10**6)
    last = last_of_flow(logits, adversarial.packet_count)
    assert evaded.any()
    np.testing.assert_allclose(last[evaded], columns["logit"][evaded], atol=1e-4)
    assert (columns["logit"][evaded] <= 0).all()
    growth = [adversarial.packets[name].astype(float) - original.packets[name] for name in ("length", "iat_ns")]
    change = np.add.reduceat(growth[0] / data.std[3] + growth[1] / 1e6 / data.std[4], original.start)
    np.testing.assert_allclose(change[columns["success"]], columns["l1"][columns["success"]], atol=1e-9)
    assert np.isinf(columns["l1"][~columns["success"]]).all()
    alarms = np.maximum.reduceat(logits, adversarial.start) > 0
    assert (columns["early_alarm"] == (alarms & columns["success"])).all()


def test_a_search_that_knows_an_attack_comes_no_less_near(results, data):
    with h5py.File(results / "cw.h5") as attacked, h5py.File(results / "search.h5") as searched:
        by_cw = np.where(attacked["flows/success"][:], attacked["flows/l1"][:], np.inf)
        assert attacked["flows/row"][:].tolist() == searched["flows/row"][:].tolist()
        assert (searched["flows/l1"][:] <= by_cw + 1e-9).all()


def test_chunks_hold_together_what_one_job_finds(results, inputs, tmp_path):
    names = [f"chunk_{chunk}.h5" for chunk in (1, 2, 3)]
    for chunk, name in enumerate(names, start=1):
        assert attack(tmp_path, name, **inputs, chunks=3, chunk=chunk) == 0
    assert gather(tmp_path, *(tmp_path / name for name in names)) == 0
    with h5py.File(results / "cw.h5") as whole, h5py.File(tmp_path / "gathered.h5") as gathered:
        assert {name: Attributes(gathered)[name] for name in ("method", "delta", "kappa", "attacks")} == {
            name: Attributes(whole)[name] for name in ("method", "delta", "kappa", "attacks")
        }
        for group in ("flows", "packets"):
            assert set(whole[group]) == set(gathered[group])
            for name, column in whole[group].items():
                np.testing.assert_allclose(gathered[group][name][:], column[:], rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_score_does_not_depend_on_the_chunks(inputs, tmp_path):
    scores = []
    for chunks in (1, 2):
        names = [tmp_path / f"{chunk}_of_{chunks}.h5" for chunk in range(1, chunks + 1)]
        for chunk, name in enumerate(names, start=1):
            assert search(tmp_path, name.name, **inputs, chunks=chunks, chunk=chunk) == 0
        assert gather(tmp_path, *names, name="whole.h5") == 0
        assert score(tmp_path, tmp_path / "whole.h5") == 0
        scores.append(pd.read_csv(tmp_path / "ars.csv"))
    pd.testing.assert_frame_equal(*scores, rtol=1e-3)


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
    error = capfd.readouterr().err
    assert "argument --kappa: " in error
    assert "is not allowed; expected above 0" in error or kappa == "much"
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
    assert search(tmp_path, **one) == score(tmp_path, tmp_path / "search.h5") == 0
    with h5py.File(tmp_path / "cw.h5") as file:
        assert (len(file["flows/row"]) > 0) == (kind == "attack")


@pytest.mark.parametrize("option", ["hidden_size", "epochs", "batch_packets", "learning_rate", "validation_fraction"])
def test_training_options_are_above_0(tmp_path, capfd, inputs, option):
    outputs = paths(tmp_path, "weights.safetensors", "best.safetensors", "curve.csv", "checkpoint")
    assert detectors.run_script("train.py", dataset=inputs["dataset"], **TRAINING | {option: 0}, **outputs) == 2
    assert f"--{option.replace('_', '-')}: {option}: 0" in capfd.readouterr().err


def test_one_class_to_train_on(tmp_path, capfd):
    flows = detectors.flows(40)
    dataset = detectors.write_dataset(tmp_path / "dataset.h5", flows, flows.is_attack)
    outputs = paths(tmp_path, "weights.safetensors", "best.safetensors", "curve.csv", "checkpoint")
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

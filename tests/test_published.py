"""config/paper.yaml run to Tables I and II on files in the shape of the published ones; only models are smaller."""

import ipaddress
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import snakemake
from generated_flows import address_texts, reference_labels
from ground_truths import reference_ground_truth
from published import ARCHIVE, DAYS, LABELS, TRUTH, UNSW_DAYS, write_published

from rnnids.datasets.flow_data import load_dataset

SECONDS = 4  # of each attack
SMALL = {
    "training": {"hidden_size": 8, "num_layers": 1, "epochs": 2},
    "adversarial_training": {"epochs": 1, "score_flows": 5},
    "flow_statistics": {"hidden_layers": [8], "epochs": 2},
    "datasets": {"cic_ids_2017": {"expected": {"smallest": 100_000}}},
}
ZIP = f"captures/unsw_nb15/{ARCHIVE}"
MEMBERS = [f"{ZIP}!pcaps {numbers}.pcap" for numbers in ("22-1-2015/{1..2}", "17-2-2015/{26..27}")]
PART = SMALL | {
    "selected_models": ["baseline"],
    "datasets": SMALL["datasets"] | {"unsw_nb15": {"captures": MEMBERS, "expected": {"files": 4}}},
}
TARGETS = ("check_datasets", "table1", "table2", "label_audit")
WINDOWS = "results/cic_ids_2017_published/label_report.csv"


def paper(checkout, folder, *arguments):
    """Run config/paper.yaml, with the sizes of `folder`/small.json, in `folder`."""
    configuration = ["--configfile", checkout / "config/paper.yaml", folder / "small.json"]
    return snakemake(checkout, folder, "--cores", 2, *configuration, *arguments)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with the files, nothing run yet."""
    folder = tmp_path_factory.mktemp("published")
    write_published(folder, SECONDS)
    (folder / "small.json").write_text(json.dumps(SMALL))
    return folder


@pytest.fixture(scope="module", params=["part", pytest.param("all", marks=pytest.mark.slow)])
def done(request, checkout, published, tmp_path_factory):
    """The study after its run: with one model and 4 members of the archive, or with all; (folder, what was said)."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "captures").symlink_to(published / "captures")
    (folder / "small.json").write_text(json.dumps(PART if request.param == "part" else SMALL))
    run = paper(checkout, folder, "--", *TARGETS, *([WINDOWS] if request.param == "all" else []))
    assert run.returncode == 0, run.stdout
    return folder, run.stdout


def load(done, dataset):
    """(FlowData, names of the flows' attacks, counts of the report) of a data set."""
    folder = done[0] / "results" / dataset
    data = load_dataset(folder / "dataset.h5")
    report = pd.read_csv(folder / "dataset_report.csv").set_index("item")["count"]
    return data, np.array(data.attacks, dtype=object)[data.flows["attack"]], report


def test_labels_of_cic_ids_2017_are_those_of_the_reference(done):
    data, attacks, report = load(done, "cic_ids_2017")
    assert report["captures"] == 5 and report["flows"] == len(data)  # none dropped: the captures were repaired
    path = LABELS / "cic_ids_2017_corrected.csv"
    expected = reference_labels(data.flows, path, 300, follow=True)
    rules = pd.read_csv(path)
    names = [*rules["attack"], "Benign"]
    assert attacks.tolist() == [names[rule] for rule, *_ in expected]
    assert set(attacks) == set(names)
    bot = names.index("Botnet ARES")
    sides = [0 if rule < 0 else 3 if rule == bot else 1 + responds for rule, responds, *_ in expected]
    assert data.flows["manipulable"].tolist() == sides and {0, 1, 3} <= set(sides)


def test_labels_of_unsw_nb15_are_those_of_the_reference(done):
    data, attacks, report = load(done, "unsw_nb15")
    expected = reference_ground_truth(data.flows, done[0] / "captures/unsw_nb15" / TRUTH)
    assert attacks.tolist() == [category or "Benign" for category, *_ in expected]
    sides = [0 if not name else 3 if name == "Backdoors" else 1 + responds for name, responds, _ in expected]
    assert data.flows["manipulable"].tolist() == sides
    # Nobody but attackers uses these addresses, and they do nothing else.
    ends = zip(*(address_texts(data.flows[f"{end}_address"]) for end in ("source", "destination")), strict=True)
    attackers = ipaddress.ip_network("175.45.176.0/24"), ipaddress.ip_network("149.171.126.10")
    assert data.is_attack.tolist() == [any(end in network for end in pair for network in attackers) for pair in ends]
    assert report["repeats another row"] > 500 and report["protocol of no flow"] > 100


def test_faults_of_the_published_captures_are_counted(done):
    _, _, report = load(done, "cic_ids_2017")
    assert 0.9 < 50 * report["duplicate"] / (report["packets_of_captures"] - report["duplicate"]) < 3
    assert report["flows_with_negative_interarrival_time"] == 0
    _, _, report = load(done, "unsw_nb15")
    assert abs(report["outgoing copy"] - report["packets_of_captures"] / 2) <= 1
    checked = pd.read_csv(done[0] / "results/unsw_nb15/file_check.csv").set_index("file")["holds"]
    assert checked.str.contains("ends inside a record").sum() == 1
    assert checked["pcaps 17-2-2015/27.pcap"].endswith("as published")


@pytest.mark.parametrize("dataset", ["cic_ids_2017", "unsw_nb15"])
def test_both_tables_stand_beside_the_papers(done, dataset):
    folder = done[0] / "results" / dataset / "tables"
    first = pd.read_csv(folder / "table1.csv")
    assert first["proportion_percent"].sum() == pytest.approx(100, abs=0.01)
    assert set(first["paper_dataset"].dropna()) == {dataset}
    assert first["paper_proportion_percent"].notna().sum() >= 4
    second = pd.read_csv(folder / "table2.csv")
    assert (
        set(second["source"]) == {"ours", "paper"} and second.loc[second["model"] == "baseline", "value"].notna().all()
    )
    for page in ("table1", "table2", "label_audit"):
        assert (folder / f"{page}.html").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize("done", ["all"], indirect=True)
def test_with_all_files_every_attack_of_both_studies_occurs(done):
    categories = pd.read_csv(done[0] / "results/unsw_nb15/attack_counts.csv").set_index("attack")["flows"]
    assert len(categories) == 10 and (categories > 0).all()
    assert len(pd.read_csv(done[0] / "results/unsw_nb15/file_check.csv")) == 81
    published = pd.read_csv(done[0] / WINDOWS).set_index("attack")
    idle = {"Infiltration - Dropbox download", "Infiltration - Cool disk"}
    assert idle <= set(published.index[published["flows"] == 0]) and published.loc["DDoS LOIT", "flows"] > 0


def test_captures_are_extracted_side_by_side(done):
    """No extraction waits for another: each needs its own capture only, and two run at once on two cores."""
    _, said = done
    jobs = re.findall(r"rule extract_flows:\n +input: (.*)\n", said)
    files = {f"captures/cic_ids_2017/{day}.pcap" for day in DAYS} | {ZIP}
    assert set(jobs) == files and len(jobs) >= 9
    assert "Execute 2 jobs..." in said
    assert not any("results" in job for job in jobs)


@pytest.fixture
def own(published, tmp_path):
    """The files in a folder where a test may damage them."""
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_missing_capture_of_five_stops_before_the_first_job(checkout, own):
    (own / "captures/cic_ids_2017/Wednesday-workingHours.pcap").unlink()
    run = paper(checkout, own, "--", "results/cic_ids_2017/dataset.h5")
    assert run.returncode != 0 and not (own / "results").exists()
    assert "cic_ids_2017: 1 of 6 files are missing:" in run.stdout
    assert "\n      captures/cic_ids_2017/Wednesday-workingHours.pcap\n" in run.stdout
    assert "Source: https://www.unb.ca" in run.stdout
    run = paper(checkout, own, "--", "results/cic_ids_2017/file_check.csv")
    assert run.returncode != 0 and "Wednesday-workingHours.pcap: no such file" in run.stdout


def test_an_archive_with_other_members_is_named_with_the_nearest(checkout, own):
    change = {"datasets": {"unsw_nb15": {"captures": [f"{ZIP}!pcaps 22-01-2015/{{1..53}}.pcap"]}}}
    (own / "small.json").write_text(json.dumps(change))
    run = paper(checkout, own, "--", "results/unsw_nb15/flows/1.h5")
    assert run.returncode != 0
    assert f"{ARCHIVE}: no member 'pcaps 22-01-2015/1.pcap' among 80; nearest: '{next(iter(UNSW_DAYS))}/" in run.stdout

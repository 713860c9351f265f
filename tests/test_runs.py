"""Runs with a name lie beside each other, each in a folder of its own; config/quick.yaml is one of them."""

import json
import re
import shutil

import pandas as pd
import pytest
import yaml
from conftest import REPOSITORY, TINY, snakemake
from test_workflow import OUTER, configured, plan

TABLE = "tiny/tables/table1.html"


def contents(folder, but=()):
    """{path: (bytes, time of change)} of all files below a folder, without folders in it."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] not in but)
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def succeed(checkout, study, *arguments, **change):
    """Run the tiny study with a change of its configuration."""
    run = snakemake(checkout, study, "--cores", 2, *arguments, *configured(study, **change))
    assert run.returncode == 0, run.stdout
    return run.stdout


def packets(study, folder):
    """How many packets the flows of a run have, by the reports of its data set."""
    report = pd.read_csv(study / folder / "tiny/dataset_report.csv").set_index(["section", "item"])["count"]
    return dict(report)


@pytest.fixture(scope="module")
def runs(checkout, study):
    """The study with a table and a record of it, and the same of a run whose flows are short."""
    short = {"run": "short", "dataset": {"max_packets": 2}}
    succeed(checkout, study, f"results/{TABLE}")
    before = contents(study / "results")
    succeed(checkout, study, f"results/short/{TABLE}", "results/short/tiny/baseline/weights.safetensors", **short)
    succeed(checkout, study, "results/manifest.csv")
    succeed(checkout, study, "results/short/manifest.csv", **short)
    return study, short, before


def test_runs_do_not_touch_each_other(runs):
    study, _, before = runs
    after = contents(study / "results", but=("short",))
    assert {path: after[path] for path in before} == before
    assert packets(study, "results") != packets(study, "results/short")
    assert (study / "results/short/tiny/logs/build_dataset.log").exists()
    assert (study / "results/short/tiny/benchmarks/build_dataset.tsv").exists()
    assert not list((study / "results/tiny").glob("baseline"))


def test_neither_run_has_anything_to_do_again(checkout, runs):
    study, short, _ = runs
    assert plan(checkout, study, f"results/{TABLE}") == {}
    assert plan(checkout, study, f"results/short/{TABLE}", **short) == {}


def test_each_run_is_recorded_and_verified_by_itself(checkout, runs):
    study, short, _ = runs
    assert "short/" not in (study / "results/manifest.csv").read_text()
    assert "tiny/baseline/weights.safetensors" in (study / "results/short/manifest.csv").read_text()
    succeed(checkout, study, "verify")
    succeed(checkout, study, "verify", **short)


def test_what_is_damaged_after_it_was_verified_is_found_when_it_is_verified_again(checkout, runs):
    study, _, _ = runs
    succeed(checkout, study, "verify")
    path = study / "results/tiny/dataset_report.csv"
    content = path.read_bytes()
    path.write_bytes(b"x" + content[1:])
    run = snakemake(checkout, study, "--cores", 1, "verify", *configured(study))
    path.write_bytes(content)
    assert run.returncode != 0
    assert "dataset_report.csv: changed since it was recorded" in run.stdout


def test_the_report_of_a_run_shows_its_own_results(checkout, runs):
    study, short, _ = runs
    (study / "results/short/report.html").unlink(missing_ok=True)
    report = ("--report", study / "results/short/report.html", f"results/short/{TABLE}")
    run = snakemake(checkout, study, *report, *configured(study, **short))
    assert run.returncode == 0, run.stdout
    assert "results/short/tiny/tables/table1.html" in (study / "results/short/report.html").read_text()


def test_every_file_of_a_run_lies_in_its_folder(checkout, study, tmp_path):
    shutil.copytree(study / "captures", tmp_path / "captures")
    (tmp_path / "tiny.yaml").write_text(json.dumps(TINY | {"run": "wide-2"}))
    targets = ("all", "record_results", "adversarial_captures", "check_datasets")
    run = snakemake(checkout, tmp_path, "-n", "-p", "--configfile", "tiny.yaml", "--", *targets)
    assert run.returncode == 0, run.stdout
    assert set(re.findall(r"\bresults/[a-z0-9_-]+", run.stdout)) == {"results/wide-2"}
    assert "tiny/baseline/.train.checkpoint" in run.stdout


def test_a_module_has_runs_too(checkout, study, tmp_path):
    shutil.copytree(study / "captures", tmp_path / "captures")
    (tmp_path / "outer.yaml").write_text(json.dumps({"detectors": TINY | {"run": "wide"}}))
    (tmp_path / "Snakefile").write_text(OUTER.format(checkout=checkout, target="page"))
    run = snakemake(tmp_path, tmp_path, "-n", "-p", "--configfile", "outer.yaml")
    assert run.returncode == 0, run.stdout
    assert set(re.findall(r"\bresults/[a-z0-9_]+(?:/[a-z0-9_]+)?", run.stdout)) == {"results/detectors/wide"}


def test_captures_among_the_results_of_another_run_stay_where_they_are(checkout, study, tmp_path):
    shutil.copytree(study / "captures", tmp_path / "results/tiny/captures")
    change = {"datasets": {"tiny": {"captures": ["results/tiny/captures/*.pcap"]}}, "run": "again"}
    (tmp_path / "tiny.yaml").write_text(
        json.dumps(TINY | change | {"datasets": {"tiny": TINY["datasets"]["tiny"] | change["datasets"]["tiny"]}})
    )
    run = snakemake(checkout, tmp_path, "-n", "--configfile", "tiny.yaml", "--", "results/again/tiny/dataset.h5")
    assert run.returncode == 0, run.stdout
    assert str(tmp_path / "results/tiny/captures/session3_wed.pcap") in run.stdout


QUICK = REPOSITORY / "config/quick.yaml"


def test_the_quick_run_is_planned_with_few_jobs_and_apart(tmp_path):
    run = snakemake(REPOSITORY, tmp_path, "-n", "--configfile", QUICK, "--", "fig3")
    assert run.returncode == 0, run.stdout
    captures = len(list((REPOSITORY / "resources/lab").glob("*.pcap.gz")))
    assert int(re.search(r"(?m)^total +(\d+)$", run.stdout)[1]) <= captures + 16
    assert set(re.findall(r"\bresults/[a-z0-9_-]+", run.stdout)) == {"results/quick"}


def test_the_quick_run_draws_fig3(checkout, study, tmp_path):
    """On the tiny captures: on the shipped ones it takes two minutes."""
    shutil.copytree(study / "captures", tmp_path / "captures")
    own = {"selected_datasets": ["tiny"], "datasets": TINY["datasets"]}
    (tmp_path / "own.yaml").write_text(json.dumps(own))
    run = snakemake(checkout, tmp_path, "--cores", 2, "--configfile", QUICK, "own.yaml", "--", "fig3")
    assert run.returncode == 0, run.stdout
    assert (tmp_path / "results/quick/tiny/figures/fig3.pdf").stat().st_size
    flows = pd.read_csv(tmp_path / "results/quick/tiny/baseline/ars.csv")["flows"]
    assert flows.max() == yaml.safe_load(QUICK.read_text())["attacks"]["selection"]["max_flows"]

"""Every rule of the tiny study in the environments of envs/, by conda and in a container; one of them through SLURM.

What this shows: that the lists are complete, that environments and image are made and used, and nothing but them. What
it does not: that conda-forge has these packages, or that a GPU is found; see conda_channel.py and apptainer.py.
"""

import json
import os
import re
from pathlib import Path

import pytest
from conda_channel import environments, install_stand_in

pytestmark = pytest.mark.cluster
pytest_plugins = ["cluster_fixtures"]  # a second conftest.py would hide the first from those who import it
REPOSITORY = Path(__file__).resolve().parents[2]
TARGETS = ("all", "check_datasets", "fig2_published", "adversarial_captures", "bracket")
SCRIPT = re.compile(r"Shell command: python \S*/scripts/(\w+\.py)\b")


def arguments(study, *more):
    """Snakemake's, for the tiny study."""
    return ["-s", REPOSITORY / "Snakefile", "--cores", 2, "--configfile", study / "tiny.yaml", *more]


def planned(study, run_snakemake):
    """The scripts that the whole study runs."""
    run = run_snakemake(study, os.environ, *arguments(study, "-n", "-p", "--forceall", "--", *TARGETS))
    assert run.returncode == 0, run.stdout
    scripts = set(SCRIPT.findall(run.stdout))
    assert len(scripts) > 60, scripts
    return scripts


def witnesses(study):
    """What each Python process of the channel wrote down at its end, see WITNESS in conda_channel.py."""
    return [json.loads(line) for line in (study / "witnesses").read_text().splitlines()]


def environment(study, programs):
    """Variables for a run that writes down what it uses."""
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return os.environ | {"PATH": path, "RNNIDS_WITNESS": str(study / "witnesses")}


def assert_all_ran_inside(found, prefixes, planned):
    """Every script of a plan ran, each in one of `prefixes`, and imported nothing from elsewhere."""
    assert {witness["script"] for witness in found} == planned
    assert {witness["prefix"] for witness in found} == prefixes
    assert [witness for witness in found if any(map(os.path.isabs, witness["foreign"]))] == []


def test_every_rule_in_its_conda_environment(study, channel, run_snakemake, tmp_path):
    install_stand_in(tmp_path / "conda", channel.parent)
    variables = environment(study, tmp_path / "conda/bin")
    scripts = planned(study, run_snakemake)
    run = run_snakemake(study, variables, *arguments(study, "--use-conda", "--", *TARGETS))
    assert run.returncode == 0, run.stdout
    made = {str(file.with_suffix("")) for file in study.glob(".snakemake/conda/*.yaml")}
    assert len(made) == len(environments())
    assert_all_ran_inside(witnesses(study), made, scripts)


def test_a_version_that_no_channel_has_is_named(channel, run_snakemake, tmp_path):
    install_stand_in(tmp_path / "conda", channel.parent)
    (tmp_path / "old.yaml").write_text("channels:\n  - conda-forge\ndependencies:\n  - numpy=1.0\n")
    (tmp_path / "Snakefile").write_text(
        'rule old:\n    output: "x"\n    conda: "old.yaml"\n    shell: "touch {output}"\n'
    )
    run = run_snakemake(tmp_path, environment(tmp_path, tmp_path / "conda/bin"), "--cores", 1, "--use-conda")
    assert run.returncode != 0
    assert "numpy 1.0" in run.stdout


def test_every_rule_in_the_container(study, apptainer, image, run_snakemake):
    variables = environment(study, apptainer)
    (study / "witnesses").unlink(missing_ok=True)
    scripts = planned(study, run_snakemake)
    more = ["--forceall", "--sdm", "apptainer", "--config", f"container={image}", "--", *TARGETS]
    run = run_snakemake(study, variables, *arguments(study, *more))
    assert run.returncode == 0, run.stdout
    assert_all_ran_inside(witnesses(study), {"/opt/rnnids"}, scripts)
    assert {path.stat().st_uid for path in study.rglob("*")} == {os.getuid()}
    assert {path.name for path in study.iterdir()} == {".snakemake", "captures", "results", "tiny.yaml", "witnesses"}


def test_a_gpu_job_in_the_container_through_slurm(study, cluster, submit, apptainer, image):
    (study / "witnesses").unlink(missing_ok=True)
    path = os.pathsep.join([str(apptainer), cluster.environment["PATH"]])
    more = ["--sdm", "apptainer", "--apptainer-args=--nv", "--config", f"container={image}", "--forcerun", "evaluate"]
    target = "results/tiny/baseline/metrics.csv"
    variables = {"PATH": path, "RNNIDS_WITNESS": str(study / "witnesses")}
    run = submit(study, *arguments(study, *more, "--", target), **variables)
    assert run.returncode == 0, run.stdout
    asked = [job for job in cluster.jobs() if "rule_evaluate" in job["Comment"]][-1]
    assert asked["TresPerJob"] == "gres:gpu:1"
    assert {"script": "evaluate.py", "prefix": "/opt/rnnids"}.items() <= witnesses(study)[-1].items()

"""What the plugin for SLURM would ask for: a GPU for each job that can use one, and for no other."""

import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml
from conftest import REPOSITORY, snakemake
from snakemake_executor_plugin_slurm.utils import set_gres_string


def planned(directory, *arguments):
    """(rule, resources, command) of every job of the default configuration, as a dry run prints them."""
    run = snakemake(REPOSITORY, directory, "-n", "-p", *arguments)
    assert run.returncode == 0, run.stdout
    found = []
    for block in re.split(r"(?m)^(?=(?:local)?rule \w+:$)", run.stdout)[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", block)[1]
        words = re.search(r"(?m)^    resources: (.+)$", block)
        resources = dict(word.split("=", 1) for word in re.split(r", (?=\w+=)", words[1])) if words else {}
        command = re.search(r"(?m)^Shell command: (.+)$", block)
        found.append((rule, resources, command[1] if command else ""))
    return found


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """The jobs where trainings take four GPUs."""
    return planned(tmp_path_factory.mktemp("plan"), "--config", "training_gpus=4")


class Asked(dict):
    """Resources as the plugin reads them, as items and as attributes."""

    __getattr__ = dict.__getitem__


def request(resources):
    """The part of the sbatch command line that asks for GPUs."""
    return set_gres_string(SimpleNamespace(resources=Asked(resources))).strip()


def test_the_plan_is_read_whole(jobs):
    assert len(jobs) > 60
    assert {"train", "attack_cw", "search_evasions", "extract_flows", "plot_fig1", "all"} <= {job[0] for job in jobs}


def test_what_can_compute_on_a_gpu_asks_for_one_and_nothing_else_does(jobs):
    for rule, resources, command in jobs:
        gpus = 4 if rule == "train" else 1
        assert request(resources) == (f"--gpus={gpus}" if "--device" in command else ""), rule


def profile_with(folder, *lines):
    """A copy of the profile in which these lines count, in the place where their example stands."""
    text = (REPOSITORY / "workflow/profiles/slurm/config.yaml").read_text()
    for line in lines:
        key = line.partition(":")[0]
        text, count = re.subn(rf"(?m)^  #: {key}: \w+$", f"  {line}", text)
        assert count == 1
    (folder / "profile").mkdir()
    (folder / "profile/config.yaml").write_text(text)
    return yaml.safe_load(text)["default-resources"]


@pytest.mark.parametrize(
    ("lines", "gpus", "partition"),
    [
        (["gpu_request: gres"], "--gres=gpu:{}", None),
        (["gpu_partition: a100-long"], "--gpus={}", "a100-long"),
        (["gpu_request: gres", "gpu_partition: a100-long"], "--gres=gpu:{}", "a100-long"),
    ],
)
def test_a_line_of_the_profile_says_how_the_cluster_wants_gpus_and_where_they_are(tmp_path, lines, gpus, partition):
    defaults = profile_with(tmp_path, *lines)
    words = [f"{key}={value}" for key, value in defaults.items()]
    arguments = ["--default-resources", *words, "slurm_partition=long", "--config", "training_gpus=2"]
    for rule, resources, command in planned(tmp_path, *arguments):
        if "--device" in command:
            assert request(resources) == gpus.format(2 if rule == "train" else 1), rule
            assert resources["slurm_partition"] == (partition or "long"), rule
        elif command:
            assert request(resources) == "", rule
            assert resources["slurm_partition"] == "long", rule


def test_several_gpus_train_in_as_many_processes(jobs):
    commands = [command for rule, _, command in jobs if rule == "train"]
    assert len(commands) == 7  # four models, the one on both recordings, and two more seeds of the baseline
    assert all("torch.distributed.run --standalone --nproc-per-node 4 " in command for command in commands)


def test_every_job_on_a_gpu_says_how_much_memory_and_time_it_needs(jobs):
    for rule, resources, command in jobs:
        if "--device" in command:
            assert int(resources["mem_mb"]) >= 300, rule
            assert int(resources["runtime"]) >= 1, rule


def test_without_slurm_the_profile_says_what_to_do(tmp_path):
    for program in ("bash", "sh", "which"):
        (tmp_path / program).symlink_to(shutil.which(program))
    profile = REPOSITORY / "workflow/profiles/slurm"
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", REPOSITORY / "Snakefile", "--profile", profile, "fig5"],
        cwd=tmp_path,
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "No program sbatch" in run.stderr
    assert "--cores N" in run.stderr
    assert "Traceback" not in run.stderr

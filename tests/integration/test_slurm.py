"""The workflow on a real SLURM: what reaches the scheduler, and what happens to jobs that are killed there."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from slurm_cluster import Cluster, missing

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import CUTS, REPOSITORY, TINY, cut_capture

pytestmark = pytest.mark.cluster
GPU_RULES = {"train", "evaluate", "minimise_distances"}
CPU_RULES = {"extract_flows", "build_dataset", "ars", "plot_fig3"}
TROUBLE = """
rule all:
    input: "cancelled.txt", "large.txt", "long.txt"

rule cancelled:
    output: "cancelled.txt"
    resources: mem_mb=lambda wildcards, attempt: attempt * 500, runtime=5
    shell: "[ {resources.mem_mb} != 500 ] || {{ scancel $SLURM_JOB_ID; sleep 60; }}; echo {resources.mem_mb} > {output}"

rule large:
    output: "large.txt"
    resources: mem_mb=lambda wildcards, attempt: attempt * 600, runtime=5
    shell: "python -c 'import time; held = bytearray(700 << 20); time.sleep(8)'; echo {resources.mem_mb} > {output}"

rule long:
    output: "long.txt"
    resources: mem_mb=500, runtime=lambda wildcards, attempt: attempt
    shell: "sleep 70; echo {resources.runtime} > {output}"

rule greedy:
    output: "greedy.txt"
    resources: mem_mb=500, runtime=5, gpu=4
    shell: "touch {output}"
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A running SLURM; skips where there is none to be had."""
    if absent := missing():
        pytest.skip(
            f"NOT TESTED, since this needs {', '.join(absent)}; `make test-cluster` installs SLURM where it may"
        )
    # Sockets have short names, and munge wants a folder that nobody else can write to.
    folder = Path(f"/run/rnnids-test-{os.getpid()}")
    started = Cluster(folder)
    yield started
    started.close()
    shutil.rmtree(folder)


def snakemake(cluster, directory, *arguments, environment=None):
    """Run Snakemake with the profile for SLURM in `directory`."""
    command = [sys.executable, "-m", "snakemake", "--directory", directory]
    command += ["--profile", REPOSITORY / "workflow/profiles/slurm", "--latency-wait", 5, *arguments]
    return subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        env=environment or cluster.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def rule_of(job):
    """The rule that a job of `scontrol show job` ran, from the comment that the plugin gives it."""
    return re.sub("_wildcards_.*", "", job.get("Comment", "")).removeprefix("rule_")


@pytest.fixture(scope="module")
def study(cluster, tmp_path_factory):
    """Figure 3 of the tiny configuration, made through SLURM while its controller was once restarted; the jobs."""
    folder = tmp_path_factory.mktemp("a study")
    (folder / "captures").mkdir()
    for name, start, seconds in CUTS:
        source = REPOSITORY / f"resources/lab/{name}.pcap.gz"
        cut_capture(source, folder / f"captures/{name}.pcap", start, seconds)
    (folder / "tiny.yaml").write_text(json.dumps(TINY))
    restart = threading.Timer(40, lambda: (cluster.stop("slurmctld"), cluster.start("slurmctld")))
    restart.start()
    run = snakemake(cluster, folder, "-s", REPOSITORY / "Snakefile", "--configfile", folder / "tiny.yaml", "--", "fig3")
    assert run.returncode == 0, run.stdout
    assert not restart.is_alive(), "the run ended before the controller was restarted"
    assert (folder / "results/tiny/figures/fig3.pdf").stat().st_size
    return [job for job in cluster.jobs() if rule_of(job) in GPU_RULES | CPU_RULES]


def test_every_rule_ran_as_a_job(study):
    assert {rule_of(job) for job in study} == GPU_RULES | CPU_RULES
    assert all(job["JobState"] == "COMPLETED" for job in study)


def test_gpu_rules_ask_for_a_gpu_and_no_others_do(study):
    for job in study:
        asked = "gpu" in job.get("TresPerJob", "") + job.get("TresPerNode", "")
        assert asked == (rule_of(job) in GPU_RULES), job


def test_memory_and_time_reach_the_scheduler(study):
    found = {rule_of(job): (job["MinMemoryNode"], job["TimeLimit"]) for job in study}
    assert found["train"] == ("16000M", "1-00:00:00")
    assert found["ars"] == ("4000M", "01:00:00")


def test_killed_jobs_are_repeated_with_more(cluster, tmp_path):
    (tmp_path / "Snakefile").write_text(TROUBLE)
    run = snakemake(cluster, tmp_path)
    assert run.returncode == 0, run.stdout
    assert (tmp_path / "cancelled.txt").read_text() == "1000\n"
    assert (tmp_path / "large.txt").read_text() == "1200\n"
    assert (tmp_path / "long.txt").read_text() == "2\n"
    states = {
        rule: {job["JobState"] for job in cluster.jobs() if rule_of(job) == rule} for rule in ("cancelled", "long")
    }
    assert states == {"cancelled": {"CANCELLED", "COMPLETED"}, "long": {"TIMEOUT", "COMPLETED"}}


def test_more_gpus_than_any_node_has(cluster, tmp_path):
    (tmp_path / "Snakefile").write_text(TROUBLE)
    run = snakemake(cluster, tmp_path, "--retries", 0, "--", "greedy.txt")
    assert run.returncode != 0
    assert "Requested node configuration is not available" in run.stdout
    assert not (tmp_path / "greedy.txt").exists()


def test_a_partition_that_is_not_there(cluster, tmp_path):
    (tmp_path / "Snakefile").write_text(TROUBLE)
    arguments = ["--retries", 0, "--default-resources", "slurm_partition=nowhere", "--", "cancelled.txt"]
    run = snakemake(cluster, tmp_path, *arguments)
    assert run.returncode != 0
    assert "invalid partition" in run.stdout.lower()

"""The workflow on a real SLURM: what reaches the scheduler, and what happens to jobs that are killed there."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PROFILE = REPOSITORY / "workflow/profiles/slurm"

pytestmark = pytest.mark.cluster
pytest_plugins = ["cluster_fixtures"]  # a second conftest.py would hide the first from those who import it
GPU_RULES = {"train", "evaluate", "attack_cw", "attack_bounded", "search_evasions", "check_robustness"}
CPU_RULES = {"extract_flows", "build_dataset", "gather_attack", "ars", "plot_fig3"}
TROUBLES = ("cancelled", "large", "long")
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


def rule_of(job):
    """The rule that a job of `scontrol show job` ran, from the comment that the plugin gives it."""
    return re.sub("_wildcards_.*", "", job.get("Comment", "")).removeprefix("rule_")


@pytest.fixture(scope="module")
def jobs(cluster, submit, study):
    """The jobs of Figure 3 of the tiny configuration, made through SLURM while its controller was once restarted."""
    with ThreadPoolExecutor() as pool:
        restart = pool.submit(cluster.restart_controller)
        run = submit(study, "-s", REPOSITORY / "Snakefile", "--configfile", study / "tiny.yaml", "--", "fig3")
        interrupted = restart.result()
    assert run.returncode == 0, run.stdout
    assert (study / "results/tiny/figures/fig3.pdf").stat().st_size
    found = cluster.jobs()
    assert {job["JobState"] for job in found if job["JobId"] in interrupted} == {"COMPLETED"}
    return [job for job in found if rule_of(job) in GPU_RULES | CPU_RULES]


def test_every_rule_ran_as_a_job_and_none_twice(jobs):
    assert {rule_of(job) for job in jobs} == GPU_RULES | CPU_RULES
    assert {(job["JobState"], job["Restarts"]) for job in jobs} == {("COMPLETED", "0")}
    assert len({job["Comment"] for job in jobs}) == len(jobs)


def test_gpu_rules_ask_for_a_gpu_and_no_others_do(jobs):
    for job in jobs:
        asked = "gpu" in job.get("TresPerJob", "") + job.get("TresPerNode", "")
        assert asked == (rule_of(job) in GPU_RULES), job


def test_memory_and_time_reach_the_scheduler(jobs):
    found = {rule_of(job): (job["MinMemoryNode"], job["TimeLimit"]) for job in jobs}
    assert found["train"] == ("16000M", "1-00:00:00")
    assert found["ars"] == ("4000M", "01:00:00")


def test_killed_jobs_are_repeated_with_more(cluster, submit, tmp_path):
    (tmp_path / "Snakefile").write_text(TROUBLE)
    run = submit(tmp_path)
    assert run.returncode == 0, run.stdout
    assert (tmp_path / "cancelled.txt").read_text() == "1000\n"
    assert (tmp_path / "large.txt").read_text() == "1200\n"
    assert (tmp_path / "long.txt").read_text() == "2\n"
    ends = {rule: [job["JobState"] for job in cluster.jobs() if rule_of(job) == rule] for rule in TROUBLES}
    assert ends["cancelled"] == ["CANCELLED", "COMPLETED"]
    assert ends["long"] == ["TIMEOUT", "COMPLETED"]
    assert ends["large"] in (["FAILED", "COMPLETED"], ["OUT_OF_MEMORY", "COMPLETED"])  # the latter with cgroups


def test_short_jobs_in_groups(cluster, submit, study, jobs, tmp_path):
    text = PROFILE.joinpath("config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(re.sub(r"(?m)^#: ", "", text))  # as its remark tells users to do
    known = {job["JobId"] for job in cluster.jobs()}
    attacks = "results/tiny/baseline/attacks/cw"
    kappas = ("3", "4")  # which Figure 3 has not made
    targets = [f"{attacks}/kappa_{kappa}/chunk_{chunk}_of_2.h5" for kappa in kappas for chunk in (1, 2)]
    arguments = ["-s", REPOSITORY / "Snakefile", "--configfile", study / "tiny.yaml", "--", *targets]
    run = submit(study, *arguments, profile=tmp_path)
    assert run.returncode == 0, run.stdout
    grouped = [job for job in cluster.jobs() if job["JobId"] not in known and "attack_cw" in job["Comment"]]
    assert len(grouped) == 1
    assert grouped[0]["TresPerJob"] == "gres:gpu:1"
    assert grouped[0]["MinMemoryNode"] == "16000M"
    assert grouped[0]["TimeLimit"] == "2-00:00:00"  # four times 12 hours


def test_more_gpus_than_any_node_has(submit, tmp_path):
    (tmp_path / "Snakefile").write_text(TROUBLE)
    run = submit(tmp_path, "--retries", 0, "--", "greedy.txt")
    assert run.returncode != 0
    assert "Requested node configuration is not available" in run.stdout
    assert not (tmp_path / "greedy.txt").exists()


def test_a_partition_that_is_not_there(submit, tmp_path):
    (tmp_path / "Snakefile").write_text(TROUBLE)
    run = submit(tmp_path, "--retries", 0, "--default-resources", "slurm_partition=nowhere", "--", "cancelled.txt")
    assert run.returncode != 0
    assert "invalid partition" in run.stdout.lower()

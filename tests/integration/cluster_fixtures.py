"""What these tests share: a running SLURM, a conda channel, an image, and a run of Snakemake with the profile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import slurm_cluster
from apptainer import Unavailable, build_image, get_apptainer
from conda_channel import make_channel, missing

REPOSITORY = Path(__file__).resolve().parents[2]


def skip_loudly(reason):
    """Skip with a message that nobody takes for a success."""
    pytest.skip(f"NOT TESTED: {reason}")


@pytest.fixture(scope="session")
def cluster():
    """A running SLURM; skips where there is none to be had."""
    if absent := slurm_cluster.missing():
        skip_loudly(f"this needs {', '.join(absent)}; `make test-cluster` installs SLURM where it may")
    # Sockets have short names, and munge wants a folder that nobody else can write to.
    with slurm_cluster.Cluster(f"/run/rnnids-test-{os.getpid()}") as started:
        yield started


@pytest.fixture(scope="session")
def channel(tmp_path_factory):
    """The folder of a channel conda-forge that has what envs/ lists."""
    if absent := missing():
        skip_loudly(f"this needs {' and '.join(absent)}")
    return make_channel(tmp_path_factory.mktemp("channels"))


@pytest.fixture(scope="session")
def apptainer(tmp_path_factory):
    """The folder of a real Apptainer's programs."""
    try:
        return get_apptainer(tmp_path_factory.mktemp("apptainer"))
    except Unavailable as error:
        skip_loudly(f"no Apptainer: {error}")


@pytest.fixture(scope="session")
def image(tmp_path_factory, apptainer, channel):
    """The image of envs/container.def over a local base; a failure of the build itself is one of the test."""
    return build_image(tmp_path_factory.mktemp("image"), apptainer, channel)


@pytest.fixture(scope="session")
def run_snakemake():
    """Runs Snakemake in a folder: run_snakemake(folder, environment, *arguments) -> the finished process."""

    def run(directory, environment, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--directory", str(directory), *map(str, arguments)],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def submit(cluster, run_snakemake):
    """The same with the profile for SLURM: submit(folder, *arguments, **environment)."""

    def run(directory, *arguments, profile=REPOSITORY / "workflow/profiles/slurm", **environment):
        quick = ["--latency-wait", 5, "--slurm-init-seconds-before-status-checks", 2]
        options = ["--profile", profile, *quick, *arguments]
        return run_snakemake(directory, cluster.environment | environment, *options)

    return run

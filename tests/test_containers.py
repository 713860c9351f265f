"""What `--sdm apptainer` hands to Apptainer: a program in its place writes down its calls and runs them outside."""

import os
import re
import runpy
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import REPOSITORY, copy_workflow

# apptainer --version; apptainer exec --home FOLDER IMAGE bash -c COMMAND
APPTAINER = """#!/bin/bash
[ "$1" != --version ] || { echo "apptainer version 1.4.5"; exit; }
printf '%s\\n' "$APPTAINER_BIND" >> calls
printf '%s\\n' "$*" | head -n 1 >> calls
exec bash -c "${@: -1}"
"""


@pytest.fixture
def call(study, tmp_path):
    """Runs Snakemake in the study with that apptainer on PATH."""
    (tmp_path / "apptainer").write_text(APPTAINER)
    (tmp_path / "apptainer").chmod(0o755)

    def run(*arguments, checkout=REPOSITORY):
        command = [sys.executable, "-m", "snakemake", "-s", checkout / "Snakefile", "--directory", study, "--cores", 1]
        command += ["--configfile", study / "tiny.yaml", "--sdm", "apptainer", *arguments]
        return subprocess.run(
            [str(word) for word in command],
            cwd=study,
            env=os.environ
            | {"PATH": os.pathsep.join([str(tmp_path), os.environ["PATH"]]), "APPTAINER_BIND": "/opt/own"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return run


def test_rules_run_in_the_image_and_find_what_they_read(call, study, tmp_path):
    elsewhere = tmp_path / "scratch"
    elsewhere.mkdir()
    for capture in (study / "captures").iterdir():  # as links to a scratch file system, say
        shutil.move(capture, elsewhere)
        capture.symlink_to(elsewhere / capture.name)
    (study / "other.sif").touch()
    run = call("--config", "container=other.sif", "--", "results/tiny/dataset.h5")
    assert run.returncode == 0, run.stdout
    calls = (study / "calls").read_text().splitlines()
    bound = [str(path) for path in (REPOSITORY, study / "captures", REPOSITORY / "config/labels", elsewhere)]
    assert calls[::2] == [",".join(["/opt/own", *bound])] * 3  # two captures and their data set
    assert all(re.match(f"exec --home {study} .*other.sif bash -c ", command) for command in calls[1::2])


def test_no_image(call):
    run = call("-n")
    assert run.returncode != 0
    assert "there is no image rnnids.sif" in run.stdout
    assert f"cd '{REPOSITORY}' && apptainer build 'rnnids.sif' envs/container.def" in run.stdout


def test_an_image_whose_path_has_a_blank(call, tmp_path):
    (tmp_path / "an image.sif").touch()
    run = call("-n", "--config", f"container={tmp_path}/an image.sif")
    assert run.returncode != 0
    assert "move or link it" in run.stdout


def test_a_checkout_in_a_folder_with_a_blank(call, study, tmp_path):
    checkout = copy_workflow(tmp_path / "my work")
    (checkout / "rnnids.sif").touch()
    run = call("-n", checkout=checkout)
    assert run.returncode != 0  # the image is found beside the Snakefile, and the message says what to do
    assert "move or link it" in run.stdout
    (study / "rnnids.sif").symlink_to(checkout / "rnnids.sif")
    assert call("-n", checkout=checkout).returncode == 0


def test_an_image_from_a_registry_is_left_to_snakemake(call):
    run = call("-n", "--config", "container=docker://example.org/rnnids:1")
    assert run.returncode == 0, run.stdout
    assert "docker://example.org/rnnids:1 will be pulled" in run.stdout


def test_the_definition_holds_every_environment():
    text = (REPOSITORY / "envs/container.def").read_text()
    for file in (REPOSITORY / "envs").glob("*.yaml"):
        assert f"envs/{file.name} /opt/envs/{file.name}\n" in text
        assert f"--prefix /opt/rnnids --file /opt/envs/{file.name}\n" in text


def test_the_dockerfile_does_what_the_definition_does(tmp_path):
    definition = (REPOSITORY / "envs/container.def").read_text()
    text = subprocess.run(
        [sys.executable, REPOSITORY / "envs/dockerfile.py"], capture_output=True, text=True, check=True
    ).stdout
    assert text.startswith("FROM condaforge/miniforge3:") and text.count("COPY envs/") == definition.count("    envs/")
    # Both shells run the same commands in the same order: %post as /bin/sh gets it, RUN with its lines joined.
    post = definition.split("%post")[1].split("%environment")[0].replace("/opt/conda/bin/conda", "echo conda")
    run = text.split("RUN ")[1].split("ENV ")[0].replace("\\\n", "").replace("/opt/conda/bin/conda", "echo conda")
    printed = [
        subprocess.check_output(["sh", "-c", commands + "\necho $CONDA_OVERRIDE_CUDA"], text=True)
        for commands in (post, run)
    ]
    assert printed[0] == printed[1] and printed[0].count("conda env") == 3 and printed[0].endswith("12.9\n")
    environment = dict(line.split()[1].split("=") for line in text.splitlines() if line.startswith("ENV "))
    section = definition.split("%environment")[1].split("%test")[0]
    assert environment == dict(re.findall(r"export (\w+)=(\S+)", section)) and "PATH" in environment


@pytest.mark.parametrize(
    ("change", "message"),
    [(("%post", "%setup"), "no counterpart of %setup"), (("docker", "localimage"), "no image of a registry")],
)
def test_a_definition_that_docker_cannot_follow_is_refused(change, message):
    tool = runpy.run_path(str(REPOSITORY / "envs/dockerfile.py"))
    with pytest.raises(ValueError, match=message):
        tool["dockerfile"]((REPOSITORY / "envs/container.def").read_text().replace(*change))


def test_environments_agree_on_versions_so_that_one_image_can_hold_all():
    contents = [yaml.safe_load(file.read_text()) for file in (REPOSITORY / "envs").glob("*.yaml")]
    versions = {line.partition("=")[::2] for content in contents for line in content["dependencies"]}
    assert len({name for name, _ in versions}) == len(versions)

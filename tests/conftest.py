"""A study that takes seconds: two cuts of the shipped captures, a tiny model, a handful of attacks."""

import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
WORKFLOW_FILES = ("Snakefile", "workflow", "profiles", "config", "envs", "scripts", "resources/paper")
PATIENCE = 900  # seconds for a run of the workflow
# Capture, start and length in seconds: some benign traffic with, in turn, DoS Hulk and bots with a port scan.
CUTS = (("session3_wed", "2026-11-23T04:59:14Z", 5), ("session5_fri", "2026-11-23T05:04:50Z", 8))
TINY = {
    "selected_datasets": ["tiny"],
    "selected_models": ["baseline", "feature_dropout", "adversarial_training"],
    "seeds": [0],
    "datasets": {"tiny": {"captures": ["captures/*.pcap"], "labels": "config/labels/lab.csv", "source": "the tests"}},
    "training": {"hidden_size": 8, "num_layers": 1, "epochs": 3, "batch_packets": 2048},
    "evaluation": {"bootstrap_samples": 20},
    "attacks": {"kappas": [0.5, 2], "cw": {"iterations": 3}, "selection": {"max_flows": 5, "chunks": 2}},
    "selected_threat_models": ["paper", "payload"],
    "search": {"iterations": 4, "far_iterations": 2, "near_starts": 1, "near_iterations": 2, "fine_iterations": 1}
    | {"draws": 8, "generations": 1, "polish_rounds": 1, "depth": 1},
    "gate": {"flows": 1, "draws": 8},
    "jitter": {"draws": 3, "deltas": [0, -0.1], "max_flows": 2, "iterations": 2, "bootstrap_samples": 20},
    "ars": {"bootstrap_samples": 20},
    "adversarial_training": {"epochs": 2, "score_flows": 5, "bootstrap_samples": 20},
    "flow_statistics": {"hidden_layers": [8], "epochs": 3, "bootstrap_samples": 20},
    "explanations": {
        "input_perturbation": {"max_flows": 50, "repeats": 2},
        "feature_dropout": {"max_flows": 50},
        "shapley": {"max_flows": 20, "max_rounds": 4},
        "mutual_information": {"max_flows": 5, "draws": 10, "bins": 5},
        "partial_dependence": {"grid_size": 5, "max_flows": 5},
        "sequential_dependence": {"grid_size": 5, "max_steps": 5},
        "sanity": {"max_flows": 20, "training_flows": 30, "epochs": 1, "hidden_size": 4, "max_steps": 3, "orders": 1},
        "comparison": {"max_flows": 2, "draws": 3, "descent": 1, "points": 8},
    },
}


def cut_capture(source, target, start, seconds):
    """Write the packets of `seconds` from `start` (ISO 8601) of a gzipped little-endian pcap file to `target`."""
    data = gzip.decompress(source.read_bytes())
    first = datetime.fromisoformat(start).timestamp()
    kept, position = [data[:24]], 24
    while position < len(data):
        second, microsecond, length = struct.unpack_from("<III", data, position)
        if first <= second + microsecond / 1e6 < first + seconds:
            kept.append(data[position : position + 16 + length])
        position += 16 + length
    target.write_bytes(b"".join(kept))


def copy_workflow(target):
    """A checkout of the workflow without its history and its captures."""
    for name in WORKFLOW_FILES:
        source = REPOSITORY / name
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name, follow_symlinks=False)
    return target


def snakemake(checkout, directory, *arguments):
    """Run the workflow of `checkout` in `directory`; the finished process with its output as one text."""
    command = [sys.executable, "-m", "snakemake", "-s", str(checkout / "Snakefile"), "--directory", str(directory)]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONFAULTHANDLER": "1"}
    with subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        try:
            output, _ = run.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            for process in (*psutil.Process(run.pid).children(recursive=True), run):
                process.send_signal(signal.SIGABRT)  # Python says then where each of its threads is
            output, _ = run.communicate(timeout=60)
    return subprocess.CompletedProcess(run.args, run.returncode, output)


@pytest.fixture(scope="session")
def tiny_captures(tmp_path_factory):
    """A folder with the two cuts."""
    folder = tmp_path_factory.mktemp("cuts")
    for name, start, seconds in CUTS:
        cut_capture(REPOSITORY / "resources/lab" / f"{name}.pcap.gz", folder / f"{name}.pcap", start, seconds)
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the workflow that a test may edit."""
    return copy_workflow(tmp_path_factory.mktemp("a checkout") / "rnnids")


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_captures):
    """A working directory with the tiny captures and their configuration, nothing run yet; its path has a blank."""
    folder = tmp_path_factory.mktemp("a study")
    shutil.copytree(tiny_captures, folder / "captures")
    (folder / "tiny.yaml").write_text(json.dumps(TINY))
    return folder


@pytest.fixture
def draw_files(tmp_path):
    """Runs a figure's script on data frames: draw_files(module, scores=frame) -> the bytes of its three files."""

    def call(module, **tables):
        words = []
        for name, frames in tables.items():
            words.append(f"--{name.replace('_', '-')}")
            for place, frame in enumerate(frames if isinstance(frames, list) else [frames]):
                words.append(tmp_path / f"{name}_{place}.csv")
                frame.to_csv(words[-1], index=False)
        files = {option: tmp_path / f"figure.{option}" for option in ("pdf", "svg", "png")}
        words += ["--output", files["pdf"], "--svg", files["svg"], "--png", files["png"]]
        module.main([str(word) for word in words])
        return {option: file.read_bytes() for option, file in files.items()}

    return call

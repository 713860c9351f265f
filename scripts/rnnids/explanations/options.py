"""What the scripts that explain a detector share: their options, the detector and the test split."""

import argparse
from pathlib import Path

from rnnids.cli import positive
from rnnids.datasets.flow_data import TEST, FlowData, load_dataset
from rnnids.detectors.lstm import load_detector, pick_device
from rnnids.detectors.network import NetworkDetector
from rnnids.explanations.importance import BOOTSTRAP_SAMPLES
from rnnids.explanations.variation import BATCH_PACKETS
from rnnids.settings import add_options


def add_explanation_options(parser: argparse.ArgumentParser, settings: type, *, bootstrap: bool = False) -> None:
    """Options of an explanation that runs a detector: its inputs, its settings class and what all have.

    Args:
        bootstrap: whether it has 95 % intervals.
    """
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    add_options(parser, settings)
    if bootstrap:
        samples = "resamples of flows, behind the 95 %% intervals"
        parser.add_argument("--bootstrap-samples", default=BOOTSTRAP_SAMPLES, type=positive(int), help=samples)
    parser.add_argument("--seed", default=0, type=int, help="of the choice of flows, of draws and of the bootstrap")
    at_a_time = "padded packets per batch, at most"
    parser.add_argument("--batch-packets", default=BATCH_PACKETS, type=positive(int), help=at_a_time)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")


def load_explained(dataset: Path | str, weights: Path | str, *, device: str) -> tuple[NetworkDetector, FlowData]:
    """The detector and the test split that it is explained on.

    Raises:
        InputError: a file is damaged, or the detector was trained on another data set.
    """
    flows = load_dataset(dataset, TEST)
    return load_detector(weights, flows, pick_device(device)), flows

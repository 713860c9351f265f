"""Flows that an attacker could pad into benign ones, and a tiny detector trained on them."""

import copy
import functools
import importlib.util
import json
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import explained
import numpy as np
import torch

from rnnids import cli
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.lstm import LSTMDetector
from rnnids.detectors.training import Training, train_epoch
from rnnids.storage import COLUMN_OPTIONS, create_hdf5

SCRIPTS = Path(__file__).parents[1] / "scripts"
TRAINING = Training(hidden_size=12, num_layers=1, epochs=12, learning_rate=0.03, batch_packets=256, precision="float32")


def flows(count: int = 160, seed: int = 0, longest: int = 6) -> FlowData:
    """Random flows; those of attacks have short packets at short intervals, and only those can be changed.

    Attack types alternate: "Flood" is the initiator's, "Bot" is sent by both sides. The first packet
    of a flow is forward and has no interarrival time.
    """
    rng = np.random.default_rng(seed)
    packet_count = rng.integers(1, longest + 1, count)
    attack = np.arange(count) % 4 % 3  # half benign, a quarter of each attack
    of_packet = np.repeat(attack > 0, packet_count)
    first = np.cumsum(packet_count) - packet_count
    packets = int(packet_count.sum())
    iat_ns = 1000 * np.where(of_packet, rng.integers(0, 200_000, packets), rng.integers(0, 2_000_000, packets))
    direction = rng.integers(0, 2, packets)
    iat_ns[first] = direction[first] = 0
    data = explained.make_flows(
        packet_count,
        seed=seed,
        attack=attack,
        category=attack,
        manipulable=np.array([0, 1, 3], dtype=np.uint8)[attack],
        duration_ns=np.add.reduceat(iat_ns, first),
        length=np.where(of_packet, rng.integers(40, 300, packets), rng.integers(200, 1500, packets)),
        iat_ns=iat_ns,
        direction=direction,
    )
    return replace(data, attacks=["Benign", "Flood", "Bot"], categories=["Benign", "DoS", "Botnet"])


def trained() -> tuple[LSTMDetector, FlowData]:
    """(frozen detector, the flows it was trained on): the caller's own, to change as it likes."""
    return copy.deepcopy(_trained())


@functools.cache
def _trained() -> tuple[LSTMDetector, FlowData]:
    data = flows()
    torch.manual_seed(0)
    detector = LSTMDetector(TRAINING.hidden_size, TRAINING.num_layers)
    optimiser = torch.optim.Adam(detector.parameters())
    for epoch in range(TRAINING.epochs):
        train_epoch(detector, optimiser, data, settings=TRAINING, epoch=epoch)
    return detector.requires_grad_(False), data


@functools.cache
def script(name: str) -> ModuleType:
    """scripts/NAME as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, SCRIPTS / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_script(name: str, **options: Any) -> int:
    """Call main of scripts/NAME as a program would be run, but in this process; its exit code."""
    words = []
    for option, value in options.items():
        flag = f"--{option.replace('_', '-')}"
        if isinstance(value, tuple):
            words += [flag, *map(str, value)]
        else:
            words.append(flag if value is True else f"{flag}={value}")
    handler = signal.getsignal(signal.SIGTERM)
    try:
        cli.run(functools.partial(script(name).main, words))
    except SystemExit as stop:
        return stop.code
    finally:
        signal.signal(signal.SIGTERM, handler)
    return 0


def write_dataset(path: Path, data: FlowData, split: Sequence[int] | np.ndarray) -> Path:
    """Write a data set file; `split` (N,) is 0 for training, 1 for test."""
    with create_hdf5(path, "made by a test") as file:
        columns = data.flows | {"offset": data.start, "split": np.asarray(split, dtype=np.uint8)}
        for group, members in (("flows", columns), ("packets", data.packets)):
            for name, column in members.items():
                file.create_dataset(f"{group}/{name}", data=column, **COLUMN_OPTIONS)
        file.attrs.update(mean=data.mean, std=data.std, clock_resolution_ns=data.clock_resolution_ns)
        file.attrs.update(idle_timeout=data.idle_timeout, active_timeout=data.active_timeout, max_packets=100)
        file.attrs["attacks"], file.attrs["categories"] = json.dumps(data.attacks), json.dumps(data.categories)
    return path

"""Flows that an attacker could pad into benign ones, and a tiny detector trained on them."""

import functools
import json
import runpy
import signal
import sys
from dataclasses import replace
from pathlib import Path

import explained
import numpy as np
import torch

from rnnids.detectors import training
from rnnids.detectors.lstm import Detector
from rnnids.storage import COLUMN_OPTIONS, create_hdf5

SETTINGS = training.Settings(
    epochs=12, learning_rate=0.03, batch_packets=256, validation_fraction=0.1, precision="float32", seed=0
)


def flows(count=160, seed=0, longest=6):
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


@functools.cache
def trained():
    """(frozen Detector, the flows it was trained on)."""
    data = flows()
    torch.manual_seed(0)
    model = Detector(hidden_size=12, num_layers=1)
    optimiser = torch.optim.Adam(model.parameters())
    for epoch in range(SETTINGS.epochs):
        training.train_epoch(model, optimiser, data, SETTINGS, epoch, torch.device("cpu"))
    return model.requires_grad_(False), data


def run_script(name, **options):
    """Run scripts/NAME.py in this process, where torch is loaded already; its exit code."""
    words = []
    for option, value in options.items():
        flag = f"--{option.replace('_', '-')}"
        if isinstance(value, tuple):
            words += [flag, *map(str, value)]
        else:
            words.append(flag if value is True else f"{flag}={value}")
    argv, handler = sys.argv, signal.getsignal(signal.SIGTERM)
    sys.argv = [name, *words]
    try:
        runpy.run_path(str(Path(__file__).parents[1] / "scripts" / name), run_name="__main__")
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = argv
        signal.signal(signal.SIGTERM, handler)
    return 0


def write_dataset(path, data, split):
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

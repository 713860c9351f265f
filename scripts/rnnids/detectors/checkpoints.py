"""Checkpoints of long runs: tensors and a little state in one safetensors file.

A checkpoint names the run it belongs to; one of other settings or inputs is not resumed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnids.cli import log
from rnnids.detectors.tensor_files import FAULTS, read_tensors, write_tensors


def save_checkpoint(
    path: str | Path, run: str, groups: Mapping[str, Mapping[str, Tensor | np.ndarray]], *, state: Any
) -> None:
    """Write a checkpoint.

    Args:
        run: text that differs whenever the checkpoint must not be resumed.
        groups: {group: {name: tensor}}. state: JSON-serialisable.
    """
    tensors = {
        f"{group}/{name}": torch.as_tensor(value)
        for group, members in groups.items()
        for name, value in members.items()
    }
    write_tensors(path, tensors, {"run": run, "state": json.dumps(state)})


def load_checkpoint(path: str | Path, run: str) -> tuple[dict[str, dict[str, Tensor]], Any] | None:
    """(groups, state) of a checkpoint of the same run, or None: absent, damaged or of another run."""
    if not Path(path).is_file():
        return None
    try:
        tensors, texts = read_tensors(path, ["run", "state"])
        state = json.loads(texts["state"])
    except FAULTS as error:
        log.warning("the checkpoint %s is damaged (%s): starting anew", path, error)
        return None
    if texts["run"] != run:
        log.info("the checkpoint %s belongs to other settings or data: starting anew", path)
        return None
    log.info("resuming from %s", path)
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        group, _, member = name.partition("/")
        groups.setdefault(group, {})[member] = value
    return groups, state


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimiser as named tensors."""
    state = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put ``optimiser_tensors`` back."""
    state = optimiser.state_dict()
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        state["state"].setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(state)

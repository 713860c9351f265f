"""A detector of one's own: any network of a Python file, in the place of the LSTM.

``FILE:CLASS`` names a ``torch.nn.Module``. Its ``forward(inputs)``, or ``forward(inputs, lengths)``, gives logits
(B, T) of z-scores (B, T, inputs) and is causal, as :mod:`rnnids.detectors.protocol` says; ``contract.check_contract``
and ``scripts/check_detector.py`` try that. Of the sizes `inputs`, `hidden_size` and `num_layers` it is given those that
its ``__init__`` names.
"""

import hashlib
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rnnids.datasets.features import NUM_FEATURES
from rnnids.detectors.network import NetworkDetector
from rnnids.detectors.packed_lstm import Packing
from rnnids.errors import InputError


class OwnDetector(NetworkDetector):
    """A network of a Python file as a detector.

    Args:
        source: FILE:CLASS, the path relative to the working folder.
        sha256: of the file when the weights were made, which then runs in no other state; None: as it is now.
        sizes: what ``__init__`` is given, as far as it names them.
        suppress, feature_dropout: as :class:`NetworkDetector` says; with feature dropout there are 30 inputs.

    Raises:
        InputError: no such file or class, a file that is no Python or has changed, no such network.
    """

    def __init__(
        self,
        source: str,
        sizes: dict[str, int],
        *,
        sha256: str | None = None,
        suppress: str = "none",
        feature_dropout: bool = False,
    ) -> None:
        make, digest = _load(source, sha256)
        described = {"source": source, "sizes": sizes, "sha256": digest}
        super().__init__(described, suppress=suppress, feature_dropout=feature_dropout)
        names = inspect.signature(make).parameters
        if feature_dropout and "inputs" not in names:
            raise InputError(
                f"{source}: feature dropout has {2 * NUM_FEATURES} inputs, and its __init__ has no parameter `inputs`"
            )
        given = sizes | {"inputs": self.num_inputs}
        try:
            self.network = make(**{name: given[name] for name in names if name in given})
        except Exception as error:
            raise InputError(f"{source}: cannot be made ({type(error).__name__}: {error})") from error
        if not isinstance(self.network, nn.Module) or not any(True for _ in self.network.parameters()):
            raise InputError(f"{source}: not a torch.nn.Module with parameters to train")
        self.takes_lengths = len(inspect.signature(self.network.forward).parameters) > 1
        self.differentiable = getattr(self.network, "differentiable", True)
        self.eval()

    def of_flows(self, flows: Tensor, lengths: np.ndarray, suppressed: Tensor | None) -> Tensor:
        """Logits (B, T) of padded flows (B, T, 15) with (B,) packets."""
        if suppressed is not None:
            suppressed = suppressed[:, None].expand(-1, flows.shape[1], -1)
        shown = self.visible(flows, suppressed)
        return self.network(shown, lengths) if self.takes_lengths else self.network(shown)

    def of_packets(self, packets: Tensor, packing: Packing, suppressed: Tensor | None) -> Tensor:
        """Logits (P,) of packed packets (P, 15)."""
        count = torch.bincount(packing.flow, minlength=len(packing.lengths)).cpu().numpy()
        return self.of_flows(packing.pad(packets), count, suppressed)[packing.flow, packing.step]


def _load(source: str, sha256: str | None) -> tuple[Callable[..., Any], str]:
    """(class, digest of its file) of FILE:CLASS."""
    path, _, name = source.rpartition(":")
    try:
        code = Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"{source}: a detector is named FILE:CLASS, and there is no such file here ({error.strerror})"
        ) from error
    digest = hashlib.sha256(code).hexdigest()
    if sha256 not in (None, digest):
        raise InputError(f"{path}: has changed since a detector was trained with it; put it back, or train again")
    specification = importlib.util.spec_from_file_location(f"own_{digest[:16]}", path)
    if specification is None or specification.loader is None:
        raise InputError(f"{path}: not a file of Python, whose name ends in .py")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path}: cannot be imported ({type(error).__name__}: {error})") from error
    if not callable(made := getattr(module, name, None)):
        raise InputError(f"{path}: has no class {name}; write FILE:CLASS")
    return made, digest

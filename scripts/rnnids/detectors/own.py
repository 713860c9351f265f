"""A detector of one's own: any network of a file, in the place of the LSTM.

FILE.py:CLASS names a ``torch.nn.Module``, FILE.pt a network in TorchScript, FILE.onnx one in ONNX. Its
``forward(inputs)``, or ``forward(inputs, lengths)``, gives logits (B, T) of z-scores (B, T, inputs) and is causal, as
:mod:`rnnids.detectors.protocol` says; ``contract.check_contract`` and ``scripts/check_detector.py`` try that. Of the
sizes `inputs`, `hidden_size` and `num_layers` a class is given those that its ``__init__`` names.
"""

import hashlib
import importlib
import importlib.util
import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rnnids.datasets.features import NUM_FEATURES
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.network import NetworkDetector
from rnnids.detectors.packed_lstm import Packing
from rnnids.errors import InputError

TORCHSCRIPT, ONNX = ".pt", ".onnx"


def holds_weights(source: str) -> bool:
    """Whether a file holds a trained network, not only what makes an untrained one."""
    return source.endswith((TORCHSCRIPT, ONNX))


class OwnDetector(NetworkDetector):
    """A network of a file as a detector.

    Args:
        source: FILE.py:CLASS, FILE.pt or FILE.onnx, the path relative to the working folder.
        sizes: what ``__init__`` of a class is given, as far as it names them.
        sha256: of the file when the weights were made, which then runs in no other state; None: as it is now.
        suppress, feature_dropout: as :class:`NetworkDetector` says; with feature dropout there are 30 inputs.

    Raises:
        InputError: no such file or class, a file of another kind or that has changed, no such network.
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
        path = source if holds_weights(source) else source.rpartition(":")[0]
        content = _read(path, source)
        digest = hashlib.sha256(content).hexdigest()
        if sha256 not in (None, digest):
            raise InputError(f"{path}: has changed since a detector was made of it; put it back, or make that anew")
        described = {"source": source, "sizes": sizes, "sha256": digest}
        super().__init__(described, suppress=suppress, feature_dropout=feature_dropout)
        # Has a device where the network has no tensors.
        self.register_buffer("place", torch.empty(0), persistent=False)
        if source.endswith(ONNX):
            self.network: Any = OnnxNetwork(path, content)
        elif source.endswith(TORCHSCRIPT):
            self.network = _torchscript(path, content)
        else:
            self.network = _make(source, _class(source, digest), sizes | {"inputs": self.num_inputs}, feature_dropout)
        self.takes_lengths = _takes_lengths(self.network)
        self.differentiable = getattr(self.network, "differentiable", True)
        self.fits_itself = callable(getattr(self.network, "fit", None))
        self.eval()

    def fit_flows(self, flows: FlowData, rng: np.random.Generator) -> None:
        """Have the network fit itself; with feature dropout each feature is left out as in an epoch of training."""
        inputs, suppressed = torch.from_numpy(flows.padded(np.arange(len(flows)))), None
        if self.feature_dropout:
            suppressed = torch.from_numpy(rng.random((len(flows), 1, NUM_FEATURES)) < 1 / NUM_FEATURES)
            suppressed = suppressed.expand(inputs.shape)
        self.network.fit(self.visible(inputs, suppressed), flows.packet_count, flows.is_attack)

    def of_flows(self, flows: Tensor, lengths: np.ndarray, suppressed: Tensor | None) -> Tensor:
        """Logits (B, T) of padded flows (B, T, 15) with (B,) packets."""
        if suppressed is not None:
            suppressed = suppressed[:, None].expand(-1, flows.shape[1], -1)
        shown = self.visible(flows, suppressed)
        if not isinstance(self.network, torch.jit.ScriptModule):
            return self.network(shown, lengths) if self.takes_lengths else self.network(shown)
        count = torch.from_numpy(np.asarray(lengths, dtype=np.int64)).to(flows.device)
        given = (shown, count) if self.takes_lengths else (shown,)
        if flows.device.type != "cuda" or not torch.is_grad_enabled():
            return self.network(*given)
        # In evaluation cuDNN has no backward pass for recurrent layers, and those of a script are not to be set apart.
        with torch.backends.cudnn.flags(enabled=False):
            return self.network(*given)

    def of_packets(self, packets: Tensor, packing: Packing, suppressed: Tensor | None) -> Tensor:
        """Logits (P,) of packed packets (P, 15)."""
        count = torch.bincount(packing.flow, minlength=len(packing.lengths)).cpu().numpy()
        return self.of_flows(packing.pad(packets), count, suppressed)[packing.flow, packing.step]


class OnnxNetwork(nn.Module):
    """A network in ONNX, run by onnxruntime on the CPU: (B, T, inputs) float32, perhaps (B,) int64 -> (B, T).

    Args:
        path: of the file, for messages. content: what it holds; files beside it are not read.
    """

    differentiable = False

    def __init__(self, path: str, content: bytes) -> None:
        super().__init__()
        try:
            runtime = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise InputError(
                f"{path}: a network in ONNX needs onnxruntime: pip install onnxruntime, or conda install -c conda-forge"
                " onnxruntime"
            ) from error
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise InputError(f"{path}: not a network that onnxruntime can run ({_in_a_line(error)})") from error
        self.path, self.names = path, [value.name for value in self.session.get_inputs()]
        if len(self.names) not in (1, 2):
            raise InputError(f"{path}: takes {', '.join(self.names)}; it can be given flows (B, T, inputs) and lengths")

    def forward(self, inputs: Tensor, lengths: np.ndarray) -> Tensor:
        """(B, T, inputs), (B,) -> (B, T) logits."""
        given = (inputs.detach().float().cpu().numpy(), np.asarray(lengths, dtype=np.int64))
        try:
            logits = self.session.run(None, dict(zip(self.names, given, strict=False)))[0]
        except Exception as error:
            raise InputError(
                f"{self.path}: fails on flows {tuple(inputs.shape)}; B and T must be dynamic axes ({_in_a_line(error)})"
            ) from error
        return torch.from_numpy(np.array(logits, dtype=np.float32)).to(inputs.device)


def _read(path: str, source: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"{source}: a detector is named FILE:CLASS, FILE.pt or FILE.onnx, and there is no such file here"
            f" ({error.strerror})"
        ) from error


def _torchscript(path: str, content: bytes) -> nn.Module:
    try:
        network = torch.jit.load(io.BytesIO(content), map_location="cpu")
    except Exception as error:  # of a damaged file torch raises whatever its parts run into
        said = _in_a_line(error)
        raise InputError(f"{path}: not a network in TorchScript, as torch.jit.save writes it ({said})") from error
    for parameter in network.parameters():  # which may have been saved frozen
        parameter.requires_grad_(parameter.is_floating_point())
    return network


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _class(source: str, digest: str) -> Callable[..., Any]:
    """The class of FILE:CLASS."""
    path, _, name = source.rpartition(":")
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
    return made


def _make(source: str, make: Callable[..., Any], given: dict[str, int], feature_dropout: bool) -> nn.Module:
    """The network that a class makes."""
    names = inspect.signature(make).parameters
    if feature_dropout and "inputs" not in names:
        raise InputError(
            f"{source}: feature dropout has {2 * NUM_FEATURES} inputs, and its __init__ has no parameter `inputs`"
        )
    try:
        network = make(**{name: given[name] for name in names if name in given})
    except Exception as error:
        raise InputError(f"{source}: cannot be made ({type(error).__name__}: {error})") from error
    if not isinstance(network, nn.Module) or not network.state_dict():
        raise InputError(f"{source}: not a torch.nn.Module with parameters to train")
    return network


def _takes_lengths(network: nn.Module) -> bool:
    """Whether the forward method has a parameter besides the flows."""
    if isinstance(network, torch.jit.ScriptModule):
        forward: Any = network.forward
        return len(forward.schema.arguments) > 2  # `self` is one
    return len(inspect.signature(network.forward).parameters) > 1

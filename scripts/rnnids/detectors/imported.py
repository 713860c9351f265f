"""A detector that was trained elsewhere: its weights, and whether it is one that this workflow can use."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from rnnids.detectors.contract import ContractError, check_contract
from rnnids.detectors.network import NetworkDetector
from rnnids.detectors.own import holds_weights
from rnnids.detectors.tensor_files import FAULTS, check_finite, load_unchecked
from rnnids.detectors.training import Training
from rnnids.errors import InputError

SHAPE = ("detector", "suppress", "feature_dropout", "hidden_size", "num_layers")  # of Training: what a detector is like


def trained_detector(training: Training, trained: str | Path | None) -> NetworkDetector:
    """A detector as it was trained elsewhere.

    Args:
        training: what it is like. trained: its state dict (safetensors); None: its own file holds that.

    Raises:
        InputError: there are no weights or two, they do not fit, or the detector cannot be made.
    """
    source = training.detector
    if trained is None and not holds_weights(source):
        raise InputError(f"{source}: an untrained network; give its state dict (safetensors) with --trained")
    if trained is not None and holds_weights(source):
        raise InputError(f"--trained: {source} holds its weights itself; leave {trained} out")
    detector = training.new_detector()
    if trained is not None:
        load_weights(getattr(detector, "network", detector), trained)
    return detector


def require_contract(detector: NetworkDetector, name: str, *, seed: int = 0) -> None:
    """Raise InputError, which begins with `name`, where a detector is not what attacks and explanations rely on."""
    try:
        check_contract(detector, seed=seed)
    except ContractError as error:
        raise InputError(f"{name}: {error}") from error
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{name}: fails on flows (B, T, {detector.num_inputs}): {error}") from error


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Fill a network with a state dict that was trained elsewhere, a file of safetensors.

    Raises:
        InputError: no such file, other tensors or shapes than the network's, or numbers that are not finite.
    """
    try:
        given, _ = load_unchecked(path)
    except FAULTS as error:
        raise InputError(f"{path}: not a state dict in safetensors, or damaged ({error})") from error
    faults = _faults(network.state_dict(), given)
    if faults:
        raise InputError(f"{path}: does not fit the network: {'; '.join(faults)[:600]}; check class and sizes")
    try:
        check_finite(given)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    network.load_state_dict(given)


def _faults(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """What of the tensors given is not as the network's own are, in words."""
    others = {"it lacks": own.keys() - given.keys(), "the network lacks": given.keys() - own.keys()}
    shapes = [
        f"{name} has the shape {tuple(given[name].shape)} and not {tuple(own[name].shape)}"
        for name in sorted(own.keys() & given.keys())
        if given[name].shape != own[name].shape
    ]
    return [f"{word} {', '.join(sorted(names))}" for word, names in others.items() if names] + shapes

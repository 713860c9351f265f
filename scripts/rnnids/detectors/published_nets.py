"""The nets that the paper's authors trained, as detectors of this project with the same logits.

Theirs are ``torch.nn.LSTM`` with a linear layer. What differs: their direction is 1 for forward packets and ours for
reverse ones, so its z-score has the other sign; and with feature dropout their 15 further inputs are 1 where a feature
is kept and ours where it is suppressed, so a bias makes up for it.
"""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from rnnids.datasets.features import DIRECTION, FEATURES, NUM_FEATURES
from rnnids.detectors.lstm import LSTMDetector
from rnnids.errors import InputError

GATES = 4  # i, f, g, o
OF_LAYER = re.compile(r"(.*?)((?:weight|bias)_[ih]h_l\d+)")
KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def read_net(path: Path | str) -> LSTMDetector:
    """A detector with the logits of a published net; layers, hidden size and feature dropout are those of its weights.

    Raises:
        InputError: no weights of such a net, anything beside weights, or other inputs than the 15 features.
    """
    weights = _read_weights(path)
    found = {match[2]: name for name in weights if (match := OF_LAYER.fullmatch(name))}
    others = [name for name in weights if name not in found.values()]
    layers = len(found) // len(KINDS)
    expected = {f"{kind}_l{layer}" for kind in KINDS for layer in range(layers)}
    if (
        not layers
        or found.keys() != expected
        or sorted(name.rpartition(".")[2] for name in others) != ["bias", "weight"]
    ):
        raise InputError(
            f"{path}: not one LSTM in one direction with one linear layer; it holds {', '.join(sorted(weights))[:300]}"
        )
    own = {f"lstm.{kind}": weights[name] for kind, name in found.items()}
    own |= {f"readout.{name.rpartition('.')[2]}": weights[name] for name in others}
    hidden_size, inputs = _sizes(path, own)
    detector = LSTMDetector(hidden_size, layers, feature_dropout=inputs == 2 * NUM_FEATURES)
    try:
        detector.load_state_dict(_with_our_inputs(own))
    except RuntimeError as error:
        raise InputError(f"{path}: its weights do not fit each other ({error}); get it again") from error
    return detector


def _read_weights(path: Path | str) -> dict[str, Tensor]:
    """{name: float32 weights} of a file of PyTorch, of which nothing else is loaded."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; get it, or check the path")
    try:
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file torch raises whatever its parts run into
        first = str(error).strip().splitlines()[:1]
        raise InputError(
            f"{path}: not a file of weights alone, or damaged ({' '.join(first)[:300]}); refused. Get it from where it"
            " was published"
        ) from error
    tensors = isinstance(content, Mapping) and all(isinstance(value, Tensor) for value in content.values())
    if not tensors or not content:
        raise InputError(f"{path}: holds something else than named weights; give the state of a net (.pth)")
    if not all(value.is_floating_point() and bool(torch.isfinite(value).all()) for value in content.values()):
        raise InputError(f"{path}: holds weights that are no numbers, or not finite; get it again")
    return {str(name): value.detach().float() for name, value in content.items()}


def _sizes(path: Path | str, weights: Mapping[str, Tensor]) -> tuple[int, int]:
    """(hidden size, inputs) of an LSTM."""
    first, hidden = weights["lstm.weight_ih_l0"], weights["lstm.weight_hh_l0"]
    if first.ndim != 2 or hidden.ndim != 2 or hidden.shape[0] != GATES * hidden.shape[1]:
        shown = " and ".join(str(tuple(value.shape)) for value in (first, hidden))
        raise InputError(f"{path}: weights of {shown} are not those of an LSTM's four gates; give an LSTM")
    if first.shape[1] not in (NUM_FEATURES, 2 * NUM_FEATURES):
        raise InputError(
            f"{path}: takes {first.shape[1]} inputs; this version has {NUM_FEATURES} ({', '.join(FEATURES)}), and as"
            " many again with feature dropout"
        )
    return hidden.shape[1], first.shape[1]


def _with_our_inputs(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights that give for our inputs what theirs give for theirs."""
    own, first = dict(weights), weights["lstm.weight_ih_l0"].clone()
    first[:, DIRECTION] *= -1
    kept = first[:, NUM_FEATURES:].clone()
    first[:, NUM_FEATURES:] *= -1  # kept = 1 - suppressed
    bias = weights["lstm.bias_ih_l0"].double() + kept.double().sum(dim=1)
    return own | {"lstm.weight_ih_l0": first, "lstm.bias_ih_l0": bias.float()}

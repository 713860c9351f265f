"""The recurrent detector of Sec. II, its variants of Sec. V-A and VI-A, and the files of detectors.

A variant is data, not a class: `suppress` names the packets whose length and interarrival time
the model never sees, `feature_dropout` adds the 15 suppression inputs of Sec. V-A3.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from rnnids.cli import log
from rnnids.datasets.features import FEATURES, NUM_FEATURES
from rnnids.datasets.flow_data import FlowData
from rnnids.detectors.environment import computing_environment
from rnnids.detectors.kept_states import KeptStates, Remembered, keep_states, next_outputs, remember, resume
from rnnids.detectors.network import NetworkDetector
from rnnids.detectors.own import OwnDetector
from rnnids.detectors.packed_lstm import Packing, pack, packed_loss, run_lstm
from rnnids.detectors.tensor_files import FAULTS, read_tensors, write_tensors
from rnnids.errors import InputError

# cuDNN on an H100 takes two to five times as long for packed flows as for padded ones with 64 and 128 units a layer, as
# long with 256, and less with 512, where padding costs arithmetic (docs/performance/padding.md).
PADDED_UNITS, WORTH_PADDING = 256, 2.0


class LSTMDetector(NetworkDetector):
    """LSTM with a linear read-out at every step.

    Args:
        hidden_size, num_layers: of the LSTM (the paper: 512, 3).
        suppress, feature_dropout: as :class:`NetworkDetector` says.
    """

    def __init__(
        self, hidden_size: int, num_layers: int, suppress: str = "none", *, feature_dropout: bool = False
    ) -> None:
        sizes = {"hidden_size": hidden_size, "num_layers": num_layers}
        super().__init__(sizes, suppress=suppress, feature_dropout=feature_dropout)
        self.lstm = nn.LSTM(self.num_inputs, hidden_size, num_layers, batch_first=True)
        self.readout = nn.Linear(hidden_size, 1)

    def of_flows(self, flows: Tensor, lengths: np.ndarray, suppressed: Tensor | None) -> Tensor:
        """Logits (B, T) of padded flows (B, T, 15) with (B,) packets."""
        if self._pads(flows.shape[0] * flows.shape[1], int(lengths.sum())):
            hidden = None if suppressed is None else suppressed[:, None].expand(-1, flows.shape[1], -1)
            return self.readout(self.lstm(self.visible(flows, hidden))[0]).squeeze(-1)
        packing = pack(lengths, flows.device, steps=flows.shape[1])
        logits = self.of_packets(flows.flatten(0, 1)[packing.index], packing, suppressed)
        padded = logits.new_zeros(flows.shape[0] * flows.shape[1])
        return padded.index_copy(0, packing.index, logits).view(flows.shape[:2])

    def of_packets(self, packets: Tensor, packing: Packing, suppressed: Tensor | None) -> Tensor:
        """Logits (P,) of packed packets (P, 15)."""
        visible = self._visible_packets(packets, packing, suppressed)
        if visible.device.type == "cpu":
            return run_lstm(self.lstm, visible, packing, readout=self.readout).squeeze(-1)
        if self._pads(len(packing.lengths) * len(packing.sizes), len(visible)):
            outputs = self.lstm(packing.pad(visible))[0][packing.flow, packing.step]
        else:
            outputs = self.lstm(PackedSequence(visible, torch.from_numpy(packing.sizes)))[0].data
        return self.readout(outputs).squeeze(-1)

    def _pads(self, cells: int, packets: int) -> bool:
        """Whether padded flows, with so many cells of which so many are packets, are faster than packed ones."""
        small = self.lstm.hidden_size <= PADDED_UNITS
        return self.device.type != "cpu" and small and cells <= WORTH_PADDING * packets

    def summed_loss(
        self, packets: Tensor, labels: Tensor, packing: Packing, *, suppressed: Tensor | None = None
    ) -> Tensor:
        """Binary cross-entropy summed over packed packets (P, 15) with labels (P,), on a CPU."""
        visible = self._visible_packets(packets, packing, suppressed)
        return packed_loss(self.lstm, self.readout, visible, labels=labels, packing=packing)

    def _visible_packets(self, packets: Tensor, packing: Packing, suppressed: Tensor | None) -> Tensor:
        return self.visible(packets, None if suppressed is None else suppressed[packing.flow])

    @torch.no_grad()
    def advance(
        self, packets: Tensor, sizes: Tensor, states: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Go on with flows whose packets come in pieces.

        Args:
            packets: (P, 15) z-scores, step after step, the flows of each step in the same order, by falling length.
            sizes: (T,) int64, on the CPU: flows that have 1, 2, ... T packets here or more.
            states: hidden states and cells before these packets, each (layers, B, hidden); zeros where a flow begins.

        Returns:
            ((P,) logits, states after the last packet of each flow)
        """
        outputs, states = self.lstm(PackedSequence(self.visible(packets), sizes), states)
        return self.readout(outputs.data).squeeze(-1), states

    @property
    def bytes_per_packet(self) -> int:
        """Memory that :meth:`states` takes for a packet, padding included, at its peak."""
        return 4 * self.lstm.hidden_size * (5 * self.lstm.num_layers + 6)

    def states(self, inputs: Tensor, lengths: np.ndarray) -> KeptStates:
        """The states before all packets of flows that come by falling length: (B, T, 15), (B,)."""
        return keep_states(self.lstm, self.visible(inputs), lengths)

    @torch.no_grad()
    def next_logits(self, states: KeptStates, inputs: Tensor) -> Tensor:
        """Logits of W alternatives for the packet after each of n states: (n, W, 15) -> (n, W)."""
        return self.readout(next_outputs(self.lstm, states, self.visible(inputs))).squeeze(-1)

    @property
    def resumable(self) -> bool:
        """Whether it can :meth:`resume`: on a CPU."""
        return self.device.type == "cpu"

    def remember(self, inputs: Tensor, lengths: np.ndarray) -> Remembered:
        """What :meth:`resume` goes on from, of padded flows: (N, T, 15), (N,)."""
        return remember(self.lstm, self.readout, self.visible(inputs), count=lengths)

    def resume(
        self, remembered: Remembered, inputs: Tensor, lengths: np.ndarray, *, flows: np.ndarray, steps: np.ndarray
    ) -> Tensor:
        """Logits (n, S) of flows that begin as those remembered and go on otherwise.

        Args:
            inputs: (n, S, 15) z-scores from there on. lengths: (n,) packets of these.
            flows, steps: (n,) as which flow each begins, and for how many packets.
        """
        visible = self.visible(inputs)
        return resume(self.lstm, self.readout, remembered, flows=flows, steps=steps, inputs=visible, count=lengths)


def as_lstm(detector: NetworkDetector, purpose: str) -> LSTMDetector:
    """The detector, if it is an LSTM.

    Raises:
        InputError: another one, of which `purpose`, the beginning of a sentence, is not known.
    """
    if not isinstance(detector, LSTMDetector):
        what = detector.architecture.get("source", detector.__class__.__name__)
        raise InputError(f"{purpose} an LSTM only, and this detector is {what}")
    return detector


def pick_device(name: str) -> torch.device:
    """The torch device for "auto" (CUDA if there is a card), "cpu" or "cuda".

    cuDNN multiplies float32 with ten bits of precision (TF32) unless it is told not to. On an H100 that moved logits of
    long flows by up to 6 against a CPU's, and a nearest evasion lies just below the threshold.

    Raises:
        InputError: CUDA is asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: cuda is asked for and no CUDA card is visible; use auto or cpu, or ask for a GPU")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    where = torch.cuda.get_device_name() if name == "cuda" else f"the processor, {torch.get_num_threads()} threads"
    log.info("computing on %s", where)
    return torch.device(name)


def save_detector(
    path: str | Path,
    detector: NetworkDetector,
    mean: ArrayLike,
    *,
    std: ArrayLike,
    training: Mapping[str, Any],
) -> None:
    """Write weights as safetensors with all that is needed to use them in the metadata.

    Args:
        mean, std: (15,) normalisation that the model was trained with.
        training: JSON-serialisable description of how it was trained.
    """
    description = {
        "architecture": detector.architecture,
        "features": FEATURES,
        "mean": np.asarray(mean, dtype=float).tolist(),
        "std": np.asarray(std, dtype=float).tolist(),
        "training": training,
        "computed_on": computing_environment(detector.device),
    }
    write_tensors(path, detector.state_dict(), {"rnnids": json.dumps(description, sort_keys=True)})


class Trained(NamedTuple):
    """A detector with what its file says.

    Attributes:
        detector: frozen, for inference. mean, std: (15,) normalisation that it was trained with.
        training: how it was trained.
    """

    detector: NetworkDetector
    mean: np.ndarray
    std: np.ndarray
    training: dict[str, Any]


def read_detector(path: str | Path, device: torch.device | str = "cpu") -> Trained:
    """Read a detector with its normalisation, for data that have none of their own.

    Raises:
        InputError: the file is damaged or of another kind.
    """
    try:
        weights, texts = read_tensors(path, ["rnnids"])
        description = json.loads(texts["rnnids"])
        mean, std = (np.asarray(description[name], dtype=float) for name in ("mean", "std"))
        training = dict(description["training"])
        detector = _with_weights(description["architecture"], weights)
    except FAULTS as error:
        raise InputError(f"{path}: not a model of this workflow, or damaged ({error}); train it again") from error
    _check_inputs(path, description, mean, std=std)
    return Trained(detector.requires_grad_(False).to(device).eval(), mean, std, training)


def load_detector(
    path: str | Path, data: FlowData | None = None, device: torch.device | str = "cpu"
) -> NetworkDetector:
    """Read a detector for inference: parameters frozen, on `device`.

    Args:
        data: the FlowData it will be used on; its normalisation must be the model's own.

    Raises:
        InputError: the file is damaged, of another kind, or was trained on another data set.
    """
    trained = read_detector(path, device)
    if data is not None and not (np.array_equal(data.mean, trained.mean) and np.array_equal(data.std, trained.std)):
        raise InputError(f"{path}: trained on another data set (its normalisation differs); train it on this one")
    return trained.detector


def _with_weights(architecture: Mapping[str, Any], weights: Mapping[str, Tensor]) -> NetworkDetector:
    """The detector of a description; an LSTM's sizes are those of the weights before memory is taken for them."""
    if "source" in architecture:
        own = OwnDetector(**architecture)
        own.load_state_dict(weights)
        return own
    if architecture["num_layers"] > len(weights):
        raise ValueError("its description has more layers than its weights")
    with torch.device("meta"):
        detector = LSTMDetector(**architecture)
    detector.load_state_dict(weights, assign=True)
    return detector


def _check_inputs(path: str | Path, description: Mapping[str, Any], mean: np.ndarray, *, std: np.ndarray) -> None:
    """Raise InputError where a model takes other inputs than this version gives it."""
    if list(description.get("features", ())) != list(FEATURES):
        raise InputError(
            f"{path}: made for other features, or for these in another order; this version has {', '.join(FEATURES)};"
            " train it again"
        )
    usable = mean.shape == std.shape == (NUM_FEATURES,) and np.isfinite([mean, std]).all() and (std > 0).all()
    if not usable:
        raise InputError(f"{path}: its normalisation cannot be used (mean or standard deviation); train it again")

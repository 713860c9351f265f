"""Try a detector of one's own: whether it is what attacks, scores and explanations rely on.

>>> from rnnids.detectors.lstm import LSTMDetector
>>> detector = LSTMDetector(hidden_size=4, num_layers=1)
>>> check_contract(detector)  # raises ContractError where it breaks the protocol
"""

import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rnnids.datasets.features import NUM_FEATURES
from rnnids.datasets.flow_data import is_packet
from rnnids.detectors.protocol import (
    Detector,
    ResumableDetector,
    StatefulDetector,
    has_gradient,
    is_resumable,
    is_stateful,
)

LENGTHS = np.array([9, 9, 6, 4, 1, 1])  # packets of each flow; the longest first, as `states` is promised


class ContractError(Exception):
    """A detector breaks the protocol; the message says where."""


class _Case(NamedTuple):
    """Random flows to try a detector on: (B, T, 15), what it says of them, (B, T), which of these are of packets."""

    inputs: Tensor
    logits: Tensor
    mask: Tensor
    tolerance: float

    def require_equal(self, found: Tensor, expected: Tensor, broken: str) -> None:
        """Raise ContractError with the words `broken` unless two tensors agree up to rounding."""
        if not torch.allclose(found, expected, rtol=self.tolerance, atol=self.tolerance):
            difference = float((found - expected).abs().max())
            raise ContractError(f"{broken} (logits differ by {difference:.2g}, tolerance {self.tolerance:g})")


def check_contract(detector: Detector, *, seed: int = 0, tolerance: float = 1e-4) -> None:
    """Put a detector through what :mod:`rnnids.detectors.protocol` promises.

    It is run on a few random flows. Warns where all its logits lie in [0, 1], as probabilities do; those of an
    untrained detector may.

    Args:
        seed: of the flows. tolerance: by how much logits that should be equal may differ, as they are and relatively.

    Raises:
        ContractError: names the first promise that is broken.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(len(LENGTHS), int(LENGTHS.max()), NUM_FEATURES, generator=generator)
    if not isinstance(detector.device, torch.device):
        raise ContractError(f"`device` is {detector.device!r}, not a torch.device")
    inputs = inputs.to(detector.device)
    with torch.no_grad():
        logits = _logits(detector, inputs)
        case = _Case(inputs, logits, torch.from_numpy(is_packet(LENGTHS)).to(detector.device), tolerance)
        _check_padding(detector, case)
        _check_causality(detector, case)
        if getattr(detector, "feature_dropout", False):
            _check_suppression(detector, case)
        if is_stateful(detector):
            _check_states(detector, case)
        if is_resumable(detector):
            _check_resuming(detector, case)
    if has_gradient(detector):
        _check_gradient(detector, case)
    of_packets = logits[case.mask]
    if ((of_packets >= 0) & (of_packets <= 1)).all():
        warnings.warn("all logits lie in [0, 1]: are they probabilities?", stacklevel=2)


def _logits(detector: Detector, inputs: Tensor) -> Tensor:
    """Logits of the flows: of the right shape, finite, the same twice, and the flows are left as they were."""
    given = inputs.clone()
    logits = detector(inputs, LENGTHS)
    if not isinstance(logits, Tensor) or logits.shape != inputs.shape[:2] or not logits.is_floating_point():
        shape = tuple(inputs.shape[:2])
        raise ContractError(f"logits are no tensor of floating point numbers of shape (B, T), here {shape}")
    if not torch.equal(given, inputs):
        raise ContractError("changes its inputs in place")
    if not torch.isfinite(logits[torch.from_numpy(is_packet(LENGTHS))]).all():
        raise ContractError("not every logit is finite")
    if not torch.equal(torch.nan_to_num(logits), torch.nan_to_num(detector(inputs, LENGTHS))):
        raise ContractError("not deterministic: called twice with the same flows, it gives other logits")
    return logits


def _check_padding(detector: Detector, case: _Case) -> None:
    """What lies behind a flow's last packet, and which flows are beside it, changes none of its logits."""
    filled = torch.where(case.mask[..., None], case.inputs, 7.0)
    found = detector(filled, LENGTHS)
    case.require_equal(found[case.mask], case.logits[case.mask], "padding is not inert: its values change logits")
    wide = torch.cat([case.inputs, case.inputs.new_zeros(len(LENGTHS), 2 * case.inputs.shape[1], NUM_FEATURES)], dim=1)
    for given in (wide, wide.clone().requires_grad_()):
        with torch.set_grad_enabled(given.requires_grad):
            found = detector(given, LENGTHS).detach()[:, : case.inputs.shape[1]]
        case.require_equal(found[case.mask], case.logits[case.mask], "padding beyond the longest flow changes logits")
    found = detector(case.inputs)
    case.require_equal(found[case.mask], case.logits[case.mask], "without lengths logits are others than with them")
    found = detector(case.inputs.flip(0), LENGTHS[::-1].copy()).flip(0)
    case.require_equal(found[case.mask], case.logits[case.mask], "the order of flows changes logits")
    for row, length in enumerate(LENGTHS):
        found = detector(case.inputs[row : row + 1, :length], LENGTHS[row : row + 1])[0]
        expected = case.logits[row, :length]
        case.require_equal(found, expected, "a flow alone, without padding, gets other logits than in a batch")


def _check_causality(detector: Detector, case: _Case) -> None:
    """Packets change nothing before them."""
    for step in range(1, case.inputs.shape[1]):
        changed = case.inputs.clone()
        changed[:, step:] += 3.0
        before = case.mask[:, :step]
        found, expected = detector(changed, LENGTHS)[:, :step], case.logits[:, :step]
        case.require_equal(found[before], expected[before], "not causal: a packet changes logits before it")


def _check_suppression(detector: Detector, case: _Case) -> None:
    """The values of features left out are not seen."""
    suppressed = torch.zeros(len(LENGTHS), NUM_FEATURES, dtype=torch.bool, device=case.inputs.device)
    suppressed[:, ::2] = True
    changed = case.inputs + 3.0 * suppressed[:, None]
    found, expected = (detector(inputs, LENGTHS, suppressed=suppressed)[case.mask] for inputs in (changed, case.inputs))
    case.require_equal(found, expected, "feature_dropout: the value of a suppressed feature changes logits")


def _check_states(detector: StatefulDetector, case: _Case) -> None:
    """Going on from a state gives what the whole flow gives, whatever other packets are tried beside it."""
    states = detector.states(case.inputs, LENGTHS)
    packets, expected = case.inputs[case.mask], case.logits[case.mask]
    if len(states) != len(packets):
        raise ContractError(f"{len(states)} states for {len(packets)} packets, not one before each")
    if not isinstance(detector.bytes_per_packet, int) or detector.bytes_per_packet <= 0:
        raise ContractError(f"`bytes_per_packet` is {detector.bytes_per_packet!r}, not an integer above 0")
    found = detector.next_logits(states, torch.stack([packets + 3.0, packets], dim=1))
    if found.shape != (len(packets), 2):
        raise ContractError(f"next_logits of (n, W, {NUM_FEATURES}) has the shape {tuple(found.shape)}, not (n, W)")
    case.require_equal(found[:, 1], expected, "going on from states gives other logits than the whole flow")
    for index in (slice(5, 9), np.array([len(packets) - 1, 0, 7])):
        found = detector.next_logits(states[index], packets[index, None])[:, 0]
        case.require_equal(found, expected[index], "chosen states, states[index], are not those of these packets")


def _check_resuming(detector: ResumableDetector, case: _Case) -> None:
    """Going on from anywhere in a flow gives what the whole flow gives."""
    remembered = detector.remember(case.inputs + 0.0, LENGTHS)
    outputs = torch.from_numpy(np.asarray(remembered.outputs)).to(case.logits.device)
    case.require_equal(outputs[case.mask], case.logits[case.mask], "`remember` gives other outputs than the flows")
    flows = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    steps = np.concatenate([np.arange(length) for length in LENGTHS])
    rest = LENGTHS[flows] - steps
    changed = case.inputs[flows].clone()
    changed[np.arange(len(flows)), steps] += 3.0
    places = torch.from_numpy(np.minimum(steps[:, None] + np.arange(rest.max()), LENGTHS.max() - 1))
    inputs = changed[torch.arange(len(flows))[:, None], places]
    found = detector.resume(remembered, inputs, rest, flows=flows, steps=steps)
    expected = detector(changed, LENGTHS[flows])[torch.arange(len(flows))[:, None], places]
    mask = torch.from_numpy(is_packet(rest)).to(expected.device)
    case.require_equal(found[mask], expected[mask], "going on in the middle gives other logits than the whole flow")


def _check_gradient(detector: Detector, case: _Case) -> None:
    """The gradient is finite, and as causal as the logits."""
    with torch.enable_grad():
        inputs = case.inputs.clone().requires_grad_()
        logits = detector(inputs, LENGTHS)
        step = int(LENGTHS[2]) - 1  # of flows that reach it, some go on
        if not logits.requires_grad:
            raise ContractError("no gradient leads to the inputs; a detector without one sets `differentiable = False`")
        (gradient,) = torch.autograd.grad(logits[:3, step].sum(), inputs)
    if not torch.isfinite(gradient).all():
        raise ContractError("the gradient is not finite")
    if gradient[:3, step + 1 :].any() or gradient[3:].any():
        raise ContractError("the gradient at a packet reaches packets after it or of other flows")
    if not gradient[:3, : step + 1].any():
        raise ContractError("the gradient is 0 everywhere; a detector without one sets `differentiable = False`")

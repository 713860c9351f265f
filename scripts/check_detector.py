"""Try a detector of one's own: whether attacks, scores and explanations can rely on it.

Makes it with the sizes given, runs it on a few random flows and says what it breaks: a packet that changes
logits before it, padding that is not inert, a gradient that leads nowhere. Then one that is not trained yet is trained
for a few steps on random flows that are told apart by their lengths, which any detector should learn.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from rnnids import cli, settings
from rnnids.cli import log
from rnnids.datasets.features import NUM_FEATURES, PACKET_LENGTH
from rnnids.detectors.imported import SHAPE, require_contract, trained_detector
from rnnids.detectors.network import NetworkDetector
from rnnids.detectors.own import holds_weights
from rnnids.detectors.training import Training

STEPS, FLOWS, PACKETS = 60, 64, 12  # of the training


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("detector", metavar="FILE:CLASS", help="a torch.nn.Module in a Python file; FILE.pt; FILE.onnx")
    settings.add_options(parser, Training, only=SHAPE[1:])
    parser.add_argument("--trained", help="state dict of the class (safetensors), if it is trained already")
    parser.add_argument("--seed", type=int, default=0, help="of weights and flows")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    training = Training(**{name: getattr(args, name) for name in SHAPE})
    torch.manual_seed(args.seed)
    imported = bool(args.trained) or holds_weights(args.detector)
    detector = trained_detector(training, args.trained) if imported else training.new_detector()
    parameters = sum(weights.numel() for weights in detector.parameters())
    log.info("%s: %s parameters, %d inputs a packet", args.detector, f"{parameters:,}", detector.num_inputs)
    require_contract(detector, args.detector, seed=args.seed)
    log.info("keeps the protocol: causal, padding inert, deterministic%s", _rest(detector))
    if imported or not (detector.fits_itself or detector.differentiable):
        return
    accuracy = _fit(detector, args.seed)
    steps = "fitting itself" if detector.fits_itself else f"{STEPS} steps"
    log.info("told %.0f %% of random flows apart by their lengths after %s", 100 * accuracy, steps)
    if accuracy < 0.9 and args.suppress == "none":
        log.warning("warning: other detectors tell all of them apart; check its initial weights and its scale")


def _rest(detector: NetworkDetector) -> str:
    gradient = ", its gradient is finite" if detector.differentiable else "; without a gradient only draws attack it"
    return gradient + (", suppressed features are not seen" if detector.feature_dropout else "")


def _fit(detector: NetworkDetector, seed: int) -> float:
    """Accuracy on flows that it was not trained on, half of which are longer by two standard deviations."""
    generator = torch.Generator().manual_seed(seed)
    count = np.full(FLOWS, PACKETS)

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        label = torch.randint(0, 2, (FLOWS, 1), generator=generator).float().expand(FLOWS, PACKETS)
        inputs = torch.randn(FLOWS, PACKETS, NUM_FEATURES, generator=generator)
        inputs[..., PACKET_LENGTH] += 4 * label - 2
        return inputs, label

    if detector.fits_itself:
        inputs, label = draw()
        detector.network.fit(detector.visible(inputs), count, label[:, 0].numpy() > 0)
    else:
        _descend(detector, draw, count)
    with torch.no_grad():
        inputs, label = draw()
        return float(((detector(inputs, count) > 0) == (label > 0)).float().mean())


def _descend(detector: NetworkDetector, draw: Callable[[], Sequence[torch.Tensor]], count: np.ndarray) -> None:
    """A few steps of training, each on flows of `count` packets that are drawn for it."""
    optimiser = torch.optim.Adam(detector.parameters(), lr=0.01)
    for _ in range(STEPS):
        inputs, label = draw()
        loss = functional.binary_cross_entropy_with_logits(detector(inputs, count), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


if __name__ == "__main__":
    cli.run(main)

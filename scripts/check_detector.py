"""Try a detector of one's own: whether attacks, scores and explanations can rely on it.

Makes it with the sizes given, runs it on a few random flows and says what it breaks: a packet that changes
logits before it, padding that is not inert, a gradient that leads nowhere. Then it is trained for a few
steps on random flows that are told apart by their lengths, which any detector should learn.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from rnnids import cli, settings
from rnnids.cli import log
from rnnids.datasets.features import NUM_FEATURES, PACKET_LENGTH
from rnnids.detectors.contract import ContractError, check_contract
from rnnids.detectors.training import Training
from rnnids.errors import InputError

STEPS, FLOWS, PACKETS = 60, 64, 12  # of the training
SIZES = ("hidden_size", "num_layers", "suppress", "feature_dropout")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("detector", metavar="FILE:CLASS", help="a torch.nn.Module in a Python file")
    others = {field.name for field in settings.fields(Training)} - set(SIZES)
    settings.add_options(parser, Training, leave_out=others)
    parser.add_argument("--seed", type=int, default=0, help="of weights and flows")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    training = Training(detector=args.detector, **{name: getattr(args, name) for name in SIZES})
    torch.manual_seed(args.seed)
    detector = training.new_detector()
    parameters = sum(weights.numel() for weights in detector.parameters())
    log.info("%s: %s parameters, %d inputs a packet", args.detector, f"{parameters:,}", detector.num_inputs)
    try:
        check_contract(detector, seed=args.seed)
    except ContractError as error:
        raise InputError(f"{args.detector}: {error}") from error
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{args.detector}: fails on flows (B, T, {detector.num_inputs}): {error}") from error
    log.info("keeps the protocol: causal, padding inert, deterministic%s", _rest(detector))
    if not detector.differentiable:
        return
    accuracy = _fit(detector, args.seed)
    log.info("told %.0f %% of random flows apart by their lengths after %d steps", 100 * accuracy, STEPS)
    if accuracy < 0.9 and args.suppress == "none":
        log.warning("warning: other detectors tell all of them apart; check its initial weights and its scale")


def _rest(detector: torch.nn.Module) -> str:
    gradient = ", its gradient is finite" if detector.differentiable else "; without a gradient only draws attack it"
    return gradient + (", suppressed features are not seen" if detector.feature_dropout else "")


def _fit(detector: torch.nn.Module, seed: int) -> float:
    """Accuracy on flows that it was not trained on, half of which are longer by two standard deviations."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(detector.parameters(), lr=0.01)
    count = np.full(FLOWS, PACKETS)

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        label = torch.randint(0, 2, (FLOWS, 1), generator=generator).float().expand(FLOWS, PACKETS)
        inputs = torch.randn(FLOWS, PACKETS, NUM_FEATURES, generator=generator)
        inputs[..., PACKET_LENGTH] += 4 * label - 2
        return inputs, label

    for _ in range(STEPS):
        inputs, label = draw()
        loss = functional.binary_cross_entropy_with_logits(detector(inputs, count), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        inputs, label = draw()
        return float(((detector(inputs, count) > 0) == (label > 0)).float().mean())


if __name__ == "__main__":
    cli.run(main)

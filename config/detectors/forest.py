"""A forest of random trees (Geurts et al. 2006) on running statistics of the packets so far; it has no gradient."""

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier
from torch import Tensor, nn

TREES, DEPTH = 32, 10
PACKETS = 200_000  # that it is fitted to, at most
CERTAIN = 1e-4  # nearer to 0 or 1 no probability comes, so that logits are finite


class Forest(nn.Module):
    """Trees as tables of nodes, of which the first is the root; a leaf leads to itself.

    Args:
        inputs: numbers that it is shown of a packet; the sizes of the trees do not depend on them.
    """

    differentiable = False

    def __init__(self, inputs: int = 15) -> None:
        super().__init__()
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(TREES, 2 ** (DEPTH + 1) - 1, dtype=torch.int64))
        for name in ("threshold", "value"):
            self.register_buffer(name, torch.zeros(TREES, 2 ** (DEPTH + 1) - 1, dtype=torch.float64))

    @staticmethod
    def statistics(inputs: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, T, 4 * inputs + 1): the packet, mean, largest and least so far, and how many."""
        count = torch.arange(1, inputs.shape[1] + 1, device=inputs.device)[:, None].expand(len(inputs), -1, 1)
        mean = inputs.cumsum(1) / count
        return torch.cat([inputs, mean, inputs.cummax(1).values, inputs.cummin(1).values, count], dim=2)

    def fit(self, inputs: Tensor, lengths: np.ndarray, labels: np.ndarray) -> None:
        """Fit the trees to flows (B, T, inputs) of (B,) packets and, (B,), whether they are attacks."""
        chosen = torch.randperm(len(inputs)).numpy()
        chosen = chosen[lengths[chosen].cumsum() <= PACKETS]
        packet = np.arange(inputs.shape[1]) < lengths[chosen, None]  # (B, T)
        known = self.statistics(inputs[chosen])[torch.from_numpy(packet)].numpy()
        forest = ExtraTreesClassifier(TREES, max_depth=DEPTH, random_state=int(torch.randint(2**31, ())))
        forest.fit(known, labels[chosen].repeat(lengths[chosen]))
        for row, tree in enumerate(estimator.tree_ for estimator in forest.estimators_):
            itself, leaf = np.arange(tree.node_count), tree.children_left < 0
            share = tree.value[:, 0, -1] / tree.value[:, 0].sum(axis=1)
            nodes = {"feature": np.where(leaf, 0, tree.feature), "threshold": tree.threshold, "value": share}
            nodes |= {side: np.where(leaf, itself, getattr(tree, f"children_{side}")) for side in ("left", "right")}
            for name, column in nodes.items():
                self.get_buffer(name)[row, : tree.node_count] = torch.from_numpy(column)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, T) logits."""
        known, tree = self.statistics(inputs), torch.arange(TREES, device=inputs.device)
        node = torch.zeros(*known.shape[:2], TREES, dtype=torch.int64, device=inputs.device)
        for _ in range(DEPTH):
            lower = known.gather(2, self.feature[tree, node]) <= self.threshold[tree, node]
            node = torch.where(lower, self.left[tree, node], self.right[tree, node])
        return self.value[tree, node].mean(2).clamp(CERTAIN, 1 - CERTAIN).logit().float()

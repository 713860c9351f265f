"""One training on several GPUs, or processes, of a node; started by torchrun.

Every process draws the same batches and takes its share of the flows of each, so the result is that
of one process up to the order of sums.
"""

import os
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Group:
    """The processes that train together; alone by default."""

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> tuple[slice, float]:
        """Slice of a batch of `count` flows that is this process's; never empty.

        Returns:
            (slice, weight): weight 0 where the batch has fewer flows than there are processes and
            this one only computes along, since a gradient is awaited from each.
        """
        if self.rank < count:
            return slice(self.rank, None, self.size), 1.0
        return slice(0, 1), 0.0

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model`, with its gradients averaged over the processes in every backward pass."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def total(self, value: Tensor) -> Tensor:
        """Sum of a scalar tensor over the processes."""
        if self.size > 1:
            torch.distributed.all_reduce(value)
        return value


def join(device: torch.device) -> tuple[Group, torch.device]:
    """(Group, device of this process) from torchrun's environment variables; alone without them."""
    if "WORLD_SIZE" not in os.environ:
        return Group(), device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Group(torch.distributed.get_rank(), torch.distributed.get_world_size()), device


def leave() -> None:
    """End the group; processes wait here for the one that writes."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()

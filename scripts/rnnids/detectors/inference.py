"""Running a trained detector over whole data sets."""

import numpy as np
import torch

from rnnids.cli import Progress
from rnnids.datasets.flow_data import batches_by_length, is_packet
from rnnids.detectors.packed_lstm import pack
from rnnids.prefetch import prefetch


def padded_inputs(data, batches, device="cpu"):
    """Yield (rows, (B, T, 15) float32 tensor on `device`) for each array of rows in `batches`, in their order.

    The next batches are made meanwhile; on their way to a GPU they lie in pinned memory, so that the
    copy does not stop what runs there.
    """
    on_gpu = torch.device(device).type == "cuda"

    def prepare(rows):
        inputs = torch.from_numpy(data.padded(rows))
        return inputs.pin_memory() if on_gpu else inputs

    for rows, inputs in prefetch((rows, prepare(rows)) for rows in batches):
        yield rows, inputs.to(device, non_blocking=on_gpu)


@torch.no_grad()
def packet_logits(model, data, batch_packets, device="cpu", suppressed=None):
    """One logit per packet.

    Args:
        data: FlowData of N flows and P packets.
        batch_packets: padded packets per batch, at most.
        suppressed: (15,) bool, features left out of every flow (feature dropout models only).

    Returns:
        (P,) float32, in the order of the data set's packets.
    """
    logits = np.empty(int(data.packet_count.sum()), dtype=np.float32)
    with Progress("predicting", total=len(data), unit="flows") as progress:
        for rows, inputs in padded_inputs(data, batches_by_length(data.packet_count, batch_packets), device):
            hidden = None
            if suppressed is not None:
                hidden = torch.as_tensor(suppressed, device=device).expand(len(rows), -1)
            batch = model(inputs, hidden, pack(data.packet_count[rows], device)).float().cpu().numpy()
            logits[data.packet_rows(rows)] = batch[is_packet(data.packet_count[rows])]
            progress.update(len(rows))
    return logits


def last_of_flow(values, packet_count):
    """The value at each flow's last packet: (P,) -> (N,)."""
    return values[np.cumsum(packet_count) - 1]

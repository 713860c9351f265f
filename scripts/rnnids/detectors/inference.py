"""Running a trained detector over whole data sets."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from rnnids.cli import Progress
from rnnids.datasets.flow_data import FlowData, batches_by_length, is_packet
from rnnids.detectors.gpu_memory import halved
from rnnids.detectors.protocol import Detector
from rnnids.prefetch import prefetch

BATCH_PACKETS = 32768


def padded_inputs(
    flows: FlowData, batches: Iterable[np.ndarray], device: torch.device | str = "cpu"
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield (rows, (B, T, 15) float32 tensor on `device`) for each array of rows in `batches`, in their order.

    The next batches are made meanwhile; on their way to a GPU they lie in pinned memory, so that the
    copy does not stop what runs there.
    """
    on_gpu = torch.device(device).type == "cuda"

    def prepare(rows: np.ndarray) -> Tensor:
        inputs = torch.from_numpy(flows.padded(rows))
        return inputs.pin_memory() if on_gpu else inputs

    for rows, inputs in prefetch((rows, prepare(rows)) for rows in batches):
        yield rows, inputs.to(device, non_blocking=on_gpu)


@torch.no_grad()
def packet_logits(
    detector: Detector, flows: FlowData, *, batch_packets: int = BATCH_PACKETS, suppressed: np.ndarray | None = None
) -> np.ndarray:
    """One logit per packet.

    Args:
        flows: FlowData of N flows and P packets.
        batch_packets: padded packets per batch, at most.
        suppressed: (15,) bool, features left out of every flow (feature dropout models only).

    Returns:
        (P,) float32, in the order of the data set's packets.
    """
    logits = np.empty(int(flows.packet_count.sum()), dtype=np.float32)
    batches = batches_by_length(flows.packet_count, batch_packets)
    with Progress("predicting", total=len(flows), unit="flows") as progress:
        for rows, inputs in padded_inputs(flows, batches, detector.device):

            def predict(chosen: np.ndarray, rows: np.ndarray = rows, inputs: Tensor = inputs) -> None:
                count, given = flows.packet_count[rows[chosen]], {}
                if suppressed is not None:
                    given["suppressed"] = torch.as_tensor(suppressed, device=detector.device).expand(len(chosen), -1)
                padded = inputs if len(chosen) == len(rows) else inputs[chosen[0] : chosen[-1] + 1, : count.max()]
                batch = detector(padded, count, **given).float().cpu().numpy()
                logits[flows.packet_rows(rows[chosen])] = batch[is_packet(count)]

            halved(predict, np.arange(len(rows)))
            progress.update(len(rows))
    return logits


def last_of_flow(values: np.ndarray, packet_count: np.ndarray) -> np.ndarray:
    """The value at each flow's last packet: (P,) -> (N,)."""
    return values[np.cumsum(packet_count) - 1]

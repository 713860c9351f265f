"""A threshold from a rate of false alarms, measured on flows that training did not see and no test uses."""

from pathlib import Path

import numpy as np

from rnnids.cli import log
from rnnids.datasets.flow_data import TRAIN, FlowData, load_dataset
from rnnids.detectors.alarms import AlarmRule, flow_scores, packet_scores
from rnnids.detectors.inference import packet_logits
from rnnids.detectors.lstm import Trained
from rnnids.detectors.metrics import proportion_interval
from rnnids.detectors.operating_points import threshold_at
from rnnids.detectors.protocol import Detector
from rnnids.detectors.training import hold_out
from rnnids.errors import InputError


def validation_flows(trained: Trained, dataset: Path | str | None) -> FlowData:
    """The flows that were held out when a detector was trained.

    Raises:
        InputError: no data set, another one, or a detector that was trained without validation flows.
    """
    if dataset is None:
        raise InputError("--false-alarm-rate: nothing to measure it on; give the detector's data set with --dataset")
    try:
        fraction, seed = float(trained.training["validation_fraction"]), int(trained.training["seed"])
    except KeyError as error:
        raise InputError(
            f"--false-alarm-rate: the detector was trained without validation flows (no {error}); give --threshold"
        ) from error
    data = load_dataset(dataset, TRAIN)
    if not (np.array_equal(data.mean, trained.mean) and np.array_equal(data.std, trained.std)):
        raise InputError(f"{dataset}: not the data set that the detector was trained on; give that one")
    return hold_out(data, fraction, seed)[1]


def measure_threshold(detector: Detector, validation: FlowData, rule: AlarmRule, *, rate: float) -> float:
    """The lowest threshold above which at most `rate` of the benign flows of `validation` lie.

    Raises:
        InputError: no benign flow among them.
    """
    benign = validation.take(~validation.is_attack)
    if not len(benign):
        raise InputError("--false-alarm-rate: no benign flow was held out to measure it on; give --threshold")
    scores = packet_scores(packet_logits(detector, benign), benign.packet_count, rule)
    scores = flow_scores(scores, benign.packet_count)
    threshold = threshold_at(scores, rate)
    alarms = int((scores > threshold).sum())
    low, high = proportion_interval(alarms, len(benign))
    log.info(
        "threshold %.4g of rule %s: %d of %s benign validation flows raise the alarm, %.3g %% (95 %%: %.3g to %.3g %%)",
        threshold,
        rule.name,
        alarms,
        f"{len(benign):,}",
        *(100 * share for share in (alarms / len(benign), low, high)),
    )
    if rate * len(benign) < 1:
        log.warning(
            "warning: %d benign validation flows cannot show a rate of %g; none of them raises the alarm",
            len(benign),
            rate,
        )
    return threshold

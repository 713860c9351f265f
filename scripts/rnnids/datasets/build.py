"""From flow files and labels to a data set: drop, cut, split, normalise, write."""

import json
from dataclasses import dataclass

import numpy as np
from numba import njit

from rnnids.cli import Progress
from rnnids.datasets.encoding import encode_packets
from rnnids.datasets.features import NUM_FEATURES
from rnnids.datasets.flow_data import BENIGN, TRAIN
from rnnids.datasets.splits import split_by_capture, split_by_flow, split_by_time
from rnnids.errors import InputError
from rnnids.flows.columns import PACKET_COLUMNS
from rnnids.flows.files import FLOW_COLUMNS, flows_stepping_back, read_packets
from rnnids.labels.rules import BENIGN_NAME
from rnnids.storage import COLUMN_OPTIONS, create_hdf5

FORWARD_BIT, REVERSE_BIT = 1, 2
NEW_COLUMNS = {  # name: unit
    "capture": "index into the attribute captures",
    "attack": "index into the attribute attacks",
    "category": "index into the attribute categories",
    "split": "0 training, 1 test",
    "manipulable": "bit 1: forward packets, bit 2: reverse packets are the attacker's",
    "full_packet_count": "packets before the cut",
}


@dataclass(frozen=True)
class Settings:
    """How flows become a data set.

    Attributes:
        split: "flow", "time" or "capture" (see ``splits.py``).
        test_fraction: of the flows, for split "flow" and "time".
        test_captures: names, for split "capture".
        seed: of split "flow".
        max_packets: of a flow that are kept, the first ones.
        both_directions: categories whose attacker controls both ends (Sec. III-A).
    """

    split: str
    test_fraction: float
    test_captures: list
    seed: int
    max_packets: int
    both_directions: list


@dataclass(frozen=True)
class Dataset:
    """A data set without its packets.

    Attributes:
        flows: columns of the M flows kept, as they are written; offset is that of the data set.
        source_offset: (M,) row of each flow's first packet in its flow file.
        dropped: (N,) bool, over all flows read: a negative interarrival time.
        category_of: {attack: category} in the order of the column attack; the first is "Benign".
        categories: their names in the order of the column category.
    """

    flows: dict
    source_offset: np.ndarray
    dropped: np.ndarray
    category_of: dict
    categories: list


def assemble(captures, flows, rules, labels, settings):
    """Decide on every flow: its label, whether it stays, its cut and its split.

    Args:
        captures, flows: of ``read_captures``.
        rules, labels: list of Rule, and Labels of `flows` by them.

    Raises:
        InputError: settings out of range, no flow left, one class only in the training split.
    """
    _check_settings(settings)
    dropped = np.concatenate(
        [flows_stepping_back(capture, flows["offset"][flows["capture"] == i]) for i, capture in enumerate(captures)]
    )
    if dropped.all():
        raise InputError("--flows: every flow has a negative interarrival time; sort the captures by time first")
    columns, category_of, categories = label_columns(rules, labels, settings.both_directions)
    kept = {name: column[~dropped] for name, column in (flows | columns).items()}
    source_offset, full = kept["offset"], kept["packet_count"].astype(np.int64)
    count = np.minimum(full, settings.max_packets)
    kept |= {
        "offset": np.cumsum(count) - count,
        "packet_count": count.astype(np.int32),
        "full_packet_count": full,
        "split": _split(kept, captures, settings),
    }
    _check_classes(kept, settings)
    return Dataset(kept, source_offset, dropped, category_of, categories)


def _check_settings(settings):
    if not 0 < settings.test_fraction < 1:
        raise InputError(f"--test-fraction: {settings.test_fraction} is not between 0 and 1; the paper's is 0.333333")
    if settings.max_packets < 1:
        raise InputError(f"--max-packets: {settings.max_packets} is less than 1; the paper's is 100")


def label_columns(rules, labels, both_directions):
    """Columns attack, category and manipulable of N labelled flows, and the names behind them.

    Returns:
        ({name: (N,) column}, {attack: category}, categories), names in the order of the rules after "Benign".
    """
    category_of = {BENIGN_NAME: BENIGN_NAME} | {rule.attack: rule.category for rule in rules}
    attacks, categories = list(category_of), list(dict.fromkeys(category_of.values()))
    # One entry more than there are rules: labels.rule is -1 for flows without a rule.
    attack = np.array([*(attacks.index(rule.attack) for rule in rules), BENIGN], dtype=np.uint16)[labels.rule]
    category = np.array([categories.index(name) for name in category_of.values()], dtype=np.uint16)[attack]
    manipulable = np.where(labels.attacker_responds, REVERSE_BIT, FORWARD_BIT)
    both = [categories.index(name) for name in both_directions if name in categories]
    manipulable[np.isin(category, both)] = FORWARD_BIT | REVERSE_BIT
    manipulable[attack == BENIGN] = 0
    columns = {"attack": attack, "category": category, "manipulable": manipulable.astype(np.uint8)}
    return columns, category_of, categories


def _split(flows, captures, settings):
    if settings.split == "flow":
        return split_by_flow(len(flows["start_ns"]), settings.test_fraction, settings.seed)
    if settings.split == "time":
        return split_by_time(flows["start_ns"], flows["capture"], flows["attack"], settings.test_fraction)
    return split_by_capture(flows["capture"], [capture.name for capture in captures], settings.test_captures)


def _check_classes(flows, settings):
    is_attack = flows["attack"][flows["split"] == TRAIN] != BENIGN
    if len(is_attack) == 0 or is_attack.all() or not is_attack.any():
        what = "no flows" if len(is_attack) == 0 else "attacks only" if is_attack[0] else "benign flows only"
        raise InputError(
            f"--split {settings.split}: {what} in the training split; check the rules with the label report,"
            " add captures, or split otherwise"
        )


@njit(cache=True, nogil=True)
def mean_and_squares(rows):
    """Mean of (n, columns) rows, and the sum of the squared differences from it, without arrays as large as theirs."""
    first, total, squares = rows[0], np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for row in range(len(rows)):  # relative to the first row, so that a constant column has a variance of exactly 0
        for column in range(rows.shape[1]):
            total[column] += rows[row, column] - first[column]
    mean = first + total / len(rows)
    for row in range(len(rows)):
        for column in range(rows.shape[1]):
            squares[column] += (rows[row, column] - mean[column]) ** 2
    return mean, squares


class Moments:
    """Mean and variance of rows that come in pieces (Chan, Golub and LeVeque 1983), in float64."""

    def __init__(self, columns):
        self.count, self.mean, self.sum_of_squares = 0, np.zeros(columns), np.zeros(columns)

    def add(self, rows):
        """Take (n, columns) more rows."""
        if not len(rows):
            return
        mean, squares = mean_and_squares(rows)
        delta, total = mean - self.mean, self.count + len(rows)
        weight = len(rows) / total
        self.sum_of_squares += squares + delta**2 * self.count * weight
        self.mean = mean if self.count == 0 else self.mean + delta * weight
        self.count = total

    def std(self):
        """(columns,) population standard deviation, 1 where it is 0, so that one can divide by it."""
        std = np.sqrt(self.sum_of_squares / self.count)
        return np.where(std > 0, std, 1.0)


def write_dataset(output, captures, dataset, max_packets, made_by):
    """Write a data set with its packets (layout: ``build_dataset.py``), atomically.

    `mean` and `std` are those of all packets of the training split after the cut, in the raw units of
    ``features.py``.
    """
    flows, units = dataset.flows, captures[0].units | NEW_COLUMNS
    moments = Moments(NUM_FEATURES)
    with create_hdf5(output, made_by) as file, Progress("copying", int(flows["packet_count"].sum()), "packets") as done:
        for rows, packets in _packets_of(captures, dataset):
            _write_packets(file, packets, flows["offset"][rows.start], dataset, units)
            train, count = flows["split"][rows] == TRAIN, flows["packet_count"][rows]
            chosen = {name: flows[name][rows][train] for name in ("source_port", "destination_port", "protocol")}
            of_train = np.repeat(train, count)
            their_packets = {name: column[of_train] for name, column in packets.items()}
            moments.add(encode_packets(chosen, their_packets, count[train]))
            done.update(len(of_train))
        for name in (*FLOW_COLUMNS, *NEW_COLUMNS):
            file.create_dataset(f"flows/{name}", data=flows[name], **COLUMN_OPTIONS).attrs["unit"] = units[name]
        file.attrs["mean"], file.attrs["std"] = moments.mean, moments.std()
        _write_attributes(file, captures, dataset, max_packets)


def _packets_of(captures, dataset):
    """Yield (slice of the data set's flows, their cut packets), in the order of the flows."""
    for index, capture in enumerate(captures):
        first, stop = np.searchsorted(dataset.flows["capture"], [index, index + 1])
        count = dataset.flows["packet_count"][first:stop].astype(np.int64)
        for chunk, packets in read_packets(capture, dataset.source_offset[first:stop], count):
            yield slice(first + chunk.start, first + chunk.stop), packets


def _write_packets(file, packets, row, dataset, units):
    total = int(dataset.flows["packet_count"].sum())
    for name in PACKET_COLUMNS:
        if row == 0:
            column = file.create_dataset(f"packets/{name}", (total,), packets[name].dtype, **COLUMN_OPTIONS)
            column.attrs["unit"] = units[name]
        file["packets"][name][row : row + len(packets[name])] = packets[name]


def _write_attributes(file, captures, dataset, max_packets):
    for name in ("idle_timeout", "active_timeout", "end_reasons"):
        file.attrs[name] = captures[0].attributes[name]
    # ASSUME: where clocks differ, what the coarsest of them can show is possible in every capture.
    file.attrs["clock_resolution_ns"] = max(int(capture.attributes["clock_resolution_ns"]) for capture in captures)
    file.attrs["max_packets"] = max_packets
    file.attrs["captures"] = json.dumps([capture.name for capture in captures])
    file.attrs["attacks"], file.attrs["categories"] = (
        json.dumps(list(dataset.category_of)),
        json.dumps(dataset.categories),
    )

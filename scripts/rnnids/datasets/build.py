"""From flow files and labels to a data set: drop, cut, split, normalise, write."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rnnids.cli import Progress, log
from rnnids.datasets.encoding import FLOW_INPUTS, encode_packets
from rnnids.datasets.features import NUM_FEATURES
from rnnids.datasets.flow_data import BENIGN, TRAIN
from rnnids.datasets.splits import SPLITS, split_by_capture, split_by_flow, split_by_time
from rnnids.errors import InputError
from rnnids.flows.columns import ADDED_LATER, FLOW_COLUMNS
from rnnids.flows.files import MOST, FlowFile, flows_stepping_back, read_captures, read_packets, shared_packet_columns
from rnnids.labels.labelling import Labelling, Labels, label_flows, read_labels
from rnnids.labels.rules import BENIGN_NAME, Rule
from rnnids.labels.tables import LabelGroup
from rnnids.machine_code import njit
from rnnids.settings import check, setting
from rnnids.storage import create_column, create_hdf5, provenance

FORWARD_BIT, REVERSE_BIT = 1, 2
MOST_PACKETS = int(np.iinfo(FLOW_COLUMNS["packet_count"].dtype).max)
NEW_COLUMNS = {  # name: unit
    "capture": "index into the attribute captures",
    "attack": "index into the attribute attacks",
    "category": "index into the attribute categories",
    "split": "0 training, 1 test",
    "manipulable": "bit 1: forward packets, bit 2: reverse packets are the attacker's",
    "full_packet_count": "packets before the cut",
}


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """How labelled flows become a data set (Sec. II)."""

    split: str = setting(
        "flow",
        "flow: at random, as the paper; time: the last flows are for testing; capture: test_captures are",
        choices=SPLITS,
    )
    test_fraction: float = setting(
        0.333333, "of the flows that are for testing; for split flow and time", above=0, below=1
    )
    test_captures: tuple[str, ...] = setting((), "names of the captures that are for testing; for split capture")
    max_packets: int = setting(100, "packets of a flow that are kept, the first ones", minimum=1, maximum=MOST_PACKETS)
    follow_connections: bool = setting(True, "give flows that go on after RST or FIN the label of their connection")
    both_directions: tuple[str, ...] = setting(
        ("Botnet", "Backdoors"), "attack categories whose attacker controls both ends (Sec. III-A)"
    )

    def __post_init__(self) -> None:
        check(self)


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

    flows: Mapping[str, np.ndarray]
    source_offset: np.ndarray
    dropped: np.ndarray
    category_of: Mapping[str, str]
    categories: Sequence[str]


def assemble(
    captures: Sequence[FlowFile],
    flows: Mapping[str, np.ndarray],
    labels: Labels,
    *,
    rules: Sequence[Rule | LabelGroup],
    options: DatasetOptions,
    seed: int = 0,
) -> Dataset:
    """Decide on every flow: its label, whether it stays, its cut and its split.

    Args:
        captures, flows: of ``read_captures``.
        labels, rules: of `flows`, and the rules behind them.
        seed: of split "flow".

    Raises:
        InputError: no flow left, one class only in the training split, no such capture.
    """
    dropped = np.concatenate(
        [flows_stepping_back(capture, flows["offset"][flows["capture"] == i]) for i, capture in enumerate(captures)]
    )
    if dropped.all():
        raise InputError("--flows: every flow has a negative interarrival time; sort the captures by time first")
    columns, category_of, categories = label_columns(
        labels.rule,
        [(rule.attack, rule.category) for rule in rules],
        options.both_directions,
        attacker_responds=labels.attacker_responds,
    )
    kept = {name: column[~dropped] for name, column in {**flows, **columns}.items()}
    source_offset, full = kept["offset"], kept["packet_count"].astype(np.int64)
    count = np.minimum(full, options.max_packets)
    kept |= {
        "offset": np.cumsum(count) - count,
        "packet_count": count.astype(np.int32),
        "full_packet_count": full,
        "split": _split(kept, captures, options, seed=seed),
    }
    check_classes(kept, options.split)
    return Dataset(kept, source_offset, dropped, category_of, categories)


def label_columns(
    rule: np.ndarray,
    names: Sequence[tuple[str, str]],
    both_directions: Sequence[str],
    *,
    attacker_responds: np.ndarray | bool,
) -> tuple[dict[str, np.ndarray], dict[str, str], list[str]]:
    """Columns attack, category and manipulable of N labelled flows, and the names behind them.

    Args:
        rule: (N,) index into `names`, -1 for benign flows. names: (attack, category) of each rule.
        attacker_responds: (N,) bool, or one for all: whether the attacker is the responder.

    Returns:
        ({name: (N,) column}, {attack: category}, categories), names in the order of the rules after "Benign".
    """
    category_of = {BENIGN_NAME: BENIGN_NAME} | dict(names)
    attacks, categories = list(category_of), list(dict.fromkeys(category_of.values()))
    if len(attacks) > MOST:
        raise InputError(f"--labels: {len(attacks):,} names of attacks, the column holds {MOST:,}; join some (rename)")
    # One entry more than there are rules: rule is -1 for flows without one.
    attack = np.array([*(attacks.index(name) for name, _ in names), BENIGN], dtype=np.uint16)[rule]
    category = np.array([categories.index(name) for name in category_of.values()], dtype=np.uint16)[attack]
    manipulable = np.where(np.broadcast_to(attacker_responds, len(rule)), REVERSE_BIT, FORWARD_BIT).astype(np.uint8)
    both = [categories.index(name) for name in both_directions if name in categories]
    manipulable[np.isin(category, both)] = FORWARD_BIT | REVERSE_BIT
    manipulable[attack == BENIGN] = 0
    return {"attack": attack, "category": category, "manipulable": manipulable}, category_of, categories


def _split(
    flows: Mapping[str, np.ndarray], captures: Sequence[FlowFile], options: DatasetOptions, *, seed: int
) -> np.ndarray:
    if options.split == "flow":
        return split_by_flow(len(flows["start_ns"]), options.test_fraction, seed)
    if options.split == "time":
        groups = flows["capture"], flows["attack"]
        return split_by_time(flows["start_ns"], *groups, test_fraction=options.test_fraction)
    return split_by_capture(flows["capture"], [capture.name for capture in captures], options.test_captures)


def check_classes(flows: Mapping[str, np.ndarray], split: str) -> None:
    """Raise InputError where the training split has one class only."""
    is_attack = flows["attack"][flows["split"] == TRAIN] != BENIGN
    if len(is_attack) == 0 or is_attack.all() or not is_attack.any():
        what = "no flows" if len(is_attack) == 0 else "attacks only" if is_attack[0] else "benign flows only"
        raise InputError(
            f"--split {split}: {what} in the training split; check the rules with the label report,"
            " add captures, or split otherwise"
        )


@njit(cache=True, nogil=True)
def mean_and_squares(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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

    def __init__(self, columns: int) -> None:
        self.count, self.mean, self.sum_of_squares = 0, np.zeros(columns), np.zeros(columns)

    def add(self, rows: np.ndarray) -> None:
        """Take (n, columns) more rows."""
        if not len(rows):
            return
        mean, squares = mean_and_squares(rows)
        delta, total = mean - self.mean, self.count + len(rows)
        weight = len(rows) / total
        self.sum_of_squares += squares + delta**2 * self.count * weight
        self.mean = mean if self.count == 0 else self.mean + delta * weight
        self.count = total

    def std(self) -> np.ndarray:
        """(columns,) population standard deviation, 1 where it is 0, so that one can divide by it."""
        std = np.sqrt(self.sum_of_squares / self.count)
        return np.where(std > 0, std, 1.0)


def build_dataset(
    flows: Sequence[Path | str],
    labels: Path | str,
    output: Path | str,
    *,
    labelling: Labelling | None = None,
    options: DatasetOptions | None = None,
    seed: int = 0,
) -> None:
    """Merge flow files into a labelled data set: ``build_dataset.py`` without its reports.

    Args:
        flows: flow files, one a capture; their order does not matter.
        labels: label file, as config/labels/README.md describes it.
        output: the data set; appears only when it is whole.
        labelling: what the label file is; None: rules whose times have their offset.
        options: None: those of the paper.
        seed: of split "flow".

    Raises:
        InputError: files that cannot be read or do not belong together, one class only in the training split.
    """
    labelling, options = labelling or Labelling(), options or DatasetOptions()
    source = read_labels([labels], labelling)
    captures, columns = read_captures(flows)
    idle_timeout_ns = round(float(captures[0].attributes["idle_timeout"]) * 1e9)
    found = label_flows(
        columns,
        source.matcher(columns),
        idle_timeout_ns,
        follow_connections=options.follow_connections,
        attacker=labelling.attacker,
    )
    dataset = assemble(captures, columns, found, rules=source.rules, options=options, seed=seed)
    made_by = provenance("rnnids.build_dataset", asdict(labelling) | asdict(options) | {"seed": seed}, [*flows, labels])
    write_dataset(output, captures, dataset, max_packets=options.max_packets, made_by=made_by)


def write_dataset(
    output: Path | str, captures: Sequence[FlowFile], dataset: Dataset, *, max_packets: int, made_by: str
) -> None:
    """Write a data set with the packets of its captures (layout: ``build_dataset.py``), atomically.

    A column of ``columns.ADDED_LATER`` that a flow file lacks is left out of the data set, and a warning says so.
    """
    _warn_about_missing_columns(captures)
    attributes = {name: captures[0].attributes[name] for name in ("idle_timeout", "active_timeout", "end_reasons")}
    attributes |= {
        # ASSUME: where clocks differ, what the coarsest of them can show is possible in every capture.
        "clock_resolution_ns": max(int(capture.attributes["clock_resolution_ns"]) for capture in captures),
        "max_packets": max_packets,
        "captures": json.dumps([capture.name for capture in captures]),
    }
    pieces = _packets_of(captures, dataset)
    write_pieces(output, dataset, pieces, units=captures[0].units, attributes=attributes, made_by=made_by)


def write_pieces(
    output: Path | str,
    dataset: Dataset,
    pieces: Iterable[tuple[slice, Mapping[str, np.ndarray]]],
    *,
    units: Mapping[str, str],
    attributes: Mapping[str, Any],
    made_by: str,
    normalisation: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Write a data set whose packets come in pieces (layout: ``build_dataset.py``), atomically.

    Args:
        pieces: (slice of the data set's flows, their cut packets) in the order of the flows.
        units: of the columns of flow files. attributes: of the file, but for those that follow from `dataset`.
        normalisation: mean and standard deviation, (15,) each, in the raw units of ``features.py``; None: those of all
            packets of the training split after the cut.
    """
    flows, units = dataset.flows, {**units, **NEW_COLUMNS}
    moments, total = Moments(NUM_FEATURES), int(flows["packet_count"].sum())
    with create_hdf5(output, made_by) as file, Progress("copying", total, "packets") as done:
        for rows, packets in pieces:
            _write_packets(file, packets, units, row=int(flows["offset"][rows.start]), total=total)
            train, count = flows["split"][rows] == TRAIN, flows["packet_count"][rows]
            chosen = {name: flows[name][rows][train] for name in FLOW_INPUTS}
            of_train = np.repeat(train, count)
            their_packets = {name: column[of_train] for name, column in packets.items()}
            moments.add(encode_packets(chosen, their_packets, count[train]))
            done.update(len(of_train))
        for name in (*FLOW_COLUMNS, *NEW_COLUMNS):
            create_column(file, f"flows/{name}", units[name], data=flows[name])
        file.attrs["mean"], file.attrs["std"] = normalisation or (moments.mean, moments.std())
        file.attrs.update(attributes)
        file.attrs["attacks"] = json.dumps(list(dataset.category_of))
        file.attrs["categories"] = json.dumps(dataset.categories)


def _warn_about_missing_columns(captures: Sequence[FlowFile]) -> None:
    for name in ADDED_LATER:
        if without := [str(capture.path) for capture in captures if name not in capture.units]:
            log.warning(
                "warning: %s: of an earlier version, without packets/%s, so the data set has none; extract again if a"
                " threat model asks for it",
                ", ".join(without),
                name,
            )


def _packets_of(captures: Sequence[FlowFile], dataset: Dataset) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
    """Yield (slice of the data set's flows, their cut packets), in the order of the flows."""
    columns = shared_packet_columns(captures)
    for index, capture in enumerate(captures):
        first, stop = np.searchsorted(dataset.flows["capture"], [index, index + 1])
        count = dataset.flows["packet_count"][first:stop].astype(np.int64)
        for chunk, packets in read_packets(capture, dataset.source_offset[first:stop], count, columns=columns):
            yield slice(first + chunk.start, first + chunk.stop), packets


def _write_packets(
    file: h5py.File, packets: Mapping[str, np.ndarray], units: Mapping[str, str], *, row: int, total: int
) -> None:
    for name, values in packets.items():
        if row == 0:
            create_column(file, f"packets/{name}", units[name], shape=(total,), dtype=values.dtype)
        file["packets"][name][row : row + len(values)] = values

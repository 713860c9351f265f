"""Files of adversarial flows.

Adversarial flows (HDF5, CSR like a data set): `/flows/*`, one row an attacked flow: `row` in the
data set, `attack` (index into the attribute `attacks`), `original_logit`, `logit` (last packet),
`l1`, `linf` (z-scores), `last_l1` (of the last iterate), `iteration` (of the one kept),
`already_benign`, `success` (logit <= 0), `success_delta` (logit <= delta), `offset`,
`packet_count`; `/packets/length` (bytes) and `/packets/iat_ns`. PGD and FGSM add `epsilon`.

The nearest evasions of a search lie in a file of the same layout, with these columns more: `member` (index into the
attribute `members`; -1: none), `free` (numbers that can change), `exact` (all their values were tried), `early_alarm`
(an earlier packet of the evasion raises the alarm), `category`, `evaluations`, `gradients`; and `l1_margin`,
`logit_margin`, `member_margin` with `/packets/length_margin`, `/packets/iat_ns_margin` for the nearest whose logit is
at most `delta`. A distance is infinite where nothing was found; the flow is the original then.

Bounds of distances have the columns `row`, `attack`, `category`, `free`, `lower` and `upper` (z-scores; infinite: it is
proven that none evades, and none was found), `closed` and `packets` (bounded for the flow), and no packets; the
attribute `byte` is the distance of one byte.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rnnids.cli import log
from rnnids.datasets.features import PACKET_LENGTH
from rnnids.datasets.flow_data import FlowData
from rnnids.errors import InputError
from rnnids.flows.ranges import ragged_arange
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, read_hdf5

if TYPE_CHECKING:  # reading what attacks made takes no torch
    from rnnids.attacks.bounds import Bracket
    from rnnids.attacks.descent import AttackResult
    from rnnids.attacks.search import RobustSearch, SearchResult

ATTRIBUTES = ("method", "delta", "kappa", "goal", "threat_model", "byte")
RESULT_COLUMNS = ("l1", "linf", "last_l1", "logit", "iteration", "original_logit")


def write_attack(
    path: str | Path, method: str, result: "AttackResult", *, made_by: str, delta: float, more: Mapping[str, np.ndarray]
) -> None:
    """Write what an attack made of flows.

    Args:
        method: "cw", "pgd" or "fgsm". made_by: of :func:`storage.provenance`.
        delta: logit of the column `success_delta`.
        more: further columns of the flows, and attributes where the value is a number.
    """
    flows = result.adversarial
    columns = {name: getattr(result, name) for name in RESULT_COLUMNS}
    columns |= {
        "row": flows.row,
        "attack": flows.flows["attack"],
        "already_benign": result.already_benign,
        "success": result.success,
        "success_delta": result.logit <= delta,
        "offset": flows.start,
        "packet_count": flows.packet_count,
    }
    with create_hdf5(path, made_by) as file:
        file.attrs["attacks"] = json.dumps(flows.attacks)
        file.attrs["method"] = method
        file.attrs["delta"] = delta
        for name, value in more.items():
            if np.ndim(value) == 0:
                file.attrs[name] = value
            else:
                columns[name] = value
        for name, column in columns.items():
            file.create_dataset(f"flows/{name}", data=column, **COLUMN_OPTIONS)
        for name in ("length", "iat_ns"):
            file.create_dataset(f"packets/{name}", data=flows.packets[name], **COLUMN_OPTIONS)
    fooled = result.success.mean() if len(flows) else 0
    log.info("%d flows, %.1f %% classified as benign, those missed unmodified included", len(flows), 100 * fooled)


def write_search(
    path: str | Path,
    result: "SearchResult",
    *,
    made_by: str,
    search: "RobustSearch",
    members: Sequence[str],
    threat_model: str,
    early_alarm: np.ndarray,
) -> None:
    """Write what a search found.

    Args:
        made_by: of :func:`storage.provenance`. threat_model: its name. members: names of the search's members.
        early_alarm: (N,) bool.
    """
    flows = result.flows
    columns = {name: flows.flows[name] for name in ("attack", "category", "packet_count")}
    columns |= {name: getattr(result, name) for name in ("original_logit", "free", "exact", "evaluations", "gradients")}
    columns |= {"row": flows.row, "offset": flows.start, "early_alarm": early_alarm}
    columns |= {"already_benign": result.original_logit <= 0, "success": result.success}
    columns["success_delta"] = np.isfinite(result.l1[1])
    for place, suffix in enumerate(("", "_margin")):
        columns |= {f"{name}{suffix}": getattr(result, name)[place] for name in ("l1", "logit", "member")}
    with create_hdf5(path, made_by) as file:
        file.attrs["attacks"], file.attrs["categories"] = json.dumps(flows.attacks), json.dumps(flows.categories)
        file.attrs["members"], file.attrs["method"] = json.dumps(list(members)), "search"
        file.attrs["delta"], file.attrs["goal"], file.attrs["threat_model"] = search.delta, search.goal, threat_model
        for name, column in columns.items():
            file.create_dataset(f"flows/{name}", data=column, **COLUMN_OPTIONS)
        for place, suffix in enumerate(("", "_margin")):
            for name, column in (("length", result.length[place]), ("iat_ns", result.iat_ns[place])):
                file.create_dataset(f"packets/{name}{suffix}", data=column, **COLUMN_OPTIONS)


def write_bounds(
    path: str | Path, flows: FlowData, bracket: "Bracket", *, made_by: str, free: np.ndarray, threat_model: str
) -> None:
    """Write bounds of the distances of flows, for the goal `last`.

    Args:
        made_by: of :func:`storage.provenance`. free: (N,) numbers that can change. threat_model: its name.
    """
    columns = {name: getattr(bracket, name) for name in ("lower", "upper", "closed", "packets")}
    columns |= {"row": flows.row, "free": free} | {name: flows.flows[name] for name in ("attack", "category")}
    with create_hdf5(path, made_by) as file:
        file.attrs["attacks"], file.attrs["categories"] = json.dumps(flows.attacks), json.dumps(flows.categories)
        file.attrs["method"], file.attrs["goal"], file.attrs["threat_model"] = "bounds", "last", threat_model
        file.attrs["byte"] = 1 / flows.std[PACKET_LENGTH]
        for name, column in columns.items():
            file.create_dataset(f"flows/{name}", data=column, **COLUMN_OPTIONS)


def read_attack(path: str | Path) -> pd.DataFrame:
    """The flows of an attack file as a data frame, one row an attacked flow."""
    with read_hdf5(path) as file:
        frame = pd.DataFrame({name: column[:] for name, column in file["flows"].items()})
        frame.attrs = {name: file.attrs[name] for name in ATTRIBUTES if name in file.attrs}
        for name in ("attacks", "categories", "members"):
            if name in file.attrs:
                frame.attrs[name] = json.loads(file.attrs[name])
    return frame


def with_better(flows: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """The flows of a search, as of :func:`read_attack`, with the distances of nearer ones that the gate found."""
    better = read_attack(path).set_index("row").l1
    found = flows.row.map(better).fillna(np.inf).to_numpy()
    nearer = found < flows.l1.to_numpy()
    return flows.assign(l1=np.minimum(flows.l1, found), success=flows.success | nearer, exact=flows.exact & ~nearer)


def read_versions(path: str | Path, flows: FlowData) -> FlowData:
    """The very `flows` as an attack file has them.

    Raises:
        InputError: the file lacks some of them.
    """
    frame = read_attack(path)
    order = np.argsort(frame.row.to_numpy())
    found = np.searchsorted(frame.row.to_numpy()[order], flows.row).clip(max=len(frame) - 1)
    places = order[found] if len(frame) else found
    own = frame.iloc[places]
    if not np.array_equal(own.row, flows.row) or not np.array_equal(own.packet_count, flows.packet_count):
        raise InputError(f"{path}: attacks other flows; make both with the same data set and selection")
    packet_rows = ragged_arange(own.offset.to_numpy(), own.packet_count.to_numpy())
    with read_hdf5(path) as file:
        packets = {name: file["packets"][name][:][packet_rows] for name in ("length", "iat_ns")}
    return replace(flows, packets=flows.packets | packets)


def read_adversarial_flows(
    path: str | Path, data: FlowData, *, margin: bool = False
) -> tuple[FlowData, FlowData, np.ndarray]:
    """An attack file's flows before and after the attack.

    Args:
        data: FlowData of the test split that was attacked.
        margin: those nearest of a search whose logit is at most delta, in the place of the nearest of all.

    Returns:
        (original, adversarial, evaded): two FlowData of the same N flows, and (N,) bool, true where a
        detected flow became benign.

    Raises:
        InputError: the file holds flows of another data set.
    """
    frame = read_attack(path)
    with read_hdf5(path) as file:
        suffix = "_margin" if margin else ""
        packets = {name: file["packets"][f"{name}{suffix}"][:] for name in ("length", "iat_ns")}
    rows = np.searchsorted(data.row, frame.row)
    if not np.isin(frame.row, data.row).all() or not np.array_equal(data.packet_count[rows], frame.packet_count):
        raise InputError(f"{path}: holds flows of another data set; attack this one")
    original = data.take(rows)
    adversarial = replace(original, packets={**original.packets, **packets})
    evaded = frame.success_delta if margin else frame.success
    return original, adversarial, (evaded & ~frame.already_benign).to_numpy()

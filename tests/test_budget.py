"""What evasions add to flows, counted flow by flow, and the figure of shares within budgets."""

import json

import detectors
import numpy as np
import pandas as pd
import pytest
from legibility import faults

import measure_budget
import plot_budget
from rnnids.errors import InputError
from rnnids.storage import create_hdf5

ADDED = {"bytes": (1, 7, 150, 3000), "ns": (0, 2_000_000, 0, 40_000_000_000)}  # by evasions, in turn


@pytest.fixture
def study(tmp_path):
    """A data set, and a search of its test flows in reversed order: every third evades, every seventh is benign."""
    data = detectors.flows(60)
    split = np.arange(60) // 4 % 2
    detectors.write_dataset(tmp_path / "dataset.h5", data, split)
    rows = np.flatnonzero((data.flows["attack"] > 0) & (split == 1))[::-1]
    own = data.take(rows)
    order = np.arange(len(own))
    benign, evades = order % 7 == 0, (order % 3 == 0) & (order % 7 != 0)
    length, iat_ns = (own.packets[name].astype(np.int64) for name in ("length", "iat_ns"))
    for place in np.flatnonzero(evades):
        length[own.start[place]] += ADDED["bytes"][place % 4]
        iat_ns[own.start[place]] += ADDED["ns"][place % 4]
    columns = {
        "row": own.row,
        "attack": own.flows["attack"],
        "category": own.flows["category"],
        "offset": own.start,
        "packet_count": own.packet_count,
        "already_benign": benign,
        "success": benign | evades,
        "l1": np.where(benign, 0, np.where(evades, 1.0, np.inf)),
    }
    write(tmp_path / "search.h5", data, columns, length, iat_ns)
    return tmp_path, own, columns


def write(path, data, columns, length, iat_ns):
    """An attack file."""
    with create_hdf5(path, "test") as file:
        file.attrs["attacks"], file.attrs["categories"] = json.dumps(data.attacks), json.dumps(data.categories)
        file.attrs["goal"], file.attrs["threat_model"] = "last", "paper"
        for name, column in columns.items():
            file[f"flows/{name}"] = column
        file["packets/length"], file["packets/iat_ns"] = length, iat_ns


def measure(folder, *more):
    """budget.csv of the study."""
    words = ["--dataset", folder / "dataset.h5", "--searches", folder / "search.h5", *more]
    measure_budget.main([str(word) for word in [*words, "--model-name", "m", "--output", folder / "budget.csv"]])
    return pd.read_csv(folder / "budget.csv")


def test_shares_count_the_flows_whose_evasion_is_within_the_budget(study):
    folder, own, columns = study
    table = measure(folder)
    assert set(table["attack"]) == {"All", "Flood", "Bot"} and set(table["unit"]) == {"bytes", "seconds"}
    for row in table.itertuples():
        chosen = [place for place in range(len(own)) if row.attack in ("All", own.attacks[columns["attack"][place]])]
        within = 0
        for place in chosen:
            kind, size = ("bytes", 1) if row.unit == "bytes" else ("ns", 1e9)
            cost = 0 if columns["already_benign"][place] else ADDED[kind][place % 4] / size
            within += columns["success"][place] and cost <= row.budget
        assert row.flows == len(chosen) and row.share == pytest.approx(within / len(chosen))
    evading = [place for place in range(len(own)) if columns["l1"][place] == 1]
    together = table[table["attack"] == "All"].iloc[0]
    assert together["evasions"] == len(evading) and together["median_packets"] == 1
    assert together["median_bytes"] == np.median([ADDED["bytes"][place % 4] for place in evading])
    assert together["median_ms"] == pytest.approx(np.median([ADDED["ns"][place % 4] / 1e6 for place in evading]))


def test_nearer_flows_of_the_check_count_instead(study):
    folder, own, columns = study
    place = int(np.flatnonzero(~columns["success"])[0])
    one = own.take([place])
    better = {"row": one.row, "offset": one.start, "packet_count": one.packet_count, "l1": [0.5]}
    length = one.packets["length"].astype(np.int64)
    length[0] += 20
    write(folder / "better.h5", own, better, length, one.packets["iat_ns"])
    alone, with_better = (
        table[(table["attack"] == "All") & (table["unit"] == "bytes")].set_index("budget")["share"]
        for table in (measure(folder), measure(folder, "--better", folder / "better.h5"))
    )
    gain = (with_better - alone) * len(own)
    np.testing.assert_allclose(gain, np.where(gain.index >= 20, 1, 0), atol=1e-9)


def test_a_search_of_other_flows_is_refused(study):
    folder, _, _ = study
    detectors.write_dataset(folder / "dataset.h5", detectors.flows(60, seed=1), np.arange(60) // 4 % 2)
    with pytest.raises(InputError, match=r"search\.h5: holds flows of another data set"):
        measure(folder)


def table_of(types, models=("baseline", "reduced_both")):
    """A budget table in which every share grows to 90 %."""
    rows = [
        {"model": model, "threat_model": threat, "goal": goal, "attack": attack, "unit": unit, "budget": budget}
        | {"flows": 40 - 30 * (attack == types[-1]), "share": 0.9 * place / (len(budgets) - 1)}
        for model in models
        for threat, goal in (("paper", "last"), ("payload", "last"), ("paper", "all"))
        for attack in ("All", *types)
        for unit, budgets in measure_budget.BUDGETS.items()
        for place, budget in enumerate(budgets)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("count", [1, 3, 14])
def test_the_figure_can_be_read_and_draws_every_share(count):
    types = [f"Web Attack - Kind {number}" for number in range(count)]
    figure = plot_budget.draw(table_of(types))
    assert not faults(figure)
    lines = [[line for line in panel.get_lines() if len(line.get_xdata()) > 2] for panel in figure.axes]
    assert [len(own) for own in lines] == [2] * 2 + [2] * 2 * count  # two models, two threat models
    for own in lines:
        for line in own:
            assert line.get_ydata().max() == pytest.approx(90) and line.get_xdata()[0] == 0

"""Explanations against attacks on single cells: the attacks' bounds, completeness, ranks against closed forms."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from detectors import run_script, trained, write_dataset
from explained import INDEX, StandIn, make_flows
from gru import GRUDetector
from legibility import faults
from pages import Cells

import plot_agreement
import tabulate_agreement
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.files import write_attack
from rnnids.attacks.gradient import CarliniWagner
from rnnids.attacks.search import RobustSearch
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.lstm import LSTMDetector, save_detector
from rnnids.explanations.gradients import integrated_gradients
from rnnids.explanations.positions import CELLS, allowed_numbers, method_scores
from rnnids.explanations.rank_agreement import mean_agreement, rank_correlation

LENGTH, IAT = INDEX["packet_length"], INDEX["interarrival_time"]
QUICK = RobustSearch(iterations=4, far_iterations=2, draws=8, generations=2, children=4, values=4, depth=1)


@pytest.mark.parametrize("build", [lambda: LSTMDetector(6, 2), GRUDetector])
def test_integrated_gradients_add_up_to_the_difference_of_logits(build):
    torch.manual_seed(0)
    model = build().requires_grad_(False)
    data = make_flows([1, 5, 3, 8])
    coarse, fine = (integrated_gradients(model, data, steps=steps) for steps in (4, 64))
    assert np.abs(fine.gap).max() < 1e-3 * max(1, np.abs(coarse.gap).max() * 1e3)
    assert np.abs(fine.gap).max() <= np.abs(coarse.gap).max() + 1e-6
    sums = np.add.reduceat(fine.integrated.sum(axis=1), data.start)
    logits = last_of_flow(packet_logits(model, data), data.packet_count)
    mean = torch.zeros(1, int(data.packet_count.max()), 15)
    base = model(mean)[0].numpy()[data.packet_count - 1]
    np.testing.assert_allclose(sums, logits - base, atol=2e-3)


def test_integrated_gradients_of_a_linear_detector_are_weight_times_value():
    weights = torch.linspace(-1, 1, 15)
    data = make_flows([3, 2])
    found = integrated_gradients(StandIn(lambda inputs: inputs @ weights), data, steps=3)
    last = np.isin(np.arange(5), data.start + data.packet_count - 1)
    np.testing.assert_allclose(found.integrated[last], data.normalised(np.arange(2))[last] * weights.numpy(), atol=1e-5)
    assert not found.integrated[~last].any()  # only the last packet is read


def test_a_search_held_to_some_numbers_changes_no_others_and_reaches_no_lower():
    detector, data = trained()
    flows = data.take(np.flatnonzero(data.is_attack)[:12])
    free = QUICK(detector, flows)
    for cell in (CELLS[0], CELLS[1], CELLS[5]):
        allowed = allowed_numbers(flows, cell)
        held = QUICK(detector, flows, allowed=allowed)
        for place, name in enumerate(("length", "iat_ns")):
            changed = getattr(held, name)[0] != flows.packets[name]
            assert not changed[~allowed[:, place]].any()
        assert (held.lowest <= held.original_logit).all() and (held.free <= free.free).all()
        assert (held.success <= (held.lowest <= 0)).all() and ((held.lowest <= 0) <= held.success).all()
    nothing = QUICK(detector, flows, allowed=np.zeros_like(allowed))
    np.testing.assert_array_equal(nothing.lowest, nothing.original_logit)


def test_cells_are_disjoint_and_cover_lengths_and_delays():
    data = make_flows([1, 3, 14])
    found = np.sum([allowed_numbers(data, cell) for cell in CELLS], axis=0)
    assert (found == 1).all()
    assert allowed_numbers(data, CELLS[1]).sum() == 4  # packets 2 and 3 of two flows
    assert len(CELLS) == 8


def test_each_method_finds_the_one_number_that_decides():
    # The second packet's length alone decides: the logit of every later packet is that of the second.
    def logit(inputs):
        length = inputs[..., LENGTH]
        at_second = length[:, 1:2].expand(-1, length.shape[1] - 1)
        return -4 * torch.cat([length[:, :1] * 0 - 1, at_second], dim=1)

    data = make_flows(np.full(40, 5))
    scores = method_scores(
        StandIn(logit), data, pool=data, movable=np.ones((200, 2), dtype=bool), draws=10, batch_packets=4096
    )
    second = CELLS.index((LENGTH, "2-3"))
    for method, values in scores.items():
        others = np.delete(values, second, axis=1)
        if method == "input_perturbation":
            others = np.abs(others)
            assert np.abs(values[:, second]).max() > 0.1, method
        else:
            assert values[:, second].mean() > 0, method
        assert np.abs(others).max() < 1e-12, method


def test_rank_correlation_is_that_of_the_definition_and_ties_share_ranks():
    assert rank_correlation(np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 30, 25])) == pytest.approx(0.8)
    assert rank_correlation(np.array([1.0, 1, 2, 2]), np.array([5.0, 5, 9, 9])) == pytest.approx(1)
    assert np.isnan(rank_correlation(np.ones(4), np.arange(4.0))) and np.isnan(rank_correlation(*np.eye(2)))


def test_p_values_are_those_of_all_orders():
    first, second = np.arange(5.0), np.array([0.0, 2, 1, 3, 4])
    found = mean_agreement([(first, second)], samples=20_000, rng=np.random.default_rng(0))
    orders = [rank_correlation(first, second[list(order)]) for order in itertools.permutations(range(5))]
    exact = np.mean(np.abs(orders) >= abs(found.value) - 1e-12)
    assert found.p_value == pytest.approx(exact, abs=0.01)
    assert found.value == rank_correlation(first, second) and found.groups == 1


def test_what_knows_nothing_is_significant_as_often_as_it_should():
    rng, hits = np.random.default_rng(1), 0
    for _ in range(300):
        groups = [(rng.random(6), rng.random(6)) for _ in range(8)]
        hits += mean_agreement(groups, samples=199, rng=rng).p_value <= 0.05
    assert 0.02 <= hits / 300 <= 0.09


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The tables of the comparison, made by the scripts from flows of the tests."""
    folder = tmp_path_factory.mktemp("agreement") / "results/tiny/baseline"
    folder.mkdir(parents=True)
    detector, data = trained()
    dataset = write_dataset(folder.parent / "dataset.h5", data, np.ones(len(data)))
    save_detector(folder / "weights.safetensors", detector, data.mean, std=data.std, training={})
    flows = data.take(np.flatnonzero(data.is_attack)[:30])
    attack = CarliniWagner(kappa=2, iterations=10)
    result = attack(detector, flows, threat_model=ThreatModel())
    write_attack(folder / "cw.h5", "cw", result, made_by="a test", delta=-0.2, more={"kappa": 2})
    features = pd.DataFrame({"metric": "shapley", "level": "flow", "feature": list(INDEX), "value": np.arange(15.0)})
    features.to_csv(folder / "shapley.csv", index=False)
    files = {name: folder / f"explanations/agreement_{name}.csv" for name in ("cells", "moves")}
    options = {"dataset": dataset, "weights": folder / "weights.safetensors", "attacks": folder / "cw.h5"}
    few = {"max_flows": 6, "draws": 4, "descent": 2, "points": 8}
    assert run_script("compare_explanations.py", importance=folder / "shapley.csv", **options, **few, **files) == 0
    output = folder.parent / "tables/agreement.csv"
    assert run_script("tabulate_agreement.py", **files, output=output) == 0
    return folder, files, output


def test_the_tables_hold_each_cell_and_what_follows_from_them(tables):
    _, files, output = tables
    cells, moves, agreement = (pd.read_csv(path) for path in (*files.values(), output))
    assert set(cells["attack"]) == {"Flood", "Bot"} and (cells["flows"] >= 1).all()
    wide = cells.pivot(index=["attack", "feature", "position"], columns="quantity", values="value")
    assert (wide["drop"] >= -1e-6).all() and wide.notna().all(axis=None)
    # The first packet has no interarrival time that could change.
    assert ("Flood", "interarrival_time", "1") not in wide.index
    of_type = wide.loc["Flood"]
    by_type = (
        pd.read_csv(output.with_name("agreement_by_type.csv")).query("attack == 'Flood'").set_index("method")["rho"]
    )
    for method in ("gradient", "integrated_gradients", "weights"):
        expected = rank_correlation(of_type["drop"].to_numpy(), of_type[method].to_numpy())
        assert by_type[method] == pytest.approx(expected, nan_ok=True)
    assert set(agreement["method"]) <= set(tabulate_agreement.METHODS) and "shapley" in set(agreement["method"])
    assert (moves["real"] < 0).all() and moves["share_down"].between(0, 1).all()


def test_page_and_figure_show_the_numbers_of_the_tables(tables):
    _, _, output = tables
    agreement, by_type = pd.read_csv(output), pd.read_csv(output.with_name("agreement_by_type.csv"))
    page = output.with_suffix(".html").read_text()
    rows = Cells(page).rows
    assert rows[0][:2] == ["Method", "Rank correlation"] and len(rows) > len(agreement) + 2
    assert "better than chance" in page and "nan" not in page
    figure = plot_agreement.draw(agreement, by_type)
    assert not faults(figure)
    dots = figure.axes[0].containers[0].lines[0].get_xdata()
    np.testing.assert_allclose(dots.astype(float), agreement["rho"])


def test_the_text_says_what_the_table_shows():
    table = pd.DataFrame(
        {"method": ["weights", "shapley", "gradient"], "rho": [0.1, 0.5, -0.6], "p_value": [0.9, 0.01, 0.01]}
    )
    assert tabulate_agreement.finding(table).endswith(
        "better than chance: shapley values; the other way round: gradient."
    )
    assert tabulate_agreement.finding(table.assign(p_value=0.5)).endswith("better than chance: none.")

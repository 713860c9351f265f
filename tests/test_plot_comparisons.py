"""From attack files to Fig. 1 and from the distributions to Fig. 5: what is computed is what is drawn."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from legibility import faults

import compare_attacks
import compare_distributions
import plot_fig1
import plot_fig5
from rnnids.errors import InputError
from rnnids.explanations.entropy import joint_information
from rnnids.storage import create_hdf5, read_csv

TYPES = ["Benign", "Flood", "Scan"]
ATTACK = np.array([1] * 30 + [2] * 10)
MISSED = np.arange(40) >= 37  # 3 scans pass as benign before any attack
EVADED = {"cw": np.arange(40) < 6, "pgd": np.arange(40) < 30, "fgsm": np.zeros(40, bool)}
FOUND = {"last": np.arange(40) < 33, "all": np.arange(40) < 12}  # by the searches, of each goal
EARLY = np.arange(40) < 9  # flows of which an earlier packet of what the search found raises the alarm


def write_attacked(path, method, rows=None):
    """An attack file of 40 flows, of which those of ``EVADED`` and the missed ones end as benign."""
    columns = {
        "row": np.arange(40) if rows is None else rows,
        "attack": ATTACK,
        "already_benign": MISSED,
        "success": EVADED[method] | MISSED,
        "l1": np.where(EVADED[method], 2.5, 0.0),
    }
    with create_hdf5(path, "test") as file:
        file.attrs["method"], file.attrs["attacks"] = method, json.dumps(TYPES)
        for name, column in columns.items():
            file[f"flows/{name}"] = column
    return path


def write_search(path, goal, rows):
    """A search of the 40 flows, which stand in the order of `rows`."""
    evaded = FOUND[goal][rows]
    columns = {
        "row": rows,
        "attack": ATTACK[rows],
        "already_benign": MISSED[rows],
        "success": evaded | MISSED[rows],
        "l1": np.where(evaded, 0.5, np.where(MISSED[rows], 0, np.inf)),
        "early_alarm": EARLY[rows] & (goal == "last"),
    }
    with create_hdf5(path, "test") as file:
        file.attrs["method"], file.attrs["goal"], file.attrs["attacks"] = "search", goal, json.dumps(TYPES)
        for name, column in columns.items():
            file[f"flows/{name}"] = column
    return path


def run(module, *words):
    module.main([str(word) for word in words])


@pytest.fixture
def comparison(tmp_path):
    """comparison.csv of the three attacks."""
    files = [write_attacked(tmp_path / f"{method}.h5", method) for method in EVADED]
    path = tmp_path / "comparison.csv"
    run(compare_attacks, "--attacks", *files, "--model-name", "baseline", "--output", path)
    return path


@pytest.fixture
def searched(tmp_path):
    """comparison.csv of one attack and searches for both goals, whose flows stand in another order."""
    attack = write_attacked(tmp_path / "cw.h5", "cw")
    searches = [write_search(tmp_path / f"{goal}.h5", goal, np.arange(40)[::-1]) for goal in FOUND]
    run(compare_attacks, "--attacks", attack, "--searches", *searches, "--output", tmp_path / "searched.csv")
    return tmp_path / "searched.csv"


def test_searches_count_as_methods_with_their_earlier_alarms(searched):
    table = pd.read_csv(searched).set_index(["attack", "method"])
    assert len(table) == 3 * 4
    for goal, method in compare_attacks.SEARCHES.items():
        for attack, group in {"All": ATTACK > 0, "Flood": ATTACK == 1, "Scan": ATTACK == 2}.items():
            row = table.loc[attack, method]
            evaded = FOUND[goal] & group
            assert row["accuracy"] == pytest.approx((~(FOUND[goal] | MISSED) & group).sum() / group.sum())
            early = (EARLY & evaded).sum() / evaded.sum() if evaded.any() and goal == "last" else 0
            if evaded.any():
                assert row["early_alarm"] == pytest.approx(early)
            else:
                assert math.isnan(row["early_alarm"])
    assert table.loc[[("All", "cw"), ("All", "unmodified")], "early_alarm"].isna().all()
    assert not faults(plot_fig1.draw(plot_fig1.read_comparison(searched)))


def wilson(hits, total, z=1.959964):
    """Wilson's interval, from the roots of (p - hits/total)^2 = z^2 p (1 - p) / total."""
    return np.sort(np.roots([total + z**2, -(2 * hits + z**2), hits**2 / total]).real)


def test_comparison_counts_the_flows_that_are_still_detected(comparison):
    table = pd.read_csv(comparison).set_index(["attack", "method"])
    detected = {"unmodified": ~MISSED} | {method: ~(evaded | MISSED) for method, evaded in EVADED.items()}
    for method, flows in detected.items():
        for attack, group in {"All": ATTACK > 0, "Flood": ATTACK == 1, "Scan": ATTACK == 2}.items():
            row = table.loc[attack, method]
            hits, total = (flows & group).sum(), group.sum()
            assert row["flows"] == total and row["accuracy"] == pytest.approx(hits / total)
            np.testing.assert_allclose(row[["low", "high"]].astype(float), wilson(hits, total), atol=1e-6)
    assert len(table) == 12 and table.loc[("Flood", "cw"), "mean_l1"] == 2.5
    assert math.isnan(table.loc[("Flood", "fgsm"), "mean_l1"])


def test_attacks_on_other_flows_are_not_compared(tmp_path):
    one = write_attacked(tmp_path / "cw.h5", "cw")
    other = write_attacked(tmp_path / "pgd.h5", "pgd", np.arange(1, 41))
    with pytest.raises(InputError, match=r"pgd\.h5: attacks other flows than .*cw\.h5"):
        run(compare_attacks, "--attacks", one, other, "--model-name", "m", "--output", tmp_path / "c.csv")
    assert not (tmp_path / "c.csv").exists()


@pytest.mark.parametrize("made", ["comparison", "searched"])
def test_fig1_draws_the_accuracies_and_intervals_of_every_method(made, request):
    table = plot_fig1.read_comparison(request.getfixturevalue(made))
    figure = plot_fig1.draw(table)
    assert not faults(figure)
    containers = {container.get_label(): container for container in figure.axes[0].containers}
    drawn = {method: style for method, style in plot_fig1.METHODS.items() if method in set(table["method"])}
    assert list(containers) == [style["label"] for style in drawn.values()] and len(drawn) == table["method"].nunique()
    for method, style in drawn.items():
        points, _, (bars,) = containers[style["label"]].lines
        rows = table[table["method"] == method]
        np.testing.assert_allclose(points.get_xdata(orig=False), 100 * rows["accuracy"])
        ends = np.array([segment[:, 0] for segment in bars.get_segments()], dtype=float)
        np.testing.assert_allclose(ends, 100 * rows[["low", "high"]], atol=1e-9)


def test_fig1_flags_types_with_few_flows(comparison):
    figure = plot_fig1.draw(plot_fig1.read_comparison(comparison))
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["All attack flows (40)", "Flood (30)", "Scan (10\N{DAGGER})"]
    assert "fewer than 20" in figure.get_supxlabel()


def test_fig5_prints_what_its_distributions_have(tmp_path):
    run(compare_distributions, "--output", tmp_path / "fig5.csv")
    table = read_csv(tmp_path / "fig5.csv", ("distribution",), plot_fig5.NUMBERS)
    figure = plot_fig5.draw(table)
    assert not faults(figure)
    printed = []
    for panel, (_, rows) in zip(figure.axes, table.groupby("distribution", sort=False), strict=True):
        attack = rows["p_x"] * rows["p_attack_given_x"]
        bits = joint_information(np.stack([rows["p_x"] - attack, attack], axis=1))
        printed.append((f"Accuracy {100 * attack.sum():.0f} %", f"Mutual information {bits:.2f} bits"))
        assert tuple(panel.get_title().split("\n")) == printed[-1]
    (accuracy, information), (other_accuracy, other_information) = printed
    assert accuracy == other_accuracy and information != other_information

"""Figs. 7 to 10: what happens over the packets of flows and over the epochs of adversarial training."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from legibility import faults

import plot_fig7
import plot_fig8
import plot_fig9
import plot_fig10
from rnnids.reporting import panels, plotting
from rnnids.reporting.panels import INTERARRIVAL, LENGTH

RULES = pd.read_csv(REPOSITORY / "config/labels/lab.csv").drop_duplicates("attack")
TYPES = list(RULES[["attack", "category"]].itertuples(index=False, name=None))
ATTACKS = [attack for attack, _ in TYPES]


def confidence(attacks=("Benign", *ATTACKS)):
    """Types of 1, 12, 23 ... steps, the second with few flows."""
    rows = []
    for place, attack in enumerate(attacks):
        for step in range(1, 2 + 11 * place % 90):
            median = 1 - 0.5 / step
            row = {"attack": attack, "step": step, "flows": max(1, [7000, 9, 300][place % 3] - step)}
            row |= {
                "model": "baseline",
                "median": median,
                "q10": median - 0.3,
                "q25": median - 0.1,
                "q75": median,
                "q90": 1.0,
            }
            rows.append(row)
    return pd.DataFrame(rows)


def trajectories(attacks=("Benign", *ATTACKS)):
    """Forward and reverse packets in turn; the last step is reached by 1 of 100 flows; scans have no reverse ones."""
    rows = []
    for place, attack in enumerate(attacks):
        for step in range(1, 3 + 7 * place):
            direction = "reverse" if step % 2 == 0 and place else "forward"
            row = {"attack": attack, "step": step, "direction": direction, "flows": 100 if step < 2 + 7 * place else 1}
            length, time = 40 + 300 * (step % 4), 0.0 if step == 1 else 10.0 ** (step % 8 - 3)
            rows.append(row | {"feature": LENGTH, "median": length, "q25": length, "q75": length + 50})
            rows.append(row | {"feature": INTERARRIVAL, "median": time, "q25": time / 2, "q75": time * 2})
    return pd.DataFrame(rows)


def sequential(attacks=tuple(ATTACKS), steps=12):
    """Confidence that rises with the step, and means; no flow of the second type evades."""
    grids = {LENGTH: np.linspace(40, 1500, 5), INTERARRIVAL: np.array([0, *np.geomspace(0.001, 2e5, 9)])}
    shades, means = [], []
    for place, attack in enumerate(attacks):
        for feature, grid in grids.items():
            for step in range(1, steps + 1):
                row = {"model": "baseline", "attack": attack, "feature": feature, "step": step, "flows": 40 - step}
                shades += [row | {"value": value, "confidence": step / steps} for value in grid]
                after = math.nan if place == 1 else grid[3]
                row |= {"original": grid[1], "adversarial": after}
                means.append(row | {"original_median": grid[2], "adversarial_median": after / 2})
    return pd.DataFrame(shades), pd.DataFrame(means)


def scores(types=TYPES, epochs=(0, 3, 6)):
    """ARS that become infinite; the second type is undefined, the third always infinite."""
    rows = []
    for place, (attack, category) in enumerate(types):
        for epoch in epochs:
            value = {1: math.nan, 2: math.inf}.get(place, math.inf if epoch == epochs[-1] else 0.1 * 1.5**place + epoch)
            row = {"epoch": epoch, "attack": attack, "category": category, "flows": 20, "ars": value}
            rows.append(row | {"low": value / 2, "high": value * 2, "success_ratio": 1 - epoch / 6})
    return pd.DataFrame(rows)


FIGURES = {
    "plot_fig7": (plot_fig7, {"confidence": confidence}),
    "plot_fig8": (plot_fig8, {"dependence": lambda: sequential()[0], "means": lambda: sequential()[1]}),
    "plot_fig9": (plot_fig9, {"trajectories": trajectories}),
    "plot_fig10": (plot_fig10, {"scores": scores}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_equal_runs_make_equal_files_without_a_date(draw_files, name):
    module, tables = FIGURES[name]
    frames = {option: make() for option, make in tables.items()}
    frames = {option: frame[frame["attack"].isin(ATTACKS[:3])] for option, frame in frames.items()}
    first, second = (draw_files(module, **frames) for _ in range(2))
    assert first == second
    assert first["pdf"].startswith(b"%PDF") and b"<svg" in first["svg"] and first["png"].startswith(b"\x89PNG")
    assert not re.search(rb"CreationDate|<dc:date|20\d\d-\d\d-\d\d", first["pdf"] + first["svg"])


@pytest.mark.parametrize("count", [1, 2, 7, len(TYPES)])
@pytest.mark.filterwarnings("error:constrained_layout")
def test_all_texts_can_be_read(count):
    assert not faults(plot_fig7.draw(confidence(ATTACKS[:count])))
    assert not faults(plot_fig8.draw(*sequential(ATTACKS[:count])))
    assert not faults(plot_fig9.draw(trajectories(ATTACKS[:count])))
    assert not faults(plot_fig10.draw(scores(TYPES[:count])))


def line(axes, label):
    """The line of a panel that the legend calls `label`."""
    return next(line for line in axes.lines if line.get_label() == label)


def test_fig7_shows_the_median_around_each_step_and_the_flows_that_reach_it():
    table = confidence(ATTACKS[:3])
    figure = plot_fig7.draw(
        table.sample(frac=1, random_state=0).sort_values("attack", key=lambda a: a.map(ATTACKS.index))
    )
    panel, counts = figure.axes[2], figure.axes[5]
    rows = table[table["attack"] == ATTACKS[2]]
    for drawn, values in ((line(panel, "median confidence"), 100 * rows["median"]), (counts.lines[0], rows["flows"])):
        middles = drawn.get_xdata().reshape(-1, 2).mean(axis=1)
        np.testing.assert_allclose(middles, rows["step"])
        np.testing.assert_allclose(drawn.get_ydata()[::2], values)
    assert f"N = {rows['flows'].max()}" in panel.get_title()
    assert figure.axes[1].get_title().endswith("N = 8\N{DAGGER}") and "fewer than 20" in figure.get_supxlabel()


def test_fig8_shades_each_value_at_each_step():
    shades, means = sequential(ATTACKS[:2])
    figure = plot_fig8.draw(shades, means)
    drawn = [axes for axes in figure.axes if axes.get_ylabel() in panels.LABELS.values()]
    for panel, (_, rows) in zip(drawn, shades.groupby(["attack", "feature"], sort=False), strict=True):
        shade = panel.collections[0].get_array()
        assert shade.shape == (rows["value"].nunique(), 12)
        np.testing.assert_allclose(shade[-1], 100 * np.arange(1, 13) / 12)
    assert drawn[0].get_title(loc="left") == f"{ATTACKS[0]} (39 evaded)"
    assert drawn[2].get_title(loc="left") == f"{ATTACKS[1]} (39 flows, none evaded)"
    assert np.isnan(line(drawn[2], "adversarial").get_ydata().astype(float)).all()
    np.testing.assert_allclose(line(drawn[0], "original flows").get_ydata(), means["original"][0])
    np.testing.assert_allclose(line(drawn[1], "adversarial").get_ydata(), means["adversarial_median"][12])


def two_models(table):
    """A table of the baseline beside the same of a second model."""
    return pd.concat([table, table.assign(model="adversarial_training")], ignore_index=True)


@pytest.mark.filterwarnings("error:constrained_layout")
def test_models_stand_beside_each_other():
    shades, means = map(two_models, sequential(ATTACKS))
    figure = plot_fig8.draw(shades, means)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert titles[:2] == [f"{ATTACKS[0]}\n{model}: 39 evaded" for model in ("baseline", "adversarial training")]
    assert len(titles) == 2 * len(ATTACKS) and not faults(figure)
    figure = plot_fig7.draw(two_models(confidence(ATTACKS[:3])))
    panel = figure.axes[2]
    lines = [line(panel, f"median, {model}") for model in ("baseline", "adversarial training")]
    assert lines[0].get_color() != lines[1].get_color() and not faults(figure)


def test_steps_that_few_flows_reach_are_faint():
    table = confidence(ATTACKS[:3]).tail(6).assign(step=range(1, 7), flows=[300, 50, 5, 4, 3, 1])
    panel = plot_fig7.draw(table).axes[0]
    assert line(panel, "median confidence").get_xdata()[-1] == 3.5
    dotted = next(drawn for drawn in panel.lines if drawn.get_linestyle() == ":")
    assert (dotted.get_xdata()[0], dotted.get_xdata()[-1]) == (2.5, 6.5)
    bands = [band.get_paths()[0].vertices[:, 0].max() for band in panel.collections]
    assert max(bands) == 3.5
    shades, means = sequential(ATTACKS[:1])
    panel = plot_fig8.draw(shades.assign(flows=15 - shades["step"]), means).axes[1]
    veil = panel.patches[-1].get_bbox()
    assert (veil.x0, veil.x1) == (10.5, 12.5)  # four flows or fewer


def test_fig8_shows_the_means_of_flows_of_one_packet():
    shades, means = (table[table["step"] == 1] for table in sequential(ATTACKS[:1]))
    figure = plot_fig8.draw(shades, means)
    drawn = [axes for axes in figure.axes if axes.get_ylabel() in panels.LABELS.values()]
    original, adversarial = (line(drawn[0], plot_fig8.LINES[kind]["label"]) for kind in ("original", "adversarial"))
    assert original.get_marker() == adversarial.get_marker() == "o"
    assert original.get_markersize() > adversarial.get_markersize()  # which is drawn above it
    assert not faults(figure)


def test_cells_lie_around_their_values():
    np.testing.assert_allclose(plot_fig8.cell_edges(np.array([0.0, 1.0, 100.0]), True), [0, 0.5, 10, 100])
    np.testing.assert_allclose(plot_fig8.cell_edges(np.array([40.0, 50.0, 70.0]), False), [40, 45, 60, 70])
    np.testing.assert_allclose(plot_fig8.cell_edges(np.array([0.0]), True), [-0.5, 0.5])


def test_fig9_shows_directions_and_leaves_out_steps_that_hardly_a_flow_reaches():
    table = trajectories(ATTACKS[:2])
    figure = plot_fig9.draw(table)
    panel = figure.axes[2]
    dots = [dots for dots in panel.collections if len(dots.get_offsets()) and hasattr(dots, "get_sizes")]
    forward, reverse = (dots.get_offsets() for dots in dots)
    rows = table[(table["attack"] == ATTACKS[1]) & (table["feature"] == LENGTH)]
    assert len(forward) + len(reverse) == len(rows) - 1
    np.testing.assert_allclose(reverse[:, 1], rows["median"][(rows["direction"] == "reverse") & (rows["flows"] > 1)])
    assert panel.get_title(loc="left") == f"{ATTACKS[1]}, N = 100" and panel.get_xlim()[1] == rows["step"].max() - 0.5


def test_rare_directions_are_paler():
    table = trajectories(ATTACKS[1:2])
    table.loc[table["direction"] == "reverse", "flows"] = 50
    panel = plot_fig9.draw(table).axes[0]
    opacity = {dots.get_facecolor()[0, 3] for dots in panel.collections if hasattr(dots, "get_sizes")}
    assert opacity == {1.0} or opacity == {0.5, 1.0}
    assert plot_fig9.common_steps(table[table["feature"] == LENGTH])["share"].iloc[0] == 1


def test_fig10_puts_infinite_scores_in_their_zone_above_all_finite_ones():
    table = scores(TYPES[:4])
    figure = plot_fig10.draw(table)
    panel = figure.axes[0]
    drawn = line(panel, plot_fig10.SCORE["label"]).get_ydata()
    np.testing.assert_allclose(drawn[:2], table["ars"][:2])
    finite = table[["ars", "low", "high"]].replace(math.inf, math.nan).max().max()
    assert finite < drawn[2] < panel.get_ylim()[1]
    ticks = dict(zip((text.get_text() for text in panel.get_yticklabels()), panel.get_yticks(), strict=True))
    assert ticks[plotting.INFINITY] == pytest.approx(drawn[2]) and ticks["0"] == 0
    assert line(panel, plot_fig10.INFINITE["label"]).get_xdata().tolist() == [6]
    assert not figure.axes[1].lines, "an undefined score has neither line nor marker"
    assert line(figure.axes[2], plot_fig10.INFINITE["label"]).get_xdata().tolist() == [0, 3, 6]
    np.testing.assert_allclose(figure.axes[4].lines[0].get_ydata(), [100, 50, 0])


def test_fig10_shows_what_the_search_says_at_both_ends(tmp_path, draw_files):
    table = scores(TYPES[:3])
    ends = table[table["epoch"] == 6].assign(threat_model="paper", goal="last", ars=[0.5, 0.7, math.inf], verdict="ok")
    ends.loc[ends["attack"] == TYPES[0][0], "verdict"] = "refuted"
    other = ends.assign(threat_model="payload", ars=9.0)
    path = tmp_path / "robustness.csv"
    pd.concat([ends.drop(columns="epoch"), other.drop(columns="epoch")]).to_csv(path, index=False)
    searched = [plot_fig10.by_search(table, str(path), epoch) for epoch in (0, 6)]
    figure = plot_fig10.draw(pd.concat([table.assign(searched=False), *searched]))
    assert not faults(figure)
    panels = figure.axes[:3]
    for panel, expected in zip(panels, (0.5, 0.7), strict=False):
        marks = line(panel, plot_fig10.SEARCHED_SCORE["label"])
        assert marks.get_xdata().tolist() == [0, 6]
        np.testing.assert_allclose(marks.get_ydata(), expected)
    assert ["!" in panel.get_title() for panel in panels] == [True, False, False]
    assert "see table_ars" in figure.get_supxlabel()


def test_fig10_survives_scores_that_are_all_infinite_or_undefined():
    table = scores(TYPES[1:3]).assign(ars=math.inf, low=math.inf, high=math.inf)
    assert not faults(plot_fig10.draw(table))
    assert not faults(plot_fig10.draw(table.assign(ars=math.nan, low=math.nan, high=math.nan)))


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(0, "0"), (0.002, "2 µs"), (1, "1 ms"), (500, "500 ms"), (2e4, "20 s")]
)
def test_times_have_the_unit_that_suits_them(milliseconds, text):
    assert panels.duration_text(milliseconds) == text


@pytest.mark.parametrize(
    ("last", "ticks"), [(1, [1]), (3, [1, 2, 3]), (20, [1, 5, 10, 15, 20]), (100, [1, 20, 40, 60, 80, 100])]
)
def test_steps_start_at_1_and_go_on_in_round_numbers(last, ticks):
    panel = plotting.new_figure(3, 2).subplots()
    panels.step_axis(panel, last)
    assert panel.get_xticks().tolist() == ticks

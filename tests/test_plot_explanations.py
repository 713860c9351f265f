"""Fig. 1, and Figs. 4 to 6 with the pair scores: what the attacks do and what explains the detector."""

import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from legibility import faults
from matplotlib.colors import to_rgba

import plot_fig1
import plot_fig4
import plot_fig5
import plot_fig6
import plot_pair_scores
import plot_shapley
import plot_steps
from rnnids.datasets.features import FEATURES
from rnnids.errors import InputError
from rnnids.explanations.entropy import compare_distributions
from rnnids.reporting import plotting

ATTACKS = pd.read_csv(REPOSITORY / "config/labels/lab.csv")["attack"].drop_duplicates().tolist()


def comparison(attacks=tuple(ATTACKS), methods=("cw", "unmodified", "pgd", "fgsm")):
    """Accuracies that differ in every row; the last type has few flows."""
    rows = []
    for method, (place, attack) in itertools.product(methods, enumerate([plotting.ALL, *attacks])):
        value = place / 20 + 0.01 * list(plot_fig1.METHODS).index(method)
        row = {"attack": attack, "method": method, "flows": 7 if place == len(attacks) else 40, "accuracy": value}
        rows.append(row | {"low": value / 2, "high": min(1, 2 * value)})
    return pd.DataFrame(rows)


def importance(metric):
    """A metric that falls from feature to feature to below 0; packets have twice the values of flows."""
    values = np.linspace(3, -1, len(FEATURES))
    levels = [
        pd.DataFrame({"metric": metric, "level": level, "feature": FEATURES, "value": factor * values})
        for level, factor in (("packet", 2), ("flow", 1))
    ]
    table = pd.concat(levels, ignore_index=True)
    return table.assign(low=math.nan if metric == "weights" else table["value"] - 0.5, high=table["value"] + 0.5)


def dependence(attacks=("Benign", *ATTACKS), features=("source_port", "destination_port")):
    """A rising dependence on a few values, of which the flows have two."""
    grids = {"interarrival_time": [0, 0.01, 1, 1e4], "packet_length": [40, 60, 1500]}
    shades, values = [], []
    for feature, attack in itertools.product(features, attacks):
        grid = grids.get(feature, [0, 80, 443, 40000, 65535])
        row = {"attack": attack, "feature": feature}
        for place, value in enumerate(grid):
            shade = {"model": "baseline", "value": value, "prediction": place / len(grid), "flows": 40}
            shades.append(row | shade | {"low": 0.9 * place / len(grid), "high": (place + 1) / len(grid)})
        values += [row | {"value": grid[1], "count": 900}, row | {"value": grid[2], "count": 9}]
    return pd.DataFrame(shades), pd.DataFrame(values)


def pair_scores():
    """All pairs; of every kind of score some."""
    rows = []
    for place, (first, second) in enumerate(itertools.combinations(FEATURES, 2)):
        status = ("ok", "ok", "noise", "undefined", "infinite")[place % 5]
        status = "constant" if "NS" in (first, second) else status
        score = {"undefined": math.nan, "infinite": math.inf}.get(status, (place + 1) / 10)
        row = {"feature_1": first, "feature_2": second, "drop_1": 0.01, "drop_2": 0.02, "drop_both": 0.03}
        row |= {"low": score / 2, "high": 2 * score}  # holds 1 for scores from 0.5 to 2
        rows.append(row | {"score": score, "status": status})
    return pd.DataFrame(rows)


METRICS = [importance(metric) for metric in plot_fig4.METRICS]
FIGURES = {
    "fig1": (plot_fig1, {"comparison": comparison()}),
    "fig4": (plot_fig4, {"importance": METRICS}),
    "fig5": (plot_fig5, {"distributions": pd.DataFrame(compare_distributions(200))}),
    "fig6": (plot_fig6, dict(zip(("dependence", "values"), dependence(ATTACKS[:3]), strict=True))),
    "pair_scores": (plot_pair_scores, {"pair_scores": pair_scores()}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_equal_runs_make_equal_files_without_a_date(draw_files, name):
    module, tables = FIGURES[name]
    first, second = (draw_files(module, **tables) for _ in range(2))
    assert first == second
    assert first["pdf"].startswith(b"%PDF") and b"<svg" in first["svg"] and first["png"].startswith(b"\x89PNG")
    assert not re.search(rb"CreationDate|<dc:date|20\d\d-\d\d-\d\d", first["pdf"] + first["svg"])


@pytest.mark.parametrize("count", [1, 2, 7, len(ATTACKS)])
@pytest.mark.filterwarnings("error:constrained_layout")
def test_all_texts_can_be_read_whatever_the_number_of_types(count):
    assert not faults(plot_fig1.draw(comparison(ATTACKS[:count])))
    assert not faults(plot_fig6.draw(*dependence(ATTACKS[:count])))


@pytest.mark.filterwarnings("error:constrained_layout")
def test_all_texts_can_be_read():
    for count in (1, len(METRICS)):
        assert not faults(plot_fig4.draw(pd.concat(METRICS[:count], ignore_index=True)))
    assert not faults(plot_fig5.draw(pd.DataFrame(compare_distributions(200))))
    shades, values = dependence(ATTACKS[:6], ("interarrival_time", "packet_length", "direction"))
    possible = (shades["feature"] != "direction") | (shades["value"] <= 80)  # of a direction, two values
    assert not faults(plot_fig6.draw(shades[possible], values[values["feature"] != "direction"]))
    assert not faults(plot_pair_scores.draw(pair_scores()))


def points(panel):
    """Label of the row of a panel -> accuracies below each other."""
    rows = [label.get_text() for label in panel.get_yticklabels()]
    found = {name: [] for name in rows}
    for container in panel.containers:
        for value, place in zip(*container.lines[0].get_data(), strict=True):
            found[rows[np.abs(panel.get_yticks() - place).argmin()]].append((place, value))
    return {name: [value for _, value in sorted(pairs)] for name, pairs in found.items()}


@pytest.mark.parametrize("methods", [("cw", "unmodified", "pgd", "fgsm"), ("unmodified", "cw")])
def test_fig1_shows_all_methods_of_each_type_from_the_weakest_to_the_strongest(methods):
    table = comparison(ATTACKS[:5], methods)
    shown = points(plot_fig1.draw(table).axes[0])
    assert next(iter(shown)) == "All attack flows (40)" and list(shown)[-1] == f"{ATTACKS[4]} (7\N{DAGGER})"
    order = [method for method in plot_fig1.METHODS if method in methods]
    for attack, values in zip([plotting.ALL, *ATTACKS[:5]], shown.values(), strict=True):
        rows = table[table["attack"] == attack].set_index("method")["accuracy"]
        assert values == pytest.approx((100 * rows[order]).tolist())


def test_fig1_does_not_guess_at_methods(draw_files):
    with pytest.raises(InputError, match=r"comparison_0\.csv: unknown method deepfool"):
        draw_files(plot_fig1, comparison=comparison().replace("pgd", "deepfool"))


@pytest.mark.parametrize("level", ["flow", "packet"])
def test_shares_sum_to_100_and_what_is_negative_counts_as_0(level):
    table = plot_fig4.shares(importance("input_perturbation"), "input_perturbation", level)
    values = np.linspace(3, -1, len(FEATURES)).clip(0)
    np.testing.assert_allclose(table["value"], 100 * values / values.sum())
    assert table.index.tolist() == list(FEATURES) and (table["low"] <= table["value"]).all()


def test_a_metric_that_is_never_positive_has_no_shares():
    nothing = importance("feature_dropout").assign(value=-0.5, low=-1.0, high=0.0)
    assert (plot_fig4.shares(nothing, "feature_dropout", "flow") == 0).all(axis=None)
    assert not faults(plot_fig4.draw(nothing))


def test_fig4_shows_flows_as_bars_and_packets_as_circles():
    figure = plot_fig4.draw(pd.concat(METRICS[::-1], ignore_index=True))
    assert len(figure.axes) == len(METRICS) and figure.axes[0].get_title() == "Weights"
    expected = plot_fig4.shares(METRICS[1], METRICS[1]["metric"][0], "flow")["value"]
    panel = figure.axes[1]
    assert [bar.get_width() for bar in panel.patches] == pytest.approx(expected.tolist())
    circles = next(line for line in panel.lines if line.get_marker() == "o")
    np.testing.assert_allclose(circles.get_xdata(), expected)  # packets have the same shares here


def test_fig4_names_tables_that_it_cannot_use(draw_files):
    with pytest.raises(InputError, match=r"importance_0\.csv: column metric: unknown lime"):
        draw_files(plot_fig4, importance=[importance("lime")])
    with pytest.raises(InputError, match=r"importance_0\.csv: column feature: unknown colour"):
        draw_files(plot_fig4, importance=[importance("weights").replace("protocol", "colour")])
    with pytest.raises(InputError, match="metric weights comes twice"):
        draw_files(plot_fig4, importance=[importance("weights")] * 2)


def test_fig5_areas_are_the_accuracies():
    table = pd.DataFrame(compare_distributions(200))
    figure = plot_fig5.draw(table)
    for panel, (_, rows) in zip(figure.axes, table.groupby("distribution", sort=False), strict=True):
        attack = panel.collections[1].get_paths()[0].vertices
        x, y = attack.T
        area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
        assert area == pytest.approx(rows["accuracy"].iloc[0])
        assert f"{rows['mutual_information'].iloc[0]:.2f} bits" in panel.get_title()


def test_fig6_shows_predictions_in_percent_and_the_values_that_flows_have():
    shades, values = dependence(("Benign", *ATTACKS[:2]))
    figure = plot_fig6.draw(shades.sample(frac=1, random_state=0).sort_values(["feature", "attack"]), values)
    blocks = {block.get_supxlabel(): block for block in figure.subfigs}
    assert set(blocks) == {"Source port", "Destination port"}
    for panel in blocks["Source port"].axes:
        line = panel.lines[1]
        np.testing.assert_allclose(line.get_xdata(), [0, 80, 443, 40000, 65535])
        np.testing.assert_allclose(line.get_ydata(), [0, 20, 40, 60, 80])
        assert [segment[0][0] for segment in panel.collections[0].get_segments()] == [80, 443]
        often, rarely = panel.collections[0].get_alpha()
        assert often == 1 and rarely < 0.5
        assert panel.get_xlim() == (0, 65535)


def test_pair_scores_stand_at_their_pair_and_show_what_they_rest_on():
    table = pair_scores()
    swapped = table.rename(columns={"feature_1": "feature_2", "feature_2": "feature_1"})
    for scores in (table, swapped):
        figure = plot_pair_scores.draw(scores)
        panel = figure.axes[0]
        assert figure.get_supxlabel() == "Constant in the data: NS flag"
        columns, rows = (
            [label.get_text() for label in labels()] for labels in (panel.get_xticklabels, panel.get_yticklabels)
        )
        assert columns[0] == "Source port" and rows[0] == "Destination port" and len(panel.patches) == 182
        texts = {text.get_position(): text.get_text() for text in panel.texts}
        for place, (first, second) in enumerate(itertools.combinations(range(len(FEATURES)), 2)):
            row = table.iloc[place]
            if row["status"] == "constant":
                continue
            shown = {"undefined": "", "infinite": plotting.INFINITY}.get(row["status"])
            assert shown is None or texts[first, second] == shown
            assert shown is not None or float(texts[first, second]) == pytest.approx(row["score"], abs=0.5)
        drawn = scores[scores["status"] != "constant"]
        squares = list(zip(drawn["status"], [square for square in panel.patches if square.get_fill()], strict=True))
        grey = {row.status for row, (_, square) in zip(drawn.itertuples(), squares, strict=True)
                if square.get_facecolor() == to_rgba(plotting.PALE)}  # fmt: skip
        assert grey == {"ok", "noise"}
        for row, (_, square) in zip(drawn.itertuples(), squares, strict=True):
            if row.status == "ok":
                assert (square.get_facecolor() == to_rgba(plotting.PALE)) == (row.low <= 1 <= row.high)
        faces = {status: square.get_facecolor() for status, square in squares}
        assert len({faces["noise"], faces["undefined"], faces["infinite"]}) == 3
        assert {status for status, square in squares if square.get_hatch()} == {"undefined"}
        borders = [square for square in panel.patches if not square.get_fill()]
        assert {border.get_edgecolor() for border in borders} == {(1, 1, 1, 1)}


def test_only_scores_that_count_set_the_colours():
    norm = plot_pair_scores.colour_scale(pair_scores())
    counted = pair_scores().query("status == 'ok' and (low > 1 or high < 1)")["score"].max()
    assert (norm.vmin, norm.vcenter, norm.vmax) == (0, 1, counted)
    assert plot_pair_scores.colour_scale(pair_scores().assign(status="noise")).vmax == 2


def test_pair_scores_of_unknown_kind_are_refused(draw_files):
    with pytest.raises(InputError, match=r"column status: unknown maybe; expected ok"):
        draw_files(plot_pair_scores, pair_scores=pair_scores().replace("noise", "maybe"))


def test_fig4_compares_one_packet_with_the_whole_flow_in_bits():
    bits = [importance(metric).assign(value=2.0, low=1.0, high=3.0) for metric in plot_fig4.BITS]
    bits[1] = bits[1].assign(value=[2.0 if name == "packet_length" else math.nan for name in bits[1]["feature"]])
    figure = plot_fig4.draw(pd.concat([importance("weights"), *bits], ignore_index=True))
    panel = figure.axes[-1]
    assert panel.get_title() == "Mutual inf.,\nin bits" and not faults(figure)
    shown = [container.lines[0].get_data() for container in panel.containers]
    assert [len(values) for values, _ in shown] == [15, 1, 15]
    assert np.round(shown[1][1].astype(float)).tolist() == [FEATURES.index("packet_length")]


def steps(metric="input_perturbation", last=40):
    """A metric that falls with the step and the feature's place; from step 36 on there are few flows."""
    rows = [
        {"metric": metric, "feature": name, "step": step, "flows": 40 - step, "value": 0.1 / step / (place + 1)}
        for place, name in enumerate(FEATURES)
        for step in range(1, last)
    ]
    return pd.DataFrame(rows)


def test_steps_show_each_feature_at_each_packet_and_mask_few_flows():
    table = pd.concat([steps(metric) for metric in plot_steps.METRICS])
    figure = plot_steps.draw(table.assign(flows=33 - table["step"]))
    assert not faults(figure)
    panel = figure.axes[0]
    shade = panel.collections[0].get_array()
    assert shade.shape == (15, 30)
    np.testing.assert_allclose(shade[3, :5], 100 * 0.1 / np.arange(1, 6) / 4)
    assert shade.mask[:, 28:].all() and not shade.mask[:, :28].any()
    assert "32 flows" in panel.get_title() and panel.get_yticklabels()[0].get_text() == "Source port"
    of_bits = next(axes for axes in figure.axes if "observed" in axes.get_title())
    assert of_bits.get_yticklabels()[0].get_text() == "Source port*"


def test_features_that_never_matter_are_left_out_of_the_steps():
    table = steps()
    table.loc[table["feature"] == "URG", "value"] = 0.004
    assert plot_steps.shown_features(table) == [name for name in FEATURES if name not in ("URG",)]


def test_tables_that_are_not_of_steps_are_named(draw_files):
    with pytest.raises(InputError, match="none of the metrics"):
        draw_files(plot_steps, steps=[steps("weights")])
    with pytest.raises(InputError, match="metric input_perturbation comes twice"):
        draw_files(plot_steps, steps=[steps(), steps()])


@pytest.mark.filterwarnings("error:constrained_layout")
def test_fig6_shows_categories_as_bars_and_models_beside_each_other():
    shades, values = dependence(ATTACKS[:2], ("direction", "source_port"))
    shades = shades[(shades["feature"] != "direction") | shades["value"].isin([0, 80])].replace({"value": {80: 1}})
    both = pd.concat([shades, shades.assign(model="adversarial_training")], ignore_index=True)
    figure = plot_fig6.draw(both, values)
    assert not faults(figure)
    block = next(block for block in figure.subfigs if block.get_supxlabel() == "Direction")
    panel = block.axes[0]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["forward", "reverse"]
    assert [bar.get_height() for bar in panel.patches] == [0, 20, 0, 20]
    assert panel.get_title().endswith("N = 40")
    block = next(block for block in figure.subfigs if block.get_supxlabel() == "Source port")
    assert len({line.get_color() for line in block.axes[0].lines[1:]}) == 2


def test_shapley_values_stand_beside_single_drops_the_largest_above(draw_files):
    values, drops = importance("shapley"), importance("feature_dropout")
    draw_files(plot_shapley, shapley=values, drops=drops)
    of_flows = [100 * table[table["level"] == "flow"].set_index("feature")[["value", "low", "high"]]
                for table in (values.iloc[::-1], drops.assign(value=drops["value"] / 10))]  # fmt: skip
    figure = plot_shapley.draw(*of_flows)
    assert not faults(figure)
    panel = figure.axes[0]
    assert panel.get_yticklabels()[0].get_text() == "Source port"
    bars = [bar.get_width() for bar in panel.patches]
    assert bars == sorted(bars, reverse=True) and bars == pytest.approx(sorted(of_flows[0]["value"], reverse=True))
    rings = next(line for line in panel.lines if line.get_label() == "drop without it alone")
    np.testing.assert_allclose(rings.get_xdata().astype(float), 100 * np.linspace(3, -1, len(FEATURES)) / 10)
    with pytest.raises(InputError, match=r"shapley_0\.csv: no shapley of flows"):
        draw_files(plot_shapley, shapley=drops, drops=drops)

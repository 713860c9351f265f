"""The style and parts that figures share, and Figs. 2 and 3."""

import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from legibility import faults

import plot_fig2
import plot_fig3
from rnnids.errors import InputError
from rnnids.reporting import plotting
from rnnids.storage import read_csv

RULES = pd.read_csv(REPOSITORY / "config/labels/lab.csv").drop_duplicates("attack")
TYPES = list(RULES[["attack", "category"]].itertuples(index=False, name=None))
KAPPAS = (0.5, 1, 2, 5, 10)


def summary(attacks=tuple(attack for attack, _ in TYPES), kappas=KAPPAS):
    """A summary of CW attacks in which the third type is never fooled and the fourth is already benign."""
    rows = []
    for kappa, (place, attack) in itertools.product(kappas, enumerate([plotting.ALL, *attacks])):
        success = {3: 0.0, 4: 1.0}.get(place, 0.4 + 0.04 * place)
        distance = {3: math.nan, 4: 0.0}.get(place, 0.1 * 1.6**place + kappa)
        row = {"model": "baseline", "attack": attack, "kappa": kappa, "flows": 40, "success_ratio": success}
        rows.append(row | {"success_ratio_delta": 0.9 * success, "mean_l1": distance})
    return pd.DataFrame(rows)


def tables(types=TYPES):
    """Recall and ARS with every special case: infinite, undefined, 0, unbounded interval, few flows."""
    recall = pd.DataFrame(types, columns=["attack", "category"]).assign(flows=174, recall=0.8, low=0.7, high=0.9)
    ars = recall[["attack", "category"]].assign(flows=40, ars=2.0, low=1.0, high=3.0)
    special = [(math.inf,) * 3, (math.nan,) * 3, (0.0, 0.0, math.inf), (150.0, 90.0, 200.0), (math.inf, 7.0, math.inf)]
    ars.loc[: len(special) - 1, ["ars", "low", "high"]] = special[: len(ars)]
    ars.loc[0, "flows"] = 7
    return recall, ars


def test_equal_runs_make_equal_files_without_a_date(draw_files):
    few = [attack for attack, _ in TYPES[:2]]
    recall, ars = tables(TYPES[:3])
    for module, frames in ((plot_fig2, {"summary": summary(few)}), (plot_fig3, {"recall": recall, "ars": ars})):
        first, second = (draw_files(module, **frames) for _ in range(2))
        assert first == second
        assert first["pdf"].startswith(b"%PDF") and b"<svg" in first["svg"] and first["png"].startswith(b"\x89PNG")
        assert not re.search(rb"CreationDate|<dc:date|20\d\d-\d\d-\d\d", first["pdf"] + first["svg"])


@pytest.mark.parametrize("count", [1, 2, 8, len(TYPES)])
def test_all_texts_can_be_read(count):
    assert not faults(plot_fig2.draw(summary([attack for attack, _ in TYPES[:count]])))
    assert not faults(plot_fig3.draw(plot_fig3.combine(*tables(TYPES[:count]))))


def test_fig2_shows_percent_and_distances_over_kappa():
    frame = summary().sample(frac=1, random_state=0)
    figure = plot_fig2.draw(frame)
    lines = {line.get_label(): line for axes in figure.axes for line in axes.lines if line.get_markersize() == 5}
    together = frame[frame["attack"] == plotting.ALL].sort_values("kappa")
    for column, label, factor in (
        ("success_ratio", plot_fig2.SUCCESS["label"], 100),
        ("success_ratio_delta", plot_fig2.MARGIN["label"], 100),
        ("mean_l1", plot_fig2.DISTANCE["label"], 1),
    ):
        np.testing.assert_allclose(lines[label].get_ydata(), factor * together[column])
        np.testing.assert_allclose(lines[label].get_xdata(), KAPPAS)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["0.5", "1", "2", "5", "10"]


def test_many_kappas_are_ticks_of_which_some_are_labelled():
    figure = plot_fig2.draw(summary(kappas=np.arange(0.5, 10.1, 0.5)))
    labels = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert len(labels) == 20 and 3 < sum(map(bool, labels)) < 8
    assert not faults(figure)


def bars(panel):
    """Lengths of the bars of a panel by the label of their row."""
    rows = dict(zip(panel.get_yticks(), (label.get_text() for label in panel.get_yticklabels()), strict=True))
    return {rows[bar.get_y() + bar.get_height() / 2]: bar.get_width() for bar in panel.patches}


def test_fig3_draws_infinite_scores_to_the_end_and_undefined_ones_not_at_all():
    left, right = plot_fig3.draw(plot_fig3.combine(*tables())).axes
    assert len(left.patches) == len(TYPES) and len(right.patches) == len(TYPES) - 1
    assert sorted({bar.get_width() for bar in left.patches}) == pytest.approx([80])
    lengths, end = [bar.get_width() for bar in right.patches], right.get_xlim()[1]
    assert end > 200 and lengths.count(end) == 2
    assert sorted(set(lengths)) == [0, 2, 150, end]
    shown = [text.get_text().strip() for text in right.texts]
    assert shown.count("n/a") == 1 and shown.count(plotting.INFINITY) == 3


def test_fig3_names_types_by_category_with_their_flows_and_flags_few():
    recall, ars = tables([("a", "X"), ("b", "Y"), ("c", "X")])
    left, right = plot_fig3.draw(plot_fig3.combine(recall, ars)).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["a  (174)", "c  (174)", "b  (174)"]
    assert [label.get_text() for label in right.get_yticklabels()] == ["(7†)", "(40)", "(40)"]


def test_dollars_in_a_name_are_no_formula():
    types = plot_fig3.combine(*tables([("a $x_1$", "X"), ("b $x_{$", "Y")]))
    figure = plot_fig3.draw(types)
    names = [label for label in figure.axes[0].get_yticklabels() if "$" in label.get_text()]
    assert len(names) == 2 and not any(label.get_parse_math() for label in names)
    assert not faults(figure)


def test_fig3_marks_doubted_and_proven_scores():
    recall, ars = tables(TYPES[:4])
    plain = plot_fig3.draw(plot_fig3.combine(recall, ars))
    assert "!" not in plain.get_supxlabel() and "proven" not in plain.get_supxlabel()
    checked = ars.assign(verdict=["ok", "refuted", "", "ok"], exact=[0.2, 0.5, 0.51, 1.0]).replace(
        {"verdict": {"": None}}
    )
    types = plot_fig3.combine(recall, checked).set_index("attack")
    assert types.loc[ars["attack"], "doubted"].tolist() == [False, True, False, False]
    assert types.loc[ars["attack"], "proven"].tolist() == [False, False, True, True]
    figure = plot_fig3.draw(types.reset_index())
    assert not faults(figure)
    names = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert [name.startswith("! ") for name in names] == types["doubted"].tolist()
    assert plot_fig3.WARNING_NOTE in figure.get_supxlabel() and plot_fig3.PROVEN_NOTE in figure.get_supxlabel()
    assert "fewer than" in figure.get_supxlabel()


def test_fig3_shows_types_that_only_one_table_has():
    recall, ars = tables(TYPES[:3])
    types = plot_fig3.combine(recall.iloc[:2], ars.iloc[1:])
    assert types["attack"].tolist() == [attack for attack, _ in TYPES[:3]]
    assert types["flows_recall"].tolist() == [174, 174, 0] and types["flows_ars"].tolist() == [0, 40, 40]
    assert not faults(plot_fig3.draw(types))


def test_svg_and_png_lie_beside_the_pdf_unless_told_otherwise(tmp_path):
    figure = plotting.new_figure(1, 1)
    plotting.save(figure, tmp_path / "a.v1.pdf", png=tmp_path / "b.png")
    assert {file.name for file in tmp_path.iterdir()} == {"a.v1.pdf", "a.v1.svg", "b.png"}


def test_three_files_need_three_names(tmp_path):
    with pytest.raises(InputError, match=r"a\.svg: PDF, SVG and PNG need a name each"):
        plotting.save(plotting.new_figure(1, 1), tmp_path / "a.svg")
    assert not list(tmp_path.iterdir())


def test_whiskers_are_lengths_and_0_where_a_bound_is_infinite_or_unknown():
    below, above = plotting.whiskers(
        [1.0, 2.0, math.inf, math.nan], [0.5, 2.5, 1.0, math.nan], [math.inf, 3.0, math.inf, 1.0]
    )
    assert below == [0.5, 0.0, 0.0, 0.0] and above == [0.0, 1.0, 0.0, 0.0]


def test_an_axis_is_logarithmic_only_if_values_span_decades():
    assert plotting.spans_decades([0.0, 0.1, 5.0, math.inf, math.nan])
    assert not plotting.spans_decades([0.0, 1.0, 5.0, math.inf]) and not plotting.spans_decades([0.0, math.inf])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a readable CSV"),
        ("attack,flows\n", "no rows"),
        ("attack\nx\n", "no column flows"),
        ("attack,flows\nx,many\n", "column flows"),
        ("attack,flows\n\xff,1\n", "not a readable CSV"),
    ],
)
def test_bad_tables_are_named_with_their_fault(tmp_path, text, message):
    file = tmp_path / "table.csv"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=rf"table\.csv: .*{message}"):
        read_csv(file, ("attack",), ("flows",))
    with pytest.raises(InputError, match="absent"):
        read_csv(tmp_path / "absent.csv", ("attack",), ("flows",))


def test_tables_are_read_as_they_were_written(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("attack,ars\nNA,inf\n1,\n")
    frame = read_csv(file, ("attack",), ("ars",))
    assert frame["attack"].tolist() == ["NA", "1"]
    assert frame["ars"][0] == math.inf and math.isnan(frame["ars"][1])

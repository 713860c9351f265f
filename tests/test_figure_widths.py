"""Figures in the width of one column and of two: as wide as asked, nothing cut off or on top of another."""

import struct

import pytest
from conftest import REPOSITORY
from legibility import faults
from matplotlib.figure import Figure
from test_plot_sequences import ATTACKS, TYPES, confidence, scores, sequential, trajectories

import plot_fig2
import plot_fig3
import plot_fig7
import plot_fig8
import plot_fig9
import plot_fig10
from rnnids import cli
from rnnids.reporting import plotting

LAB = REPOSITORY / "docs/pictures/baseline"  # results of the default configuration
DRAWN = {
    plot_fig2: {"--summary": LAB / "attacks/cw/summary.csv"},
    plot_fig3: {"--recall": LAB / "recall.csv", "--ars": LAB / "ars.csv"},
}


@pytest.fixture(autouse=True)
def own_width(monkeypatch):
    """What a test asks for ends with it."""
    monkeypatch.setitem(plotting.ASKED, "width", None)


@pytest.mark.parametrize(("script", "width"), [(plot_fig2, 4.8), (plot_fig3, 3.5), (plot_fig3, 7.16)])
def test_figures_of_any_width_are_legible(script, width, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plotting, "save", lambda figure, output, **_: drawn.append((figure, output)))
    words = [str(word) for pair in DRAWN[script].items() for word in pair]
    script.main([*words, "--output", str(tmp_path / "figure.png"), "--width", str(width)])
    ((figure, output),) = drawn
    assert faults(figure) == []
    sizes = {text.get_fontsize() for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))}
    assert sizes >= {7.0, 8.0}
    figure.savefig(output, dpi=200)
    pixels = struct.unpack(">II", (tmp_path / "figure.png").read_bytes()[16:24])
    assert pixels[0] == int(width * 200)


def ask(width):
    """What a script does with --width."""
    parser = cli.parser("")
    plotting.add_output_arguments(parser)
    plotting.parse(parser, ["--output", "a.pdf", *width])


@pytest.mark.parametrize("figure", ["fig7", "fig8", "fig9", "fig10"])
def test_panels_of_many_packets_are_legible_too(figure):
    ask(["--width", "3.5"])
    draw = {
        "fig7": lambda: plot_fig7.draw(confidence(ATTACKS[:5])),
        "fig8": lambda: plot_fig8.draw(*sequential(ATTACKS[:3])),
        "fig9": lambda: plot_fig9.draw(trajectories(ATTACKS[:5])),
        "fig10": lambda: plot_fig10.draw(scores(TYPES[:5])),
    }[figure]
    drawn = draw()
    assert drawn.get_figwidth() == 3.5
    assert faults(drawn) == []


def test_without_a_width_each_figure_has_its_own():
    for width in ([], ["--width", "none"]):
        ask(width)
        assert list(plotting.new_figure(5, 2).get_size_inches()) == [5, 2]
        assert [plotting.in_a_row(count) for count in (1, 2, 5, 7)] == [1, 2, 5, 7]
        assert plotting.fitted("a line " * 30) == "a line " * 30


def test_the_page_has_room_for_all_and_a_column_for_half():
    ask(["--width", "7.16"])
    assert [plotting.in_a_row(count) for count in (1, 2, 5, 7)] == [1, 2, 5, 7]
    ask(["--width", "3.5"])
    assert [plotting.in_a_row(count) for count in (1, 2, 5, 7)] == [1, 1, 2, 3]
    assert plotting.in_rows(14, 7) == 5
    assert len(plotting.fitted("a line " * 30).splitlines()) > 3


def test_panels_that_lack_room_stand_below_each_other():
    ask(["--width", "3.5"])
    above, below = plotting.beside(Figure(), 2, width_ratios=(1, 2))
    assert above.get_position().y0 > below.get_position().y1


@pytest.mark.parametrize("width", ["0", "-1", "wide"])
def test_a_width_is_a_positive_number(width):
    with pytest.raises(SystemExit):
        ask(["--width", width])

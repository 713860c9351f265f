"""Evasions under jitter: what a network does to gaps, probabilities that can be computed, the table and the figure."""

import detectors
import numpy as np
import pandas as pd
import pytest
import rugged
import torch
from explained import INDEX, StandIn
from pages import Cells

import plot_jitter
import tabulate_jitter
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.jitter import jittered, mean_interval, survival, with_margin
from rnnids.attacks.minimum_norm import MinimumNorm


@pytest.fixture(scope="module")
def flows():
    return rugged.targets(30)


def test_jitter_changes_gaps_alone_and_no_packet_overtakes(flows):
    copies = jittered(flows, 10.0, draws=50, rng=np.random.default_rng(0))
    assert len(copies) == 50 * len(flows)
    np.testing.assert_array_equal(copies.row, np.repeat(flows.row, 50))
    before = flows.take(np.repeat(np.arange(len(flows)), 50))
    for name, column in copies.packets.items():
        if name != "iat_ns":
            np.testing.assert_array_equal(column, before.packets[name])
    gap, original = copies.packets["iat_ns"], before.packets["iat_ns"]
    assert (gap >= 0).all()
    assert (gap[copies.start] == original[copies.start]).all()
    assert (gap % flows.clock_resolution_ns == 0).all()
    free = original > 60_000_000  # six standard deviations from being cut at 0
    assert free.sum() > 1000
    noise = (gap - original)[free] / 1e6
    assert noise.mean() == pytest.approx(0, abs=5 * 10 / np.sqrt(free.sum()))
    assert noise.std() == pytest.approx(10, rel=0.05)


def gap_detector(threshold):
    """Its logit is a threshold less the gap before the packet, both as z-scores."""
    return StandIn(lambda x: threshold - x[..., INDEX["interarrival_time"]])


def middle_gap(flows):
    """The median gap before a flow's last packet, as a z-score."""
    iat = INDEX["interarrival_time"]
    gaps = flows.packets["iat_ns"][flows.start + flows.packet_count - 1][flows.packet_count > 1] / 1e6
    return (np.median(gaps) - flows.mean[iat]) / flows.std[iat]


def test_the_probability_is_that_of_the_noise(flows):
    """A flow whose last gap lies m standard deviations beyond the threshold stays benign with probability Phi(m)."""
    iat = INDEX["interarrival_time"]
    long = flows.take((flows.packet_count > 1) & (flows.packets["iat_ns"][flows.start + flows.packet_count - 1] > 6e7))
    gap = long.packets["iat_ns"][long.start + long.packet_count - 1] / 1e6
    middle = np.median(gap)
    threshold = (middle - flows.mean[iat]) / flows.std[iat]
    found = survival(gap_detector(threshold), long, jitter_ms=10.0, draws=2000, seed=1)
    expected = torch.special.ndtr(torch.tensor((gap - middle) / 10.0)).numpy()
    np.testing.assert_allclose(found, expected, atol=5 * 0.5 / np.sqrt(2000))
    none = survival(gap_detector(threshold), long, jitter_ms=1e-6, draws=3)
    np.testing.assert_array_equal(none[np.abs(gap - middle) > 0.1], (gap > middle)[np.abs(gap - middle) > 0.1])


def test_goal_all_needs_every_packet(flows):
    detector = gap_detector(middle_gap(flows))
    one, every = (survival(detector, flows, jitter_ms=50.0, draws=20, goal=goal) for goal in ("last", "all"))
    assert (every <= one).all() and (every < one).any()


def test_the_same_seed_gives_the_same_networks(flows):
    detector, settings = gap_detector(middle_gap(flows)), {"jitter_ms": 50.0, "draws": 20}
    first, again, other = (survival(detector, flows, seed=seed, **settings) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_each_margin_is_reached_or_not_counted_and_costs_more():
    detector, data = detectors.trained()
    flows = data.take(np.flatnonzero(data.is_attack)[:40])
    known = MinimumNorm(iterations=30, delta=0.0)(detector, flows)
    flows, evasions = (each.take(known.success & ~known.already_benign) for each in (flows, known.adversarial))
    assert len(flows) > 5
    before = None
    for delta in (0.0, -0.2, -1.0):
        found, reached = with_margin(detector, flows, evasions, delta=delta, iterations=40, threat_model=ThreatModel())
        logit = detectors_logit(detector, found)
        np.testing.assert_array_equal(reached, logit <= delta)
        assert (found.packets["length"] >= flows.packets["length"]).all()
        added = np.add.reduceat(found.packets["length"].astype(int) - flows.packets["length"], flows.start)
        if before is not None:
            assert added[reached].mean() >= before[reached].mean() * 0.9
        else:
            assert reached.all()  # those known count where nothing nearer is found
        before = added


def detectors_logit(detector, flows):
    from rnnids.detectors.inference import last_of_flow, packet_logits

    return last_of_flow(packet_logits(detector, flows), flows.packet_count)


def test_the_interval_is_that_of_a_mean():
    rng = np.random.default_rng(0)
    values = rng.random(200)
    mean, low, high = mean_interval(values, 2000, rng)
    assert mean == values.mean()
    assert high - mean == pytest.approx(1.96 * values.std() / np.sqrt(200), rel=0.15)
    assert mean - low == pytest.approx(1.96 * values.std() / np.sqrt(200), rel=0.15)
    assert np.isnan(mean_interval(values[:0], 10, rng)).all()


def frame(threat_model="my_paper"):
    rows = []
    for attack in ("All", "DoS Hulk", "Botnet ARES"):
        for version, delta in (("original", np.nan), ("evasion", 0.0), ("evasion", -0.2)):
            for size in (0.0, 1.0, 10.0):
                share = 0.0 if version == "original" else 1 - size / 20 - delta / 5 * (size > 0)
                rows.append(
                    {"attack": attack, "version": version, "delta": delta, "jitter_ms": size, "chosen": 9, "reached": 8}
                    | {"flows": 7, "draws": 200, "survival": share, "low": share - 0.1, "high": share + 0.1}
                )
    return pd.DataFrame(rows).assign(model="baseline", threat_model=threat_model, goal="last")


def test_the_table_shows_margins_in_rows_and_jitter_in_columns(tmp_path):
    path = tmp_path / "tiny/baseline/attacks/jitter/last/my_paper.csv"
    path.parent.mkdir(parents=True)
    frame().to_csv(path, index=False)
    tabulate_jitter.main(["--jitter", str(path), "--output", str(tmp_path / "a.csv")])
    rows = Cells((tmp_path / "a.html").read_text()).rows
    assert rows[0] == ["Model", "Goal", "Threat model", "Margin", "Reach it", "No jitter", "1 ms", "10 ms"]
    first = ["baseline", "last", "my paper"]
    assert rows[1] == [*first, "unmodified", "8 of 9", "0 % (-10 to 10)", "0 % (-10 to 10)", "0 % (-10 to 10)"]
    assert rows[2][3:] == ["0", "8 of 9", "100 % (90 to 110)", "95 % (85 to 105)", "50 % (40 to 60)"]
    assert rows[3][3:] == ["-0.2", "8 of 9", "100 % (90 to 110)", "99 % (89 to 109)", "54 % (44 to 64)"]
    assert len(rows) == 4
    assert (pd.read_csv(tmp_path / "a.csv").dataset == "tiny").all()


def test_the_figure_has_a_panel_for_each_threat_model_and_a_line_for_each_jitter():
    table = pd.concat([frame("paper"), frame("payload_3s")])
    figure = plot_jitter.draw(table)
    above, below = figure.subfigs
    assert [panel.get_title() for panel in above.axes] == ["Paper, N = 7", "Payload 3s, N = 7"]
    for panel in (*above.axes, *below.axes):
        lines = {line.get_label(): line.get_xydata() for line in panel.get_lines()}
        assert list(lines) == ["1 ms", "10 ms"]
        np.testing.assert_allclose(lines["10 ms"], [[-0.2, 54], [0, 50]])
        assert panel.get_xlim()[0] > panel.get_xlim()[1]  # a larger margin to the right
    assert len(below.axes) == 2


def test_the_files_are_drawn(draw_files):
    files = draw_files(plot_jitter, jitter=[frame("paper"), frame("payload")])
    assert all(files.values())

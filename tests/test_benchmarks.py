"""What the benchmarks stand on: generated captures keep the flows of their sources, and limits are checked."""

import csv
import importlib.util
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from captures import ACK, START, ethernet, icmp, ipv4, pcap, random_traffic, tcp
from conftest import REPOSITORY
from test_flows import flows_of
from test_pcap import read

from rnnids.attacks import descent
from rnnids.errors import InputError

SESSION = REPOSITORY / "resources" / "lab" / "session4_thu.pcap.gz"
SECOND = 10**9  # nanoseconds


def load(name):
    """A benchmark as a module."""
    if str(REPOSITORY / "benchmarks") not in sys.path:
        sys.path.append(str(REPOSITORY / "benchmarks"))
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_benchmark_says_what_it_measures():
    names = sorted(path.stem for path in (REPOSITORY / "benchmarks").glob("*.py") if path.stem != "measure")
    runs = {name: [sys.executable, REPOSITORY / f"benchmarks/{name}.py", "--help"] for name in names}
    for name, command in runs.items():
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0 and name in run.stdout, run.stderr


growth = load("growth")
plan = load("plan")


generator = load("generate_capture")


def generate(sources, packets, output, *more):
    """Run the generator as a command would; returns `output`."""
    words = ["generate_capture.py", "--packets", packets, "--output", output, "--sources", *sources, *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(word) for word in words])
        generator.main()
    return output


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Two small captures, one after the other."""
    folder = tmp_path_factory.mktemp("sources")
    packets = [
        (START + i * SECOND // 10, ethernet(ipv4("10.0.0.1", f"10.255.0.{1 + i % 7}", 6, tcp(1000 + i % 3, 80, ACK))))
        for i in range(300)
    ]
    packets[5] = packets[5][0], ethernet(ipv4("10.0.0.1", "10.0.0.2", 1, icmp(8)))
    packets[6] = packets[6][0], bytes(12) + b"\x08\x06" + bytes(28)  # ARP
    for number in range(2):
        (folder / f"{number}.pcap").write_bytes(pcap(packets[150 * number : 150 * (number + 1)]))
    return [folder / "0.pcap", folder / "1.pcap"]


def shape(flow):
    """What does not change from copy to copy: ports, protocol and packets."""
    return flow[4:7] + flow[8:]


def test_copies_have_the_flows_of_their_sources_at_other_times_and_addresses(sources, tmp_path):
    one = flows_of(generate(sources, 300, tmp_path / "one.pcap"))
    three = flows_of(generate(sources, 900, tmp_path / "three.pcap"))
    assert three[: len(one)] == [flow[:7] + three[i][7:8] + flow[8:] for i, flow in enumerate(one)]
    assert Counter(map(shape, three)) == Counter({key: 3 * count for key, count in Counter(map(shape, one)).items()})
    assert len({flow[2:4] for flow in three}) == 3 * len({flow[2:4] for flow in one})
    starts = np.array([flow[0] for flow in three]).reshape(3, -1)
    assert (np.diff(starts, axis=0) == starts[1, 0] - starts[0, 0]).all()
    assert starts[1, 0] - starts[0, 0] > 1800 * SECOND


@pytest.mark.parametrize("count", [1, 149, 150, 151, 299, 300, 301, 1000])
def test_any_number_of_packets_can_be_asked_for(sources, count, tmp_path):
    found, capture = read(generate(sources, count, tmp_path / "some.pcap"))
    assert len(found) == count
    assert capture.warnings == []
    assert (np.diff([time for time, *_ in found]) >= 0).all()


def test_full_packets_are_as_long_as_they_were_and_give_the_same_flows(tmp_path):
    cut = flows_of(generate([SESSION], 5000, tmp_path / "cut.pcap"))
    full = generate([SESSION], 5000, tmp_path / "full.pcap", "--full")
    assert full.stat().st_size > 3 * (tmp_path / "cut.pcap").stat().st_size
    assert flows_of(full) == cut
    for _, _, frame in read(full)[0]:
        if frame[12:14] == b"\x08\x00":
            assert len(frame) >= 14 + int.from_bytes(frame[16:18], "big")


def test_what_is_no_source_is_refused(tmp_path):
    (tmp_path / "big.pcap").write_bytes(pcap(list(random_traffic(np.random.default_rng(0), 3)), order=">"))
    with pytest.raises(InputError, match=r"big\.pcap: byte 0: not an Ethernet pcap in microseconds"):
        generate([tmp_path / "big.pcap"], 3, tmp_path / "out.pcap")
    assert not (tmp_path / "out.pcap").exists()


def test_growth_writes_a_table_and_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "check", lambda rows: None)  # times of nothing but starts
    table, page = tmp_path / "scale.csv", tmp_path / "scale.md"
    monkeypatch.setattr(sys, "argv", ["growth.py", "--sizes", "0.02", "0.03", "--csv", str(table), "--page", str(page)])
    growth.main()
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["stage"], float(row["million_packets"])) for row in rows] == [
        (stage, size) for size in (0.02, 0.03) for stage in growth.stages(tmp_path)
    ]
    assert all(float(row["peak_mib"]) > 30 for row in rows)
    text = page.read_text()
    assert text.count("\n| extract_flows |") == 3
    assert "make -C benchmarks growth" in text


def rows_of(stage, times, peak=100):
    return [
        {"million_packets": size, "stage": stage, "work_s": time, "peak_mib": peak}
        for size, time in zip((1, 2, 4), times, strict=True)
    ]


def test_limits_of_growth():
    good = rows_of("extract_flows", (1, 2, 4)) + rows_of("build_dataset", (3, 5, 8))
    growth.check(good)
    assert growth.exponent(good[:3]) == pytest.approx(1)
    with pytest.raises(InputError, match=r"build_dataset: .*exponent 2\.00"):
        growth.check(good[:3] + rows_of("build_dataset", (1, 4, 16)))
    with pytest.raises(InputError, match=r"extract_flows: peak 1\.56 GiB"):
        growth.check(rows_of("extract_flows", (1, 2, 4), 1600) + good[3:])


def test_the_start_is_taken_off():
    rows = [{"stage": "a", "million_packets": size, "cpu_s": 3 + size} for size in (0.01, 1, 2)]
    assert [row["work_s"] for row in growth.without_start(rows)] == [0.99, 1.99]


def test_training_is_measured_in_all_ways(tmp_path):
    table, page = tmp_path / "train.csv", tmp_path / "train.md"
    words = ["--hidden-size", 8, "--num-layers", 1, "--flows", 300, "--longest", 20, "--repeats", 1, "--threads", 1]
    words += ["--device", "cpu", "--csv", table, "--page", page]
    command = [sys.executable, REPOSITORY / "benchmarks/training.py", *map(str, words)]
    subprocess.run(command, check=True)
    with open(table, newline="") as file:
        rows = {row["way"]: row for row in csv.DictReader(file)}
    assert float(rows["ours"]["ours_is_faster"]) == 1
    assert len(rows) == 4
    assert all(float(row["packets_per_second"]) > 0 for row in rows.values())
    assert page.read_text().count("\n| ") == 2 + len(rows)


def job(name, after=(), gpus=1):
    """A planned job that makes a file of its name."""
    return (name, {}, list(after), [name], gpus)


@pytest.mark.parametrize(("gpus", "hours"), [(1, 6), (2, 3), (4, 2), (6, 1), (60, 1)])
def test_equal_jobs_share_the_gpus(gpus, hours):
    assert plan.schedule([job(str(number)) for number in range(6)], [1] * 6, gpus) == hours


def test_a_chain_takes_the_sum_and_others_fill_the_gap():
    chain = [job("a"), job("b", "a"), job("c", ["b", "given"])]
    assert plan.schedule(chain, [1, 2, 4], 8) == 7
    assert plan.schedule([*chain, job("d"), job("e")], [1, 2, 4, 3, 4], 2) == 7
    assert plan.schedule([*chain, job("d")], [1, 2, 4, 3], 1) == 10


def test_jobs_without_a_gpu_never_wait():
    assert plan.schedule([job("a"), *(job(str(number), gpus=0) for number in range(9))], [1] * 10, 1) == 1


def test_more_gpus_than_there_are():
    with pytest.raises(ValueError, match="more than 2 GPUs"):
        plan.schedule([job("a", gpus=4)], [1], 2)


def test_the_plan_of_the_shipped_study():
    study = [REPOSITORY / "config/paper.yaml"]
    jobs, config = list(plan.planned_jobs(study)), plan.configuration(study)
    assert all(plan.seconds(one, config, 1e5) >= plan.OTHERS for one in jobs if one[4])
    counts = Counter(rule for rule, *_ in jobs)
    assert counts["attack_cw"] == 2 * 9 * 8  # data sets, kappas and the one on the adversarially trained, chunks
    assert counts["train"] == 2 * 4
    searches = sum(plan.seconds(one, config, 1e5) for one in jobs if one[0] == "search_evasions")
    config["search"]["near_starts"] *= 2
    assert sum(plan.seconds(one, config, 1e5) for one in jobs if one[0] == "search_evasions") > 1.1 * searches
    assert {rule for rule, *_, gpus in jobs if gpus} >= {"train", "attack_cw", "search_evasions"}
    made = {file for *_, outputs, _ in jobs for file in outputs}
    assert all(
        made & set(inputs) for rule, _, inputs, _, _ in jobs if rule in ("train", "attack_cw", "ars", "plot_fig2")
    )


@pytest.fixture
def attack_growth(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return load("attack_growth")


@pytest.mark.parametrize("name", ["flows", "kappas", "iterations"])
def test_an_attack_whose_growth_is_measured_does_all_its_work(attack_growth, name, monkeypatch):
    gradients, plain = [], descent.logits_and_gradient

    def counting(model, batch, *rest, **options):
        gradients.append(len(batch.last))
        return plain(model, batch, *rest, **options)

    monkeypatch.setattr(descent, "logits_and_gradient", counting)
    for factor in (1, 3):
        sizes = {"flows": 4, "packets": 3, "kappas": 2, "iterations": 5, "hidden_size": 4}
        sizes[name] *= factor
        gradients.clear()
        attack_growth.attack(attack_growth.Sizes(**sizes))()
        assert sum(gradients) == factor * 4 * 2 * 5


def test_limits_of_the_growth_of_attacks(attack_growth, tmp_path, monkeypatch):
    rows = [{"growing": name, "size": size, "seconds": size} for name in attack_growth.GROWTH for size in (1, 2, 4)]
    attack_growth.check(attack_growth.summary(rows))
    for row in rows:
        row["seconds"] **= 2
    with pytest.raises(InputError, match=r"flows: exponent 2\.00"):
        attack_growth.check(attack_growth.summary(rows))
    monkeypatch.setattr(attack_growth, "GROWTH", dict.fromkeys(attack_growth.GROWTH, (1, 2)))
    monkeypatch.setattr(attack_growth, "check", lambda rows: None)  # times of nothing but starts
    words = ["--repeats", 1, "--threads", 1, "--csv", tmp_path / "a", "--page", tmp_path / "b"]
    monkeypatch.setattr(sys, "argv", ["attack_growth.py", *map(str, words)])
    attack_growth.main()
    assert (tmp_path / "a").read_text().count("\n") == 1 + 2 * len(attack_growth.GROWTH)
    assert (tmp_path / "b").read_text().count("\n| ") == 2 + len(attack_growth.GROWTH)


def test_extraction_is_measured_beside_what_is_installed(tmp_path):
    words = ["--packets", 2000, "--loaded", 20_000, "--repeats", 1, "--folder", tmp_path]
    script = REPOSITORY / "benchmarks/extraction.py"
    run = subprocess.run([sys.executable, script, *map(str, words)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    with open(tmp_path / "extract.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"ours", "cat", "sha256sum"} <= {row["tool"] for row in rows}
    for row in rows:
        ours = next(other for other in rows if other["capture"] == row["capture"] and other["tool"] == "ours")
        rates = [float(other["million_packets_per_second"]) for other in (ours, row)]
        assert float(row["ours_is_faster"]) == pytest.approx(rates[0] / rates[1])
    assert "million packets into memory" in (tmp_path / "load.md").read_text()


def run_benchmark(name, words, folder, repeats=1):
    """The rows that a benchmark writes as CSV; it must end well and write its page."""
    words = [*words, "--repeats", repeats, "--csv", folder / "table.csv", "--page", folder / "page.md"]
    script = REPOSITORY / "benchmarks" / f"{name}.py"
    run = subprocess.run([sys.executable, script, *map(str, words)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (folder / "page.md").read_text().startswith("# ")
    with open(folder / "table.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_stages_of_extraction_are_measured(tmp_path):
    # The median of several, since a disturbance of one run can be as long as a stage.
    rows = run_benchmark("extraction_stages", ["--packets", 2000], tmp_path, repeats=15)
    assert [row.pop("nanoseconds a packet") for row in rows][-1] == "extraction"
    assert all(row.keys() == {"headers", "short packets", "long packets"} for row in rows)
    assert all(float(time) > 0 for row in rows for time in row.values())
    whole, last = ({name: float(time) for name, time in row.items()} for row in (rows[-1], rows[-2]))
    assert all(whole[name] > last[name] for name in whole)  # "sort, group and write" is a part of it


def test_products_are_measured_and_right(tmp_path):
    rows = run_benchmark("products", ["--hidden-size", 16, "--rows", 40, 2, "--operations", 1e5], tmp_path)
    errors = {row["product"]: float(row["relative error"]) for row in rows}
    assert {"bfloat16", "float32, torch's default"} <= errors.keys()
    assert all(0 < error < (1e-2 if name == "bfloat16" else 1e-5) for name, error in errors.items())
    assert all(float(row["2 rows"]) > 0 for row in rows)

"""The results page: what it says against the cells of the tables, what is missing, its links, and a browser on it."""

import csv
import hashlib
import html
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import pytest
from conftest import REPOSITORY

import make_page
from rnnids.errors import InputError
from rnnids.reporting.chart_data import chart_data
from rnnids.reporting.contents import SECTIONS
from rnnids.reporting.results import Results
from rnnids.reporting.results_page import rendered_caption
from rnnids.reporting.tables import html_page, single
from rnnids.reporting.verdict import verdict

PARTS = REPOSITORY / "scripts/page"
AXE = REPOSITORY / ".test-tools/node_modules/axe-core/axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TYPES = ["Slow <b>DoS</b>", "Scan & sweep"]
VOID = {"meta", "img", "br", "link", "input"}


def scores(model, **change):
    """Rows of table_ars of one model."""
    first = {"dataset": "tiny", "model": model, "category": "C", "flows": 20, "immovable": 0, "already_benign": 1}
    rest = {"low": 0.5, "high": 2.0, "ars_margin": 1.5, "exact": 0.1, "early_alarm": 0.2, "verdict": "ok"}
    return [
        first
        | rest
        | {"threat_model": threat, "goal": "last", "attack": attack, "success_ratio": share}
        | {"ars": ars + shift, "ars_lower": lower if threat == "paper" else math.nan}
        | change
        for threat, shift in (("paper", 0), ("payload_3s", 1))
        for attack, share, ars, lower in ((TYPES[0], 0.9, 0.8125, 0.25), (TYPES[1], 0.3, math.inf, math.inf))
    ]


def defence_rows(model, accuracy, success):
    """Rows of table_defences of one model."""
    rows = [
        {"measure": "flow accuracy", "value": accuracy},
        {"measure": "flow recall at 1 % false alarms", "value": 0.75},
    ]
    rows += [
        {"measure": "ARS", "attack": attack, "flows": 20, "value": ars}
        for attack, ars in zip(TYPES, (1 / success, math.inf), strict=True)
    ]
    rows += [{"measure": "success ratio", "attack": attack, "flows": 20, "value": success} for attack in TYPES]
    return [{"dataset": "tiny", "model": model, "attack": None, "flows": None} | row for row in rows]


def transfer_rows(trained_on, tested_on, recall):
    """Rows of table_transfer of one detector."""
    first = {
        "trained_on": trained_on,
        "tested_on": tested_on,
        "model": "baseline",
        "of": "flow",
        "low": 0.1,
        "high": 0.9,
    }
    return [first | {"measure": "accuracy", "value": 0.96}, first | {"measure": "recall", "value": recall}]


def tables():
    """{path: data frame} of small results."""
    metrics = {"accuracy": 97.125, "recall": 93.0625}
    flows = ("own threshold", "baseline")
    sequence = [
        {"attack": attack, "feature": feature, "step": step, "value": value, "confidence": 0.25 * step, "flows": 9}
        for attack in TYPES
        for feature in ("packet_length", "interarrival_time")
        for step in (1, 2)
        for value in (0.0, 5.0, 500.0)
    ]
    means = [
        {"attack": attack, "feature": feature, "step": step, "flows": 7, "original": 5, "adversarial": 50 * step}
        | {"original_median": 4, "adversarial_median": 40 * step}
        for attack in TYPES
        for feature in ("packet_length", "interarrival_time")
        for step in (1, 2)
    ]
    packets = [
        {"threat_model": "paper", "goal": "last", "attack": attack, "sample": "nearest" if twin else "detected"}
        | {
            "row": 40 + place,
            "l1": 1.25 if twin else math.inf,
            "packet": packet,
            "direction": ("reverse", "forward")[packet % 2],
        }
        | {"length": 60 * packet, "iat_ms": 10.0**packet * (packet > 1), "confidence": 0.9}
        | {
            "adversarial_length": twin and 70 * packet,
            "adversarial_iat_ms": twin and 11.0 * (packet > 1),
            "adversarial_confidence": twin and 0.1,
        }
        for place, (attack, twin) in enumerate(zip(TYPES, (1, None), strict=True))
        for packet in (1, 2, 3)
    ]
    budget = [
        {
            "model": model,
            "threat_model": threat,
            "goal": "last",
            "attack": attack,
            "flows": 40,
            "evasions": 24,
            "unit": unit,
        }
        | {"budget": amount, "share": share, "median_bytes": 284.0, "median_ms": 0.5, "median_packets": 1.0}
        for model in ("baseline", "reduced_both")
        for threat in ("paper", "payload_3s")
        for attack in ("All", *TYPES)
        for unit in ("bytes", "seconds")
        for amount, share in ((0.0, 0.1), (1.0, 0.2), (1000.0, 0.625))
    ]
    kappas = [
        {
            "model": "baseline",
            "attack": attack,
            "flows": 20,
            "kappa": kappa,
            "success_ratio": kappa / 4,
            "mean_l1": distance,
        }
        for attack in ("All", *TYPES)
        for kappa, distance in ((0.5, math.nan), (2, 1.5))
    ]
    detected = [
        {
            "point": flows[0],
            "model": flows[1],
            "attack": attack,
            "flows": 50,
            "recall": recall,
            "false_alarms": 0.0125,
            "per_hour": 1048.2,
        }
        for attack, recall in (("All", 0.93), (TYPES[0], 1.0), (TYPES[1], 0.4375), ("Empty type", math.nan))
    ]
    budget = pd.DataFrame(budget)
    return {
        "tables/table2.csv": pd.DataFrame(
            [
                {"source": "ours", "dataset": "tiny", "model": "baseline", "level": level, "metric": metric}
                | {"value": value, "low": value - 1, "high": value + 1}
                for level in ("packet", "flow")
                for metric, value in metrics.items()
            ]
        ),
        "tables/detection.csv": pd.DataFrame(detected),
        "tables/ars.csv": pd.DataFrame([*scores("baseline"), *scores("reduced_both", verdict="inert")]),
        "tables/table_defences.csv": pd.DataFrame(
            [*defence_rows("baseline", 0.97, 0.9), *defence_rows("reduced_both", 0.95, 0.05)]
        ),
        "tables/transfer.csv": pd.DataFrame(
            [*transfer_rows("tiny", "tiny", 0.93), *transfer_rows("tiny", "other", 0.4)]
        ),
        "tables/seeds.csv": pd.DataFrame(
            [
                {"model": "baseline", "quantity": quantity, "of": "", "seeds": 3, "mean": mean}
                | {"smallest": mean - 0.01, "largest": mean + 0.01}
                for quantity, mean in (("packet accuracy", 0.9), ("flow accuracy", 0.97), ("flow recall", 0.93))
            ]
        ),
        "seed_conclusions.csv": pd.DataFrame(
            [
                {"subject": "Flow accuracy of wide_one, against baseline", "first": "lower", "same": 2, "seeds": 3},
                {"subject": "Feature that matters most to baseline", "first": "direction", "same": 3, "seeds": 3},
                {"subject": "Rank correlation", "first": "0.91", "same": None, "seeds": 3},
            ]
        ).astype({"same": "Int64"}),
        "label_audit.csv": pd.DataFrame(
            [{"section": "twins", "subject": "as built / All", "measure": "near_duplicates_percent", "value": "83.25"}]
        ),
        "baseline/attacks/cw/summary.csv": pd.DataFrame(kappas),
        **{f"{model}/budget.csv": own for model, own in budget.groupby("model")},
        "baseline/explanations/sequential_pdp.csv": pd.DataFrame(sequence),
        "baseline/explanations/sequential_means.csv": pd.DataFrame(means),
        "baseline/flow_samples.csv": pd.DataFrame(packets),
    }


def write(folder, frames):
    """Write results into a folder; a figure in all formats and a table for people come with them."""
    for name, frame in frames.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(folder / name, index=False)
    (folder / "figures").mkdir(exist_ok=True)
    picture = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><rect width="9" height="9"/></svg>'
    for name in ("fig1", "fig6", "fig6_before_after", "fig_detection"):
        (folder / f"figures/{name}.svg").write_text(picture)
        (folder / f"figures/{name}.pdf").write_bytes(b"%PDF")
    (folder / "tables").mkdir(exist_ok=True)
    rows = [("baseline", attack, value) for attack in TYPES for value in ("∞", "0.5", "12", "3")] * 4
    page = single(
        ("Model", "Attack type", "ARS"), rows, "Scores", caption="Of all.", text_columns=("Model", "Attack type")
    )
    (folder / "tables/ars.html").write_text(html_page(page))
    return folder


@pytest.fixture
def folder(tmp_path):
    """Results of a data set, whose path has a blank."""
    return write(tmp_path / "my results" / "tiny", tables())


def told(frames, tmp_path):
    """The statements on some tables, {question: text}; those of one question below each other."""
    folder = write(tmp_path / "told", frames)
    results = Results(make_page.listed(sorted(folder.rglob("*")), folder))
    found = {}
    for statement in verdict(results):
        text = statement.text.replace("\N{NO-BREAK SPACE}", " ")
        found[statement.question] = "\n".join(filter(None, (found.get(statement.question), text)))
    return found


def made(folder, *words):
    """The page of a folder, as text."""
    make_page.main(["--output", str(folder / "index.html"), "--captions", str(REPOSITORY / "workflow/report"), *words])
    return (folder / "index.html").read_text()


class Elements(HTMLParser):
    """The elements of a page: (tag, attributes), the texts of some, and what is closed wrongly."""

    def __init__(self, page):
        super().__init__()
        self.found, self.open, self.faults = [], [], []
        self.feed(page)
        self.faults += self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def values(self, attribute):
        return [attrs[attribute] for _, attrs in self.found if attribute in attrs]


def test_every_number_of_the_verdict_is_that_of_its_cell(folder):
    results = Results(make_page.listed(sorted(folder.rglob("*")), folder))
    cells = [cell for statement in verdict(results) for cell in statement.cells]
    assert len(cells) > 30
    for cell in cells:
        with open(folder / cell.file, newline="") as file:
            lines = list(csv.reader(file))
        assert cell.column in lines[0]
        if cell.line:
            assert lines[cell.line - 1][lines[0].index(cell.column)] == cell.value
        shown, value = float(cell.text.split("\N{NO-BREAK SPACE}")[0].replace(",", "")), float(cell.value)
        assert any(shown == pytest.approx(scale * value, rel=0.01, abs=0.05) for scale in (1, 100)), cell


def test_it_says_what_the_tables_say(tmp_path):
    said = told(tables(), tmp_path)
    assert said["Detection"] == (
        "Baseline classifies 97.1 % of the test flows correctly (95 % interval 96.1 % to 98.1 %). Baseline detects"
        " 93.1 % of the attack flows and raises the alarm on 1.25 % of the benign ones, 1,048 an hour at the rate of"
        " the recording."
    )
    assert said["Worst detected"] == "Scan & sweep: 43.8 % of its 50 test flows are detected."
    assert said["Split"].startswith("83.2 % of the test flows have a near duplicate")
    assert said["Evasion, paper"] == (
        "Slow <b>DoS</b> is the easiest to disguise. Its ARS is at most 0.812 z-scores (95 % interval 0.5 to 2), and no"
        " attack can bring it below 0.25; 90 % of its 20 attacked flows pass for benign. At least half of the flows"
        " evade in 1 of 2 types (in 1 it is proven that no attack can do so)."
    )
    assert "1.81 z-scores" in said["Evasion, payload 3s"]
    assert said["Cost of evasion"] == (
        "The median of 24 evasions under threat model paper adds 284 bytes and 0.5 ms; packets touched: 1."
    )
    assert said["Independent check"].startswith(
        "The check with random flows finds nothing against 4 of 8 scores. 4 are inert"
    )
    assert said["Defences"] == (
        "Of two models reduced both is the hardest to evade: 5 % of the attacked flows pass for benign, with baseline"
        " 90 %. Flow accuracy is 95.0 % instead of 97.0 %, recall at 1 % false alarms 75.0 % instead of 75.0 %."
    )
    assert said["Another recording"] == (
        "Trained on tiny, tested on other: flow accuracy 96.0 %, recall 40.0 %; on the test split of tiny 96.0 % and"
        " 93.0 %."
    )
    assert said["Other trainings"] == (
        "Baseline, flow accuracy over 3 trainings: 97.0 % on average, from 96.0 % to 98.0 %; flow recall over 3"
        " trainings: 93.0 % on average, from 92.0 % to 94.0 %."
    )
    assert said["Conclusions"] == (
        "1 of 2 conclusions of the first training hold in all. Flow accuracy of wide one, against baseline: lower in 2"
        " of 3."
    )


@pytest.mark.parametrize("name", [name for name in tables() if name.startswith("tables/")])
def test_a_missing_table_is_named(tmp_path, name):
    frames = tables()
    del frames[name]
    said = "\n".join(told(frames, tmp_path).values())
    alone = {
        "tables/transfer.csv": "Not measured: no other recording",
        "tables/detection.csv": "of the attack flows.",
        "tables/seeds.csv": "Not measured: every number on this page is of one training",
    }
    assert alone.get(name, f"Unknown: {name} has not been made.") in said


@pytest.mark.parametrize("name", tables())
def test_an_empty_table_breaks_nothing(tmp_path, name):
    frames = tables()
    frames[name] = frames[name].iloc[:0]
    folder = write(tmp_path / "tiny", frames)
    assert not Elements(made(folder)).faults


def test_nothing_at_all_is_a_page_too(tmp_path):
    (tmp_path / "tiny").mkdir()
    page = made(tmp_path / "tiny")
    assert page.count("Unknown: ") == 4
    assert page.count("Nothing of this is there yet") == len(SECTIONS)


def test_scores_that_are_all_infinite(tmp_path):
    frames = tables()
    frames["tables/ars.csv"] = frames["tables/ars.csv"].assign(ars=math.inf).drop(columns="ars_lower")
    said = told(frames, tmp_path)["Evasion, paper, payload 3s"]
    assert said == (
        "Every score is infinite. At least half of the flows evade in 0 of 2 types under paper, in 0 of 2 types under"
        " payload 3s."
    )


def test_threat_models_under_which_the_same_is_true_share_a_sentence(tmp_path):
    frames = tables()
    same = frames["tables/ars.csv"]
    frames["tables/ars.csv"] = same.assign(ars=[2.5, math.inf] * 4, ars_lower=math.nan)
    assert told(frames, tmp_path)["Evasion, paper, payload 3s"].endswith(
        "At least half of the flows evade in 1 of 2 types under paper, in 1 of 2 types under payload 3s."
    )


def test_a_type_that_is_missed_as_it_is(tmp_path):
    frames = tables()
    frames["tables/ars.csv"].loc[0, ["ars", "ars_lower"]] = 0
    assert told(frames, tmp_path)["Evasion, paper"].startswith(
        "Slow <b>DoS</b> needs no disguise: half of its attacked flows are missed as they are. Its ARS is 0."
    )


def test_scores_that_are_undefined(tmp_path):
    frames = tables()
    frames["tables/ars.csv"] = frames["tables/ars.csv"].assign(ars=math.nan)
    said = told(frames, tmp_path)["Evasion, paper, payload 3s"]
    assert said.startswith("No score is defined under paper: no attack flow of the test split was attacked")


def test_a_red_gate_is_a_warning(tmp_path):
    frames = tables()
    frames["tables/ars.csv"].loc[0, "verdict"] = "refuted"
    said = told(frames, tmp_path)
    assert "1 is refuted, as a random draw found a nearer evasion" in said["Independent check"]
    assert "baseline, Slow <b>DoS</b> (paper). Do not rely on these." in said["Independent check"]
    assert "The independent check calls this score refuted." in said["Evasion, paper"]
    page = made(write(tmp_path / "page", frames))
    assert '<div class="warning"><dt>Independent check</dt>' in page


def test_scores_without_a_check(tmp_path):
    frames = tables()
    frames["tables/ars.csv"] = frames["tables/ars.csv"].drop(columns="verdict")
    assert "finds nothing against 0 of 8 scores. 8 were not checked." in told(frames, tmp_path)["Independent check"]


def test_one_model_alone_has_no_defence(tmp_path):
    frames = tables()
    defences = frames["tables/table_defences.csv"]
    frames["tables/table_defences.csv"] = defences[defences["model"] == "baseline"]
    assert told(frames, tmp_path)["Defences"] == "No defence can be judged: no other model was attacked."


def test_a_defence_that_does_not_help(tmp_path):
    frames = tables()
    frames["tables/table_defences.csv"] = pd.DataFrame(
        [*defence_rows("baseline", 0.97, 0.5), *defence_rows("adversarial_training", 0.95, 0.75)]
    )
    assert "none is harder to evade than baseline: with it 50 %" in told(frames, tmp_path)["Defences"]


def test_no_evasion_costs_nothing(tmp_path):
    frames = tables()
    frames["baseline/budget.csv"] = frames["baseline/budget.csv"].assign(evasions=0, median_bytes=math.nan)
    assert told(frames, tmp_path)["Cost of evasion"] == "No detected flow evades under threat model paper."


def test_all_types_are_detected(tmp_path):
    frames = tables()
    frames["tables/detection.csv"] = frames["tables/detection.csv"].assign(recall=1.0)
    assert told(frames, tmp_path)["Worst detected"] == "Every attack type is detected in full."


def test_a_test_split_without_attacks(tmp_path):
    frames = tables()
    metrics = frames["tables/table2.csv"]
    metrics.loc[metrics["metric"] == "recall", ["value", "low", "high"]] = math.nan
    assert "Its recall is undefined" in told(frames, tmp_path)["Detection"]


def test_every_link_resolves_and_nothing_comes_from_elsewhere(folder):
    elements = Elements(made(folder))
    assert not elements.faults
    names = elements.values("id")
    assert len(names) == len(set(names))
    for target in elements.values("href"):
        if target.startswith("#"):
            assert target[1:] in names, target
        else:
            assert (folder / unquote(target)).is_file(), target
    assert all(source.startswith("data:") for source in elements.values("src"))
    assert not [tag for tag, _ in elements.found if tag in ("link", "iframe", "object", "embed")]


def test_names_of_attacks_are_text(folder):
    page = made(folder)
    assert "Slow &lt;b&gt;DoS&lt;/b&gt;" in page
    assert "<b>DoS" not in page


def test_the_page_is_what_html_and_readers_need(folder):
    page = made(folder)
    elements = Elements(page)
    tags = [tag for tag, _ in elements.found]
    assert page.startswith("<!DOCTYPE html>")
    assert tags.count("h1") == tags.count("main") == 1
    assert all(attrs.get("alt") for tag, attrs in elements.found if tag == "img")
    assert tags.count("caption") == tags.count("table")
    for section in SECTIONS:
        assert section.anchor in elements.values("id")


def test_charts_show_the_numbers_of_the_tables(folder):
    data = chart_data(Results(make_page.listed(sorted(folder.rglob("*")), folder)))
    assert data["kappa"]["curves"]["All"] == {
        "flows": 20,
        "kappa": [0.5, 2.0],
        "success": [0.125, 0.5],
        "distance": [None, 1.5],
    }
    assert data["budget"]["curves"]["reduced_both|paper|All"]["seconds"] == [0.1, 0.2, 0.625]
    assert data["budget"]["budgets"]["bytes"] == [0.0, 1.0, 1000.0]
    panel = data["dependence"]["baseline"][TYPES[0]]["interarrival_time"]
    assert panel["confidence"] == [[0.25] * 3, [0.5] * 3]
    assert panel["adversarial"] == [40.0, 80.0] and panel["evaded"] == 7
    (flow,) = data["flows"]["baseline"][TYPES[0]]
    assert flow["length"] == [60.0, 120.0, 180.0] and flow["forward"] == [1, 0, 1]
    assert flow["adversarial"]["length"] == [70.0, 140.0, 210.0]
    assert "adversarial" not in data["flows"]["baseline"][TYPES[1]][0]


def test_what_is_embedded_is_the_data(folder):
    page = made(folder)
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert json.loads(found) == chart_data(Results(make_page.listed(sorted(folder.rglob("*")), folder)))


def test_captions_are_those_of_the_report():
    text = '**{{ snakemake.wildcards.dataset }}** at {{ snakemake.config["a"]["b"] or "all" }}\n< `table_ars`.'
    assert rendered_caption(text, "lab", {"a.b": "7"}) == "<strong>lab</strong> at 7 &lt; <code>table_ars</code>."


def test_files_of_another_data_set_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="lies outside"):
        make_page.listed([tmp_path / "elsewhere.csv"], folder)


def test_libraries_are_the_published_ones():
    listed = dict(re.findall(r"\| `(\S+)` \|.*\| (\w{64}) \|", (PARTS / "vendor/README.md").read_text()))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (PARTS / "vendor").glob("*.js")}
    assert files == listed
    assert sum(path.stat().st_size for path in (PARTS / "vendor").glob("*.js")) < 1_500_000


# What a browser is asked once the page has settled: each answer goes to the page around it, which is as wide as told.
PROBE = """
addEventListener("load", () => setTimeout(async () => {
  const charts = Object.fromEntries([...document.querySelectorAll(".chart")].map((chart) =>
    [chart.id, chart.querySelectorAll(".plot svg circle, .plot svg path, .plot svg rect, .plot svg line").length]));
  const outside = [...document.querySelectorAll(".plot svg circle, .plot svg path, .plot svg rect, .plot svg line")]
    .filter((mark) => !mark.closest("[aria-label=tip]") && !mark.closest("defs")).filter((mark) => {
      const [own, frame] = [mark, mark.closest("svg")].map((one) => one.getBoundingClientRect());
      return own.bottom < frame.top - 1 || own.top > frame.bottom + 1;
    }).map((mark) => `${mark.closest(".chart").id} ${mark.outerHTML}`);
  const explorer = document.querySelector("#chart-flows");
  const before = explorer.querySelector(".legend").textContent;
  const select = explorer.querySelector("select[name=attack]");
  select.selectedIndex = 1;
  select.dispatchEvent(new Event("change"));
  const holder = explorer.querySelector(".plot [role=img]");
  holder.focus();
  holder.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  const table = document.querySelector("#table-ars table");
  const column = () => [...table.tBodies[0].rows].slice(0, 9).map((row) => row.cells[2].textContent);
  table.tHead.querySelectorAll("button")[2].click();
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  const answer = {
    charts,
    outside,
    changed: before !== explorer.querySelector(".legend").textContent,
    reading: explorer.querySelector(".reading").textContent,
    sorted: column(),
    aria: table.tHead.rows[0].cells[2].getAttribute("aria-sort"),
    overflow: document.documentElement.scrollWidth - innerWidth,
    width: innerWidth,
    pictures: [...document.images].every((image) => image.naturalWidth > 0),
    axe: globalThis.axe ? (await axe.run(document, { resultTypes: ["violations"] })).violations.map(
      ({ id, impact, nodes }) => `${impact} ${id}: ${nodes[0].html.slice(0, 200)}`) : null,
  };
  parent.postMessage(JSON.stringify(answer), "*");
}, 500));
"""
FRAME = """<!DOCTYPE html>
<title>frame</title>
<iframe src="probed.html" width="{width}" height="900" style="border: 0"></iframe>
<pre></pre>
<script>
addEventListener("message", ({{ data }}) => {{ document.querySelector("pre").textContent = data; }});
</script>
"""


@pytest.fixture
def in_browser(folder):
    """Opens the page in Chromium, so wide; returns (answers of PROBE, what was written to the console)."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium): the page is not tried in a browser")
    axe = f"<script>{AXE.read_text()}</script>" if AXE.is_file() else ""
    (folder / "probed.html").write_text(made(folder).replace("</body>", f"{axe}<script>{PROBE}</script></body>"))

    def open_page(width, *options):
        (folder / "frame.html").write_text(FRAME.format(width=width))
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000", *options]
        command += ["--virtual-time-budget=20000", "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}"]
        run = subprocess.run(
            [*command, "--dump-dom", (folder / "frame.html").as_uri()],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        answer = re.search(r"<pre>(.*?)</pre>", run.stdout, flags=re.DOTALL)[1]
        return json.loads(html.unescape(answer)), re.findall(r"(?m)^.*CONSOLE.*$", run.stderr)

    return open_page


@pytest.mark.parametrize(("width", "options"), [(1280, ()), (400, ("--blink-settings=preferredColorScheme=0",))])
def test_a_browser_shows_it(in_browser, width, options):
    answer, console = in_browser(width, *options)
    assert console == []
    assert answer["width"] == width and answer["overflow"] <= 0
    assert set(answer["charts"]) == {"chart-kappa", "chart-budget", "chart-flows", "chart-dependence"}
    assert min(answer["charts"].values()) > 10
    assert answer["outside"] == []
    assert answer["pictures"]
    assert answer["changed"] and answer["reading"].startswith("Packet 1, from the initiator: 60 bytes")
    assert answer["sorted"] == ["0.5"] * 8 + ["3"] and answer["aria"] == "ascending"
    assert not [fault for fault in answer["axe"] or [] if fault.startswith(("serious", "critical"))], answer["axe"]


def test_accessibility_is_checked(in_browser):
    if not AXE.is_file():
        pytest.skip(
            "no axe-core in .test-tools (make test-page puts it there): the page's accessibility is not checked"
        )
    answer, _ = in_browser(1280)
    assert answer["axe"] == []

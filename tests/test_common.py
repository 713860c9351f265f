"""workflow/rules: options from configuration, digests of code, captures and their names."""

import os
import runpy
import shlex
import zipfile
from types import SimpleNamespace

import pytest
from conftest import REPOSITORY
from snakemake.exceptions import WorkflowError
from snakemake.persistence import UNREPRESENTABLE, PersistenceBase

SCRIPTS = {
    "scripts/draw.py": '"""Draw."""\nfrom rnnids import shapes\nimport json\n',
    "scripts/count.py": "import rnnids.numbers\n",
    "scripts/rnnids/__init__.py": '__version__ = "1"\n',
    "scripts/rnnids/shapes.py": "from rnnids.numbers import ONE\n",
    "scripts/rnnids/numbers.py": '"""Numbers."""\nONE = 1\n\n\ndef two():\n    """Two."""\n    return 2\n',
}


@pytest.fixture
def common(tmp_path, monkeypatch):
    """A function that runs these files for a project in `tmp_path` and returns its names."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    for name, text in SCRIPTS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def load(**config):
        modifier = SimpleNamespace(path_modifier=SimpleNamespace(replace_prefix=lambda path: path))
        workflow = SimpleNamespace(basedir=str(tmp_path), executor_plugin=None, dryrun=True, modifier=modifier)
        names = {"workflow": workflow, "config": config, "BASE": tmp_path}
        for file in ("common.smk", "captures.smk", "options.smk"):
            names |= runpy.run_path(str(REPOSITORY / "workflow/rules" / file), names)
        return SimpleNamespace(**names)

    return load


def edit(tmp_path, name, old, new):
    path = tmp_path / "scripts" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_flags_turn_each_type_into_words(common):
    section = {"max_flows": 40, "delta": -0.2, "resume": True, "quiet": False, "test_captures": [], "limit": None}
    assert common().flags(section) == "--delta -0.2 --limit none --max-flows 40 --no-quiet --resume --test-captures"


def test_flags_are_the_same_text_for_the_same_values(common):
    flags = common().flags
    assert flags({"kappa": 1, "bins": [2.0, 0.5]}) == flags({"bins": [2, 0.5]}, kappa=1.0)
    assert flags({"kappa": 1.0e-5}) == "--kappa 1e-05"


def test_what_cannot_change_a_result_is_nothing_that_snakemake_compares(common, tmp_path):
    tools = common(device="cpu", training_gpus=4)
    hidden = [tools.unwatched({"batch_packets": 9}), tools.training_launcher(), tools.script("draw.py")]
    assert {PersistenceBase._serialize_param_builtin(None, value) for value in hidden} == {UNREPRESENTABLE}
    assert f"{hidden[0]}" == "--batch-packets 9 --device cpu"


def test_flags_quote_values_and_spread_lists(common):
    words = shlex.split(common().flags({"both_directions": ["Web Attack", "it's"], "kappas": [0.5, 1]}))
    assert words == ["--both-directions", "Web Attack", "it's", "--kappas", "0.5", "1"]


def test_flags_last_section_counts(common):
    assert common().flags({"epochs": 1, "seed": 2}, {"epochs": 3}, seed=4) == "--epochs 3 --seed 4"


def test_code_is_the_same_for_the_same_code(common):
    assert common().code("draw.py") == common().code("draw.py") != common().code("count.py")


@pytest.mark.parametrize(
    ("old", "new"),
    [("ONE = 1\n", "ONE = 1  # one\n\n\n"), ('"""Numbers."""', '"""What counts."""'), ('    """Two."""\n', "")],
    ids=["comment", "module docstring", "function docstring"],
)
def test_code_ignores_what_only_people_read(common, tmp_path, old, new):
    before = common().code("draw.py")
    edit(tmp_path, "rnnids/numbers.py", old, new)
    assert common().code("draw.py") == before


def test_code_follows_imports_of_imports(common, tmp_path):
    before = common().code("draw.py"), common().code("count.py")
    edit(tmp_path, "rnnids/numbers.py", "return 2", "return 3")
    after = common().code("draw.py"), common().code("count.py")
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_code_leaves_other_scripts_alone(common, tmp_path):
    before = common().code("count.py")
    edit(tmp_path, "rnnids/shapes.py", "ONE", "ONE as one")
    assert common().code("count.py") == before


def test_code_of_a_moved_checkout_is_the_same(common, tmp_path):
    before = common().code("draw.py")
    edit(tmp_path, "rnnids/__init__.py", '"1"', '"2"')
    (tmp_path / "scripts").rename(tmp_path / "elsewhere")
    (tmp_path / "scripts").symlink_to(tmp_path / "elsewhere")
    assert common().code("draw.py") == before


def dataset(*captures):
    return {"datasets": {"lab": {"captures": list(captures), "labels": "l.csv", "source": "https://example.org"}}}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("monday.pcap", "monday"),
        ("monday.pcapng", "monday"),
        ("monday.pcap.gz", "monday"),
        ("monday.v2.pcapng.zst", "monday.v2"),
        ("Monday 1", "Monday 1"),
    ],
)
def test_captures_are_named_by_their_stem(common, file, name):
    assert list(common(**dataset(file)).captures("lab")) == [name]


def test_numbered_captures_need_not_exist(common):
    captures = common(**dataset("day_{9..11}.pcap")).captures("lab")
    assert captures == {"day_9": "day_9.pcap", "day_10": "day_10.pcap", "day_11": "day_11.pcap"}


def test_two_captures_of_one_name_are_refused(common, tmp_path):
    for name in ("a.pcap", "a.pcap.gz"):
        (tmp_path / name).touch()
    with pytest.raises(WorkflowError, match=r"a\.pcap and a\.pcap\.gz would both be called 'a'"):
        common(**dataset("*")).captures("lab")


def archive(path, *members):
    with zipfile.ZipFile(path, "w") as file:
        for member in members:
            file.writestr(member, b"")


def test_numbered_members_need_not_exist_and_alike_ones_are_called_after_their_folder(common):
    captures = common(**dataset("all.zip!day 1/{9..10}.pcap", "all.zip!b/day 2/{10..11}.pcap")).captures("lab")
    assert captures == {
        "day_1_9": "all.zip!day 1/9.pcap",
        "day_1_10": "all.zip!day 1/10.pcap",
        "day_2_10": "all.zip!b/day 2/10.pcap",
        "day_2_11": "all.zip!b/day 2/11.pcap",
    }


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.pcap", ["1", "2"]),
        ("day 1/*.pcap", ["1"]),
        ("*/?.pcap*", ["1", "2", "3"]),
        ("a[1].pcap", ["a[1]"]),
        ("day 2/3.pcap.gz", ["3"]),
    ],
)
def test_globs_choose_among_the_members_of_an_archive(common, tmp_path, pattern, names):
    archive(tmp_path / "a.zip", "day 1/1.pcap", "day 2/2.pcap", "day 2/3.pcap.gz", "day 2/", "truth.csv", "a[1].pcap")
    names = [*names, "a[1]"] if pattern == "*.pcap" else names
    assert sorted(common(**dataset(f"a.zip!{pattern}")).captures("lab")) == sorted(names)


def test_a_glob_in_an_archive_that_is_not_there_is_refused(common):
    with pytest.raises(WorkflowError, match=r"gone\.zip!\*: cannot list the archive"):
        common(**dataset("gone.zip!*")).captures("lab")


def test_an_archive_is_missed_once_and_its_members_are_options(common, tmp_path):
    config = dataset("gone.zip!{1..80}.pcap", "plain.pcap")
    assert "3 of 3 files are missing:\n  gone.zip\n  plain.pcap\n  l.csv" in common(**config).missing_files("lab")
    config |= {"extraction": {"repair": False, "reorder_window": 1}}
    config["datasets"]["lab"]["extraction"] = {"repair": True}
    options = common(**config).extraction_options
    assert options("lab", "3") == "--member 3.pcap --reorder-window 1 --repair"
    assert options("lab", "plain") == "--reorder-window 1 --repair"


@pytest.mark.parametrize("name", ["a{b}.pcap", "c<d>.pcap", "e\nf.pcap", "}/g.pcap", "-h.pcap"])
def test_names_that_snakemake_takes_for_its_own_are_refused(name, common, tmp_path):
    with pytest.raises(WorkflowError, match=r"datasets\.lab\.captures: .* cannot stand there.*rename the file"):
        common(**dataset(name)).captures("lab")
    config = dataset("x.pcap")
    config["datasets"]["lab"]["labels"] = name
    with pytest.raises(WorkflowError, match=r"datasets\.lab\.labels: .* cannot stand there"):
        common(**config).label_paths("lab")


def test_such_a_member_of_an_archive_gets_another_name(common):
    rules = common(**dataset("all.zip!x/a{b}<c>.pcap", "all.zip!-d.pcap"), extraction={})
    assert list(rules.captures("lab")) == ["a_b__c_", "_d"]
    assert rules.extraction_options("lab", "_d") == "--member=-d.pcap"


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"PK\x05\x06" + b"\xff" * 18, b"PK\x01\x02" * 20])
def test_an_archive_that_cannot_be_listed_is_named(content, common, tmp_path):
    (tmp_path / "bad.zip").write_bytes(content)
    with pytest.raises(WorkflowError, match=r"bad\.zip!\*: cannot list the archive|no file matches"):
        common(**dataset("bad.zip!*")).captures("lab")


def test_a_glob_without_files_is_refused(common):
    with pytest.raises(WorkflowError, match=r"no file matches 'none/\*\.pcap'"):
        common(**dataset("none/*.pcap")).captures("lab")


def test_the_working_directory_comes_before_the_snakefile(common, tmp_path, monkeypatch):
    (tmp_path / "both.csv").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert common().locate("both.csv") == str(tmp_path / "both.csv")
    (elsewhere / "both.csv").touch()
    assert common().locate("both.csv") == "both.csv"


def test_missing_files_are_named_with_their_source(common, tmp_path):
    (tmp_path / "here.pcap").touch()
    message = common(**dataset("here.pcap", "gone_{1..20}.pcap")).missing_files("lab")
    assert "21 of 22 files are missing" in message
    assert "gone_1.pcap" in message
    assert "here.pcap" not in message
    assert "https://example.org" in message


WILDCARDS = SimpleNamespace(dataset="lab", model="baseline", result="cw/kappa_1")


def chunk_files(tmp_path, *names):
    """Make files of an attack's folder, each a second newer than the one before; "" is the attack's own file."""
    folder = tmp_path / "results/lab/baseline/attacks/cw"
    (folder / "kappa_1").mkdir(parents=True)
    for second, name in enumerate(names):
        path = folder / "kappa_1" / f"chunk_{name}.h5" if name else folder / "kappa_1.h5"
        path.touch()
        os.utime(path, (second, second))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], 3),
        (["1_of_2", "2_of_2"], 3),  # never gathered, so begun anew
        (["1_of_2", "2_of_2", ""], 2),
        (["1_of_4", "1_of_2", "2_of_2", ""], 2),  # a division that was given up
        (["1_of_2", "2_of_2", "", "1_of_4"], 2),
        (["1_of_4", "2_of_4", "3_of_4", "4_of_4", "1_of_2", "2_of_2", ""], 2),
        (["1_of_2", ""], 3),
        ([""], 3),
    ],
)
def test_an_attack_keeps_its_division_into_chunks(common, tmp_path, files, expected):
    chunk_files(tmp_path, *files)
    found = common(attacks={"selection": {"chunks": 3}}).chunks(WILDCARDS)
    folder = "results/lab/baseline/attacks/cw/kappa_1"
    assert found == [f"{folder}/chunk_{chunk}_of_{expected}.h5" for chunk in range(1, expected + 1)]

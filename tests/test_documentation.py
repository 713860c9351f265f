"""Whether what the documentation says can be done: its commands, links, examples and reference pages.

What is shown of each command, and what is not:

* Scripts: their own parser takes the options as they stand, and each file that is read exists, is a described file of
  a run, or is made on the page before. Nothing runs, so values that are wrong only in combination pass.
* snakemake: its parser takes the options, and one dry run plans all targets of the default configuration. Targets with
  a configuration of the reader's are compared with the list of rules.
* make: the target is there. Other programs (git, cut, grep ...): the files that they read are there, nothing else.
* Commands in sentences count too, unless they hold "...".

Tests that run commands for real, to the letter or on a small study, are named in RUN.
"""

import contextlib
import doctest
import functools
import importlib.util
import io
import re

import documented
import pytest
import yaml
from conftest import REPOSITORY, snakemake
from pages_of_documentation import GENERATED, PAGES, TEXTS, anchors, blocks, commands, links
from snakemake.cli import get_argument_parser

import rnnids

SPECIFICATION = importlib.util.spec_from_file_location("reference", REPOSITORY / "docs/reference.py")
reference = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(reference)

script_parser = functools.cache(reference.script_parser)
snakemake_parser = functools.cache(get_argument_parser)

RUN = {  # page -> test that runs its commands
    "docs/tutorial.md": "test_tutorial.py",
    "docs/watch.md": "test_watch_manual.py",
    "docs/adversarial_captures.md": "test_adversarial_captures_manual.py",
    "docs/own_detector.md": "test_own.py",
    "config/README.md": "test_own_captures.py",
}
READERS = {"cat", "cut", "grep", "gzip", "head", "cp"}  # whose last words are files, or those that look so
OTHERS = {"git", "cd", ".", "mkdir", "for", "pip", "apptainer", "tmux", "pre-commit", "sinfo", "sacctmgr", "nvidia-smi"}
OTHERS |= {"docker", "uv", "uvx", "conda", "module", "squeue", "tcpdump", "tshark", "wget"}
MEASURED = {"docs/performance.md"}  # names commands whose time was taken
FROM_BEFORE = {"docs/robustness.md": {"search.h5"}}  # what a sentence, not a command, says to be there
THEIRS = {"RNNIDS": REPOSITORY}  # what a page calls the clone
COMMANDS = [command for page in PAGES if not page.startswith(GENERATED) for command in commands(page)]


def parsed(parser, words, command):
    """What a parser makes of words; the test fails where it refuses them."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return parser.parse_args(words)
    except SystemExit as ended:
        assert ended.code == 0, f"{command}\n{said.getvalue()}"
        return None


def made_before(command):
    """Words of the page that name what was made, or written by the reader, before a command."""
    made = set()
    for page_command in commands(command.page):
        if page_command == command:
            break
        made |= set(page_command.writes)
        if page_command.words[0] in ("mkdir", "cp", "for"):
            made |= set(page_command.words[1:])
        if script := script_of(page_command):
            name, words = script
            for action in script_parser(name)._actions:
                for option in action.option_strings:
                    if option in words and is_output(action):
                        made.add(words[words.index(option) + 1])
    return made


def is_output(action):
    """Whether an option of a script names a file that the script writes."""
    return action.dest == "output" or (action.help or "").startswith("output")


def script_of(command):
    """(name, words behind it) of a command that runs one of our scripts; None of another."""
    if command.words[0] == "python" and len(command.words) > 1 and command.words[1].startswith("scripts/"):
        return command.words[1].removeprefix("scripts/").removesuffix(".py"), command.words[2:]
    return None


def is_there(name, command):
    """Whether a file is in the repository, is made by the workflow or on the page, or shown on the page."""
    for word, place in THEIRS.items():
        name = name.replace(word, str(place))
    if "$" in name:
        return True  # the variable of a loop
    if name.startswith(str(REPOSITORY)) or list(REPOSITORY.glob(name)):
        return bool(list(REPOSITORY.glob(name.removeprefix(f"{REPOSITORY}/"))))
    if name.startswith("results/"):
        return planned_or_described(name.removeprefix("results/"))
    made = made_before(command)
    text = re.sub(r"(?ms)^```sh\n.*?^```", "", TEXTS[command.page])
    shown = name.partition(":")[0] in text and BLOCK_LANGUAGES & set(re.findall(r"```(\w+)", text))
    folders = {path.rpartition("/")[0] for path in made} | made
    return name in made | FROM_BEFORE.get(command.page, set()) or name.rpartition("/")[0] in folders or bool(shown)


READERS_OWN = ("results/office/", "results/NAME/")  # data sets that a page has the reader describe
BLOCK_LANGUAGES = {"yaml", "csv", "python"}  # of files that a page has the reader write


def planned_or_described(name):
    """Whether a run can leave such a file."""
    return documented.described(name) is not None or re.fullmatch(r"[a-z0-9_]+/(figures|tables)/\w+\.\w+", name)


def looks_like_a_file(word):
    return not word.startswith("-") and re.search(r"/|\.(csv|h5|pcap|gz|yaml|py|jsonl|safetensors)$", word) is not None


@pytest.mark.parametrize("command", [each for each in COMMANDS if script_of(each)], ids=str)
def test_scripts_know_their_options_and_find_their_files(command):
    name, words = script_of(command)
    assert (REPOSITORY / f"scripts/{name}.py").exists(), command
    parser = script_parser(name)
    if parsed(parser, words, command) is None:
        return  # --help
    outputs = {
        words[words.index(option) + 1]
        for action in parser._actions
        for option in action.option_strings
        if option in words and is_output(action)
    }
    missing = [
        word for word in words if looks_like_a_file(word) and word not in outputs and not is_there(word, command)
    ]
    assert not missing, command


def snakemake_words(command):
    """The words of a snakemake command without profiles, which may be the reader's own."""
    words = command.words[1:]
    return [word for place, word in enumerate(words) if "--profile" not in (word, words[place - 1] if place else "")]


SNAKEMAKE = [command for command in COMMANDS if command.words[0] == "snakemake"]


@pytest.fixture(scope="module")
def target_rules(tmp_path_factory):
    listed = snakemake(REPOSITORY, tmp_path_factory.mktemp("empty"), "--list-target-rules").stdout
    return set(re.findall(r"(?m)^(\w+)(?: \(|$)", listed)) | {"record_results", "verify"}


@pytest.mark.parametrize("command", SNAKEMAKE, ids=str)
def test_snakemake_knows_its_options_and_targets(command, target_rules):
    given = parsed(snakemake_parser(), snakemake_words(command), command)
    for file in given.configfile or []:
        assert is_there(str(file), command), command
    for target in given.targets:
        rule = target in target_rules
        assert rule or target.startswith("results/"), f"{command}\n{target} is no rule and no file of a run"
    runs = not (given.dryrun or given.touch or given.unlock or given.list_target_rules or given.report or given.lint)
    if runs and "--profile" not in command.words and command.page not in MEASURED:
        assert given.cores, f"{command}\nSnakemake asks for --cores"
    if "--profile" in command.words:
        assert is_there(command.words[command.words.index("--profile") + 1] + "/", command), command


def test_one_dry_run_plans_every_target_of_the_default_configuration(tmp_path):
    targets = set()
    for command in SNAKEMAKE:
        given = snakemake_parser().parse_args(snakemake_words(command))
        if not given.configfile and not given.config:
            targets |= {target for target in given.targets if not target.startswith(READERS_OWN)}
    targets.discard("verify")  # compares what is there
    run = snakemake(REPOSITORY, tmp_path, "-n", "--quiet", "rules", "--", *sorted(targets))
    assert run.returncode == 0, run.stdout
    assert len(targets) > 15


def make_targets(folder):
    return set(re.findall(r"(?m)^([a-z][\w-]*):(?!=)", (REPOSITORY / folder / "Makefile").read_text()))


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.words[0] == "make"], ids=str)
def test_make_targets_are_there(command):
    words = command.words[1:]
    folder = ""
    if words[:1] == ["-C"]:
        folder, words = words[1], words[2:]
    named = [word for word in words if "=" not in word]
    assert set(named) <= make_targets(folder), command


@pytest.mark.parametrize("command", [each for each in COMMANDS if not script_of(each)], ids=str)
def test_other_programs_are_known_and_find_their_files(command):
    program, words = command.words[0], command.words[1:]
    if program == "python":
        if words[0] == "-c":
            compile(words[1], "-c", "exec")
        elif words[0] == "-m":
            assert all(is_there(word.partition("::")[0], command) for word in words[2:] if word.endswith(".py")), (
                command
            )
        else:
            assert (REPOSITORY / words[0]).exists(), command
    elif program in READERS:
        files = [word for word in words[: -1 if program == "cp" else None] if looks_like_a_file(word)]
        assert all(is_there(word, command) for word in files), command
    else:
        assert program in OTHERS | {"snakemake", "make"}, command


def test_pages_whose_commands_are_run_are_read_by_their_test():
    for page, test in RUN.items():
        assert page in (REPOSITORY / "tests" / test).read_text(), page


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for path, anchor in links(page):
        assert path.exists(), f"{page}: {path}"
        assert not anchor or anchor in anchors(path.read_text()), f"{page}: {path}#{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_are_there(page):
    folders = "tests|scripts|docs|config|workflow|envs|resources|benchmarks"
    for name in re.findall(rf"(?<![\w/])((?:{folders})/[\w./-]+\.\w+)", TEXTS[page]):
        beside = (REPOSITORY / page).parent / name
        assert "NAME" in name or (REPOSITORY / name).exists() or beside.exists(), f"{page}: {name}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "pycon") and not page.startswith(GENERATED)])
def test_examples_in_pages_are_true(page):
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    example = parser.get_doctest("\n".join(blocks(page, "pycon")), {}, page, page, 0)
    runner.run(example)
    assert runner.failures == 0 and example.examples


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("docs/performance")])
def test_configurations_in_pages_have_keys_that_there_are(page):
    known = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())["properties"]
    for text in blocks(page, "yaml"):
        assert yaml.safe_load(text).keys() <= known.keys(), f"{page}\n{text}"


@pytest.mark.parametrize("name", reference.PAGE_WRITERS)
def test_reference_pages_are_current(name):
    written = reference.PAGE_WRITERS[name]()
    assert written == (reference.PAGES / name).read_text(), "run `make reference`"


def test_a_page_that_is_out_of_date_is_named_and_written_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(reference, "PAGES", tmp_path)
    monkeypatch.setattr(reference, "PAGE_WRITERS", {"a.md": lambda: "new", "b.md": lambda: "same"})
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("same")
    with pytest.raises(SystemExit, match=r"out of date, run `make reference`: a\.md$"):
        reference.main(["--check"])
    reference.main([])
    assert (tmp_path / "a.md").read_text() == "new"


def test_the_api_page_has_every_public_name():
    first, _, others = TEXTS["docs/reference/api.md"].partition("## What they take and return")
    assert set(re.findall(r"(?m)^### (\w+)$", first)) == set(rnnids.__all__)
    assert "### AttackResult\n" in others and "### FlowData\n" in others


def test_every_column_is_described_and_every_description_used():
    used = {name for entry in documented.FILES.values() for name in entry.get("columns", [])}
    from rnnids.flows.columns import FLOW_COLUMNS, PACKET_COLUMNS

    layout = {f"flows/{name}" for name in FLOW_COLUMNS} | {f"packets/{name}" for name in PACKET_COLUMNS}
    assert used - layout == set(documented.DESCRIBED["columns"])
    for path, entry in documented.FILES.items():
        own = {name.strip() for names in entry.get("here", {}) for name in names.split(",")}
        assert own <= set(entry.get("columns", [])), path


def test_issue_forms_are_whole():
    for path in (REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text())
        if path.stem != "config":
            assert {"name", "description", "body"} <= form.keys()
            assert all(field["attributes"] for field in form["body"])

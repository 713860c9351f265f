"""The shape of the code: who may import whom, what each environment must hold, how long a file may be."""

import ast
import re
import sys
import tomllib

import pytest
import yaml
from conftest import REPOSITORY
from packaging.specifiers import SpecifierSet
from workflow_rules import scripts_and_environments

import rnnids

SCRIPTS = REPOSITORY / "scripts"
LIBRARY = SCRIPTS / "rnnids"
# The library from bottom to top: a room imports only from rooms to the left of it, and from what all of them share.
ROOMS = ["captures", "flows", "labels", "datasets", "detectors", "attacks", "explanations"]
ABOVE = {room: set(ROOMS[:place]) | {room} for place, room in enumerate(ROOMS)}
ABOVE["explanations"].discard("attacks")  # beside each other
ABOVE["reporting"] = {"datasets", "reporting"}  # knows files, not torch
SHARED = {"errors", "cli", "settings", "storage", "prefetch", "machine_code"}
MODULES = {
    ".".join(path.relative_to(LIBRARY).with_suffix("").parts): path
    for path in sorted(LIBRARY.rglob("*.py"))
    if path.stem != "__init__"
}
PROGRAMS = {path.stem: path for path in sorted(SCRIPTS.glob("*.py"))}
FILES = [*MODULES.values(), *PROGRAMS.values()]
PACKAGES = {"torch": "pytorch", "sklearn": "scikit-learn"}  # import name -> package, where they differ
PYTHON = ">=3.11,<3.14"
WITHOUT_TORCH = [name for name in PROGRAMS if re.match("extract_|build_|summarise_|tabulate_|plot_", name)]
# Files that one other file alone imports stay files of their own where a user would look for them.
SOUGHT = {
    "attacks.adversarial_training": "Sec. VI-B",
    "attacks.bounds": "lower bounds of distances, target bracket",
    "attacks.descents": "how the search follows gradients",
    "attacks.exact": "the exact search",
    "attacks.indicators": "signs that an attack failed",
    "attacks.jitter": "do evasions survive the network?",
    "attacks.refinement": "how the search comes nearer",
    "attacks.relaxation": "sound lines around activations",
    "attacks.rising_kappa": "the paper's search, Sec. IV",
    "attacks.zonotope": "what an LSTM can answer to a set of flows",
    "captures.compression": "gzip, zstd and zip",
    "captures.rewrite": "a packet padded, its checksums right",
    "captures.tcp_streams": "TCP numbers of padded packets",
    "datasets.combine": "target table_transfer",
    "captures.layer_names": "names of link types and protocols",
    "captures.tunnels": "option unwrap",
    "datasets.audit": "target label_audit",
    "datasets.published": "the authors' data sets",
    "detectors.activations": "sigmoid and tanh",
    "detectors.clipped_adam": "the optimiser",
    "detectors.compiled_lstm": "the arithmetic of a layer",
    "detectors.contract": "tries a detector of one's own",
    "detectors.environment": "what a model was computed on",
    "detectors.flow_statistics": "the detector to compare with",
    "detectors.integrity": "target verify",
    "detectors.kept_states": "states before each packet",
    "detectors.latency": "target table_latency",
    "detectors.published_nets": "the authors' nets",
    "detectors.seeds": "target seeds",
    "detectors.state_store": "states of more flows than memory holds",
    "explanations.positions": "table_agreement",
    "reporting.latex": "tables for papers",
    "explanations.sanity": "target sanity",
    "flows.external_sort": "flows beyond memory",
    "flows.follow": "which flow a packet belongs to",
    "labels.flow_csv": "a format of labels",
    "labels.ground_truth": "a format of labels",
    "reporting.page": "target label_audit",
    "reporting.comparisons": "what the results page says of defences, recordings, trainings",
    "reporting.chart_data": "charts of the results page",
    "reporting.contents": "what stands on the results page",
    "reporting.results_page": "target page",
    "reporting.verdict": "what the results page says",
}
DRAWING = [name for name in PROGRAMS if re.match("tabulate_|plot_", name)]


def for_types_alone(node):
    """Whether an `if` is read by type checkers and not run."""
    return ast.unparse(node.test) == "TYPE_CHECKING"


def imported(path):
    """All module names that a file imports when it runs, with `from a import b` as both a and a.b."""
    names, tree = set(), ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and for_types_alone(node))]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def project_imports(path):
    """The library's modules that a file imports itself."""
    return {name.removeprefix("rnnids.") for name in imported(path)} & set(MODULES)


def reached(program):
    """The library's modules that a program imports, directly or not."""
    found, seen = project_imports(PROGRAMS[program]), set()
    while found:
        seen |= found
        found = {other for module in found for other in project_imports(MODULES[module])} - seen
    return seen


def packages(program):
    """The packages from outside that a program needs."""
    files = [PROGRAMS[program], *(MODULES[module] for module in reached(program))]
    names = {name.split(".")[0] for file in files for name in imported(file)}
    return {PACKAGES.get(name, name) for name in names - set(sys.stdlib_module_names) - {"rnnids"}}


def room(module):
    """The room of a module; what all rooms share has none."""
    return module.partition(".")[0] if "." in module else None


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_from_the_rooms_before_it(module):
    used = {room(other) for other in project_imports(MODULES[module])} - {None}
    if room(module) is None:
        assert module in SHARED
        assert not used
    else:
        assert used <= ABOVE[room(module)]


def test_modules_import_in_no_circle():
    left = {module: project_imports(path) for module, path in MODULES.items()}
    while free := {module for module, needed in left.items() if not needed & set(left)}:
        left = {module: needed for module, needed in left.items() if module not in free}
    assert not left


@pytest.mark.parametrize("program", WITHOUT_TORCH)
def test_reading_and_drawing_need_no_torch(program):
    assert "pytorch" not in packages(program)


@pytest.mark.parametrize("program", DRAWING)
def test_drawing_computes_nothing(program):
    assert not reached(program) & {"detectors.lstm", "detectors.inference", "detectors.training", "attacks.gradient"}


def test_programs_do_not_import_each_other():
    assert not [path for path in FILES if {name.split(".")[0] for name in imported(path)} & set(PROGRAMS)]


def test_scripts_know_nothing_of_snakemake():
    assert not [path for path in FILES if "snakemake" in {name.split(".")[0] for name in imported(path)}]


def test_the_workflow_imports_nothing_from_scripts():
    files = [REPOSITORY / "Snakefile", *(REPOSITORY / "workflow/rules").glob("*.smk")]
    pattern = re.compile(rf"^\s*(?:from|import) +(?:rnnids|scripts|{'|'.join(PROGRAMS)})\b", re.MULTILINE)
    assert not [file for file in files if pattern.search(file.read_text())]


def test_the_door_is_for_others():
    """The digest of a rule's code leaves rnnids/__init__.py out: nothing here imports from it what changes a result."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "rnnids":
                assert {alias.name for alias in node.names} <= SHARED | {"__version__"}, path
            if isinstance(node, ast.Import):
                assert "rnnids" not in {alias.name for alias in node.names}, path


@pytest.mark.parametrize(("program", "environment"), sorted(set(scripts_and_environments())))
def test_the_environment_of_a_rule_holds_what_its_script_imports(program, environment):
    assert packages(program) <= ranges(REPOSITORY / environment).keys()


def ranges(file):
    """{package: range} of an environment."""
    return dict(line.split(" ") for line in yaml.safe_load(file.read_text())["dependencies"])


def test_environments_allow_what_the_package_does_and_the_lock_has():
    """A lower bound, which a year ago was there already, and the next major version: what any conda can solve."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    allowed = dict(re.match(r"([\w-]+)(.*)", line).groups() for line in project["dependencies"])
    allowed = {PACKAGES.get(name, name): bounds for name, bounds in allowed.items()}
    locked = dict(re.findall(r"(?m)^([a-z0-9-]+)==([\w.]+)", (REPOSITORY / "requirements.lock").read_text()))
    names = {package: name for name, package in PACKAGES.items() if name == "torch"}
    environments = [ranges(file) for file in (REPOSITORY / "envs").glob("*.yaml")]
    assert len(environments) == 3
    assert {name for environment in environments for name in environment} == {"python", *allowed}
    for name, bounds in {pair for environment in environments for pair in environment.items()} - {("python", PYTHON)}:
        assert bounds == allowed[name]
        version = locked[names.get(name, name)]
        assert SpecifierSet(bounds).contains(version), name
        assert re.fullmatch(rf">=[\d.]+,<{int(version.split('.')[0]) + 1}", bounds), name
    assert PYTHON.startswith(project["requires-python"])
    assert {environment["python"] for environment in environments} == {PYTHON}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_and_functions_stay_short_and_documented(path):
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert ast.get_docstring(tree)
    assert len(path.read_text().splitlines()) <= 350
    assert not [node.name for node in functions if node.end_lineno - node.lineno >= 50]


def test_a_file_that_one_other_imports_has_a_name_that_is_looked_for():
    importers = {module: {file for file in FILES if module in project_imports(file)} for module in MODULES}
    alone = {module for module, files in importers.items() if len(files) < 2} - set(rnnids.HOMES.values())
    assert alone == SOUGHT.keys()


def functions(path):
    """(function, its parameters but self and cls) of a file, except within functions."""
    waiting = [*ast.parse(path.read_text()).body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ClassDef):
            waiting += node.body
        elif isinstance(node, ast.FunctionDef):
            named = [*node.args.posonlyargs, *node.args.args]
            yield node, [parameter for parameter in named if parameter.arg not in ("self", "cls")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_function_says_its_types(path):
    for node, positional in functions(path):
        others = [parameter for parameter in (node.args.vararg, node.args.kwarg) if parameter]
        parameters = [*positional, *node.args.kwonlyargs, *others]
        assert node.returns is not None, node.name
        assert [parameter.arg for parameter in parameters if parameter.annotation is None] == [], node.name


@pytest.mark.parametrize("path", MODULES.values(), ids=MODULES)
def test_three_parameters_at_most_go_without_their_names(path):
    for node, positional in functions(path):
        compiled = any("njit" in ast.unparse(decorator) for decorator in node.decorator_list)
        if not compiled and node.name != "forward" and not node.name.startswith("_"):  # torch calls forward
            assert len(positional) <= 3, node.name

# What the rules share: options made from configuration, digests of the code, and the files that users bring.

import ast
import functools
import glob
import hashlib
import os
import re
import shlex
import sys
import zipfile
from pathlib import Path, PurePosixPath

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

BASE = Path(workflow.basedir)
SCRIPTS = BASE / "scripts"
CAPTURE_SUFFIX = re.compile(r"(\.(pcap|pcapng|cap|dump))?(\.(gz|zst))?$")
NUMBERED = re.compile(r"(.*)\{(\d+)\.\.(\d+)\}(.*)")
ZIP_MEMBER = re.compile(r"(.+?\.zip)!(.+)", re.IGNORECASE)

# "python" in a rule is the one that runs Snakemake, activated or not; conda and containers put theirs before it.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
)


def script(name):
    """The path of a script; a Path, which Snakemake does not compare, so that a moved checkout reruns nothing."""
    return SCRIPTS / name


def flags(*sections, **more):
    """Configuration as options: {"max_flows": 40, "resume": True} -> "--max-flows 40 --resume".

    A list becomes several words; null, false and empty lists are left out. Of equal keys the last one counts.
    """
    words = []
    for key, value in {key: value for section in (*sections, more) for key, value in section.items()}.items():
        if value is None or value is False or value == []:
            continue
        words.append(f"--{key}".replace("_", "-"))
        if value is not True:
            words.extend(shlex.quote(str(item)) for item in (value if isinstance(value, list) else [value]))
    return " ".join(words)


def growing(first):
    """A resource of which a repeated job gets more: twice `first` at the second attempt, and so on."""
    return lambda wildcards, attempt: first * attempt


@functools.cache
def syntax(path):
    """A file's syntax tree without docstrings: what the interpreter acts on."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            del node.body[0]
    return tree


def project_files(names):
    """The files under scripts/ among some module names, such as train or rnnids.data."""
    files = (SCRIPTS.joinpath(*name.split(".")).with_suffix(".py") for name in names)
    return {file for file in files if file.is_file()}


def imports(path):
    """The names of all modules that a file might import, by any form of the import statement."""
    names = set()
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    return names


def code(name):
    """Digest of a script and of every project module that it imports, directly or not.

    As a parameter of a rule it reruns exactly what depends on an edited module. Comments, docstrings, layout and
    time stamps do not count; nor does rnnids/__init__.py, which holds the version alone.
    """
    files, found = set(), project_files([name.removesuffix(".py")])
    while found:
        files |= found
        found = project_files(name for path in found for name in imports(path)) - files
    text = "\n".join(ast.unparse(syntax(file)) for file in sorted(files))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def locate(path):
    """A path of the configuration: in the working directory if it is there, else beside the Snakefile."""
    beside = BASE / path
    return str(beside) if beside.exists() and not Path(path).exists() else str(path)


def split_member(path):
    """(file, member) of a path as archive.zip!folder/1.pcap; the member is None in any other path."""
    found = ZIP_MEMBER.fullmatch(path)
    return found.groups() if found else (path, None)


def count_through(numbered):
    """The names that a match of NUMBERED stands for."""
    before, first, last, after = numbered.groups()
    return [f"{before}{number}{after}" for number in range(int(first), int(last) + 1)]


def expand_members(archive, pattern):
    """The members of a zip archive that a name, a glob or numbered names mean."""
    if numbered := NUMBERED.fullmatch(pattern):
        return count_through(numbered)
    if not glob.has_magic(pattern):
        return [pattern]
    try:
        names = zipfile.ZipFile(locate(archive)).namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise WorkflowError(
            f"{archive}!{pattern}: cannot list the archive ({error}); get it, or number the members"
        )
    matches = lambda name: not name.endswith("/") and PurePosixPath(name).match(pattern)
    return [pattern] if pattern in names else sorted(filter(matches, names))


def expand_captures(pattern):
    """The files that an entry of `captures` means: a path, a glob, or numbered files as in day1_{1..53}.pcap.

    After "archive.zip!" stands the same for its members; what a folder or archive holds need be there for a glob only.
    """
    archive, member = split_member(pattern)
    if member is not None:
        return [f"{locate(archive)}!{name}" for name in expand_members(archive, member)]
    if numbered := NUMBERED.fullmatch(pattern):
        return [locate(path) for path in count_through(numbered)]
    if glob.has_magic(pattern) and not Path(pattern).exists():
        return sorted(glob.glob(pattern) or glob.glob(str(BASE / pattern)))
    return [locate(pattern)]


@functools.cache
def captures(dataset):
    """Capture name -> path for all captures of a data set, whether the files are there or not."""
    files = []
    for pattern in config["datasets"][dataset]["captures"]:
        found = expand_captures(pattern)
        if not found:
            raise WorkflowError(f"datasets.{dataset}.captures: no file matches {pattern!r}")
        files.extend(found)
    files = list(dict.fromkeys(files))
    alike = len({capture_name(path) for path in files}) < len(files)
    paths = {}
    for path in files:
        name = capture_name(path, with_folder=alike)
        if paths.setdefault(name, path) != path:
            raise WorkflowError(
                f"datasets.{dataset}.captures: {paths[name]} and {path} would both be called {name!r}; rename one"
            )
    return paths


def capture_name(path, with_folder=False):
    """A file's name without its suffixes, in a zip archive `with_folder` before it: pcaps_22-1-2015_1."""
    file, member = split_member(path)
    inner = PurePosixPath(member or file)
    name = CAPTURE_SUFFIX.sub("", inner.name)
    return re.sub(r"\s", "_", f"{inner.parent.name}_{name}") if member and with_folder else name


@functools.cache
def missing_files(dataset):
    """Says which captures and label files of a data set are not there and where they come from; None if none is."""
    description = config["datasets"][dataset]
    files = (split_member(path)[0] for path in captures(dataset).values())
    paths = [*dict.fromkeys(files), locate(description["labels"])]
    missing = [path for path in paths if not Path(path).exists()]
    if not missing:
        return None
    shown = "".join(f"\n  {path}" for path in missing[:12]) + (
        f"\n  ... {len(missing) - 12} more" if missing[12:] else ""
    )
    return f"{dataset}: {len(missing)} of {len(paths)} files are missing:{shown}\nSource: {description['source']}"


@functools.cache
def warn(message):
    """Log a warning once."""
    logger.warning(message)


def brought(path, wildcards, product):
    """An input that a user brings: a dry run plans on without it, a run stops before its first job.

    Once its product exists it may be archived elsewhere, as Snakemake allows for any source file.
    """
    if Path(path).exists() or Path(product.format(**wildcards)).exists():
        return path
    message = missing_files(wildcards.dataset)
    if workflow.executor_plugin is None or workflow.dryrun:
        warn(message)
        return []
    raise WorkflowError(message)


def capture_file(wildcards):
    """The capture behind a flow file, or the zip archive that holds it."""
    path, _ = split_member(captures(wildcards.dataset)[wildcards.capture])
    return brought(path, wildcards, "results/{dataset}/flows/{capture}.h5")


def label_file(wildcards):
    """The label rules or ground truth of a data set."""
    path = locate(config["datasets"][wildcards.dataset]["labels"])
    return brought(path, wildcards, "results/{dataset}/dataset.h5")


def extraction_options(dataset, capture):
    """Options of extract_flows.py: the section `extraction`, with what the data set's own says instead."""
    _, member = split_member(captures(dataset)[capture])
    return flags(config["extraction"], config["datasets"][dataset].get("extraction", {}), member=member)


def dataset_options(dataset):
    """Options of build_dataset.py: the section `dataset`, with what the data set's own `options` say instead."""
    return flags(config["dataset"], config["datasets"][dataset].get("options", {}), seed=config["seed"])


def model_options(model):
    """Options of train.py: the section `training`, with what the model says instead."""
    return flags(config["training"], config["models"][model], seed=config["seed"], device=config["device"])


def attack_options(*sections):
    """Options of an attack: its own sections, the constraints and the selection of flows."""
    attacks = config["attacks"]
    return flags(
        *(attacks[section] for section in sections),
        attacks["constraints"],
        attacks["selection"],
        seed=config["seed"],
        device=config["device"],
    )


def reference_attack():
    """The CW attack whose distances bound the other attacks and which Fig. 1 shows."""
    kappa = config["attacks"]["reference_kappa"]
    return f"results/{{dataset}}/{{model}}/attacks/cw/kappa_{kappa:g}.h5"


def adversarial_training_options():
    """Options of train_adversarially.py: its section, how to train, and the attack of its scores."""
    attacks, training = config["attacks"], config["training"]
    return flags(
        attacks["cw"],
        attacks["constraints"],
        config["adversarial_training"],
        training_batch_packets=training["batch_packets"],
        precision=training["precision"],
        batch_packets=attacks["selection"]["batch_packets"],
        seed=config["seed"],
        device=config["device"],
    )

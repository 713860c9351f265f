# What all rules share: options made from configuration, digests of the code, paths.

import ast
import functools
import hashlib
import os
import shlex
import sys
from pathlib import Path

from snakemake.path_modifier import PathModifier

SCRIPTS = BASE / "scripts"

# "python" in a rule is the one that runs Snakemake, activated or not; conda and containers put theirs before it.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
)


def script(name):
    """The path of a script; a Path, which Snakemake does not compare, so that a moved checkout reruns nothing."""
    return SCRIPTS / name


def as_text(value):
    """A value of the configuration as text; 1.0 is the same text as 1."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def as_word(value):
    """A value of the configuration as one word of a command line."""
    return "none" if value is None else shlex.quote(as_text(value))


def flags(*sections, **more):
    """Configuration as options, by name: {"repair": False, "max_flows": 40} -> "--max-flows 40 --no-repair".

    True is --key and false --no-key, null the word none; a list becomes as many words, perhaps none, and a text that
    looks like an option stands behind an equals sign. Of equal keys the last one counts. The same values give the same
    text, whatever file they stand in.
    """
    words = []
    merged = {key: value for section in (*sections, more) for key, value in section.items()}
    for key, value in sorted(merged.items()):
        words.append(f"--{'no-' if value is False else ''}{key}".replace("_", "-"))
        if isinstance(value, str) and value.startswith("-"):
            words[-1] += f"={as_word(value)}"
        elif not isinstance(value, bool):
            words.extend(as_word(item) for item in (value if isinstance(value, list) else [value]))
    return " ".join(words)


class Unwatched:
    """Words of a command that cannot change its result: as a parameter they rerun nothing.

    Snakemake compares parameters of Python's own types alone, and leaves those of any other class out.
    """

    def __init__(self, words):
        self.words = words

    def __str__(self):
        return self.words


def growing(first):
    """A resource of which a repeated job gets more: twice `first` at the second attempt, and so on."""
    return lambda wildcards, attempt: first * attempt


def on_gpu(count=1):
    """What a job on GPUs asks for; the profile's default resources say how its cluster wants it (workflow/profiles/slurm).

    `gpu_request: gres` turns --gpus=N into --gres=gpu:N, and `gpu_partition` names the partition of such jobs.
    """
    defaults = workflow.resource_settings.default_resources
    said = dict(word.split("=", 1) for word in defaults.args) if defaults else {}
    asked = {"gres": f"gpu:{count}"} if said.get("gpu_request") == "gres" else {"gpu": count}
    return asked | ({"slurm_partition": said["gpu_partition"]} if "gpu_partition" in said else {})


PLACES = workflow.modifier.path_modifier  # of a module of another workflow: where that one wants our results


def keep_apart(run):
    """Put everything that rules name results/... into results/`run`/..., logs and benchmarks included.

    This is how Snakemake moves the results of a module. Its path variables (<results>) would do it too, but such a path
    does not begin with results/, so that a module's replace_prefix would move some files and miss others.
    """
    global PLACES
    PLACES = PathModifier({"results/": f"results/{run}/"}, None, workflow, PLACES)
    workflow.modifier.path_modifier = PLACES


def placed(path):
    """Where a result is, for code that looks itself whether it is there; elsewhere Snakemake sees to it."""
    return Path(PLACES.replace_prefix(path))


def results_folder():
    """The folder of all results, as a word of a command."""
    return Unwatched(shlex.quote(str(placed("results/manifest.csv").parent)))


def brought_along(path):
    """A user's own file, which stays where it is even if that is among the results: an absolute path is never moved."""
    return os.path.abspath(path) if PLACES.replace_prefix(str(path)) != str(path) else str(path)


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
    return str(beside) if beside.exists() and not Path(path).exists() else brought_along(path)

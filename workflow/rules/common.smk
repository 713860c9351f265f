# What all rules share: options made from configuration, digests of the code, paths.

import ast
import functools
import hashlib
import os
import shlex
import sys
from pathlib import Path

BASE = Path(workflow.basedir)
SCRIPTS = BASE / "scripts"

# "python" in a rule is the one that runs Snakemake, activated or not; conda and containers put theirs before it.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
)


def script(name):
    """The path of a script; a Path, which Snakemake does not compare, so that a moved checkout reruns nothing."""
    return SCRIPTS / name


def flags(*sections, **more):
    """Configuration as options, sorted: {"max_flows": None, "resume": True} -> "--max-flows none --resume".

    False becomes "--no-resume", a list several words, an empty one none. Of equal keys the last one counts.
    """
    merged = {key: value for section in (*sections, more) for key, value in section.items()}
    words = []
    for key, value in sorted(merged.items()):
        name = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
            continue
        items = value if isinstance(value, list) else ["none" if value is None else value]
        words.extend([f"--{name}", *(shlex.quote(str(item)) for item in items)])
    return " ".join(words)


class Unwatched:
    """Options that cannot change a result, such as the device: Snakemake compares texts, and not this."""

    def __init__(self, options):
        self.options = options

    def __str__(self):
        return self.options


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

"""A conda channel made of what .venv holds, for machines from which conda-forge cannot be reached.

Each package has the files, the version and the dependencies of the Python distribution in .venv. So the lists in envs/
are solved, installed and shown to be complete; that conda-forge has these versions is not shown.
"""

import asyncio
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / ".test-tools"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
CONDA_NAMES = {"torch": "pytorch"}
# Modules of the standard library that need a display, a compiler or other programs.
UNUSED = shutil.ignore_patterns("site-packages", "test", "__pycache__", "idlelib", "tkinter", "config-*", "*.a")

# Every Python of the channel writes down what it ran and which modules came from elsewhere than its own environment.
WITNESS = """
import atexit, json, os, sys

def testify():
    scripts = os.path.dirname(os.path.abspath(sys.argv[0])) if sys.argv[0] else sys.prefix
    files = {getattr(module, "__file__", None) or sys.prefix for module in list(sys.modules.values())}
    foreign = sorted(file for file in files if not file.startswith((sys.prefix, scripts)))
    with open(os.environ["RNNIDS_WITNESS"], "a") as file:
        name = os.path.basename(sys.argv[0])
        file.write(json.dumps({"prefix": sys.prefix, "script": name, "foreign": foreign}) + "\\n")

if "RNNIDS_WITNESS" in os.environ:
    atexit.register(testify)
"""


def environments():
    """Name -> content of each file in envs/."""
    return {file.stem: yaml.safe_load(file.read_text()) for file in sorted((REPOSITORY / "envs").glob("*.yaml"))}


def ranges(environment):
    """(package, range) of what an environment lists."""
    return [line.split(" ") for line in environment["dependencies"]]


def missing():
    """What keeps the channel from being made; empty if nothing does."""
    absent = [] if (TOOLS / "rattler_build").is_dir() else ["the tools of tests/integration/requirements.txt"]
    if not all(SpecifierSet(dict(ranges(content))["python"]).contains(PYTHON) for content in environments().values()):
        absent.append(f"a Python that envs/ allow in .venv, which has {PYTHON}")
    return absent


def needed():
    """The distributions that the environments list, and all that these depend on."""
    listed = {name for content in environments().values() for name, _ in ranges(content)}
    pip_names = {conda: pip for pip, conda in CONDA_NAMES.items()}
    found, waiting = {}, [pip_names.get(name, name) for name in sorted(listed - {"python"})]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found[name] = metadata.distribution(name)
            waiting += [requirement.name for requirement in requirements(found[name])]
    return found


def requirements(distribution):
    """What a distribution needs on this machine, extras aside."""
    parsed = [Requirement(line) for line in distribution.requires or []]
    return [
        requirement for requirement in parsed if not requirement.marker or requirement.marker.evaluate({"extra": ""})
    ]


def conda_spec(requirement):
    """numpy<2.7,>=1.23 as conda writes it."""
    name = canonicalize_name(requirement.name)
    return f"{CONDA_NAMES.get(name, name)} {requirement.specifier or '*'}"


def make_channel(folder):
    """Write the channel conda-forge into a folder; needs the tools in .test-tools."""
    sys.path.insert(0, str(TOOLS))
    try:
        import rattler_build
        from rattler.index import index_fs
    finally:
        sys.path.remove(str(TOOLS))
    channel, stage = folder / "conda-forge", folder / "stage"
    for name in ("linux-64", "noarch"):
        (channel / name).mkdir(parents=True)

    def package(name, version, depends):
        options = {"compression_level": 1, "detect_prefix": False, "files_dir": stage, "depends": depends}
        rattler_build.assemble_package(name, version, "linux-64", "0", channel / "linux-64", **options)
        shutil.rmtree(stage)

    stage_python(stage)
    package("python", ".".join(map(str, sys.version_info[:3])), [])
    for name, distribution in needed().items():
        stage_distribution(distribution, stage / f"lib/python{PYTHON}/site-packages")
        depends = [f"python {PYTHON}.*", *map(conda_spec, requirements(distribution))]
        package(CONDA_NAMES.get(name, name), distribution.version.partition("+")[0], depends)
    indexing = index_fs(channel)
    if asyncio.iscoroutine(indexing):
        asyncio.run(indexing)
    return channel


def stage_python(stage):
    """Copy the interpreter behind .venv, so that it finds its libraries wherever it is put."""
    base = Path(sys.base_prefix)
    (stage / "bin").mkdir(parents=True)
    program = stage / f"bin/python{PYTHON}"
    shutil.copy2(base / f"bin/python{PYTHON}", program)
    for name in ("python", "python3"):
        (stage / "bin" / name).symlink_to(program.name)
    shutil.copytree(base / f"lib/python{PYTHON}", stage / f"lib/python{PYTHON}", symlinks=True, ignore=UNUSED)
    for library in (base / "lib").glob(f"libpython{PYTHON}.so*"):
        shutil.copy2(library, stage / "lib" / library.name, follow_symlinks=False)
    subprocess.run([TOOLS / "bin/patchelf", "--set-rpath", "$ORIGIN/../lib", program], check=True)
    packages = stage / f"lib/python{PYTHON}/site-packages"
    packages.mkdir()
    (packages / "sitecustomize.py").write_text(WITNESS)


def stage_distribution(distribution, packages):
    """Copy the files of a distribution, apart from programs and compiled Python."""
    for file in distribution.files:
        if ".." not in file.parts and file.suffix != ".pyc":
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(distribution.locate_file(file), target)


def install_stand_in(folder, channels, tools=TOOLS, python=sys.executable, seen_as=None):
    """Write the programs that Snakemake calls as conda.

    Args:
        folder: where conda is to be; its bin is for PATH.
        channels, tools, python: where conda-forge, py-rattler and a Python for it are, for who runs conda.
        seen_as: what `folder` is for who runs conda, if not itself.
    """
    place = seen_as or folder
    (folder / "bin").mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "conda_stand_in.py", folder)
    variables = f"PYTHONPATH='{tools}' CHANNELS='{channels}' ROOT='{place}'"
    (folder / "bin/conda").write_text(f"#!/bin/sh\n{variables} exec '{python}' '{place}/conda_stand_in.py' \"$@\"\n")
    (folder / "bin/conda").chmod(0o755)
    (folder / "bin/activate").write_text('export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\nunset PYTHONHOME PYTHONPATH\n')

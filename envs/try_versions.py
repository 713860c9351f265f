"""Run the tests of the library with the oldest and with the newest packages that pyproject.toml and envs/ allow.

Each Python from 3.11 to 3.13 that is found (on PATH, in pyenv) gets an environment for either end under .test-
versions/, and the result becomes a row of the page. Of torch only builds for CPUs are taken ("+cpu"), since the others
bring gigabytes: from pip's own index or folder, or from https://download.pytorch.org/whl/cpu as PIP_EXTRA_INDEX_URL. A
Python for which there is none runs the tests that need no torch. Workflow and benchmarks are tested with the locked
versions alone.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from datetime import date
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
ENDS = {"oldest": "lowest-direct", "newest": "highest"}  # of all ranges at once; uv's words
# In the versions of requirements.lock.
TOOLS = ("pytest", "pytest-xdist", "pytest-timeout", "psutil", "pyyaml", "setuptools", "packaging")
# What is tested with the locked versions alone: Snakemake, programs that pip does not install, the shape of the code,
# the README's pictures point by point.
ELSEWHERE = re.compile(r"snakemake|benchmarks|REPOSITORY / \"envs\"|docs/pictures")
LATER = ("test_door.py", "test_settings.py", "test_watch_manual.py")  # which need torch only when they run
Row = dict[str, str]


def interpreter(version: str) -> Path | None:
    """The Python of a version such as 3.12; None where there is none."""
    places = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for place in filter(None, places):
        command = [place, "-c", "import sys; print(sys.executable)"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return Path(found.stdout.strip())
    return None


def dependencies() -> dict[str, str]:
    """{package: range} of pyproject.toml."""
    lines = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    return {re.match(r"[\w-]+", line).group(): line for line in lines}  # type: ignore[union-attr]


def numbers(version: str) -> tuple[int, ...]:
    """2.13.0+cpu -> (2, 13, 0)."""
    return tuple(map(int, re.findall(r"\d+", version.partition("+")[0])))


def cpu_builds(python: Path, wanted: str) -> list[str]:
    """The versions of torch for CPUs that pip finds within a range, ascending."""
    command = [python, "-m", "pip", "index", "versions", "torch"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    low, high = re.findall(r"[\d.]+", wanted)
    found = set(re.findall(r"[\d.]+\+cpu\b", said))
    return sorted((v for v in found if numbers(low) <= numbers(v) < numbers(high)), key=numbers)


def install(python: Path, end: str, folder: Path) -> bool:
    """Make an environment; returns whether it has torch."""
    needed = dependencies()
    builds = cpu_builds(python, needed.pop("torch"))
    torch = [f"torch=={builds[0 if end == 'oldest' else -1]}"] if builds else []
    locked = re.findall(r"(?m)^[\w-]+==.+$", (REPOSITORY / "requirements.lock").read_text())
    tools = [line for line in locked if line.split("==")[0] in TOOLS]
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--seed", "--python", python, folder], check=True)
    command = [*uv, "pip", "install", "--system-certs", "--quiet", "--python", folder / "bin/python"]
    subprocess.run(
        [*command, "--resolution", ENDS[end], *needed.values(), *torch, *tools], check=True, env=with_own_wheels()
    )
    return bool(torch)


def with_own_wheels() -> dict[str, str]:
    """The environment with pip's folder of wheels and extra index, of which uv does not know."""
    variables = dict(os.environ)
    for setting, name in (("find-links", "UV_FIND_LINKS"), ("extra-index-url", "UV_EXTRA_INDEX_URL")):
        command = [sys.executable, "-m", "pip", "config", "get", f"global.{setting}"]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        links = os.environ.get("PIP_" + setting.upper().replace("-", "_"), said).split()
        local = [link for link in links if setting == "find-links" or not link.startswith("file:")]
        if local and name not in variables:
            variables[name] = (",", " ")[setting != "find-links"].join(local)
    return variables


def test_files(python: Path, has_torch: bool) -> list[str]:
    """The files of tests that this environment can import, of those that are meant."""
    files = [
        file
        for file in sorted((REPOSITORY / "tests").glob("test_*.py"))
        if not ELSEWHERE.search(file.read_text()) and (has_torch or file.name not in LATER)
    ]
    command = [python, "-m", "pytest", "--collect-only", "--quiet", "--continue-on-collection-errors", *files]
    said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout
    broken = set(re.findall(r"(?m)^ERROR (tests/\w+\.py)", said))
    if broken and "No module named 'torch'" not in said:
        sys.exit(said)
    return [str(file) for file in files if file.relative_to(REPOSITORY).as_posix() not in broken]


def try_one(python: Path, end: str, folder: Path) -> Row:
    """Install and test; the row of the page."""
    has_torch = install(python, end, folder)
    own = folder / "bin/python"
    frozen = [sys.executable, "-m", "uv", "pip", "freeze", "--quiet", "--python", own]
    said = subprocess.run(frozen, capture_output=True, text=True, check=True).stdout
    versions = dict(re.findall(r"(?m)^([\w-]+)==(.+)$", said))
    # Compiled code is kept beside the library, by version of numba: each environment keeps its own.
    variables = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(folder / "numba")}
    command = [own, "-m", "pytest", "--quiet", "-n", "2", "--dist", "loadfile", "-m", "not slow and not cluster"]
    command += ["-p", "no:cacheprovider", *test_files(own, has_torch)]
    run = subprocess.run(command, cwd=REPOSITORY, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    print(run.stdout)
    closing = re.findall(r"\d+ (?:passed|failed|error)[^=\n]*", run.stdout)
    result = re.sub(r" in [\d.]+s.*", "", closing[-1]).strip() if closing else "did not run"
    if not has_torch:
        result += "; without torch, of which there is no build for CPUs here"
    names = {name: versions.get(name, "-") for name in dependencies()}
    return {"Python": platform_version(own), "end": end, **names, "tests": result}


def platform_version(python: Path) -> str:
    command = [python, "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def page(rows: Sequence[Row], absent: Sequence[str]) -> str:
    """The text of the page."""
    lines = [
        "# Versions that were tried",
        "",
        "`make test-versions`: the tests of the library with the oldest and the newest packages within the ranges of",
        "`pyproject.toml` and `envs/*.yaml` that pip has for each Python; those of the workflow run with",
        f"`requirements.lock` alone. {platform.system()}, {platform.machine()}, {date.today()}.",
        "",
    ]
    names = list(rows[0])
    lines += [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(row[name] for name in names)} |" for row in rows]
    if absent:
        lines += ["", f"Not found on this machine: Python {', '.join(absent)}."]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", required=True, type=Path, help="output: the results (Markdown)")
    parser.add_argument("--pythons", nargs="+", default=PYTHONS, metavar="VERSION", help="%(default)s")
    args = parser.parse_args()
    found = {version: interpreter(version) for version in args.pythons}
    rows = [
        try_one(python, end, REPOSITORY / ".test-versions" / f"{version}-{end}")
        for version, python in found.items()
        if python
        for end in ENDS
    ]
    if not rows:
        sys.exit("no Python from 3.11 to 3.13 was found")
    args.page.write_text(page(rows, [version for version, python in found.items() if not python]))
    if any("failed" in row["tests"] or "error" in row["tests"] or "did not" in row["tests"] for row in rows):
        sys.exit(f"tests fail with some versions: {args.page}")


if __name__ == "__main__":
    main()

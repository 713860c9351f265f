"""Stands in for conda where it cannot be had: py-rattler answers the calls that Snakemake and container.def make.

Channels are folders under $CHANNELS, $ROOT is where conda is said to be installed.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from rattler import MatchSpec, VirtualPackage, install, solve


def read(file):
    """Channels and dependencies of an environment file; it has no other sections."""
    sections, items = {}, None
    for line in Path(file).read_text().splitlines():
        if line.endswith(":"):
            items = sections.setdefault(line[:-1], [])
        elif line.startswith("  - "):
            items.append(line[4:].strip())
        elif line.strip() and not line.startswith("#"):
            sys.exit(f"conda: {file}: this is not understood: {line}")
    return sections["channels"], sections["dependencies"]


async def make(channels, dependencies, prefix):
    """Solve and install; the specs of a prefix that is there already count too."""
    asked = prefix / "conda-meta/asked"
    specs = [*(asked.read_text().splitlines() if asked.exists() else []), *dependencies]
    records = await solve(
        [(Path(os.environ["CHANNELS"]) / channel).as_uri() for channel in channels],
        [MatchSpec(spec) for spec in specs],
        platforms=["linux-64", "noarch"],
        virtual_packages=VirtualPackage.detect(),
    )
    await install(records, prefix, cache_dir=Path(os.environ["ROOT"]) / "pkgs", show_progress=False)
    asked.write_text("\n".join(specs))


def main(words):
    """Answer one command line."""
    if words == ["--version"]:
        print("conda 25.3.1")
    elif words[0] == "info":
        print(json.dumps({"conda_prefix": os.environ["ROOT"], "platform": "linux-64"}))
    elif words[0] == "config":
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif words[0] == "env" and words[1] in ("create", "update"):
        channels, dependencies = read(words[words.index("--file") + 1])
        try:
            asyncio.run(make(channels, dependencies, Path(words[words.index("--prefix") + 1])))
        except Exception as error:
            sys.exit(f"conda: {type(error).__name__}: {error}")
    elif words[0] != "clean":
        sys.exit(f"conda stand-in: this is not supported: {words}")


main(sys.argv[1:])

"""Print the definition of the container as a Dockerfile, for those who build with Docker or Podman.

    python envs/dockerfile.py | docker build --file - --tag rnnids .

from the folder with the Snakefile. `container: docker://REGISTRY/rnnids` in the configuration names what is pushed.
"""

import sys
from pathlib import Path

DEFINITION = Path(__file__).with_name("container.def")


def sections(definition):
    """The lines of each section without comments, by name; those before the first are "header"."""
    found, name = {}, "header"
    for line in map(str.strip, definition.splitlines()):
        if line.startswith("%"):
            name = line[1:]
        elif line and not line.startswith("#"):
            found.setdefault(name, []).append(line)
    return found


def dockerfile(definition):
    """The text of a Dockerfile that makes the image of the Apptainer `definition`.

    Raises:
        ValueError: a section that has no counterpart here, or a base that is no image of a registry.
    """
    parts = sections(definition)
    header = dict(line.split(": ", 1) for line in parts.pop("header"))
    if header.keys() != {"Bootstrap", "From"} or header["Bootstrap"] != "docker":
        raise ValueError(f"no image of a registry to start from: {header}")
    write = {
        "labels": lambda lines: ["LABEL {}={!r}".format(*line.split(" ", 1)) for line in lines],
        "files": lambda lines: [f"COPY {line}" for line in lines],
        "post": lambda lines: ["RUN set -e; \\", *(f"    {line}; \\" for line in lines[:-1]), f"    {lines[-1]}"],
        "environment": lambda lines: [line.replace("export ", "ENV ", 1) for line in lines],
        "test": lambda lines: [f"RUN {' && '.join(lines)}"],
    }
    if unknown := parts.keys() - write.keys():
        raise ValueError(f"no counterpart of %{', %'.join(sorted(unknown))}")
    made = [line for name, lines_of in write.items() if name in parts for line in lines_of(parts[name])]
    return "\n".join([f"FROM {header['From']}", *made, ""])


if __name__ == "__main__":
    sys.stdout.write(dockerfile(DEFINITION.read_text(encoding="utf-8")))

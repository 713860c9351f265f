"""The licence of every package in requirements.lock, as its own metadata has it: python envs/licences.py."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
GROUP = "License :: "


def licence(name):
    """The licence of an installed package in a few words; empty where it says none."""
    about = metadata(name)
    classifiers = [text.rpartition(" :: ")[2] for text in about.get_all("Classifier", []) if text.startswith(GROUP)]
    said = about.get("License-Expression") or ", ".join(classifiers) or about.get("License", "").strip()
    return said.splitlines()[0] if said else ""


def main():
    for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", LOCK.read_text()):
        try:
            print(f"{name:40}{version:16}{licence(name) or 'not said'}")
        except PackageNotFoundError:
            print(f"{name:40}{version:16}not installed")


if __name__ == "__main__":
    main()

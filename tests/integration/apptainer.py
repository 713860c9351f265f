"""A real Apptainer, and the image of envs/container.def built by it over a base made on this machine.

Debian 12 has no package of it: Debian sid's is put, with the newer C library that it needs, into a folder of its own.
No registry is needed either: the base is a minimal Debian, with the stand-in for conda where container.def has conda.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from conda_channel import REPOSITORY, TOOLS, install_stand_in

PACKAGES = ("apptainer", "libc6", "libseccomp2", "libsqlite3-0")
DEBIAN = "http://deb.debian.org/debian"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
# For the stand-in of conda, and for the Python of the channel.
BASE_PACKAGES = "python3,ca-certificates,libssl3,libffi8,libsqlite3-0,libgomp1,libbz2-1.0,liblzma5"


class Unavailable(Exception):
    """Something that cannot be had on this machine."""


def call(*words, **options):
    """Run a program; Unavailable with what it said if that fails."""
    try:
        run = subprocess.run(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **options,
        )
    except OSError as error:
        raise Unavailable(f"{words[0]}: {error}") from error
    if run.returncode:
        raise Unavailable(f"{' '.join(map(str, words))}: {run.stdout[-2000:]}")
    return run.stdout


def mirror():
    """The Debian mirror of this machine."""
    for file in ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*")]:
        words = Path(file).read_text().split() if os.path.exists(file) else []
        for word in words:
            if word.startswith("http") and word.rstrip("/").endswith("/debian"):
                return word
    return DEBIAN


def get_apptainer(folder):
    """The folder of the program: the machine's own if it has one, else Debian sid's under `folder`."""
    if installed := shutil.which("apptainer"):
        return Path(installed).parent
    if os.geteuid() or not shutil.which("apt-get"):
        raise Unavailable("apptainer is not installed, and only root on Debian can fetch it here")
    apt = folder / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "sources.list").write_text(f"deb [signed-by={KEYS}] {mirror()} sid main\n")
    settings = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    call("apt-get", "-qq", *options, "update")
    call("apt-get", "-qq", *options, "download", *PACKAGES, cwd=apt)
    for package in PACKAGES:
        target = folder if package == "apptainer" else folder / "libraries"
        call("dpkg", "-x", next(apt.glob(f"{package}_*.deb")), target)
    shutil.rmtree(apt)
    return relocate(folder)


def relocate(folder):
    """Make Debian's apptainer run from a folder, with the libraries beside it."""
    libraries = folder / "libraries/usr/lib/x86_64-linux-gnu"
    loader = libraries / "ld-linux-x86-64.so.2"
    for program in ("usr/bin/apptainer", "usr/lib/x86_64-linux-gnu/apptainer/bin/starter"):
        words = ["--set-interpreter", loader, "--force-rpath", "--set-rpath", libraries]
        call(TOOLS / "bin/patchelf", *words, folder / program)
    (folder / "usr/etc").symlink_to("../etc")
    (folder / "usr/lib/var/lib/apptainer/mnt/session").mkdir(parents=True)
    # A root that is itself confined has not all capabilities to hand on.
    settings = folder / "etc/apptainer/apptainer.conf"
    settings.write_text(
        re.sub("root default capabilities = .*", "root default capabilities = no", settings.read_text())
    )
    call(folder / "usr/bin/apptainer", "--version")
    return folder / "usr/bin"


def make_base(folder, channel):
    """A minimal Debian as a folder, with the stand-in for conda at /opt/conda and the channel that it installs from."""
    base = folder / "base"
    base.mkdir()
    call("mmdebstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", "bookworm", folder / "base.tar", mirror())
    call("tar", "-xf", folder / "base.tar", "-C", base, "--exclude=./dev/*")
    (folder / "base.tar").unlink()
    places = {"tools": "/opt/tools", "python": "/usr/bin/python3", "seen_as": Path("/opt/conda")}
    install_stand_in(base / "opt/conda", "/opt/channels", **places)
    shutil.copytree(TOOLS, base / "opt/tools")
    shutil.copytree(channel, base / "opt/channels/conda-forge")
    return base


def build_image(folder, programs, channel):
    """Build envs/container.def with another base; the image, as a folder.

    Args:
        folder: for base and image, 5 GB. programs: of Apptainer. channel: as make_channel made it.
    """
    definition = (REPOSITORY / "envs/container.def").read_text()
    source = re.compile(r"^Bootstrap: docker\nFrom: .*$", re.MULTILINE)
    assert source.search(definition)
    local = source.sub(f"Bootstrap: localimage\nFrom: {make_base(folder, channel)}", definition)
    (folder / "local.def").write_text(local)
    build = [programs / "apptainer", "build", "--force", "--sandbox", folder / "image", folder / "local.def"]
    # Root, where it is confined, may install packages in a user namespace only.
    call(sys.executable, Path(__file__).parent / "user_namespace.py", *build, cwd=REPOSITORY)
    shutil.rmtree(folder / "base")
    return folder / "image"

"""numba's compiler, with a cache that knows when code has changed.

numba keeps machine code beside a module and compiles anew when that module's file changes. It does not look at what the
module calls or takes constants from: after an update in another file it would go on with what the old one did. So the
cache lies in a folder that is named after the content of all files of this library.
"""

import hashlib
import os
import shutil
import time
from pathlib import Path

from numba import njit as njit
from numba import types as types
from numba.core import config

LIBRARY = Path(__file__).resolve().parent
PREFIX = "machine_code_"
KEPT = 7 * 24 * 3600  # seconds that the code of other states stays for whoever still runs it


def cache_folder(library: Path = LIBRARY) -> Path | None:
    """The folder for machine code of this state of `library`, made if need be; None where none can be written."""
    digest = hashlib.sha256()
    for path in sorted(library.rglob("*.py")):
        digest.update(path.relative_to(library).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    user = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "rnnids"
    for place in (library / "__pycache__", user):
        folder = place / (PREFIX + digest.hexdigest()[:16])
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                _clear(place, keep=folder)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None


def _clear(place: Path, *, keep: Path) -> None:
    """Remove the machine code of other states that nobody has used for long."""
    for folder in place.glob(f"{PREFIX}*"):
        if folder != keep and time.time() - folder.stat().st_mtime > KEPT:
            shutil.rmtree(folder, ignore_errors=True)


if not vars(config)["CACHE_DIR"] and (folder := cache_folder()):  # NUMBA_CACHE_DIR is heeded
    vars(config)["CACHE_DIR"] = str(folder)

"""The exception that means "the input is at fault, not the program", and what means "the machine has no room"."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What libraries in C, C++ and Rust say of memory, or of threads and code that have none, in words only.
NO_MEMORY = (
    "can't allocate memory",
    "memory allocation failed",
    "unable to allocate",
    "can't start new thread",
    "failed to map segment from shared object",
    "cannot apply additional memory protection after relocation",
    "no reason supplied",  # hashlib's, where OpenSSL cannot allocate a digest
)


class InputError(Exception):
    """A file, value or option given by the user cannot be used.

    The message names the file, the place in it and the remedy; scripts print it without a
    traceback and exit with status 2 (see :func:`rnnids.cli.run`).
    """


def shortage(error: BaseException | None) -> str:
    """What was lacking, and the remedy, where a disk, a quota, a limit or memory is what failed; else empty.

    An error that came of such a one counts too: a library that cleans up after a full disk may fail at that.
    """
    while error is not None and not isinstance(error, InputError):
        if lacking := _lacking(error):
            return lacking
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return ""


def _lacking(error: BaseException) -> str:
    """As :func:`shortage`, of this error alone."""
    number = error.errno if isinstance(error, OSError) else None
    words = str(error).lower()
    if number in FULL or any(f"(os error {each})" in words for each in FULL):
        return "no space left to write it; free some, or write to another disk"
    if number == errno.EROFS or f"(os error {errno.EROFS})" in words:
        return "its disk is read-only now; look why, or write to another disk"
    if isinstance(error, MemoryError) or number == errno.ENOMEM or any(text in words for text in NO_MEMORY):
        return "no memory left; give the job more (mem_mb, on a cluster), or run fewer jobs at once"
    return ""

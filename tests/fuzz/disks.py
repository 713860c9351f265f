"""A file system of one's own in memory, which can be made small, or read-only, from one moment to the next.

Mounted in a name space of mounts of this process, so that it goes when the process does. That takes a superuser.
"""

import ctypes
import errno
import os
import time

CLONE_NEWNS, MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE = 0x20000, 1, 32, 1 << 14, 1 << 18
PAGE = 4096
LIBC = ctypes.CDLL(None, use_errno=True)


def _mount(target, flags, *, kind=None, options=None):
    words = [word and os.fsencode(word) for word in (kind, target, kind)]
    if LIBC.mount(*words, ctypes.c_ulong(flags), options and options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))


class Disk:
    """A file system at a folder.

    Raises:
        OSError: it cannot be mounted.
    """

    def __init__(self, folder, size):
        self.folder, self.size = folder, size
        if LIBC.unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
        _mount("/", MS_REC | MS_PRIVATE)
        _mount(folder, 0, kind="tmpfs", options=f"size={size}")

    def used(self):
        """Bytes of it that are taken."""
        state = os.statvfs(self.folder)
        return (state.f_blocks - state.f_bfree) * state.f_frsize

    def fill(self, free):
        """Leave some bytes free only, in whole pages."""
        _mount(self.folder, MS_REMOUNT, options=f"size={self.used() + max(free, 0) // PAGE * PAGE}")

    def forbid(self, seconds=0.2):
        """Make it read-only at a moment when no file is open for writing; False where there is none in time."""
        stop = time.monotonic() + seconds
        while time.monotonic() < stop:
            try:
                _mount(self.folder, MS_REMOUNT | MS_RDONLY, options=f"size={self.size}")
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                time.sleep(0.0005)
            else:
                return True
        return False

    def relieve(self):
        """As it was."""
        _mount(self.folder, MS_REMOUNT, options=f"size={self.size}")

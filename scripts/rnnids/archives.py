"""Captures inside zip archives, read where they lie: nothing is unpacked to disk.

Members may be stored or compressed (deflate, bzip2, LZMA) and larger than 4 GiB (ZIP64).
"""

import contextlib
import difflib
import zipfile
import zlib

from rnnids.errors import InputError
from rnnids.streams import DamagedStreamError

READ = 1 << 16  # bytes; no more than this is lost where a member is damaged
SHOWN = 3  # names of a message


class MemberFile:
    """An open member with the methods of an unbuffered file that :mod:`rnnids.streams` needs."""

    def __init__(self, file):
        self.file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size):
        """Up to `size` bytes, none at the end.

        Raises:
            DamagedStreamError: the member is cut, or corrupt within the next ``READ`` bytes.
        """
        try:
            return self.file.read(min(size, READ))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DamagedStreamError(f"the zip member is cut or corrupt ({error})") from error

    def readinto(self, view):
        """Fill `view` as far as one read goes; returns bytes written, 0 at the end."""
        piece = self.read(len(view))
        view[: len(piece)] = piece
        return len(piece)


def find_member(archive, path, member):
    """The entry `member` of an open archive.

    Raises:
        InputError: there is none of this name.
    """
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if member in names:
        return archive.getinfo(member)
    near = difflib.get_close_matches(member, names, SHOWN, cutoff=0)
    raise InputError(
        f"{path}: no member {member!r} among {len(names):,}; nearest: {', '.join(map(repr, near)) or 'none'}"
    )


@contextlib.contextmanager
def open_member(path, member):
    """Yield (file, size in bytes) of a member of the zip archive `path`.

    Raises:
        InputError: not a zip archive, no such member, encrypted, or of an unknown compression.
    """
    remedy = "unpack it with another tool and name the file"
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
        except zipfile.BadZipFile as error:
            raise InputError(f"{path}: not a whole zip archive ({error}); fetch it again") from error
        entry = find_member(archive, path, member)
        try:
            file = stack.enter_context(archive.open(entry))
        except (NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}!{member}: cannot be read ({error}); {remedy}") from error
        yield MemberFile(file), entry.file_size

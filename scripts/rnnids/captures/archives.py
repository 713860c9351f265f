"""Captures inside zip archives, read where they lie: nothing is unpacked to disk.

Members may be stored or compressed (deflate, bzip2, LZMA) and larger than 4 GiB (ZIP64). Of a damaged
one everything before the fault is delivered; of bzip2 and LZMA, which nobody uses for captures, all
but the last ``READ`` bytes.
"""

import contextlib
import difflib
import lzma
import struct
import zipfile
import zlib

from rnnids.captures.compression import DamagedStreamError
from rnnids.errors import InputError

READ = 1 << 16  # bytes
SHOWN = 3  # names of a message
LOCAL_HEADER = struct.Struct("<26xHH")  # of a member: lengths of its name and of its extra field


class Section:
    """The bytes of an open file from `start` on, `size` of them, as an unbuffered file."""

    def __init__(self, file, start, size):
        self.file, self.start, self.size = file, start, size
        self.rewind()

    def rewind(self):
        """Go to the first byte."""
        self.file.seek(self.start)
        self.left = self.size

    def read(self, size):
        """Up to `size` bytes, none at the end."""
        piece = self.file.read(min(size, self.left))
        self.left -= len(piece)
        return piece


class Inflate:
    """Decompresses deflate data from a file; what precedes a fault is delivered."""

    def __init__(self, file):
        self.file, self.inflate, self.fault = file, zlib.decompressobj(wbits=-zlib.MAX_WBITS), None

    def read(self, size):
        """Up to `size` bytes, none at the end.

        Raises:
            zlib.error, EOFError: corrupt or cut, once all before that has been read.
        """
        piece = b""
        while not piece and not self.inflate.eof:
            if self.fault:
                raise self.fault
            compressed = self.inflate.unconsumed_tail or self.file.read(READ)
            piece = self._decompress(compressed, min(size, READ))
            if not piece and not compressed:
                raise EOFError("compressed data end too early")
        return piece

    def _decompress(self, compressed, limit):
        before = self.inflate.copy()
        try:
            return self.inflate.decompress(compressed, limit)
        except zlib.error as error:
            self.fault = error
        piece = b""
        with contextlib.suppress(zlib.error):  # again, byte by byte: zlib drops what precedes the fault
            for i in range(len(compressed)):
                piece += before.decompress(compressed[i : i + 1])
        return piece


class MemberFile:
    """A member with the methods of an unbuffered file that :mod:`rnnids.streams` needs.

    Args:
        open_file: makes an object with ``read``, at the member's first byte.
        checksum: CRC-32 of the whole member, or None: `open_file` sees to it.
    """

    def __init__(self, open_file, checksum):
        self.open_file, self.checksum = open_file, checksum
        self.seek(0)

    def seek(self, position):
        """Begin again; `position` is 0."""
        self.file, self.position, self.crc = self.open_file(), position, 0

    def tell(self):
        """Bytes read so far."""
        return self.position

    def read(self, size):
        """Up to `size` bytes, none at the end.

        Raises:
            DamagedStreamError: the member is cut or corrupt.
        """
        try:
            piece = self.file.read(min(size, READ))
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # bzip2 has no error of its own
                raise
            raise DamagedStreamError(f"the zip member is cut or corrupt ({error})") from error
        self.position, self.crc = self.position + len(piece), zlib.crc32(piece, self.crc)
        if not piece and self.checksum not in (None, self.crc):
            raise DamagedStreamError("the zip member is cut or corrupt (its checksum does not fit)")
        return piece

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


def find_bytes(file, entry):
    """The section of an open archive that holds a member's bytes as they are stored."""
    file.seek(entry.header_offset)
    name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return Section(file, entry.header_offset + LOCAL_HEADER.size + name + extra, entry.compress_size)


def _opener(archive, entry, file):
    """(function that opens a member, its checksum or None), see :class:`MemberFile`."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return lambda: archive.open(entry), None
    section = find_bytes(file, entry)

    def start():
        section.rewind()
        return section if entry.compress_type == zipfile.ZIP_STORED else Inflate(section)

    return start, entry.CRC


@contextlib.contextmanager
def open_member(path, member):
    """Yield (file, size in bytes) of a member of the zip archive `path`.

    Raises:
        InputError: not a zip archive, no such member, encrypted, of an unknown compression, or damaged
            from its first byte.
    """
    remedy = "unpack it with another tool and name the file"
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(path, "rb", buffering=0))
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
        except zipfile.BadZipFile as error:
            raise InputError(f"{path}: not a whole zip archive ({error}); fetch it again") from error
        entry = find_member(archive, path, member)
        try:
            archive.open(entry).close()
        except (NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}!{member}: cannot be read ({error}); {remedy}") from error
        try:
            yield MemberFile(*_opener(archive, entry, file)), entry.file_size
        except DamagedStreamError as error:  # at the very beginning, so that there is nothing to deliver
            raise InputError(f"{path}!{member}: {error}; fetch it again") from error

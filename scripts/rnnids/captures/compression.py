"""Bytes out of a file that may be compressed, or that is a member of a zip archive: nothing is unpacked to disk.

A stream has one method, ``readinto(view)``, that fills a writable buffer and returns the number of bytes, 0 at the
end. Memory does not grow with the file. Of gzip and zstd a file's first bytes tell, not its name.

Members of archives may be stored or compressed (deflate, bzip2, LZMA) and larger than 4 GiB (ZIP64). Of damaged data
everything before the fault is delivered; of bzip2 and LZMA, which nobody uses for captures, all but the last ``READ``
bytes.
"""

import contextlib
import copy
import difflib
import errno
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import zstandard

from rnnids.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # bytes 2 to 4 of a frame of metadata
GZIP_BITS, ZIP_BITS = 31, -zlib.MAX_WBITS  # how zlib is told of the header before the data, and of none
READ = 1 << 16  # bytes
# One input byte can become 32 KiB of output, and zstandard hands it over in one piece.
ZSTD_READ = 1 << 12
SHOWN, LOOKED_AT = 3, 1000  # names of a message, and those among which the nearest are found
# Whatever zipfile raises on damaged archives: it leaves much to struct, to the codecs, and to seeking out of the file.
ZIP_FAULTS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class DamagedStreamError(Exception):
    """The compressed data are cut or corrupt; everything before was delivered."""


class Readable(Protocol):
    """What can be read bytes from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, none at the end."""


class Stream(Protocol):
    """What fills a buffer with the bytes that come next."""

    def readinto(self, view: memoryview, /) -> int:
        """Fill `view` as far as one read goes; returns bytes written, 0 at the end."""


class Inflate:
    """Decompresses deflate data from a file; what precedes a fault is delivered.

    Args:
        file: at the first byte of the data, or behind `pending`.
        bits: ``GZIP_BITS`` or ``ZIP_BITS``.
        pending: compressed bytes that are read already.
    """

    def __init__(self, file: Readable, bits: int, pending: bytes = b"") -> None:
        self.file, self.pending = file, pending
        self.inflate = zlib.decompressobj(wbits=bits)
        self.fault: zlib.error | EOFError | None = None

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, none at the end.

        Raises:
            zlib.error, EOFError: corrupt or cut, once all before that has been read.
        """
        piece = b""
        while not piece and not self.inflate.eof:
            if self.fault:
                raise self.fault
            compressed = self.pending or self.file.read(READ)
            piece = self._decompress(compressed, min(size, READ))
            self.pending = self.inflate.unconsumed_tail
            if not piece and not compressed:
                self.fault = self.fault or EOFError("compressed data end too early")
        return piece

    def _decompress(self, compressed: bytes, limit: int) -> bytes:
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


class GzipStream:
    """Decompresses gzip, several members in a row included."""

    def __init__(self, file: Readable) -> None:
        self.file, self.member = file, Inflate(file, GZIP_BITS)

    def readinto(self, view: memoryview, /) -> int:
        """Fill `view`; returns bytes written, 0 at the end.

        Raises:
            DamagedStreamError: the stream is cut, corrupt, or followed by other data.
        """
        try:
            while not (piece := self.member.read(len(view))):
                if not self._next_member():
                    return 0
        except EOFError as error:
            raise DamagedStreamError("the gzip data are cut short") from error
        except zlib.error as error:
            raise DamagedStreamError(f"the gzip data are corrupt ({error})") from error
        view[: len(piece)] = piece
        return len(piece)

    def _next_member(self) -> bool:
        rest = self.member.inflate.unused_data
        if len(rest) < len(GZIP_MAGIC):
            rest += self.file.read(READ)
        if rest.startswith(GZIP_MAGIC):
            self.member = Inflate(self.file, GZIP_BITS, rest)
            return True
        if rest.strip(b"\0"):  # tapes and some tools pad with zeros
            raise DamagedStreamError("the gzip data are followed by something else")
        return False


class ZstdStream:
    """Decompresses Zstandard, several frames in a row included."""

    def __init__(self, file: Readable) -> None:
        self.file = file
        self.inflate = zstandard.ZstdDecompressor().decompressobj()
        self.pending = memoryview(b"")

    def readinto(self, view: memoryview, /) -> int:
        """Fill `view`; returns bytes written, 0 at the end.

        Raises:
            DamagedStreamError: the stream is cut or corrupt.
        """
        while not self.pending:
            compressed = self.inflate.unused_data if self.inflate.eof else b""
            compressed = compressed or self.file.read(ZSTD_READ)
            if not compressed:
                if self.inflate.eof:
                    return 0
                raise DamagedStreamError("the zstd data are cut short")
            if self.inflate.eof:
                self.inflate = zstandard.ZstdDecompressor().decompressobj()
            try:
                self.pending = memoryview(self.inflate.decompress(compressed))
            except zstandard.ZstdError as error:
                raise DamagedStreamError(f"the zstd data are corrupt ({error})") from error
        size = min(len(view), len(self.pending))
        view[:size] = self.pending[:size]
        self.pending = self.pending[size:]
        return size


def open_stream(file: io.RawIOBase) -> tuple[Stream, str | None]:
    """The stream of an unbuffered binary `file` at its start, and the name of its compression or None."""
    magic = file.read(len(ZSTD_MAGIC))
    file.seek(0)
    if magic.startswith(GZIP_MAGIC):
        return GzipStream(file), "gzip"
    if magic == ZSTD_MAGIC or (magic[1:] == ZSTD_SKIPPABLE and magic[0] >> 4 == 5):
        return ZstdStream(file), "zstd"
    return file, None


class PipeFile(io.RawIOBase):
    """A pipe as an unbuffered file that can be begun again as long as no more than its magic number has been read."""

    def __init__(self, descriptor: int) -> None:
        self.pipe = io.FileIO(descriptor, closefd=False)
        self.head, self.position = b"", 0
        while len(self.head) < len(ZSTD_MAGIC) and (piece := self.pipe.read(len(ZSTD_MAGIC) - len(self.head))):
            self.head += piece

    def fileno(self) -> int:
        """Of the pipe, to ask whether something waits in it."""
        return self.pipe.fileno()

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Begin again; `position` is 0."""
        self.position = position
        return position

    def tell(self) -> int:
        """Bytes read so far."""
        return self.position

    def readinto(self, view: memoryview, /) -> int:  # type: ignore[override]  # as in MemberFile
        """Fill `view` with what is there, waiting for the first byte; returns bytes written, 0 at the end."""
        piece = self.head[self.position : self.position + len(view)]
        if piece:
            view[: len(piece)] = piece
            self.position += len(piece)
            return len(piece)
        size = self.pipe.readinto(view) or 0
        self.position += size
        return size


class MemberFile(io.RawIOBase):
    """A member of a zip archive as an unbuffered file.

    Args:
        open_file: opens the member at its first byte.
        checksum: CRC-32 of the whole member, or None: what is opened sees to it.
    """

    def __init__(self, open_file: Callable[[], Readable], checksum: int | None) -> None:
        self.open_file, self.checksum = open_file, checksum
        self.seek(0)

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Begin again; `position` is 0."""
        self.file, self.position, self.crc = self.open_file(), position, 0
        return position

    def tell(self) -> int:
        """Bytes read so far."""
        return self.position

    def readinto(self, view: memoryview, /) -> int:  # type: ignore[override]  # RawIOBase.read gives a bytearray
        """Fill `view` as far as one read goes; returns bytes written, 0 at the end.

        Raises:
            DamagedStreamError: the member is cut or corrupt.
        """
        try:
            piece = self.file.read(min(len(view), READ))
        except ZIP_FAULTS as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # bzip2 has no error of its own
                raise
            raise DamagedStreamError(f"the zip member is cut or corrupt ({error})") from error
        self.position, self.crc = self.position + len(piece), zlib.crc32(piece, self.crc)
        if not piece and self.checksum not in (None, self.crc):
            raise DamagedStreamError("the zip member is cut or corrupt (its checksum does not fit)")
        view[: len(piece)] = piece
        return len(piece)


def find_member(archive: zipfile.ZipFile, path: Path | str, member: str) -> zipfile.ZipInfo:
    """The entry `member` of an open archive.

    Raises:
        InputError: there is none of this name.
    """
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if member in names:
        return archive.getinfo(member)
    near = difflib.get_close_matches(member, names[:LOOKED_AT], SHOWN, cutoff=0)
    raise InputError(
        f"{path}: no member {member!r} among {len(names):,}; nearest: {', '.join(map(repr, near)) or 'none'}"
    )


def open_as_stored(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Readable:
    """The bytes of a member as they lie in the archive, compressed if they are."""
    stored = copy.copy(entry)
    stored.compress_type, stored.file_size = zipfile.ZIP_STORED, entry.compress_size
    del stored.CRC  # it is that of the content; and zipfile throws the last bytes away where it does not fit
    return archive.open(stored)


def _member_file(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> MemberFile:
    if entry.compress_type == zipfile.ZIP_STORED:
        return MemberFile(lambda: open_as_stored(archive, entry), entry.CRC)
    if entry.compress_type == zipfile.ZIP_DEFLATED:  # zipfile's own reader loses up to 4 KiB before a fault
        return MemberFile(lambda: Inflate(open_as_stored(archive, entry), ZIP_BITS), entry.CRC)
    return MemberFile(lambda: archive.open(entry), None)


@contextlib.contextmanager
def open_member(path: Path | str, member: str) -> Iterator[tuple[MemberFile, int]]:
    """Yield (file, size in bytes) of a member of the zip archive `path`.

    Raises:
        InputError: not a zip archive, no such member, encrypted, of an unknown compression, or damaged
            from its first byte.
    """
    remedy = "unpack it with another tool and name the file"
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
        except ZIP_FAULTS as error:
            raise InputError(f"{path}: not a whole zip archive ({error}); fetch it again") from error
        entry = find_member(archive, path, member)
        try:
            archive.open(entry).close()
            file = _member_file(archive, entry)
        except ZIP_FAULTS as error:
            raise InputError(f"{path}!{member}: cannot be read ({error}); {remedy}") from error
        try:
            yield file, entry.file_size
        except DamagedStreamError as error:  # at the very beginning, so that there is nothing to deliver
            raise InputError(f"{path}!{member}: {error}; fetch it again") from error

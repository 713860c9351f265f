"""Bytes out of a file that may be compressed: its first bytes say how, not its name.

A stream has one method, ``readinto(view)``, that fills a writable buffer and returns the number
of bytes, 0 at the end. Memory does not grow with the file.
"""

import contextlib
import zlib

import zstandard

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # bytes 2 to 4 of a frame of metadata
GZIP_READ = 1 << 16
# One input byte can become 32 KiB of output, and zstandard hands it over in one piece.
ZSTD_READ = 1 << 12


class DamagedStreamError(Exception):
    """The compressed data are cut or corrupt; everything before was delivered."""


class GzipStream:
    """Decompresses gzip, several members in a row included."""

    def __init__(self, file):
        self.file = file
        self.inflate = zlib.decompressobj(wbits=31)
        self.damage = None

    def readinto(self, view):
        """Fill `view`; returns bytes written, 0 at the end.

        Raises:
            DamagedStreamError: the stream is cut, corrupt, or followed by other data.
        """
        piece = b""
        while not piece:
            if self.damage:
                raise DamagedStreamError(self.damage)
            if self.inflate.eof:
                compressed = self._next_member()
                if not compressed:
                    return 0
            else:
                compressed = self.inflate.unconsumed_tail or self.file.read(GZIP_READ)
            piece = self._inflate(compressed, min(len(view), GZIP_READ))
            if not piece and not compressed:
                self.damage = self.damage or "the gzip data are cut short"
        view[: len(piece)] = piece
        return len(piece)

    def _inflate(self, compressed, limit):
        before = self.inflate.copy()
        try:
            return self.inflate.decompress(compressed, limit)
        except zlib.error as error:
            self.damage = f"the gzip data are corrupt ({error})"
        piece = b""
        with contextlib.suppress(zlib.error):  # again, byte by byte: zlib drops what precedes the fault
            for i in range(len(compressed)):
                piece += before.decompress(compressed[i : i + 1])
        return piece

    def _next_member(self):
        rest = self.inflate.unused_data
        if len(rest) < len(GZIP_MAGIC):
            rest += self.file.read(GZIP_READ)
        if rest.startswith(GZIP_MAGIC):
            self.inflate = zlib.decompressobj(wbits=31)
            return rest
        if rest.strip(b"\0"):  # tapes and some tools pad with zeros
            raise DamagedStreamError("the gzip data are followed by something else")
        return b""


class ZstdStream:
    """Decompresses Zstandard, several frames in a row included."""

    def __init__(self, file):
        self.file = file
        self.inflate = zstandard.ZstdDecompressor().decompressobj()
        self.pending = memoryview(b"")

    def readinto(self, view):
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


def open_stream(file):
    """The stream of an unbuffered binary `file` at its start, and the name of its compression or None."""
    magic = file.read(len(ZSTD_MAGIC))
    file.seek(0)
    if magic.startswith(GZIP_MAGIC):
        return GzipStream(file), "gzip"
    if magic == ZSTD_MAGIC or (magic[1:] == ZSTD_SKIPPABLE and magic[0] >> 4 == 5):
        return ZstdStream(file), "zstd"
    return file, None

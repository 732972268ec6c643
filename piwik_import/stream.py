"""A path → its bytes, unpacked, each piece with its offset.

What is compressed is known by how it begins. A suffix is no evidence: logrotate makes access.log.2.gz, other tools
access.gz.2, and a pipe has no name at all. Several compressed streams in a row are one log (``cat a.gz b.gz``,
nginx's ``gzip`` parameter), and NULs after one are padding. Each library is imported only when a log needs it.

This module knows nothing of lines; `source` is the only one that imports it.
"""

from __future__ import annotations

import errno
import os
import re
import select
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from importlib import import_module
from io import FileIO
from itertools import chain
from types import ModuleType
from typing import Any, Protocol

from piwik_import.errors import SourceError

PAUSE = 0.3
"""Seconds without new data after which a pipe hands over what has come."""
PATIENCE = 1.0
"""Seconds after which it does so though more keeps trickling in."""
SETTLED = 60.0
"""Seconds without a change after which nobody is expected to finish the last line of a file."""

_PACKED = 1 << 16  # read of a compressed file at a time; about so much at most is lost before damage
_SIGNATURE = 10  # bytes that tell the compression
# bzip2 is asked for more than its "BZh": a log may begin with a host of that name.
_SIGNATURES = re.compile(
    rb"""
    (?P<gzip>   \x1f\x8b)
  | (?P<bzip2>  BZh[1-9] (?: 1AY&SY | \x17rE8P\x90 ))
  | (?P<xz>     \xfd7zXZ\x00)
  | (?P<zstd>   \x28\xb5\x2f\xfd | [\x50-\x5f]\x2a\x4d\x18)
  | (?P<zip>    PK\x03\x04)
    """,
    re.VERBOSE,
)
_BOM = b"\xef\xbb\xbf"
_UTF16 = {b"\xff\xfe": "UTF-16LE", b"\xfe\xff": "UTF-16BE"}

Piece = tuple[int, bytes]
"""Some bytes, after the offset at which they lie."""


class Stream:
    """One pass over the bytes of a file or a pipe.

    Raises:
        SourceError: from every method, by `name`.
    """

    def __init__(self, path: str, name: str, pipe: bool) -> None:
        self._path, self._name, self._pipe = path, name, pipe
        self.compression: str | None = None
        self.position = 0
        """Bytes read so far, as they lie on disk."""
        self.growing = False
        """After the last piece: more may come to where it ended."""

    def check(self) -> None:
        """Raise SourceError if it cannot be read. A pipe is left alone: to open it may be to wait for its writer."""
        try:
            if not self._pipe:
                with self._open() as file:
                    self._recognise(file.read(_SIGNATURE))
            elif self._path != "-" and not os.access(self._path, os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise unreadable(self._name, error) from error

    def pieces(self, offset: int, size: int) -> Generator[Piece, None, None]:
        """Yield the unpacked bytes, at most `size` at a time; those before `offset` only if they cannot be jumped.

        Compressed data that is damaged, ends too early or is followed by something else raises SourceError after the
        pieces before that. Damage is noticed late: what 64 KiB on disk held before it may be missing too.
        """
        try:
            with self._open() as file:
                at = 0
                if self._pipe:
                    beginning, raw = _begun(self._arriving(file, size), _SIGNATURE)
                    raw = chain([beginning], raw)
                    self._recognise(beginning)
                else:
                    self._recognise(os.pread(file.fileno(), _SIGNATURE, 0))
                    raw = self._read(file, _PACKED if self.compression else size)
                if self.compression:
                    raw = self._unpacked(raw, size)
                elif not self._pipe:
                    self.position = at = _seek(file, offset)
                if at == 0:
                    beginning, raw = _begun(raw, len(_BOM))
                    at = self._mark(beginning)
                    raw = chain([beginning[at:]], raw)
                for piece in raw:
                    yield at, piece
                    at += len(piece)
                if not self._pipe and not self.compression:
                    self.growing = time.time() - os.fstat(file.fileno()).st_mtime < SETTLED
        except OSError as error:
            raise unreadable(self._name, error) from error

    def _open(self) -> FileIO:
        return FileIO(0, closefd=False) if self._path == "-" else FileIO(self._path)

    def _read(self, file: FileIO, size: int) -> Iterator[bytes]:
        while piece := file.read(size):
            self.position += len(piece)
            yield piece

    def _arriving(self, file: FileIO, size: int) -> Iterator[bytes]:
        """Yield what a pipe brings: `size` bytes, or what has come when it makes a pause."""
        poll = select.poll()
        poll.register(file, select.POLLIN)
        part = b"?"
        while part:
            poll.poll()  # the first byte is waited for without end
            until = time.monotonic() + PATIENCE
            parts, room = [], size
            while room and poll.poll(1000 * max(0, min(PAUSE, until - time.monotonic()))):
                part = os.read(file.fileno(), room)
                if not part:
                    break
                parts.append(part)
                room -= len(part)
                self.position += len(part)
            if parts:
                yield b"".join(parts)

    def _recognise(self, beginning: bytes) -> None:
        found = _SIGNATURES.match(beginning)
        self.compression = found.lastgroup if found else None
        if self.compression == "zip":
            remedy = "unpack it first, or pipe it: unzip -p FILE | piwik-import -"
            raise SourceError(self._name, f"is a zip archive; {remedy}")

    def _unpacked(self, packed: Iterator[bytes], size: int) -> Iterator[bytes]:
        new, fault = self._library()
        decoder = None
        total = 0
        for data in packed:
            while data or (decoder and not decoder.eof and not decoder.needs_input):
                if decoder is None or decoder.eof:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    decoder = new()
                try:
                    piece = decoder.decompress(data, size)
                except fault as error:
                    reason = f"the {self.compression} data is damaged after {total:,} unpacked bytes ({error})"
                    raise SourceError(self._name, f"{reason}. The whole lines before that were read") from error
                data = decoder.unused_data if decoder.eof else b""
                total += len(piece)
                if piece:
                    yield piece
        if decoder and not decoder.eof:
            reason = f"the {self.compression} data ends too early, after {total:,} unpacked bytes"
            remedy = "The whole lines before that were read; run again when the file is complete"
            raise SourceError(self._name, f"{reason}. {remedy}")

    def _library(self) -> tuple[Callable[[], _Decoder], type[Exception]]:
        """Return what makes a decoder, and the error that it raises at damage."""
        try:
            if self.compression == "gzip":
                zlib = _first_of("isal.isal_zlib", "zlib")  # isal is two to three times as fast
                return lambda: _Gunzip(zlib.decompressobj(wbits=31)), zlib.error
            if self.compression == "bzip2":
                return import_module("bz2").BZ2Decompressor, OSError
            if self.compression == "xz":
                lzma = import_module("lzma")
                return lzma.LZMADecompressor, lzma.LZMAError
            zstd = _first_of("compression.zstd", "backports.zstd")  # Python 3.14 brings its own
            return zstd.ZstdDecompressor, zstd.ZstdError
        except ImportError as error:
            remedy = "pip install 'piwik-import[zstd]'" if self.compression == "zstd" else "this Python was built so"
            raise SourceError(self._name, f"{self.compression} cannot be unpacked here: {remedy}") from error

    def _mark(self, beginning: bytes) -> int:
        """Return the length of the byte order mark."""
        if encoding := _UTF16.get(beginning[:2]):
            remedy = f"convert it first: iconv -f {encoding} -t UTF-8 FILE | piwik-import -"
            raise SourceError(self._name, f"is written in {encoding}; {remedy}")
        return len(_BOM) if beginning.startswith(_BOM) else 0


class _Decoder(Protocol):
    """What the decoders of bz2, lzma and zstd have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gunzip:
    """A zlib decoder that keeps the input that it has not come to, as the others do."""

    def __init__(self, inflate: Any) -> None:
        self._inflate = inflate
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return bool(self._inflate.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inflate.unused_data)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        piece: bytes = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        # A full piece may leave more within zlib even when all input has been taken.
        self.needs_input = len(piece) < max_length
        return piece


def _first_of(library: str, other: str) -> ModuleType:
    with suppress(ImportError):
        return import_module(library)
    return import_module(other)


def unreadable(name: str, error: Exception) -> SourceError:
    """Return what to raise when the system refuses a file."""
    return SourceError(name, f"cannot be read: {getattr(error, 'strerror', None) or error}")


def _seek(file: FileIO, offset: int) -> int:
    """Go to `offset`, or to the end of the hole that lies there, and return where that is.

    A log truncated under its server may begin with gigabytes of NULs that take no room on disk, and no time to jump.
    """
    if sys.platform == "linux" and os.pread(file.fileno(), 1, offset) == b"\0":
        with suppress(OSError):  # a hole up to the end, or a file system that cannot tell
            return file.seek(offset, os.SEEK_DATA)
    return file.seek(offset)


def _begun(pieces: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Take pieces until there are `size` bytes or a whole line; return these bytes and the rest."""
    beginning = b""
    for piece in pieces:
        beginning += piece
        if len(beginning) >= size or b"\n" in beginning:
            break
    return beginning, pieces

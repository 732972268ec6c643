"""Names → sources → blocks of whole lines that know where they lie.

The end of a line is the one number that resuming needs: a run that has had every hit up to ``end`` acknowledged goes
on by reading from ``end``. Offsets count *decompressed* bytes from the very beginning, so they mean the same for
access.log and access.log.gz. Lines end at ``\\n`` and nowhere else.

What is no text is left out but counted by the offsets: a UTF-8 byte order mark at the beginning, and the NULs that a
log begins with when it was truncated under a server that went on writing where it was (logrotate's copytruncate).

A file is opened anew for each reading and not kept open in between; a pipe is opened when it is first read.

This module knows nothing of text, formats or HTTP.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

from piwik_import.errors import SourceError
from piwik_import.stream import Piece, Stream, unreadable

LINE_LIMIT = 1 << 20
"""Bytes. A longer line is cut off, reported, and its rest skipped."""
SHOWN = 4096
"""Bytes kept of such a line."""
BLOCK_SIZE = 1 << 19
"""Bytes read at a time, and so about the size of a block. Twice as much falls out of the processor's cache before it is
translated, which costs a twentieth of the time, and takes 4 MiB more."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines of one source.

    Blocks come in order. Where one begins after the end of the one before, NULs lay between.
    """

    data: bytes
    """The lines, each with its newline; only the very last of a source may lack it."""
    offset: int
    """Where `data` begins."""
    end: int
    """Where the lines end: ``offset + len(data)``, unless `cut`."""
    line: int
    """Number of the first line, from 1."""
    lines: int
    """How many lines there are."""
    cut: bool = False
    """`data` is only the beginning of one line that is too long; the rest up to `end` was skipped."""
    header: bytes = b""
    """Lines from further up that say what these are, where somebody has kept them."""


def find(names: Sequence[str]) -> list[Source]:
    """Return the sources that `names` stand for, in that order and each real file once.

    A name is a path, ``-`` for standard input, a folder (all regular files in and below it, sorted, except what
    begins with a dot) or a pattern that the shell has left alone (``*``, ``?``, ``[…]``, and ``**`` for any folders;
    a dot at the beginning is again not matched). What exists is never taken for a pattern. A file that has several
    names here (named twice, linked, matched by two patterns) is one source, under the first of them.

    Raises:
        SourceError: a name is missing, unreadable, a folder or pattern without a file, a loop of links, or a zip.
    """
    found: dict[tuple[int, int], Source] = {}
    for name in names:
        for path in _paths(name):
            source = Source(path)
            found.setdefault(source.inode, source)
    return list(found.values())


class Source:
    """One log: a file, or a pipe, which can be read only once.

    Raises:
        SourceError: here and from every method, for whatever is wrong with the file or its bytes.
    """

    def __init__(self, path: str) -> None:
        self.name = "stdin" if path == "-" else path
        """As shown to people."""
        self.unfinished = 0
        """After `blocks`: bytes of a last line without newline that were left for the next run."""
        try:
            status = os.fstat(0) if path == "-" else os.stat(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise unreadable(self.name, error) from error
        self.inode = (status.st_dev, status.st_ino)
        self.file = _file(status)
        """Device, inode, size and time of change: the same as before only if nothing was written since."""
        self.path = None if path == "-" else os.path.realpath(path)
        self._path = path
        self._pipe = path == "-" or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode))
        self.size = None if self._pipe else status.st_size
        """Bytes of the file on disk; None for a pipe."""
        self._stream = Stream(path, self.name, self._pipe)
        self._stream.check()
        self._early: list[Piece] = []  # of a pipe: what head() has taken from the one reading that there is
        self._later = self._stream.pieces(0, BLOCK_SIZE)
        self._spent = False

    @property
    def lies_as_before(self) -> bool:
        """Whether there is still under its name what was there at first."""
        try:
            return _file(os.stat(self._path)) == self.file
        except OSError:
            return False

    @property
    def is_pipe(self) -> bool:
        """Whether it is no regular file, and can be read only once."""
        return self._pipe

    @property
    def compression(self) -> str | None:
        """gzip, bzip2, xz, zstd or None; of a pipe known once it has been read from."""
        return self._stream.compression

    @property
    def position(self) -> int:
        """Bytes of the file (compressed, if it is) that have been read so far; any thread may ask."""
        return self._stream.position

    def head(self, size: int = 1 << 16, enough: Callable[[bytes], bool] = lambda text: b"\n" in text) -> bytes:
        """Return the first bytes, at most `size`, from where the first block will begin; consume nothing.

        A pipe is waited for until that is `enough`, a whole line at the least, or it ends; it may give fewer bytes than
        it will in the end.
        """
        pieces = self._drawn() if self._pipe else Stream(self._path, self.name, pipe=False).pieces(0, size)
        text = b""
        with closing(pieces):
            try:
                for _, piece in pieces:
                    text = (text + piece).lstrip(b"\0")
                    if len(text) >= size or (self._pipe and enough(text)):
                        break
            except SourceError:
                # Damage further on hides no line: blocks() will give what there is, and then say so.
                if b"\n" not in text:
                    raise
        return text[:size]

    def before(self, end: int, size: int) -> bytes:
        """Return the `size` bytes that end at the place `end`; fewer if the log does not reach so far."""
        found = b""
        try:
            with closing(Stream(self._path, self.name, pipe=False).pieces(end - size, BLOCK_SIZE)) as pieces:
                for _, piece in _from(end - size, pieces, BLOCK_SIZE):
                    found += piece
                    if len(found) >= size:
                        break
        except SourceError:  # damaged before that place, so it is not there
            return b""
        return found[:size]

    def blocks(
        self, offset: int = 0, line: int = 1, *, size: int = BLOCK_SIZE, limit: int = LINE_LIMIT
    ) -> Iterator[Block]:
        """Yield the lines from `offset` on, where line number `line` begins, in blocks of about `size` bytes.

        A file is read up to where it ends when that end is reached. Its last line may lack a newline because it is
        being written: unless the file is compressed or has not changed for a minute, it is left out and
        `unfinished` says how long it is. A pipe hands over whole lines as they come. Where compressed data is
        damaged or ends too early, all whole lines before that are yielded before the error is raised.
        """
        shown = min(SHOWN, limit)
        held, start = b"", offset  # the line whose end has not come yet, and where it begins
        dropped = 0  # bytes of it that are not in `held`, because it is longer than `limit`
        with closing(self.pieces(offset, min(size, limit))) as pieces:
            # No piece is longer than `limit`, so a line that is too long never lies within one.
            for at, piece in pieces:
                if not held:
                    start, piece = _without_nuls(at, piece)
                first = piece.find(b"\n") + 1
                length = len(held) + dropped + (first or len(piece))
                if length > limit:
                    held = (held + piece[:shown])[:shown]
                    dropped = length - len(held)
                    if first:
                        yield Block(held, start, start + length, line, 1, cut=True)
                        held, dropped, line = b"", 0, line + 1
                        start, piece = _without_nuls(start + length, piece[first:])
                    else:
                        piece = b""
                last = piece.rfind(b"\n") + 1
                if last:
                    data = held + piece[:last]
                    lines = data.count(b"\n")
                    yield Block(data, start, start + len(data), line, lines)
                    line += lines
                    start, held = _without_nuls(start + len(data), piece[last:])
                else:
                    held += piece
                self.unfinished = len(held) + dropped
        if held and not self.growing:
            self.unfinished = 0
            yield Block(held, start, start + len(held) + dropped, line, 1, cut=dropped > 0)

    def pieces(self, offset: int = 0, size: int = BLOCK_SIZE) -> Generator[Piece, None, None]:
        """Yield what lies from `offset` on as it comes, in pieces of at most `size` bytes, cut anywhere."""
        if not self._pipe:
            self._stream = Stream(self._path, self.name, pipe=False)
            self._later = self._stream.pieces(offset, size)
        elif self._spent:
            raise SourceError(self.name, "is a pipe and cannot be read again")
        self._spent = True
        self.unfinished = 0
        with closing(self._later):
            yield from _from(offset, chain(self._early, self._later), size)

    @property
    def growing(self) -> bool:
        """After reading: whether what the source ends with may be the beginning of what is being written."""
        return self._stream.growing

    def _drawn(self) -> Generator[Piece, None, None]:
        """Yield what a pipe brings, and keep it for `blocks`."""
        yield from self._early
        for piece in self._later:
            self._early.append(piece)
            yield piece


def _from(offset: int, pieces: Iterator[Piece], size: int) -> Iterator[Piece]:
    """Leave out what lies before `offset`, and hand on the rest in pieces of at most `size` bytes."""
    for at, piece in pieces:
        for i in range(max(offset - at, 0), len(piece), size):
            yield at + i, piece[i : i + size]


def _without_nuls(at: int, piece: bytes) -> Piece:
    """Return the piece without the NULs that it begins with, and where it begins then."""
    rest = piece.lstrip(b"\0")
    return at + len(piece) - len(rest), rest


def _paths(name: str) -> list[str]:
    """Return the paths of the files (or pipes) that a name stands for; at least one."""
    try:
        if os.path.isdir(name):
            paths = list(_files(name))
            if not paths:
                raise SourceError(name, "there is no file in this folder")
        elif os.path.lexists(name) or not glob.has_magic(name):
            paths = [name]
        else:
            paths = list(_matching(name))
            if not paths:
                raise SourceError(name, "no file matches this pattern")
    except OSError as error:
        raise unreadable(os.fsdecode(error.filename or name), error) from error
    return paths


def _matching(pattern: str) -> Iterator[str]:
    """Yield the files that match, sorted; a folder that matches stands for the files in it.

    ``**`` is not left to `glob`, which follows a loop of links until the path is too long for the system.
    """
    parts = pattern.split("/")
    if "**" not in parts:
        for path in sorted(glob.glob(pattern)):
            yield from _files(path) if os.path.isdir(path) else [path]
        return
    stars = parts.index("**")
    above = "/".join(parts[:stars]) + "/" if stars else ""
    for folder in sorted(glob.glob(above)) if above else ["./"]:
        for path in _files(folder):
            below = path.removeprefix(folder)
            if _fits(below.split("/"), parts[stars:]):
                yield path if above else below


def _fits(parts: list[str], pattern: list[str]) -> bool:
    if not parts or not pattern:
        return parts == pattern
    if pattern[0] == "**":
        return len(pattern) == 1 or _fits(parts, pattern[1:]) or _fits(parts[1:], pattern)
    return fnmatch.fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _files(folder: str, above: tuple[os.stat_result, ...] = ()) -> Iterator[str]:
    """Yield the regular files in and below a folder, sorted, without hidden ones; links are followed."""
    status = os.stat(folder)
    if any(os.path.samestat(status, other) for other in above):
        raise SourceError(folder, "this folder is, by a link, within itself")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(entry.path, (*above, status))
        elif entry.is_file():
            yield entry.path


def _file(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

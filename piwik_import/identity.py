"""Which log is which: by what it holds, for names and inodes change with every rotation.

A log is known by its beginning: a digest of up to `LIMIT` bytes from its first line on, kept with their number, so
that a log that was shorter when it was first seen is known again when it has grown. Lines that begin with ``#`` do
not count, for logs of the W3C family begin with the same ones. How far it was read has a digest too, of the bytes
before that place: a log that begins as another did and goes on differently is another log.

So a copy is the same log as its original, whatever it is called and however it is compressed, and an empty log, or
one of headers alone, is no log yet.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from piwik_import.source import Source

LIMIT = 4096
"""Bytes of the beginning that count: some twenty lines, of which each has a time and an address."""

MARK = 256
"""Bytes before a place that tell it again: the end of a line at the least."""

HEADERS = re.compile(rb"(?:#[^\n]*(?:\n|\Z)|\r?\n)*")


@dataclass(frozen=True, slots=True)
class Digest:
    """Some bytes, by number and digest."""

    length: int
    value: bytes

    def fits(self, data: bytes) -> bool:
        """Tell whether `data` begins with the bytes."""
        return len(data) >= self.length and digest(data[: self.length]) == self


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a log, by the bytes before it."""

    end: int
    """Where the place is, in decompressed bytes."""
    before: Digest
    lines: int | None = None
    """How many lines lie before it; None if that was not kept."""
    header: bytes = b""
    """The lines above it that say what those below hold, if the log has such."""


def digest(data: bytes) -> Digest:
    """Return the digest of all of `data`."""
    return Digest(len(data), hashlib.blake2b(data, digest_size=16).digest())


def beginning(head: bytes) -> bytes:
    """Return of a log's first bytes those that it is known by; none while it has nothing but headers."""
    headers = HEADERS.match(head)
    return head[headers.end() if headers else 0 :][:LIMIT]


def beginning_of(source: Source) -> bytes:
    """Return by what a file is known, however long its headers are; nothing if it has only these."""
    size = 2 * LIMIT
    while True:
        head = source.head(size)
        if (found := beginning(head)) or len(head) < size:
            return found
        size *= 8


def mark(end: int, data: bytes, lines: int | None = None, header: bytes = b"") -> Mark:
    """Return the mark of the place `end`, before which `data` lies."""
    return Mark(end, digest(data[-MARK:]), lines, header)

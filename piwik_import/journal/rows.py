"""What the journal knows of one log, and the chunks of it that are in doubt."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from piwik_import.identity import Digest, Mark
from piwik_import.translate import SLOTS


@dataclass(slots=True)
class Doubt:
    """A chunk, or what one source has of it, whose fate is not known."""

    source: int
    run: int
    lane: int
    lanes: int
    first: int
    last: int
    """Lines, from 1."""
    end: int
    """Where the last of them ends."""
    hits: int
    since: float


@dataclass(slots=True)
class Stored:
    """What the journal knows of one log and one destination."""

    id: int
    destination: str
    name: str
    path: str | None
    format: str | None
    beginning: Digest
    file: tuple[int, int, int, int] | None
    """Device, inode, size and time of change when it was last read to its end."""
    ends: array[int]
    lines: array[int]
    mark: Mark | None
    hits: int
    updated: float
    doubts: list[Doubt] = field(default_factory=list)

    @property
    def place(self) -> tuple[int, int]:
        """Where all slots have come at least: place in bytes, and lines before it."""
        return min(zip(self.ends, self.lines, strict=True))

    def reset(self) -> None:
        """Forget how far it has come."""
        nothing = bytes(8 * SLOTS)
        self.ends, self.lines = array("Q", nothing), array("Q", nothing)
        self.mark, self.hits = None, 0

    def skip_doubts(self) -> None:
        """Take the chunks in doubt for recorded."""
        for doubt in self.doubts:
            for slot in range(doubt.lane, SLOTS, doubt.lanes):
                if doubt.end > self.ends[slot]:
                    self.ends[slot], self.lines[slot] = doubt.end, doubt.last
        self.doubts = []


def name_to_db(name: str | None) -> str | bytes | None:
    """Return what stands for a file's name in the database: text, or bytes if they are not UTF-8."""
    try:
        return None if name is None else name.encode().decode()
    except UnicodeEncodeError:
        return os.fsencode(name or "")


def _name(found: str | bytes) -> str:
    return os.fsdecode(found)


def file_to_db(file: tuple[int, int, int, int] | None) -> tuple[int | None, ...]:
    """Return what stands for a file in the database, whose numbers have a sign: inodes may be larger."""
    return (None,) * 4 if file is None else tuple(number & 0x7FFF_FFFF_FFFF_FFFF for number in file)


def from_row(row: Sequence[Any]) -> Stored:
    """Make a `Stored` of a row of the table ``sources``. Raises ValueError if it is damaged."""
    (number, destination, name, path, form, length, value, *file, ends, lines, end, marked, before, hits, updated) = row
    if not len(ends) == len(lines) == 8 * SLOTS:
        raise ValueError("the progress of a source is damaged")
    return Stored(
        number,
        destination,
        _name(name),
        None if path is None else _name(path),
        form,
        Digest(length, value),
        None if file[0] is None else (file[0], file[1], file[2], file[3]),
        array("Q", ends),
        array("Q", lines),
        None if end is None else Mark(end, Digest(marked, before)),
        hits,
        updated,
    )

"""What the journal knows of one log and of the lanes that send it, and the rows that this is kept in."""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from piwik_import.identity import Digest, Mark, digest
from piwik_import.journal.boot import BOOT
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


@dataclass(frozen=True, slots=True)
class Lane:
    """Where one lane of a run has come in one source, and what is on its way."""

    source: int
    run: int
    lane: int
    lanes: int
    place: int
    """Where its last acknowledged hit ends; 0 if that says no more than the source's row does."""
    line: int
    tracked: int = 0
    """How many hits were recorded of it, beside those that the source's row counts."""
    doubt: Doubt | None = None
    ahead: Doubt | None = None
    """The chunk that follows it and is not sent yet. In a row that is read it is part of `doubt`, or left out."""


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
    mark: Mark | None = None
    hits: int = 0
    updated: float = 0.0
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

    def advance(self, lane: int, lanes: int, end: int, line: int) -> None:
        """Move the slots of a lane to a place, those that are not beyond it."""
        for slot in range(lane, SLOTS, lanes):
            if end > self.ends[slot]:
                self.ends[slot], self.lines[slot] = end, line

    def has_passed(self, doubt: Doubt) -> bool:
        """Tell whether the hits of a chunk have all been acknowledged since it was in doubt, or skipped."""
        return all(self.ends[slot] >= doubt.end for slot in range(doubt.lane, SLOTS, doubt.lanes))

    def skip_doubts(self) -> None:
        """Take the chunks in doubt for recorded."""
        for doubt in self.doubts:
            self.advance(doubt.lane, doubt.lanes, doubt.end, doubt.last)


def _packed(places: array[int]) -> bytes:
    """Pack the places of all slots, most of which are equal: to write a row of several pages costs more than that."""
    return zlib.compress(places.tobytes(), 1)


def _unpacked(found: bytes) -> array[int]:
    return array("Q", zlib.decompress(found))


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


COLUMNS = (
    "destination, name, path, format, length, digest, device, inode, size, mtime, ends, lines, mark, mark_length,"
    " mark_digest, mark_lines, mark_header, hits, updated, seal"
)
"""Of the table ``sources``, after its ``id``."""

LANE_COLUMNS = (
    'source, run, lane, lanes, place, line, tracked, first, last, "end", hits, since, ahead_first, ahead_last,'
    " ahead_end, ahead_hits, ahead_since, boot, seal"
)
"""Of the table ``lanes``."""


def to_row(stored: Stored) -> tuple[object, ...]:
    """Return the values of all `COLUMNS`."""
    row = (
        stored.destination,
        name_to_db(stored.name),
        name_to_db(stored.path),
        stored.format,
        *astuple(stored.beginning),
        *file_to_db(stored.file),
        _packed(stored.ends),
        _packed(stored.lines),
        *_mark_to_row(stored.mark),
        stored.hits,
        stored.updated,
    )
    return (*row, seal(row))


def seal(row: Sequence[object]) -> bytes:
    """Return the digest of what a row holds: a file that was cut may read as one that holds zeros."""
    return digest(b"\n".join(one if isinstance(one, bytes) else repr(one).encode() for one in row)).value


def _mark_to_row(mark: Mark | None) -> tuple[object, ...]:
    if mark is None:
        return (None,) * 5
    return (mark.end, mark.before.length, mark.before.value, mark.lines, mark.header or None)


def _mark_from_row(end: int | None, length: int, value: bytes, lines: int | None, header: bytes | None) -> Mark | None:
    return None if end is None else Mark(end, Digest(length, value), lines, header or b"")


def from_row(row: Sequence[Any]) -> Stored:
    """Make a `Stored` of the ``id`` and the `COLUMNS` of a row of ``sources``. Raises ValueError if it is damaged."""
    number, destination, name, path, form, length, value = row[:7]
    file, (ends, lines), mark, (hits, updated) = row[7:11], row[11:13], row[13:18], row[18:20]
    if seal(row[1:-1]) != row[-1]:
        raise ValueError("what it holds of a source is damaged")
    return Stored(
        number,
        destination,
        _name(name),
        None if path is None else _name(path),
        form,
        Digest(length, value),
        None if file[0] is None else (file[0], file[1], file[2], file[3]),
        _unpacked(ends),
        _unpacked(lines),
        _mark_from_row(*mark),
        hits,
        updated,
    )


def lane_to_row(lane: Lane) -> tuple[object, ...]:
    """Return the values of all `LANE_COLUMNS`."""
    place = (lane.source, lane.run, lane.lane, lane.lanes, lane.place, lane.line, lane.tracked)
    row = (*place, *_chunk_to_row(lane.doubt), *_chunk_to_row(lane.ahead), BOOT if lane.ahead else None)
    return (*row, seal(row))


def _chunk_to_row(chunk: Doubt | None) -> tuple[object, ...]:
    return (None,) * 5 if chunk is None else (chunk.first, chunk.last, chunk.end, chunk.hits, chunk.since)


def lane_from_row(row: Sequence[Any]) -> Lane:
    """Make a `Lane` of the `LANE_COLUMNS` of a row of ``lanes``. Raises ValueError if it is damaged."""
    if seal(row[:-1]) != row[-1]:
        raise ValueError("what it holds of a lane is damaged")
    (source, run, lane, lanes, place, line, tracked), doubt, ahead, boot = row[:7], row[7:12], row[12:17], row[17]
    chunks = [Doubt(source, run, lane, lanes, *chunk) for chunk in (doubt, ahead) if chunk[0] is not None]
    if ahead[0] is not None and boot and boot == BOOT:
        chunks.pop()
    return Lane(source, run, lane, lanes, place, line, tracked, _joined(chunks))


def _joined(chunks: Sequence[Doubt]) -> Doubt | None:
    """Return as one what is in doubt of a lane whose run has ended.

    That a chunk has been sent which was the next is written down without waiting for the disk. That outlasts the end
    of the process, but not that of the machine: after that, the next one is in doubt as well.
    """
    if len(chunks) < 2:
        return chunks[0] if chunks else None
    one, following = chunks
    return replace(one, last=following.last, end=following.end, hits=one.hits + following.hits)

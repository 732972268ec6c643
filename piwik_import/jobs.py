"""What there is to do: the sources, where to go on in each, their formats, in the order in which they are read.

All that can be wrong with what the user asked for is known when this is done, and nothing has been sent.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from piwik_import import source
from piwik_import.errors import WrongFormat
from piwik_import.parsers import definition, detection, headers
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.headers import Header
from piwik_import.parsers.record import Record
from piwik_import.parsers.w3c import W3C
from piwik_import.source import Block, Source

if TYPE_CHECKING:
    from piwik_import.journal import Stored
    from piwik_import.resume import Resumed

LARGE = 10 * 1024 * 1024
"""Bytes on disk of a log for which it is worth to try the server first."""

LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Job:
    """One source, what its lines are, and how much of it is done already."""

    source: Source
    definition: Definition | None
    """None as long as there are no lines to tell it by."""
    candidates: Sequence[Definition]
    """The formats that it may have."""
    given: bool = False
    """Whether the user has named these."""
    first: datetime = LAST
    """The time of its first record."""
    stored: Stored | None = None
    nothing_new: bool = False
    note: str | None = None
    """To be said if there is anything to read."""
    offset: int = 0
    """Where to read from, in decompressed bytes."""
    line: int = 1
    """Number of the line there."""
    done: array[int] | None = None
    """Places up to which the slots are done, where that is beyond `offset`."""
    lacks_host: bool = True
    """Whether there are lines that name no host."""
    damaged: bool = False
    """Whether reading ended before its end."""

    @property
    def format(self) -> str | None:
        """The name of the format, as far as it is known."""
        if self.definition is not None:
            return self.definition.name
        return self.stored.format if self.stored else None

    @property
    def needs_base(self) -> bool:
        """Whether its lines do not all say where the pages are, as far as they have been looked at."""
        return self.definition is None or self.lacks_host

    @property
    def is_large_and_new(self) -> bool:
        """Whether there is much to import of it, and nothing was imported yet."""
        return not self.nothing_new and self.offset == 0 and (self.source.size or 0) >= LARGE

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks from the offset on, each with the header that governs it. Raises SourceError."""
        if self.definition is not None and self.definition.columns is None:
            yield from self.source.blocks(self.offset, self.line)
            return
        header = Header()
        for block in self.source.blocks():  # from the very beginning: the header may stand anywhere above
            above, rest = self._cut(block)
            header = self._after(header, above)
            if rest is not None:
                yield replace(rest, header=header.encode())
                header = self._after(header, rest)

    def _after(self, header: Header, block: Block) -> Header:
        """Return what governs the lines after those of a block."""
        if self.definition is None:
            return headers.follow(header, block.data)
        return header if block.cut else self.definition.header_after(header, block.data)

    def _cut(self, block: Block) -> tuple[Block, Block | None]:
        """Return what of a block lies before the offset, and what lies there and after it, if anything does."""
        passed = max(self.offset - block.offset, 0)
        if block.end <= self.offset:
            return block, None
        above, data = block.data[:passed], block.data[passed:]
        if passed == 0:
            return replace(block, data=above), block
        lines = 1 if block.cut else data.count(b"\n") + (not data.endswith(b"\n"))
        return replace(block, data=above), replace(block, data=data, offset=self.offset, line=self.line, lines=lines)

    def recognise(self, block: Block) -> None:
        """Find the format by lines that have come only now, if it is not known. Raises UnknownFormat."""
        if self.definition is not None or block.cut:
            return
        if lines := detection.lines_of(block.header + block.data + b"\n"):  # a block's last line is whole, too
            self.definition = self.recognised(lines)

    def recognised(self, lines: Sequence[str]) -> Definition:
        """Return the format that fits `lines`. Raises UnknownFormat."""
        return detection.recognise(self.source.name, lines, self.candidates, self.given)


def prepare(
    logs: Sequence[str],
    formats: Sequence[Definition],
    order: str,
    resume: Callable[[Iterable[Source]], list[Resumed]] | None,
    w3c: W3C | None = None,
    certain: Definition | None = None,
) -> list[Job]:
    """Find the sources, ask `resume` where to go on in them, recognise their formats and put them in order.

    `formats` is what they may be, as far as the user has said so: a single one is taken as given. Where the format is
    `certain`, the lines are not even looked at.

    Raises SourceError, UnknownFormat, WrongFormat, UsageError, LockedError, JournalError.
    """
    candidates = [*formats] or definition.recognisable()
    if w3c is not None:
        candidates = w3c.adapted(candidates)
    fixed = certain or (candidates[0] if len(formats) == 1 else None)
    found = source.find(logs)
    if resume is None:
        todo = [Job(one, fixed, candidates, bool(formats)) for one in found]
    else:
        todo = [_resumed(one, fixed, candidates, bool(formats)) for one in resume(found)]
    for job in todo:
        if not job.nothing_new and not certain:
            _recognise(job)
        job.lacks_host = job.lacks_host and not certain
    if order == "time":
        todo.sort(key=lambda job: job.first)
    return todo


def _resumed(resumed: Resumed, fixed: Definition | None, candidates: Sequence[Definition], given: bool) -> Job:
    stored = resumed.stored
    job = Job(resumed.source, fixed, candidates, given, LAST, stored, resumed.nothing_new, resumed.note)
    if stored is not None:
        job.offset, lines = stored.place
        job.line = lines + 1
        job.done = stored.ends[:] if max(stored.ends) > job.offset else None
    return job


def _recognise(job: Job) -> None:
    """Look at the first lines of a source: their format, if it is not given, and the time of the first record.

    A format that was given and fits none of them is refused as an unknown one is: what it called invalid would count
    as done.
    """
    head = job.source.head()
    if b"\n" not in head:
        return  # the beginning of a line, if anything: the blocks will tell more
    lines = detection.lines_of(head)
    if not lines:
        return
    known = job.definition or job.recognised(lines)
    results = [*known.records(lines)]
    records = [one for one in results if isinstance(one, Record)]
    if not records:
        raise WrongFormat(job.source.name, known.name, lines[0], len(results), str(results[0]))
    job.definition = known
    job.first = records[0].time
    job.lacks_host = any(record.host is None for record in records)

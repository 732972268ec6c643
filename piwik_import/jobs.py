"""What there is to do: the sources, where to go on in each, their formats, in the order in which they are read.

All that can be wrong with what the user asked for is known when this is done, and nothing has been sent.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from piwik_import import framing, source
from piwik_import.errors import UnknownFormat, WrongFormat
from piwik_import.parsers import definition, detection, forms, wrappers
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.record import BadLine, Parser, Record
from piwik_import.parsers.wrappers import Wrapper
from piwik_import.reading import Reading
from piwik_import.source import BLOCK_SIZE, Block, Source

if TYPE_CHECKING:
    from piwik_import.journal import Stored
    from piwik_import.resume import Resumed

LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Job:
    """One source, what its lines are, and how much of it is done already."""

    source: Source
    fixed: Definition | None = None
    """The format that the user named."""
    definition: Definition | None = None
    """None as long as there are no lines to tell it by."""
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
    reading: Reading = field(default_factory=Reading)

    @property
    def format(self) -> str | None:
        """The name of the format, as far as it is known."""
        if self.definition is not None:
            return self.definition.label
        if self.fixed is not None:
            return self.fixed.name
        return self.stored.format if self.stored else None

    @property
    def needs_base(self) -> bool:
        """Whether its lines do not all say where the pages are, as far as they have been looked at."""
        return self.definition is None or self.lacks_host

    def recognise(self, block: Block) -> None:
        """Find the format by lines that have come only now, if it is not known. Raises UnknownFormat."""
        if self.definition is None and not block.cut and (lines := detection.lines_of(block.data)):
            self.definition = self.recognised(lines)

    def recognised(self, lines: Sequence[str]) -> Definition:
        """Return the format of `lines`, and what is around them; the format that the user named if nothing fits.

        Raises UnknownFormat, FormatError.
        """
        around: list[Wrapper | None] = [None, *wrappers.known().values()]
        if self.reading.wrapper is not None:
            around = [None if self.reading.wrapper == "none" else wrappers.named(self.reading.wrapper)]
        candidates = [self.fixed] if self.fixed is not None else list(definition.known().values())
        try:
            found = detection.recognise(self.source.name, lines, [self._as_asked(one) for one in candidates], around)
        except UnknownFormat:
            if self.fixed is None:
                raise
            found = self.fixed.within(around[0])
        return self._as_asked(found, year=True)

    def _as_asked(self, found: Definition, *, year: bool = False) -> Definition:
        """Return a format as the user says that it is to be read, and with the `year` of times that name none."""
        written = datetime.fromtimestamp(self.source.file[3] / 1e9, UTC)
        latest = f"{written:%Y-%m-%dT%H:%M:%SZ}" if year and not self.source.is_pipe else ""
        return found.read_as(self.reading, latest) if latest or self.reading != Reading() else found

    def blocks(self) -> Iterator[Block]:
        """Yield what is to be read, in blocks that end where a record ends."""
        if self.definition is None:
            return self.source.blocks(self.offset, self.line)
        return framing.blocks(self.source, self.definition, self.offset, self.line)

    def go_back(self) -> None:
        """Begin where a block ended, if records are no lines: a hit may end where another record has not yet."""
        assert self.definition is not None
        wrapper, stored = self.definition.wrapper, self.stored
        if stored is None or not self.offset or not (self.definition.spread or (wrapper and wrapper.has_parts)):
            return
        start = 0 if stored.mark is None else stored.mark.end
        if self.source.is_pipe or self.offset - start > FAR:
            return
        between = self.source.before(self.offset, self.offset - start)
        self.line -= between.count(b"\n") + (between[-1:] not in (b"", b"\n"))
        self.offset, self.done = start, stored.ends[:]


FAR = 8 * BLOCK_SIZE
"""Bytes that are read again at most."""


def prepare(
    logs: Sequence[str],
    format_name: str | None,
    order: str,
    resume: Callable[[Iterable[Source]], list[Resumed]] | None,
    reading: Reading | None = None,
) -> list[Job]:
    """Find the sources, ask `resume` where to go on in them, recognise their formats and put them in order.

    Raises SourceError, UnknownFormat, FormatError, LockedError, JournalError.
    """
    fixed = _definition(format_name) if format_name else None
    forms.check(reading or Reading())
    found = source.find(logs)
    todo = [Job(one, fixed) for one in found] if resume is None else [_resumed(one, fixed) for one in resume(found)]
    for job in todo:
        job.reading = reading or Reading()
        if not job.nothing_new:
            _recognise(job)
    if order == "time":
        todo.sort(key=lambda job: job.first)
    return todo


def _definition(name: str) -> Definition:
    """Return the format of a name, or of a file that ends in ``.toml``."""
    return definition.read(Path(name)) if name.endswith(".toml") else definition.named(name)


def _resumed(resumed: Resumed, fixed: Definition | None) -> Job:
    stored = resumed.stored
    job = Job(resumed.source, fixed, stored=stored, nothing_new=resumed.nothing_new, note=resumed.note)
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
    head = job.source.head(enough=framing.is_enough)
    spread = framing.is_spread(head)
    if b"\n" not in head and not spread:
        return  # the beginning of a line, if anything: the blocks will tell more
    lines = framing.objects(head) if spread else detection.lines_of(head)
    if not lines:
        return
    known = job.recognised(lines[: detection.LINES])
    records = list(_records(lines, known.compile()))
    if not records:
        raise WrongFormat(job.source.name, known.name, lines[0], len(lines))
    job.definition = replace(known, spread=True) if spread else known
    job.first = records[0].time
    job.lacks_host = any(record.host is None for record in records)
    job.go_back()


def _records(lines: Sequence[str], parse: Parser) -> Iterator[Record]:
    for line in lines:
        with suppress(BadLine):
            yield parse(line)

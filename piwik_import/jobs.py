"""What there is to do: the sources, where to go on in each, their formats, in the order in which they are read.

All that can be wrong with what the user asked for is known when this is done, and nothing has been sent.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from piwik_import import source
from piwik_import.errors import WrongFormat
from piwik_import.parsers import definition, detection
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.record import BadLine, Parser, Record
from piwik_import.source import Block, Source

if TYPE_CHECKING:
    from piwik_import.journal import Stored
    from piwik_import.resume import Resumed

LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Job:
    """One source, what its lines are, and how much of it is done already."""

    source: Source
    definition: Definition | None
    """None as long as there are no lines to tell it by."""
    formats: Sequence[Definition] = ()
    """What it may be, if the user has said so; else any format that is known."""
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

    def recognise(self, block: Block) -> None:
        """Find the format by lines that have come only now, if it is not known. Raises UnknownFormat."""
        if self.definition is None and not block.cut and (lines := detection.lines_of(block.data)):
            self.definition = self.recognised(lines)

    def recognised(self, lines: Sequence[str]) -> Definition:
        """Return the format that fits `lines`. Raises UnknownFormat."""
        formats = self.formats or definition.recognisable()
        return detection.recognise(self.source.name, lines, formats, given=bool(self.formats))


def prepare(
    logs: Sequence[str],
    formats: Sequence[Definition],
    order: str,
    resume: Callable[[Iterable[Source]], list[Resumed]] | None,
) -> list[Job]:
    """Find the sources, ask `resume` where to go on in them, recognise their formats and put them in order.

    `formats` is what they may be, as far as the user has said so: a single one is taken as given.

    Raises SourceError, UnknownFormat, WrongFormat, LockedError, JournalError.
    """
    fixed = formats[0] if len(formats) == 1 else None
    found = source.find(logs)
    todo = [Job(one, fixed) for one in found] if resume is None else [_resumed(one, fixed) for one in resume(found)]
    for job in todo:
        job.formats = formats
        if not job.nothing_new:
            _recognise(job)
    if order == "time":
        todo.sort(key=lambda job: job.first)
    return todo


def _resumed(resumed: Resumed, fixed: Definition | None) -> Job:
    stored = resumed.stored
    job = Job(resumed.source, fixed, (), LAST, stored, resumed.nothing_new, resumed.note)
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
    records = list(_records(lines, known.compile()))
    if not records:
        raise WrongFormat(job.source.name, known.name, lines[0], len(lines), _reason(lines[0], known.compile()))
    job.definition = known
    job.first = records[0].time
    job.lacks_host = any(record.host is None for record in records)


def _reason(line: str, parse: Parser) -> str:
    """Return why a line does not fit."""
    try:
        parse(line)
    except BadLine as error:
        return str(error)
    return ""


def _records(lines: Sequence[str], parse: Parser) -> Iterator[Record]:
    for line in lines:
        with suppress(BadLine):
            yield parse(line)

"""What there is to do: the sources, where to go on in each, their formats, in the order in which they are read.

All that can be wrong with what the user asked for is known when this is done, and nothing has been sent.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from piwik_import import source
from piwik_import.errors import UnknownFormat
from piwik_import.parsers import definition, detection
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.record import BadLine
from piwik_import.source import Source

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
        """Whether its lines do not say where the pages are."""
        return self.definition is None or "host" not in self.definition.fields

    def recognise(self, head: bytes) -> None:
        """Find the format of lines that have come only now. Raises UnknownFormat."""
        lines = detection.lines_of(head)
        self.definition = detection.recognise(self.source.name, lines, definition.known().values())


def prepare(
    logs: Sequence[str],
    format_name: str | None,
    order: str,
    resume: Callable[[Iterable[Source]], list[Resumed]] | None,
) -> list[Job]:
    """Find the sources, ask `resume` where to go on in them, recognise their formats and put them in order.

    Raises SourceError, UnknownFormat, FormatError, LockedError, JournalError.
    """
    fixed = _definition(format_name) if format_name else None
    found = source.find(logs)
    todo = [Job(one, fixed) for one in found] if resume is None else [_resumed(one, fixed) for one in resume(found)]
    for job in todo:
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
    job = Job(resumed.source, fixed, LAST, stored, resumed.nothing_new, resumed.note)
    if stored is not None:
        job.offset, lines = stored.place
        job.line = lines + 1
        job.done = stored.ends[:] if max(stored.ends) > job.offset else None
    return job


def _recognise(job: Job) -> None:
    """Find the format of a source, if it is not given, and the time of its first record."""
    head = job.source.head()
    lines = detection.lines_of(head)
    if job.definition is None and lines:
        try:
            job.recognise(head)
        except UnknownFormat:
            if b"\n" in head:
                raise  # else it is the beginning of a line, and its blocks will tell more
    if job.definition is not None:
        job.first = _first_time(lines, job.definition)


def _first_time(lines: Sequence[str], known: Definition) -> datetime:
    """Return the time of the first record; a source without one comes last."""
    parse = known.compile()
    for line in lines:
        try:
            return parse(line).time
        except BadLine:
            continue
    return LAST

"""What there is to do: the sources, where to go on in each, their formats, in the order in which they are read.

All that can be wrong with what the user asked for is known when this is done, and nothing has been sent.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from piwik_import import framing, identity, source
from piwik_import.errors import UnknownFormat, UsageError, WrongFormat
from piwik_import.hints import Hints
from piwik_import.identity import Mark
from piwik_import.parsers import detection, forms, headers
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.headers import Header
from piwik_import.parsers.record import Record
from piwik_import.parsers.registry import Registry
from piwik_import.parsers.w3c import W3C
from piwik_import.parsers.wrappers import Wrapper
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
    candidates: Sequence[Definition] = ()
    """The formats that it may have."""
    given: bool = False
    """Whether the user has named these; a single one is taken as given, whatever the lines look like."""
    hints: Hints = field(default_factory=Hints)
    registry: Registry = field(default_factory=Registry)
    """Knows what may be around its lines."""
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

    @property
    def format(self) -> str | None:
        """The name of the format, as far as it is known."""
        if self.definition is not None:
            return self.definition.label
        if self.fixed is not None:
            return self.fixed.name
        return self.stored.format if self.stored else None

    @property
    def fixed(self) -> Definition | None:
        """The format that the user has named."""
        return self.candidates[0] if self.given and len(self.candidates) == 1 else None

    @property
    def needs_base(self) -> bool:
        """Whether its lines do not all say where the pages are, as far as they have been looked at."""
        return self.definition is None or self.lacks_host

    @property
    def must_be_finished(self) -> bool:
        """Whether its import was interrupted, and has to be ended before others are begun.

        What its calls say of users is known in the lines that come after, in whatever log. Were a log put before it, a
        place in this one would not tell any more what was known there.
        """
        return self.done is not None and self.definition is not None and self.definition.calls != ""

    @property
    def is_large_and_new(self) -> bool:
        """Whether there is much to import of it, and nothing was imported yet."""
        return not self.nothing_new and self.offset == 0 and (self.source.size or 0) >= LARGE

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks from the offset on, each with the header that governs it, and ending where a record ends.

        Raises SourceError.
        """
        if self.definition is not None and self.definition.columns is None:
            yield from framing.blocks(self.source, self.definition, self.offset, self.line)
            return
        start, lines, known = self._kept()
        header = headers.read(known)
        for block in self.source.blocks(start, lines + 1):  # the header may stand anywhere above the offset
            above, rest = self._cut(block)
            header = self._after(header, above)
            if rest is not None:
                yield replace(rest, header=header.encode())
                header = self._after(header, rest)

    def mark_after(self, block: Block) -> Mark | None:
        """Return how the journal is to know the place where a block ends; None where it would not be known again."""
        if block.cut:
            return None
        header = b""
        if self.definition is None or self.definition.columns is not None:
            header = self._after(headers.read(block.header), block).encode()
        return identity.mark(block.end, block.data, block.line + block.lines - 1, header)

    def _kept(self) -> tuple[int, int, bytes]:
        """Return the last place above the offset of which the journal has all that must be known to read on there."""
        mark = None if self.stored is None else self.stored.mark
        return (0, 0, b"") if mark is None or mark.lines is None else (mark.end, mark.lines, mark.header)

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

    @property
    def around(self) -> Sequence[Wrapper | None]:
        """What there may be around its lines; None stands for nothing. Raises UsageError."""
        if self.hints.wrapper is not None:
            return [None if self.hints.wrapper == "none" else self.registry.wrapper(self.hints.wrapper)]
        return [None, *self.registry.wrappers.values()]

    def recognised(self, lines: Sequence[str]) -> Definition:
        """Return the format of `lines`, and what is around them; the format that the user named if nothing fits.

        Raises UnknownFormat, FormatError, UsageError.
        """
        around, asked = self.around, [self.as_asked(one) for one in self.candidates]
        try:
            found = detection.recognise(self.source.name, lines, asked, around, given=self.given)
        except UnknownFormat:
            meant = self._without_places(lines, around) if self.fixed is None else self.fixed.within(around[0])
            if meant is None:
                raise
            found = meant
        if not self.given:
            self.registry.check(found)
        if found.plugin is not None and self.hints.fields:
            raise UsageError(f"--field is not for the format {found.name}: the code of a plug-in finds its fields.")
        plain = next((one for one in self.candidates if one.name == found.name), found)
        forms.check_places(plain.within(found.wrapper), self.hints, lines)
        return self.as_asked(found, year=True)

    def _without_places(self, lines: Sequence[str], around: Sequence[Wrapper | None]) -> Definition | None:
        """Return the format with columns that would fit if the user had not said where fields lie, if there is one."""
        if not self.hints.fields:
            return None
        elsewhere = [one.read_as(replace(self.hints, fields={})) for one in self.candidates if one.columns is not None]
        try:
            return detection.recognise(self.source.name, lines, elsewhere, around)
        except UnknownFormat:
            return None

    def as_asked(self, found: Definition, *, year: bool = False) -> Definition:
        """Return a format as the user says that it is to be read, and with the `year` of times that name none."""
        written = datetime.fromtimestamp(self.source.file[3] / 1e9, UTC)
        latest = f"{written:%Y-%m-%dT%H:%M:%SZ}" if year and not self.source.is_pipe else ""
        return found.read_as(self.hints, latest) if latest or self.hints != Hints() else found

    def go_back(self) -> None:
        """Begin where a block ended, if records are no lines: a hit may end where another record has not yet."""
        assert self.definition is not None
        wrapper, stored = self.definition.wrapper, self.stored
        if stored is None or not self.offset or not (self.definition.spread or (wrapper and wrapper.has_parts)):
            return
        self.offset, lines, _ = self._kept()
        self.line, self.done = lines + 1, stored.ends[:]


def prepare(
    logs: Sequence[str],
    formats: Sequence[Definition],
    order: str,
    resume: Callable[[Iterable[Source]], list[Resumed]] | None,
    *,
    w3c: W3C | None = None,
    certain: Definition | None = None,
    hints: Hints | None = None,
    registry: Registry | None = None,
) -> list[Job]:
    """Find the sources, ask `resume` where to go on in them, recognise their formats and put them in order.

    `formats` is what they may be, as far as the user has said so: a single one is taken as given; else they may be any
    that `registry` knows. Where the format is `certain`, the lines are not even looked at.

    Raises SourceError, UnknownFormat, WrongFormat, UsageError, LockedError, JournalError.
    """
    hints, registry, w3c = hints or Hints(), registry or Registry(), w3c or W3C()
    forms.check(hints)
    found = source.find(logs)
    todo = [Job(one) for one in found] if resume is None else [*map(_resumed, resume(found))]
    candidates = [*formats]
    if not formats and not certain and (w3c != W3C() or not all(job.nothing_new for job in todo)):
        candidates = registry.recognisable()
    candidates = w3c.adapted(candidates)
    for job in todo:
        job.candidates, job.given, job.hints, job.registry = candidates, bool(formats), hints, registry
        job.definition = certain
        if not job.nothing_new and not certain:
            _recognise(job)
        job.lacks_host = job.lacks_host and not certain
    if order == "time":
        todo.sort(key=lambda job: (not job.must_be_finished, job.first))
    return todo


def _resumed(resumed: Resumed) -> Job:
    stored = resumed.stored
    job = Job(resumed.source, stored=stored, nothing_new=resumed.nothing_new, note=resumed.note)
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
    lines, spread = sample_of(head)
    if b"\n" not in head and not spread:
        return  # the beginning of a line, if anything: the blocks will tell more
    if not lines:
        return
    known = job.recognised(lines)
    results = [*known.records(lines)]
    records = [one for one in results if isinstance(one, Record)]
    if not records:
        raise WrongFormat(job.source.name, known.name, lines[0], len(results), str(results[0]))
    job.definition = replace(known, spread=True) if spread else known
    job.first = records[0].time
    job.lacks_host = known.calls != "" or any(record.host is None for record in records)
    job.go_back()


def sample_of(head: bytes) -> tuple[list[str], bool]:
    """Return the lines, or the objects, by which the format of a log is recognised; and whether it is objects."""
    spread = framing.is_spread(head)
    return (framing.objects(head)[: detection.LINES] if spread else detection.lines_of(head)), spread

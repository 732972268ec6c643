"""Where to go on: each source's row in the journal, whatever has become of its file since.

By the rules of `identity`: a file that is as it was when it was last read to its end has nothing new and is not
even opened. Any other is looked up by its beginning, and by the bytes before the place up to which it was read, so a
log is known again when it has grown, was renamed or compressed, and one that was truncated and written anew is not
taken for what it was. Of several files that hold the same log as far as they go (access.log.1 and the access.log.1.gz
that is being made of it) the one that holds most is read.

If a name has come to stand for another log than before, the one that it stood for is looked for among the files
beside it (`rotation`), and what is left of it comes first; then those that came and went in between.

A pipe is known by the name that --journal-name gives it, and by its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from piwik_import import identity, rotation
from piwik_import.errors import PiwikImportError, SourceError, UsageError
from piwik_import.journal import Journal, LockedError, Stored
from piwik_import.report import Report
from piwik_import.source import Source

PIPE = "pipe:"
"""What the path of a pipe begins with in the journal; that of a file is absolute."""

MUCH = 1 << 24
"""Bytes of a pipe that may be headers."""


@dataclass(slots=True)
class Resumed:
    """A source and what the journal knows of it."""

    source: Source
    stored: Stored | None
    """None for a pipe without a name: it is imported from its beginning each time."""
    nothing_new: bool = False
    note: str | None = None
    """To be said if there is anything to read."""
    is_copy: bool = False
    """Of another one, by which it is represented."""


@dataclass(slots=True)
class Resumer:
    """Finds the rows of the sources of one run."""

    journal: Journal
    destination: str
    """The server, and what decides to which site hits go: another one has progress of its own."""
    report: Report
    pipe: str | None = None
    """The name of the pipe among the sources."""
    from_start: bool = False
    skip_doubts: bool = False
    """Whether chunks in doubt are taken for recorded, rather than sent again."""
    patience: float = 0.0
    """Seconds to wait for another import of the same source."""
    _beginnings: dict[Source, bytes] = field(default_factory=dict)
    _named: list[Stored] = field(default_factory=list)
    """The logs of which chunks were in doubt."""

    def __call__(self, sources: Iterable[Source]) -> list[Resumed]:
        """Return the sources that are to be read, with what the journal knows of them.

        Raises LockedError, SourceError, JournalError, UsageError.
        """
        sources, until = list(sources), monotonic() + self.patience
        if self.pipe is not None and sum(source.is_pipe for source in sources) > 1:
            raise UsageError("--journal-name names one pipe, and here are several: import them one after another.")
        while True:
            try:
                return self._resumed(sources)
            except LockedError as error:
                # Waited for with nothing locked, or two imports of the same logs in other orders wait for each other.
                self.journal.unlock()
                self.journal.lock(error.source, max(0.0, until - monotonic()))
                self.journal.unlock()

    def _resumed(self, sources: Sequence[Source]) -> list[Resumed]:
        found: dict[int, Resumed] = {}
        resumed = [self._unchanged(source, found) for source in sources]
        for step in (self._known, self._new):  # so that of two copies the one that is known decides
            resumed = [one or step(source, found) for one, source in zip(resumed, sources, strict=True)]
        order = [one for one in resumed if one is not None and not one.is_copy]
        for at in reversed(range(len(order))):
            order[at:at] = self._predecessors(order[at], found)
        return order

    def _unchanged(self, source: Source, found: dict[int, Resumed]) -> Resumed | None:
        """Tell of a source that there is nothing to know, or nothing new; None if it must be looked up."""
        if source.is_pipe and self.pipe is None:
            return Resumed(source, None)
        if not source.is_pipe and not self.from_start:
            for stored in self.journal.lying_as(self.destination, source.file):
                if stored.id not in found and not stored.doubts:
                    if stored.path != self._path(source):
                        self.journal.move(stored, source.name, self._path(source))
                    found[stored.id] = Resumed(source, stored, nothing_new=True)
                    return found[stored.id]
        return None if self._beginning(source) else Resumed(source, None, nothing_new=True)

    def _known(self, source: Source, found: dict[int, Resumed]) -> Resumed | None:
        """Find the row of a source, if it has been begun."""
        for stored in self.journal.beginning_with(self.destination, self._beginning(source)):
            if stored.path == self._path(source) if source.is_pipe else _goes_on(source, stored):
                if stored.id not in found:
                    found[stored.id] = Resumed(source, self._taken(stored, source))
                    return found[stored.id]
                if self._is_copy(source, found[stored.id]):
                    return Resumed(source, None, is_copy=True)
        return None

    def _new(self, source: Source, found: dict[int, Resumed]) -> Resumed:
        """Begin a row for a source, unless it is a copy of one that is there already."""
        beginning = self._beginning(source)
        for other in found.values():
            if self._begin_alike(beginning, other) and self._is_copy(source, other):
                return Resumed(source, None, is_copy=True)
        name, known = self._name(source), identity.digest(beginning)
        stored = self.journal.add(self.destination, name, self._path(source), known)
        found[stored.id] = Resumed(source, self._taken(stored, source))
        return found[stored.id]

    def _begin_alike(self, beginning: bytes, other: Resumed) -> bool:
        """Tell whether a log begins as another one does, as far as the shorter of them goes."""
        assert other.stored is not None
        if other.stored.beginning.length <= len(beginning):
            return other.stored.beginning.fits(beginning)
        return self._beginning(other.source).startswith(beginning)

    def _beginning(self, source: Source) -> bytes:
        """Return by what a source is known."""
        if source not in self._beginnings:
            of = self._beginning_of_pipe if source.is_pipe else identity.beginning_of
            self._beginnings[source] = of(source)
        return self._beginnings[source]

    def _path(self, source: Source) -> str:
        """Return where a source lies, as the journal calls it."""
        return PIPE + (self.pipe or "") if source.is_pipe else rotation.place(source.name)

    def _beginning_of_pipe(self, source: Source) -> bytes:
        """Return by what a pipe is known: as many bytes as are known of one of that name, or as it has at all."""
        known = [stored.beginning.length for stored in self.journal.at_path(self.destination, self._path(source))]
        wanted = max(known, default=0)

        def enough(text: bytes) -> bool:
            found = identity.beginning(text)
            return len(found) >= wanted and b"\n" in found

        return identity.beginning(source.head(MUCH, enough))

    def _name(self, source: Source) -> str:
        return self.pipe if source.is_pipe and self.pipe is not None else source.name

    def _is_copy(self, source: Source, first: Resumed) -> bool:
        """Tell whether two sources hold the same log; if so, `first` becomes the one of them that holds more."""
        if source.is_pipe or first.source.is_pipe or first.stored is None:
            return False
        more = _compared(source, first)
        if more is None:
            return False
        one, other = (source, first.source) if more else (first.source, source)
        self.report.note(f"{other.name} is the same log as {one.name}: read once")
        if more:
            if first.nothing_new:
                first.stored = self._taken(first.stored, source)
            first.source, first.nothing_new = source, False
            self._lies_now(first.stored, source)
        return True

    def _lies_now(self, stored: Stored, source: Source) -> None:
        """Note how the log of a row is called now, and know it by as much of its beginning as it has by now."""
        stored.name, stored.path = self._name(source), self._path(source)
        if len(beginning := self._beginning(source)) > stored.beginning.length:
            stored.beginning = identity.digest(beginning)

    def _taken(self, stored: Stored, source: Source) -> Stored:
        """Lock a row for this run, and note how its log lies now."""
        self.journal.lock(stored, 0)
        stored = self.journal.reread(stored)  # another import may just have ended
        self._lies_now(stored, source)
        stored.file = None
        if stored.doubts:
            self._named.append(stored)
            self._name_doubts(stored)
        if self.from_start:
            stored.reset()  # on disk when the first chunk is: what fails before that leaves the progress as it is
        return stored

    def _name_doubts(self, stored: Stored) -> None:
        """Say what an earlier run has left in doubt, and what becomes of it."""
        skipped = self.skip_doubts and not self.from_start
        of: dict[str, list[str]] = {}
        for doubt in stored.doubts:
            fate = "skipped" if skipped else "sent again"
            if stored.has_passed(doubt) and not self.from_start:
                fate = "sent again, or skipped, by a run that was killed before it said so"
            of.setdefault(fate, []).append(f"lines {doubt.first} to {doubt.last}")
        for fate, where in of.items():
            self.report.note_doubt(
                f"{stored.name}: it is not known whether {', '.join(where)} were recorded when last sent; {fate}"
            )
        if skipped:
            stored.skip_doubts()

    def told(self, tell: Callable[[], bool]) -> None:
        """Call `tell` to write the summary, and if it has, strike out the chunks in doubt that are named there.

        Those whose hits were not settled remain. Nothing is lost if this fails: they are named once more.
        """
        named = self._named if tell() else []
        with suppress(PiwikImportError):
            for stored in named:
                now = self.journal.reread(stored)  # what is not on disk may still be sent again
                self.journal.strike_out([doubt for doubt in stored.doubts if now.has_passed(doubt)])

    def _predecessors(self, resumed: Resumed, found: dict[int, Resumed]) -> list[Resumed]:
        """Return the logs that the name of a source stood for, and stands for no more, as far as they lie beside it."""
        source = resumed.source
        if source.is_pipe or self.from_start:
            return []
        before: list[Resumed] = []
        for stored in self.journal.at_path(self.destination, self._path(source)):
            if stored.id in found:
                continue
            sibling = rotation.find(source, stored.file, partial(_holds, stored))
            if sibling is None:
                self._let_go(stored, source, is_new=resumed.stored is None or resumed.stored.place[0] == 0)
                continue
            note = f"{source.name} was rotated: what was left of it in {sibling.name} came first"
            found[stored.id] = Resumed(sibling, self._taken(stored, sibling), note=note)
            between = [self._unknown(one, found) for one in rotation.later(source, sibling)]
            before += [found[stored.id], *(one for one in between if one is not None)]
        return before

    def _unknown(self, source: Source, found: dict[int, Resumed]) -> Resumed | None:
        """Begin a log that came and went between two runs; None for one that is known."""
        beginning = self._beginning(source)
        known = self.journal.beginning_with(self.destination, beginning) if beginning else []
        if not beginning or any(stored.id in found or _goes_on(source, stored) for stored in known):
            return None
        resumed = self._new(source, found)
        if resumed.is_copy:
            return None
        resumed.note = f"{source.name} came and went since the last run, and was imported too"
        return resumed

    def _let_go(self, stored: Stored, source: Source, is_new: bool) -> None:
        """Note that a log has gone, and say so unless it has only come to the end of a long rotation."""
        self.journal.move(stored, stored.name, None)
        if is_new:
            place, lines = stored.place
            self.report.note(
                f"{source.name} holds another log than before, and that one is not beside it any more: it had been"
                f" imported up to line {lines} ({place} bytes)"
            )


def still_lies(source: Source, stored: Stored, begun: bool) -> bool:
    """Tell whether what was just read of a source belongs to the log that was found under its name at the start.

    A file is opened by its name when its turn comes, which may be hours later, and may have been rotated by then. Once
    it is open (`begun`) it may be renamed, but not be truncated and written anew.
    """
    if source.lies_as_before:
        return True  # which costs a twentieth of looking again, for each block
    try:
        now = Source(source.name)
        if now.inode != source.inode:
            return begun
        return stored.beginning.fits(identity.beginning_of(now))
    except SourceError:
        return begun


def _holds(stored: Stored, source: Source) -> bool:
    """Tell whether the log of a row is that of a file."""
    return stored.beginning.fits(identity.beginning_of(source)) and _goes_on(source, stored)


def _goes_on(source: Source, stored: Stored) -> bool:
    """Tell whether a log that begins as a known one also holds what was read of that one."""
    if (stored.path or "").startswith(PIPE):
        return False
    mark = stored.mark
    return mark is None or mark.before.fits(source.before(mark.end, mark.before.length))


def _compared(source: Source, first: Resumed) -> bool | None:
    """Tell whether a log goes on where another that begins alike ends; None if they differ before."""
    stored = first.stored
    if first.nothing_new and stored is not None and stored.mark is not None and _goes_on(source, stored):
        return len(source.before(stored.place[0] + 1, 1)) > 0
    one, two = b"", b""
    blocks, others = _data(source), _data(first.source)
    while True:
        one, two = one or next(blocks, b""), two or next(others, b"")
        size = min(len(one), len(two))
        if size == 0:
            return len(one) > len(two)
        if one[:size] != two[:size]:
            return None
        one, two = one[size:], two[size:]


def _data(source: Source) -> Iterator[bytes]:
    """Yield what a log holds, as far as it can be read."""
    try:
        for block in source.blocks():
            yield block.data
    except SourceError:  # compressed and not finished yet, perhaps
        return

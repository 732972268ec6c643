"""Where to go on: each source's row in the journal, whatever has become of its file since.

By the rules of `identity`: a file that is as it was when it was last read to its end has nothing new and is not
even opened. Any other is looked up by its beginning, and by the bytes before the place up to which it was read, so a
log is known again when it has grown, was renamed or compressed, and one that was truncated and written anew is not
taken for what it was. If a name has come to stand for another log than before, the one that it stood for is looked
for among the files beside it (logrotate's access.log.1, access.log-20261121.gz), and what is left of it comes first.

A pipe is known by the name that --journal-name gives it, and by its beginning.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from piwik_import import identity
from piwik_import.errors import SourceError
from piwik_import.journal import Journal, Stored
from piwik_import.report import Report
from piwik_import.source import Source


@dataclass(slots=True)
class Resumed:
    """A source and what the journal knows of it."""

    source: Source
    stored: Stored | None
    """None for a pipe without a name: it is imported from its beginning each time."""
    nothing_new: bool = False
    note: str | None = None
    """To be said if there is anything to read."""


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

    def __call__(self, sources: Iterable[Source]) -> list[Resumed]:
        """Return the sources that are to be read, with what the journal knows of them.

        Raises LockedError, SourceError, JournalError.
        """
        found: dict[int, Resumed] = {}
        order: list[Resumed] = []
        for source in sources:
            resumed = self._resumed(source, found)
            if resumed is not None:
                order.append(resumed)
                if resumed.stored is not None:
                    found[resumed.stored.id] = resumed
        for resumed in list(order):
            before = self._predecessors(resumed.source, found)
            at = order.index(resumed)
            order[at:at] = before
            found |= {one.stored.id: one for one in before if one.stored is not None}
        return order

    def _resumed(self, source: Source, found: dict[int, Resumed]) -> Resumed | None:
        """Find the row of one source, or begin it; None for a copy of a source that is there already."""
        if source.is_pipe and self.pipe is None:
            return Resumed(source, None)
        if not source.is_pipe and not self.from_start:
            for stored in self.journal.lying_as(self.destination, source.file):
                if stored.id not in found and not stored.doubts:
                    return Resumed(source, stored, nothing_new=True)
        beginning = identity.beginning(source.head())
        if not beginning:
            return Resumed(source, None, nothing_new=not source.is_pipe)
        known = self._known(source, beginning)
        if known is not None and known.id in found:
            other = found[known.id].source
            if _is_copy(source, other):
                self.report.note(f"{source.name} is the same log as {other.name}: read once")
                return None
            known = None
        path = self.pipe if source.is_pipe else source.path
        if known is None:
            known = self.journal.add(self.destination, source.name, path, identity.digest(beginning))
        return Resumed(source, self._taken(known, source, path, beginning))

    def _known(self, source: Source, beginning: bytes) -> Stored | None:
        """Return the row of the log that `source` holds, if there is one."""
        for stored in self.journal.beginning_with(self.destination, beginning):
            if source.is_pipe:
                if stored.path == self.pipe:
                    return stored
            elif not _is_pipe(stored) and _goes_on(source, stored):
                return stored
        return None

    def _taken(self, stored: Stored, source: Source, path: str | None, beginning: bytes) -> Stored:
        """Lock a row for this run, and note how its log lies now."""
        self.journal.lock(stored, self.patience)
        stored = self.journal.reread(stored)  # another import may just have ended
        stored.name, stored.path = source.name, path
        stored.file = None
        if len(beginning) > stored.beginning.length:
            stored.beginning = identity.digest(beginning)
        doubts = stored.doubts
        if self.from_start:
            stored.reset()
        elif doubts:
            where = ", ".join(f"lines {doubt.first} to {doubt.last}" for doubt in doubts)
            fate = "skipped" if self.skip_doubts else "sent again"
            self.report.note(f"{source.name}: it is not known whether {where} were recorded when last sent; {fate}")
            if self.skip_doubts:
                stored.skip_doubts()
        if doubts and not stored.doubts:
            self.journal.save([stored], decided=doubts)
        return stored

    def _predecessors(self, source: Source, found: dict[int, Resumed]) -> list[Resumed]:
        """Return the logs that the name of `source` stood for, as far as they have been begun and lie beside it."""
        if source.path is None or source.is_pipe or self.from_start:
            return []
        before = []
        for stored in self.journal.at_path(self.destination, source.path):
            if stored.id in found:
                continue
            sibling = self._sibling(source, stored)
            if sibling is None:
                place, lines = stored.place
                stored.path = None
                self.journal.save([stored])
                self.report.note(
                    f"{source.name} holds another log than before, and that one is not beside it any more: it had been"
                    f" imported up to line {lines} ({place} bytes)"
                )
                continue
            note = f"{source.name} was rotated: what was left of it in {sibling.name} came first"
            before.append(Resumed(sibling, self._taken(stored, sibling, sibling.path, b""), note=note))
        return before

    def _sibling(self, source: Source, stored: Stored) -> Source | None:
        """Find the log of a row among the files that lie beside `source` and begin with its name up to the dot."""
        folder, name = os.path.split(source.path or "")
        stem = name.partition(".")[0]
        shown = os.path.dirname(source.name)
        candidates = [
            one for one in os.scandir(folder) if one.name.startswith(stem) and one.name != name and one.is_file()
        ]
        inode = stored.file[1] if stored.file else None
        candidates.sort(key=lambda one: (one.inode() != inode, -one.stat().st_mtime))
        for candidate in candidates:
            try:
                sibling = Source(os.path.join(shown, candidate.name))
                beginning = identity.beginning(sibling.head())
            except SourceError:
                continue
            if stored.beginning.fits(beginning) and _goes_on(sibling, stored):
                return sibling
        return None


def _is_pipe(stored: Stored) -> bool:
    return stored.path is not None and not os.path.isabs(stored.path)


def _goes_on(source: Source, stored: Stored) -> bool:
    """Tell whether a log that begins as a known one also holds what was read of that one."""
    mark = stored.mark
    return mark is None or mark.before.fits(source.before(mark.end, mark.before.length))


def _is_copy(source: Source, other: Source) -> bool:
    """Tell whether two logs that begin alike are the same as far as the shorter one goes."""
    one, two = bytearray(), bytearray()
    blocks, others = source.blocks(), other.blocks()
    while True:
        if not one:
            one += next((block.data for block in blocks), b"")
        if not two:
            two += next((block.data for block in others), b"")
        size = min(len(one), len(two))
        if size == 0:
            return True
        if one[:size] != two[:size]:
            return False
        del one[:size], two[:size]

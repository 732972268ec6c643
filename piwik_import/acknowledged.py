"""What one run has had acknowledged, lane by lane, on its way into the journal.

A lane sends in order, so what it has done is one place: the end of its last acknowledged hit. A lane that has
nothing to send has done all that was read. From the lanes' places follow those of the slots, and from these the
place from which another run goes on.

`begin` returns when the chunk is on disk as in doubt, and only then may it be sent. What was settled since the last
transaction goes along with it, and so does what other lanes have brought meanwhile: one write for all of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from piwik_import.identity import Mark
from piwik_import.journal import Doubt, Journal, Stored
from piwik_import.lanes import Lanes
from piwik_import.translate import SLOTS, Entry

Place = tuple[int, int, int]
"""Number of a source in this run, place in it in bytes, lines before that place. Places compare in reading order."""

START: Place = (0, 0, 0)


class Acknowledged:
    """The places of the lanes of one run. Safe to use from the threads of all lanes."""

    def __init__(self, journal: Journal | None, sources: Sequence[Stored | None], lanes: Lanes) -> None:
        self._journal = journal
        self._sources = sources
        self._lanes = lanes
        self._run = time.time_ns()
        self._places = [START] * len(lanes)
        self._read = START
        self._finals: dict[int, tuple[int, int]] = {}
        self._marks: list[deque[Mark]] = [deque() for _ in sources]
        self._entered: set[int] = set()  # sources of which a chunk has been begun
        self._changed: set[int] = set()
        self._settled: list[tuple[int, int]] = []
        self._begun: list[Doubt] = []
        self._asked = self._written = 0  # how many chunks were to be written down, and how many have been
        self._broken: Exception | None = None
        self._lock = threading.Lock()  # guards all of the above
        self._writing = threading.Lock()  # held by whoever writes, for all that wait behind it

    def read(self, source: int, end: int, lines: int, mark: Mark | None) -> None:
        """Note that all hits of `source` up to a place have been put into the lanes."""
        if self._journal is None:
            return
        with self._lock:
            if source != self._read[0]:
                self._finals[self._read[0]] = self._read[1:]
            self._read = (source, end, lines)
            if mark is not None and self._sources[source] is not None:
                self._marks[source].append(mark)

    def begin(self, lane: int, chunk: Sequence[Entry]) -> None:
        """Write down that `chunk` is about to be sent. Raises JournalBroken."""
        if self._journal is None:
            return
        now = time.time()
        with self._lock:
            for number, part in _by_source(chunk):
                if (stored := self._sources[number]) is not None:
                    if number not in self._entered:  # a row that begins anew must say so before its hits are sent
                        self._entered.add(number)
                        self._changed.add(number)
                    first, last = part[0].line, part[-1].line
                    self._begun.append(
                        Doubt(stored.id, self._run, lane, len(self._lanes), first, last, part[-1].end, len(part), now)
                    )
            self._asked += 1
            turn = self._asked
        with self._writing:
            if turn > self._written:  # else the one before us has taken it along
                self._write()
            elif self._broken is not None:
                raise self._broken

    def settle(self, lane: int, chunk: Sequence[Entry], tracked: int) -> None:
        """Note that `chunk` has its answer. It is written down with what comes next, or by `flush`."""
        if self._journal is None:
            return
        with self._lock:
            last = chunk[-1]
            self._advance(lane, (last.source, last.end, last.line))
            self._settled.append((self._run, lane))
            if (stored := self._sources[last.source]) is not None:
                stored.hits += tracked

    def withdraw(self, lane: int) -> None:
        """Note that the chunk begun last in a lane has certainly not been recorded."""
        if self._journal is None:
            return
        with self._lock:
            self._settled.append((self._run, lane))

    def completed(self, source: int, file: tuple[int, int, int, int] | None) -> None:
        """Note that all of a source has been settled, and how its file lay when it was read."""
        with self._lock:
            if (stored := self._sources[source]) is not None:
                stored.file = file
                self._changed.add(source)

    def flush(self, *, last: bool = False) -> None:
        """Write down all that is known. Raises JournalBroken.

        Chunks that an earlier run has left in doubt are struck out only by the `last` call, when they are about to be
        named in a summary: a run that is killed before that has told nobody.
        """
        if self._journal is None:
            return
        with self._writing:
            self._write(last)

    def _write(self, last: bool = False) -> None:
        """Write down all that is known, once it is our turn."""
        assert self._journal is not None
        with self._lock:
            for lane in range(len(self._lanes)):
                read = self._read  # before the question: what is put after it is not in it
                if self._lanes.is_idle(lane) and read > self._places[lane]:
                    self._advance(lane, read)
            sources = [stored for number in self._changed if (stored := self._passed_marks(number)) is not None]
            decided = [doubt for stored in self._sources if stored for doubt in _passed_doubts(stored)] if last else []
            # Copies, so that the lanes can go on while the disk is busy.
            sources = [replace(stored, ends=stored.ends[:], lines=stored.lines[:]) for stored in sources]
            settled, begun, turn = self._settled, self._begun, self._asked
            self._changed, self._settled, self._begun = set(), [], []
        if self._broken is not None:
            raise self._broken
        if sources or settled or begun or decided:
            try:
                self._journal.save(sources, settled, begun, decided)
            except Exception as error:
                self._broken = error
                raise
        self._written = turn

    def _advance(self, lane: int, place: Place) -> None:
        """Move a lane to a later place, and with it its slots in all sources that it passes."""
        before, self._places[lane] = self._places[lane], place
        for number in range(before[0], place[0] + 1):
            stored = self._sources[number]
            if stored is None:
                continue
            end, lines = place[1:] if number == place[0] else self._final(number)
            for slot in range(lane, SLOTS, len(self._lanes)):
                if end > stored.ends[slot]:
                    stored.ends[slot], stored.lines[slot] = end, lines
                    self._changed.add(number)  # and no other: the row of a source that is not read is not ours

    def _final(self, number: int) -> tuple[int, int]:
        """Return where a source ended of which all hits have been put into the lanes.

        The next one may be in the lanes already before `read` has been told of it.
        """
        return self._read[1:] if number == self._read[0] else self._finals.get(number, (0, 0))

    def _passed_marks(self, number: int) -> Stored | None:
        """Give a source the last mark that all its slots have passed."""
        stored, marks = self._sources[number], self._marks[number]
        if stored is not None:
            place, _ = stored.place
            while marks and marks[0].end <= place:
                stored.mark = marks.popleft()
        return stored


def _by_source(chunk: Sequence[Entry]) -> Iterable[tuple[int, Sequence[Entry]]]:
    """Divide a chunk by source; nearly always it is of one."""
    if chunk[0].source == chunk[-1].source:
        return [(chunk[0].source, chunk)]
    return [(number, list(part)) for number, part in groupby(chunk, key=lambda entry: entry.source)]


def _passed_doubts(stored: Stored) -> list[Doubt]:
    """Take out of a source the chunks of earlier runs whose hits have all been settled since."""
    passed = [
        doubt
        for doubt in stored.doubts
        if all(stored.ends[slot] >= doubt.end for slot in range(doubt.lane, SLOTS, doubt.lanes))
    ]
    stored.doubts = [doubt for doubt in stored.doubts if doubt not in passed]
    return passed

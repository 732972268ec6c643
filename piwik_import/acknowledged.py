"""What one run has had acknowledged, lane by lane, on its way into the journal.

A lane sends in order, so what it has done is one place: the end of its last acknowledged hit. A lane that has
nothing to send has done all that was read. From the lanes' places follow those of the slots, and from these the
place from which another run goes on. What was learnt of the lines up to there (`Identities`) is written with it.

`begin` returns when the chunk is on disk as in doubt, and only then may it be sent. What was settled since the last
transaction goes along with it, and so does what other lanes have brought meanwhile: one write for all of them. That
is a small row for each of these lanes. The rows of the sources, in which the slots of all lanes are, are written when
a source is begun or left, at the end, and now and then (`REST`).

To wait for the disk takes most of that time, so it is done while a lane has another request on its way: `prepare`
writes down which chunk is the next. That it is on its way itself needs only be written, not be waited for: that is
read again if the program is killed, and if it is the machine that fails, what was prepared is in doubt as well.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby

from piwik_import.identity import Mark
from piwik_import.journal import Doubt, Journal, Lane, Stored, learn
from piwik_import.lanes import Lanes
from piwik_import.segment import Identities
from piwik_import.translate import Entry

Place = tuple[int, int, int]
"""Number of a source in this run, place in it in bytes, lines before that place. Places compare in reading order."""

START: Place = (0, 0, 0)

REST = 1.0
"""Seconds after which the sources' rows are written again: their counts of hits, their marks, and the places of lanes
that have nothing to send, are that much behind at most when a run is killed."""


class Acknowledged:
    """The places of the lanes of one run. Safe to use from the threads of all lanes."""

    def __init__(
        self,
        journal: Journal | None,
        sources: Sequence[Stored | None],
        lanes: Lanes,
        identities: Identities | None = None,
    ) -> None:
        self._journal = journal
        self._identities = identities or Identities()
        self._sources = sources
        self._lanes = lanes
        self._run = time.time_ns()
        self._places = [START] * len(lanes)
        self._tracked: list[Counter[int]] = [Counter() for _ in range(len(lanes))]  # hits of each, by source
        self._sent: list[dict[int, Doubt]] = [{} for _ in range(len(lanes))]  # of each lane, by source: on its way
        self._ahead: list[dict[int, Doubt]] = [{} for _ in range(len(lanes))]  # the same of what follows it
        self._read = START
        self._finals: dict[int, tuple[int, int]] = {}
        self._marks: list[deque[Mark]] = [deque() for _ in sources]
        self._entered: set[int] = set()  # sources of which a chunk has been begun
        self._moved: set[int] = set()  # sources in which lanes have moved since their rows were written
        self._due: set[int] = set()  # sources whose rows are to be written next
        self._touched: set[int] = set()  # lanes of which there is something to write
        self._asked = self._written = 0  # how many chunks were to be written down, and how many have been
        self._writes = self._lasting = 0  # how many transactions there have been, and how many are on disk
        self._rested = 0.0  # when the sources' rows were written last
        self._broken: Exception | None = None
        self._lock = threading.Lock()  # guards all of the above
        self._writing = threading.Lock()  # held by whoever writes, for all that wait behind it
        self._syncing = threading.Lock()  # held by whoever waits for the disk, in the same way

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

    def prepare(self, lane: int, chunk: Sequence[Entry]) -> bool:
        """Write down that `chunk` is the next to be sent; tell whether that was done. Raises JournalBroken.

        It is not with the first of a source, with which the source's row may begin anew: only if that is sent.
        """
        if self._journal is None:
            return True
        with self._lock:
            if not self._entered.issuperset(number for number, _ in _by_source(chunk) if self._sources[number]):
                return False
            self._ahead[lane] = self._doubts(lane, chunk)
            turn = self._turn(lane)
        self._write_down(turn, may_rest=True)
        self._wait_for_disk()
        return True

    def begin(self, lane: int, chunk: Sequence[Entry], *, is_prepared: bool = False) -> None:
        """Write down that `chunk` is about to be sent, which may have been prepared. Raises JournalBroken."""
        if self._journal is None:
            return
        with self._lock:
            self._sent[lane] = self._doubts(lane, chunk)
            if is_prepared:
                self._ahead[lane] = {}
            turn = self._turn(lane)
        self._write_down(turn, may_rest=not is_prepared)
        if not is_prepared:
            self._wait_for_disk()

    def drop(self, lane: int) -> None:
        """Note that what was prepared in a lane, if anything was, is not to be sent."""
        with self._lock:
            self._due |= self._ahead[lane].keys()
            self._ahead[lane] = {}

    def settle(self, lane: int, chunk: Sequence[Entry], tracked: int) -> None:
        """Note that `chunk` has its answer. It is written down with what comes next, or by `flush`."""
        if self._journal is None:
            return
        with self._lock:
            last = chunk[-1]
            self._sent[lane] = {}
            self._advance(lane, (last.source, last.end, last.line))
            for number, part in _by_source(chunk):  # of hits that were lost it is the last that are taken for lost
                recorded = min(len(part), tracked)
                tracked -= recorded
                if (stored := self._sources[number]) is not None:
                    stored.hits += recorded
                    self._tracked[lane][number] += recorded

    def withdraw(self, lane: int) -> None:
        """Note that the chunk begun last in a lane has certainly not been recorded."""
        if self._journal is None:
            return
        with self._lock:
            self._due |= self._sent[lane].keys()
            self._sent[lane] = {}

    def completed(self, source: int, file: tuple[int, int, int, int] | None) -> None:
        """Note that all of a source has been settled, and how its file lay when it was read."""
        with self._lock:
            if (stored := self._sources[source]) is not None:
                stored.file = file
                self._due.add(source)

    def flush(self) -> None:
        """Write down all that is known. Raises JournalBroken."""
        if self._journal is None:
            return
        with self._writing:
            self._write(all_sources=True)
        self._wait_for_disk()

    def _doubts(self, lane: int, chunk: Sequence[Entry]) -> dict[int, Doubt]:
        """Return what stands for a chunk in the journal, by source."""
        now, doubts = time.time(), {}
        for number, part in _by_source(chunk):
            if (stored := self._sources[number]) is not None:
                if number not in self._entered:  # a row that begins anew must say so before its hits are sent
                    self._entered.add(number)
                    self._due.add(number)
                first, last = part[0], part[-1]
                of = (stored.id, self._run, lane, len(self._lanes))
                doubts[number] = Doubt(*of, first.line, last.line, last.end, len(part), now)
        return doubts

    def _turn(self, lane: int) -> int:
        self._touched.add(lane)
        self._asked += 1
        return self._asked

    def _write_down(self, turn: int, *, may_rest: bool) -> None:
        """Write down what a lane has asked for, unless the one before has taken it along."""
        with self._writing:
            if turn > self._written:
                self._write(all_sources=may_rest and time.monotonic() - self._rested > REST)
            elif self._broken is not None:
                raise self._broken

    def _wait_for_disk(self) -> None:
        """Wait until what was written down is on disk."""
        assert self._journal is not None
        ours = self._writes
        with self._syncing:
            if self._broken is not None:
                raise self._broken
            if ours > self._lasting:  # else the one before us has waited for it too
                writes = self._writes
                try:
                    self._journal.sync()
                except Exception as error:
                    self._broken = error  # a second try may succeed, though what was written is lost
                    raise
                self._lasting = writes

    def _write(self, *, all_sources: bool) -> None:
        """Write down what the lanes have done, once it is our turn; in the rows of all sources, or only where we must.

        Nobody but who has the turn changes the sources' places, so they need not be copied for the disk.
        """
        assert self._journal is not None
        with self._lock:
            if all_sources:
                self._catch_up()
                self._due |= self._moved
                self._rested = time.monotonic()
            sources = [stored for number in self._due if (stored := self._folded(number)) is not None]
            touched = range(len(self._lanes)) if sources else self._touched  # their rows go with the sources'
            lanes = [row for lane in touched for row in self._rows(lane)]
            facts = self._identities.passed(self._floor)
            turn = self._asked
            self._moved -= self._due
            self._due, self._touched = set(), set()
        if self._broken is not None:
            raise self._broken
        try:
            if facts:
                self._journal.save(sources, lanes, partial(learn, self._journal, self._identities.destination, facts))
                self._identities.written(facts)
            elif sources:
                self._journal.save(sources, lanes)
            elif lanes:
                self._journal.note(lanes)
        except Exception as error:
            self._broken = error
            raise
        self._writes += bool(facts or sources or lanes)
        self._written = turn

    def _catch_up(self) -> None:
        """Move the lanes that have nothing to send to where reading has come."""
        for lane in range(len(self._lanes)):
            read = self._read  # before the question: what is put after it is not in it
            if self._lanes.is_idle(lane) and read > self._places[lane]:
                self._advance(lane, read)

    def _rows(self, lane: int) -> Iterator[Lane]:
        """Yield where a lane is in each source in which it is not where the source's row says, or has a chunk."""
        sent, ahead, tracked = self._sent[lane], self._ahead[lane], self._tracked[lane]
        at, end, line = self._places[lane]
        for number in sent.keys() | ahead.keys() | {at}:
            stored = self._sources[number]
            doubts = sent.get(number), ahead.get(number)
            if stored is not None and (any(doubts) or (end and number not in self._due)):
                place = (end, line) if number == at else (0, 0)
                yield Lane(stored.id, self._run, lane, len(self._lanes), *place, tracked[number], *doubts)

    def _advance(self, lane: int, place: Place) -> None:
        """Move a lane to a later place. Rows that it leaves are due; that of a source that is not read is not ours."""
        before, self._places[lane] = self._places[lane], place
        self._touched.add(lane)
        self._moved.add(place[0])
        self._due.update(number for number in range(before[0], place[0]) if self._final(number)[0])

    def _folded(self, number: int) -> Stored | None:
        """Bring the slots of a source to where their lanes are, and its mark to the last that all have passed."""
        stored, marks = self._sources[number], self._marks[number]
        if stored is None:
            return None
        for lane, (at, *place) in enumerate(self._places):
            self._tracked[lane].pop(number, None)
            if at >= number:
                stored.advance(lane, len(self._lanes), *(place if at == number else self._final(number)))
        end, _ = stored.place
        while marks and marks[0].end <= end:
            stored.mark = marks.popleft()
        return stored

    def _floor(self, number: int) -> int:
        """Return the place in a source that all its slots have passed, once what is written next is on disk."""
        stored, count = self._sources[number], len(self._lanes)
        places = [0 if at < number else end if at == number else self._final(number)[0] for at, end, _ in self._places]
        if stored is None:
            return min(places)
        return min(max(min(stored.ends[lane::count]), place) for lane, place in enumerate(places))

    def _final(self, number: int) -> tuple[int, int]:
        """Return where a source ended of which all hits have been put into the lanes.

        The next one may be in the lanes already before `read` has been told of it.
        """
        return self._read[1:] if number == self._read[0] else self._finals.get(number, (0, 0))


def _by_source(chunk: Sequence[Entry]) -> Iterable[tuple[int, Sequence[Entry]]]:
    """Divide a chunk by source; nearly always it is of one."""
    if chunk[0].source == chunk[-1].source:
        return [(chunk[0].source, chunk)]
    return [(number, list(part)) for number, part in groupby(chunk, key=lambda entry: entry.source)]

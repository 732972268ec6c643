"""What has happened so far: one set of counters that progress, summary and exit code all read.

Every line read is in one of four sums, and so is every hit sent; the properties below are those sums. A hit that
waits, or whose answer is not known, leaves its line out of ``read``: the line is ``left`` for another run.

A line may become several hits. It counts with the first of them: `further` are the others, by what became of them.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from piwik_import.translate import Batch, Entry

EXAMPLES = 5
"""How many invalid lines the summary shows."""


@dataclass(slots=True)
class SourceReport:
    """What was read of one source."""

    name: str
    format: str | None = None
    size: int | None = None
    """Bytes on disk; None for a pipe."""
    resumed_at: int = 0
    """Where reading began, in decompressed bytes."""
    position: int = 0
    """Bytes on disk that have been read."""
    lines: int = 0
    bytes: int = 0
    """Where reading has come to, in decompressed bytes."""
    left: int = 0
    """Lines that were read, but whose hits were not sent or not answered."""
    unfinished: int = 0
    """Bytes of a last line that its server may still be writing."""

    @property
    def done(self) -> int:
        """About as many bytes on disk as the lines take whose fate is known: reading runs ahead of the server."""
        return round(self.position * (1 - self.left / self.lines)) if self.lines else self.position


@dataclass(frozen=True, slots=True)
class Example:
    """One line that is no hit, to show."""

    source: str
    line: int
    reason: str
    text: str


@dataclass(slots=True)
class Omission:
    """How many hits were made without a parameter, and an example of their lines, if one is known."""

    hits: int
    example: Example | None


@dataclass(slots=True)
class Report:
    """The counters of one run. Safe to use from several threads."""

    dry_run: bool = False
    sources: list[SourceReport] = field(default_factory=list)
    filtered: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    """Lines that became no hit."""
    nameless: int = 0
    """Hits whose client the log names by a host name, in place of an address."""
    already: int = 0
    """Lines that were read again, and whose hits an earlier run has had acknowledged, and were not sent."""
    made: int = 0
    """Hits made of lines."""
    tracked: int = 0
    rejected: int = 0
    unknown: int = 0
    """Those of the rejected hits that the server has lost without a word."""
    in_doubt: int = 0
    skipped: int = 0
    """Those of the hits in doubt that are not to be sent again."""
    in_flight: int = 0
    further: Counter[str] = field(default_factory=Counter)
    """Hits that are not the first of their line, by the name of the counter above that counts them too."""
    requests: int = 0
    retried: int = 0
    rejects: int = 0
    """Lines that were written to `rejects_file`."""
    rejects_file: str | None = None
    examples: list[Example] = field(default_factory=list)
    warnings: dict[tuple[str, str], Omission] = field(default_factory=dict)
    """Hits that were made without a parameter that breaks its rule, by parameter and reason."""
    notes: list[str] = field(default_factory=list)
    """What a person should know besides the numbers."""
    doubts: list[str] = field(default_factory=list)
    """Those of the notes that must be said whole, and even where no summary is wanted: hits that may come twice."""
    troubles: dict[int, str] = field(default_factory=dict)
    """Why a lane is waiting to try again, while it does."""
    started: float = field(default_factory=monotonic)
    _abandoned: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def trouble(self) -> str | None:
        """What a lane is waiting for, if one is."""
        return next(iter(list(self.troubles.values())), None)

    @property
    def lines(self) -> int:
        """Lines that have been read."""
        return sum(source.lines for source in self.sources)

    @property
    def imported(self) -> int:
        """Lines whose hits the server has recorded; in a dry run those that it would be sent."""
        return self.lines_of("made" if self.dry_run else "tracked")

    @property
    def invalid(self) -> int:
        """Lines that became no hit, or one that the server refused."""
        return self.bad + self.lines_of("rejected")

    @property
    def read(self) -> int:
        """Lines whose fate is known."""
        return self.imported + self.invalid + self.already + self.filtered.total()

    @property
    def left(self) -> int:
        """Lines that were read, but whose fate is not known."""
        return 0 if self.dry_run else self.lines_of("made") - self.lines_of("tracked") - self.lines_of("rejected")

    @property
    def sent(self) -> int:
        """Hits that were sent and are not waiting for their answer."""
        return self.tracked + self.rejected + self.in_doubt

    @property
    def remarks(self) -> list[str]:
        """What a person should know besides the numbers."""
        if not self.nameless:
            return self.notes
        what = "hits have a host name where their client's address should be (HostnameLookups): they are sent with the"
        return [*self.notes, f"{self.nameless:,} {what} address 0.0.0.0, and a visitor's id made of name and agent"]

    @property
    def exit_code(self) -> int:
        return 3 if self.bad or self.rejected or self.skipped else 0

    @property
    def seconds(self) -> float:
        return monotonic() - self.started

    def lines_of(self, fate: str) -> int:
        """Return how many lines the hits of a counter are: ``made``, ``tracked``, ``rejected``, ``unknown``…"""
        hits: int = getattr(self, fate)
        return hits - self.further[fate]

    def add_batch(self, source: int, batch: Batch) -> None:
        """Count the lines of a block."""
        with self._lock:
            read = self.sources[source]
            read.lines += batch.lines
            read.bytes = batch.end
            read.left += 0 if self.dry_run else len(batch.entries) - batch.further
            self.made += len(batch.entries)
            self.further["made"] += batch.further
            self.filtered.update(batch.filtered)
            self.bad += len(batch.bad)
            self.already += batch.already
            self.nameless += batch.nameless
            for bad in batch.bad[: EXAMPLES - len(self.examples)]:
                self.examples.append(Example(read.name, bad.line, bad.reason, bad.text[:200]))
            for (parameter, reason), warned in batch.warned.items():
                known = self.warnings.get((parameter, reason))
                if known is None:
                    first = None
                    if warned.line is not None:
                        first = Example(read.name, warned.line, reason, warned.text[:200])
                    known = self.warnings[parameter, reason] = Omission(0, first)
                known.hits += warned.hits

    def sending(self, chunk: Sequence[Entry], retry: bool) -> None:
        """Count a request that goes out."""
        with self._lock:
            self.requests += 1
            self.retried += retry
            self.in_flight += len(chunk)

    def answered(self, chunk: Sequence[Entry]) -> None:
        """Count a request that has ended, one way or another."""
        with self._lock:
            if not self._abandoned:
                self.in_flight -= len(chunk)

    def settle(
        self, chunk: Sequence[Entry], rejected: int, reason: str = "", refused: Sequence[int] = (), *, unknown: int = 0
    ) -> None:
        """Count the hits of a chunk that the server has recorded but for `rejected` of them.

        `refused` are the places in the chunk of those that it named, `unknown` is how many of them it has lost.
        """
        with self._lock:
            if self._abandoned:
                return
            self.tracked += len(chunk) - rejected
            self.rejected += rejected
            self.unknown += unknown
            lines = Counter([entry.source for entry in chunk if not entry.is_further])
            for source, count in lines.items():
                self.sources[source].left -= count
            further = len(chunk) - lines.total()
            # Of hits that it does not name, it is the lines' first ones that are said to be lost.
            lost = sum(chunk[place].is_further for place in refused) if refused else max(0, rejected - lines.total())
            self.further.update(tracked=further - lost, rejected=lost, unknown=min(lost, unknown))
            if rejected and not refused:
                first, last = chunk[0], chunk[-1]
                where = f"{rejected} of the {len(chunk)} hits from line {first.line} on, up to line {last.line}"
                self._example(first, f"the server refused {where}: {reason}")
            for place in refused:
                self._example(chunk[place], f"the server refused the hit: {reason}")

    def doubt(self, chunk: Sequence[Entry], skipped: bool = False) -> None:
        """Count hits that may have been recorded, their answer being lost, and perhaps are not to be sent again."""
        with self._lock:
            if not self._abandoned:
                self.in_doubt += len(chunk)
                self.skipped += len(chunk) if skipped else 0
                self.further["skipped"] += sum(entry.is_further for entry in chunk) if skipped else 0

    def abandon(self) -> None:
        """Count what is in flight as in doubt, and no answer after that: nobody waits for them any more."""
        with self._lock:
            self._abandoned = True
            self.in_doubt += self.in_flight
            self.in_flight = 0

    def note(self, text: str) -> None:
        """Keep a remark for the summary; the same one once."""
        with self._lock:
            if text not in self.notes:
                self.notes.append(text)

    def note_doubt(self, text: str) -> None:
        """Keep a remark on hits of which this run or an earlier one has left unknown whether they were recorded."""
        if text not in self.doubts:
            self.doubts.append(text)
        self.note(text)

    def _example(self, entry: Entry, reason: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(Example(self.sources[entry.source].name, entry.line, reason, entry.query[:200]))

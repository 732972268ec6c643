"""What has happened so far: one set of counters that progress, summary and exit code all read.

Every line read is in one of four sums, and so is every hit sent; the properties below are those sums. A hit that
waits, or whose answer is not known, leaves its line out of ``read``: the line is ``left`` for another run.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from piwik_import.errors import printable
from piwik_import.filters import REASONS
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
    """Hits that were made again of lines whose hits an earlier run has had acknowledged, and not sent."""
    made: int = 0
    """Hits made of lines."""
    tracked: int = 0
    rejected: int = 0
    in_doubt: int = 0
    in_flight: int = 0
    requests: int = 0
    retried: int = 0
    examples: list[Example] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a person should know besides the numbers."""
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
        return self.made if self.dry_run else self.tracked

    @property
    def invalid(self) -> int:
        """Lines that became no hit, or one that the server refused."""
        return self.bad + self.rejected

    @property
    def read(self) -> int:
        """Lines whose fate is known."""
        return self.imported + self.invalid + self.already + self.filtered.total()

    @property
    def left(self) -> int:
        """Lines that were read, but whose fate is not known."""
        return 0 if self.dry_run else self.made - self.tracked - self.rejected

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
        return 3 if self.invalid else 0

    @property
    def seconds(self) -> float:
        return monotonic() - self.started

    def add_batch(self, source: int, batch: Batch) -> None:
        """Count the lines of a block."""
        with self._lock:
            read = self.sources[source]
            read.lines += batch.lines
            read.bytes = batch.end
            read.left += 0 if self.dry_run else len(batch.entries)
            self.made += len(batch.entries)
            self.filtered.update(batch.filtered)
            self.bad += len(batch.bad)
            self.already += batch.already
            self.nameless += batch.nameless
            for bad in batch.bad[: EXAMPLES - len(self.examples)]:
                self.examples.append(Example(read.name, bad.line, bad.reason, bad.text[:200]))

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

    def settle(self, chunk: Sequence[Entry], rejected: int, reason: str = "", refused: Sequence[int] = ()) -> None:
        """Count the hits of a chunk that the server has recorded but for `rejected` of them.

        `refused` are the places in the chunk of those that it named.
        """
        with self._lock:
            if self._abandoned:
                return
            self.tracked += len(chunk) - rejected
            self.rejected += rejected
            for source, lines in Counter([entry.source for entry in chunk]).items():
                self.sources[source].left -= lines
            if rejected and not refused:
                first, last = chunk[0], chunk[-1]
                where = f"{rejected} of the {len(chunk)} hits from line {first.line} on, up to line {last.line}"
                self._example(first, f"the server refused {where}: {reason}")
            for place in refused:
                self._example(chunk[place], f"the server refused the hit: {reason}")

    def doubt(self, chunk: Sequence[Entry]) -> None:
        """Count hits that may have been recorded: their answer was lost."""
        with self._lock:
            if not self._abandoned:
                self.in_doubt += len(chunk)

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

    def _example(self, entry: Entry, reason: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(Example(self.sources[entry.source].name, entry.line, reason, entry.query[:200]))

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for programs."""
        return {
            "sources": [
                {
                    "name": source.name,
                    "format": source.format,
                    "lines": source.lines - source.left,
                    "bytes": source.bytes,
                    "resumed_at": source.resumed_at,
                }
                for source in self.sources
            ],
            "lines": {
                "read": self.read,
                "imported": self.imported,
                "invalid": self.invalid,
                "already_imported": self.already,
                "filtered": dict(self.filtered),
                "left": self.left,
            },
            "hits": {
                "sent": self.sent,
                "tracked": self.tracked,
                "rejected": self.rejected,
                "in_doubt": self.in_doubt,
            },
            "requests": {"bulk": self.requests, "retried": self.retried},
            "notes": self.remarks,
            "seconds": round(self.seconds, 3),
        }

    def as_text(self) -> str:
        """Return the summary for people."""
        return "\n".join(summary(self))


def summary(report: Report) -> list[str]:
    """Return the lines of the summary for people: what was imported, what was left out and why."""
    seconds = report.seconds
    rate = f"{report.read / seconds:,.0f} lines/s" if seconds > 0 else ""
    lines = []
    for source in report.sources:
        lines.append(
            f"{printable(source.name)}: {source.lines - source.left:,} lines, format {source.format or '(empty)'}"
        )
        if source.unfinished:
            lines.append(f"  its last line is unfinished ({source.unfinished:,} bytes): left for the next run")
    lines.append(f"{report.read:,} lines in {seconds:,.1f} s ({rate})")
    rows = [(report.imported, "would be imported" if report.dry_run else "imported")]
    rows += [(count, f"left out: {REASONS[reason]}") for reason, count in report.filtered.most_common()]
    rows += [(report.already, "imported before")] if report.already else []
    rows += [(report.bad, "invalid: cannot be read, or not be used")] if report.bad else []
    rows += [(report.rejected, "refused by the server")] if report.rejected else []
    rows += [(report.left, "read, but not sent or not answered: left for another run")] if report.left else []
    width = max(len(f"{count:,}") for count, _ in rows)
    lines += [f"  {count:{width},}  {what}" for count, what in rows]
    if report.examples:
        lines.append("First lines that were not imported:")
        for example in report.examples:
            lines.append(f"  {printable(example.source)}:{example.line}: {printable(example.reason, 300)}")
            lines.append(f"    {printable(example.text, 120)}")
    if not report.dry_run:
        fates = f"{report.tracked:,} tracked, {report.rejected:,} rejected, {report.in_doubt:,} in doubt"
        lines.append(f"{report.sent:,} hits sent: {fates}; requests: {report.requests:,}, repeated: {report.retried:,}")
    lines += [f"Note: {printable(note, 300)}" for note in report.remarks]
    return lines

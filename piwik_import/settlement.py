"""What has become of hits that were sent, entered wherever it must be known: report, rejects file, journal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from piwik_import.acknowledged import Acknowledged
from piwik_import.chunk import Chunk
from piwik_import.client import Recorded
from piwik_import.errors import PiwikImportError
from piwik_import.rejects import Rejects
from piwik_import.report import Report
from piwik_import.translate import Entry


class Settlement:
    """Keeps account of chunks and their parts. Safe to use from the threads of all lanes."""

    def __init__(self, report: Report, rejects: Rejects, acknowledged: Acknowledged) -> None:
        self._report = report
        self._rejects = rejects
        self._acknowledged = acknowledged

    def record(self, chunk: Chunk, answer: Recorded) -> None:
        """Settle the first part, which was recorded but perhaps for some of its hits.

        Raises PiwikImportError if those cannot be kept.
        """
        part = chunk.parts[0]
        entries = part.entries
        if part.in_doubt:
            self._report.note(
                "sent again after an answer was lost, so the server may hold them twice: " + self._named(entries)
            )
        lost = answer.rejected + answer.unknown
        named = () if answer.unknown else answer.named
        self._report.settle(entries, lost, answer.reason, named, unknown=answer.unknown)
        chunk.settled(len(entries) - lost)  # before they are kept: if the disk is full, what was recorded stays so
        if answer.unknown or (answer.rejected and not answer.named):
            self._keep(entries, "unknown", answer.reason, answer.said)
        elif answer.named:
            self._keep([entries[place] for place in answer.named], "rejected", answer.reason, answer.said)

    def reject(self, chunk: Chunk, reason: str, said: str) -> None:
        """Settle the first part, which is one hit that the server cannot take. Raises PiwikImportError."""
        entries = chunk.parts[0].entries
        self._keep(entries, "rejected", reason, said)
        self._report.settle(entries, 1, f"{reason}: {said}", (0,))
        chunk.settled(0)

    def skip(self, chunk: Chunk, said: str) -> None:
        """Settle the first part, whose answer was lost, as in doubt and not to be sent again.

        Raises PiwikImportError.
        """
        entries = chunk.parts[0].entries
        self._keep(entries, "in doubt", "its answer was lost", said)
        self._doubt(entries, skipped=True)
        chunk.settled(0)

    def done(self, chunk: Chunk) -> None:
        """Note that all of a chunk is settled."""
        self._acknowledged.settle(chunk.lane, chunk.entries, chunk.tracked)

    def leave(self, chunk: Chunk) -> None:
        """Count what is left of a chunk that is not sent again in this run. Raises PiwikImportError."""
        if not chunk.is_begun:
            return
        head = chunk.head()
        rest = chunk.entries[len(head) :]
        in_doubt = [entry for part in chunk.parts if part.in_doubt for entry in part.entries]
        left = sum(map(len, chunk.parts))
        if len(rest) > left:
            self._report.note(f"recorded, but sent again by the next run: {len(rest) - left} of {self._named(rest)}")
        if head:
            self._acknowledged.settle(chunk.lane, head, chunk.tracked)
        elif not in_doubt:
            self._acknowledged.withdraw(chunk.lane)
        if in_doubt:
            self._doubt(in_doubt)
            if head:
                self._acknowledged.begin(chunk.lane, rest)

    def _keep(self, entries: Sequence[Entry], fate: str, reason: str, said: str) -> None:
        try:
            for number, some in groupby(entries, key=lambda entry: entry.source):
                self._rejects.add(self._report.sources[number].name, list(some), fate, reason, said)
        except PiwikImportError:
            self._report.note(f"{fate}, and not in the rejects file: {self._named(entries)}")
            raise

    def _doubt(self, entries: Sequence[Entry], *, skipped: bool = False) -> None:
        """Count hits that may have been recorded, and name them."""
        self._report.doubt(entries, skipped)
        self._report.note_doubt(f"in doubt: {self._named(entries)}")

    def _named(self, entries: Sequence[Entry]) -> str:
        """Name hits by their source and lines."""
        first, last = entries[0], entries[-1]
        return f"{self._report.sources[first.source].name}, lines {first.line} to {last.line} ({len(entries)} hits)"

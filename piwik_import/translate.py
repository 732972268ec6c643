"""A block of lines → a batch of encoded hits, with the reason of every line that became none.

Pure: what comes out depends on the block and the plan alone, and all of it can be pickled, so the same
translator runs in this process or in another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

from piwik_import import framing
from piwik_import.filters import Filters, FilterSettings
from piwik_import.hits import HitMaker, HitSettings, visitor_key
from piwik_import.memo import Memo
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.record import BadLine, OtherLine, Record
from piwik_import.source import LINE_LIMIT, Block
from piwik_import.tracking import Hit, InvalidHit, encode

SLOTS = 256
"""Visitors are spread over this many slots, whatever the number of lanes: progress by slot stays true when
another number of lanes goes on with it."""


class Entry(NamedTuple):
    """One encoded hit on its way to the server."""

    query: str
    """The query string, without ``?``."""
    slot: int
    source: int
    """Number of its source in the report."""
    line: int
    end: int
    """Where its line ends in the source, in decompressed bytes."""


class BadEntry(NamedTuple):
    """A line that is no hit."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides what becomes of the lines of a source."""

    source: int
    definition: Definition
    filters: FilterSettings
    hits: HitSettings
    keep_hits: bool = False
    """Whether the batch holds the hits themselves too, for --output."""


@dataclass(slots=True)
class Batch:
    """What a block became. Its lines are the entries, the bad ones and the filtered ones together."""

    end: int
    lines: int
    entries: list[Entry] = field(default_factory=list)
    bad: list[BadEntry] = field(default_factory=list)
    filtered: Counter[str] = field(default_factory=Counter)
    hits: list[Hit] = field(default_factory=list)
    nameless: int = 0
    """Hits whose client is known by a host name alone."""
    already: int = 0
    """Hits left out because an earlier run has had them acknowledged."""

    def drop(self, done: Sequence[int]) -> None:
        """Leave out the hits that end at or before the place of their slot in `done`."""
        kept = [entry for entry in self.entries if entry.end > done[entry.slot]]
        self.already += len(self.entries) - len(kept)
        self.entries = kept


def without_format(block: Block) -> Batch:
    """Translate a block that no format is needed for: one line that is too long, or nothing but empty ones."""
    batch = Batch(block.end, block.lines)
    if block.cut:
        reason = f"longer than {LINE_LIMIT >> 20} MiB"
        batch.bad.append(BadEntry(block.line, block.data.decode("latin-1"), reason))
    else:
        batch.filtered["blank"] = block.lines
    return batch


class Translator:
    """Translates the blocks of one source."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parse = plan.definition.compile()
        self._spread, self._records = framing.of(plan.definition)
        self._left_out = Filters(plan.filters)
        self._make_hit = HitMaker(plan.hits)
        self._slots: Memo[str, int] = Memo(lambda key: crc32(key.encode("utf-8", "surrogateescape")) % SLOTS)

    def __call__(self, block: Block) -> Batch:
        """Translate one block: the path of every line, in the order of the modules."""
        if block.cut:
            return without_format(block)
        before = self._make_hit.nameless
        batch = self._translate_records(block) if self._spread(block) else self._translate_lines(block)
        batch.nameless = self._make_hit.nameless - before
        return batch

    def _translate_lines(self, block: Block) -> Batch:
        """Translate a block of which each line is a record."""
        batch = Batch(block.end, block.lines)
        text, stop, end = block.data.decode("latin-1"), block.end, block.offset
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()  # what follows the last newline
        parse = self._parse if "\0" not in text else self._parse_after_nuls
        left_out, make_hit, slots, new_entry = self._left_out, self._make_hit, self._slots, Entry._make
        source, entries, filtered = self._plan.source, batch.entries, batch.filtered
        hits = batch.hits if self._plan.keep_hits else None
        for number, line in enumerate(lines, block.line):
            end += len(line) + 1
            try:
                record = parse(line)
                left_out_for = left_out(record)
                if left_out_for is not None:
                    filtered[left_out_for] += 1
                    continue
                hit = make_hit(record)
                entries.append(
                    new_entry((encode(hit), slots[visitor_key(hit)], source, number, end if end < stop else stop))
                )
            except (BadLine, InvalidHit) as error:
                _count(batch, number, line, error)
                continue
            if hits is not None:
                hits.append(hit)
        return batch

    def _translate_records(self, block: Block) -> Batch:
        """Translate a block whose records are not each on a line of their own; they are what is counted."""
        batch = Batch(block.end, 0)
        for record_text, number, end in self._records(block):
            batch.lines += 1
            try:
                record = self._parse(record_text)
                left_out_for = self._left_out(record)
                if left_out_for is not None:
                    batch.filtered[left_out_for] += 1
                    continue
                hit = self._make_hit(record)
                slot = self._slots[visitor_key(hit)]
                batch.entries.append(Entry(encode(hit), slot, self._plan.source, number, end))
            except (BadLine, InvalidHit) as error:
                _count(batch, number, record_text, error)
                continue
            if self._plan.keep_hits:
                batch.hits.append(hit)
        return batch

    def _parse_after_nuls(self, line: str) -> Record:
        """As the parser, for a log that was truncated while its writer kept its place: NULs stand before a line."""
        return self._parse(line.lstrip("\0"))


def _count(batch: Batch, number: int, text: str, error: ValueError) -> None:
    """Count a record that became no hit for what it is."""
    if not text.strip("\0\r\n \t"):
        batch.filtered["blank"] += 1
    elif isinstance(error, OtherLine):
        batch.filtered["other"] += 1
    else:
        batch.bad.append(BadEntry(number, text, str(error)))

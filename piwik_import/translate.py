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

from piwik_import.filters import Filters, FilterSettings
from piwik_import.hits import HitMaker, HitSettings, visitor_key
from piwik_import.memo import Memo
from piwik_import.parsers import headers
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.headers import Header
from piwik_import.parsers.record import BadLine, Parser
from piwik_import.source import LINE_LIMIT, Block
from piwik_import.tracking import Hit, InvalidHit, encode

SLOTS = 256
"""Visitors are spread over this many slots, whatever the number of lanes: progress by slot stays true when
another number of lanes goes on with it."""

HEADERS = 8
"""How many headers of a log have their parsers kept, each of which remembers the texts that it has seen."""


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
    already: int = 0
    """Hits left out because an earlier run has had them acknowledged."""

    def drop(self, done: Sequence[int]) -> None:
        """Leave out the hits that end at or before the place of their slot in `done`."""
        kept = [entry for entry in self.entries if entry.end > done[entry.slot]]
        self.already += len(self.entries) - len(kept)
        self.entries = kept


def without_format(block: Block) -> Batch:
    """Translate a block that no format is needed for: one line that is too long, or only empty ones and directives."""
    batch = Batch(block.end, block.lines)
    if block.cut:
        reason = f"longer than {LINE_LIMIT >> 20} MiB"
        batch.bad.append(BadEntry(block.line, block.data.decode("latin-1"), reason))
        return batch
    directives = sum(map(headers.is_header, block.data.decode("latin-1").split("\n")))
    batch.filtered += Counter(header=directives, blank=block.lines - directives)
    return batch


class Translator:
    """Translates the blocks of one source."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parsers: Memo[Header, Parser] = Memo(
            lambda header: plan.definition.under(header).compile(), limit=HEADERS, longest=1 << 16
        )
        self._parsers[Header()]  # a format that makes no sense is refused here, before any line
        self._left_out = Filters(plan.filters)
        self._make_hit = HitMaker(plan.hits)
        self._slots: Memo[str, int] = Memo(lambda key: crc32(key.encode("utf-8", "surrogateescape")) % SLOTS)

    def __call__(self, block: Block) -> Batch:
        """Translate one block: the path of every line, in the order of the modules."""
        if block.cut:
            return without_format(block)
        batch = Batch(block.end, block.lines)
        text, end, done = block.data.decode("latin-1"), block.offset, 0
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()  # what follows the last newline
        for header, start, stop in self._plan.definition.sections(headers.read(block.header), lines):
            if start > done:
                batch.filtered["header"] += start - done
                end += sum(map(len, lines[done:start])) + start - done
            if start < stop:
                parse = self._parsers[header] if "\0" not in text else _after_nuls(self._parsers[header])
                end = self._section(batch, lines[start:stop], block.line + start, end, parse)
            done = stop
        return batch

    def _section(self, batch: Batch, lines: Sequence[str], first: int, end: int, parse: Parser) -> int:
        """Translate the lines of one header; the first has that number and begins at `end`. Return where they end."""
        stop = batch.end
        left_out, make_hit, slots, new_entry = self._left_out, self._make_hit, self._slots, Entry._make
        source, entries, filtered = self._plan.source, batch.entries, batch.filtered
        hits = batch.hits if self._plan.keep_hits else None
        for number, line in enumerate(lines, first):
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
                if line.strip("\0\r \t"):
                    batch.bad.append(BadEntry(number, line, str(error)))
                else:
                    filtered["blank"] += 1
                continue
            if hits is not None:
                hits.append(hit)
        return end


def _after_nuls(parse: Parser) -> Parser:
    """Return the parser for a log that was truncated while its writer kept its place: NULs stand before a line."""
    return lambda line: parse(line.lstrip("\0"))

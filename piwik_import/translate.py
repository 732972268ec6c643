"""A block of lines → a batch of encoded hits, with the reason of every line that became none.

Pure: what comes out depends on the block and the plan alone, and all of it can be pickled, so the same
translator runs in this process or in another. But for calls (`segment`), which also depend on who was named before:
of these the blocks of all sources must be translated here, and in their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple
from zlib import crc32

from piwik_import import framing
from piwik_import.errors import without_tokens
from piwik_import.express import Express, Fate, Pieces, applies
from piwik_import.filters import Filters, FilterSettings
from piwik_import.hits import HitMaker, HitSettings, visitor_key
from piwik_import.memo import Memo
from piwik_import.parsers import headers
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.headers import Header
from piwik_import.parsers.record import BadLine, LeftOut, OtherLine, Parser
from piwik_import.segment import Identities
from piwik_import.shaping import Shaper, Shaping
from piwik_import.source import LINE_LIMIT, Block
from piwik_import.tracking import Hit, InvalidHit, encode, encode_rest

SLOTS = 256
"""Visitors are spread over this many slots, whatever the number of lanes: progress by slot stays true when
another number of lanes goes on with it."""

Encoded = tuple[str, int]
"""The query string of a hit and the slot of its visitor."""

BEGINNING = 1000
"""Characters of a line that go with its further hits: one that posts thousands would else be kept as often."""

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
    begin: int = 0
    """Where its line begins."""
    text: str = ""
    """The line itself, a character a byte, in case the server rejects the hit; of a further one its beginning."""
    is_further: bool = False
    """Whether its line has become a hit before this one. All hits of a line are one visitor's, follow one another, and
    stay in one chunk: what is acknowledged is a line."""


class BadEntry(NamedTuple):
    """A line that is no hit."""

    line: int
    begin: int
    text: str
    reason: str


@dataclass(slots=True)
class Warned:
    """How many hits are sent without a parameter that breaks its rule, and the first line of such a hit."""

    hits: int
    line: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides what becomes of the lines of a source."""

    source: int
    definition: Definition
    filters: FilterSettings
    hits: HitSettings
    keep_hits: bool = False
    """Whether the batch holds the hits themselves too, for --output."""
    shaping: Shaping | None = None
    """What the user wants of hits; None if that is nothing."""


@dataclass(slots=True)
class Batch:
    """What a block became. Its lines are those of the entries, the bad ones and the filtered ones together."""

    end: int
    lines: int
    entries: list[Entry] = field(default_factory=list)
    bad: list[BadEntry] = field(default_factory=list)
    filtered: Counter[str] = field(default_factory=Counter)
    warned: dict[tuple[str, str], Warned] = field(default_factory=dict)
    """By parameter and reason."""
    hits: list[Hit] = field(default_factory=list)
    nameless: int = 0
    """Hits whose client is known by a host name alone."""
    already: int = 0
    """Lines whose hits were left out because an earlier run has had them acknowledged."""
    further: int = 0
    """How many of the entries are not the first of their line."""

    def warn(self, fault: InvalidHit, line: int | None, text: str = "", hits: int = 1) -> None:
        """Count hits that are sent without a parameter."""
        self.warned.setdefault((fault.parameter, fault.reason), Warned(0, line, text)).hits += hits

    def hide_tokens(self) -> None:
        """Take the tokens that somebody sent out of all that is kept of the lines, to be shown."""
        shown = Memo(without_tokens, limit=1)  # the further hits of a line have one text
        self.entries = [entry._replace(text=shown[entry.text]) for entry in self.entries]
        self.bad = [one._replace(text=without_tokens(one.text), reason=without_tokens(one.reason)) for one in self.bad]
        for warned in self.warned.values():
            warned.text = without_tokens(warned.text)

    def drop(self, done: Sequence[int]) -> None:
        """Leave out the hits that end at or before the place of their slot in `done`."""
        kept = [entry for entry in self.entries if entry.end > done[entry.slot]]
        lines = len(self.entries) - self.further
        self.further = sum(entry.is_further for entry in kept)
        self.already += lines - (len(kept) - self.further)
        self.entries = kept


def without_format(block: Block) -> Batch:
    """Translate a block that no format is needed for: one line that is too long, or only empty ones and directives."""
    batch = Batch(block.end, block.lines)
    if block.cut:
        reason = f"longer than {LINE_LIMIT >> 20} MiB"
        batch.bad.append(BadEntry(block.line, block.offset, block.data.decode("latin-1"), reason))
        return batch
    directives = sum(map(headers.is_header, block.data.decode("latin-1").split("\n")))
    batch.filtered += Counter(header=directives, blank=block.lines - directives)
    return batch


class Translator:
    """Translates the blocks of one source."""

    def __init__(self, plan: Plan, identities: Identities | None = None) -> None:
        self._plan = plan
        self._identities = identities if plan.definition.calls else None
        self._shaper = None if plan.shaping is None else Shaper(plan.hits, plan.shaping, plan.definition, identities)
        wanted = self._shaper.wanted if self._shaper else ()
        self._parsers: Memo[Header, Parser] = Memo(
            lambda header: plan.definition.under(header).compile(wanted), limit=HEADERS, longest=1 << 16
        )
        self._parsers[Header()]  # a format that makes no sense is refused here, before any line
        self._spread, self._records = framing.of(plan.definition)
        filters = Filters(plan.filters)
        self._left_out = filters if self._shaper is None else self._shaper.left_out(filters)
        self._make_hit: Shaper | HitMaker = self._shaper or HitMaker(plan.hits)
        self._slots: Memo[str, int] = Memo(slot_of)
        self._express = self._short_way(filters)

    def __call__(self, block: Block) -> Batch:
        """Translate one block: each line by the short way if it has one, else the long way."""
        if block.cut:
            return without_format(block)
        before = self._make_hit.nameless
        batch = self._translate_records(block) if self._spread(block) else self._translate_lines(block)
        batch.nameless = self._make_hit.nameless - before
        if self._shaper is not None:
            for parameter, reason, count in self._shaper.over():
                batch.warn(InvalidHit(parameter, reason), None, hits=count)
        return batch

    def _translate_lines(self, block: Block) -> Batch:
        """Translate a block of which each line is a record."""
        batch = Batch(block.end, block.lines)
        text, end, done = block.data.decode("latin-1"), block.offset, 0
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()  # what follows the last newline
        express = self._express if "\0" not in text else no_short_way
        for header, start, stop in self._plan.definition.sections(headers.read(block.header), lines):
            if start > done:
                batch.filtered["header"] += start - done
                end += sum(map(len, lines[done:start])) + start - done
            if start < stop:
                way = partial(self._go, self._parsers[header], batch)
                end = self._section(batch, lines[start:stop], block.line + start, end, express, way)
            done = stop
        if end > block.end:  # the last line has no newline
            batch.entries = [entry._replace(end=min(entry.end, block.end)) for entry in batch.entries]
        return batch

    def _translate_records(self, block: Block) -> Batch:
        """Translate a block whose records are not each on a line of their own; they are what is counted."""
        batch = Batch(block.end, 0)
        parse = self._parsers[headers.read(block.header)]
        for text, number, end in self._records(block):
            batch.lines += 1
            begin = max(block.offset, end - len(text))
            fate = self._go(parse, batch, text, number, begin)
            if isinstance(fate, tuple):
                fate = [fate]
            if isinstance(fate, list):
                self._add(batch, fate, number, end, begin, text)
            elif fate is not None:
                batch.filtered[fate] += 1
        return batch

    def _section(
        self,
        batch: Batch,
        lines: Sequence[str],
        first: int,
        end: int,
        express: Express,
        go: Callable[[str, int, int], Fate | list[Encoded] | None],
    ) -> int:
        """Translate the lines of one header; the first has that number and begins at `end`. Return where they end."""
        source, add, filtered, new = self._plan.source, batch.entries.append, batch.filtered, tuple.__new__
        for number, line in enumerate(lines, first):
            begin, end = end, end + len(line) + 1
            fate = express(line) or go(line, number, begin)
            if isinstance(fate, tuple):
                query, slot = fate
                add(new(Entry, (query, slot, source, number, end, begin, line, False)))
            elif isinstance(fate, list):
                self._add(batch, fate, number, end, begin, line)
            elif fate is not None:
                filtered[fate] += 1
        return end

    def _add(self, batch: Batch, hits: Sequence[Encoded], number: int, end: int, begin: int, line: str) -> None:
        """Add the hits of one line."""
        beginning = line[:BEGINNING]
        for at, (query, slot) in enumerate(hits):
            text = beginning if at else line
            batch.entries.append(Entry(query, slot, self._plan.source, number, end, begin, text, at > 0))
        batch.further += len(hits) - 1

    def _go(self, parse: Parser, batch: Batch, line: str, number: int, begin: int) -> Fate | list[Encoded] | None:
        """Take one line the long way, in the order of the modules; None if it is a bad one."""
        try:
            if self._identities is not None:
                self._identities.line = (self._plan.source, begin)
            record = parse(line.lstrip("\0"))  # NULs: a log truncated while its writer kept its place
            reason = self._left_out(record)
            if reason is not None:
                return reason
            made = self._make_hit(record)
            hits = made if isinstance(made, list) else [made]
            first = self._encoded(hits[0], number, line, batch), self._slots[visitor_key(hits[0])]
            rest = [(self._encoded(hit, number, line, batch), first[1]) for hit in hits[1:]]
            if rest and any(visitor_key(hit) != visitor_key(hits[0]) for hit in hits):
                slot = self._slots[str(hits[0]["cip"])]  # whoever sends for several visitors has one lane for them
                first, *rest = [(query, slot) for query, _ in (first, *rest)]
        except (BadLine, InvalidHit) as error:
            if not line.strip("\0\r\n \t"):
                return "blank"
            if isinstance(error, OtherLine):
                return "other"
            if isinstance(error, LeftOut):
                return str(error)
            batch.bad.append(BadEntry(number, begin, line, str(error)))
            return None
        if self._plan.keep_hits:
            batch.hits += hits
        return [first, *rest] if rest else first

    def _encoded(self, hit: Hit, number: int, line: str, batch: Batch) -> str:
        """Encode a hit, without what breaks a rule if it is a hit without that. Raises InvalidHit."""
        try:
            return encode(hit)
        except InvalidHit as fault:
            query, faults = encode_rest(hit, fault)
            for one in faults:
                batch.warn(one, number, line)
            return query

    def _short_way(self, filters: Filters) -> Express:
        plan = self._plan
        if plan.keep_hits or plan.shaping is not None or not applies(plan.definition, plan.filters, plan.hits):
            return no_short_way
        try:
            one = plan.definition
            return Pieces(one.texts(), filters, HitMaker(plan.hits), slot_of, span=one.span).compile()
        except InvalidHit:  # no hit can be right, and the long way says of each why
            return no_short_way


def no_short_way(_line: str) -> None:
    """Send a line the long way."""


def slot_of(key: str) -> int:
    """Return the slot of a visitor."""
    return crc32(key.encode("utf-8", "surrogateescape")) % SLOTS

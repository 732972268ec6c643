"""What the user wants hits to hold besides what every log gives: mapped parameters, variables, searches, visitor ids.

Only a plan that has such wishes meets this module: the way of all other lines is that of `hits` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from piwik_import.errors import FormatError
from piwik_import.filters import Filters, is_bot
from piwik_import.hits import HitMaker, HitSettings
from piwik_import.mapping import HitTable, Mapper, Read
from piwik_import.memo import Memo
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.fields import PEER_WORDS
from piwik_import.parsers.record import BadLine, Record
from piwik_import.searches import Searches, SearchSettings
from piwik_import.segment import Identities, Segment, SegmentSettings, besides
from piwik_import.tracker_requests import BODIES, TrackerRequests, TrackerSettings
from piwik_import.tracker_requests import notes as notes_on_trackers
from piwik_import.tracking import SUBJECTS, Hit
from piwik_import.variables import Variables, VariableSettings
from piwik_import.visitors import Visitors, VisitorSettings, hasher


def _target(record: Record) -> str:
    return record.path if record.query is None else f"{record.path}?{record.query}"


def _time(record: Record) -> str:
    return record.time.isoformat(" ", "seconds")[:19]


STANDARD: Mapping[str, Callable[[Record], Any]] = {
    **{name: attrgetter(name) for name in ("ip", "method", "path", "query", "status", "length", "referrer")},
    **{name: attrgetter(name) for name in ("user_agent", "host", "user", "generation_time", "duration")},
    "time": _time,
    "target": _target,
}
"""The words of formats that can be mapped, and what each is of a record."""

PEER = {name: field for name, (field, form) in PEER_WORDS.items() if form in ("", "ms")}
"""The other importer's words for values that a record has as they are, for --regex-group-to-visit-cvar."""

PARTS = {"request": ("method", "target", "path", "query"), "target": ("path", "query"), "path": ("target", "query")}
"""What else a line gives that gives a field."""


@dataclass(frozen=True, slots=True)
class Shaping:
    """What the user wants of hits. Holds data only, so it travels to other processes."""

    table: HitTable = field(default_factory=HitTable)
    """The command line's rules; those of the format stand in its file."""
    variables: VariableSettings = field(default_factory=VariableSettings)
    searches: SearchSettings = field(default_factory=SearchSettings)
    visitors: VisitorSettings = field(default_factory=VisitorSettings)
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    trackers: TrackerSettings = field(default_factory=TrackerSettings)

    def applies(self, definition: Definition) -> bool:
        """Tell whether the lines of a format need any of it."""
        nothing = Shaping(visitors=VisitorSettings(key=self.visitors.key), segment=self.segment)
        return self != nothing or definition.hit != HitTable() or definition.calls != ""

    def wanted(self, definition: Definition) -> list[str]:
        """Name the further fields that the parser of a format must take out of a line.

        Raises FormatError if the format has no such field.
        """
        fields = definition.hit.fields | self.table.fields | self.variables.fields
        if self.visitors.field is not None:
            fields.add(self.visitors.field)
        if self.trackers.files:
            fields.update(filter(definition.may_have, BODIES))
        known = _peers(definition)
        wanted = sorted(name for name in fields - _given(definition) if name not in known or definition.may_have(name))
        if lacking := [name for name in wanted if not definition.may_have(name)]:
            raise FormatError(
                definition.name,
                f"it has no field {', '.join(lacking)}; it has {', '.join(sorted(_given(definition)))}"
                + "".join(f", {name}" for name in definition.pieces)
                + ". A pattern names further fields as {*name}.",
            )
        return wanted

    def needs_key(self, definition: Definition) -> bool:
        """Tell whether an ID is to be made of anything."""
        return self.visitors.choice != "none" or definition.hit.hashes or self.table.hashes or definition.calls != ""

    def decides_visitors(self, definition: Definition | None) -> str:
        """Describe all that the visitors of a log depend on besides its lines; empty if nothing."""
        hit, calls = (HitTable(), "") if definition is None else (definition.hit, definition.calls)
        tables = [table for table in (hit, self.table) if table.parameters & {"cid", "_id", "cip"}]
        if not tables and self.visitors.choice == "none" and not calls:
            return ""
        return hasher(self.visitors.key)(repr((self.visitors.choice, tables, *filter(None, [calls]))))


def _given(definition: Definition) -> set[str]:
    """Name the standard fields that a format's lines give."""
    fields = set(definition.fields)
    return {*fields, *(part for name in fields for part in PARTS.get(name, ()))} & STANDARD.keys()


def _peers(definition: Definition) -> dict[str, str]:
    """Return the other importer's words for fields that a format's lines give; an object's keys are its own."""
    given = set() if definition.json else _given(definition)
    return {name: ours for name, ours in PEER.items() if ours in given}


class Shaper:
    """As a `HitMaker`, for lines of one format, with what the user wants."""

    def __init__(
        self, hits: HitSettings, shaping: Shaping, definition: Definition, identities: Identities | None = None
    ) -> None:
        self.wanted = shaping.wanted(definition)
        hashed = hasher(shaping.visitors.key)
        self._make = HitMaker(hits)
        self._standard = {name: STANDARD[name] for name in _given(definition)}
        self._peers = {name: STANDARD[ours] for name, ours in _peers(definition).items()}
        tables = [table for table in (definition.hit, shaping.table) if table != HitTable()]
        self._mappers = [Mapper(table, hashed) for table in tables]
        bots: Memo[str, bool] = Memo(is_bot)
        self._variables = Variables(shaping.variables, bots.__getitem__ if hits.bots else lambda _: False)
        self._has_variables = shaping.variables.wanted or any(table.parameters & {"_cvar", "cvar"} for table in tables)
        replays = bool(shaping.trackers.files)
        self._requests = TrackerRequests(shaping.trackers, self._make) if replays else None
        self._segment: Segment | None = None
        if definition.calls and not replays:
            self._segment = Segment(shaping.segment, hits.base_url, hashed, identities or Identities())
            self._has_variables = True
        self._searches = Searches(shaping.searches) if shaping.searches.keywords and not replays else None
        self._visitors = Visitors(shaping.visitors, hashed) if shaping.visitors.choice != "none" else None

    def __call__(self, record: Record) -> Hit | list[Hit]:
        """Return the hit of `record`, or several. Raises BadLine."""
        try:
            if self._requests is not None:
                hits = self._requests(record)
                for hit in hits:
                    self._shape(hit, record)
                return self._requests.good(hits)
            hit = self._make(record)
            conversions = self._segment(record, hit) if self._segment is not None else None
            self._shape(hit, record)
        except BadLine:
            raise
        except ValueError as error:  # what no text can be made of
            raise BadLine(str(error)) from None
        return [hit, *besides(hit, conversions)] if conversions else hit

    def left_out(self, filters: Filters) -> Callable[[Record], str | None]:
        """Return what tells for which reason a record becomes no hit."""
        return filters if self._segment is None else self._segment.left_out(filters)

    @property
    def nameless(self) -> int:
        """Hits so far whose client is known by a host name alone."""
        return self._make.nameless

    def _shape(self, hit: Hit, record: Record) -> None:
        read = self._reader(record)
        mapped: Hit = {}
        for mapper in self._mappers:
            mapped |= mapper(read)
        if "download" not in mapped and not SUBJECTS.isdisjoint(mapped):
            hit.pop("download", None)  # a path that looks like a file's makes no download of what is something else
        hit |= mapped
        if self._searches is not None:
            self._searches(record.query, hit)
        if self._visitors is not None:
            self._visitors(read, hit)
        if self._has_variables:
            self._variables(read, hit)

    def _reader(self, record: Record) -> Read:
        standard, peers, extra = self._standard, self._peers, record.extra or {}

        def read(name: str) -> Any:
            if name in standard:
                return standard[name](record)
            value = extra.get(name)
            return peers[name](record) if value is None and name in peers else value

        return read

    def over(self) -> Iterator[tuple[str, str, int]]:
        """Take what was left out since the last time: parameter, reason, number of hits."""
        for (parameter, number), count in self._variables.over.items():
            yield parameter, f"variable {number} is over the limit (--custom-variable-limit)", count
        self._variables.over.clear()
        if self._segment is not None:
            for (parameter, reason), count in self._segment.over.items():
                yield parameter, reason, count
            self._segment.over.clear()
        if self._requests is not None:
            for (parameter, reason), count in self._requests.left_out.items():
                yield parameter, reason, count
            self._requests.left_out.clear()


def notes(shaping: Shaping) -> Iterable[str]:
    """Say what of the user's wishes cannot be met."""
    return [*shaping.variables.excess(), *notes_on_trackers(shaping.trackers)]

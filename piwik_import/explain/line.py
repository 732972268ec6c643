"""One line: its pieces, what each of them gives to the hit, and what becomes of the line.

What becomes of it is asked of `translate`, as in an import. Which parameters a piece gives is found out by asking what
the hit would be without it, or with another in its place; so no rule of `hits` or of a mapping is told twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from piwik_import.errors import masked, without_tokens
from piwik_import.filters import REASONS
from piwik_import.hits import HitMaker
from piwik_import.parsers import headers, keyed, paths, urls
from piwik_import.parsers.anatomy import dissect
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.encoding import utf8
from piwik_import.parsers.parts import Anatomy, Part
from piwik_import.parsers.record import BadLine, Record
from piwik_import.shaping import Shaper
from piwik_import.source import Block
from piwik_import.tracking import Hit, InvalidHit, decode
from piwik_import.translate import Plan, Translator

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a line, and what it gives."""

    part: Part
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Those of the hit that would not be the same without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is to be said of one line."""

    number: int
    """Where it ends, if it is an object or a message of several lines."""
    text: str
    """A character a byte."""
    anatomy: Anatomy
    pieces: Sequence[Piece] = ()
    fate: str
    """``hit``, ``filtered`` or ``invalid``."""
    reason: str = ""
    """The name of a filter, or why the line is invalid, as the rejects file says it."""
    hit: Mapping[str, str] = field(default_factory=dict)
    """What would be sent, decoded."""
    query: str = ""
    """The same on the wire."""
    further: Sequence[Mapping[str, str]] = ()
    """What else would be sent of the same line."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Parameters that the hit is sent without, and the rules that they break."""

    @property
    def within(self) -> str | None:
        """What is within the wrapper; None if there is none."""
        return None if self.anatomy.line == self.text else self.anatomy.line

    @property
    def said(self) -> str:
        """Why there is no hit, in words; empty if there is one."""
        stop, expected = self.anatomy.stop, self.anatomy.expected
        if self.fate == "hit":
            return ""
        if self.fate == "filtered" and not (self.reason == "other" and expected):
            return REASONS[self.reason]
        if not expected:
            return self.reason
        where = "" if self.column is None else f"column {self.column}: "
        if stop is not None and stop >= len(self.anatomy.line.removesuffix("\r")):
            where = "the line ends: "
        why = f"{where}expected {expected}"
        return why if self.fate == "invalid" else f"{REASONS[self.reason]} ({why})"

    @property
    def column(self) -> int | None:
        """Where the line stops being what its format says, in characters from 1; None if at no one place."""
        stop = self.anatomy.stop
        return None if stop is None else len(utf8(self.anatomy.line[:stop])) + 1


class Explainer:
    """Explains lines by the plan of an import."""

    def __init__(self, plan: Plan) -> None:
        self._definition = plan.definition
        self._translate = Translator(replace(plan, keep_hits=True))
        shaper = None if plan.shaping is None else Shaper(plan.hits, plan.shaping, plan.definition)
        self._wanted = shaper.wanted if shaper else []
        self._make_hit: Shaper | HitMaker = shaper or HitMaker(plan.hits)

    def fate(self, block: Block) -> str:
        """Tell what becomes of a block that is one line: ``hit``, ``invalid``, or the reason to leave it out."""
        batch = self._translate(block)
        return "hit" if batch.entries else "invalid" if batch.bad else next(iter(batch.filtered), "blank")

    def __call__(self, block: Block) -> Line:
        """Explain a block that is one line, or one record of several."""
        batch = self._translate(block)
        logged = block.data.decode("latin-1").removesuffix("\n")
        text = masked(logged)
        if block.cut:
            return Line(
                number=block.line, text=text, anatomy=Anatomy(text, []), fate="invalid", reason=batch.bad[0].reason
            )
        definition = self._under(block, text)
        anatomy, around = dissect(definition, text)
        query = without_tokens(batch.entries[0].query) if batch.entries else ""
        reason = batch.bad[0].reason if batch.bad else next(iter(batch.filtered), "")
        hits = [
            {name: without_tokens(value) for name, value in decode(entry.query).items()} for entry in batch.entries
        ]  # the URL of a page may hold a token too
        if not anatomy.expected and batch.bad:
            anatomy = _at_fault(anatomy, reason)
        parts = [*([around] if around else []), *anatomy.parts]
        return Line(
            number=block.line,
            text=text,
            anatomy=anatomy,
            pieces=[*self._pieces(definition, logged, parts, _all(hits))],
            fate="hit" if query else "invalid" if batch.bad else "filtered",
            reason=reason,
            hit=hits[0] if hits else {},
            query=query,
            further=hits[1:],
            left_out=dict([*batch.warned]),
        )

    def _under(self, block: Block, text: str) -> Definition:
        """Return the format under the header that governs a line."""
        sections = self._definition.sections(headers.read(block.header), [text])
        return self._definition.under(next((one.header for one in sections if one.start < one.stop), headers.NO_HEADER))

    def _pieces(
        self, definition: Definition, text: str, parts: Sequence[Part], sent: Mapping[str, str]
    ) -> Iterator[Piece]:
        """Say of each part what it gives. Only what is sent counts, if anything is.

        `text` is the line as it is: with a token masked in it, an object may be one no more.
        """
        try:
            record = definition.compile(self._wanted)(text.lstrip("\0"))
            hit = None if record.problem and not definition.calls else self._made(record)
        except (BadLine, InvalidHit):
            record, hit = None, None
        taken_off = "" if record is None else _taken_off(definition, text.lstrip("\0"), record)
        for part in parts:
            if record is None or hit is None:
                yield Piece(part)
                continue
            whole = part
            if taken_off in part.fields:
                whole = part._replace(fields=(*part.fields, "time"))
            others = [self._hit(other) for other in self._without(record, whole)]
            names = [name for name in hit if any(other.get(name) != hit[name] for other in others)]
            given = sent or {name: without_tokens(str(hit[name])) for name in names}
            yield Piece(part, {name: given[name] for name in names if name in given})

    def _made(self, record: Record) -> Hit:
        """Return the hit of a record, or all parameters of several."""
        made = self._make_hit(record)
        return made if isinstance(made, dict) else _all(made)

    def _hit(self, record: Record) -> Hit:
        try:
            return self._made(record)
        except (BadLine, InvalidHit):
            return {}

    def _without(self, record: Record, part: Part) -> Iterator[Record]:
        """Yield the record as it would be if a part of its line were another."""
        for name in part.fields:
            yield from _changed(record, name)
        extra = record.extra or {}
        asked = [name for name in extra if keyed.is_at(part.name, name)]
        if asked:
            yield record._replace(extra={name: value for name, value in extra.items() if name not in asked})
        elif part.name and extra:
            with suppress(ValueError):
                lacking = record._replace(extra=_lacking(extra, paths.split(part.name)[0]))
                yield lacking
                for name in part.fields:
                    yield from _changed(lacking, name)


def _taken_off(definition: Definition, text: str, record: Record) -> str:
    """Name the field that has moved the time of a line, which was that of the end there; none if none did."""
    for one in definition.joined:
        try:
            logged = replace(one, time_is="begin").compile()(text)
        except BadLine:
            continue
        return "" if logged.time == record.time else one.span
    return ""


def _changed(record: Record, name: str) -> Iterator[Record]:
    """Yield a record whose field is another, or not there."""
    request = record.request
    if name in ("request", "method"):
        yield record._replace(request=request._replace(method=f"{request.method}X"))
    if name in ("request", "target", "path"):
        yield record._replace(request=request._replace(path=f"{request.path}x"))
    if name in ("request", "target", "query"):
        yield record._replace(request=request._replace(query=None))
    if name in ("time", "date"):
        yield record._replace(time=record.time + timedelta(days=1 if record.time.year < 9999 else -1))
    elif name == "host" or (name == "scheme" and urls.tells_scheme(record.host)):
        yield record._replace(host=OTHER_HOST)
    elif name in ("ip", "forwarded"):
        yield record._replace(ip=None)
    elif name in Record._fields and name != "request":
        yield Record._make([None if one == name else value for one, value in record._asdict().items()])


def _all(hits: Sequence[Mapping[str, V]]) -> dict[str, V]:
    """Return the parameters of all hits of a line; where several have one, that of the first."""
    return {name: value for hit in reversed(hits) for name, value in hit.items()}


def _lacking(values: Any, steps: Sequence[str | int]) -> Any:
    """Return a value of JSON without what lies at `steps` in it."""
    step, rest = steps[0], steps[1:]
    if isinstance(values, Mapping) and step in values:
        within = {step: _lacking(values[str(step)], rest)} if rest else {}
        return {name: value for name, value in values.items() if name != step} | within
    if isinstance(values, list) and isinstance(step, int) and step < len(values):
        return [*values[:step], *([_lacking(values[step], rest)] if rest else []), *values[step + 1 :]]
    return values


OTHER_HOST = "other.invalid"
"""A host that no log has."""


def _at_fault(anatomy: Anatomy, reason: str) -> Anatomy:
    """Return the anatomy of a line in which one value is wrong: it stops where that begins."""
    name = reason.partition(":")[0]
    for part in anatomy.parts:
        if name in part.fields and part.start is not None:
            return anatomy._replace(stop=part.start)
    return anatomy

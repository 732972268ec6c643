"""What a format is, and the parser that it becomes.

Of a pattern, of objects, of columns, of a regular expression, or of the code of a plug-in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from piwik_import.errors import FormatError
from piwik_import.hints import Hints
from piwik_import.mapping import HitTable
from piwik_import.parsers import begin, calls, cef, forms, headers, json_lines, messages, only, urls, wrappers
from piwik_import.parsers.columns import Columns, compile_columns
from piwik_import.parsers.headers import NO_HEADER, Header, Section
from piwik_import.parsers.pattern import Pattern, fields_of, is_usual, pieces_of
from piwik_import.parsers.plugin import Plugin, compile_plugin
from piwik_import.parsers.record import BadLine, Parser, Record, Texts
from piwik_import.parsers.regex import compile_regex, further_groups_of, groups_of
from piwik_import.parsers.wrappers import Wrapper

LOADERS: Mapping[str, json_lines.Load] = {"cef": cef.load}
"""How objects may be written that are no JSON → what reads them."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One format as its file describes it. Holds data only, so it travels to other processes."""

    name: str
    title: str
    source: str
    """The page of its maker."""
    aliases: tuple[str, ...] = ()
    """Names that other importers know it by."""
    pattern: str | None = None
    """The line with ``{field}`` where a field stands: see `pattern`."""
    escapes: str = ""
    """How the server writes what would break a line: a name of `escapes.ESCAPES`."""
    json: json_lines.Keys = field(default_factory=dict)
    """Field → path in an object, or several: see `json_lines`."""
    syntax: str = "json"
    """How its objects are written: as JSON, or a name of `LOADERS`."""
    only: Mapping[str, only.Condition] = field(default_factory=dict)
    """Which lines tell of requests: see `only`. All do if it is empty."""
    others: tuple[str, ...] = ()
    """What else its server writes, as expressions of whole lines: see `only`."""
    calls: str = ""
    """Whose words its objects have for what people did, where they tell of no requests: a name of `calls.WORDS`."""
    hit: HitTable = field(default_factory=HitTable)
    """What its fields become besides what they always do: see `mapping`."""
    columns: Columns | None = None
    """Which fields its columns give, whatever columns a log has: see `columns`."""
    header: Header = NO_HEADER
    """What the lines say that stand above, in a log with such lines: see `headers`."""
    regex: str | None = None
    """A regular expression with named groups: see `regex`."""
    time: str = ""
    """How its group ``date`` is written."""
    time_is: str = "begin"
    """``end`` if its time is that of the end of a request: see `begin`."""
    plugin: Plugin | None = None
    """The code that reads its lines: see `plugin`."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """What the user says that its groups are: see `regex.Groups`."""
    recognised: bool = True
    """Whether it is tried on logs of which nobody has said what they are."""
    samples: tuple[Mapping[str, Any], ...] = ()
    """``line``, with the lines of its header before it if it has one, and the fields that it must become."""
    wrapper: Wrapper | None = None
    """What is around the lines of the log."""
    also: Definition | None = None
    """Another format that lines of the same log are in: two programs write into one, or one changed its mind."""
    file: str = ""
    """Where it is described, if that is none of the files that come along."""
    spread: bool = False
    """Whether its objects are not each on a line of their own: see `framing`."""

    @property
    def label(self) -> str:
        """What people are told: the name, and what is around the lines."""
        names = self.name if self.also is None else f"{self.name} and {self.also.label}"
        return names if self.wrapper is None else f"{names} in {self.wrapper.label}"

    @property
    def joined(self) -> list[Definition]:
        """Each of the formats that lines of the log are in, for itself; as a rule it is one."""
        if self.also is None:
            return [self]
        return [replace(self, also=None), *self.also.within(self.wrapper).joined]

    @property
    def fields(self) -> tuple[str, ...]:
        """Name the fields that its lines give."""
        if self.columns is not None:
            return self.columns.words
        if self.plugin is not None:
            return self.plugin.fields
        if self.regex is not None:
            return groups_of(self.regex, self.groups)
        return tuple(dict.fromkeys(fields_of(self.pattern))) if self.pattern is not None else tuple(self.json)

    @property
    def span(self) -> str:
        """Name the field that is taken off its time, if that is of the end of a request."""
        return begin.span(self.fields) if self.time_is == "end" else ""

    @property
    def pieces(self) -> tuple[str, ...]:
        """Name the further fields that its lines give to whoever asks for them, where they are known beforehand."""
        if self.regex is not None:
            return further_groups_of(self.regex, self.groups)
        return tuple(pieces_of(self.pattern)) if self.pattern is not None else ()

    def may_have(self, name: str) -> bool:
        """Tell whether its lines may have a further field of that name: an object may have any key."""
        return (self.pattern is None and self.regex is None) or name in self.pieces

    def compile(self, wanted: Sequence[str] = ()) -> Parser:
        """Return the parser of its lines under its header; `wanted` names further fields that go into ``extra``.

        Raises FormatError.
        """
        try:
            if self.wrapper is None:
                return self._compile(wanted)
            time = self.wrapper.time_form
            if "time" in self.fields or time is None:
                return wrappers.around(self.wrapper, self._compile(wanted))
            parse = replace(forms.timed(self, time), others=())._compile(wanted)
            is_other = partial(only.is_other, self.others)
            return wrappers.around(self.wrapper, parse, give_time=forms.give_time(self), is_other=is_other)
        except (ValueError, KeyError) as error:
            reason = f"unknown form {error}" if isinstance(error, KeyError) else str(error)
            raise FormatError(self.name, reason) from None

    def _compile(self, wanted: Sequence[str]) -> Parser:
        """Return the parser of its lines without what is around them. Raises ValueError, KeyError."""
        if self.also is None:
            return self._compile_one(wanted)
        others = [name for name in wanted if self.also.may_have(name)]
        return either(self._compile_one(wanted), self.also._compile(others))

    def _compile_one(self, wanted: Sequence[str]) -> Parser:
        parse = self._compile_as_logged(wanted)
        parse = begin.begun(parse, self.span) if self.span else parse
        return only.besides(parse, self.others) if self.others else parse

    def _compile_as_logged(self, wanted: Sequence[str]) -> Parser:
        if self.columns is not None:
            return compile_columns(self.columns, self.header, wanted)
        if self.regex is not None:
            return compile_regex(self.regex, self.time, wanted, self.groups)
        if self.plugin is not None:
            return compile_plugin(self.name, self.plugin)
        if self.pattern is None:
            words = calls.WORDS[self.calls] if self.calls else ()
            load = LOADERS.get(self.syntax)
            return json_lines.compile_json(self.json, [*dict.fromkeys([*wanted, *words])], self.only, load)
        parse = Pattern(self.pattern, wanted, self.escapes).parse
        if self.only:
            parse = only.parser(parse, self.pattern, self.only)
        return urls.believed(parse) if ":absolute}" in self.pattern else parse

    def read_as(self, hints: Hints, latest: str = "") -> Definition:
        """Return the format as the user says that it is to be read; `latest` is when the last line was written.

        Raises UsageError for a zone, a network or a field that there is not.
        """
        return forms.read_as(self, hints, latest)

    def within(self, wrapper: Wrapper | None) -> Definition:
        """Return the format of lines that are within `wrapper`."""
        return self if wrapper is self.wrapper else replace(self, wrapper=wrapper)

    @property
    def is_usual(self) -> bool:
        """Whether most of its lines can be read in two steps, as `texts` does it."""
        if self.pattern is not None:
            return is_usual(self.pattern)
        return self.syntax == "json" and json_lines.is_usual(self.json)

    def texts(self) -> Texts:
        """Return the parser of most of its lines in two steps; it must compile, and be a usual one."""
        return Pattern(self.pattern).texts() if self.pattern is not None else json_lines.texts(self.json)

    def sections(self, header: Header, lines: Sequence[str]) -> Iterator[Section]:
        """Cut lines at the directives in them: see `headers`. A format without such has one section."""
        if self.columns is None:
            return iter([Section(header, 0, len(lines))])
        return headers.sections(header, self.messages(lines), self.columns.clock)

    def messages(self, lines: Sequence[str]) -> Sequence[str]:
        """Return the lines without what is around them, if directives may be among them; others as they are."""
        if self.columns is None or self.wrapper is None:
            return lines
        unwrapped = map(self.wrapper.compile(), lines)
        return [line if found is None else found.message for line, found in zip(lines, unwrapped, strict=True)]

    def whole(self, lines: Sequence[str]) -> Sequence[str]:
        """Return the lines with those of each message that is in parts as one text, as an import has them."""
        if self.wrapper is None or not self.wrapper.has_parts or self.columns is not None:
            return lines
        if not self.wrapper.may_have_parts("\n".join([*lines, ""]).encode(errors="replace")):
            return lines
        return messages.whole(lines, [*map(self.wrapper.compile(), lines)])

    def under(self, header: Header) -> Definition:
        """Return the format of lines that `header` governs."""
        return self if self.columns is None else replace(self, header=header)

    def header_after(self, header: Header, data: bytes) -> Header:
        """Return what governs the lines below those of `data`, which `header` governs."""
        by_directives = [*headers.course(header, data)]
        columns, is_wrapped = self.columns, self.wrapper is not None
        if columns is not None and (is_wrapped or any(map(columns.clock, {*by_directives}))):
            *_, last = self.sections(header, data.decode("latin-1").split("\n"))
            return last.header
        return by_directives[-1]

    def records(self, lines: Sequence[str]) -> Iterator[Record | BadLine]:
        """Yield what becomes of each of a log's first lines, or messages, but the directives. Raises FormatError."""
        lines = self.whole(lines)
        parsers: dict[Header, Parser] = {}
        for header, start, stop in self.sections(Header(), lines):
            if start < stop and header not in parsers:
                parsers[header] = self.under(header).compile()
            for line in lines[start:stop]:
                try:
                    yield parsers[header](line)
                except BadLine as error:
                    yield error


def either(first: Parser, second: Parser) -> Parser:
    """Return the parser of lines that one parser reads or another; what is wrong with a line, the first one says."""

    def parse(line: str) -> Record:
        try:
            return first(line)
        except BadLine as error:
            try:
                return second(line)
            except BadLine:
                raise error from None

    return parse

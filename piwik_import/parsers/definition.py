"""Format files: read, checked, compiled.

A format is one TOML file; formats/README.md says what it may hold. This module knows the files and their keys,
not what a pattern or a field means.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from piwik_import.errors import FormatError
from piwik_import.mapping import HitTable, read_table
from piwik_import.parsers import headers, json_lines
from piwik_import.parsers.columns import Columns, compile_columns
from piwik_import.parsers.headers import NO_HEADER, Header, Section
from piwik_import.parsers.pattern import ESCAPES, Pattern, fields_of, is_usual, pieces_of
from piwik_import.parsers.record import BadLine, Parser, Record, Texts
from piwik_import.parsers.regex import compile_regex, further_groups_of, groups_of

KEYS: dict[str, type] = {
    "title": str,
    "source": str,
    "aliases": list,
    "pattern": str,
    "json": dict,
    "hit": dict,
    "sample": list,
}
KEYS |= {"columns": dict, "separator": str, "fields": str, "known_by": list}
KEYS |= {"escapes": str, "regex": str, "time": str, "recognised": bool}
KINDS = ("pattern", "json", "columns", "regex")


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
    """How the server writes what would break a line: a name of `pattern.ESCAPES`."""
    json: Mapping[str, str] = field(default_factory=dict)
    """Field → key of an object: see `json_lines`."""
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
    recognised: bool = True
    """Whether it is tried on logs of which nobody has said what they are."""
    samples: tuple[Mapping[str, Any], ...] = ()
    """``line``, with the lines of its header before it if it has one, and the fields that it must become."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Name the fields that its lines give."""
        if self.columns is not None:
            return self.columns.words
        if self.regex is not None:
            return groups_of(self.regex)
        return tuple(dict.fromkeys(fields_of(self.pattern))) if self.pattern is not None else tuple(self.json)

    @property
    def detail(self) -> tuple[int, int]:
        """Tell how much it says of a line: fields, and named text that is passed over."""
        return len(self.fields), len(self.pieces)

    @property
    def pieces(self) -> tuple[str, ...]:
        """Name the further fields that its lines give to whoever asks for them, where they are known beforehand."""
        if self.regex is not None:
            return further_groups_of(self.regex)
        return tuple(pieces_of(self.pattern)) if self.pattern is not None else ()

    def may_have(self, name: str) -> bool:
        """Tell whether its lines may have a further field of that name: an object may have any key."""
        return (self.pattern is None and self.regex is None) or name in self.pieces

    def compile(self, wanted: Sequence[str] = ()) -> Parser:
        """Return the parser of its lines under its header; `wanted` names further fields that go into ``extra``.

        Raises FormatError.
        """
        try:
            if self.columns is not None:
                return compile_columns(self.columns, self.header, wanted)
            if self.regex is not None:
                return compile_regex(self.regex, self.time, wanted)
            if self.pattern is not None:
                return Pattern(self.pattern, wanted, self.escapes).parse
            return json_lines.compile_json(self.json, wanted)
        except (ValueError, KeyError) as error:
            reason = f"unknown form {error}" if isinstance(error, KeyError) else str(error)
            raise FormatError(self.name, reason) from None

    @property
    def is_usual(self) -> bool:
        """Whether most of its lines can be read in two steps, as `texts` does it."""
        return is_usual(self.pattern) if self.pattern is not None else json_lines.is_usual(self.json)

    def texts(self) -> Texts:
        """Return the parser of most of its lines in two steps; it must compile, and be a usual one."""
        return Pattern(self.pattern).texts() if self.pattern is not None else json_lines.texts(self.json)

    def sections(self, header: Header, lines: Sequence[str]) -> Iterator[Section]:
        """Cut lines at the directives in them: see `headers`. A format without such has one section."""
        if self.columns is None:
            return iter([Section(header, 0, len(lines))])
        return headers.sections(header, lines, self.columns.clock)

    def under(self, header: Header) -> Definition:
        """Return the format of lines that `header` governs."""
        return self if self.columns is None else replace(self, header=header)

    def header_after(self, header: Header, data: bytes) -> Header:
        """Return what governs the lines below those of `data`, which `header` governs."""
        if self.columns is not None and self.columns.clock(headers.follow(header, data)) is not None:
            *_, last = self.sections(header, data.decode("latin-1").split("\n"))
            return last.header
        return headers.follow(header, data)

    def records(self, lines: Sequence[str]) -> Iterator[Record | BadLine]:
        """Yield what becomes of each of a log's first lines but the directives. Raises FormatError."""
        parsers: dict[Header, Parser] = {}
        for header, start, stop in self.sections(Header(), lines):
            if start < stop and header not in parsers:
                parsers[header] = self.under(header).compile()
            for line in lines[start:stop]:
                try:
                    yield parsers[header](line)
                except BadLine as error:
                    yield error


def folder() -> Path:
    """Return the folder of the format files: installed beside this package, in a checkout at the top."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "formats"
    return installed if installed.is_dir() else package.parent / "formats"


@cache
def known() -> Mapping[str, Definition]:
    """Read every format file that comes with the program; by name."""
    return {path.stem: read(path) for path in sorted(folder().glob("*.toml"))}


def recognisable() -> list[Definition]:
    """Return the formats that are tried on a log of which nobody has said what it is."""
    return [one for one in known().values() if one.recognised]


def named(name: str) -> Definition:
    """Return the format called `name`, be it by an alias. Raises FormatError."""
    for definition in known().values():
        if name == definition.name or name in definition.aliases:
            return definition
    raise FormatError(name, "no such format; `piwik-import formats` lists those there are.")


def read(path: Path) -> Definition:
    """Read a format file. Raises FormatError."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(path.name, str(error)) from None
    if unknown := table.keys() - KEYS:
        raise FormatError(path.name, f"unknown key {', '.join(sorted(unknown))}; known are {', '.join(sorted(KEYS))}")
    for key, value in table.items():
        if not isinstance(value, KEYS[key]):
            raise FormatError(path.name, f"`{key}` is no {KEYS[key].__name__}")
    if not all(isinstance(key, str) for key in table.get("json", {}).values()):
        raise FormatError(path.name, "`json` holds what is no name of a key")
    columns = _columns(path.name, table) if "columns" in table else None
    if not all(isinstance(sample, dict) and isinstance(sample.get("line"), str) for sample in table.get("sample", [])):
        raise FormatError(path.name, "a `sample` has no line")
    if len(table.keys() & KINDS) != 1:
        raise FormatError(path.name, "it needs one of `pattern`, `json`, `columns` and `regex`")
    if table.get("escapes", "") not in ESCAPES:
        raise FormatError(path.name, f"unknown `escapes`; known are {', '.join(filter(None, ESCAPES))}")
    try:
        hit = read_table(table.get("hit", {}))
    except ValueError as error:
        raise FormatError(path.name, str(error)) from None
    return Definition(
        name=path.stem,
        title=table.get("title", path.stem),
        source=table.get("source", ""),
        aliases=tuple(table.get("aliases", ())),
        pattern=table.get("pattern"),
        escapes=table.get("escapes", ""),
        json=table.get("json", {}),
        hit=hit,
        columns=columns,
        regex=table.get("regex"),
        time=table.get("time", ""),
        recognised=table.get("recognised", True),
        samples=tuple(table.get("sample", ())),
    )


def _columns(name: str, table: Mapping[str, Any]) -> Columns:
    """Read what a format file says of columns. Raises FormatError."""
    given = {
        column.lower(): (fields,) if isinstance(fields, str) else tuple(fields) if isinstance(fields, list) else ()
        for column, fields in table["columns"].items()
    }
    if not all(fields and all(isinstance(one, str) for one in fields) for fields in given.values()):
        raise FormatError(name, "`columns` holds what is no name of a field")
    known_by = table.get("known_by", ())
    if not all(isinstance(one, str) for one in known_by):
        raise FormatError(name, "`known_by` holds what is no text")
    return Columns(given, table.get("separator", ""), table.get("fields", ""), tuple(one.lower() for one in known_by))


def describe(definition: Definition) -> Iterator[str]:
    """Yield the lines of a text that shows a format with its samples."""
    yield f"{definition.name}: {definition.title}"
    yield f"  {definition.source}"
    if definition.aliases:
        yield f"  also called {', '.join(definition.aliases)}"
    yield ""
    if not definition.recognised:
        yield "  taken by its name alone: its lines look like those of another format"
        yield ""
    for text in filter(None, (definition.pattern, definition.regex)):
        yield f"  {text.strip()}"
    columns = definition.columns.fields_of if definition.columns is not None else {}
    rows = definition.json or {name: ", ".join(fields) for name, fields in columns.items()}
    width = max(map(len, rows), default=0)
    yield from (f"  {name:{width}}  {key}" for name, key in rows.items())
    for sample in definition.samples:
        yield ""
        yield from (f"  {line}" for line in sample["line"].strip().splitlines())
        yield from (f"      {name:16} {value}" for name, value in sample.items() if name != "line")

"""Format files: read, checked, compiled.

A format is one TOML file; formats/README.md says what it may hold. This module knows the files and their keys,
not what a pattern or a field means.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from piwik_import.errors import FormatError
from piwik_import.parsers import forms, only, urls, wrappers
from piwik_import.parsers.json_lines import Keys, compile_json
from piwik_import.parsers.pattern import Pattern, fields_of
from piwik_import.parsers.record import BadLine, Parser, Record
from piwik_import.parsers.wrappers import Wrapper
from piwik_import.reading import Reading

KEYS = {"title": str, "source": str, "aliases": list, "pattern": str, "json": dict, "only": dict, "sample": list}


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
    json: Keys = field(default_factory=dict)
    """Field → path in an object, or several: see `json_lines`."""
    only: Mapping[str, only.Condition] = field(default_factory=dict)
    """Which lines tell of requests: see `only`. All do if it is empty."""
    samples: tuple[Mapping[str, Any], ...] = ()
    """``line`` and the fields that the line must become."""
    wrapper: Wrapper | None = None
    """What is around the lines of the log."""
    also: Definition | None = None
    """Another format that lines of the same log are in: two programs write into one, or one changed its mind."""
    spread: bool = False
    """Whether its objects are not each on a line of their own: see `framing`."""

    @property
    def label(self) -> str:
        """What people are told: the name, and what is around the lines."""
        names = self.name if self.also is None else f"{self.name} and {self.also.name}"
        return names if self.wrapper is None else f"{names} in {self.wrapper.name}"

    @property
    def fields(self) -> tuple[str, ...]:
        """Name the fields that its lines give."""
        return tuple(fields_of(self.pattern)) if self.pattern is not None else tuple(self.json)

    def compile(self) -> Parser:
        """Return the parser of its lines. Raises FormatError."""
        try:
            if self.wrapper is None:
                return self._compile()
            unwrap, time = self.wrapper.compile(), self.wrapper.time_form
            if "time" in self.fields or time is None:
                return wrappers.around(unwrap, self._compile())
            timed = forms.timed(self, time)
            return wrappers.around(unwrap, timed._compile(), give_time=forms.give_time(self))
        except (ValueError, KeyError) as error:
            reason = f"unknown form {error}" if isinstance(error, KeyError) else str(error)
            raise FormatError(self.name, reason) from None

    def _compile(self) -> Parser:
        """Return the parser of its lines without what is around them. Raises ValueError, KeyError."""
        return self._compile_one() if self.also is None else either(self._compile_one(), self.also._compile())

    def _compile_one(self) -> Parser:
        if self.pattern is None:
            return compile_json(self.json, self.only)
        parse = Pattern(self.pattern).parse
        if self.only:
            parse = only.parser(parse, self.pattern, self.only)
        return urls.believed(parse) if ":absolute}" in self.pattern else parse

    def read_as(self, reading: Reading, latest: str = "") -> Definition:
        """Return the format as the user says that it is to be read; `latest` is when the last line was written.

        Raises UsageError for a zone, a network or a field that there is not.
        """
        return forms.read_as(self, reading, latest)

    def within(self, wrapper: Wrapper | None) -> Definition:
        """Return the format of lines that are within `wrapper`."""
        return self if wrapper is self.wrapper else replace(self, wrapper=wrapper)


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


def folder() -> Path:
    """Return the folder of the format files: installed beside this package, in a checkout at the top."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "formats"
    return installed if installed.is_dir() else package.parent / "formats"


@cache
def known() -> Mapping[str, Definition]:
    """Read every format file that comes with the program; by name."""
    return {path.stem: read(path) for path in sorted(folder().glob("*.toml"))}


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
    if not all(_is_specs(specs) for specs in table.get("json", {}).values()):
        raise FormatError(path.name, "`json` holds what is no name of a key")
    if not all(isinstance(sample, dict) and isinstance(sample.get("line"), str) for sample in table.get("sample", [])):
        raise FormatError(path.name, "a `sample` has no line")
    if ("pattern" in table) == ("json" in table):
        raise FormatError(path.name, "it needs one of `pattern` and `json`")
    return Definition(
        name=path.stem,
        title=table.get("title", path.stem),
        source=table.get("source", ""),
        aliases=tuple(table.get("aliases", ())),
        pattern=table.get("pattern"),
        json=table.get("json", {}),
        only=table.get("only", {}),
        samples=tuple(table.get("sample", ())),
    )


def _is_specs(specs: object) -> bool:
    several = specs if isinstance(specs, list) and specs else [specs]
    return all(isinstance(one, str) for one in several)


def describe(definition: Definition) -> Iterator[str]:
    """Yield the lines of a text that shows a format with its samples."""
    yield f"{definition.name}: {definition.title}"
    yield f"  {definition.source}"
    if definition.aliases:
        yield f"  also called {', '.join(definition.aliases)}"
    yield ""
    if definition.pattern is not None:
        yield f"  {definition.pattern.strip()}"
    width = max(map(len, definition.json), default=0)
    for name, specs in definition.json.items():
        yield f"  {name:{width}}  {specs if isinstance(specs, str) else ', else '.join(specs)}"
    yield from (f"  only where {path} is {wanted}" for path, wanted in definition.only.items())
    for sample in definition.samples:
        yield ""
        yield f"  {sample['line']}"
        yield from (f"      {name:16} {value}" for name, value in sample.items() if name != "line")

"""Format files: read, checked, compiled.

A format is one TOML file; formats/README.md says what it may hold. This module knows the files and their keys,
not what a pattern or a field means.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from piwik_import.errors import FormatError
from piwik_import.parsers.json_lines import compile_json
from piwik_import.parsers.pattern import ESCAPES, Pattern, fields_of, names_of
from piwik_import.parsers.record import Parser
from piwik_import.parsers.regex import compile_regex, groups_of

KEYS = {
    "title": str,
    "source": str,
    "aliases": list,
    "pattern": str,
    "escapes": str,
    "json": dict,
    "regex": str,
    "time": str,
    "recognised": bool,
    "sample": list,
}


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
    regex: str | None = None
    """A regular expression with named groups: see `regex`."""
    time: str = ""
    """How its group ``date`` is written."""
    recognised: bool = True
    """Whether it is tried on logs of which nobody has said what they are."""
    samples: tuple[Mapping[str, Any], ...] = ()
    """``line`` and the fields that the line must become."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Name the fields that its lines give."""
        if self.regex is not None:
            return groups_of(self.regex)
        return tuple(dict.fromkeys(fields_of(self.pattern))) if self.pattern is not None else tuple(self.json)

    @property
    def detail(self) -> tuple[int, int]:
        """Tell how much it says of a line: fields, and named text that is passed over."""
        return len(self.fields), len(names_of(self.pattern)) if self.pattern is not None else 0

    def compile(self) -> Parser:
        """Return the parser of its lines. Raises FormatError."""
        try:
            if self.regex is not None:
                return compile_regex(self.regex, self.time)
            if self.pattern is not None:
                return Pattern(self.pattern, self.escapes).parse
            return compile_json(self.json)
        except (ValueError, KeyError) as error:
            reason = f"unknown form {error}" if isinstance(error, KeyError) else str(error)
            raise FormatError(self.name, reason) from None


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
    if not all(isinstance(sample, dict) and isinstance(sample.get("line"), str) for sample in table.get("sample", [])):
        raise FormatError(path.name, "a `sample` has no line")
    if len(table.keys() & {"pattern", "json", "regex"}) != 1:
        raise FormatError(path.name, "it needs one of `pattern`, `json` and `regex`")
    if table.get("escapes", "") not in ESCAPES:
        raise FormatError(path.name, f"unknown `escapes`; known are {', '.join(filter(None, ESCAPES))}")
    return Definition(
        name=path.stem,
        title=table.get("title", path.stem),
        source=table.get("source", ""),
        aliases=tuple(table.get("aliases", ())),
        pattern=table.get("pattern"),
        escapes=table.get("escapes", ""),
        json=table.get("json", {}),
        regex=table.get("regex"),
        time=table.get("time", ""),
        recognised=table.get("recognised", True),
        samples=tuple(table.get("sample", ())),
    )


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
    width = max(map(len, definition.json), default=0)
    yield from (f"  {name:{width}}  {key}" for name, key in definition.json.items())
    for sample in definition.samples:
        yield ""
        yield f"  {sample['line']}"
        yield from (f"      {name:16} {value}" for name, value in sample.items() if name != "line")

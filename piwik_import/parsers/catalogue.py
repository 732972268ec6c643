"""The formats that come along: their files found, read, checked and shown. Files of the user's are read alike.

A format is one TOML file; docs/format-files.md says what it may hold. This module knows the files and their keys,
not what a pattern or a field means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from piwik_import.errors import FormatError
from piwik_import.mapping import read_table
from piwik_import.parsers import calls, formatfile, paths, tables
from piwik_import.parsers.columns import Columns
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.escapes import ESCAPES

KEYS: dict[str, type] = {
    "title": str,
    "source": str,
    "aliases": list,
    "pattern": str,
    "json": dict,
    "cef": dict,
    "hit": dict,
    "sample": list,
}
KEYS |= {"columns": dict, "separator": str, "fields": str, "known_by": list}
KEYS |= {"escapes": str, "regex": str, "time": str, "time_is": str, "recognised": bool, "only": dict, "others": list}
KEYS |= {"calls": str}
TIME_IS = ("begin", "end")
"""Of a request, what its time may be."""
KINDS = ("pattern", "json", "cef", "columns", "regex")


@cache
def known() -> Mapping[str, Definition]:
    """Read every format file that comes with the program; by name."""
    return {path.stem: read(path) for path in sorted(tables.folder().glob("*.toml"))}


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
    table = tables.read(path, KEYS)
    columns = _columns(path.name, table) if "columns" in table else None
    for key in ("aliases", "others"):
        if not all(isinstance(one, str) for one in table.get(key, ())):
            raise FormatError(path.name, f"`{key}` holds what is no text")
    if len(table.keys() & KINDS) != 1:
        raise FormatError(path.name, "it needs one of `pattern`, `json`, `cef`, `columns` and `regex`")
    if table.get("escapes", "") not in ESCAPES:
        raise FormatError(path.name, f"unknown `escapes`; known are {', '.join(filter(None, ESCAPES))}")
    if "calls" in table and (table["calls"] not in calls.WORDS or "json" not in table):
        raise FormatError(path.name, f"unknown `calls`; known are, of a format with `json`: {', '.join(calls.WORDS)}")
    if table.get("time_is", "begin") not in TIME_IS:
        raise FormatError(path.name, f"unknown `time_is`; known are {', '.join(TIME_IS)}")
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
        json=table.get("json") or table.get("cef", {}),
        syntax="cef" if "cef" in table else "json",
        only=table.get("only", {}),
        others=tuple(table.get("others", ())),
        calls=table.get("calls", ""),
        hit=hit,
        columns=columns,
        regex=table.get("regex"),
        time=table.get("time", ""),
        time_is=table.get("time_is", "begin"),
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
    yield from (f"  {one}" for one in (definition.source, definition.file) if one)
    if definition.aliases:
        yield f"  also called {', '.join(definition.aliases)}"
    yield ""
    if not definition.recognised:
        yield "  taken by its name alone: its lines look like those of another format"
        yield ""
    for text in filter(None, (definition.pattern, definition.regex)):
        yield f"  {text.strip()}"
    columns = definition.columns.fields_of if definition.columns is not None else {}
    rows = {name: ", else ".join(paths.several(specs)) for name, specs in definition.json.items()}
    rows |= {name: ", ".join(fields) for name, fields in columns.items()}
    width = max(map(len, rows), default=0)
    yield from (f"  {name:{width}}  {key}" for name, key in rows.items())
    yield from (f"  only where {path} is {wanted}" for path, wanted in definition.only.items())
    yield from (f"  but not {one}" for one in definition.others)
    if definition.span:
        yield f"  the time is that of the end: {definition.span} is taken off"
    if definition.plugin is not None:
        yield f"  read by {definition.plugin.where} of {definition.plugin.package}"
    if table := [*formatfile.hit(definition.hit)]:
        yield ""
        yield from (f"  {line}".rstrip() for line in table)
    for sample in definition.samples:
        yield ""
        yield from (f"  {line}" for line in sample["line"].strip().splitlines())
        yield from (f"      {name:16} {value}" for name, value in sample.items() if name != "line")

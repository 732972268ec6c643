"""What of a line is what, where the line names it itself (an object) or a header does (columns)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from piwik_import.parsers import json_lines, paths
from piwik_import.parsers.columns import ABSENT, Columns, pick_fields
from piwik_import.parsers.encoding import latin1, utf8
from piwik_import.parsers.fields import REQUESTS
from piwik_import.parsers.headers import Header
from piwik_import.parsers.only import Condition, condition
from piwik_import.parsers.parts import Anatomy, Part
from piwik_import.parsers.record import BadLine
from piwik_import.parsers.rows import Cutter

MOST = 200
"""Values of one object that are listed."""


def of_object(
    keys: json_lines.Keys,
    only: Mapping[str, Condition],
    line: str,
    *,
    asks: bool = True,
    load: json_lines.Load | None = None,
) -> Anatomy:
    """Return what of an object is what, of one that must tell of a request if it `asks` for anything.

    `load` reads objects that are no JSON.
    """
    try:
        values = (load or json_lines.load_json)(line)
    except BadLine as error:
        return Anatomy(line, [], None, f"an event: {error}") if load else _no_object(line, str(error))
    fields: dict[str, tuple[str, ...]] = {}
    missing = []
    for field, specs in keys.items():
        places = [paths.split(spec)[0] for spec in paths.several(specs)]
        held = [steps for steps in places if paths.finder(steps)(values) not in (None, "", "-")]
        if held:
            fields[_name(held[0])] = (*fields.get(_name(held[0]), ()), field)
        elif field == "time":
            missing.append(f"time at {_either([*map(_name, places)])}")
    parts = []
    for name, value in _leaves(values, ()):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        parts.append(Part(latin1(text), fields.get(name, ()), None, name))
        if len(parts) == MOST:
            break
    for path, wanted in only.items():
        if not condition({path: wanted})(values):
            missing.append(f"{path} that is {'there' if wanted is True else json.dumps(wanted)}")
    given = {field for several in fields.values() for field in several}
    if asks and "time" in given and not {*REQUESTS} & given:
        missing.append(f"a request at {_either([*_request_paths(keys)])}")
    return Anatomy(line, parts, None, " and ".join(missing))


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _request_paths(keys: json_lines.Keys) -> Iterator[str]:
    for field in REQUESTS:
        specs = keys.get(field, ())
        yield from (_name(paths.split(spec)[0]) for spec in paths.several(specs))


def _no_object(line: str, reason: str) -> Anatomy:
    """Say where a line stops being an object of JSON."""
    text = utf8(line)
    begin = len(text) - len(text.lstrip("\t \0"))
    try:
        json.loads(text[begin:])
    except json.JSONDecodeError as error:
        at = len(text[: begin + error.pos].encode("utf-8", "surrogateescape"))
        if not text[begin:].startswith("{"):
            return Anatomy(line, [], len(text[:begin]), "'{', an object of JSON")
        return Anatomy(line, [], at, f"JSON: {error.msg}")
    except RecursionError:
        pass
    return Anatomy(line, [], None, f"an object of JSON: {reason}")


def is_at(name: str, path: str) -> bool:
    """Tell whether the value that a part calls `name` is what somebody asks for as `path`."""
    try:
        return name == path or name == _name(paths.split(path)[0])
    except ValueError:  # no path, so a key as it is
        return False


def _leaves(value: Any, steps: tuple[str | int, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the values in an object, each with its path; nothing within lists of plain values, which are one."""
    if isinstance(value, dict) and value and len(steps) < 20:
        for key, one in value.items():
            yield from _leaves(one, (*steps, key))
    elif isinstance(value, list) and len(steps) < 20 and value:
        for number, one in enumerate(value):
            yield from _leaves(one, (*steps, number))
    else:
        yield _name(steps), value


def _name(steps: Sequence[str | int]) -> str:
    """Write a path as formats do, but for quotes: ``request.headers.User-Agent[0]``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def of_row(columns: Columns, header: Header, line: str) -> Anatomy:
    """Return what of a row is what, under its header."""
    cutter = Cutter(columns.names(header), columns.separator)
    if not cutter.names:
        return Anatomy(line, [], None, "a #Fields line above it; --w3c-fields can say what that would")
    places, stop, expected = cutter.places(line)
    fields: dict[int, tuple[str, ...]] = {}
    for field, picks in pick_fields(columns, cutter.names, header).items():
        held = [
            one.column for one in picks if one.column < len(places) and line[slice(*places[one.column])] not in ABSENT
        ]
        for column in held[:1]:
            fields[column] = (*fields.get(column, ()), field)
    parts = [
        Part(line[start:end], fields.get(column, ()), start, cutter.names[column])
        for column, (start, end) in enumerate(places)
    ]
    return Anatomy(line, parts, stop, expected)

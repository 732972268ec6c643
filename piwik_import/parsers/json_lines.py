"""A line that is a JSON object → a record."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from piwik_import.parsers import request
from piwik_import.parsers.extra import extra_of_object
from piwik_import.parsers.fields import ABSENT, FIELDS, converter, has_usual_forms, readers, two_parts
from piwik_import.parsers.quantities import USUAL_LENGTH
from piwik_import.parsers.record import BadLine, Parser, Record, Texts

fast_loads: Callable[[str], Any]
try:
    from orjson import loads as fast_loads
except ImportError:  # the extra `fast` brings it
    fast_loads = json.loads

RAW_BYTE = re.compile(r"(\\\\)|\\x([0-9A-Fa-f]{2})")
"""What nginx writes into a JSON log whose log_format lacks escape=json: bytes, not characters."""


def compile_json(keys: Mapping[str, str], wanted: Sequence[str] = ()) -> Parser:
    """Return the parser of objects whose `keys` map our fields to ``key`` or ``key:form``; `wanted` are further keys.

    Raises ValueError for a field that does not exist, KeyError for such a form.
    """
    if unknown := keys.keys() - FIELDS.keys():
        raise ValueError(f"no such field: {', '.join(sorted(unknown))}")
    if "time" not in keys or not keys.keys() & {"request", "target", "path"}:
        raise ValueError("it needs time and one of request, target, path")
    get = {name: _getter(*keys.get(name, "").partition(":")[::2], name) for name in FIELDS if name != "time"}
    get["time"] = _time_of(keys)
    assembled = "request" not in keys
    fields = [name for name in Record._fields if name not in ("request", "extra")]
    extra = extra_of_object(wanted) if wanted else None
    at = Record._fields.index("request")

    def parse(line: str) -> Record:
        values = load(line)
        found = [get[name](values) for name in fields]
        if assembled:
            logged = get["target"](values) or get["path"](values)
            found.insert(at, request.from_parts(get["method"](values), logged, get["query"](values)))
        else:
            found.insert(at, get["request"](values))
        found.append(extra(values) if extra is not None else None)
        return Record._make(found)

    return parse


def is_usual(keys: Mapping[str, str]) -> bool:
    """Tell whether `texts` gives of most objects what the parser does."""
    return has_usual_forms((name, key.partition(":")[2]) for name, key in keys.items())


def texts(keys: Mapping[str, str]) -> Texts:
    """Return the two steps of the parser that `compile_json` returns, for objects that hold texts and numbers."""
    forms = {name: key.partition(":")[2] for name, key in keys.items()}
    wanted = [(name, key.partition(":")[0]) for name, key in keys.items()]
    is_usual = re.compile(USUAL_LENGTH).fullmatch

    def cut(line: str) -> list[str] | None:
        try:
            values = load(line)
        except BadLine:
            return None
        found = []
        for name, key in wanted:
            value = values.get(key)
            if value is None:
                value = ABSENT
            elif type(value) is not str:
                if type(value) is not int and type(value) is not float:
                    return None
                value = str(value)
            if name == "length" and not is_usual(value):
                return None
            found.append(value)
        return found

    return Texts(list(keys), cut, readers(forms, _whole))


def _time_of(keys: Mapping[str, str]) -> Callable[[dict[str, Any]], Any]:
    """Return the function that takes the time out of an object, be it in two parts."""
    key, _, form = keys["time"].partition(":")
    if "date" not in keys:
        return _getter(key, form, "time")
    day, _, day_form = keys["date"].partition(":")
    memo = two_parts({"date": day_form, "time": form})
    return lambda values: memo[str(values.get(day, "-")), str(values.get(key, "-"))]


def _getter(key: str, form: str, name: str) -> Callable[[dict[str, Any]], Any]:
    """Return the function that takes the value of the field `name` out of an object."""
    memo = converter(name, form, _whole)
    if not key:
        return (lambda _: memo["-"]) if name == "request" else lambda _: None

    def get(values: dict[str, Any]) -> Any:
        value = values.get(key)
        if value is not None and not isinstance(value, str):
            if isinstance(value, bool | dict | list):
                raise BadLine(f"{name}: {key} is no single value")
            value = str(value)
        return memo[value]

    return get


HALF_PAIR = re.compile("[\\ud800-\\udc7f\\udd00-\\udfff]")


def _whole(text: str) -> str:
    """Replace halves of surrogate pairs: JSON may hold them, but no byte and no character stands behind them."""
    return text if text.isascii() else HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", text)


def load(line: str) -> dict[str, Any]:
    """Read one object from a line whose bytes are its characters (Latin-1). Raises BadLine."""
    line = line.strip("\r\n\t \0")
    try:
        values = _loads(line)
    except ValueError as error:
        if r"\x" not in line:
            raise BadLine(f"the line is no JSON: {error}") from None
        try:
            values = _loads(RAW_BYTE.sub(_raw_byte, line))
        except ValueError:
            raise BadLine(f"the line is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise BadLine("the line is JSON, but no object")
    return values


def _loads(line: str) -> Any:
    text = line if line.isascii() else line.encode("latin-1").decode("utf-8", "surrogateescape")
    with suppress(ValueError, RecursionError):  # orjson takes no lone surrogates, be they bytes or halves of pairs
        return fast_loads(text)
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _raw_byte(escape: re.Match[str]) -> str:
    """Return the byte itself, so that runs of them are read as UTF-8, or a JSON escape where it must be one."""
    if escape[1]:
        return escape[1]
    character = chr(int(escape[2], 16))
    return f"\\u00{escape[2]}" if character in '"\\' or character < " " else character

"""A line that is a JSON object → a record."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from piwik_import.parsers import paths, request, urls
from piwik_import.parsers.encoding import utf8, whole
from piwik_import.parsers.extra import extra_of_object
from piwik_import.parsers.fields import (
    ABSENT,
    FIELDS,
    REQUEST_PARTS,
    REQUESTS,
    converter,
    has_usual_forms,
    readers,
    two_parts,
)
from piwik_import.parsers.only import Condition, condition
from piwik_import.parsers.quantities import USUAL_LENGTH
from piwik_import.parsers.record import BadLine, OtherLine, Parser, Record, Request, Stranger, Texts

fast_loads: Callable[[str], Any]
try:
    from orjson import loads as fast_loads
except ImportError:  # the extra `fast` brings it
    fast_loads = json.loads

RAW_BYTE = re.compile(r"(\\\\)|\\x([0-9A-Fa-f]{2})")
"""What nginx writes into a JSON log whose log_format lacks escape=json: bytes, not characters."""

NOTHING = re.compile(r'(?<!\\)":\s*+-(?=[,}])')
"""A number that there is not, as a log_format without quotes around it writes it, and Azure."""


Keys = Mapping[str, str | Sequence[str]]
"""Field → ``path`` or ``path:form`` (see `paths`), or several of them: the first that has a value counts."""


Load = Callable[[str], dict[str, Any]]
"""One line to the object that it is. Raises BadLine."""


def compile_json(
    keys: Keys, wanted: Sequence[str] = (), only: Mapping[str, Condition] | None = None, load: Load | None = None
) -> Parser:
    """Return the parser of objects in which the fields lie at `keys`, and of which only some tell of requests.

    `wanted` are the paths of what further values go into ``extra``; `load` reads objects that are no JSON.

    Raises ValueError for a field that does not exist, KeyError for such a form.
    """
    if unknown := keys.keys() - FIELDS.keys():
        raise ValueError(f"no such field: {', '.join(sorted(unknown))}")
    if "time" not in keys or not keys.keys() & set(REQUESTS):
        raise ValueError("it needs time and one of request, target, path")
    get = {name: _getter(name, keys.get(name, ())) for name in FIELDS if name not in ("time", "date")}
    get["time"] = _time_of(keys)
    fields = [name for name in Record._fields if name in FIELDS]
    at = Record._fields.index("request")
    if "forwarded" in keys and (trusted := _form_of(keys.get("ip", ()))):
        get["ip"] = _behind(get["forwarded"], get["ip"], trusted)
    read_request = _request_getter(get, keys)
    with_scheme = "scheme" in keys
    fields.remove("request")
    is_about_a_request = condition(only) if only else None
    extra = extra_of_object(wanted) if wanted else None
    read = load or load_json

    def parse(line: str) -> Record:
        try:
            values = read(line)
        except Stranger as error:
            if is_about_a_request is not None:
                raise OtherLine(str(error)) from None
            raise
        if is_about_a_request is not None and not is_about_a_request(values):
            raise OtherLine("the object tells of no request")
        found = [get[name](values) for name in fields]
        found.insert(at, read_request(values))
        if found[at].problem == "empty_request" and is_about_a_request is None and not _asks(values, keys):
            raise OtherLine("the object tells of no request")
        if with_scheme:
            found[HOST] = urls.with_scheme(found[HOST], get["scheme"](values))
        found.append(extra(values) if extra is not None else None)
        return Record._make(found)

    return urls.believed(parse) if _is_absolute(keys) else parse


HOST = Record._fields.index("host")


def is_usual(keys: Keys) -> bool:
    """Tell whether `texts` gives of most objects what the parser does: each field has one place, a key."""
    if "forwarded" in keys or ("request" in keys and keys.keys() & {*REQUEST_PARTS}):
        return False
    places = [(name, *paths.split(spec)) for name, spec in keys.items() if isinstance(spec, str)]
    return (
        len(places) == len(keys)
        and all(len(steps) == 1 for _, steps, _ in places)
        and has_usual_forms((name, form) for name, _, form in places)
    )


def texts(keys: Keys) -> Texts:
    """Return the two steps of the parser that `compile_json` returns, for objects that hold texts and numbers."""
    wanted = [(name, *paths.split(spec)) for name, spec in keys.items() if isinstance(spec, str)]
    places = [(name, str(steps[0]), name in REQUESTS or name == "method") for name, steps, _ in wanted]
    is_usual = re.compile(USUAL_LENGTH).fullmatch

    def cut(line: str) -> list[str] | None:
        try:
            values = load_json(line)
        except BadLine:
            return None
        found = []
        asks = False
        for name, key, is_asked in places:
            value = values.get(key)
            if value is None:
                value = ABSENT
            else:
                asks = asks or is_asked
                if type(value) is float:
                    value = _written(name, key, value)
                elif type(value) is int:
                    value = str(value)
                elif type(value) is not str:
                    return None
            if name == "length" and not is_usual(value):
                return None
            found.append(value)
        return found if asks else None

    return Texts(list(keys), cut, readers({name: form for name, _, form in wanted}, whole))


def _is_absolute(keys: Keys) -> bool:
    return any(paths.split(one)[1] == "absolute" for name in REQUESTS for one in paths.several(keys.get(name, ())))


def keys_of_time(keys: Keys) -> list[str]:
    """Return what an object holds, one of it at least, that says a time: ends of keys, each with its quote."""
    steps = [paths.split(one)[0] for one in paths.several(keys["time"])]
    return [f'{[step for step in several if isinstance(step, str)][-1]}"' for several in steps]


def _asks(values: dict[str, Any], keys: Keys) -> bool:
    """Tell whether an object has a value for the request, be it an empty one."""
    return any(
        paths.finder(paths.split(one)[0])(values) is not None
        for name in (*REQUESTS, "method")
        for one in paths.several(keys.get(name, ()))
    )


def _form_of(specs: str | Sequence[str]) -> str:
    return next((form for one in paths.several(specs) if (form := paths.split(one)[1])), "")


Get = Callable[[dict[str, Any]], Any]


def _request_getter(get: Mapping[str, Get], keys: Keys) -> Get:
    """Return the function that takes the request line, or puts a request together from its parts."""
    line, method, target, path, query = (get[name] for name in ("request", *REQUEST_PARTS))

    def read(values: dict[str, Any]) -> Request:
        return request.from_parts(method(values), target(values) or path(values), query(values))

    if "request" not in keys:
        return read
    if not keys.keys() & set(REQUEST_PARTS):
        return line

    def read_either(values: dict[str, Any]) -> Any:
        found = line(values)
        return read(values) if found.problem == "empty_request" else found

    return read_either


def _behind(forwarded: Get, ip: Get, trusted: str) -> Get:
    """Return the function that finds the client behind `trusted` proxies, in a list to whose right the peer stands."""
    memo = converter("ip", trusted, whole)

    def read(values: dict[str, Any]) -> Any:
        peer, behind = ip(values), forwarded(values)
        return peer if behind is None or peer is None else memo[f"{behind}, {peer}"]

    return read


def _getter(name: str, specs: str | Sequence[str]) -> Get:
    """Return the function that takes the value of the field `name` out of an object."""
    ways = []
    for spec in paths.several(specs):
        steps, form = paths.split(spec)
        ways.append((paths.finder(steps), spec, converter(name, form, whole)))
    absent = converter(name, "", whole) if name in ("time", "request") else {"-": None}
    if not ways and name != "request":
        return lambda _: None
    if len(ways) == 1 and "." not in ways[0][1] and "[" not in ways[0][1]:
        return _single(name, *ways[0])

    def get(values: dict[str, Any]) -> Any:
        for find, spec, memo in ways:
            value = find(values)
            if value is not None and value not in ("", "-") and not isinstance(value, dict | list):
                return memo[value if isinstance(value, str) else _written(name, spec, value)]
        return absent["-"]

    return get


def _time_of(keys: Keys) -> Get:
    """Return the function that takes the time out of an object, be it in two parts."""
    if "date" not in keys:
        return _getter("time", keys["time"])
    (day, day_form), (time, form) = (paths.split(paths.several(keys[name])[0]) for name in ("date", "time"))
    find_day, find_time, memo = paths.finder(day), paths.finder(time), two_parts({"date": day_form, "time": form})
    return lambda values: memo[str(find_day(values) or "-"), str(find_time(values) or "-")]


def _single(name: str, find: paths.Find, spec: str, memo: dict[str | None, Any]) -> Get:
    """As `_getter` for the one value that lies in a key."""

    def get(values: dict[str, Any]) -> Any:
        value = find(values)
        return memo[value if value is None or isinstance(value, str) else _written(name, spec, value)]

    return get


def _written(name: str, spec: str, value: Any) -> str:
    """Return the text of a number; 200.0 is 200. Raises BadLine for what is no single value."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, bool | dict | list):
        raise BadLine(f"{name}: {spec} is no single value")
    return str(value)


def load_json(line: str) -> dict[str, Any]:
    """Read one object from a line whose bytes are its characters (Latin-1). Raises BadLine."""
    line = line.strip("\r\n\t \0")
    try:
        values = _loads(line) if len(line) <= LONGEST else _loads_long(line)
    except ValueError as error:
        if not line.startswith("{"):
            raise Stranger(f"the line is no JSON: {error}") from None
        try:
            values = _loads(_mended(line))
        except ValueError:
            raise BadLine(f"the line is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise BadLine("the line is JSON, but no object")
    return values


def _loads_long(line: str) -> Any:
    """As `_loads`, while nobody looks for garbage.

    An array of as many lists as fit into 1 MiB would have the collector look at them again and again as they come: that
    takes four times as long as reading them.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return _loads(line)
    finally:
        if collects:
            gc.enable()


def _loads(line: str) -> Any:
    text = utf8(line)
    with suppress(ValueError, RecursionError):  # orjson takes no lone surrogates, be they bytes or halves of pairs
        return fast_loads(text)
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _mended(line: str) -> str:
    """Make JSON of what servers write that know nothing of it, in a line that is not longer than theirs are."""
    if len(line) > LONGEST:
        return line
    return NOTHING.sub('":null', RAW_BYTE.sub(_raw_byte, line) if r"\x" in line else line)


LONGEST = 1 << 17
"""Characters of a line that is as long as lines are. A longer one is not mended: with 1 MiB that takes 0.2 s, and nginx
takes requests of some 32 KiB."""


def _raw_byte(escape: re.Match[str]) -> str:
    """Return the byte itself, so that runs of them are read as UTF-8, or a JSON escape where it must be one."""
    if escape[1]:
        return escape[1]
    character = chr(int(escape[2], 16))
    return f"\\u00{escape[2]}" if character in '"\\' or character < " " else character

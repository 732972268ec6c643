"""The text of one field → its value.

`FIELDS` is the list of the words a format may use. A format writes a field as ``name`` or ``name:form``, where
the form says how the text is written: ``time:epoch``, ``generation_time:us``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from piwik_import import clock
from piwik_import.errors import printable
from piwik_import.memo import RECENT, Memo
from piwik_import.parsers import client_address, request
from piwik_import.parsers.record import BadLine, split_port

Convert = Callable[[str], Any]


class Field(NamedTuple):
    """A word that formats may use."""

    meaning: str
    reader: Callable[[str], Convert]
    """Form → function from text to value; raises KeyError for a form it does not know, ValueError for a bad text."""
    form: str = ""
    """The form where the format names none."""
    pattern: str | None = None
    """What the text looks like where the surroundings do not tell, as a regular expression without groups."""


def host(text: str) -> str | None:
    """Return the host in lower case without the dot at its end; with its port where it has one."""
    name, port = split_port(text)
    name = name.rstrip(".").lower()
    if name in ("", "-", "_", "*"):
        return None
    if not re.fullmatch(r"\[[0-9a-f:.]+\]|[^\s,/?#@\\<>\":\[\]]+", name):
        raise ValueError(f"'{printable(text, 60)}' is no host")
    return f"{name}:{port}" if port else name


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:  # 64 bits are what a server stores
        raise ValueError(f"'{printable(text, 60)}' is no number")
    return int(text)


def _milliseconds(unit: str) -> Convert:
    factor = {"s": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000001}[unit]

    def convert(text: str) -> int | None:
        if text == "-1":  # of what never came to that, as HAProxy and the load balancers of Amazon write it
            return None
        try:
            milliseconds = float(text.removesuffix(unit)) * factor
        except ValueError:
            milliseconds = -1
        if not 0 <= milliseconds < 1 << 31:
            raise ValueError(f"'{printable(text, 60)}' is no number of {unit} that a server takes")
        return round(milliseconds)

    return convert


def _time(form: str) -> Convert:
    read = clock.reader(form)

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            raise ValueError(f"'{printable(text, 60)}' is no time") from None

    return convert


def _user(text: str) -> str | None:
    return None if text == '""' else text  # Apache's word for an empty name


def _request(form: str) -> Convert:
    return {"": request.from_line, "absolute": request.from_line}[form]  # what `urls` does with it comes later


def _target(form: str) -> Convert:
    return {"": str, "absolute": str}[form]


def _text(form: str) -> Convert:
    """Return the reader of a text, of one with percent-escapes, or of one with plus signs for spaces."""
    readers: dict[str, Convert] = {"": str, "percent": _unquoted, "plus": _with_spaces}
    return readers[form]


def _with_spaces(text: str) -> str:
    return text.replace("+", " ")


def _unquoted(text: str) -> str:
    return unquote(text, errors="surrogateescape") if "%" in text else text


def _scheme(text: str) -> str | None:
    name = text.lower()
    return name if name in ("http", "https") else None


def _always(convert: Convert) -> Callable[[str], Convert]:
    return {"": convert}.__getitem__


FIELDS: dict[str, Field] = {
    "ip": Field(
        "address of the client, or an X-Forwarded-For list",
        client_address.reader,
        pattern=r"[^\s,|]++(?:, ?+[^\s,|]++)*+",
    ),
    "time": Field("when the line was written", _time, "clf"),
    "request": Field("the request line: method, target and protocol", _request),
    "method": Field("the method alone", _always(str)),
    "target": Field("path and query as requested", _target),
    "path": Field("the path alone", _always(str)),
    "query": Field("the query alone, without the question mark", _always(lambda text: text.removeprefix("?"))),
    "status": Field("status code", _always(_number), pattern=r"\d{1,3}|-"),
    "length": Field("bytes of the answer", _always(_number), pattern=r"\d++|-"),
    "referrer": Field("the page that led here", _text),
    "user_agent": Field("the client's program", _text),
    "host": Field("host of the site, with its port or not", _always(host)),
    "scheme": Field("http or https (JSON alone)", _always(_scheme)),
    "forwarded": Field("list of addresses beside `ip`, for --trusted-proxy (JSON alone)", _always(str)),
    "user": Field("the user who was logged in", _always(_user)),
    "generation_time": Field("how long the server took", _milliseconds, "ms", r"-?[\d.]++|-"),
}


class Numbers(dict[str | None, int | None]):
    """Text → number, as a memo that keeps nothing: sizes seldom come twice, and int() is as fast as a look-up."""

    def __init__(self, name: str) -> None:
        super().__init__({None: None, "-": None, "": None})
        self._name = name

    def __missing__(self, text: str | None) -> int:
        try:
            return _number(text or "")
        except ValueError as error:
            raise BadLine(f"{self._name}: {error}") from None


def converter(name: str, form: str, decode: Callable[[str], str] | None = None) -> dict[str | None, Any]:
    """Return the dict of text → value for one field, which fills itself; `decode` makes the log's text plain first.

    Looking a text up raises BadLine where the text is no such value. Raises KeyError for an unknown name or form.
    """
    field = FIELDS[name]
    convert = field.reader(form or field.form)
    if name == "length":
        return Numbers(name)
    absent: Any = request.from_line("-") if name == "request" else None

    def value(text: str | None) -> Any:
        if text is None or text in ("-", ""):
            if name == "time":
                raise BadLine("the line has no time")
            return absent
        try:
            return convert(text if decode is None else decode(text))
        except ValueError as error:
            raise BadLine(f"{name}: {error}") from None

    return Memo(value, limit=RECENT) if name == "time" else Memo(value)

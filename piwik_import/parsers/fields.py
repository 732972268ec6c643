"""The text of one field → its value.

`FIELDS` is the list of the words a format may use. A format writes a field as ``name`` or ``name:form``, where
the form says how the text is written: ``time:epoch``, ``generation_time:us``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote

from piwik_import import clock
from piwik_import.errors import printable
from piwik_import.memo import RECENT, Memo
from piwik_import.parsers import client_address, quantities, request
from piwik_import.parsers.record import BadLine, Request, split_port

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
    shapes: Mapping[str, str] = {}
    """The same for single forms."""


def host(text: str) -> str | None:
    """Return the host in lower case without the dot at its end; with its port where it has one."""
    if len(text) > LONGEST_HOST:
        raise ValueError(f"'{printable(text, 60)}' is no host")
    name, port = split_port(text)
    name = name.rstrip(".").lower()
    if name in ("", "-", "_", "*"):
        return None
    if not re.fullmatch(r"\[[0-9a-f:.]+\]|[^\s,/?#@\\<>\":\[\]]+", name):
        raise ValueError(f"'{printable(text, 60)}' is no host")
    return f"{name}:{port}" if port else name


LONGEST_HOST = 300
"""Characters, with some to spare: a name has 253, its port five."""


def _time(form: str) -> Convert:
    read = clock.reader(form)

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            raise ValueError(f"'{printable(text, 60)}' is no time") from None

    return convert


def _day(form: str) -> Convert:
    if "%" not in form:
        clock.DAYS[form or "iso"]
    return str  # read together with the time of day: see `two_parts`


def _user(text: str) -> str | None:
    if text.startswith("- "):  # a name may hold spaces, but this is the user after a virtual host and an address
        raise ValueError(f"'{printable(text, 60)}' is no name of a user: is there one field more before the time?")
    end = text[-60:]  # no time is longer, and a name may have 1 MiB
    bracketed = end.rpartition("[")[2] if end.endswith("]") else ""
    if DATE.search(end) or sum(map(str.isdigit, bracketed)) >= len("091502"):  # where the format has no time
        raise ValueError(f"'{printable(text, 60)}' is no name of a user, but ends in a time")
    return None if text == '""' else text  # Apache's word for an empty name


DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:")


def _text(form: str) -> Convert:
    """Return the function that takes back what a server did to a text so that it holds no space."""
    forms: dict[str, Convert] = {"": str, "plus": _without_pluses, "percent": _unquoted}
    return forms[form]


def _without_pluses(text: str) -> str:
    """Read ``Mozilla/5.0+(compatible;++http://…)``: of two pluses the second is the agent's own, as in ``; +http``."""
    return text if " " in text else text.replace("+", " ").replace("  ", " +")


def _unquoted(text: str) -> str:
    """Undo %-encoding, once or twice: in a text that was encoded twice each ``%`` is a ``%25`` before two digits.

    CloudFront encoded twice until about 2020, and does it once since.
    """
    if "%" not in text or len(text) > LONGEST:
        return text
    if not ENCODED_ONCE.search(text):
        text = text.replace("%25", "%")
    return unquote(text, errors="surrogateescape")


LONGEST = 1 << 16
"""Characters of a text that is decoded: those of 1 MiB take 0.3 s, and a longer one is no part of a hit (`kinds`)."""

ENCODED_ONCE = re.compile("%(?!25[0-9A-Fa-f]{2})")


def _target(form: str) -> Convert:
    forms: dict[str, Convert] = {"": str, "absolute": str, "absolute_host": str, "uri_args": _uri_args}
    forms["url"] = lambda text: _url(text)[1] or "/"
    return forms[form]


def _host(form: str) -> Convert:
    forms: dict[str, Convert] = {"": host, "url": lambda text: host(_url(text)[0])}
    return forms[form]


def _url(text: str) -> tuple[str, str]:
    """Return host and target of an address with a scheme or without."""
    found = URL.match(text)
    return (found[1], found[2]) if found else ("", "")


URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*+://)?+([^/?#]*+)(.*+)", re.DOTALL)


def _scheme(form: str) -> Convert:
    forms: dict[str, Convert] = {
        "": lambda text: SCHEMES.get(text.lower()),
        "tls": lambda text: "http" if text.lower() in NO_TLS else "https",
        "port": lambda text: "https" if text == "443" else None,  # a proxy may have spoken TLS before any other
    }
    return forms[form]


SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""A WebSocket begins as a request to the page's own server (RFC 6455)."""

NO_TLS = ("off", "0", "false", "no", "none")


def _always(convert: Convert) -> Callable[[str], Convert]:
    return {"": convert}.__getitem__


def _request(form: str) -> Convert:
    readers: dict[str, Convert] = {"host_first": request.after_host, "joined": request.from_joined}
    return (readers | dict.fromkeys(("", *ABSOLUTE), request.from_line))[form]


HOST_ALONE = ("absolute_host", "absolute_h2", "host_first")
"""Forms of a request or target whose host is no claim of the client's, but whose scheme says little: see
`urls.host_of`. Varnish writes ``http`` always; HAProxy has a host in HTTP/2 and later alone."""

ABSOLUTE = ("absolute", "absolute_host", "absolute_h2")
"""Forms of a request or target that is, or may be, a whole URL. Of the first the scheme counts too."""

NAMES_HOST = ("absolute", "absolute_host", "host_first")
"""Forms of a request or target that have a host in every line."""


def _uri_args(text: str) -> str:
    """Read nginx's ``$uri$is_args$args``, which ends in a dash where there is no query."""
    return text if "?" in text else text.removesuffix("-").removeprefix("-")  # both are one if there was no request


FIELDS: dict[str, Field] = {
    "ip": Field(
        "address of the client, or an X-Forwarded-For list",
        client_address.reader,
        pattern=r"[^\s,|]++(?:, ?+[^\s,|]++)*+",
    ),
    "time": Field("when the request began, or ended: see `time_is`", _time, "clf"),
    "date": Field("the day, where `time` is but the time of day", _day),
    "request": Field("the request line: method, target and protocol", _request),
    "method": Field("the method alone", _always(str)),
    "target": Field("path and query as requested", _target),
    "path": Field("the path alone", _always(str)),
    "query": Field("the query alone, without the question mark", _always(lambda text: text.removeprefix("?"))),
    "status": Field("status code", _always(quantities.status), pattern="[0-9]{1,3}|-1?"),
    "length": Field("bytes of the answer", _always(quantities.number), pattern=r"\+?[0-9]++|-"),
    "referrer": Field("the page that led here", _text),
    "user_agent": Field("the client's program", _text),
    "host": Field("host of the site, with its port or not", _host),
    "scheme": Field("http or https, for the URL of the host beside it", _scheme),
    "forwarded": Field("list of addresses beside `ip`, for --trusted-proxy (JSON alone)", _always(str)),
    "user": Field("the user who was logged in", _always(_user)),
    "generation_time": Field(
        "how long the server took",
        quantities.milliseconds,
        "ms",
        r"\+?+(?:[0-9.]++|-1?)(?:(?:,| :) (?:[0-9.]++|-))*+",  # nginx lists the times of several upstreams
        {"s.mmm": r"[0-9]++\.[0-9]{3}(?:(?:,| :) (?:[0-9]++\.[0-9]{3}|-))*+"},
    ),
    "duration": Field(
        "how long the request took in all, where that is not how long the server took",
        quantities.milliseconds,
        "ms",
        r"\+?+(?:[0-9.]++|-1?)",
    ),
}


USUAL_FORMS = ("", "joined", "uri_args", "plus", "percent", "url")
"""Forms that are but another way to write the text of one field; those of times and durations are all."""


def has_usual_forms(forms: Iterable[Sequence[str]]) -> bool:
    """Tell whether every field, given with its form, says nothing of another field."""
    return all(form in USUAL_FORMS or name in ("time", "generation_time", "duration") for name, form in forms)


REQUESTS = ("request", "target", "path")
"""Fields of which a line has one at least: what was asked for."""

REQUEST_PARTS = ("method", "target", "path", "query")
"""Fields that together say what a request line does."""

PEER_WORDS = {
    "query_string": ("query", ""),
    "userid": ("user", ""),
    "generation_time_secs": ("generation_time", "s"),
    "generation_time_milli": ("generation_time", "ms"),
    "generation_time_micro": ("generation_time", "us"),
}
"""The words of the established importer of this ecosystem, for expressions that people have from there: each is one of
our fields, in a certain form."""

ABSENT = "-"
"""What stands for a text that a line lacks."""


def reader(name: str, form: str, decode: Callable[[str], str] | None = None) -> Callable[[str | None], Any]:
    """Return the function from text to value for one field; `decode` makes the log's text plain first.

    It raises BadLine where the text is no such value. Raises KeyError for an unknown name or form.
    """
    field = FIELDS[name]
    convert = field.reader(form or field.form)
    absent: Any = request.from_line("-") if name == "request" else None

    def value(text: str | None) -> Any:
        if text is None or text in (ABSENT, ""):
            if name == "time":
                raise BadLine("the line has no time")
            return absent
        try:
            return convert(text if decode is None else decode(text))
        except ValueError as error:
            raise BadLine(f"{name}: {error}") from None

    return value


def readers(forms: Mapping[str, str], decode: Callable[[str], str]) -> dict[str, Callable[[Any], Any]]:
    """Return the reader of each field in `forms`, and that of the request, be it made of its parts."""
    found: dict[str, Callable[[Any], Any]] = {name: reader(name, form, decode) for name, form in forms.items()}
    if "request" not in forms:
        found["request"] = parts_reader(forms, decode)
    return found


def parts_reader(forms: Mapping[str, str], decode: Callable[[str], str]) -> Callable[[Sequence[str | None]], Request]:
    """As `reader`, for a request that a line gives in parts: it takes the texts of `REQUEST_PARTS`."""
    parts = [reader(name, forms.get(name, ""), decode) for name in REQUEST_PARTS]

    def read(texts: Sequence[str | None]) -> Request:
        method, target, path, query = [part(text) for part, text in zip(parts, texts, strict=True)]
        return request.from_parts(method, target or path, query)

    return read


def converter(name: str, form: str, decode: Callable[[str], str] | None = None) -> dict[str | None, Any]:
    """Return the dict of text → value for one field, which fills itself as `reader` says, and raises as that does."""
    read = reader(name, form, decode)
    if name == "length":
        return quantities.Numbers(name)
    return Memo(read, limit=RECENT) if name == "time" else Memo(read)


def behind_reader(
    form: str, decode: Callable[[str], str] | None = None
) -> Callable[[tuple[str | None, str | None]], str | None]:
    """As `reader`, for an address and the list of those before it: proxies in `form` are believed."""
    read = reader("ip", form, decode)

    def value(texts: tuple[str | None, str | None]) -> str | None:
        peer, behind = texts
        found: str | None = read(peer if {peer, behind} & {None, ABSENT, ""} else f"{behind}, {peer}")
        return found

    return value


def two_parts(
    forms: Mapping[str, str], decode: tuple[Callable[[str], str], Callable[[str], str]] = (str, str)
) -> Memo[tuple[str | None, str | None], datetime]:
    """As `converter`, for the time of a line that gives its ``date`` and its ``time`` of day apart, in this order."""
    read = clock.two_part_reader(forms["date"], forms["time"])

    def value(texts: tuple[str | None, str | None]) -> datetime:
        day, time = texts
        if day is None or time is None or {day, time} & {"-", ""}:
            raise BadLine("the line has no time")
        try:
            return read(decode[0](day), decode[1](time))
        except ValueError:
            raise BadLine(f"time: '{printable(f'{day} {time}', 60)}' is no time") from None

    return Memo(value, limit=RECENT)

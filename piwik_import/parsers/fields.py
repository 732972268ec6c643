"""The text of one field → its value.

`FIELDS` is the list of the words a format may use. A format writes a field as ``name`` or ``name:form``, where
the form says how the text is written: ``time:epoch``, ``generation_time:us``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address, ip_network
from socket import AF_INET, inet_ntop, inet_pton
from typing import Any, NamedTuple
from urllib.parse import unquote

from piwik_import import clock
from piwik_import.errors import printable
from piwik_import.memo import RECENT, Memo
from piwik_import.parsers import request
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


def address(text: str) -> str | None:
    """Return the client's bare address: no port, brackets or zone, and IPv6 in its short form.

    Of a list as X-Forwarded-For has it, take the right-most address that is not of an inner network: those to
    the left of it are the client's own word, and may be anything. If there are only inner ones, take the left-most.
    A host name is returned in lower case; None stands for a client that the server could not or would not name.
    """
    if "," not in text:
        return _bare(text)
    inner = None
    for part in reversed(text.split(",")[-HOPS:]):
        try:
            found = _bare(part)
        except ValueError:
            continue
        if found is not None and not _is_inner(found):
            return found
        inner = found or inner
    return inner


HOPS = 50
"""Addresses of a list that are looked at, from the right: no request goes through more proxies."""


def _bare(text: str) -> str | None:
    """Return one address as `address` does. Raises ValueError for what is neither an address nor a host name."""
    text = text.strip(' "')
    try:
        return inet_ntop(AF_INET, inet_pton(AF_INET, text))  # 0.5 us, where ipaddress takes 4
    except (OSError, ValueError):
        pass
    if len(text) > LONGEST:
        raise ValueError(f"'{printable(text, 60)}' is no address")
    if text.lower() in NOT_A_CLIENT:
        return None
    bracketed = re.fullmatch(r"\[([^]]*)\](?::\d+)?", text)
    plain = bracketed[1] if bracketed else re.sub(r"^(\d+\.\d+\.\d+\.\d+):\d+$", r"\1", text)
    try:
        found = ip_address(plain.partition("%")[0])
    except ValueError:
        if HOST_NAME.fullmatch(text):
            return text.lower()
        raise ValueError(f"'{printable(text, 60)}' is no address") from None
    return str(getattr(found, "ipv4_mapped", None) or found)


LONGEST = 300
"""Characters of a client's name, with some to spare: ipaddress takes 50 ms to say that 1 MiB is no address."""


def _is_inner(text: str) -> bool:
    try:
        found = ip_address(text)
    except ValueError:
        return True  # a host name is taken only if there is no address
    return any(found in network for network in INNER)


INNER = tuple(
    map(ip_network, ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"])
)
INNER += tuple(map(ip_network, ["::1/128", "fc00::/7", "fe80::/10"]))

HOST_NAME = re.compile(r"(?=[^:]*[A-Za-z])[A-Za-z0-9_](?:[A-Za-z0-9_-]*\.)*+[A-Za-z0-9_-]*+")
NOT_A_CLIENT = {"", "-", "unknown", "unix", "unix:", "_hidden"}


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

    def convert(text: str) -> int:
        try:
            return round(float(text) * factor)
        except (ValueError, OverflowError):  # the latter: inf
            raise ValueError(f"'{printable(text, 60)}' is no number of {unit}") from None

    return convert


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
    return None if text == '""' else text  # Apache's word for an empty name


def _text(form: str) -> Convert:
    """Return the function that takes back what a server did to a text so that it holds no space."""
    forms: dict[str, Convert] = {"": str, "plus": _without_pluses, "percent": _unquoted}
    return forms[form]


def _without_pluses(text: str) -> str:
    """Read ``Mozilla/5.0+(compatible;++http://…)``: of two pluses the second is the agent's own, as in ``; +http``."""
    return text if " " in text else PLUS.sub(r" \1", text)


PLUS = re.compile(r"\+(\+?)")


def _unquoted(text: str) -> str:
    """Undo %-encoding, once or twice: in a text that was encoded twice each ``%`` is a ``%25`` before two digits.

    CloudFront encoded twice until about 2020, and does it once since.
    """
    if "%" not in text:
        return text
    if not ENCODED_ONCE.search(text):
        text = text.replace("%25", "%")
    return unquote(text, errors="surrogateescape")


ENCODED_ONCE = re.compile("%(?!25[0-9A-Fa-f]{2})")


def _target(form: str) -> Convert:
    forms: dict[str, Convert] = {"": str, "url": lambda text: _url(text)[1] or "/"}
    return forms[form]


def _host(form: str) -> Convert:
    forms: dict[str, Convert] = {"": host, "url": lambda text: host(_url(text)[0])}
    return forms[form]


def _url(text: str) -> tuple[str, str]:
    """Return host and target of an address with a scheme or without."""
    found = URL.match(text)
    return (found[1], found[2]) if found else ("", "")


URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*+://)?+([^/?#]*+)(.*+)", re.DOTALL)


def _always(convert: Convert) -> Callable[[str], Convert]:
    return {"": convert}.__getitem__


FIELDS: dict[str, Field] = {
    "ip": Field(
        "address of the client, or an X-Forwarded-For list", _always(address), pattern=r"[^\s,]++(?:, ?+[^\s,]++)*+"
    ),
    "time": Field("when the line was written", _time, "clf"),
    "date": Field("the day, where `time` is but the time of day", _day),
    "request": Field("the request line: method, target and protocol", _always(request.from_line)),
    "method": Field("the method alone", _always(str)),
    "target": Field("path and query as requested", _target),
    "path": Field("the path alone", _always(str)),
    "query": Field("the query alone, without the question mark", _always(lambda text: text.removeprefix("?"))),
    "status": Field("status code", _always(_number), pattern="[0-9]{1,3}|-"),
    "length": Field("bytes of the answer", _always(_number), pattern="[0-9]++|-"),
    "referrer": Field("the page that led here", _text),
    "user_agent": Field("the client's program", _text),
    "host": Field("host of the site, with its port or not", _host),
    "user": Field("the user who was logged in", _always(_user)),
    "generation_time": Field("how long the server took", _milliseconds, "ms", "[0-9.]++|-"),
}


NO_SIZE = re.compile(r"-[0-9]+|[0-9]{19,}|[0-9.]+e\+[0-9]+")
"""A number that no server stores as a size; the last as Python writes it. The line is good, its size is not."""


class Numbers(dict[str | None, int | None]):
    """Text → number, as a memo that keeps nothing: sizes seldom come twice, and int() is as fast as a look-up."""

    def __init__(self, name: str) -> None:
        super().__init__({None: None, "-": None, "": None})
        self._name = name

    def __missing__(self, text: str | None) -> int:
        if NO_SIZE.fullmatch(text or ""):
            return -1
        try:
            return _number(text or "")
        except ValueError as error:
            raise BadLine(f"{self._name}: {error}") from None


REQUEST_PARTS = ("method", "target", "path", "query")
"""Fields that together say what a request line does."""

ABSENT = "-"
"""What stands for a text that a line lacks."""

USUAL_LENGTH = "(?:0|[1-9][0-9]{0,17}+)(?![0-9])|-"
"""A length as it is nearly always logged: as it will be sent, and as a server can store it."""


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
        return Numbers(name)
    return Memo(read, limit=RECENT) if name == "time" else Memo(read)


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

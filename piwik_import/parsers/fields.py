"""The text of one field → its value.

`FIELDS` is the list of the words a format may use. A format writes a field as ``name`` or ``name:form``, where
the form says how the text is written: ``time:epoch``, ``generation_time:us``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from socket import AF_INET, inet_ntop, inet_pton
from typing import Any, NamedTuple

from piwik_import import clock
from piwik_import.errors import printable
from piwik_import.memo import RECENT, Memo
from piwik_import.parsers import request
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
    shapes: Mapping[str, str] = {}
    """The same for single forms."""


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
    digits = text.removeprefix("+")  # HAProxy's sign for a request that was logged before its end
    if not digits.isdecimal() or len(digits) > 18:  # 64 bits are what a server stores
        raise ValueError(f"'{printable(text, 60)}' is no number")
    return int(digits)


def _status(text: str) -> int | None:
    return None if text == "-1" else _number(text)  # HAProxy's word for none


def _milliseconds(unit: str) -> Convert:
    factor = {"s": 1000.0, "s.mmm": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000001}[unit]

    def convert(text: str) -> int | None:
        if text == "-1":  # a load balancer's word for none
            return None
        try:
            milliseconds = float(text) * factor
        except ValueError:
            milliseconds = _sum(text) * factor
        if not 0 <= milliseconds < 1 << 31:
            raise ValueError(f"'{printable(text, 60)}' is no number of {unit} that a server takes")
        return round(milliseconds)

    return convert


def _sum(text: str) -> float:
    """Add up ``0.010, 0.020 : -``, the times that nginx's upstreams took one after another; -1 for what is no list."""
    parts = re.split(" ?[,:] ?", text)
    try:
        return sum([float(part) for part in parts if part != "-"]) if len(parts) > 1 else -1
    except ValueError:
        return -1


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


def _always(convert: Convert) -> Callable[[str], Convert]:
    return {"": convert}.__getitem__


def _request(form: str) -> Convert:
    readers: dict[str, Convert] = {"host_first": request.after_host, "joined": request.from_joined}
    return (readers | dict.fromkeys(("", *ABSOLUTE), request.from_line))[form]


ABSOLUTE = ("absolute", "absolute_h2")
"""Forms of a request or target in which the host is no claim of the client's; the second in HTTP/2 and later alone."""

NAMES_HOST = ("absolute", "host_first")
"""Forms of a request or target that have a host in every line."""


def _uri_args(text: str) -> str:
    """Read nginx's ``$uri$is_args$args``, which ends in a dash where there is no query."""
    return text if "?" in text else text.removesuffix("-").removeprefix("-")  # both are one if there was no request


def _target(form: str) -> Convert:
    readers: dict[str, Convert] = {"": str, "absolute": str, "uri_args": _uri_args}
    return readers[form]


def host_of(name: str, form: str, decode: Callable[[str], str]) -> Callable[[str | None], str | None]:
    """Return the function that finds the host in an absolute request or target, for logs in which it is no claim.

    Anybody may ask any server for ``http://example.net/``; but what Varnish, Squid or HAProxy (in HTTP/2) log has
    the host that was asked for always there. ``https`` shows as the port 443.
    """

    def find(text: str | None) -> str | None:
        line = decode(text or "-")
        asked = FIELDS["request"].reader(form)(line) if name == "request" else request.from_parts("GET", line)
        if form == "host_first" and request.from_line(line).authority is not None:
            return None  # the client's own word
        if asked.authority is None or (form == "absolute_h2" and re.search(r" HTTP/[01]\.\d$|^\S+ \S+$", text or "")):
            return None
        scheme, _, authority = asked.authority.partition("://")
        try:
            found = host(authority.rpartition("@")[2])
        except ValueError:
            return None
        if found is None or split_port(found)[1]:
            return found
        return f"{found}:443" if scheme.lower() == "https" else found

    return find


FIELDS: dict[str, Field] = {
    "ip": Field(
        "address of the client, or an X-Forwarded-For list", _always(address), pattern=r"[^\s,]++(?:, ?+[^\s,]++)*+"
    ),
    "time": Field("when the line was written", _time, "clf"),
    "request": Field(
        "the request line: method, target and protocol",
        _request,
    ),
    "method": Field("the method alone", _always(str)),
    "target": Field("path and query as requested", _target),
    "path": Field("the path alone", _always(str)),
    "query": Field("the query alone, without the question mark", _always(lambda text: text.removeprefix("?"))),
    "status": Field("status code", _always(_status), pattern=r"\d{1,3}|-1?"),
    "length": Field("bytes of the answer", _always(_number), pattern=r"\+?\d++|-"),
    "referrer": Field("the page that led here", _always(str)),
    "user_agent": Field("the client's program", _always(str)),
    "host": Field("host of the site, with its port or not", _always(host)),
    "user": Field("the user who was logged in", _always(_user)),
    "generation_time": Field(
        "how long the server took",
        _milliseconds,
        "ms",
        r"\+?+(?:[\d.]++|-1?)(?:(?:,| :) (?:[\d.]++|-))*+",  # nginx lists the times of several upstreams
        {"s.mmm": r"\d++\.\d{3}(?:(?:,| :) (?:\d++\.\d{3}|-))*+"},
    ),
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

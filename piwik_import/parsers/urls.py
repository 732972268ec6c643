"""The host that a URL names, where the format vouches for it.

In an ordinary log an absolute target names whatever site a scanner asks for, so its host is not believed. Load
balancers and CDNs write whole URLs of what they served: there the URL tells the host, and the scheme.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from piwik_import.memo import Memo
from piwik_import.parsers import fields, request
from piwik_import.parsers.fields import FIELDS
from piwik_import.parsers.record import Parser, Record, Request, split_port

PORTS = {"http": "80", "https": "443"}
AT = Record._fields.index("host")
REQUEST_AT = Record._fields.index("request")


def with_scheme(host: str | None, scheme: str | None) -> str | None:
    """Return the host of a record of which the scheme is known: with a port, which tells it where nothing else does."""
    if host is None or scheme not in PORTS:
        return host
    name, port = split_port(host)
    if port in ("", PORTS[scheme]):
        return f"{name}:{PORTS[scheme]}"
    return f"{scheme}://{host}"


def tells_scheme(host: str | None) -> bool:
    """Tell whether the host of a record says with which scheme its URL begins, as `with_scheme` makes it do."""
    return host is not None and ("://" in host or split_port(host)[1] in PORTS.values())


def host_beside_scheme(
    forms: Mapping[str, str], decode: Callable[[str], str]
) -> Callable[[tuple[str | None, str | None]], str | None]:
    """Return the function that reads the texts of ``host`` and ``scheme``, each in its form."""
    host, scheme = (fields.reader(name, forms[name], decode) for name in ("host", "scheme"))
    return lambda texts: with_scheme(host(texts[0]), scheme(texts[1]))


def settled(request: Request) -> tuple[Request, str | None]:
    """Return a request whose host is believed without it, and the host. What is no host makes it garbage."""
    if request.authority is None:
        return request, None
    scheme, _, name = request.authority.partition("://")
    try:
        host = fields.host(name.rpartition("@")[2])
    except ValueError:
        return Request(problem="garbage_request"), None
    return request._replace(authority=None), with_scheme(host, scheme.lower())


def believed(parse: Parser) -> Parser:
    """Return the parser of lines whose absolute targets name the host that served them."""
    memo: Memo[Request, tuple[Request, str | None]] = Memo(settled)

    def parse_and_believe(line: str) -> Record:
        record = parse(line)
        if record.request.authority is None:
            return record
        request, host = memo[record.request]
        values = list(record)
        values[REQUEST_AT], values[AT] = request, host or record.host
        return Record._make(values)

    return parse_and_believe


def host_of(name: str, form: str, decode: Callable[[str], str]) -> Callable[[str | None], str | None]:
    """Return the function that finds the host in an absolute request or target, for logs in which it is no claim.

    HAProxy logs the host that was asked for there in HTTP/2, some hosters always. ``https`` shows as the port 443.
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
            found = fields.host(authority.rpartition("@")[2])
        except ValueError:
            return None
        if found is None or split_port(found)[1]:
            return found
        return f"{found}:443" if scheme.lower() == "https" else found

    return find

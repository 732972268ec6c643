"""Take a request line apart, whatever a stranger sent in it.

A line such as ``"\\x16\\x03\\x01"`` (TLS to a plain port) or ``"-"`` (a client that said nothing) is a true line
of a log about something that is no request for a page: its problem is named and nothing fails.
"""

from __future__ import annotations

import re

from piwik_import.parsers.record import Request

METHOD = re.compile(r"[A-Z][A-Z_-]*")
"""A method of RFC 9110, or of WebDAV, or of Exchange (``RPC_IN_DATA``): always upper case."""

PROTOCOL = re.compile(r"HTTP/\d\S*")

ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)(.*)", re.DOTALL)


def from_line(line: str) -> Request:
    """Read ``GET /a?b=1 HTTP/1.1``.

    A path may hold raw spaces, so the method ends at the first one and the protocol begins after the last.
    Without a protocol it is HTTP/0.9, which knows GET alone.
    """
    if line in ("", "-"):
        return Request(problem="empty_request")
    method, _, rest = line.partition(" ")
    target, _, protocol = rest.rpartition(" ")
    if not PROTOCOL.fullmatch(protocol):
        if method != "GET" or not rest.startswith("/") or re.fullmatch(r"[A-Z]+/\d\S*", protocol):
            return Request(problem="garbage_request")
        target = rest
    return from_parts(method, target)


def from_joined(line: str) -> Request:
    """Read method, target and protocol that a server wrote one by one, each as a dash if there was none."""
    return Request(problem="empty_request") if line.startswith("- -") else from_line(line.removesuffix(" -"))


def after_host(line: str) -> Request:
    """Read ``GET www.example.org/a?b=1``, with a protocol or not: some hosters log the host before the path."""
    method, _, target = line.partition(" ")
    if not target or target.startswith("/") or ABSOLUTE.match(target):
        return from_line(line)
    return from_line(f"{method} http://{target}{'' if ' HTTP/' in target else ' HTTP/1.0'}")


def from_parts(method: str | None, target: str | None, query: str | None = None) -> Request:
    """Make a request of a method, a target (RFC 9112, 3.2) and, where the log keeps it apart, the query."""
    if not target:
        return Request(problem="garbage_request" if method else "empty_request")
    if method and not METHOD.fullmatch(method):
        return Request(problem="garbage_request")
    if method == "CONNECT":
        return Request(problem="connect")
    if target == "*":
        return Request(problem="asterisk")
    authority = None
    if not target.startswith("/"):
        if target.startswith("error:"):  # Squid's word for what was no request
            return Request(problem="garbage_request")
        if absolute := ABSOLUTE.fullmatch(target):
            authority, target = absolute.groups()
            if not target and authority.endswith("*"):  # Varnish's word for OPTIONS *
                return Request(problem="asterisk")
    path, mark, rest = target.partition("?")
    if not path.startswith("/"):
        path = "/" + path
    return Request(method or "GET", path, rest if mark else query, authority)

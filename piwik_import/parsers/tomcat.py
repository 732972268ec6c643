"""The pattern of Tomcat's AccessLogValve → pieces: Apache's language, in which some letters mean something else.

Source: https://tomcat.apache.org/tomcat-10.1-doc/config/valve.html#Access_Log_Valve. ``%D`` is milliseconds up to
Tomcat 9 and microseconds from Tomcat 10 on. A time is that of the request's end unless it says ``begin``, as
java/org/apache/catalina/valves/AbstractAccessLogValve.java has it (`usesBegin`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from piwik_import.errors import FormatStringError
from piwik_import.parsers import apache
from piwik_import.parsers.layout import Piece
from piwik_import.parsers.timeform import Unreadable, from_java

SOURCE = "https://tomcat.apache.org/tomcat-10.1-doc/config/valve.html#Access_Log_Valve"

NAMED = {
    "common": '%h %l %u %t "%r" %s %b',
    "combined": '%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-Agent}i"',
}

OTHERS = {
    "F": Piece(0, name="commit_milliseconds"),
    "I": Piece(0, name="thread"),
    "S": Piece(0, name="session"),
    "v": Piece(0, field="host", name="server_name"),
}
"""Directives that Apache has not, or that mean something else there."""

WITH_NAME = {"c", "r", "s", "i", "o"}
"""Directives whose argument is the name of a cookie, an attribute or a header."""

KINDS = {"remote": 0, "peer": 4}
"""Which address ``%{…}a`` is, and its rank: behind a proxy the peer is the proxy."""

PARTS_OF_TIME = {"sec": "epoch", "msec": "epoch_ms", "msec_frac": "%f"}


def pieces(string: str, milliseconds: bool = False) -> Iterator[Piece]:
    """Cut a pattern, or its name, into pieces; `milliseconds` is how Tomcat up to 9 means ``%D``.

    Raises FormatStringError.
    """
    string = NAMED.get(string, string)
    if "%" not in string:
        reason = "This is no pattern of AccessLogValve (one of ExtendedAccessLogValve needs none: its logs say it):"
        raise FormatStringError(string, 0, reason)
    at = 0
    for found in apache.DIRECTIVE.finditer(string):
        if found.start() > at:
            yield Piece(at, string[at : found.start()])
        yield from _directive(string, found, milliseconds)
        at = found.end()
    if at < len(string):
        yield Piece(at, string[at:])


def _directive(string: str, found: re.Match[str], milliseconds: bool) -> Iterator[Piece]:
    at, argument, letter = found.start(), found["argument"], found["letter"] or ""
    if letter == "t" and argument is not None:
        yield from _time(string, found)
    elif letter in WITH_NAME and argument is not None:
        known = apache.HEADERS.get(argument.lower(), Piece(0)) if letter == "i" else Piece(0)
        yield known._replace(at=at, name=argument)
    elif letter in ("a", "h") and argument in KINDS:
        yield Piece(at, field="ip", name=f"{argument}_ip", rank=KINDS[argument])
    elif letter in OTHERS and argument is None:
        yield OTHERS[letter]._replace(at=at)
    elif letter == "D":
        yield apache.PLAIN["D"]._replace(at=at, form="ms" if milliseconds else "us")
    elif letter in ("T", "p", "L") or letter in apache.PLAIN or letter in ("t", "%"):
        yield from apache.pieces_of(string, found, at_end=True)
    else:
        raise FormatStringError(string, at, f"%{letter} is nothing that Tomcat's AccessLogValve knows:")


def _time(string: str, found: re.Match[str]) -> Iterator[Piece]:
    at_end = re.match("begin(?::|$)", found["argument"]) is None
    argument = re.sub("^(?:begin|end)(?::|$)", "", found["argument"])
    if not argument:
        yield from apache.pieces("%t", at_end=at_end)
        return
    try:
        form = PARTS_OF_TIME.get(argument) or from_java(argument)
    except Unreadable as error:
        raise FormatStringError(string, string.index("{", found.start()) + 1 + error.at, f"{error}:") from None
    yield Piece(found.start(), field="time", form=form, name="time", rank=int(at_end), to_end=at_end)

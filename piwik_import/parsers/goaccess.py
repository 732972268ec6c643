"""GoAccess's log-format, with its date-format and time-format → pieces.

Source: https://goaccess.io/man#custom-log. Lines may go on behind what the format describes. GoAccess
reads times without their zone; what it passes over in ``[%d:%t %^]`` is the zone, and read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from piwik_import.errors import FormatStringError
from piwik_import.parsers.layout import Piece
from piwik_import.parsers.timeform import Unreadable, from_strftime

SOURCE = "https://goaccess.io/man#custom-log"

NAMED = {
    "COMBINED": '%h %^[%d:%t %^] "%r" %s %b "%R" "%u"',
    "VCOMBINED": '%v:%^ %h %^[%d:%t %^] "%r" %s %b "%R" "%u"',
    "COMMON": '%h %^[%d:%t %^] "%r" %s %b',
    "VCOMMON": '%v:%^ %h %^[%d:%t %^] "%r" %s %b',
}

SPECIFIERS = {
    "v": Piece(0, field="host", name="host"),
    "e": Piece(0, field="user", name="user"),
    "h": Piece(0, field="ip", name="ip"),
    "r": Piece(0, field="request", name="request"),
    "m": Piece(0, field="method", name="method"),
    "U": Piece(0, field="target", name="target"),
    "q": Piece(0, field="query", name="query"),
    "H": Piece(0, name="protocol"),
    "s": Piece(0, field="status", name="status"),
    "b": Piece(0, field="length", name="length"),
    "R": Piece(0, field="referrer", name="referrer"),
    "u": Piece(0, field="user_agent", name="user_agent"),
    "D": Piece(0, field="generation_time", form="us", name="microseconds"),
    "n": Piece(0, field="generation_time", form="ns", name="nanoseconds"),
    "L": Piece(0, field="generation_time", form="ms", name="milliseconds", rank=1),
    "T": Piece(0, field="generation_time", form="s", name="seconds", rank=2),
    "C": Piece(0, name="cache_status"),
    "K": Piece(0, name="tls"),
    "k": Piece(0, name="cipher"),
    "M": Piece(0, name="mime_type"),
    "^": Piece(0),
}

DATE, TIME = "%d/%b/%Y", "%H:%M:%S"
"""What the formats of date and time are where nobody says."""

TOKEN = re.compile(r" *%~ *|~h\{[^}]*\}|%(.)?")


def pieces(string: str, date_format: str | None = None, time_format: str | None = None) -> Iterator[Piece]:
    """Cut a log-format, or its name, into pieces. Raises FormatStringError."""
    string = NAMED.get(string, string)
    forms = {"d": _form(date_format or DATE), "t": _form(time_format or TIME)}
    whole = forms["d"] if forms["d"] == forms["t"] or not time_format else f"{forms['d']} {forms['t']}"
    at = 0
    while at < len(string):
        if string.startswith("%d:%t %^]", at) and (forms["d"], forms["t"]) == (DATE, TIME):
            yield Piece(at, field="time", name="time")
            yield Piece(at, "]")
            at += len("%d:%t %^]")
            continue
        found = TOKEN.match(string, at)
        if found is None:
            text = {"\\t": "\t", "\\n": "\n"}.get(string[at : at + 2], string[at])
            yield Piece(at, text)
            at += 2 if text in "\t\n" and string[at] == "\\" else 1
            continue
        yield _specifier(string, found, forms, whole)
        at = found.end()
    yield Piece(at, raw="{...}")


def _specifier(string: str, found: re.Match[str], forms: dict[str, str], whole: str) -> Piece:
    at, letter = found.start(), found[1]
    if "%~" in found[0]:
        return Piece(at, raw="{ }")
    if found[0].startswith("~h"):
        return Piece(at, field="ip", name="forwarded_for")
    if letter in forms:
        return Piece(at, field="time", form=forms[letter], name="time")
    if letter == "x":
        return Piece(at, field="time", form=whole, name="time")
    if letter == "%":
        return Piece(at, "%")
    if letter is None or letter not in SPECIFIERS:
        raise FormatStringError(string, at, f"%{letter or ''} is no specifier of GoAccess's log-format:")
    return SPECIFIERS[letter]._replace(at=at)


def _form(text: str) -> str:
    if text == "%f":
        return "epoch_us"
    try:
        return from_strftime(text)
    except Unreadable as error:
        raise FormatStringError(text, error.at, f"{error}:") from None

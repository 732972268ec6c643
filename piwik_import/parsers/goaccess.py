"""GoAccess's log-format, with its date-format and time-format → pieces; in its JSON form → where the fields lie.

Source: https://goaccess.io/man#custom-log. Lines may go on behind what the format describes. GoAccess
reads times without their zone; what it passes over in ``[%d:%t %^]`` is the zone, and read here.

A log-format that is an object of JSON describes objects: ``{"ts": "%x", "client": {"ip": "%h"}}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from piwik_import.errors import FormatStringError
from piwik_import.parsers import paths
from piwik_import.parsers.layout import Piece, check, choose, join
from piwik_import.parsers.timeform import Unreadable, complete, from_strftime

SOURCE = "https://goaccess.io/man#custom-log"

NAMED = {
    "COMBINED": '%h %^[%d:%t %^] "%r" %s %b "%R" "%u"',
    "VCOMBINED": '%v:%^ %h %^[%d:%t %^] "%r" %s %b "%R" "%u"',
    "COMMON": '%h %^[%d:%t %^] "%r" %s %b',
    "VCOMMON": '%v:%^ %h %^[%d:%t %^] "%r" %s %b',
    "CLOUDSTORAGE": '"%x","%h",%^,%^,"%m","%U","%s",%^,"%b","%D",%^,"%R","%u",%^',
}
"""Names of log-formats for which there is a string."""

OURS = {
    "W3C": ("iis", "w3c_extended"),
    "SQUID": ("squid",),
    "CLOUDFRONT": ("cloudfront",),
    "AWSELB": ("alb", "elb_classic"),
    "AWSALB": ("alb",),
    "AWSS3": ("s3",),
    "CADDY": ("caddy",),
    "TRAEFIKCLF": ("traefik_clf",),
}
"""Names of log-formats → the formats that come along for such logs, of which the one that fits is meant."""

DAYS = dict.fromkeys(("W3C", "CLOUDFRONT", "AWSELB", "AWSALB"), "%Y-%m-%d")
STAMPS = {"CLOUDSTORAGE": "%f", "SQUID": "%s", "CADDY": "%s"}
"""What these names stand for in place of a format of dates or times, where that is not as Apache writes them."""

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
    "L": Piece(0, field="generation_time", form="ms", name="milliseconds"),
    "T": Piece(0, field="generation_time", form="s", name="seconds"),
    "C": Piece(0, name="cache_status"),
    "K": Piece(0, name="tls"),
    "k": Piece(0, name="cipher"),
    "M": Piece(0, name="mime_type"),
    "^": Piece(0),
}
"""All but those of times. Of several that say how long the server took the first counts."""

DATE, TIME = "%d/%b/%Y", "%H:%M:%S"
"""What the formats of date and time are where nobody says."""

TOKEN = re.compile(r" *%~ *|~h(?:\{[^}]*\})?|%(.)?")


class Times(NamedTuple):
    """What the user says that dates and times are written as."""

    date: str | None = None
    time: str | None = None
    both: str | None = None

    def forms(self, name: str) -> Mapping[str, str]:
        """Return the form of each specifier of a time; `name` is that of the log-format, if it has one."""
        date, time = _named(self.date, name, DATE), _named(self.time, name, TIME)
        day, clock = _form(date), _form(time)
        whole = day if day == clock or (complete(day) and not self.time) else clock if complete(clock) else ""
        if not whole:
            whole = f"{day}{clock}" if _is_digits(day) and _is_digits(clock) else f"{day} {clock}"
        return {"d": day, "t": clock, "x": _form(self.both) if self.both is not None else whole}


USUAL = Times()
"""What they are where nobody says."""


def ours(string: str) -> Sequence[str]:
    """Name the formats that come along for what GoAccess has a name for; none if it is a log-format."""
    return OURS.get(string.removeprefix("goaccess:").upper(), ())


def _named(given: str | None, name: str, usual: str) -> str:
    """Return a format of dates or times, which may be given by the name of a log-format."""
    key = (given or name).upper()
    if given is not None and key not in NAMED.keys() | OURS.keys():
        return given
    return STAMPS.get(key) or (DAYS.get(key, usual) if usual == DATE else usual)


def _form(text: str) -> str:
    if text in ("%f", "%*"):
        return "epoch_us" if text == "%f" else "epoch_ms"
    try:
        return from_strftime(text)
    except Unreadable as error:
        raise FormatStringError(text, error.at, f"{error}:") from None


def _is_digits(form: str) -> bool:
    """Tell whether nothing stands between the parts of a form: ``%Y%m%d``."""
    return re.fullmatch("(?:%.)+", form) is not None


def pieces(string: str, times: Times = USUAL) -> Iterator[Piece]:
    """Cut a log-format, or its name, into pieces. Raises FormatStringError."""
    forms = times.forms(string)
    string = NAMED.get(string.upper(), string)
    yield from _pieces(string, 0, len(string), forms)
    yield Piece(len(string), raw="{...}")


def _pieces(string: str, at: int, stop: int, forms: Mapping[str, str]) -> Iterator[Piece]:
    """As `pieces`, of what stands between two places of a string, without what may follow it."""
    has_query = "%q" in string  # which GoAccess puts behind the path
    while at < stop:
        if string.startswith("%d:%t %^", at) and (forms["d"], forms["t"]) == (DATE, TIME):
            yield Piece(at, field="time", name="time")
            at += len("%d:%t %^")
            continue
        found = TOKEN.match(string, at, stop)
        if found is None:
            text = {"\\t": "\t", "\\n": "\n"}.get(string[at : at + 2], string[at])
            yield Piece(at, text)
            at += 2 if text in "\t\n" and string[at] == "\\" else 1
            continue
        piece = _specifier(string, found, forms)._replace(at=at)
        yield piece._replace(field="path") if has_query and piece.field == "target" else piece
        at = found.end()


def _specifier(string: str, found: re.Match[str], forms: Mapping[str, str]) -> Piece:
    at, letter = found.start(), found[1]
    if "%~" in found[0]:
        return Piece(at, raw="{ }")
    if found[0].startswith("~h"):
        if "," not in found[0]:
            reason = "~h needs what stands between the addresses, with a comma in it: ~h{, }; no other list is read:"
            raise FormatStringError(string, at, reason)
        return Piece(at, field="ip", name="forwarded_for")
    if letter in forms:
        return Piece(at, field="time", form=forms[letter], name="time")
    if letter == "%":
        return Piece(at, "%")
    if letter is None or letter not in SPECIFIERS:
        raise FormatStringError(string, at, f"%{letter or ''} is no specifier of GoAccess's log-format:")
    return SPECIFIERS[letter]


def is_json(string: str) -> bool:
    """Tell whether a log-format is in its JSON form."""
    return string.lstrip().startswith("{")


def keys(string: str, times: Times = USUAL) -> Mapping[str, str]:
    """Return field → path in the objects that a log-format in its JSON form describes. Raises FormatStringError."""
    try:
        places = [*_texts(json.loads(string, object_pairs_hook=_object), [])]
    except (ValueError, RecursionError) as error:
        reason = (
            f"The JSON form of a log-format is an object with its specifiers in quotes; {str(error).partition(':')[0]}:"
        )
        raise FormatStringError(string, getattr(error, "pos", 0), reason) from None
    forms, texts = times.forms(""), [text for text in TEXT.finditer(string) if text[2] is None]
    found: dict[Piece, Steps] = {}
    for steps, text in zip(places, texts, strict=True):
        parts = join(_pieces(string, *text.span(1), forms))
        if any(part.field for part in parts):
            found[_only(string, parts)] = steps
    check(string, [*found])
    lies_at = {field: (paths.joined(found[piece]), piece.form) for piece, field in choose(found).items()}
    return {field: f"{path}:{form}" if form else path for field, (path, form) in lies_at.items()}


Steps = list[str | int]

TEXT = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*:)?')
"""A text of JSON; behind a key stands a colon."""

OPEN = ("epoch", "", "%d/%b/%Y:%H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")
"""Forms of times behind which a fraction or a zone is read wherever it stands."""


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Raises ValueError for a key that comes twice: which is meant?"""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def _texts(value: Any, steps: Steps) -> Iterator[Steps]:
    """Yield the path of each text in an object."""
    if isinstance(value, str):
        yield steps
    for step, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _texts(one, [*steps, step])


def _only(string: str, parts: list[Piece]) -> Piece:
    """Return what the value of a key is: one piece, behind which may stand what its reader knows to pass over."""
    first, rest = parts[0], "".join([part.text or "%" for part in parts[1:]])
    if first.field and not any(part.field for part in parts[1:]):
        is_passed_over = {"ip": rest[:1] == ":", "generation_time": rest == first.form}  # a port, a unit
        if not rest or is_passed_over.get(first.field):
            return first
        if first.field == "time" and first.form in OPEN:
            return first._replace(form="any")
    reason = "Of the value of a key one thing can be read: a specifier alone, a time, or %m %U %H:"
    raise FormatStringError(string, first.at, reason)

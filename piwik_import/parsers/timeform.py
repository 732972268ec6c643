"""Forms of a time as format strings write them → forms that `clock` reads, and what such a text looks like.

A form is a name of `clock.FORMS` or a pattern of strptime, as in a format file.
"""

from __future__ import annotations

import re

from piwik_import.clock import split_form

DIRECTIVES = {
    "Y": r"\d{4}",
    "m": r"\d{1,2}",
    "d": r" ?\d{1,2}",
    "y": r"\d{2}",
    "H": r"\d{1,2}",
    "I": r"\d{1,2}",
    "M": r"\d{1,2}",
    "S": r"\d{1,2}",
    "j": r"\d{1,3}",
    "f": r"\d{1,6}",
    "b": r"[^\W\d_]++\.?",
    "B": r"[^\W\d_]++",
    "a": r"[^\W\d_]++\.?",
    "A": r"[^\W\d_]++",
    "p": r"[^\W\d_]++\.?",
    "z": r"(?:Z|[+-]\d\d:?\d\d)",
    "Z": r"[A-Za-z]*+",
    "%": "%",
}
"""The directives of strptime that a log may use, each with what it looks like."""

COMPOSED = {
    "T": "%H:%M:%S",
    "R": "%H:%M",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "r": "%I:%M:%S %p",
    "c": "%a %b %d %H:%M:%S %Y",
    "x": "%m/%d/%y",
    "X": "%H:%M:%S",
    "h": "%b",
    "e": "%d",
    "k": "%H",
    "l": "%I",
    "P": "%p",
    "n": " ",
    "t": " ",
    "s": "%s",
}
"""Directives of C's strftime that Python's strptime does not have, in terms of those it has."""

CLF = r"\S++ [+-]\d{4}"

NAMED = {
    "clf": CLF,
    "": CLF,
    "epoch": r"\d++(?:\.\d*+)?",
    "epoch_ms": r"\d++(?:\.\d*+)?",
    "epoch_us": r"\d++",
}

DATE, CLOCK = set("djmyYbB"), set("HIMS")
"""Directives that say something about the day, and about the time of day."""

JAVA = {
    "yyyy": "%Y",
    "yy": "%y",
    "MMM": "%b",
    "MM": "%m",
    "M": "%m",
    "dd": "%d",
    "d": "%d",
    "HH": "%H",
    "H": "%H",
    "hh": "%I",
    "h": "%I",
    "mm": "%M",
    "ss": "%S",
    "SSS": "%f",
    "Z": "%z",
    **{"X" * digits: "%z" for digits in (1, 2, 3)},  # +01, +0100, +01:00
    "z": "%Z",
    "a": "%p",
    "EEE": "%a",
    "E": "%a",
    "EEEE": "%A",
    "MMMM": "%B",
}
"""Letters of SimpleDateFormat, as Tomcat takes them."""


class Unreadable(ValueError):
    """A form of time that cannot be read back; `at` is where in it that shows."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at


def shape(form: str) -> str | None:
    """Return what a time in `form` looks like, as a regular expression; None if only its surroundings tell."""
    form, _, _ = split_form(form)
    if "%" not in form:
        return NAMED.get(form)
    pieces = re.split("%(.)", form)
    texts = [re.escape(piece) if at % 2 == 0 else DIRECTIVES.get(piece, r"\S++") for at, piece in enumerate(pieces)]
    return "".join(texts).replace(r"\ ", r"\s++").replace(r"\s++ ?", r"\s++")


def from_strftime(text: str) -> str:
    """Return the form of what C's strftime writes for `text`: a pattern of strptime, or ``epoch``.

    Raises Unreadable.
    """

    def known(found: re.Match[str]) -> str:
        letter = found[1].lstrip("-_0^#EO")
        if letter in COMPOSED:
            return COMPOSED[letter]
        if letter not in DIRECTIVES:
            raise Unreadable(found.start(), f"%{letter} of strftime cannot be read back")
        return f"%{letter}"

    form = re.sub(r"%([-_0^#EO]?.|$)", known, text)
    if form == "%s":
        return "epoch"
    if "%s" in form:
        raise Unreadable(text.index("%s"), "%s can only be read where it stands alone")
    return form


def from_java(text: str) -> str:
    """Return the form of what Java's SimpleDateFormat writes for `text`. Raises Unreadable."""

    def known(found: re.Match[str]) -> str:
        if found[1] is not None:
            return (found[1] or "'").replace("%", "%%")
        if found[2] is not None:
            if found[2] not in JAVA:
                raise Unreadable(found.start(), f"{found[2]} of SimpleDateFormat cannot be read back")
            return JAVA[found[2]]
        return found[0].replace("%", "%%")

    return re.sub(r"'([^']*)'|(([A-Za-z])\3*)|[^A-Za-z']+", known, text)


def letters(form: str) -> set[str]:
    """Return the directives of a pattern of strptime."""
    return set(re.findall("%(.)", form))


def complete(form: str) -> bool:
    """Tell whether a form says day and time of day."""
    found = letters(form)
    return not found or bool(found & DATE and found & CLOCK)

"""Lines that say what the lines below them hold: the directives of the W3C family.

    #Software: Microsoft Internet Information Services 10.0
    #Date: 2026-11-21 00:00:03
    #Fields: date time c-ip cs-method cs-uri-stem sc-status

They may come again anywhere, and say something else from then on. A log is cut into sections, each with the header that
governs it, so that what reads the lines of one need not remember anything. Of a block in the middle of a log the
header is given along with it, as lines again.

A log without a ``date`` column has its day from ``#Date``; at each midnight that its lines pass begins a section.

Source: https://www.w3.org/TR/WD-logfile
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import NamedTuple

DIRECTIVE = re.compile(r"#\s*(fields|date|start-date|software)\s*:\s*(.*)", re.IGNORECASE | re.DOTALL)
BLANK = "\N{ZERO WIDTH SPACE}".encode().decode("latin-1")
"""Stands behind names where a header was copied from Amazon's documentation."""
LINE = re.compile(rb"\n(\0*+#[^\n]*+)")
LONGEST = 1 << 14
"""Characters of a directive; CloudFront's longest has 500."""
HOUR, DAY = 60, 24 * 60


class Header(NamedTuple):
    """The directives that govern a line."""

    fields: str = ""
    """The names of the columns."""
    software: str = ""
    date: str = ""
    """The day, as YYYY-MM-DD, that the lines are of if they do not say it."""
    minute: int = 0
    """The minute of that day which the lines have come to."""
    passed: bool = False
    """Whether they have passed midnight since ``#Date``."""

    @property
    def names(self) -> list[str]:
        """The names of the columns in lower case, and brackets around those that a line may lack."""
        return re.findall(r"[^][ \t]+|[][]", self.fields.lower())

    def encode(self) -> bytes:
        """Return the lines that `read` makes this header of."""
        hours, minutes = divmod(self.minute, HOUR)
        day = f"{self.date} {hours:02}:{minutes:02}{' passed' * self.passed}" if self.date else ""
        lines = {"Software": self.software, "Date": day, "Fields": self.fields}
        return "".join(f"#{name}: {text}\n" for name, text in lines.items() if text).encode("latin-1")

    def after(self, line: str) -> Header:
        """Return what governs the lines below `line`, which begins with ``#``."""
        found = DIRECTIVE.match(line)
        if found is None:
            return self
        name, text = found[1].lower(), found[2][:LONGEST].strip()
        if name == "fields":
            return self._replace(fields=text.replace(BLANK, ""))
        if name == "software":
            return self._replace(software=text)
        day, _, rest = text.partition(" ")
        with suppress(ValueError):
            day = _day(day).isoformat()
            return self._replace(date=day, minute=minute_of(rest) or 0, passed=rest.endswith("passed"))
        return self


MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()


def _day(text: str) -> date:
    """Read 2026-11-21, or 21-Nov-2026 as the examples of the W3C's draft have it. Raises ValueError."""
    day, *month_and_year = text.split("-")
    if len(month_and_year) != 2 or not month_and_year[0].isalpha():
        return date.fromisoformat(text)
    month, year = month_and_year
    return date(int(year), MONTHS.index(month.lower()) + 1, int(day))


NO_HEADER = Header()


class Section(NamedTuple):
    """Lines with one header: those from `start` to before `stop`."""

    header: Header
    """As much of it as their parser needs."""
    start: int
    stop: int


def read(text: bytes) -> Header:
    """Return what governs the lines below the lines `text`, all of which begin with ``#``."""
    header = Header()
    for line in text.decode("latin-1").split("\n"):
        header = header.after(line)
    return header


def course(header: Header, data: bytes) -> Iterator[Header]:
    """Yield what governs the lines of `data` one after another, by the directives in it alone; at last those below."""
    yield header
    for line in LINE.findall(b"\n" + data) if b"#" in data else ():
        header = header.after(line.strip(b"\0\r ").decode("latin-1"))
        yield header


def follow(header: Header, data: bytes) -> Header:
    """Return what governs the lines below those of `data`, by the directives in it alone."""
    *_, last = course(header, data)
    return last


def is_header(line: str) -> bool:
    """Tell whether a line is a directive, and no line of the log."""
    return line[:1] == "#" or (line[:1] == "\0" and line.lstrip("\0")[:1] == "#")


def sections(
    header: Header, lines: Sequence[str], clock_of: Callable[[Header], re.Pattern[str] | None]
) -> Iterator[Section]:
    """Cut lines into sections; between them lie directives. The last is empty: its whole header governs what follows.

    `clock_of` returns what finds the time of day in a line, as its first group, if the day follows from the time.
    """
    start = 0
    for at in [*(at for at, line in enumerate(lines) if is_header(line)), len(lines)]:
        clock = clock_of(header) if start < at else None
        if clock is not None:
            header = yield from _days(header, lines, start, at, clock)
        elif start < at:
            yield Section(Header(header.fields), start, at)
        if at < len(lines):
            header = header.after(lines[at].strip("\0\r "))
            start = at + 1
    yield Section(header, len(lines), len(lines))


def _days(
    header: Header, lines: Sequence[str], start: int, stop: int, clock: re.Pattern[str]
) -> Generator[Section, None, Header]:
    """Cut lines where one is of another day than the one before it, and return what governs the next."""
    day = header.date
    for at in range(start, stop):
        found = clock.match(lines[at])
        minute = minute_of(found[1]) if found else None
        if minute is None:
            continue
        header, own = _moved(header, minute)
        if own != day:
            if start < at:
                yield Section(Header(header.fields, date=day), start, at)
            start, day = at, own
    if start < stop:
        yield Section(Header(header.fields, date=day), start, stop)
    return header


def _moved(header: Header, minute: int) -> tuple[Header, str]:
    """Return what governs the lines after one of `minute`, and the day of that line.

    Lines are in the order of time but for those of requests that took long, so a fall of more than an hour is a
    midnight; and just after it may come a line of just before it.
    """
    if minute < header.minute - HOUR:
        header = header._replace(date=_next(header.date, 1), minute=minute, passed=True)
    elif header.passed and header.minute < HOUR and minute >= DAY - HOUR:
        return header, _next(header.date, -1)
    elif minute > header.minute:
        header = header._replace(minute=minute)
    return header, header.date


def _next(day: str, days: int) -> str:
    with suppress(OverflowError):
        return (date.fromisoformat(day) + timedelta(days)).isoformat()
    return day


def minute_of(text: str) -> int | None:
    """Return the minute of the day of ``9:15`` and what may follow; None if it is no time."""
    hour, _, rest = text.partition(":")
    if not (rest[:2].isdecimal() and hour.isdecimal() and len(hour) < 3):
        return None
    return int(hour) * HOUR + int(rest[:2])

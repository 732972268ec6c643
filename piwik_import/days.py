"""Which hit is the first of its day.

A visitor's fingerprint has a random salt for each site and day. When the first hits of a day that the server has never
seen come in several requests at once, each request makes a salt, and visitors are counted twice: with two recorders
3,605 visits instead of 3,472. So the first hit of a day goes alone, but for others of its line, and what comes
later waits for the answer.

The first day of a run needs none of this: its first request goes alone anyway (`pace`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from piwik_import.memo import RECENT
from piwik_import.translate import Entry

MINUTE = len("2026-11-22%2023:59")


class Days:
    """The days that one run has come to, in the time zone of the site.

    `zone` asks for that, and is called when the log leaves the quarter of an hour in which it began: no midnight lies
    within one.
    """

    def __init__(self, zone: Callable[[], tzinfo]) -> None:
        self._ask = zone
        self._zone: tzinfo | None = None
        self._begin: datetime | None = None
        self._seen: set[date] = set()
        self._minutes: set[str] = set()  # those of days that were seen

    def parts(self, entries: Sequence[Entry]) -> Iterator[tuple[Sequence[Entry], Sequence[Entry]]]:
        """Cut hits where a day begins: yield what comes before, and that day's first line; at the end the rest.

        The zone is asked for between two parts, when the first of them is on its way.
        """
        begin, minutes = 0, self._minutes
        for place, entry in enumerate(entries):
            at = entry.query.find("&cdt=") + 5
            minute = entry.query[at : at + MINUTE]
            if minute in minutes:
                continue
            moment = _moment(minute)
            if moment is not None and self._zone is None and not self._is_at_begin(moment):
                yield entries[begin:place], ()
                begin = place
                self._learn()
            if moment is not None and self._is_new(moment):
                before, begin = begin, place + 1
                while begin < len(entries) and entries[begin].is_further:
                    begin += 1
                yield entries[before:place], entries[place:begin]
            if len(minutes) >= RECENT:
                minutes.clear()
            minutes.add(minute)
        yield entries[begin:] if begin else entries, ()

    def _is_at_begin(self, moment: datetime) -> bool:
        """Tell whether a moment is of the quarter of an hour in which the log began."""
        quarter = moment.replace(minute=moment.minute // 15 * 15)
        self._begin = self._begin or quarter
        return quarter == self._begin

    def _learn(self) -> None:
        assert self._begin is not None
        self._zone = self._ask()
        self._seen.add(self._begin.astimezone(self._zone).date())

    def _is_new(self, moment: datetime) -> bool:
        """Tell whether a moment is of a day that was not seen before, and note that it was."""
        day = None if self._zone is None else moment.astimezone(self._zone).date()
        if day is None or day in self._seen:
            return False
        self._seen.add(day)
        return True


def _moment(minute: str) -> datetime | None:
    """Return the time of a minute as it stands in a query; None if it is none: such a hit is of now."""
    try:
        return datetime.fromisoformat(minute.replace("%20", " ")).replace(tzinfo=UTC)
    except ValueError:
        return None


def zone_of(name: str) -> tzinfo:
    """Return the zone of a site as Piwik names it: ``Europe/Berlin``, ``UTC``, ``UTC+2``, ``UTC-3.5``; else UTC."""
    try:
        if name.startswith("UTC") and name != "UTC":
            return timezone(timedelta(hours=float(name[3:])))
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return UTC

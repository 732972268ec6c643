"""When a request began, of a log that says when it ended.

A visitor has asked for a page when the request began. Many servers write the time at which they write the line, and
beside it how long the request took: the one less the other is what counts. A format says so by ``time_is = "end"``.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta
from operator import attrgetter

from piwik_import.memo import Memo
from piwik_import.parsers.record import Parser, Record

HALF = 500
"""Milliseconds that a request of which only the second is known may take without another second being likelier."""

DAY = 86_400_000
"""Milliseconds that a request may take: what says more is no such time, or not in the unit that it was taken for."""

AT = Record._fields.index("time")


def begin(end: datetime, took: int | None) -> datetime:
    """Return when a request began that took so many milliseconds; `end` itself if it cannot have taken so long.

    A time of whole seconds was cut: the request ended somewhere within that second. So only whole seconds are taken
    off, as many as make the likeliest second of its beginning: what took 0.5 s began in the same one as often as not,
    what took 0.9 s nine times of ten in the one before. The error is then a half at most, and none on the average.
    """
    if took is None or not 0 < took <= DAY:
        return end
    if not end.microsecond:
        took = (took + HALF - 1) // 1000 * 1000
    try:
        return end - _spans[took]
    except OverflowError:  # the first day that datetime knows
        return end


_spans: Memo[int, timedelta] = Memo(lambda took: timedelta(milliseconds=took))
"""To make one takes 0.4 us, to take it off 0.05."""


def is_near(took: int | None) -> bool:
    """Tell whether a request that ended at some whole second most likely began in the same."""
    return took is None or took <= HALF or took > DAY


def span(fields: Container[str]) -> str:
    """Name the field that says how long a request took until its end, of those that a format has; none if none does."""
    return next((name for name in ("duration", "generation_time") if name in fields), "")


def begun(parse: Parser, span: str) -> Parser:
    """Return the parser of lines that say when a request ended: the time of their records is that of its beginning.

    The field `span` says how long it took.
    """
    took_of = attrgetter(span)
    new = tuple.__new__  # 0.1 us less than Record._make

    def parse_begin(line: str) -> Record:
        record = parse(line)
        time, took = record.time, took_of(record)
        if took is None or (took <= HALF and not time.microsecond):  # as nearly always
            return record
        return new(Record, (*record[:AT], begin(time, took), *record[AT + 1 :]))

    return parse_begin

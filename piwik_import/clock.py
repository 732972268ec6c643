"""Text of a time → an aware datetime in UTC.

Log text repeats the same second many times, so callers keep a memo of text → time in front of this module;
nothing here is fast on purpose except the layout of Apache and nginx, which is most of what there is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

from piwik_import.memo import RECENT, Memo

MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


def reader(form: str) -> Callable[[str], datetime]:
    """Return the function that reads times written in `form`.

    `form` is one of the names of `FORMS`, or a strptime pattern (which holds a ``%``). The function raises
    ValueError for a text that is no such time. Raises KeyError for an unknown name, ValueError for a pattern that
    strptime does not take.
    """
    if "%" in form:
        read = _strptime(form)
        return lambda text: _utc(read(text))
    return FORMS[form]


def two_part_reader(day_form: str, time_form: str) -> Callable[[str, str], datetime]:
    """Return the function that reads a time whose day and time of day are written apart.

    Either form is a strptime pattern; that of the day may be a name of `DAYS`, ``iso`` where it is empty, and an empty
    one of the time of day stands for ``9:15:02.5``, with or without seconds and their fraction. Raises as `reader`.
    """
    days = _strptime(day_form) if "%" in day_form else None
    times = _strptime(time_form) if time_form else None
    day_of = DAYS[day_form or "iso"] if days is None else lambda text: days(text).date()
    time_of = _time_of_day if times is None else lambda text: times(text).timetz()
    return lambda day, text: _utc(datetime.combine(day_of(day), time_of(text)))


def _strptime(form: str) -> Callable[[str], datetime]:
    if "%" not in form:
        raise KeyError(form)
    datetime.strptime(datetime.now(UTC).strftime(form), form)
    return lambda text: datetime.strptime(text, form)


def _american(text: str) -> date:
    """Read ``11/21/26`` or ``11/21/2026``: IIS writes either."""
    month, day, year = text.split("/")
    return date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day))


DAYS: dict[str, Callable[[str], date]] = {"iso": date.fromisoformat, "mdy": _american}


def _time_of_day(text: str) -> time:
    hours, _, rest = text.partition(":")
    minutes, _, seconds = rest.partition(":")
    whole, _, fraction = seconds.partition(".")
    if not (hours + minutes + whole + fraction).isdecimal() or not minutes:
        raise ValueError(text)
    second = 59 if whole == "60" else int(whole or 0)  # a leap second, as in `clf`
    return time(int(hours), int(minutes), second, int(f"{fraction:0<6}"[:6]))


def clf(text: str) -> datetime:
    """Read ``10/Oct/2026:13:55:36 -0700``, the time of the common log format.

    Cut by hand: strptime costs 14 us against 0.5 us here, and its month names follow the locale while those of a
    log never do. A leap second (``:60``, which datetime refuses) counts as the second before it.
    """
    try:
        return _minutes[text[:18] + text[20:]] + SECONDS[text[18:20]]
    except (KeyError, OverflowError):  # no month, no second; the last minute that datetime knows
        raise ValueError(text) from None


def _minute(text: str) -> datetime:
    """Return when the minute of ``10/Oct/2026:13:55: -0700`` began, in UTC."""
    day, year, hour, minute, offset = text[:2], text[7:11], text[12:14], text[15:17], text[20:]
    if len(text) != 24 or not (day + year + hour + minute + offset).isdecimal():  # int() alone would take " 1"
        raise ValueError(text)
    if text[2] + text[6] + text[11] + text[14] + text[17:19] != "//::: " or text[19] not in "+-" or offset[2] > "5":
        raise ValueError(text)
    east = timedelta(hours=int(offset[:2]), minutes=int(offset[2:]))
    zone = timezone(east if text[19] == "+" else -east)
    return _utc(datetime(int(year), MONTHS[text[3:6]], int(day), int(hour), int(minute), tzinfo=zone))


SECONDS = {f"{second:02}": timedelta(seconds=min(second, 59)) for second in range(61)}

_minutes: Memo[str, datetime] = Memo(_minute, limit=RECENT)
"""A log has many lines in a minute: what is left for each second is to add it."""


def iso8601(text: str) -> datetime:
    """Read ``2026-11-21T09:15:02+01:00`` and its relatives; a time that names no zone is UTC."""
    return _utc(datetime.fromisoformat(text))


def epoch(text: str) -> datetime:
    """Read seconds since 1970, with or without a fraction."""
    return _since_1970(float(text))


def epoch_ms(text: str) -> datetime:
    """Read milliseconds since 1970."""
    return _since_1970(float(text) / 1000)


def epoch_us(text: str) -> datetime:
    """Read microseconds since 1970."""
    return _since_1970(float(text) / 1_000_000)


def anything(text: str) -> datetime:
    """Read a time in whatever form it comes: the ones above, else as dateutil understands it.

    What would need a guess is refused: a date with a part missing, a zone that is known by its letters alone.
    """
    for read in (clf, iso8601, epoch):
        try:
            return read(text)
        except ValueError:
            continue
    if len(text) > LONGEST:
        raise ValueError(text)
    from dateutil import parser  # 15 ms that only odd layouts pay

    try:
        first, second = (_utc(parser.parse(text, default=default, tzinfos=_zone)) for default in DEFAULTS)
    except ArithmeticError as error:  # dateutil's answer to a row of digits
        raise ValueError(text) from error
    if first != second:
        raise ValueError(text)
    return first


LONGEST = 64
"""Characters of a time in an odd layout: dateutil takes a second for the spaces that fit into 1 MiB."""

DEFAULTS = (datetime(2000, 1, 1), datetime(2001, 2, 2))
"""What dateutil takes for the parts of a date that are not there: two, so that it shows."""


def _zone(name: str | None, offset: int | None) -> tzinfo | None:
    """Return the zone that dateutil found in a text. Letters such as IST or CST are the names of several."""
    if offset is not None:
        return timezone(timedelta(seconds=offset))
    if name:
        raise ValueError(f"{name} says no offset")
    return None


FORMS: dict[str, Callable[[str], datetime]] = {
    "clf": clf,
    "iso8601": iso8601,
    "epoch": epoch,
    "epoch_ms": epoch_ms,
    "epoch_us": epoch_us,
    "any": anything,
}


def _utc(time: datetime) -> datetime:
    """Return `time` in UTC; one without a zone is taken as UTC already."""
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError as error:  # the first and the last day that datetime knows
        raise ValueError(str(time)) from error


def _since_1970(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:  # beyond the years that the platform knows
        raise ValueError(str(seconds)) from error

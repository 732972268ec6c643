"""Text of a time → an aware datetime in UTC.

Log text repeats the same second many times, so callers keep a memo of text → time in front of this module;
nothing here is fast on purpose except the layout of Apache and nginx, which is most of what there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import partial

from piwik_import.memo import RECENT, Memo

MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


def reader(form: str) -> Callable[[str], datetime]:
    """Return the function that reads times written in `form`.

    `form` is one of the names of `FORMS`, or a strptime pattern (which holds a ``%``). Behind an ``@`` it may name the
    zone of times that name none themselves, else they are taken for UTC; and behind another the latest time that a
    line may have (ISO 8601), which tells the year where the log does not: ``syslog@Europe/Berlin@2026-11-22T03:00``.

    The function raises ValueError for a text that is no such time. Raises KeyError for an unknown name, ValueError for
    a pattern that strptime does not take and for a zone that there is not.
    """
    base, zone_name, latest = split_form(form)
    zone = named_zone(zone_name) if zone_name else UTC
    if "%" in base:
        read = _strptime(base)
        return lambda text: _utc(read(text), zone)
    if base == "syslog":
        return partial(syslog, zone=zone, latest=iso8601(latest) if latest else None)
    return partial(ZONED[base], zone=zone) if base in ZONED else FORMS[base]


def split_form(form: str) -> tuple[str, str, str]:
    """Cut a form into what comes before, between and behind its ``@``."""
    found = re.fullmatch(r"(.*?)(?:@([^@%]*))?(?:@([^@%]*))?", form, re.DOTALL)
    assert found is not None
    return found[1], found[2] or "", found[3] or ""


def named_zone(name: str) -> tzinfo:
    """Return the zone called ``Europe/Berlin``, or ``+01:00``. Raises ValueError.

    By it, an hour that a change of clocks skips counts as if the clocks had not been changed yet, and of an hour that
    comes twice the first is meant.
    """
    if name == "UTC":
        return UTC
    if found := re.fullmatch(r"([+-])(\d\d):?(\d\d)", name):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        if offset < timedelta(days=1):
            return timezone(-offset if found[1] == "-" else offset)
    elif name and not name.startswith(("/", ".")):
        from zoneinfo import ZoneInfo  # 3 ms that only logs without zones pay

        try:
            return ZoneInfo(name)
        except (OSError, ValueError, KeyError):  # a folder of zones; an odd name; no such zone
            pass
    raise ValueError(f"there is no time zone '{name}': name it as Europe/Berlin, or by its offset, as +01:00")


def two_part_reader(day_form: str, time_form: str) -> Callable[[str, str], datetime]:
    """Return the function that reads a time whose day and time of day are written apart.

    Either form is a strptime pattern; that of the day may be a name of `DAYS`, ``iso`` where it is empty, and an empty
    one of the time of day stands for ``9:15:02.5``, with or without seconds and their fraction. Behind an ``@`` that of
    the time of day may name the zone, as with `reader`. Raises as that does.
    """
    time_form, zone_name, _ = split_form(time_form)
    zone = named_zone(zone_name) if zone_name else UTC
    days = _strptime(day_form) if "%" in day_form else None
    times = _strptime(time_form) if time_form else None
    day_of = DAYS[day_form or "iso"] if days is None else lambda text: days(text).date()
    time_of = _time_of_day if times is None else lambda text: times(text).timetz()

    def read(day: str, text: str) -> datetime:
        try:
            return _utc(datetime.combine(day_of(day), time_of(text)), zone)
        except OverflowError as error:  # an hour or a year of twenty digits
            raise ValueError(f"{day} {text}") from error

    return read


def _strptime(form: str) -> Callable[[str], datetime]:
    if "%" not in form:
        raise KeyError(form)
    try:
        datetime.strptime(datetime.now(UTC).strftime(form), form)
    except re.error as error:  # strptime's answer to a part that stands twice
        raise ValueError(f"no form of a time: {error.msg}") from None
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


def iso8601(text: str, zone: tzinfo = UTC) -> datetime:
    """Read ``2026-11-21T09:15:02+01:00`` and its relatives; a time that names no zone is of `zone`."""
    return _utc(datetime.fromisoformat(text), zone)


def epoch(text: str) -> datetime:
    """Read seconds since 1970, with or without a fraction."""
    return _since_1970(float(text))


def epoch_ms(text: str) -> datetime:
    """Read milliseconds since 1970."""
    return _since_1970(float(text) / 1e3)


def epoch_us(text: str) -> datetime:
    """Read microseconds since 1970."""
    return _since_1970(float(text) / 1e6)


def epoch_ns(text: str) -> datetime:
    """Read nanoseconds since 1970."""
    return _since_1970(float(text) / 1e9)


def epoch_any(text: str) -> datetime:
    """Read a number since 1970 in the unit that its digits tell: those of 1973 to 2286 have 9 to 10, 12 to 13, 15 to 16
    or 18 to 19 digits."""
    digits = len(text.partition(".")[0])
    read = {9: epoch, 10: epoch, 12: epoch_ms, 13: epoch_ms, 15: epoch_us, 16: epoch_us, 18: epoch_ns, 19: epoch_ns}
    if digits not in read or not text.replace(".", "", 1).isdecimal():
        raise ValueError(text)
    return read[digits](text)


def syslog(text: str, zone: tzinfo = UTC, latest: datetime | None = None) -> datetime:
    """Read ``Nov 21 09:15:02`` or ``Nov  1 09:15:02``, the time of RFC 3164: in the last year in which it is not after
    `latest`, which is now if it is not given. A day more is allowed, for zones and for clocks that are fast."""
    if not re.fullmatch(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d", text, re.ASCII) or text[:3] not in MONTHS:
        raise ValueError(text)
    month, day, hour, minute = MONTHS[text[:3]], int(text[4:6]), int(text[7:9]), int(text[10:12])
    latest = (latest or datetime.now(UTC)) + timedelta(days=1)
    for year in range(latest.year, latest.year - 9, -1):  # the 29th of February comes every fourth year, or eighth
        try:
            found = _utc(datetime(year, month, day, hour, minute), zone) + SECONDS[text[13:15]]
        except (ValueError, KeyError):
            continue
        if found <= latest:
            return found
    raise ValueError(text)


def anything(text: str, zone: tzinfo = UTC) -> datetime:
    """Read a time in whatever form it comes: the ones above, else as dateutil understands it.

    What would need a guess is refused: a date with a part missing, a zone that is known by its letters alone.
    """
    if len(text) > LONGEST:
        raise ValueError(text)
    for read in (epoch_any, clf, partial(iso8601, zone=zone), epoch):
        try:
            return read(text)
        except ValueError:
            continue
    from dateutil import parser  # 15 ms that only odd layouts pay

    try:
        first, second = (_utc(parser.parse(text, default=default, tzinfos=_zone), zone) for default in DEFAULTS)
    except ArithmeticError as error:  # dateutil's answer to a row of digits
        raise ValueError(text) from error
    if first != second:
        raise ValueError(text)
    return first


LONGEST = 64
"""Characters of a time in whatever layout: dateutil takes a second for the spaces that fit into 1 MiB."""

DEFAULTS = (datetime(2000, 1, 1), datetime(2001, 2, 2))
"""What dateutil takes for the parts of a date that are not there: two, so that it shows."""


def _zone(name: str | None, offset: int | None) -> tzinfo | None:
    """Return the zone that dateutil found in a text. Letters such as IST or CST are the names of several."""
    if offset is not None:
        return timezone(timedelta(seconds=offset))
    if name:
        raise ValueError(f"{name} says no offset")
    return None


ZONED: dict[str, Callable[..., datetime]] = {"iso8601": iso8601, "any": anything, "syslog": syslog}
"""Forms of times that may lack a zone."""

FORMS: dict[str, Callable[[str], datetime]] = {
    "clf": clf,
    "iso8601": iso8601,
    "epoch": epoch,
    "epoch_ms": epoch_ms,
    "epoch_us": epoch_us,
    "epoch_ns": epoch_ns,
    "syslog": syslog,
    "any": anything,
}


def _utc(time: datetime, zone: tzinfo = UTC) -> datetime:
    """Return `time` in UTC; one without a zone is of `zone`."""
    try:
        return (time.replace(tzinfo=zone) if time.tzinfo is None else time).astimezone(UTC)
    except OverflowError as error:  # the first and the last day that datetime knows
        raise ValueError(str(time)) from error


def _since_1970(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:  # beyond the years that the platform knows
        raise ValueError(str(seconds)) from error

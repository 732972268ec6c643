"""Text of a time → an aware datetime in UTC.

Log text repeats the same second many times, so callers keep a memo of text → time in front of this module;
nothing here is fast on purpose except the layout of Apache and nginx, which is most of what there is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from piwik_import.memo import Memo

MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


def reader(form: str) -> Callable[[str], datetime]:
    """Return the function that reads times written in `form`.

    `form` is one of the names of `FORMS`, or a strptime pattern (which holds a ``%``). The function raises
    ValueError for a text that is no such time.
    """
    if "%" in form:
        return lambda text: _utc(datetime.strptime(text, form))
    return FORMS[form]


def clf(text: str) -> datetime:
    """Read ``10/Oct/2026:13:55:36 -0700``, the time of the common log format.

    Cut by hand: strptime costs 14 us against 1 us here, and its month names follow the locale while those of a
    log never do. A leap second (``:60``, which datetime refuses) counts as the second before it.
    """
    try:
        hour, minute, second = int(text[12:14]), int(text[15:17]), int(text[18:20])
        midnight = _midnights[text[:12] + text[20:]]
    except (KeyError, IndexError):
        raise ValueError(text) from None
    if hour > 23 or minute > 59 or second > 60 or text[14] != ":" or text[17] != ":":
        raise ValueError(text)
    return midnight + timedelta(0, hour * 3600 + minute * 60 + min(second, 59))


def _midnight(text: str) -> datetime:
    """Return when the day of ``10/Oct/2026: -0700`` began, in UTC."""
    if text[2] + text[6] + text[11:13] != "//: " or len(text) != 18 or text[13] not in "+-":
        raise ValueError(text)
    day = datetime(int(text[7:11]), MONTHS[text[3:6]], int(text[:2]), tzinfo=UTC)
    offset = timedelta(hours=int(text[14:16]), minutes=int(text[16:]))
    return day - offset if text[13] == "+" else day + offset


_midnights: Memo[str, datetime] = Memo(_midnight, limit=1000)
"""The days of a log are few: what is left for each time is to add the seconds."""


def iso8601(text: str) -> datetime:
    """Read ``2026-11-21T09:15:02+01:00`` and its relatives; a time that names no zone is UTC."""
    return _utc(datetime.fromisoformat(text))


def epoch(text: str) -> datetime:
    """Read seconds since 1970, with or without a fraction."""
    return _since_1970(float(text))


def epoch_ms(text: str) -> datetime:
    """Read milliseconds since 1970."""
    return _since_1970(float(text) / 1000)


def anything(text: str) -> datetime:
    """Read a time in whatever form it comes: the ones above, else as dateutil understands it."""
    for read in (clf, iso8601, epoch):
        try:
            return read(text)
        except ValueError:
            continue
    from dateutil import parser  # 15 ms that only odd layouts pay

    try:
        return _utc(parser.parse(text))
    except OverflowError as error:  # dateutil's answer to a row of digits
        raise ValueError(text) from error


FORMS: dict[str, Callable[[str], datetime]] = {
    "clf": clf,
    "iso8601": iso8601,
    "epoch": epoch,
    "epoch_ms": epoch_ms,
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

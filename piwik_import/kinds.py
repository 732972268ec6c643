"""What values the parameters of the Tracking API take: a rule each, in words and as a check.

A rule is stricter than the server, which answers 200 and records something else: a `cdt` that it cannot read becomes
*now*, an address with a port becomes 0.0.0.0, and one number that SQL refuses undoes all hits of its bulk request.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from socket import AF_INET, inet_pton

from piwik_import.memo import Memo


@dataclass(frozen=True, slots=True)
class Kind:
    """What values a parameter takes."""

    name: str
    rule: str
    """In words that go on after "must be"."""
    accepts: Callable[[str], object]
    """Whether a text keeps the rule: by truth, or by ValueError if not."""
    sizes: range | None = None
    """The numbers it takes, if its values are sizes or durations, which seldom come twice."""


def _like(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).fullmatch


def _whole(low: int, high: int) -> Kind:
    digits = re.compile("[0-9]{1,19}")  # not isdigit(): it takes digits of every script
    return Kind(
        "integer",
        f"a whole number from {low} to {high}",
        lambda text: digits.fullmatch(text) and low <= int(text) <= high,
    )


def _sizes(end: int) -> Kind:
    return replace(_whole(0, end - 1), sizes=range(end))


def _number(rule: str, low: float = -math.inf, high: float = math.inf) -> Kind:
    decimal = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")  # float() also takes 1_0 and inf
    return Kind(
        "number",
        rule,
        lambda text: decimal.fullmatch(text) and math.isfinite(float(text)) and low <= float(text) <= high,
    )


def _is_address(text: str) -> bool:
    try:
        return len(inet_pton(AF_INET, text)) == 4  # a tenth of the time of ipaddress
    except OSError:
        pass
    return ip_address(text) is not None and "%" not in text  # fe80::1%eth0 is good to Python only


YEARS_20 = timedelta(days=20 * 365)
SKEW = timedelta(seconds=300)
"""How far a log may be ahead of this clock: the server records such a hit at its own now."""


def _is_recent_time(text: str) -> bool:
    if len(text) != 19 or text[10] != " ":
        return False
    moment = datetime.fromisoformat(text)
    if _long_past[text[:10]]:
        return True
    # Compared without a zone, which takes a third of the time.
    return -SKEW <= datetime.now(UTC).replace(tzinfo=None) - moment < YEARS_20


def _is_long_past(day: str) -> bool:
    """Tell whether any time of a day is good: a log has a new second in every few lines, but few days."""
    age = datetime.now(UTC).date() - date.fromisoformat(day)
    return timedelta(days=2) <= age < YEARS_20 - timedelta(days=2)


_long_past: Memo[str, bool] = Memo(_is_long_past, limit=100)


def _json(text: str) -> object:
    def refuse(constant: str) -> object:
        raise ValueError(constant)

    text.encode()  # PHP reads nothing of a document that holds NaN, Infinity, or bytes that are not UTF-8
    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _is_variables(text: str) -> bool:
    variables = _json(text)
    return isinstance(variables, dict) and all(
        re.fullmatch("[1-9][0-9]?", index)
        and isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(part, str | int | float) for part in pair)
        for index, pair in variables.items()
    )


def _is_items(text: str) -> bool:
    items = _json(text)
    return isinstance(items, list) and all(
        isinstance(item, list) and len(item) in range(1, 6) and _is_item(*item) for item in items
    )


def _is_item(sku: object, name: object = "", category: object = "", price: object = 0, quantity: object = 1) -> bool:
    categories = category if isinstance(category, list) else [category]
    return (
        sku not in ("", None)
        and isinstance(sku, str | int)
        and isinstance(name, str | int | float | None)
        and all(isinstance(category, str | int | float | None) for category in categories)
        and all(MONEY.accepts(str(amount)) for amount in (price, quantity))
    )


LONGEST = 1 << 16
"""Characters of a text: some servers take requests of that size, none larger ones. Matomo keeps 1024 of an address."""


def _is_url(text: str) -> bool:
    return len(text) <= LONGEST and WHOLE_URL.fullmatch(text) is not None


WHOLE_URL = re.compile(r"(?s)[A-Za-z][A-Za-z0-9+.-]*://.+")

TEXT = Kind("text", f"a text of up to {LONGEST:,} characters", lambda text: len(text) <= LONGEST)
NAME = Kind("text", f"a text of 1 to {LONGEST:,} characters", lambda text: len(text) <= LONGEST and text.strip())
FLAG = Kind("flag", "0 or 1", {"0", "1"}.__contains__)
COOKIE = Kind("flag", "0, 1 or empty", {"0", "1", ""}.__contains__)
ONE = Kind("flag", "1", "1".__eq__)
URL = Kind("URL", f"a full URL with its scheme, of up to {LONGEST:,} characters", _is_url)
HEX16 = Kind("id", "16 hexadecimal digits", _like("[0-9A-Fa-f]{16}"))
PAGE_VIEW = Kind("id", "six letters or digits", _like("[0-9A-Za-z]{6}"))
ADDRESS = Kind("address", "a bare IPv4 or IPv6 address, without port or brackets", _is_address)
MOMENT = Kind(
    "time",
    "a time in UTC as YYYY-MM-DD HH:MM:SS, not in the future and less than 20 years ago",
    _is_recent_time,
)
SITE = _whole(1, 2**32 - 1)
COUNT = _whole(0, 2**32 - 1)
HOUR = _whole(0, 23)
MINUTE = _whole(0, 59)
MODE = _whole(1, 2)
STATUS = _whole(100, 999)
SECONDS = Kind("Unix time", "seconds since 1970", COUNT.accepts)
MILLISECONDS = _sizes(2**24)  # MEDIUMINT UNSIGNED on the server: 4.6 hours
BYTES = _sizes(2**63)
MONEY = _number("a finite number")
LATITUDE = _number("a number from -90 to 90", -90, 90)
LONGITUDE = _number("a number from -180 to 180", -180, 180)
SIZE = Kind("size", "width x height, as 1280x1024", _like("[0-9]{1,5}[x×][0-9]{1,5}"))  # × is how the API page has it
COUNTRY = Kind("code", "two lower-case letters", _like("[a-z]{2}"))
REGION = Kind("code", "one to three letters or digits", _like("[A-Za-z0-9]{1,3}"))
CHARSET = Kind("code", "the name of a character set", _like("[A-Za-z0-9][A-Za-z0-9._:-]*"))
ORDER = Kind("text", "1 to 100 characters", lambda text: 0 < len(text) <= 100)
VARIABLES = Kind("JSON", 'a JSON object of number to pair, as {"1":["name","value"]}', _is_variables)
ITEMS = Kind("JSON", "a JSON array of [sku, name, category, price, quantity]", _is_items)
OBJECT = Kind("JSON", "a JSON object", lambda text: isinstance(_json(text), dict))
NOT_IN_BULK = Kind("flag", "left out of a bulk request, which would be answered with nothing", lambda _: False)
SECRET = Kind("secret", "sent in the body beside the hits, never in a hit", lambda _: False)

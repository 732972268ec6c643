"""The parameters of the Tracking HTTP API: what each is called, means and takes.

`PARAMETERS` is the whole API as a table, a row a parameter; the checks, the encoding and the documentation are read
from it. A rule is stricter than the server, which answers 200 and records something else: a `cdt` that it cannot read
becomes *now*, an address with a port becomes 0.0.0.0, and one number that SQL refuses undoes all hits of its bulk
request.

Source: https://developer.matomo.org/api-reference/tracking-api

What a row says of one value is all that this module knows; what parameters need of each other is in `tracking`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
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


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the Tracking API."""

    name: str
    kind: Kind
    meaning: str
    since: str = "Piwik 2"
    needs_token: bool = False

    @property
    def rule(self) -> str:
        """What a value must be, in words."""
        return self.kind.rule


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
        raise ValueError(constant)  # NaN and Infinity: PHP reads none of the document then

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


TEXT = Kind("text", "a text", lambda _: True)
NAME = Kind("text", "a text that is not empty", str.strip)
FLAG = Kind("flag", "0 or 1", {"0", "1"}.__contains__)
COOKIE = Kind("flag", "0, 1 or empty", {"0", "1", ""}.__contains__)
ONE = Kind("flag", "1", "1".__eq__)
URL = Kind("URL", "a full URL with its scheme", _like(r"(?s)[A-Za-z][A-Za-z0-9+.-]*://.+"))
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

PARAMETERS: Mapping[str, Parameter] = {
    row.name: row
    for row in (
        # Required or recommended
        Parameter("idsite", SITE, "the site's ID"),
        Parameter("rec", ONE, "record this request"),
        Parameter("url", URL, "the action's full URL"),
        Parameter("action_name", TEXT, "the page's title; slashes make categories"),
        Parameter("_id", HEX16, "the visitor's ID"),
        Parameter("rand", TEXT, "a random text against caches"),
        Parameter("apiv", ONE, "version of the API"),
        # The visitor
        Parameter("urlref", TEXT, "the referrer's full URL"),
        Parameter("_cvar", VARIABLES, "custom variables of the visit"),
        Parameter("_idvc", COUNT, "how many visits the visitor has made"),
        Parameter("_viewts", SECONDS, "when the previous visit was"),
        Parameter("_idts", SECONDS, "when the first visit was"),
        Parameter("_idn", FLAG, "whether the visitor is new"),
        Parameter("_rcn", TEXT, "name of the campaign"),
        Parameter("_rck", TEXT, "keyword of the campaign"),
        Parameter("_ref", TEXT, "the referrer that a conversion is put down to"),
        Parameter("_refts", SECONDS, "when that referrer was seen"),
        Parameter("res", SIZE, "the screen's resolution"),
        Parameter("h", _whole(0, 23), "the visitor's local hour"),
        Parameter("m", _whole(0, 59), "the visitor's local minute"),
        Parameter("s", _whole(0, 59), "the visitor's local second"),
        Parameter("fla", FLAG, "has Flash"),
        Parameter("java", FLAG, "has Java"),
        Parameter("dir", FLAG, "has Director"),
        Parameter("qt", FLAG, "has QuickTime"),
        Parameter("realp", FLAG, "has RealPlayer"),
        Parameter("pdf", FLAG, "shows PDF"),
        Parameter("wma", FLAG, "has Windows Media"),
        Parameter("gears", FLAG, "has Gears"),
        Parameter("ag", FLAG, "has Silverlight"),
        Parameter("cookie", COOKIE, "takes cookies"),
        Parameter("ua", TEXT, "the user agent"),
        Parameter("uadata", OBJECT, "the browser's client hints", "Matomo 4.12"),
        Parameter("lang", TEXT, "the Accept-Language header"),
        Parameter("uid", NAME, "the user's ID: a login, an e-mail address"),
        Parameter("cid", HEX16, "the visitor's ID, enforced"),
        Parameter("new_visit", FLAG, "begin a new visit with this action"),
        # The action
        Parameter("cvar", VARIABLES, "custom variables of the page"),
        Parameter("link", URL, "an external URL that was opened"),
        Parameter("download", URL, "URL of a file that was downloaded"),
        Parameter("search", NAME, "the keyword of a site search"),
        Parameter("search_cat", TEXT, "category of the search"),
        Parameter("search_count", COUNT, "how many results the search had"),
        Parameter("idgoal", COUNT, "the goal that was reached; 0 for ecommerce"),
        Parameter("revenue", MONEY, "revenue of the goal, or total of the order"),
        Parameter("gt_ms", MILLISECONDS, "milliseconds to make the page; pf_srv since Matomo 4"),
        Parameter("cs", CHARSET, "the page's character set"),
        Parameter("pv_id", PAGE_VIEW, "ties the actions of one page view together", "Piwik 3"),
        Parameter("ca", FLAG, "a custom action, not a page view", "Matomo 4"),
        Parameter("ping", FLAG, "keep the visit alive, without an action", "Piwik 3"),
        Parameter("bw_bytes", BYTES, "bytes that were sent (Bandwidth plugin)", "Piwik 2.15"),
        Parameter("dimensionN", TEXT, "value of the custom dimension with ID N", "Piwik 2.15"),
        # Page performance
        Parameter("pf_net", MILLISECONDS, "milliseconds to connect", "Matomo 4"),
        Parameter("pf_srv", MILLISECONDS, "milliseconds that the server took", "Matomo 4"),
        Parameter("pf_tfr", MILLISECONDS, "milliseconds to transfer the answer", "Matomo 4"),
        Parameter("pf_dm1", MILLISECONDS, "milliseconds until the page could be used", "Matomo 4"),
        Parameter("pf_dm2", MILLISECONDS, "milliseconds until the page was complete", "Matomo 4"),
        Parameter("pf_onl", MILLISECONDS, "milliseconds that scripts ran on load", "Matomo 4"),
        # Events and content
        Parameter("e_c", NAME, "category of the event"),
        Parameter("e_a", NAME, "action of the event"),
        Parameter("e_n", TEXT, "name of the event"),
        Parameter("e_v", MONEY, "value of the event"),
        Parameter("c_n", NAME, "name of the content"),
        Parameter("c_p", TEXT, "the piece of content itself"),
        Parameter("c_t", TEXT, "target of the content"),
        Parameter("c_i", NAME, "what was done with the content"),
        # Ecommerce
        Parameter("ec_id", ORDER, "the order's ID; each is recorded once"),
        Parameter("ec_items", ITEMS, "items of the order or the cart"),
        Parameter("ec_st", MONEY, "total without shipping"),
        Parameter("ec_tx", MONEY, "tax"),
        Parameter("ec_sh", MONEY, "shipping"),
        Parameter("ec_dt", MONEY, "discount"),
        Parameter("_ects", SECONDS, "when the customer's last order was"),
        Parameter("_pks", TEXT, "SKU of the product on the page", "Matomo 4"),
        Parameter("_pkn", TEXT, "name of the product on the page", "Matomo 4"),
        Parameter("_pkc", TEXT, "category of the product or the page; JSON array for several", "Matomo 4"),
        Parameter("_pkp", MONEY, "price of the product on the page", "Matomo 4"),
        # With authentication only
        Parameter("token_auth", SECRET, "the token"),
        Parameter("cip", ADDRESS, "the visitor's address", needs_token=True),
        Parameter("cdt", MOMENT, "when it happened; needs the token after four hours", needs_token=True),
        Parameter("cdo", COUNT, "seconds between the action and the request", "Matomo 4", needs_token=True),
        Parameter("country", COUNTRY, "the visitor's country", needs_token=True),
        Parameter("region", REGION, "the visitor's region", needs_token=True),
        Parameter("city", TEXT, "the visitor's city", needs_token=True),
        Parameter("lat", LATITUDE, "the visitor's latitude", needs_token=True),
        Parameter("long", LONGITUDE, "the visitor's longitude", needs_token=True),
        # How the server works
        Parameter("send_image", NOT_IN_BULK, "0: answer 204 without an image", "Piwik 2.10"),
        Parameter("bots", FLAG, "record bots too"),
        Parameter("dp", FLAG, "do not look up the visitor's provider"),
        Parameter("queuedtracking", FLAG, "0: go past the queue (QueuedTracking plugin)", "Matomo 3"),
        Parameter("debug", FLAG, "answer with what was recorded, where the server allows it"),
        # Plugins of Matomo that trackers feed, for replay
        Parameter("ma_*", TEXT, "MediaAnalytics plugin", "Piwik 3"),
        Parameter("cra*", TEXT, "CrashAnalytics plugin", "Matomo 4"),
    )
}

FAMILIES = {
    "dimensionN": re.compile("dimension[1-9][0-9]{0,4}"),
    "ma_*": re.compile("ma_[a-z]{2,3}"),
    "cra*": re.compile("cra(_[a-z]{2})?"),
}
"""Rows of `PARAMETERS` that stand for many names, and those names."""


def parameter(name: str) -> Parameter | None:
    """Return the row for `name`, be it one of a family as dimension3; None if the API has no such parameter."""
    for family, names in FAMILIES.items():
        if names.fullmatch(name):
            return replace(PARAMETERS[family], name=name)
    return None if name in FAMILIES else PARAMETERS.get(name)


def fault(name: str, text: str) -> str | None:
    """Return what a value has against the table; the parameters of single requests are let pass."""
    row = parameter(name)
    if row is None:
        return f"{name}: is no parameter of the Tracking API"
    try:
        good = row.kind in (SECRET, NOT_IN_BULK) or row.kind.accepts(text)
    except ValueError:
        good = False
    return None if good else f"{name}: must be {row.rule}"

"""A call → its hit, and the conversions that it is besides.

    page        a page view: url, title, referrer
    screen      a page view: its name is the title, and its URL the site's with /screen/ and the name
    track       an event: category or All, the event, label, value or revenue; and a conversion of each of its goals
    identify    no hit: the user of all later hits of its anonymous id
    alias       no hit: the same for its previous id
    group       no hit

Source: https://segment.com/docs/connections/spec/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from piwik_import.clock import iso8601
from piwik_import.filters import Filters
from piwik_import.hits import moment
from piwik_import.kinds import HEX16, URL
from piwik_import.mapping import text_of
from piwik_import.memo import Memo
from piwik_import.parameters import TABLE
from piwik_import.parsers.record import Record
from piwik_import.segment import shop
from piwik_import.segment.identities import LONGEST, Identities
from piwik_import.segment.shop import amount, text
from piwik_import.tracking import Hit

NAMES = ("Piwik", "Matomo")
"""What we are called in ``integrations`` and ``context``."""

HITS = frozenset({"page", "screen", "track"})
NAMING = frozenset({"identify", "alias"})
OTHERS = frozenset({"group"})

GROUPS = ("Required or recommended", "The visitor", "With authentication only", "How the server works")
SHARED = {row.name for group in GROUPS for row in TABLE[group]} - {"action_name", "new_visit"}
"""Parameters that all hits of a line have: whose they are, when and how, not what."""


@dataclass(frozen=True, slots=True)
class SegmentSettings:
    """What the user says of the calls."""

    goals: tuple[tuple[str, int], ...] = ()
    """Events and the goals that they reach; an event may reach several."""


class Segment:
    """Makes of the hits that any line gives what the calls of one source say.

    `hashed` makes an ID of a text; `base_url` is where screens are.
    """

    def __init__(
        self, settings: SegmentSettings, base_url: str | None, hashed: Callable[[str], str], identities: Identities
    ) -> None:
        self._goals: dict[str, list[int]] = {}
        for event, goal in settings.goals:
            self._goals.setdefault(event.strip().lower(), []).append(goal)
        self._base_url = base_url
        self._hashed = hashed
        self._identities = identities
        self.over: Counter[tuple[str, str]] = Counter()
        """What was left out of hits: parameter and reason → how often."""

    def left_out(self, filters: Filters) -> Callable[[Record], str | None]:
        """Return what tells why a record becomes no hit, and heeds what it says of users."""
        agents = Memo(filters.of_agent)

        def reason(record: Record) -> str | None:
            call = record.extra or {}
            if not is_call(call):
                return filters(record)  # a line of another program
            return agents[record.user_agent] or self._heed(call, record)

        return reason

    def _heed(self, call: Mapping[str, Any], record: Record) -> str | None:
        """Return the reason that lies in a call."""
        if not is_for_us(call.get("integrations")):
            return "integrations"
        if call["type"] in NAMING:
            previous = text(call.get("previousId")) if call["type"] == "alias" else ""
            anonymous, user = previous or text(call.get("anonymousId")), text(call.get("userId"))
            if len(user) > LONGEST:
                self._tell("uid", f"longer than {LONGEST} characters, so not kept for later hits")
            elif anonymous and user:
                self._identities.learn(anonymous, user, _time(call, record).toordinal())
            return "identify"
        if call["type"] in OTHERS:
            return "group"
        return None

    def __call__(self, record: Record, hit: Hit) -> list[Hit]:
        """Make `hit` what the call says; return the parameters of each conversion that it is besides."""
        call = record.extra or {}
        if not is_call(call) or call["type"] not in HITS:
            return []
        properties, context = _object(call.get("properties")), _object(call.get("context"))
        hit.pop("download", None)
        time = _time(call, record)
        hit["cdt"] = moment(time)
        self._name(call, hit, time)
        _describe(context, hit)
        if variables := _variables(call, context):
            hit["cvar"] = text_of(variables)
        page = _object(context.get("page"))
        if call["type"] == "track":
            return self._event(call, properties, page, hit)
        if call["type"] == "screen":
            self._screen(call, properties, hit)
        else:
            _page(call, properties, page, hit)
        return []

    def _tell(self, parameter: str, reason: str) -> None:
        self.over[parameter, reason] += 1

    def _name(self, call: Mapping[str, Any], hit: Hit, time: datetime) -> None:
        """Say whose a hit is."""
        anonymous, user = text(call.get("anonymousId")), text(call.get("userId"))
        hit.pop("uid", None)
        if named := user or (anonymous and self._identities.user(anonymous, time.toordinal())):
            hit["uid"] = named
        if anonymous:
            hit["cid"] = anonymous if HEX16.accepts(anonymous) else self._hashed(anonymous)
        elif user:
            hit["cid"] = self._hashed(user)

    def _screen(self, call: Mapping[str, Any], properties: Mapping[str, Any], hit: Hit) -> None:
        name = text(call.get("name")) or text(properties.get("name"))
        base = str(hit["url"]) if self._base_url is None else self._base_url
        hit["url"] = "/".join([base.rstrip("/"), "screen", *([_quoted(name)] if name else [])])
        hit.pop("urlref", None)
        if name:
            hit["action_name"] = name

    def _event(
        self, call: Mapping[str, Any], properties: Mapping[str, Any], page: Mapping[str, Any], hit: Hit
    ) -> list[Hit]:
        event = text(call.get("event"))
        _lie(hit, page)
        hit |= {"e_c": text(properties.get("category")) or "All", "e_a": event}
        if label := text(properties.get("label")):
            hit["e_n"] = label
        value = amount(properties.get("value"))
        revenue = amount(properties.get("revenue"))
        if (worth := revenue if value is None else value) is not None:
            hit["e_v"] = worth
        hit |= shop.viewed(event, properties)
        conversions: list[Hit] = []
        for goal in self._goals.get(event.strip().lower(), ()):
            total = amount(properties.get("total")) if revenue is None else revenue
            conversions.append({"idgoal": goal} | ({} if total is None else {"revenue": total}))
        bought = shop.bought(event, properties, self._tell)
        return conversions if bought is None else [*conversions, bought]


def besides(hit: Hit, conversions: list[Hit]) -> Iterator[Hit]:
    """Yield the hits of conversions: those of the same visitor at the same time as `hit`."""
    for one in conversions:
        yield {name: value for name, value in hit.items() if name in SHARED} | one


def is_call(values: Mapping[str, Any]) -> bool:
    """Tell whether an object is a call."""
    kind = values.get("type")
    return isinstance(kind, str) and (kind in HITS or kind in NAMING or kind in OTHERS)


def is_for_us(integrations: Any) -> bool:
    """Tell whether a call is meant for Piwik: by its name, else by ``All``; options are a yes."""
    chosen = _object(integrations)
    named = [chosen[name] for name in (*NAMES, "All") if chosen.get(name) is not None]
    return not named or named[0] is not False


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _time(call: Mapping[str, Any], record: Record) -> datetime:
    """Return when it happened: without a timestamp by the clock of Segment's server, where the call has all that takes.

    Source: https://segment.com/docs/connections/spec/common/#timestamps
    """
    if "timestamp" not in call:
        with suppress(ValueError, OverflowError, KeyError):
            received, sent, original = (
                iso8601(text(call[key])) for key in ("receivedAt", "sentAt", "originalTimestamp")
            )
            return received - (sent - original)
    return record.time


def _describe(context: Mapping[str, Any], hit: Hit) -> None:
    """Say what is known of the client besides address and agent."""
    if locale := text(context.get("locale")):
        hit["lang"] = locale.replace("_", "-")
    screen = _object(context.get("screen"))
    sizes = [screen.get(side) for side in ("width", "height")]
    if all(isinstance(size, int | float) and 0 < size < 100_000 for size in sizes):
        hit["res"] = "x".join(str(int(size)) for size in sizes if size)


def _variables(call: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
    """Return the custom variables of the page; ours under ``integrations`` go before those under ``context``."""
    for place in (_object(call.get("integrations")), context):
        for name in NAMES:
            if found := _object(place.get(name)).get("customVars"):
                return found
    return None


def _page(call: Mapping[str, Any], properties: Mapping[str, Any], page: Mapping[str, Any], hit: Hit) -> None:
    for place in (properties, page):
        if URL.accepts(url := text(place.get("url"))):
            hit["url"] = url  # as it is, with what follows a #, too
            break
    title = text(properties.get("title")) or text(call.get("name")) or text(page.get("title"))
    if title:
        hit["action_name"] = title


def _lie(hit: Hit, page: Mapping[str, Any]) -> None:
    """Say on which page an event happened, if it was on any: ``properties.url`` may be that of a product."""
    for parameter, key in (("url", "url"), ("urlref", "referrer")):
        hit.pop(parameter, None)
        if URL.accepts(found := text(page.get(key))):
            hit[parameter] = found


def _quoted(name: str) -> str:
    return quote(name, safe="", errors="surrogatepass")

"""The short way of a line that is like most: from its texts straight to its query string.

Nearly all lines are ordinary: each field decides alone whether its line is left out, and what it adds to the hit is
the same whatever the other fields hold. So what the text of a field comes to, its *piece*, is found out once, by asking
`filters`, `hits` and `tracking`, which keep all their rules to themselves: mostly for a hit that holds nothing else. A
line is then a few look-ups and one join: no record, no hit, no encoding. That takes a third of the time.

What is not ordinary has no short way, and goes the long one: a line that cannot be read, a hit that breaks a rule, an
error or redirect with its title, a client that is known by a name. One of its texts shows it. So the short way gives
byte for byte what the long one gives, or nothing (tests/test_express.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from piwik_import.filters import Filters, FilterSettings
from piwik_import.hits import HitMaker, HitSettings, moment, visitor_key
from piwik_import.memo import RECENT, Memo
from piwik_import.parsers import begin
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.fields import ABSENT, REQUEST_PARTS
from piwik_import.parsers.record import Record, Request, Texts
from piwik_import.parsers.urls import with_scheme
from piwik_import.tracking import Hit, Value, writer

Fate = tuple[str, int] | str
"""What becomes of a line: the query string of its hit and the slot of its visitor, or the reason to leave it out."""

Express = Callable[[str], Fate | None]
"""The short way: a line to its fate; None if it has to go the long way."""

FIELDS = {
    *"ip time request status length referrer user_agent host scheme user generation_time duration".split(),
    *REQUEST_PARTS,
}
DEFINITION = {*"name title source aliases pattern json time_is others recognised samples file".split()}
FILTERS = {*"bots static errors redirects base_url downloads".split()}
HITS = {*"site base_url bots downloads".split()}
"""What a line may hold; what a format, the filters and the hits may ask for."""


def applies(definition: Definition, filters: FilterSettings, hits: HitSettings) -> bool:
    """Tell whether lines may go the short way: nothing is asked for that this module has not heard of.

    So a new field or setting, where it is used, sends the lines the long way until it is entered above.
    """
    return (
        definition.is_usual
        and FIELDS.issuperset(definition.fields)
        and all(
            setting.name in known or getattr(asked, setting.name) == _default(setting)
            for asked, known in ((definition, DEFINITION), (filters, FILTERS), (hits, HITS))
            for setting in fields(asked)
        )
    )


def _default(setting: Field[Any]) -> object:
    return setting.default if setting.default_factory is MISSING else setting.default_factory()


CODE = """
def express(line):
    texts = cut(line)
    if texts is None:
        return None
    {names}, = texts
    try:
        cip, slot = {ip}
        refused = {status}
        cdt = {time}
        unfit, static, url, download = {request}
        took = {generation_time}
        uid = {user}
        reason = unfit or refused or static
        if reason is not None:
            return reason
        reason, ua = {user_agent}
        if reason is not None:
            return reason
        urlref = {referrer}
    except ValueError:
        return None
    size = {length}
    return f"{first}{{url}}{{cip}}{{cdt}}{{urlref}}{{ua}}{{uid}}{{download}}{{took}}{{size}}{last}", slot
"""
"""The short way. A field that may refuse its text is looked up even if the line is left out: it may be a bad one."""

CLF_TIME = len("10/Oct/2026:13:55:36 -0700")
SECONDS = frozenset(f"{second:02}" for second in range(60))


class Page(NamedTuple):
    """The piece of a request."""

    unfit: str | None
    """The reason to leave it out that goes before all others."""
    static: str | None
    """The reason that comes after that of the status."""
    url: str = ""
    download: str = ""


class Pieces:
    """Finds out what each text comes to. Its methods raise ValueError for a text that has no piece."""

    def __init__(
        self,
        texts: Texts,
        filters: Filters,
        make_hit: HitMaker,
        slot_of: Callable[[str], int],
        *,
        span: str = "",
    ) -> None:
        self._names = texts.names
        self._cut = texts.cut
        self._read: dict[str, Callable[[Any], Any]] = {**dict.fromkeys(FIELDS, _absent), **texts.read}
        self._filters = filters
        self._make_hit = make_hit
        self._slot_of = slot_of
        self._span = span
        self._writers: Memo[str, Callable[[Value], str]] = Memo(writer)
        self._times: Memo[str, datetime] = Memo(self._read["time"], limit=RECENT)
        self._spans: Memo[str, int | None] = Memo(self._read[span or "generation_time"])
        self._moments: Memo[str, str] = Memo(partial(self._part, "cdt"), limit=RECENT)
        self._minutes: Memo[str, str | None] = Memo(self._minute, limit=RECENT)
        day_ago = datetime.now(UTC) - timedelta(days=1)
        self._least = Record("192.0.2.1", day_ago, Request("GET", "/"), host="example.org")
        self._least_hit = make_hit(self._least)

    def compile(self) -> Express:
        """Return the short way, written out for the fields of the format and compiled, as `Pattern` does.

        Raises InvalidHit if every hit would break a rule.
        """
        memos: dict[str, Memo[str, Any]] = {
            "ip": Memo(self._client),
            "time": Memo(self._time, limit=RECENT),
            "status": Memo(self._refused),
            "user_agent": Memo(self._agent),
            **{name: Memo(partial(self._added, name)) for name in ("referrer", "user", "generation_time")},
        }
        steps = {name: f"{name}_of[{name}]" if name in self._names else repr(memos[name][ABSENT]) for name in memos}
        steps["request"] = f"request_of[{', '.join(self._page_texts())}]"
        if self._span:
            steps["time"] = f"is_near[{self._span}] and end_of[time] or begin(time, {self._span})"
        steps["length"] = f"'' if length == '{ABSENT}' else '&bw_bytes=' + length" if "length" in self._names else "''"
        first, last = self._constants()
        scope: dict[str, Any] = {f"{name}_of": memo for name, memo in memos.items()}
        scope |= {"cut": self._cut, "request_of": Memo(self._page)}
        scope |= {"end_of": Memo(self._end, limit=RECENT), "is_near": Memo(self._is_near), "begin": self._begin}
        exec(CODE.format(names=", ".join(self._names), first=first, last=last, **steps), scope)
        express: Express = scope["express"]
        return express

    def _constants(self) -> tuple[str, str]:
        """Return what stands before and behind all that differs; it is encoded, so it has no quotes and no braces."""
        names = [*self._least_hit]
        parts = [self._part(name, self._least_hit[name]) for name in names]
        return "".join(parts[: names.index("url")])[1:], "".join(parts[names.index("cdt") + 1 :])

    def _page_texts(self) -> list[str]:
        """Return the texts that a page depends on: the request, in one or in parts, after a host and a scheme."""
        parts = ("request",) if "request" in self._names else REQUEST_PARTS
        texts = [name if name in self._names else repr(ABSENT) for name in parts]
        return [*(name for name in ("host", "scheme") if name in self._names), *texts]

    def _part(self, name: str, value: Value) -> str:
        return f"&{self._writers[name](value)}"

    def _with(self, field: str, value: object) -> Hit:
        """Return the least hit with one field more, or another one."""
        at = Record._fields.index(field)
        return self._make_hit(Record._make((*self._least[:at], value, *self._least[at + 1 :])))

    def _added(self, field: str, text: str) -> str:
        """Return what a field adds to the least hit."""
        hit = self._with(field, self._read[field](text))
        return "".join([self._part(name, hit[name]) for name in hit if name not in self._least_hit])

    def _client(self, text: str) -> tuple[str, int]:
        """Return the piece of an address and its slot."""
        hit = self._with("ip", self._read["ip"](text))
        self._check(hit)
        return self._part("cip", hit["cip"]), self._slot_of(visitor_key(hit))

    def _refused(self, text: str) -> str | None:
        """Return the reason that lies in a status."""
        status = self._read["status"](text)
        reason = self._filters.of_status(status)
        if reason is None:
            self._check(self._with("status", status))
        return reason

    def _check(self, hit: Hit) -> None:
        """Raise ValueError if a hit has more than the least one: that depends on other fields too."""
        if len(hit) > len(self._least_hit):
            raise ValueError("an unusual line")

    def _agent(self, text: str) -> tuple[str | None, str]:
        """Return the reason that lies in a user agent, and its piece."""
        reason = self._filters.of_agent(self._read["user_agent"](text))
        return reason, "" if reason else self._added("user_agent", text)

    def _page(self, texts: str | tuple[str, ...]) -> Page:
        parts = [texts] if isinstance(texts, str) else [*texts]
        host = self._read["host"](parts.pop(0)) if "host" in self._names else None
        if "scheme" in self._names:
            host = with_scheme(host, self._read["scheme"](parts.pop(0)))
        request = self._read["request"](parts if len(parts) > 1 else parts[0])
        unfit = self._filters.of_target(request, host)
        static = None if unfit else self._filters.of_path(request.path)
        if unfit or static:
            return Page(unfit, static)
        url = self._make_hit.url(request, host)
        download = self._part("download", url) if self._make_hit.is_file(request.path) else ""
        return Page(None, None, self._part("url", url), download)

    def _time(self, text: str) -> str:
        """Return the piece of a time. Where its minute was seen, only the seconds differ."""
        second = text[18:20]
        if len(text) == CLF_TIME and second in SECONDS and (minute := self._minutes[text[:18] + text[20:]]):
            return minute + second
        return self._moment(text)

    def _end(self, text: str) -> str:
        """Return the piece of when a request ended; nothing if more is known of that than the second."""
        time = self._times[text]
        return "" if time.microsecond else self._moments[moment(time)]

    def _is_near(self, text: str) -> bool:
        """Tell of what a request took whether it began in the second in which it ended, if no more is known of that."""
        return begin.is_near(self._spans[text])

    def _begin(self, end: str, took: str) -> str:
        """Return the piece of when a request began."""
        return self._moments[moment(begin.begin(self._times[end], self._spans[took]))]

    def _minute(self, text: str) -> str | None:
        """Return what the pieces of a minute begin with, if its first second and its last are good: all are then."""
        try:
            first, last = (self._moment(text[:18] + second + text[18:]) for second in ("00", "59"))
        except ValueError:
            return None
        return first[:-2] if first[-2:] == "00" and last == first[:-2] + "59" else None

    def _moment(self, text: str) -> str:
        return self._part("cdt", moment(self._read["time"](text)))


def _absent(_text: str) -> None:
    """Read a field that the format does not have."""

"""Requests to a tracker, in the log of the server that it runs on → the hits that they were (--replay-tracking).

What browsers asked of ``piwik.php`` goes out again, parameter by parameter, with the time, the address and the agent of
its line. Anybody can write such a request. So it is read as PHP reads it, for which ``token.auth`` and ``%63ip`` are
names too, and what takes a token to set is left out.

`replay` is something else: it sends again what the server did not record of an earlier import.

Source: https://matomo.org/faq/log-analytics-tool/faq_19221/ and, for names,
https://www.php.net/manual/en/language.variables.external.php
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import unquote

from piwik_import.hits import HitMaker
from piwik_import.kinds import SECRET, SITE
from piwik_import.mapping import text_of
from piwik_import.memo import Memo
from piwik_import.parameters import PARAMETERS, parameter
from piwik_import.parsers.record import BadLine, LeftOut, Record
from piwik_import.tracking import Hit, InvalidHit, encode, encode_rest

FILES = ("piwik.php", "matomo.php")
"""What trackers are called if nobody has changed that."""

BODIES = ("request_body", "body")
"""Fields of a log that may hold what was posted: nginx's ``$request_body``, and a key that it may be given in JSON."""

METHODS = frozenset({"GET", "POST", "HEAD"})
"""What the tracker records; OPTIONS only asks whether a POST may come, which then is a line of its own."""

PROTECTED = frozenset(row.name for row in PARAMETERS.values() if row.needs_token or row.kind is SECRET)
NOT_BELIEVED = "left out: it takes a token to set it, and anybody could have written the request"
OURS = frozenset({"send_image", "queuedtracking", "debug"})
"""What a request says of its answer, not of the hit."""

MOST = 1000
"""Parameters of a request that PHP reads: ``max_input_vars``."""


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Which requests are replayed, and what is changed of them. Holds data only, so it travels to other processes."""

    files: tuple[str, ...] = ()
    """How the paths of trackers end, as ``piwik.php`` or ``stats/hit/``; none replays nothing."""
    site: int | None = None
    """The site that all hits go to; None leaves each to the one that it names."""
    sites: frozenset[int] | None = None
    """Sites that there are, if that is known: a stranger may name any."""
    bots: bool = False
    """Whether the server is asked to record bots too, whatever the request asks."""
    redirects: bool = False
    """Whether requests count that were sent elsewhere, and came again there."""


class TrackerRequests:
    """Makes hits of requests to a tracker."""

    def __init__(self, settings: TrackerSettings, make_hit: HitMaker) -> None:
        self._settings = settings
        self._seen = make_hit.seen
        self._names: Memo[str, str] = Memo(name_of)
        ends = tuple([f"/{name.lstrip('/').lower()}" for name in settings.files])
        self._is_tracker: Memo[str, bool] = Memo(lambda path: path.lower().endswith(ends))
        self.left_out: Counter[tuple[str, str]] = Counter()
        """Parameters that were left out, and why → hits."""

    def __call__(self, record: Record) -> list[Hit]:
        """Return the hits that a request asks to record, at least one.

        Raises LeftOut if it is none, or asks for nothing to be recorded; BadLine if its body cannot be read.
        """
        if record.method not in METHODS or not self._is_tracker[record.path]:
            raise LeftOut("not_tracker")
        asked = self._asked(record)
        if self._comes_again(record.status or 200) and not any("redirecturl" in one for one in asked):
            raise LeftOut("redirect")
        hits = [self._hit(one, record) for one in asked if one.get("rec") == "1"]
        if not hits:
            raise LeftOut("no_body" if record.method == "POST" and _body(record) is None else "not_recorded")
        return hits

    def good(self, hits: list[Hit]) -> list[Hit]:
        """Return those of the hits of a line that can be sent, and count the others. Raises InvalidHit if none can."""
        if len(hits) == 1:  # which is encoded soon enough
            self._check_site(hits[0])
            return hits
        found, faults = [], []
        for hit in hits:
            try:
                self._check_site(hit)
                _try(hit)
            except InvalidHit as fault:
                faults.append(fault)
            else:
                found.append(hit)
        if not found:
            raise faults[0]
        for one in faults:
            self.left_out[one.parameter, f"{one.reason}: left out with its hit, one of several in a body"] += 1
        return found

    def _check_site(self, hit: Hit) -> None:
        """Raise InvalidHit if a hit names a site that there is not: a server that finds no hit good ends an import."""
        site, sites = str(hit.get("idsite", "")), self._settings.sites
        if sites is not None and SITE.accepts(site) and int(site) not in sites:
            raise InvalidHit("idsite", "there is no such site, or the token may not see it")

    def _comes_again(self, status: int) -> bool:
        """Tell whether a request was sent elsewhere, as from http to https; `redirecturl` is what the tracker obeys."""
        return 300 <= status < 400 and status != 304 and not self._settings.redirects

    def _asked(self, record: Record) -> list[dict[str, str]]:
        """Return the parameters of each hit that a request tells of, as PHP reads them."""
        query = record.query or ""
        body = _body(record) if record.method == "POST" else None
        if body is None:
            return [self._read(query)]
        document = bulk_of(body)
        if document is None:
            return [self._read(f"{body}&{query}")]  # the query counts, where both have a parameter
        return [*map(self._read_one, document)]

    def _read_one(self, one: object) -> dict[str, str]:
        """Read one of the requests of a bulk: a URL, or an object of parameters."""
        if isinstance(one, str):
            return self._read(one.partition("?")[2].partition("#")[0])
        if isinstance(one, dict):
            return self._named((name, text_of(value)) for name, value in one.items())
        return {}

    def _read(self, query: str) -> dict[str, str]:
        """Read a query; of a name given twice the last counts."""
        fields = (_without_more(field).replace("+", " ").partition("=") for field in query.split("&") if field)
        return self._named((_unquoted(name), _unquoted(text)) for name, _, text in fields)

    def _named(self, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return parameters under the names that PHP gives them."""
        found: dict[str, str] = {}
        places: Counter[str] = Counter()
        for raw, text in islice(pairs, MOST):
            name = self._names[raw]
            array, brackets, rest = name.partition("[]")
            if brackets:  # the next of an array: a[]=x&a[]=y is a[0]=x&a[1]=y
                while (name := f"{array}[{places[array]}]{rest.replace('[]', '[0]')}") in found:
                    places[array] += 1
            if name:
                found[name] = text
        return found

    def _hit(self, asked: Mapping[str, str], record: Record) -> Hit:
        """Return the hit of a request, as far as a stranger may say what it is."""
        hit: Hit = {}
        for name, text in asked.items():
            if protected := _protected(name):
                self.left_out[protected, NOT_BELIEVED] += 1
            elif name not in OURS and (text or _may_be_empty[name]):
                hit[name] = text
        if not (hit.get("url") or hit.get("urlref")) and "://" in (record.referrer or ""):
            hit["url"] = str(record.referrer)  # an image without JavaScript, on the page that it tracks
        ours = self._seen(record)
        if not hit.keys().isdisjoint({"cid", "_id"}):
            ours.pop("cid", None)
        if self._settings.site is not None:
            ours["idsite"] = self._settings.site
        if self._settings.bots:
            ours["bots"] = 1
        ours["queuedtracking"] = 0  # as in any other hit: see `hits`
        # What comes last counts in PHP, even over ua[x]=, which makes an array of it.
        return {name: value for name, value in hit.items() if name not in ours} | ours


def _try(hit: Hit) -> None:
    """Raise InvalidHit if a hit cannot be sent, not even without what breaks a rule."""
    try:
        encode(hit)
    except InvalidHit as fault:
        encode_rest(dict(hit), fault)


def _body(record: Record) -> object:
    """Return what was posted, if the log has it: a text, or the object that it is in JSON."""
    found = [(record.extra or {}).get(name) for name in BODIES]
    return next((body for body in found if isinstance(body, str | dict)), None)


def name_of(text: str) -> str:
    """Return the name that PHP gives a parameter called `text`; empty if it reads none.

    ``token.auth``, `` token auth`` and ``token[auth`` are ``token_auth``. What follows a NUL is no part of it, nor is
    what follows the brackets of an array.
    """
    name = text.lstrip(" ").partition("\0")[0]
    array = ARRAY.match(name)
    base, rest = (array[1], array[2]) if array else (name.replace("[", "_"), "")
    return base.translate(UNDERSCORES) + rest if base and name[0] != "[" else ""


ARRAY = re.compile(r"([^\[]*)((?:\[[^\]]*\])+)")
UNDERSCORES = str.maketrans(" .", "__")


def _protected(name: str) -> str | None:
    """Return which protected parameter a name stands for, however a server might read it."""
    plain = name.lower()
    if "token_auth" in plain.translate(FLAT):
        return "token_auth"
    base = plain.partition("[")[0]
    return base if base in PROTECTED else None


FLAT = str.maketrans("[ .", "___", "]")


def _without_more(field: str) -> str:
    """Return a field of a query without protected parameters behind a semicolon, which some servers cut at too."""
    if ";" not in field:
        return field
    first, *others = field.split(";")
    return ";".join([first, *(one for one in others if not _protected(_name_in(one)))])


def _name_in(field: str) -> str:
    return name_of(_unquoted(field.replace("+", " ").partition("=")[0]))


def _unquoted(text: str) -> str:
    return unquote(text, errors="surrogateescape") if "%" in text else text


def _takes_nothing(name: str) -> bool:
    """Tell whether a parameter may be empty. One that may not, and is, says nothing: no cookie, no earlier visit."""
    row = parameter(name)
    try:
        return row is None or bool(row.kind.accepts(""))
    except ValueError:
        return False


_may_be_empty: Memo[str, bool] = Memo(_takes_nothing)


def bulk_of(body: object) -> list[Any] | None:
    """Return the requests in the body of a bulk request; None if it is the body of a single one, a form.

    Raises BadLine if it is cut off, or else no JSON.
    """
    document = body
    if isinstance(body, str):
        if '"requests"' not in body:
            return None
        try:
            body.encode()  # PHP takes no JSON with other bytes than those of UTF-8
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise BadLine("the body of a bulk request is no JSON; it may have been cut off") from None
    requests = document.get("requests") if isinstance(document, dict) else None
    if not isinstance(requests, list):
        raise BadLine("the body of a bulk request has no list of requests")
    return requests


def notes(settings: TrackerSettings) -> Iterator[str]:
    """Say what a person may not expect."""
    if settings.files and settings.site is not None:
        yield f"all hits go to site {settings.site}, whatever site they name; without --idsite each goes to its own"

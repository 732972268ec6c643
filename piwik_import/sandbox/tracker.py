"""What a request is answered, and what is stored of it.

The answers are those that a real Matomo 5.2 was seen to give, the misleading ones too: 200 for a token that is wrong,
500 for a whole bulk because of one number. It knows few rules, as that server does, and answers by none of the table
in `parameters`; but it checks each hit against the table too, and reports what was recorded against it.

A visitor is its `cid` or `_id`, else its address and user agent. `uid` is kept but joins nobody.

This module knows nothing of sockets.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address
from math import isfinite
from typing import NamedTuple

from piwik_import.errors import printable
from piwik_import.memo import Memo
from piwik_import.parameters import fault
from piwik_import.sandbox import reporting
from piwik_import.sandbox.reporting import WHOLE, Parameters, id_of
from piwik_import.sandbox.store import Report, Row, Store
from piwik_import.tracking import decode

HOUR = 3600
WITHOUT_TOKEN = 4 * HOUR  # how far back cdt may reach
YEARS_20 = 20 * 365 * 24 * HOUR
FAILED_LOGINS = 20  # after more than these in an hour an address is answered with 500 only
CUT = 1024  # characters of a URL or title that are kept

HEX16 = re.compile("[0-9A-Fa-f]{16}")
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
BOTS = re.compile("bot|crawl|spider|slurp", re.IGNORECASE)
SPAMMERS = re.compile(r"https?://([^/]*\.)?(semalt\.com|buttons-for-website\.com)(/|$)")


KIND_WHEN: Mapping[str, Callable[[Parameters], object]] = {
    "ping": lambda hit: hit.get("ping") == "1",
    "ecommerce": lambda hit: hit.get("idgoal") == "0",
    "goal": lambda hit: hit.get("idgoal"),
    "search": lambda hit: hit.get("search"),
    "event": lambda hit: hit.get("e_c") and hit.get("e_a"),
    "content": lambda hit: hit.get("c_n"),
    "download": lambda hit: hit.get("download"),
    "outlink": lambda hit: hit.get("link"),
    "page": lambda _: True,
}
"""When a hit is of each of the kinds that the store knows; the first that holds counts."""

SQL_TAKES: Mapping[str, Callable[[str], object]] = {
    "bw_bytes": WHOLE.fullmatch,
    "lat": lambda text: DECIMAL.fullmatch(text) and abs(float(text)) < 1000,
    "long": lambda text: DECIMAL.fullmatch(text) and abs(float(text)) < 1000,
    "e_v": lambda text: not DECIMAL.fullmatch(text) or isfinite(float(text)),  # no number at all is left out
    "revenue": lambda text: not DECIMAL.fullmatch(text) or isfinite(float(text)),
}
"""Values that the tracker hands to SQL unseen. One that SQL does not take undoes the whole bulk."""


class Invalid(Exception):
    """A hit that the tracker refuses before it goes on with the next."""


class Refused(Exception):
    """A hit that SQL refuses, and with it the whole request."""


class Answer(NamedTuple):
    """What goes back over HTTP."""

    status: int
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"


def _json(status: int, document: object) -> Answer:
    return Answer(status, json.dumps(document).encode(), "application/json")


_faults: Memo[tuple[str, str], str | None] = Memo(lambda item: fault(*item))


def _counts(status: str, tracked: int, invalid: int) -> dict[str, object]:
    return {"status": status, "tracked": tracked, "invalid": invalid}


GIF = Answer(200, b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"), "image/gif")
NO_IMAGE = Answer(204)
TEXT = "text/plain; charset=utf-8"
ABOUT = Answer(200, b"<p>This is the tracker of a piwik-import sandbox: send it hits.</p>")
BAD_REQUEST = Answer(400, b"<p>Bad request: neither a valid hit nor a bulk of hits.</p>")
NOT_FOUND = Answer(404, b"<p>There are /piwik.php, /matomo.php and /index.php here.</p>")
SQL_ERROR = Answer(500, b"<p>The database refuses a value.</p>")


class Tracker:
    """A tracking server without its sockets.

    Its arguments are those of `Sandbox`, but `tokens` holds the superuser's too.
    """

    def __init__(
        self,
        store: Store,
        *,
        tokens: Mapping[str, str],
        sites: Mapping[int, str],
        goals: Iterable[int] | None,
        record_statistics: bool,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._sites = sites
        self._goals = None if goals is None else {str(goal) for goal in goals}
        self._record_statistics = record_statistics
        self._clock = clock
        self._invalid = self._refused = 0
        self._faults: Counter[str] = Counter()
        self._failures: deque[tuple[float, str]] = deque(maxlen=10_000)  # bounded: anybody may send wrong tokens

    def report(self) -> Report:
        """Return what is stored, and how much was refused."""
        faults = self._faults.most_common(10)
        return self._store.report(invalid=self._invalid, refused=self._refused, faults=faults)

    def answer(self, target: str, body: bytes | None, *, form: bool, address: str, agent: str) -> Answer:
        """Answer a request for `target`, a path and query; `body` is None for GET, and fields of a form if `form`."""
        path, _, text = target.partition("?")
        query = decode(text)
        fields = decode(body.decode("utf-8", "surrogateescape")) if body and form else {}
        if self._is_locked_out(address):
            return _json(500, _counts("error", 0, 0))
        if path == "/index.php":
            return self._api(query, fields, address)
        if path not in ("/piwik.php", "/matomo.php"):
            return NOT_FOUND
        if body and b'"requests"' in body:
            return self._bulk(query, body, address, agent)
        return self._single({**query, **fields}, address, agent) if query or body is not None else ABOUT

    def _bulk(self, query: Parameters, body: bytes, address: str, agent: str) -> Answer:
        try:
            document = json.loads(body)
            # An item without "?" is dropped before the hits are numbered.
            texts = [item.partition("?")[2].partition("#")[0] for item in document["requests"] if isinstance(item, str)]
            "".join(texts).encode()  # PHP takes no JSON with half a \ud83d pair
        except (ValueError, TypeError, LookupError, RecursionError):
            return _json(200, _counts("success", 0, 0))
        if not self._record_statistics:
            return _json(200, _counts("success", 0, 0))
        role = self._role(document.get("token_auth"), address)  # one in the URL is not looked at
        said: list[str] | None = [] if query.get("debug") == "1" else None
        counts, invalid = self._track([decode(text) for text in texts if text], role, address, agent, said)
        if said is not None:
            return _told(said, counts)
        if counts["status"] == "error":
            return _json(500, counts)
        if "0" in (str(document.get("send_image")), query.get("send_image")):
            return NO_IMAGE
        return _json(200, counts | {"invalid_indices": invalid} if role == "superuser" else counts)

    def _single(self, hit: Parameters, address: str, agent: str) -> Answer:
        if self._record_statistics:
            said: list[str] | None = [] if hit.get("debug") == "1" else None
            counts, invalid = self._track([hit], self._role(hit.get("token_auth"), address), address, agent, said)
            if said is not None:
                return _told(said, counts)
            if invalid or counts["status"] == "error":
                return BAD_REQUEST if invalid else SQL_ERROR
        return NO_IMAGE if hit.get("send_image") == "0" else GIF

    def _api(self, query: Parameters, fields: Parameters, address: str) -> Answer:
        role = self._role(fields.get("token_auth"), address)
        return _json(*reporting.answer({**query, **fields}, role, self._sites))

    def _role(self, token: object, address: str) -> str:
        """Return whose `token` it is; "" if nobody's, which is a failed login, or if there is none."""
        role = self._tokens.get(str(token), "")
        if token and not role:
            self._failures.append((self._clock(), address))
        return role

    def _is_locked_out(self, address: str) -> bool:
        since = self._clock() - HOUR
        return sum(who == address and when > since for when, who in self._failures.copy()) > FAILED_LOGINS

    def _track(
        self, hits: Iterable[Parameters], role: str, address: str, agent: str, said: list[str] | None = None
    ) -> tuple[dict[str, object], list[int]]:
        """Record `hits` in one transaction; return the counts to answer, and which hits were invalid.

        What becomes of each is put into `said`, if given.
        """
        may_override = role in ("superuser", "admin", "write")
        tracked = 0
        invalid: list[int] = []
        try:
            with self._store.transaction():
                for index, hit in enumerate(hits):
                    try:
                        row = self._row(hit, may_override, address, agent)
                        if row and not self._store.add(row):
                            raise Invalid("its ec_id is used already")
                        tracked += 1
                        if said is not None:
                            said += _said(row)
                        self._faults.update(filter(None, map(_faults.__getitem__, hit.items())))
                    except Invalid as reason:
                        invalid.append(index)
                        if said is not None:
                            said.append(f"Invalid: {reason}")
                self._invalid += len(invalid)
        except Refused as reason:
            self._refused += 1
            if said is not None:
                said[:] = [f"Nothing is recorded, for SQL refuses {reason}"]
            return _counts("error", tracked, len(invalid)), []
        return _counts("success", tracked, len(invalid)), invalid

    def _row(self, hit: Parameters, may_override: bool, address: str, agent: str) -> Row | None:
        """Return what to store of `hit`; None for what the tracker counts as tracked and leaves out."""
        now = self._clock()
        when = _when(hit, now)
        agent = hit.get("ua") or agent
        cip, cid, goal = hit.get("cip"), hit.get("cid"), hit.get("idgoal")
        site = id_of(hit.get("idsite"))
        if site not in self._sites:
            raise Invalid(f"there is no site {hit.get('idsite')}")
        if not may_override and (cip or now - when > WITHOUT_TOKEN):
            raise Invalid("cip, and a cdt over four hours old, need a token of a user who may write")
        bot = bool(BOTS.search(agent))
        if hit.get("rec") != "1" or (bot and hit.get("bots") != "1") or SPAMMERS.match(hit.get("urlref", "")):
            return None
        if cid and not HEX16.fullmatch(cid):
            raise Invalid("cid is not 16 hexadecimal digits")
        if goal and goal != "0" and self._goals is not None and goal not in self._goals:
            raise Invalid(f"there is no goal {goal}")
        if refused := [name for name in SQL_TAKES if hit.get(name) and not SQL_TAKES[name](hit[name])]:
            raise Refused(", ".join(refused))
        cip = _address[cip] if cip else address
        weak = hit.get("_id", "")
        visitor = cid or (weak if HEX16.fullmatch(weak) else _fingerprint[cip, agent])
        kind = next(kind for kind, holds in KIND_WHEN.items() if holds(hit))
        return Row(
            idsite=site,
            cip=cip,
            cdt=str(datetime.fromtimestamp(int(when), UTC))[:19],
            visitor=visitor.lower(),
            kind=kind,
            url=_cut(hit.get("url", "")),
            title=_cut(hit.get("action_name", "")),
            bot=bot,
            new_visit=hit.get("new_visit") == "1",
            ec_id=_cut(hit.get("ec_id", "")) or None if kind == "ecommerce" else None,
            parameters=json.dumps({name: text for name, text in hit.items() if name != "token_auth"}),
        )


def _said(row: Row | None) -> list[str]:
    """Say what became of a hit: the kind of action, whose and when, and every parameter."""
    if row is None:
        return ["Left out, though counted as tracked: no rec=1, a bot without bots=1, or referrer spam"]
    parameters: dict[str, str] = json.loads(row.parameters)
    lines = [f"Recorded: {row.kind} of visitor {row.visitor} from {row.cip} at {row.cdt} UTC on site {row.idsite}"]
    for name, text in parameters.items():
        wrong = _faults[name, text]
        lines.append(f"  {name} = {printable(text, 500)}" + (f"   (against the rules: {wrong})" if wrong else ""))
    return lines


def _told(said: list[str], counts: Mapping[str, object]) -> Answer:
    """Return the answer to debug=1: text in place of the image or the JSON, as a server gives that allows it."""
    text = "\n".join(["Debug enabled: what was recorded", *said, f"Counts: {json.dumps(counts)}", ""])
    return Answer(200, text.encode("utf-8", "replace"), TEXT)


def _when(hit: Parameters, now: float) -> float:
    """Return the Unix time to record `hit` at: now, if what it says cannot be read or cannot be."""
    when = _seconds[hit["cdt"]] if hit.get("cdt") else now
    when = now if when is None else when - id_of(hit.get("cdo"))
    return when if now - YEARS_20 < when <= now else now


@Memo
def _seconds(cdt: str) -> float | None:
    if WHOLE.fullmatch(cdt):
        return float(cdt)
    try:
        moment = datetime.fromisoformat(cdt)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


@Memo
def _address(cip: str) -> str:
    try:
        return cip if "%" not in cip and ip_address(cip) else "0.0.0.0"
    except ValueError:
        return "0.0.0.0"


@Memo
def _fingerprint(visitor: tuple[str, str]) -> str:
    return sha256("\n".join(visitor).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _cut(text: str) -> str:
    return text[:CUT].encode("utf-8", "surrogateescape").decode("utf-8", "replace")

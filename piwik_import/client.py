"""One request to the server, and what its answer means.

HTTP 200 does not mean recorded. A bulk request counts only if the status is 200, the body is JSON, its
``status`` is ``success`` and ``tracked + invalid`` is the number of hits sent; what is missing there is ``unknown``.
All else is one of three: `Refused`, which no repetition mends, `TooLarge`, which fewer hits mend, or `Failed`, which
time may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from piwik_import import __version__
from piwik_import.address import is_loopback, tracker_url
from piwik_import.connection import Connection
from piwik_import.errors import PiwikImportError, RefusedError, UnavailableError, UsageError, printable
from piwik_import.tracking import bulk_body

CONNECT_TIMEOUT = 30.0
HEADERS = {"User-Agent": f"piwik-import/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """The server has taken the hits, but for some."""

    rejected: int = 0
    """How many it calls invalid."""
    named: tuple[int, ...] = ()
    """Places of the rejected ones, where the server tells them: only a superuser's token learns them."""
    reason: str = ""
    unknown: int = 0
    """How many it neither recorded nor calls invalid: lost, as where a row lock times out."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server takes nothing from us, and would not if asked again."""

    reason: str
    in_doubt: bool = False
    """Whether it may have taken these hits all the same."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The request has more bytes than the server takes; none of its hits was recorded. Fewer may do."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The request came to nothing, or its answer to us did."""

    reason: str
    in_doubt: bool
    """Whether the hits may have been recorded all the same."""
    retry_after: float | None = None
    """Seconds that the server asked for."""
    status: int | None = None
    """That of the answer, if there was one."""
    unsent: bool = False
    """Whether it failed before the request left."""
    rolled_back: bool = False
    """Whether the tracker itself says that it took everything back: the error JSON of a 5xx."""
    tracked: int | None = None
    """What such JSON counts: the hits before the one that failed, so its place. All of them: in doubt, see above."""


Answer = Recorded | Refused | TooLarge | Failed


class Client:
    """The connection to one server, kept alive; safe to use from several threads. `url` is that of the tracker."""

    def __init__(self, connection: Connection, connections: int = 1) -> None:
        self.url = url = tracker_url(connection.url)
        self._token = connection.token
        timeout = connection.request_timeout
        # A request made once by hand takes a third less time than one that the client puts together each time.
        try:
            self._address = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise UsageError(f"--url {printable(url)}: {error}") from None
        self._headers = httpx.Headers(
            {"Host": self._address.netloc.decode("ascii"), "Content-Type": "application/json"} | HEADERS
        )
        self._http = httpx.Client(
            headers=HEADERS,
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT), pool=None),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            trust_env=not is_loopback(self._address.host),  # no proxy stands between this machine and itself
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, queries: Sequence[str]) -> Answer:
        """Send `queries` (encoded hits, without ``?``) as one bulk request and read the answer.

        Source: https://developer.matomo.org/api-reference/tracking-api#bulk-tracking
        """
        body = bulk_body(queries, self._token)
        try:
            response = self._http.send(httpx.Request("POST", self._address, headers=self._headers, content=body))
        except httpx.HTTPError as error:
            # Only what failed before the request left is certain not to have been recorded.
            before = isinstance(
                error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol
            )
            return Failed(_words(error), in_doubt=not before, unsent=before)
        return meaning(response, len(queries))

    def main_url(self, site: int) -> str:
        """Ask the server where `site` is. Raises as `site`."""
        return str(self.site(site)["main_url"])

    def site(self, site: int) -> dict[str, Any]:
        """Ask the server for what it knows of `site`.

        Source: https://developer.matomo.org/api-reference/reporting-api, SitesManager.getSiteFromId

        Raises:
            RefusedError: the token may not know, or there is no such site.
            UnavailableError: no answer that makes sense.
        """
        answer = self._report("SitesManager.getSiteFromId", idSite=site)
        found = answer[0] if isinstance(answer, list) and answer else answer
        if isinstance(found, dict) and isinstance(found.get("main_url"), str) and found["main_url"]:
            return found
        raise RefusedError(
            f"{self.url}: there is no site {site}, or the token may not see it. Check --idsite and --token-auth."
        )

    def _report(self, method: str, **parameters: object) -> Any:
        """Call a method of the Reporting API, with the token in the body: URLs end up in logs."""
        url = self.url.rpartition("/")[0] + "/index.php"
        query = {"module": "API", "method": method, "format": "JSON"} | {k: str(v) for k, v in parameters.items()}
        try:
            response = self._http.post(url, params=query, data={"token_auth": self._token or "anonymous"})
        except httpx.HTTPError as error:
            raise UnavailableError(f"{url}: {_words(error)}") from None
        answer = _json(response)
        if answer is None or response.status_code in (408, 425, 429, 503):  # which say nothing of token or site
            raise self._no_api(url, response)
        if response.status_code in (401, 403) or (isinstance(answer, dict) and answer.get("result") == "error"):
            said = printable(str(answer.get("message", "")) if isinstance(answer, dict) else "")
            raise RefusedError(
                f"{url} refuses {method}: {said.rstrip('.') or response.status_code}. Check --token-auth and --idsite."
            )
        return answer

    def _no_api(self, url: str, response: httpx.Response) -> PiwikImportError:
        status = response.status_code
        error = UnavailableError if status >= 500 or status in (200, 408, 425, 429) else RefusedError
        return error(f"{url}: {_shown(response)} is no answer of the Reporting API. Check --url, or say --base-url.")


def meaning(response: httpx.Response, sent: int) -> Answer:
    """Tell what the answer to a bulk request of `sent` hits means."""
    status = response.status_code
    found = _json(response)
    answer = found if isinstance(found, dict) else {}
    if status == 200 and answer.get("status") == "success":
        return _counted(answer, sent)
    if status in (408, 425, 429, 503):
        return Failed(f"the server says {_shown(response)}", False, _retry_after(response), status)
    if status == 413:
        return TooLarge(
            f"a request is too large for the server ({_shown(response)}): lower --recorder-max-payload-size"
        )
    if status in (401, 403):
        return Refused(
            f"the server refuses us ({_shown(response)}): check the token, and what stands before the server"
        )
    if 300 <= status < 400:
        target = printable(response.headers.get("Location", "nowhere"))
        return Refused(f"the server redirects ({status}) to {target}: give that address as --url")
    if 400 <= status < 500:
        return Refused(f"{_shown(response)} is no answer of a tracker that takes bulk requests: check --url")
    if status >= 500:
        # An error of the tracker itself says that its transaction was rolled back; one of a proxy says nothing. The
        # tracker's, with every hit counted, failed in the commit or after it: what came of that nobody can tell.
        tracked = answer.get("tracked") if answer.get("status") == "error" else None
        place = tracked if type(tracked) is int and 0 <= tracked <= sent else None
        rolled_back = place is not None and place < sent
        return Failed(
            f"the server says {_shown(response)}",
            in_doubt=not rolled_back,
            retry_after=_retry_after(response),
            status=status,
            rolled_back=rolled_back,
            tracked=place,
        )
    return Failed(f"{_shown(response)} is no answer of a tracker: check --url", in_doubt=True, status=status)


def _counted(answer: dict[str, Any], sent: int) -> Answer:
    """Read the counts of an answer that says success."""
    tracked, invalid = answer.get("tracked"), answer.get("invalid", 0)
    if (
        not isinstance(tracked, int)
        or not isinstance(invalid, int)
        or min(tracked, invalid, sent - tracked - invalid) < 0
    ):
        return Refused("the server counts other hits than it was sent: what it recorded is not known", in_doubt=True)
    if tracked + invalid == 0:
        return Refused("the server answers success, but records nothing: are its statistics switched off?")
    named = answer.get("invalid_indices")
    places = (
        tuple(place for place in named if type(place) is int and 0 <= place < sent) if isinstance(named, list) else ()
    )
    unknown = sent - tracked - invalid
    if unknown:
        reason = f"{unknown} of them it neither recorded nor named"
    else:
        reason = "it is invalid" if places else "it calls them invalid"
    return Recorded(invalid, places if len(places) == invalid else (), reason, unknown)


def _json(response: httpx.Response) -> Any:
    """Return what an answer says in JSON; None if it is no JSON."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _shown(response: httpx.Response) -> str:
    """Show an answer in few words: status, type, first words."""
    kind = response.headers.get("Content-Type", "no type").partition(";")[0]
    words = " ".join(response.text[:400].split())
    return (
        f"{response.status_code} {printable(kind)}: {printable(words, 80)}"
        if words
        else f"{response.status_code}, empty"
    )


def _words(error: httpx.HTTPError) -> str:
    """Say what went wrong with a connection."""
    name = type(error).__name__
    said = printable(str(error)) or name
    return f"no answer in time ({name})" if isinstance(error, httpx.TimeoutException) else said


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None

"""One server as an import sees it: a tracker that takes hits, and a Reporting API that answers questions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from piwik_import.address import api_url, tracker_url
from piwik_import.client.answer import Answer, Failed
from piwik_import.client.meaning import LATER, document, of_bulk, of_single, shown
from piwik_import.client.transport import NoReply, Reply, Transport, proxy_for
from piwik_import.connection import Connection
from piwik_import.errors import PiwikImportError, RefusedError, UnavailableError, UsageError, printable
from piwik_import.tracking import bulk_body

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

Place = tuple[httpx.URL, httpx.Headers]
"""Where requests go, and the headers of them all: made once, they save a third of a request's time."""


class Client:
    """The connection to one server, kept alive; safe to use from several threads.

    Args:
        note: takes what a person should know, such as a redirect that is followed.

    Raises:
        UsageError: an address cannot be one, or a file of certificates not be used.
    """

    def __init__(self, connection: Connection, note: Callable[[str], object] = lambda _: None) -> None:
        self.url = tracker_url(connection.url, connection.tracker_path)
        self._connection = connection
        self._note = note
        self._transport = Transport(connection)
        self._type = JSON if connection.bulk else FORM
        self._tracker = self._place(self.url, "debug=1" if connection.debug else "", self._type)
        self._transport.open(self._tracker[0])
        self._api = api_url(connection.url)
        self._debugged = False

    @property
    def proxy(self) -> httpx.URL | None:
        """The proxy on the way, with its password; None if there is none."""
        return proxy_for(self._connection, self._tracker[0])

    @property
    def door(self) -> tuple[str, int]:
        """Host and port to connect to: the proxy's, or the server's."""
        url = self.proxy or self._tracker[0]
        return url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 1080)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def encode(self, queries: Sequence[str]) -> bytes:
        """Return the body of the request that `send` sends: `queries` (encoded hits, without ``?``) and the token.

        Without bulk requests there must be one.

        Source: https://developer.matomo.org/api-reference/tracking-api#bulk-tracking
        """
        token = self._connection.token
        if self._connection.bulk:
            return bulk_body(queries, token)
        (query,) = queries
        secret = "" if token is None else f"&token_auth={quote(token, safe='')}"
        return f"{query}{secret}".encode("ascii")

    def send(self, body: bytes, hits: int, meanwhile: Callable[[], object] | None = None) -> Answer:
        """Send so many hits, as `encode` returns them, in one request, and read the answer.

        `meanwhile` is called while the server is at work; what it raises is raised.
        """
        debug = self._connection.debug
        try:
            reply = self._ask("POST", body, meanwhile=meanwhile)
        except NoReply as error:
            return Failed(error.reason, in_doubt=not error.unsent, unsent=error.unsent, lasting=error.lasting)
        if debug:
            self._show(reply)
        return of_bulk(reply, hits, debug) if self._connection.bulk else of_single(reply, debug)

    def _show(self, reply: Reply) -> None:
        """Show what the tracker says that it does; of the first request only, for it says a lot."""
        if not self._debugged:
            self._debugged = True
            lines = [printable(line, 1000) for line in reply.text.splitlines() if line.strip()]
            if document(reply) is not None or reply.body.startswith(b"GIF8") or not lines:
                lines = [
                    "nothing of what it does: that needs debug_on_demand = 1 under [Tracker] in its config.ini.php"
                ]
            print(
                f"piwik-import: the tracker says ({reply.status}):", *lines, sep="\n    ", file=sys.stderr, flush=True
            )

    def main_url(self, site: int | None) -> str:
        """Ask the server where `site` is; None is one that the token may see.

        Raises:
            RefusedError: the token may not know, or there is no such site.
            UnavailableError: no answer that makes sense.
        """
        found = self.site(site).get("main_url")
        if isinstance(found, str) and found:
            return found
        raise self._no_site(site)

    def site(self, site: int | None) -> dict[str, Any]:
        """Ask the server what it knows of `site`: ``main_url``, ``timezone``, ``name`` and more.

        None is one that the token may see. Source: https://developer.matomo.org/api-reference/reporting-api,
        SitesManager.getSiteFromId and SitesManager.getSitesWithAtLeastViewAccess

        Raises:
            RefusedError: the token may not know, or there is no such site.
            UnavailableError: no answer that makes sense.
        """
        if site is None:
            answer = self.report("SitesManager.getSitesWithAtLeastViewAccess", limit=1)
        else:
            answer = self.report("SitesManager.getSiteFromId", idSite=site)
        found = answer[0] if isinstance(answer, list) and answer else answer
        if isinstance(found, dict) and found:
            return found
        raise self._no_site(site)

    def report(self, method: str, **parameters: object) -> Any:
        """Call a method of the Reporting API, with the token in the body: URLs end up in logs.

        Raises:
            RefusedError: the API says no.
            UnavailableError: no answer of a Reporting API.
        """
        try:
            reply = self.call(method, **parameters)
        except NoReply as error:
            raise UnavailableError(f"{self._api}: {error.reason}") from None
        answer = document(reply)
        if answer is None or reply.status in LATER:  # which say nothing of token or site
            raise self._no_api(reply)
        if reply.status in (401, 403) or (isinstance(answer, dict) and answer.get("result") == "error"):
            said = reply.hidden(str(answer.get("message", ""))) if isinstance(answer, dict) else ""
            raise RefusedError(
                f"{self._api} refuses {method}: {printable(said).rstrip('.') or reply.status}."
                " Check --token-auth and --idsite."
            )
        return answer

    def call(self, method: str, **parameters: object) -> Reply:
        """Call a method of the Reporting API and return its answer as it is. Raises NoReply."""
        query = {"module": "API", "method": method, "format": "JSON"} | {k: str(v) for k, v in parameters.items()}
        body = urlencode({"token_auth": self._connection.token or "anonymous"}).encode()
        asked = self._place(self._api, urlencode(query), FORM)
        reply, place = self._exchange("POST", asked, FORM, body)
        if place is not asked:
            self._api = str(place[0].copy_with(query=None))
        return reply

    def look(self) -> Reply:
        """Open the tracker's page as a browser does, which records nothing and needs no token. Raises NoReply.

        If that is redirected to https, so is all that follows.
        """
        return self._ask("GET", certificate=True)

    def takes(self, size: int) -> bool | None:
        """Tell whether the server takes a request of so many bytes; None if that cannot be told.

        The request holds no hit and no token, but spaces.
        """
        try:
            reply, _ = self._exchange("POST", self._tracker, JSON, b'{"requests":[]}'.ljust(size))
        except NoReply:
            return None
        return None if reply.status >= 500 else reply.status != 413

    def _ask(
        self,
        method: str,
        body: bytes = b"",
        *,
        certificate: bool = False,
        meanwhile: Callable[[], object] | None = None,
    ) -> Reply:
        """Make a request to the tracker, which is at https from then on if that is asked for."""
        reply, place = self._exchange(
            method, self._tracker, self._type, body, certificate=certificate, meanwhile=meanwhile
        )
        if place is not self._tracker:
            self.url, self._tracker = str(place[0].copy_with(query=None)), place
        return reply

    def _exchange(
        self,
        method: str,
        place: Place,
        content_type: str,
        body: bytes = b"",
        *,
        certificate: bool = False,
        meanwhile: Callable[[], object] | None = None,
    ) -> tuple[Reply, Place]:
        """Make a request, again at https if that is asked for; return the answer, and where it came from."""
        send = partial(self._transport.send, method, body=body, certificate=certificate, meanwhile=meanwhile)
        reply = send(*place)
        if 300 <= reply.status < 400 and (secure := self._secured(place[0], reply)) is not None:
            place = secure, self._transport.headers(secure, content_type)
            reply = send(*place)
        return reply, place

    def _place(self, url: str, query: str, content_type: str) -> Place:
        """Return an address made once, with the headers for it, so that each request need not."""
        whole = "&".join(filter(None, (query, self._connection.suffix)))
        try:
            made = httpx.URL(f"{url}?{whole}" if whole else url)
        except httpx.InvalidURL as error:
            raise UsageError(f"--url {printable(url)}: {error}") from None
        return made, self._transport.headers(made, content_type)

    def _secured(self, url: httpx.URL, reply: Reply) -> httpx.URL | None:
        """Return where a redirect goes that only asks for https; any other would take the token somewhere else."""
        try:
            target = url.join(reply.headers.get("Location", ""))
        except httpx.InvalidURL:
            return None
        if (url.scheme, target.scheme, target.host) != ("http", "https", url.host):
            return None
        self._note(f"http://{url.netloc.decode()} redirects to https, which is followed: better give that as --url")
        return target.copy_with(query=url.query or None)

    def _no_site(self, site: int | None) -> RefusedError:
        which = "no site" if site is None else f"no site {site}"
        return RefusedError(
            f"{self._api}: there is {which}, or the token may not see it. Check --idsite and --token-auth."
        )

    def _no_api(self, reply: Reply) -> PiwikImportError:
        error = UnavailableError if reply.status >= 500 or reply.status in (200, *LATER) else RefusedError
        return error(f"{self._api}: {shown(reply)} is no answer of the Reporting API. Check --url, or say --base-url.")

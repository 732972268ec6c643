"""Try a server, step by step, with requests that record nothing: what is so, or what to do.

A hit without ``rec=1`` is left out by the tracker, but only after it has looked at the token and the site: so it tells
of both, and of bulk requests, without a trace. A wrong token costs one failed login, for nothing is asked after that: a
server shuts out whoever has too many.

Source: https://developer.matomo.org/api-reference/tracking-api, rec
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import urlsplit

from piwik_import.address import is_loopback
from piwik_import.client import Client, Failed, Recorded, Refused
from piwik_import.client.deadline import CONNECT, TLS
from piwik_import.client.meaning import STATUSES, document, shown
from piwik_import.client.transport import NoReply, Reply
from piwik_import.connection import Connection
from piwik_import.errors import RefusedError, UnavailableError, printable

TRIAL = "idsite={site}&cip=192.0.2.1&url=http%3A%2F%2Fpiwik-import.invalid%2F&ua=Googlebot"
"""A hit that no tracker records: without ``rec=1``, and by a bot; its `cip` needs a token that may write."""

SOON = 14
"""Days before its expiry from which on a certificate is worth a warning."""

APART = 60
"""Seconds between two clocks that are worth one: a hit of the future is recorded at the time of its arrival."""

NGINX = 1024 * 1024
"""Bytes of a request that nginx takes, if it is not told otherwise."""

VISIBLE = "SitesManager.getSitesIdWithAtLeastViewAccess"

REFUSED, UNAVAILABLE = RefusedError.exit_code, UnavailableError.exit_code

MISSING = re.compile("does not exist|not available|no such method", re.IGNORECASE)
"""What servers say of a method that they do not have."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried."""

    name: str
    state: str
    """``ok``, ``warning``, ``failed`` or ``skipped``."""
    said: str
    """What is so, or what to do."""
    exit_code: int = 0


def trial(client: Client, site: int) -> None:
    """Send a hit that is not recorded. Raises RefusedError; a server in trouble is no news here."""
    step = _sending(client, site)
    if step.exit_code == REFUSED:
        raise RefusedError(f"{client.url}: {step.said} (tried with a hit that is not recorded)")


def sites(client: Client) -> frozenset[int] | None:
    """Ask which sites the token's user may see; None if the server does not tell."""
    return frozenset(_ids(_told(client, VISIBLE))) or None


def steps(connection: Connection, site: int) -> Iterator[Step]:
    """Yield what was tried, each as soon as it is known; the first that failed is the last."""
    with Client(connection) as client:
        for step in _steps(client, connection, site):
            yield step
            if step.state == "failed":
                return


def _steps(client: Client, connection: Connection, site: int) -> Iterator[Step]:
    yield _resolving(client, connection)
    before = client.url
    try:
        page = client.look()
    except NoReply as error:
        if error.stage != CONNECT:
            yield Step("connects", "ok", "")
        name = {CONNECT: "connects", TLS: "TLS"}.get(error.stage, "answers")
        yield Step(name, "failed", error.reason, UNAVAILABLE)
        return
    yield Step("connects", "ok", _way(client, connection))
    yield _tls(page, client.url, connection)
    yield _redirect(page, before, client.url)
    yield _page(page)
    told = _version(client)
    yield told
    if told.state == "ok":
        yield _rights(client, site)
        yield _site(client, site)
    yield _sending(client, site, connection.debug)
    yield _clock(page)
    if connection.bulk:
        yield _limit(client)


def _resolving(client: Client, connection: Connection) -> Step:
    if connection.unix_socket is not None:
        return Step("resolves", "skipped", "a socket has no name to look up")
    whose = "the proxy " if client.proxy else ""
    host, port = client.door
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        said = f"{whose}{printable(host)} has no address ({printable(error.strerror or str(error))}): check its name"
        return Step("resolves", "failed", said, UNAVAILABLE)
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return Step("resolves", "ok", f"{whose}{printable(host)}: {', '.join(addresses)}")


def _way(client: Client, connection: Connection) -> str:
    if connection.unix_socket is not None:
        return f"through {printable(str(connection.unix_socket))}"
    return "through the proxy" if client.proxy else ""


def _tls(page: Reply, url: str, connection: Connection) -> Step:
    if page.certificate is None:
        host = urlsplit(url).hostname or ""
        if is_loopback(host) or connection.unix_socket is not None:
            return Step("TLS", "skipped", "nothing leaves this machine")
        return Step("TLS", "warning", "plain http: whoever stands in between can read the token; use https")
    if connection.insecure:
        return Step("TLS", "warning", "the certificate is not checked (--insecure)")
    until = ssl.cert_time_to_seconds(str(page.certificate["notAfter"]))
    days = int((until - time()) // 86_400)
    said = (
        f"{_name(page.certificate, 'subject')}, by {_name(page.certificate, 'issuer')},"
        f" until {datetime.fromtimestamp(until, UTC):%Y-%m-%d}"
    )
    return Step("TLS", "warning", f"{said}: renew it soon") if days < SOON else Step("TLS", "ok", said)


def _name(certificate: Mapping[str, Any], whose: str) -> str:
    """Return the most telling name of a certificate's subject or issuer."""
    names = {key: value for part in certificate.get(whose, ()) for key, value in part}
    others = [value for _, value in certificate.get("subjectAltName", ())] if whose == "subject" else []
    said = next(filter(None, (names.get("commonName"), *others, names.get("organizationName"))), "unknown")
    return printable(str(said), 80)


def _redirect(page: Reply, before: str, after: str) -> Step:
    if 300 <= page.status < 400:
        target = printable(page.hidden(page.headers.get("Location", "nowhere")))
        said = f"to {target}: the token does not go there unless that is the --url"
        return Step("redirect", "failed", said, REFUSED)
    if before != after:
        return Step("redirect", "warning", f"to {printable(after)}, which is followed: better give that as --url")
    return Step("redirect", "ok", "none")


def _page(page: Reply) -> Step:
    """Judge what the tracker shows to a browser."""
    server = printable(page.headers.get("Server", ""), 40)
    if page.status >= 500:
        return Step("answers", "failed", shown(page), UNAVAILABLE)
    if page.status in STATUSES:
        return Step("answers", "failed", f"{shown(page)}: {STATUSES[page.status]}", REFUSED)
    if re.search("matomo|piwik", page.text[:4000], re.IGNORECASE) or page.body.startswith(b"GIF8"):
        return Step("answers", "ok", f"a tracker{server and f', served by {server}'}")
    return Step("answers", "warning", f"{shown(page)}: not what a tracker shows to a browser; check --url")


def _version(client: Client) -> Step:
    """Ask which version it is, and learn by that whether the token is good: old servers call the method otherwise."""
    for method in ("API.getMatomoVersion", "API.getPiwikVersion"):
        try:
            reply = client.call(method)
        except NoReply as error:
            return _no_api(error.reason)
        found = document(reply)
        if not isinstance(found, dict) or reply.status >= 500:
            return _no_api(shown(reply))
        if "value" in found:
            return Step("token", "ok", f"valid; version {printable(str(found['value']), 20)}")
        said = printable(reply.hidden(str(found.get("message", "")))).rstrip(".")
        if not MISSING.search(said):
            return Step("token", "failed", f"{said or shown(reply)}: check --token-auth", REFUSED)
    return _no_api("it does not tell its version")


def _no_api(why: str) -> Step:
    return Step("token", "skipped", f"no Reporting API to ask ({why}): the tracker itself will tell")


def _rights(client: Client, site: int) -> Step:
    """Find out what the token's user may do; methods that old servers do not have tell nothing."""
    if _told(client, "UsersManager.hasSuperUserAccess") in ({"value": True}, {"value": 1}, {"value": "1"}):
        return Step("rights", "ok", "superuser")
    for role, method in (("admin", "AdminAccess"), ("write", "WriteAccess")):
        if site in _ids(_told(client, f"SitesManager.getSitesIdWith{method}")):
            return Step("rights", "ok", f"{role} of site {site}")
    visible = _ids(_told(client, VISIBLE))
    if site in visible:
        said = f"the token's user may only view site {site}: give him write access (before Matomo 3.9: admin)"
        return Step("rights", "failed", said, REFUSED)
    if visible:
        seen = ", ".join(map(str, sorted(visible)[:10]))
        return Step("rights", "failed", f"the token's user sees no site {site}, but {seen}: check --idsite", REFUSED)
    return Step("rights", "skipped", "the server does not tell")


def _told(client: Client, method: str) -> Any:
    """Return what a method says; None if it says nothing of use."""
    try:
        reply = client.call(method)
    except NoReply:
        return None
    return document(reply) if reply.status == 200 else None


def _ids(found: Any) -> set[int]:
    """Return the sites of an answer: a list of numbers, of texts of them, or of objects."""
    values = [one.get("idsite") if isinstance(one, dict) else one for one in found] if isinstance(found, list) else []
    return {int(text) for text in map(str, values) if re.fullmatch("[0-9]{1,18}", text)}


def _site(client: Client, site: int) -> Step:
    try:
        found = client.site(site)
    except UnavailableError as error:
        return Step("site", "skipped", str(error))
    except RefusedError as error:
        return Step("site", "failed", str(error), REFUSED)
    known = [printable(str(found[key])) for key in ("name", "main_url", "timezone") if found.get(key)]
    return Step("site", "ok", f"{site}: {', '.join(known)}")


def _sending(client: Client, site: int, debug: bool = False) -> Step:
    """Send a hit that is not recorded; where `debug` is asked for, counts are not to be expected."""
    answer = client.send(client.encode([TRIAL.format(site=site)]), 1)
    if isinstance(answer, Failed):
        return Step("hits", "failed", answer.reason, UNAVAILABLE)
    if debug and isinstance(answer, Refused) and answer.in_doubt:
        return Step("hits", "warning", answer.reason)
    if not isinstance(answer, Recorded):
        return Step("hits", "failed", answer.reason, REFUSED if isinstance(answer, Refused) else UNAVAILABLE)
    if answer.rejected:
        said = (
            "the server calls hits invalid. Either the token is not that of a user with write access to the site"
            f" (check --token-auth), or there is no site {site} (check --idsite)"
        )
        return Step("hits", "failed", said, REFUSED)
    return Step("hits", "ok", f"taken for site {site}; the one sent is not recorded")


def _clock(page: Reply) -> Step:
    try:
        apart = (parsedate_to_datetime(page.headers.get("Date", "")) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return Step("clock", "skipped", "the server does not tell the time")
    if abs(apart) <= APART:
        return Step("clock", "ok", "as ours")
    which = "ahead of" if apart > 0 else "behind"
    return Step("clock", "warning", f"the server's is {abs(apart):,.0f} s {which} ours: set both by NTP")


def _limit(client: Client) -> Step:
    taken = client.takes(NGINX + 1)
    if taken is None:
        return Step("limit", "skipped", "how large a request may be is not known")
    if taken:
        return Step("limit", "ok", "requests of 1 MiB are taken")
    said = "requests of 1 MiB are not taken (nginx: client_max_body_size): keep to chunks of some hundred hits"
    return Step("limit", "ok", f"{said} (--recorder-max-payload-size)")

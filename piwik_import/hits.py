"""A record → a hit: the parameters of one tracking request, not yet encoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from piwik_import.filters import extension, is_static
from piwik_import.memo import RECENT, Memo
from piwik_import.parsers.client_address import HOST_NAME
from piwik_import.parsers.record import BadLine, Record, Request, split_port
from piwik_import.tracking import Hit

DOWNLOADS = frozenset(
    "7z aac apk arc arj asc asf asx avi azw3 bin bz2 csv deb dmg doc docx epub exe flac flv gz gzip ics iso jar m4a m4v"
    " mobi mov mp2 mp3 mp4 mpeg mpg msi msp odb odf odg odp ods odt ogg ogv pdf phps pkg ppt pptx qt qtm ra ram rar rpm"
    " rtf sea sit tar tbz tbz2 tgz torrent txt wav webm wma wmv wpd xls xlsx xsd xz z zip zst".split()
)
"""Extensions of files that people fetch to keep: recorded as downloads, not as pages."""


@dataclass(frozen=True, slots=True)
class HitSettings:
    """What a hit holds that its line does not say."""

    site: int
    base_url: str | None = None
    """Where the pages are of a log that names no host: ``https://example.org``."""
    bots: bool = False
    """Whether the server is asked to record bots too."""
    downloads: frozenset[str] = DOWNLOADS


class Client(NamedTuple):
    """Who made the request."""

    cip: str
    name: str | None
    """The host name, where the log has one in place of the address."""


class HitMaker:
    """Makes hits of records. What depends on one text alone is worked out once for each text."""

    def __init__(self, settings: HitSettings) -> None:
        self.nameless = 0
        """Hits so far whose client is known by a host name, and by no address that could be sent."""
        self._bots = settings.bots
        self._always: Hit = {"idsite": settings.site, "rec": 1, "apiv": 1}
        scheme = (settings.base_url or "http://").partition("://")[0]
        self._bases: Memo[str | None, str] = Memo(lambda host: _base(settings.base_url, scheme, host))
        self._clients: Memo[str | None, Client] = Memo(_client)
        self._times: Memo[datetime, str] = Memo(moment, limit=RECENT)
        self._downloads = settings.downloads
        self._is_file: Memo[str, bool] = Memo(self.is_file)

    def __call__(self, record: Record) -> Hit:
        """Return the hit of `record`. Raises BadLine if the log does not say enough for one."""
        ip, time, request, status, length, referrer, agent, host, user, milliseconds, *_ = record
        url = self.url(request, host)
        cip, name = self._clients[ip]
        hit = self._always | {"url": url, "cip": cip, "cdt": self._times[time]}
        if name is not None:
            self.nameless += 1
            hit["cid"] = _id_of(name, agent)
        if referrer is not None:
            hit["urlref"] = referrer
        if agent is not None:
            hit["ua"] = agent
        if user is not None and status != 401 and user.strip():  # a name that was not let in proves nothing
            hit["uid"] = user
        if status is not None and status >= 300 and status != 304:
            hit["action_name"] = _title(status, request, referrer)
        elif self._is_file[request.path]:
            hit["download"] = url
        if milliseconds is not None:
            hit["gt_ms"] = hit["pf_srv"] = milliseconds  # Piwik and Matomo 3 know the first, Matomo 4 the second
        if length is not None:
            hit["bw_bytes"] = length
        if self._bots:
            hit["bots"] = 1
        hit["queuedtracking"] = 0  # the answer must tell what was recorded, not what was put into a queue
        return hit

    def seen(self, record: Record) -> Hit:
        """Return what the server itself saw of a client, whatever that said: address, time, agent."""
        cip, name = self._clients[record.ip]
        hit: Hit = {"cip": cip, "cdt": self._times[record.time]}
        if record.user_agent is not None:
            hit["ua"] = record.user_agent
        if name is not None:
            self.nameless += 1
            hit["cid"] = _id_of(name, record.user_agent)
        return hit

    def url(self, request: Request, host: str | None) -> str:
        """Return the URL of what was requested. Raises BadLine if nothing says where the pages are."""
        return self._bases[host] + _target(request)  # urljoin would take the path //wp-login.php for a host

    def is_file(self, path: str) -> bool:
        """Tell whether a path is that of a file, no page."""
        return extension(path) in self._downloads or is_static(path)


def moment(time: datetime) -> str:
    """Return a time as the server reads it."""
    return time.isoformat(" ", "seconds")[:19]


def visitor_key(hit: Hit) -> str:
    """Return what the server knows the visitor by: all hits with one key belong into one lane."""
    return str(hit["cid"] if "cid" in hit else hit["_id"] if "_id" in hit else hit["cip"])


def _base(base_url: str | None, scheme: str, host: str | None) -> str:
    """Return what stands before the path in the URLs of one logged host, or of a log that names none."""
    if host is None:
        if base_url is None:
            raise BadLine("the line names no host; say with --base-url where its pages are")
        return base_url.rstrip("/")
    if "://" in host:
        return host
    name, port = split_port(host)
    schemes = {"80": "http", "443": "https"}
    return f"{schemes.get(port, scheme)}://{name if port in schemes else host}"


def _target(request: Request) -> str:
    return request.path if request.query is None else f"{request.path}?{request.query}"


def _client(ip: str | None) -> Client:
    """Return the address to send. The server stores 0.0.0.0 for whatever is no bare address."""
    if ip is None:
        return Client("0.0.0.0", None)
    return Client("0.0.0.0", ip) if HOST_NAME.fullmatch(ip) else Client(ip, None)


def _id_of(name: str, agent: str | None) -> str:
    """Return the ID of a visitor who is known by the host's name."""
    return hashlib.sha256(f"{name}\n{agent}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _title(status: int, request: Request, referrer: str | None) -> str:
    """Return ``404/URL = %2Fa/From = …``, the title that Piwik's guide to tracking errors made common.

    A slash begins a category, so the parts are quoted.
    """
    title = f"{status}/URL = {_quoted(_target(request)[:LONGEST])}"
    return title if referrer is None else f"{title}/From = {_quoted(referrer[:LONGEST])}"


LONGEST = 4096
"""Characters of an address in a title: the server keeps 1024 of the whole, and quoting those of 1 MiB takes 0.2 s."""


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")

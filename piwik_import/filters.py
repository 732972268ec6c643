"""Which records are left out, and why."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from piwik_import.memo import Memo
from piwik_import.parsers.record import Record, Request, split_port

REASONS = {
    "bot": "requests of bots (--enable-bots brings them in)",
    "static": "static files (--enable-static)",
    "error": "errors: status 4xx or 5xx (--enable-http-errors)",
    "redirect": "redirects: status 3xx but 304 (--enable-http-redirects)",
    "empty_request": "connections that sent no request",
    "garbage_request": "requests that are not HTTP",
    "connect": "CONNECT requests",
    "asterisk": "requests for no page (OPTIONS *)",
    "proxy": "requests for other hosts, as to a proxy",
    "not_tracker": "requests to anything but the tracker (--replay-tracking imports no others)",
    "not_recorded": "tracker requests without rec=1, which record nothing",
    "no_body": "tracker requests whose parameters were in a body that is not in the log",
    "other": "lines that tell of no request, as of another program in the same log",
    "identify": "calls of identify and alias: they name the user of later hits",
    "group": "calls of group: they tell of no action",
    "integrations": "calls that are not meant for Piwik (integrations)",
    "blank": "empty lines",
    "header": "lines that begin with # and say what the columns are",
}

STATIC = frozenset(
    "avif bmp css cur eot gif ico jpeg jpg js json map mjs otf png svg svgz swf ttf wasm webmanifest webp woff woff2"
    " xml".split()
)
"""Extensions of what a page loads by itself."""

STATIC_PATHS = frozenset({"/robots.txt"})

AGENT_LIMIT = 1024
"""Characters of a user agent that are compared: no agent needs more to name itself, and each of the 1,500
patterns of the list reads them all."""


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """What is brought in although it is left out by default."""

    bots: bool = False
    static: bool = False
    errors: bool = False
    redirects: bool = False
    base_url: str | None = None
    """Where the site is if the log does not say: an absolute target for another host is not for us."""
    downloads: frozenset[str] = frozenset()
    """Extensions of downloads, which are no static files."""


class Filters:
    """Answers for one record after another why it is left out; None if it is not."""

    def __init__(self, settings: FilterSettings) -> None:
        self._settings = settings
        self._base_host = urlsplit(settings.base_url or "").hostname
        self._statuses: Memo[int | None, str | None] = Memo(self.of_status)
        self._paths: Memo[str, str | None] = Memo(self.of_path)
        self._agents: Memo[str | None, str | None] = Memo(self.of_agent)

    def __call__(self, record: Record) -> str | None:
        """Return the reason of `REASONS` for which `record` is left out, or None; the first of the four that follow."""
        _, _, request, status, _, _, agent, host, *_ = record
        return (
            ((request.problem or request.authority) and self.of_target(request, host))
            or self._statuses[status]
            or self._paths[request.path]
            or self._agents[agent]
        )

    def of_target(self, request: Request, host: str | None) -> str | None:
        """Return the reason that lies in what was asked for, on the host that answered."""
        if request.authority is not None and self._is_foreign(request.authority, host):
            return "proxy"
        return request.problem

    def of_status(self, status: int | None) -> str | None:
        """Return the reason that lies in the answer."""
        if status is None or status < 300 or status == 304:
            return None
        if status >= 400 and not self._settings.errors:
            return "error"
        if status < 400 and not self._settings.redirects:
            return "redirect"
        return None

    def of_path(self, path: str) -> str | None:
        """Return the reason that lies in the kind of file."""
        if self._settings.static or not is_static(path):
            return None
        # A site may offer its .json for download; its /robots.txt is for robots, whatever its other texts are.
        is_download = path not in STATIC_PATHS and extension(path) in self._settings.downloads
        return None if is_download else "static"

    def of_agent(self, agent: str | None) -> str | None:
        """Return the reason that lies in the client's program."""
        if not self._settings.bots and agent is not None and is_bot(agent):
            return "bot"
        return None

    def _is_foreign(self, authority: str, host: str | None) -> bool:
        """Tell whether an absolute target is for another host than the one that answered.

        Scanners ask any server for other sites to find open proxies; their hosts are none of ours. With ``www.`` and
        without it is the same site.
        """
        try:
            asked = urlsplit(authority).hostname
        except ValueError:  # brackets that hold no address
            return True
        ours = self._base_host if host is None else split_port(host.rpartition("://")[2])[0].strip("[]")
        return asked is None or ours is None or asked.rstrip(".").removeprefix("www.") != ours.removeprefix("www.")


def extension(path: str) -> str:
    """Return the extension of a path in lower case, without the dot; empty if it has none."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def is_static(path: str) -> bool:
    """Tell whether `path` is a file that pages load, not one that people open."""
    return path in STATIC_PATHS or extension(path) in STATIC


def is_bot(agent: str) -> bool:
    """Tell whether `agent` is on the list of crawlers: 0.1 ms, so ask once for each agent."""
    from crawleruseragents import is_crawler  # 13 ms the first time: not for --help

    return bool(is_crawler(agent[:AGENT_LIMIT]))

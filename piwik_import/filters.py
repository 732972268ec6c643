"""Which records are left out, and why."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from piwik_import.memo import Memo
from piwik_import.parsers.record import Record, split_port

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
    "other": "lines that tell of no request, as of another program in the same log",
    "blank": "empty lines",
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
        self._statics: Memo[str, bool] = Memo(
            lambda path: is_static(path) and extension(path) not in settings.downloads
        )
        self._bots: Memo[str, bool] = Memo(is_bot)

    def __call__(self, record: Record) -> str | None:
        """Return the reason of `REASONS` for which `record` is left out, or None."""
        request, settings = record.request, self._settings
        if request.problem is not None:
            return request.problem
        if request.authority is not None and self._is_foreign(request.authority, record.host):
            return "proxy"
        status = record.status
        if status is not None and status >= 300:
            if status >= 400:
                if not settings.errors:
                    return "error"
            elif status != 304 and not settings.redirects:
                return "redirect"
        if not settings.static and self._statics[request.path]:
            return "static"
        if not settings.bots and record.user_agent is not None and self._bots[record.user_agent]:
            return "bot"
        return None

    def _is_foreign(self, authority: str, host: str | None) -> bool:
        """Tell whether an absolute target is for another host than the one that answered.

        Scanners ask any server for other sites to find open proxies; their hosts are none of ours.
        """
        try:
            asked = urlsplit(authority).hostname
        except ValueError:  # brackets that hold no address
            return True
        ours = self._base_host if host is None else split_port(host)[0].strip("[]")
        return asked is None or asked.rstrip(".") != ours


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

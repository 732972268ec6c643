"""The Reporting API of a sandbox: what an importer asks of it before it sends hits.

Source: https://developer.matomo.org/api-reference/reporting-api
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

VERSION = "5.2.0"
ROLES = ("view", "write", "admin", "superuser")
"""What a user may be, each of them all that stands before it; the same for every site."""

WHOLE = re.compile("[0-9]{1,18}")

Sites = Mapping[int, str]
Parameters = Mapping[str, str]


class EverySite(dict[int, str]):
    """The sites of a server that has one for every number."""

    def __contains__(self, site: object) -> bool:
        return isinstance(site, int) and site > 0

    def __missing__(self, site: int) -> str:
        return "http://localhost"


def id_of(text: str | None) -> int:
    """Return the number that a parameter holds; 0 if it holds none."""
    return int(text) if text and WHOLE.fullmatch(text) else 0


def answer(asked: Parameters, role: str, sites: Sites) -> tuple[int, object]:
    """Return status and JSON for a call of a user with `role`; "" is nobody."""
    if not role:
        return 401, _error("Unable to authenticate: the token is wrong, or not sent as a POST field.")
    method = METHODS.get(asked.get("method", "")) if asked.get("module") == "API" else None
    return 200, method(asked, role, sites) if method else _error("There is no such method here.")


def _error(message: str) -> dict[str, object]:
    return {"result": "error", "message": message}


def _site(asked: Parameters, _role: str, sites: Sites) -> object:
    site = id_of(asked.get("idSite"))
    if site not in sites:
        return _error(f"An unexpected website was found in the request: website id was set to '{site}'.")
    return {"idsite": site, "name": f"Site {site}", "main_url": sites[site], "timezone": "UTC", "currency": "USD"}


def _sites_at(asked: Parameters, _role: str, sites: Sites) -> object:
    def bare(url: str) -> str:
        return re.sub(r"^(https?://)?(www\.)?", "", url.lower()).rstrip("/")

    return [{"idsite": site} for site, url in sites.items() if bare(url) == bare(asked.get("url", ""))]


def _some_sites(asked: Parameters, _role: str, sites: Sites) -> object:
    limit = id_of(asked.get("limit")) or len(sites)
    return [_site({"idSite": str(site)}, "", sites) for site in sorted(sites)[:limit]]


def _sites_with(least: str) -> Callable[[Parameters, str, Sites], object]:
    def method(_asked: Parameters, role: str, sites: Sites) -> object:
        if isinstance(sites, EverySite):
            return _error("There are too many sites to name them.")
        return [*sites] if ROLES.index(role) >= ROLES.index(least) else []

    return method


def _is_superuser(_asked: Parameters, role: str, _sites: Sites) -> object:
    return {"value": role == "superuser"}


def _version(*_: object) -> object:
    return {"value": VERSION}


METHODS: Mapping[str, Callable[[Parameters, str, Sites], object]] = {
    "API.getMatomoVersion": _version,
    "API.getPiwikVersion": _version,
    "SitesManager.getSiteFromId": _site,
    "SitesManager.getSitesIdFromSiteUrl": _sites_at,
    "SitesManager.getSitesIdWithAdminAccess": _sites_with("admin"),
    "SitesManager.getSitesIdWithAtLeastViewAccess": _sites_with("view"),
    "SitesManager.getSitesWithAtLeastViewAccess": _some_sites,
    "SitesManager.getSitesIdWithWriteAccess": _sites_with("write"),
    "UsersManager.hasSuperUserAccess": _is_superuser,
}

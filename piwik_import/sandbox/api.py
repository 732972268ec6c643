"""The methods of the Reporting API that a sandbox knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

VERSION = "5.2.0"

WHOLE = re.compile("[0-9]{1,18}")

Parameters = Mapping[str, str]


def id_of(text: str | None) -> int:
    """Return the number that a parameter holds; 0 if it holds none."""
    return int(text) if text and WHOLE.fullmatch(text) else 0


def error(message: str) -> dict[str, object]:
    """Return the JSON of an error."""
    return {"result": "error", "message": message}


def _site(sites: Mapping[int, str], asked: Parameters) -> object:
    site = id_of(asked.get("idSite"))
    if site not in sites:
        return error(f"An unexpected website was found in the request: website id was set to '{site}'.")
    return {"idsite": site, "name": f"Site {site}", "main_url": sites[site], "timezone": "UTC", "currency": "USD"}


def _sites_at(sites: Mapping[int, str], asked: Parameters) -> object:
    def bare(url: str) -> str:
        return re.sub(r"^(https?://)?(www\.)?", "", url.lower()).rstrip("/")

    return [{"idsite": site} for site, url in sites.items() if bare(url) == bare(asked.get("url", ""))]


def _version(*_: object) -> object:
    return {"value": VERSION}


API: Mapping[str, Callable[[Mapping[int, str], Parameters], object]] = {
    "SitesManager.getSiteFromId": _site,
    "SitesManager.getSitesIdFromSiteUrl": _sites_at,
    "API.getMatomoVersion": _version,
    "API.getPiwikVersion": _version,
}
"""Methods of the Reporting API; what they return is the JSON."""

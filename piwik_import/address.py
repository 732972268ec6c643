"""The address of a server, as the user wrote it, made whole."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from piwik_import.errors import UsageError, printable

TRACKER = "/piwik.php"


def base_url(url: str) -> str:
    """Return where the pages of a site are, as a URL without a slash at its end. Raises UsageError."""
    whole = url.strip() if "://" in url else f"http://{url.strip()}"
    try:
        valid = urlsplit(whole).hostname
    except ValueError:
        valid = None
    if not valid or not whole.isprintable() or " " in whole:
        raise UsageError(f"--base-url {printable(url)}: not the address of a site, such as https://www.example.org")
    return whole.rstrip("/")


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def tracker_url(url: str) -> str:
    """Return where hits are sent. Raises UsageError.

    Without a scheme it is http; a path that does not end in ``.php`` gets ``/piwik.php``.
    """
    whole = url.strip() if "://" in url else f"http://{url.strip()}"
    if "@" in whole.split("/")[2] or "?" in whole or "#" in whole:  # they may be secret: not to be shown
        raise UsageError("--url: give the address alone, without user, query (?…) or fragment (#…)")
    try:
        parts = urlsplit(whole)
        host = (parts.hostname or "").encode("idna")
        valid = parts.scheme in ("http", "https") and host and parts.port != 0 and whole.isprintable()
    except ValueError:
        valid = False
    if not valid or " " in whole:
        raise UsageError(f"--url {printable(url)}: not an address of a server, such as https://stats.example.org")
    path = parts.path if parts.path.endswith(".php") else parts.path.rstrip("/") + TRACKER
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"

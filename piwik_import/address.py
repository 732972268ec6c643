"""The address of a server, as the user wrote it, made whole."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from piwik_import.connection import TRACKER
from piwik_import.errors import UsageError, printable


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


def tracker_url(url: str, path: str = TRACKER) -> str:
    """Return where hits are sent. Raises UsageError.

    Without a scheme it is http; to a path that does not end in ``.php`` is added `path`.
    """
    root, script = _parts(url)
    return root + (script or "/" + path.lstrip("/"))


def api_url(url: str) -> str:
    """Return where the Reporting API is: not below the tracker's own path. Raises UsageError."""
    return _parts(url)[0] + "/index.php"


def _parts(url: str) -> tuple[str, str]:
    """Return the folder of a server without a slash at its end, and the script in it that was named, if one was."""
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
    folder, script = parts.path.rstrip("/"), ""
    if parts.path.endswith(".php"):
        folder, slash, name = parts.path.rpartition("/")
        script = slash + name
    return f"{parts.scheme}://{parts.netloc.lower()}{folder}", script

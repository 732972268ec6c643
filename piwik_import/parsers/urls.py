"""The host that an absolute request or target names, where the format vouches for it."""

from __future__ import annotations

import re
from collections.abc import Callable

from piwik_import.parsers import request
from piwik_import.parsers.fields import FIELDS, host
from piwik_import.parsers.record import split_port


def host_of(name: str, form: str, decode: Callable[[str], str]) -> Callable[[str | None], str | None]:
    """Return the function that finds the host in an absolute request or target, for logs in which it is no claim.

    Anybody may ask any server for ``http://example.net/``; but what Varnish, Squid or HAProxy (in HTTP/2) log has
    the host that was asked for always there. ``https`` shows as the port 443.
    """

    def find(text: str | None) -> str | None:
        line = decode(text or "-")
        asked = FIELDS["request"].reader(form)(line) if name == "request" else request.from_parts("GET", line)
        if form == "host_first" and request.from_line(line).authority is not None:
            return None  # the client's own word
        if asked.authority is None or (form == "absolute_h2" and re.search(r" HTTP/[01]\.\d$|^\S+ \S+$", text or "")):
            return None
        scheme, _, authority = asked.authority.partition("://")
        try:
            found = host(authority.rpartition("@")[2])
        except ValueError:
            return None
        if found is None or split_port(found)[1]:
            return found
        return f"{found}:443" if scheme.lower() == "https" else found

    return find

"""What a log says of where a request came from → the client's bare address."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from socket import AF_INET, inet_ntop, inet_pton

from piwik_import.errors import printable


def address(text: str) -> str | None:
    """Return the client's bare address: no port, brackets or zone, and IPv6 in its short form.

    Of a list as X-Forwarded-For has it, take the right-most address that is not of an inner network: those to
    the left of it are the client's own word, and may be anything. If there are only inner ones, take the left-most.
    A host name is returned in lower case; None stands for a client that the server could not or would not name.
    """
    if "," not in text:
        return _bare(text)
    inner = None
    for part in reversed(text.split(",")[-HOPS:]):
        try:
            found = _bare(part)
        except ValueError:
            continue
        if found is not None and not _is_inner(found):
            return found
        inner = found or inner
    return inner


HOPS = 50
"""Addresses of a list that are looked at, from the right: no request goes through more proxies."""


def _bare(text: str) -> str | None:
    """Return one address as `address` does. Raises ValueError for what is neither an address nor a host name."""
    text = text.strip(' "')
    try:
        return inet_ntop(AF_INET, inet_pton(AF_INET, text))  # 0.5 us, where ipaddress takes 4
    except (OSError, ValueError):
        pass
    if len(text) > LONGEST:
        raise ValueError(f"'{printable(text, 60)}' is no address")
    if text.lower() in NOT_A_CLIENT:
        return None
    bracketed = re.fullmatch(r"\[([^]]*)\](?::\d+)?", text)
    plain = bracketed[1] if bracketed else re.sub(r"^(\d+\.\d+\.\d+\.\d+):\d+$", r"\1", text)
    try:
        found = ip_address(plain.partition("%")[0])
    except ValueError:
        if HOST_NAME.fullmatch(text):
            return text.lower()
        raise ValueError(f"'{printable(text, 60)}' is no address") from None
    return str(getattr(found, "ipv4_mapped", None) or found)


LONGEST = 300
"""Characters of a client's name, with some to spare: ipaddress takes 50 ms to say that 1 MiB is no address."""


def _is_inner(text: str) -> bool:
    try:
        found = ip_address(text)
    except ValueError:
        return True  # a host name is taken only if there is no address
    return any(found in network for network in INNER)


INNER = tuple(
    map(ip_network, ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"])
)
INNER += tuple(map(ip_network, ["::1/128", "fc00::/7", "fe80::/10"]))

HOST_NAME = re.compile(r"(?=[^:]*[A-Za-z])[A-Za-z0-9_](?:[A-Za-z0-9_-]*\.)*+[A-Za-z0-9_-]*+")
NOT_A_CLIENT = {"", "-", "unknown", "unix", "unix:", "_hidden"}

"""What a log says of where a request came from → the client's bare address.

A list is what proxies append to, each the address of whom it heard from, so only what trusted proxies wrote is true.
A part of an address that was masked is sent as 0: ``192.0.2.*``, ``192.0.2.xxx`` and ``192.0.2.0/24`` are 192.0.2.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from socket import AF_INET, inet_ntop, inet_pton

from piwik_import.errors import printable

Network = IPv4Network | IPv6Network


def reader(form: str) -> Callable[[str], str | None]:
    """Return the function from text to address; `form` names the networks of trusted proxies, if any.

    Raises ValueError for what is no network.
    """
    if not form:
        return address
    trusted = tuple(network(name) for name in form.split())

    def read(text: str) -> str | None:
        return behind(text, trusted)

    return read


def network(text: str) -> Network:
    """Read ``192.0.2.0/24``, or the address of one proxy. Raises ValueError."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"'{printable(text, 60)}' is no network: write it as 192.0.2.0/24 or 2001:db8::/32") from None


def address(text: str) -> str | None:
    """Return the client's bare address: no port, brackets or zone, and IPv6 in its short form.

    Of a list as X-Forwarded-For or Forwarded (RFC 7239) have it, take the right-most address that is not of an inner
    network: those to the left of it are the client's own word, and may be anything. If there are only inner ones, take
    the left-most. A host name is returned in lower case; None stands for a client that the server could not or would
    not name.
    """
    if "," not in text:
        return _bare(_forwarded(text) if "=" in text else text)
    inner = None
    for part in reversed(text.split(",")[-HOPS:]):
        try:
            found = _bare(_forwarded(part))
        except ValueError:
            continue
        if found is not None and not _is_in(found, INNER, else_=True):
            return found
        inner = found or inner
    return inner


def behind(text: str, trusted: Sequence[Network]) -> str | None:
    """As `address`, but of a list take the right-most one that is not of a `trusted` proxy; the left-most if all are.

    A proxy that would not name whom it heard from has the client unknown: what stands to the left is not believed.
    """
    found = None
    parts = text.split(",")[-HOPS:]
    for number, part in enumerate(reversed(parts)):
        try:
            found = _bare(_forwarded(part))
        except ValueError:
            if number == 0 and len(parts) == 1:
                raise
            return None
        if found is None or not _is_in(found, trusted, else_=False):
            return found
    return found


HOPS = 50
"""Addresses of a list that are looked at, from the right: no request goes through more proxies."""

FOR = re.compile(r"(?:^|;)\s*for\s*=\s*([^;]*)", re.IGNORECASE)


def _forwarded(text: str) -> str:
    """Return the client of an element of Forwarded, as ``for="[2001:db8::1]:443";proto=https``; others as they are."""
    if "=" not in text:
        return text
    found = FOR.search(text)
    return found[1] if found else ""


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
    if MASKED.fullmatch(plain):
        plain = re.sub("[*xX]+", "0", plain)
    try:
        if "/" in plain:
            return str(ip_network(plain, strict=False).network_address)
        found = ip_address(plain.partition("%")[0])
    except ValueError:
        if HOST_NAME.fullmatch(text):
            return text.lower()
        raise ValueError(f"'{printable(text, 60)}' is no address") from None
    return str(getattr(found, "ipv4_mapped", None) or found)


LONGEST = 300
"""Characters of a client's name, with some to spare: ipaddress takes 50 ms to say that 1 MiB is no address."""


def _is_in(text: str, networks: Sequence[Network], *, else_: bool) -> bool:
    """Tell whether an address is of one of the networks; `else_` for a host name."""
    try:
        found = ip_address(text)
    except ValueError:
        return else_  # in a list a host name is taken only if there is no address
    return any(found in network for network in networks)


INNER: tuple[Network, ...] = tuple(
    map(ip_network, ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"])
)
INNER += tuple(map(ip_network, ["::1/128", "fc00::/7", "fe80::/10"]))

MASKED = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,2}(?:\.(?:\*|[xX]{1,3})){1,3}|[0-9A-Fa-f:]*:(?:(?:\*|[xX]{1,4}):?){1,7}")
HOST_NAME = re.compile(r"(?=[^:]*[A-Za-z])[A-Za-z0-9_](?:[A-Za-z0-9_-]*\.)*+[A-Za-z0-9_-]*+")
NOT_A_CLIENT = {"", "-", "unknown", "unix", "unix:", "_hidden"}

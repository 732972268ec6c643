"""How the server is reached: what the user says about it, in plain data. `client` makes the connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The way to one server."""

    url: str
    """The server as the user wrote it: see `address.tracker_url`."""
    token: str | None = None
    request_timeout: float = 300.0
    """Seconds to wait for an answer."""

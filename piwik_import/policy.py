"""How hits are sent: how many at once, and how often again. Plain data; `delivery` acts on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the user asked for."""

    recorders: int = 4
    """Lanes, and so requests in flight."""
    chunk_size: int = 200
    """Hits in one request, at most."""
    retry_for: float = 600.0
    """Seconds to try again while the server is in trouble."""

"""How hits are sent: how many at once, how fast, and how often again. Plain data; `pace` and `delivery` act on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the user asked for."""

    recorders: int = 4
    """Lanes, and so requests in flight, at most."""
    chunk_size: int = 1000
    """Hits in one request, at most."""
    max_request_bytes: int = 1_000_000
    """Bytes of one request, at most; a hit that takes more goes alone. nginx refuses more than 1 MiB by default."""
    max_rate: float | None = None
    """Hits a second, at most."""
    retry_for: float = 600.0
    """Seconds to try again while the server is in trouble."""
    retry_max_attempts: int | None = None
    """How often to try while the server is in trouble."""
    resend: bool = True
    """Whether hits are sent again that may have been recorded already; else they are left in doubt."""

"""What the user knows of the logs, and they do not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user knows of the logs that they do not say themselves. Holds data only."""

    wrapper: str | None = None
    """What is around the lines, by name; ``none`` for nothing. None if that is to be recognised."""
    timezone: str | None = None
    """The zone of times that name none; UTC if it is None."""
    trusted_proxies: Sequence[str] = ()
    """Networks whose word on where a request came from is believed."""
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Field → where it lies: paths in an object, or the name of a piece of a pattern."""

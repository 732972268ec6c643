"""What can become of hits that were sent: all that `delivery` decides by.

`Recorded` settles them. All else is one of three: `Refused`, which no repetition mends, `TooLarge`, which fewer hits
mend, or `Failed`, which time may.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recorded:
    """The server has taken the hits, but for some."""

    rejected: int = 0
    """How many it calls invalid."""
    named: tuple[int, ...] = ()
    """Places of the rejected ones, where the server tells them: only a superuser's token learns them."""
    reason: str = ""
    unknown: int = 0
    """How many it neither recorded nor calls invalid: lost, as where a row lock times out."""
    said: str = ""
    """The answer itself, if not all was recorded."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server takes nothing from us, and would not if asked again."""

    reason: str
    in_doubt: bool = False
    """Whether it may have taken these hits all the same."""
    is_empty: bool = False
    """Whether it answers success and counts none: it takes no hits at all, or has lost those few."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The request has more bytes than the server takes; none of its hits was recorded. Fewer may do."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The request came to nothing, or its answer to us did."""

    reason: str
    in_doubt: bool
    """Whether the hits may have been recorded all the same."""
    retry_after: float | None = None
    """Seconds that the server asked for."""
    status: int | None = None
    """That of the answer, if there was one."""
    unsent: bool = False
    """Whether it failed before the request left."""
    lasting: bool = False
    """Whether trying again in some minutes would not help: a certificate that is not accepted, say."""
    rolled_back: bool = False
    """Whether the tracker itself says that it took everything back: the error JSON of a 5xx."""
    tracked: int | None = None
    """What such JSON counts: the hits before the one that failed, so its place. All of them: in doubt, see above."""


Answer = Recorded | Refused | TooLarge | Failed

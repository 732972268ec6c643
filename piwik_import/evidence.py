"""Whether it is a hit or the server that fails.

It is decided by comparison, for a server that fails on everything must cost no hit: after it has failed twice on a hit
alone, it must record another, of any lane, and then fail on this one again. In a lane by itself the next hit of the
chunk goes first for that.

Where there is no other hit to compare with, because it is the only one, or the first of a day for which all lanes wait,
or because the next one fails as well, the word of the Reporting API is taken: it answers, and knows the token. But no
more than `VOUCHED` times in a row, for it cannot tell of a database that can be read and not be written: that costs so
many hits of a run, which are in the rejects file, and then the server is waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from piwik_import.chunk import Part
from piwik_import.pace import LEAST_SIZE, Pace

FAILURES = 3
"""How often the tracker may fail on a chunk before it is sent in parts: a deadlock is over by then."""

FAILURES_ALONE = 2
"""How often the tracker may fail on a hit that was cut out, before it is a suspect."""

VOUCHED = 3
"""How often in a row the word of the server is taken, while it records nothing."""


class Evidence:
    """What speaks for the server, and so against a hit. Safe to use from the threads of all lanes.

    `is_well` asks the server in another way whether it works and knows the token.
    """

    def __init__(self, pace: Pace, is_well: Callable[[], bool]) -> None:
        self._pace = pace
        self._is_well = is_well
        self._since = 0  # what had been recorded when the server's word was first taken
        self._taken = 0
        self._lock = threading.Lock()

    def is_suspect(self, part: Part) -> bool:
        """Tell whether a part is a hit that the tracker has failed on often enough."""
        return len(part) == 1 and (part.is_probe or part.failures >= FAILURES_ALONE)

    def is_to_cut(self, part: Part) -> bool:
        """Tell whether the tracker has failed on several hits often enough to send them in parts."""
        return len(part) > 1 and (part.is_cut or part.failures >= FAILURES)

    def is_against(self, suspect: Part) -> bool:
        """Tell whether the server has recorded others since it first failed on a hit alone."""
        return self._pace.successes > suspect.seen

    def is_vouched(self, hits: int = 1) -> bool:
        """Tell whether the server says that it works, and may be believed once more. For many hits it is not asked."""
        with self._lock:
            if self._since != self._pace.successes:
                self._since, self._taken = self._pace.successes, 0
            if hits >= LEAST_SIZE or self._taken >= VOUCHED or not self._is_well():
                return False
            self._taken += 1
            return True

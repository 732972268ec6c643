"""When the next request may go out, and how much it may hold: one pace for all lanes.

A door stands before the server. It opens with the first answer that records hits, and until then one lane at a time
goes through: the server counts each bulk with a bad token as a failed login, and shuts us out for an hour after some
twenty of them. Trouble closes the door for all lanes, for a pause that grows, and then again one goes first.

Through an open door go as many requests at once as the server has room for. Measured on a Matomo of two cores, two
recorders got 500 hits/s through and eight fewer: where answers become slow for their hits, fewer go; where they are
quick, one more each time. A request holds more hits where the server takes them quickly, which costs it nothing and
saves us the rest of each request's work, and fewer where it needs long.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from time import monotonic

from piwik_import.policy import Policy

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0

QUICK = 0.5
"""Seconds within which an answer says that the server has room for more."""
SLOW = 5.0
"""Seconds after which an answer says that a request held too much."""
FIRST_SIZE = 200
LEAST_SIZE = 50
"""Hits of a request, at first and at least: from 50 on a server takes as many hits a second in larger requests."""


class Pauses:
    """How long to wait before each further try: ever longer, and never the same, or all would return at once."""

    def __init__(self, patience: float, most: int | None = None) -> None:
        self._until = monotonic() + patience
        self._left = most
        self._pause = FIRST_PAUSE

    def next(self, asked: float | None = None) -> float | None:
        """Return the seconds to wait, at least as many as were `asked` for; None if there is to be no further try."""
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                return None
        wait = max(asked or 0.0, self._pause * random.uniform(0.5, 1.0))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return wait if monotonic() + wait <= self._until else None


class Pace:
    """The door, and what goes through it. Safe to use from the threads of all lanes."""

    def __init__(self, policy: Policy) -> None:
        self.successes = 0
        """Requests that the server has recorded."""
        self._policy = policy
        self._size = min(FIRST_SIZE, policy.chunk_size)
        self._open = False
        self._closed_until = 0.0
        self._closings = 0
        self._pauses: Pauses | None = None
        self._inside = 0
        self._queue: deque[object] = deque()  # who waits, in the order they came: no lane is left behind
        self._allowed = 1
        self._best = float("inf")  # seconds a hit that an answer has taken when it took least
        self._next = 0.0  # when --max-rate allows the next request
        self._stopped = False
        self._changed = threading.Condition()

    @property
    def size(self) -> int:
        """Hits that a request should hold at present."""
        rate = self._policy.max_rate
        return self._size if rate is None else max(1, int(min(self._size, rate)))

    def enter(self, hits: int) -> int | None:
        """Wait until a request of so many hits may go out; return the number of its turn, None if none may any more.

        Whoever has entered says how it went with one of the methods below.
        """
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            while not self._stopped:
                now = monotonic()
                is_next = self._queue[0] is ticket and self._inside < (self._allowed if self._open else 1)
                wait = max(self._closed_until, self._next) - now
                if is_next and wait <= 0:
                    self._queue.popleft()
                    self._inside += 1
                    if self._policy.max_rate is not None:
                        self._next = max(now, self._next) + hits / self._policy.max_rate
                    self._changed.notify_all()
                    return self._closings
                self._changed.wait(min(wait, LONGEST_PAUSE) if is_next else None)
            return None

    def wait_for_success(self, timeout: float) -> bool:
        """Wait until the server has recorded something; False if `timeout` seconds were not enough."""
        with self._changed:
            return self._changed.wait_for(lambda: self.successes > 0 or self._stopped, timeout) and self.successes > 0

    def recorded(self, hits: int, seconds: float) -> None:
        """Note that a request was recorded, after so many seconds."""
        with self._changed:
            self._inside -= 1
            self.successes += 1
            self._open, self._pauses = True, None
            self._adapt(hits, seconds)
            self._changed.notify_all()

    def answered(self) -> None:
        """Note that a request has an answer that says nothing of how the server is."""
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def failed(self, turn: int, asked: float | None = None) -> float | None:
        """Close the door for all lanes; return the seconds until the next try, or None if there is to be none.

        Requests that were under way when another one's failure closed the door do not close it for longer.
        """
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()
            if turn == self._closings:
                self._pauses = self._pauses or Pauses(self._policy.retry_for, self._policy.retry_max_attempts)
                wait = self._pauses.next(asked)
                if wait is None:
                    return None
                self._closings += 1
                self._open, self._allowed = False, 1
                self._closed_until = monotonic() + wait
            return max(0.0, self._closed_until - monotonic())

    def shut(self) -> None:
        """Let one request at a time through until one is recorded."""
        with self._changed:
            self._open = False

    def clashed(self) -> None:
        """Note that requests got into each other's way in the database: fewer at once."""
        with self._changed:
            self._allowed = max(1, self._allowed // 2)

    def stop(self) -> None:
        """Let nobody in any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _adapt(self, hits: int, seconds: float) -> None:
        """Learn from how long an answer took how much the server should be given."""
        if seconds < QUICK:
            self._allowed = min(self._allowed + 1, self._policy.recorders)
            if hits >= self._size:
                self._size = min(self._size * 2, self._policy.chunk_size)
            return
        if seconds > SLOW and hits >= self._size:
            self._size = max(self._size // 2, min(LEAST_SIZE, self._size))
        if 2 * hits < self._size:
            return  # the rest of a log: what a request costs by itself hides what its hits cost
        self._best = min(self._best * 1.01, seconds / hits)  # which is forgotten slowly: servers change
        if seconds / hits > 2 * self._best:
            self._allowed = max(1, self._allowed - 1)
        elif seconds / hits < 1.3 * self._best:
            self._allowed = min(self._allowed + 1, self._policy.recorders)

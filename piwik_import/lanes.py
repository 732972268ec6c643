"""Visitors → lanes: ordered streams of hits, cut into chunks, with one bound on all that waits.

All hits of one visitor share a lane, and a lane gives out its hits in the order they came, so the server sees a
visitor's actions in the order of the log. The bound is for all lanes together: a lane that one busy visitor
fills does not starve the others while there is room.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from math import inf
from time import monotonic

from piwik_import.translate import Entry

CAPACITY = 4 << 20
"""Characters of queries that may wait: some 10,000 hits, and about 10 MiB with what Python adds."""

LINGER = 1.0
"""Seconds after which a lane gives out what it has: a pipe that trickles must not keep hits back."""


class Lanes:
    """The hits that wait to be sent. One thread puts, one thread a lane takes."""

    def __init__(self, count: int, chunk_size: int, capacity: int = CAPACITY) -> None:
        self._waiting: list[deque[Entry]] = [deque() for _ in range(count)]
        self._since = [0.0] * count  # when the first hit that waits in a lane came
        self._busy = [False] * count  # whether a chunk has been taken and is not done yet
        self._chunk_size = chunk_size
        self._capacity = capacity
        self._size = 0
        self._closed = False
        self._abandoned = False
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._hits = [threading.Condition(self._lock) for _ in range(count)]

    def __len__(self) -> int:
        """Return the number of lanes."""
        return len(self._waiting)

    def put(self, entries: Sequence[Entry]) -> None:
        """Add hits in the order of the log."""
        waiting, count, now = self._waiting, len(self._waiting), monotonic()
        with self._lock:
            if self._abandoned:
                return
            self._since = [before if waiting[lane] else now for lane, before in enumerate(self._since)]
            for entry in entries:
                waiting[entry.slot % count].append(entry)
            self._size += sum([len(entry.query) for entry in entries])
            for lane in range(count):
                if len(self._waiting[lane]) >= self._chunk_size or self._full():
                    self._hits[lane].notify()

    def wait_for_room(self, timeout: float) -> bool:
        """Wait until more hits may be put; False if `timeout` seconds were not enough."""
        with self._lock:
            return self._room.wait_for(lambda: not self._full() or self._abandoned, timeout)

    def take(self, lane: int, patience: float = inf) -> list[Entry] | None:
        """Wait for the next chunk of a lane; None when there will be no more, an empty one after `patience` seconds.

        A chunk is full unless the input has ended, nothing more may be put, or its first hit has waited long.
        """
        until = monotonic() + patience
        with self._lock:
            while not self._ready(lane):
                if self._closed or self._abandoned:
                    return None
                if monotonic() >= until:
                    return []
                self._hits[lane].wait(min(LINGER / 2, patience))
            waiting = self._waiting[lane]
            chunk = [waiting.popleft() for _ in range(min(self._chunk_size, len(waiting)))]
            self._since[lane] = monotonic()
            self._busy[lane] = True
            self._size -= sum([len(entry.query) for entry in chunk])
            self._room.notify()
            return chunk

    def done(self, lane: int) -> None:
        """Say that the chunk taken last is settled."""
        with self._lock:
            self._busy[lane] = False

    def is_idle(self, lane: int) -> bool:
        """Tell whether all hits that were put into a lane are settled. None is any more once lanes are abandoned."""
        with self._lock:
            return not (self._abandoned or self._busy[lane] or self._waiting[lane])

    def close(self) -> None:
        """Say that no more hits come; those that wait are still given out."""
        with self._lock:
            self._closed = True
            self._wake_all()

    def abandon(self) -> None:
        """Give out nothing more, whatever is put."""
        with self._lock:
            self._abandoned = True
            for waiting in self._waiting:
                waiting.clear()
            self._size = 0
            self._wake_all()

    def _ready(self, lane: int) -> bool:
        waiting = self._waiting[lane]
        if not waiting:
            return False
        if len(waiting) >= self._chunk_size or self._closed or self._full():
            return True
        return monotonic() - self._since[lane] >= LINGER

    def _full(self) -> bool:
        return self._size >= self._capacity

    def _wake_all(self) -> None:
        self._room.notify_all()
        for hits in self._hits:
            hits.notify_all()

"""Visitors → lanes: ordered streams of hits, cut into chunks, with one bound on all that waits.

All hits of one visitor share a lane, and a lane gives out its hits in the order they came, so the server sees a
visitor's actions in the order of the log. The bound is for all lanes together: a lane that one busy visitor
fills does not starve the others while there is room.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic

from piwik_import.translate import Entry

CAPACITY = 6 << 20
"""Characters that may wait, of queries and of lines: some 10,000 hits, and about 12 MiB with what Python adds."""

LINGER = 1.0
"""Seconds after which a lane gives out what it has: a pipe that trickles must not keep hits back."""

QUOTES = 4
"""Characters that a query takes in the body of a request besides its own."""


@dataclass(slots=True)
class Barrier:
    """The hits of a line that go alone, and behind them all that came later."""

    lane: int
    count: int
    before: list[int]
    """How many hits of each lane came before them."""
    is_out: bool = False


class Lanes:
    """The hits that wait to be sent. One thread puts, one thread a lane takes.

    `chunk_size` and `chunk_bytes` are what a chunk may hold, and may be changed at any time.
    """

    def __init__(self, count: int, chunk_size: int, chunk_bytes: float = inf, capacity: int = CAPACITY) -> None:
        self.chunk_size = chunk_size
        self.chunk_bytes = chunk_bytes
        self._waiting: list[deque[Entry]] = [deque() for _ in range(count)]
        self._since = [0.0] * count  # when the first hit that waits in a lane came
        self._busy = [0] * count  # how many chunks have been taken and are not done yet
        self._given = [0] * count  # how many hits of a lane have been taken
        self._barriers: deque[Barrier] = deque()
        self._capacity = capacity
        self._size = 0
        self._urgent = False
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
        with self._lock:
            if not self._abandoned:
                self._put(entries)

    def put_alone(self, entries: Sequence[Entry]) -> None:
        """Add the hits of a line, to be sent alone: what comes later waits until they are done, in all lanes."""
        with self._lock:
            if self._abandoned:
                return
            before = [given + len(waiting) for given, waiting in zip(self._given, self._waiting, strict=True)]
            self._barriers.append(Barrier(entries[0].slot % len(self._waiting), len(entries), before))
            self._put(entries)
            self._wake_all()

    def _put(self, entries: Sequence[Entry]) -> None:
        waiting, count, now = self._waiting, len(self._waiting), monotonic()
        self._urgent = False
        self._since = [before if waiting[lane] else now for lane, before in enumerate(self._since)]
        for entry in entries:
            waiting[entry.slot % count].append(entry)
        self._size += sum(map(_size, entries))
        for lane in range(count):
            if len(self._waiting[lane]) >= self.chunk_size or self._full():
                self._hits[lane].notify()

    def urge(self) -> None:
        """Give out what is there, chunks that are not full too, until more is put."""
        with self._lock:
            self._urgent = True
            self._wake_all()

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
                if self._abandoned or (self._closed and not self._waiting[lane]):
                    return None
                if monotonic() >= until:
                    return []
                self._hits[lane].wait(min(LINGER / 2, patience))
            return self._taken(lane)

    def take_ahead(self, lane: int) -> list[Entry] | None:
        """Take the next chunk of a lane before the one that was taken last is done; None if there is none yet.

        Not while there are hits that go alone: what is done would not say which of them are.
        """
        with self._lock:
            return None if self._barriers or not self._ready(lane) else self._taken(lane)

    def done(self, lane: int) -> None:
        """Say that the chunk is settled that was taken first of those that are not."""
        with self._lock:
            self._busy[lane] -= 1
            if self._barriers and self._barriers[0].is_out and self._barriers[0].lane == lane:
                self._barriers.popleft()
                self._wake_all()

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
            self._barriers.clear()
            self._size = 0
            self._wake_all()

    def _taken(self, lane: int) -> list[Entry]:
        chunk = self._cut(lane)
        self._since[lane] = monotonic()
        self._busy[lane] += 1
        self._given[lane] += len(chunk)
        self._size -= sum(map(_size, chunk))
        self._room.notify()
        return chunk

    def _ready(self, lane: int) -> bool:
        free = self._free(lane)
        if free == 0:
            return False
        if free >= self.chunk_size or self._closed or self._urgent or self._barriers or self._full():
            return True
        return monotonic() - self._since[lane] >= LINGER

    def _free(self, lane: int) -> int:
        """Return how many hits of a lane no barrier holds back."""
        waiting = len(self._waiting[lane])
        if not self._barriers:
            return waiting
        barrier = self._barriers[0]
        before = barrier.before[lane] - self._given[lane]
        if before == 0 and barrier.lane == lane and not barrier.is_out:
            return barrier.count
        return min(waiting, max(before, 0))

    def _cut(self, lane: int) -> list[Entry]:
        """Take the next chunk of a lane: the hits of at least one line, and else no more than it may hold."""
        waiting, free = self._waiting[lane], self._free(lane)
        if self._barriers and self._barriers[0].before[lane] == self._given[lane]:
            self._barriers[0].is_out = True  # for what is free in this lane is what goes alone
        chunk = [waiting.popleft() for _ in range(min(self.chunk_size, free))]
        size = sum([len(entry.query) for entry in chunk]) + QUOTES * len(chunk)
        while size > self.chunk_bytes and len(chunk) > 1:
            waiting.appendleft(chunk.pop())
            size -= len(waiting[0].query) + QUOTES
        while waiting and waiting[0].is_further and len(chunk) > 1:
            waiting.appendleft(chunk.pop())
        while waiting and waiting[0].is_further:
            chunk.append(waiting.popleft())
        return chunk

    def _full(self) -> bool:
        return self._size >= self._capacity

    def _wake_all(self) -> None:
        self._room.notify_all()
        for hits in self._hits:
            hits.notify_all()


def _size(entry: Entry) -> int:
    return len(entry.query) + len(entry.text)

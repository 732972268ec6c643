"""Who is behind an anonymous id: the user that the last identify or alias of it has named.

What is known lies in `PLACES` places with room for `ROOM` ids each; the digest of an id says in which. From a full
place goes the id that was not seen longest. So what is known at a line depends on the lines before it alone, and to
learn a thing changes one place.

What was learnt of a line is kept back until all slots have passed that line: then it is `passed`, and belongs into the
journal, in the transaction that moves the last slot. So a run that goes on in the middle of a log knows what was known
there, not what was learnt further down.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

PLACES = 1 << 16
ROOM = 16
"""1,048,576 ids in all; the first places are full when there are about half as many."""

CACHED = 4096
"""Places that are kept in memory besides those in the journal."""

MOST = 50_000
"""Facts that may wait for their lines to be passed, before reading waits too."""

LONGEST = 1000
"""Characters of a user that is remembered: a server keeps 200."""


class Fact(NamedTuple):
    """What is known of an anonymous id."""

    digest: str
    """Of the id, 16 hexadecimal digits."""
    user: str
    day: int
    """On which it was seen last, as `date.toordinal` counts: so that seeing it is worth a note once a day."""

    @property
    def place(self) -> int:
        """Where it lies."""
        return int(self.digest[:4], 16) % PLACES


def after(held: str, facts: Iterable[Fact]) -> str:
    """Return what a place holds when `facts` about its ids have been learnt, in their order.

    It is JSON, the id that was seen last at the end. To learn the same facts again changes nothing.
    """
    known = _read(held)
    for fact in facts:
        _learn(known, fact)
    return json.dumps(known, separators=(",", ":"))


def _read(held: str) -> list[Fact]:
    return [Fact(*fact) for fact in json.loads(held)] if held else []


def _learn(known: list[Fact], fact: Fact) -> None:
    known[:] = [one for one in known if one.digest != fact.digest]
    known.append(fact)
    del known[:-ROOM]


class Identities:
    """All that is known at the line that is being read. One thread learns, any may ask what is `passed`.

    `read` returns what the journal holds of a place, for `destination`; without it nothing outlives the run.
    """

    def __init__(self, read: Callable[[int], str] | None = None, destination: str = "") -> None:
        self.destination = destination
        self.line = (0, 0)
        """Number of the source that is being read, and where in it the line begins."""
        self._read = read
        self._start: dict[int, int] = {}
        self._known: dict[int, list[Fact]] = {}
        self._waiting: deque[tuple[int, int, Fact]] = deque()
        self._by_place: dict[int, deque[Fact]] = {}  # those that wait
        self._lock = threading.Lock()  # guards the two above

    def begin(self, source: int, place: int) -> None:
        """Say up to where all slots have passed a source, so that what is above is known already."""
        self._start[source] = place

    def user(self, anonymous: str, day: int) -> str | None:
        """Return who is behind an id that was seen on a day."""
        digest = _digest(anonymous)
        for fact in self._at(digest):
            if fact.digest == digest:
                if day > fact.day:
                    self._note(fact._replace(day=day))
                return fact.user
        return None

    def learn(self, anonymous: str, user: str, day: int) -> None:
        """Note who is behind an id."""
        digest = _digest(anonymous)
        for fact in self._at(digest):
            if fact.digest == digest:
                if fact.user == user and day <= fact.day:
                    return
                day = max(day, fact.day)
        self._note(Fact(digest, user, day))

    @property
    def is_full(self) -> bool:
        """Whether so much waits that reading should wait too."""
        return len(self._waiting) >= MOST

    def passed(self, floor: Callable[[int], int]) -> list[Fact]:
        """Return the facts whose lines all slots have passed, given where these are in a source at least."""
        floors: dict[int, int] = {}
        facts = []
        with self._lock:
            for source, begin, fact in self._waiting:
                if source not in floors:
                    floors[source] = floor(source)
                if begin >= floors[source]:
                    break
                facts.append(fact)
        return facts

    def written(self, facts: Sequence[Fact]) -> None:
        """Say that the first facts that wait are in the journal."""
        with self._lock:
            for _ in facts:
                _, _, fact = self._waiting.popleft()
                of_place = self._by_place[fact.place]
                of_place.popleft()
                if not of_place:
                    del self._by_place[fact.place]

    def _at(self, digest: str) -> list[Fact]:
        """Return what is known in the place of an id."""
        place = Fact(digest, "", 0).place
        known = self._known.get(place)
        if known is None:
            with self._lock:
                waiting = [*self._by_place.get(place, ())]  # before the journal is asked: it may just get them
            known = _read("" if self._read is None else self._read(place))
            for fact in waiting:
                _learn(known, fact)
            if self._read is not None and len(self._known) >= CACHED:
                self._known.clear()
            self._known[place] = known
        return known

    def _note(self, fact: Fact) -> None:
        source, begin = self.line
        if begin < self._start.get(source, 0):
            return
        if self._read is not None:
            with self._lock:
                self._waiting.append((source, begin, fact))
                self._by_place.setdefault(fact.place, deque()).append(fact)
        _learn(self._known[fact.place], fact)


def _digest(anonymous: str) -> str:
    return blake2b(anonymous.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

"""One chunk on its way: what of it is still to be sent, in which parts.

A chunk is sent whole, and in parts where the server cannot take it whole: where it is too large, or where one of its
hits makes the tracker fail. The hits stay in their order, but for a suspect that lets the next hit go first, to see
whether it is the hit or the server that fails.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import inf

from piwik_import.translate import Entry


@dataclass(slots=True)
class Part:
    """Hits of a chunk that go out in one request."""

    entries: Sequence[Entry]
    is_cut: bool = False
    """Whether it was cut out because the tracker failed on what it was part of."""
    is_again: bool = False
    """Whether it has been sent before, by itself or in a larger part."""
    in_doubt: bool = False
    """Whether it may have been recorded, its answer being lost."""
    tries: int = 0
    failures: int = 0
    """How often the tracker failed on it and took it back."""
    seen: int = 0
    """How many requests the server had recorded when it first failed on this part."""
    is_named: bool = False
    """Whether it is the hit that the tracker named."""
    is_probe: bool = False
    """Whether it goes before a suspect."""

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def size(self) -> int:
        """Bytes that its hits take."""
        return sum(len(entry.query) for entry in self.entries)

    def piece(self, begin: int, end: int, *, is_cut: bool = True) -> Part:
        """Return some of its hits as a part of their own."""
        return Part(self.entries[begin:end], is_cut or self.is_cut, self.is_again, self.in_doubt)


class Chunk:
    """The hits of one lane that were taken together. `parts` is what is not settled yet.

    No part has more than `most` hits. A chunk has more only where one line has. `most_bytes` is what it was allowed.
    """

    def __init__(self, lane: int, entries: Sequence[Entry], most: int = sys.maxsize, most_bytes: float = inf) -> None:
        self.most_bytes = most_bytes
        self.lane = lane
        self.entries = entries
        self.parts = deque([Part(entries[at : at + most]) for at in range(0, len(entries), most)])
        self.tracked = 0
        self.is_begun = False
        """Whether the journal holds it as in doubt."""
        self.is_prepared = False
        """Whether the journal holds it as the one that follows."""
        self.body: bytes | None = None
        """What is sent of the first part, if that has been made beforehand."""
        self.following: Chunk | None = None
        """The next of the lane, if it has been taken already."""
        self.away = 0.0
        """Seconds of the last request in which that was made ready, and nobody waited for the answer."""

    def settled(self, tracked: int) -> None:
        """Note that the first part has its answer, and how many of its hits were recorded."""
        self.parts.popleft()
        self.tracked += tracked

    def halve(self, *, is_cut: bool = True) -> None:
        """Cut the first part, of two hits at least, into halves: because the tracker failed, or because of its size."""
        part = self.parts.popleft()
        middle = len(part) // 2
        self._put_first([part.piece(0, middle, is_cut=is_cut), part.piece(middle, len(part), is_cut=is_cut)])

    def fit(self, most_bytes: float) -> None:
        """Cut what would be larger than that into halves, before any of it is sent."""
        fitting: deque[Part] = deque()
        while self.parts:
            if len(self.parts[0]) > 1 and self.parts[0].size > most_bytes:
                self.halve(is_cut=False)
            else:
                fitting.append(self.parts.popleft())
        self.parts, self.body = fitting, None

    def cut_out(self, place: int) -> None:
        """Cut the hit at `place`, which the tracker named, out of the first part."""
        part = self.parts.popleft()
        named = part.piece(place, place + 1)
        named.is_named = True
        self._put_first([part.piece(0, place), named, part.piece(place + 1, len(part))])

    def let_next_go_first(self) -> bool:
        """Put the hit that follows the first part before it; False if there is none."""
        if len(self.parts) < 2:
            return False
        suspect, following = self.parts.popleft(), self.parts.popleft()
        probe = following.piece(0, 1)
        probe.is_probe = True
        self._put_first([probe, suspect, following.piece(1, len(following))])
        return True

    def restore(self) -> None:
        """Put a suspect back before the hit that went first and failed as well."""
        probe, suspect = self.parts.popleft(), self.parts.popleft()
        probe.is_probe = False
        self._put_first([suspect, probe])

    def head(self) -> Sequence[Entry]:
        """Return the hits from the beginning on that are settled."""
        pending = {(entry.source, entry.end) for part in self.parts for entry in part.entries}
        return list(takewhile(lambda entry: (entry.source, entry.end) not in pending, self.entries))

    def _put_first(self, parts: Sequence[Part]) -> None:
        self.parts.extendleft(part for part in reversed(parts) if part.entries)

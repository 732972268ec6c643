"""Do a thing once for each text that a log repeats.

A log repeats itself: the same second, address, agent and path come back in line after line. A dict that fills
itself answers a text it has seen in about 30 ns, without a call in Python; working it out again costs 1 to 10 µs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

RECENT = 200
"""Limit of a memo for what comes in order, as times do: what is long past will not come again."""


class Memo(dict[K, V]):
    """The values of a function by its argument: ``memo[key]`` is ``function(key)``, worked out when first asked for.

    Memory is bounded without keeping order: a full memo forgets everything and begins anew. It is full when it holds
    `limit` keys, or when one more would bring its keys to more than `weight` characters in all. A key longer than
    `longest` is not kept, for a few of them would drive out all the others and they seldom come twice. The length
    that counts is that of a text, or of the texts in a tuple; other keys weigh nothing. What the function raises
    passes through and is not kept. ``get`` and ``in`` only look; they never call the function.

    Keys that are equal share a value, so a function of numbers must not tell 1 from 1.0 or True.
    """

    __slots__ = ("_held", "function", "limit", "longest", "weight")

    def __init__(
        self, function: Callable[[K], V], *, limit: int = 10_000, weight: int = 1 << 19, longest: int = 1024
    ) -> None:
        super().__init__()
        self.function = function
        self.limit = limit
        self.weight = weight
        self.longest = longest
        self._held = 0  # characters of all keys

    def __missing__(self, key: K) -> V:
        value = self.function(key)
        length = len(key) if isinstance(key, str) else _length(key)
        if length > self.longest:
            return value
        self._held += length
        if self._held > self.weight or len(self) >= self.limit:
            self.clear()
            self._held = length
        self[key] = value
        return value

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._held = 0


def _length(key: object) -> int:
    """Return how many characters a key that is no text holds."""
    if isinstance(key, tuple):
        return sum([len(part) for part in key if isinstance(part, str)])
    return len(key) if isinstance(key, bytes) else 0

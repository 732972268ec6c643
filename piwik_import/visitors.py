"""Who the visitor is, where the user says how to tell: ``cid``, 16 hexadecimal digits of a keyed hash.

The key keeps a stranger who sees an ID from finding the address or the name behind it by trying them all. The same key
gives the same IDs in every run; it is given by the user, or made once and kept in the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b, sha256

from piwik_import.mapping import Read, text_of
from piwik_import.memo import Memo
from piwik_import.tracking import Hit

CHOICES = {
    "none": "the server tells visitors apart by address, browser and day",
    "ip-ua": "address and user agent",
    "user": "the user who was logged in; others as with none",
}
"""What --visitor-id takes besides the name of a field, and what then makes a visitor."""


@dataclass(frozen=True, slots=True)
class VisitorSettings:
    """How a visitor is known."""

    choice: str = "none"
    """One of `CHOICES`, or a field."""
    key: bytes = b""

    @property
    def field(self) -> str | None:
        """The field that it needs."""
        return None if self.choice in CHOICES else self.choice


def hasher(key: bytes) -> Callable[[str], str]:
    """Return the function from a text to its ID."""
    secret = sha256(key).digest()

    def hashed(text: str) -> str:
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=secret).hexdigest()

    return Memo(hashed).__getitem__


class Visitors:
    """Gives hits their ``cid``, by any choice but ``none``."""

    def __init__(self, settings: VisitorSettings, hashed: Callable[[str], str]) -> None:
        self._choice = settings.choice
        self._hashed = hashed

    def __call__(self, read: Read, hit: Hit) -> None:
        """Set the visitor's ID in `hit`, if the line says who it is."""
        if self._choice == "ip-ua":
            who = f"{text_of(read('ip'))}\n{text_of(read('user_agent'))}"
        elif self._choice == "user":
            who = str(hit.get("uid", ""))
        else:
            who = text_of(read(self._choice))
        if who.strip():
            hit["cid"] = self._hashed(who)

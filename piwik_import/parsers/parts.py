"""What a line is made of, as far as a format can tell, and where it stops being what the format says.

The parsers say what a line means; these facts say where in the line they have it from. They are for people who look at
a few lines, so whatever finds them (`walk`, `prefixes`, `keyed`) may take its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """A piece of a line."""

    text: str
    """As the line has it, a character a byte."""
    fields: tuple[str, ...] = ()
    """The words of `fields.FIELDS` that it gives."""
    start: int | None = None
    """Where it begins in the line; None if it does not lie in it as it is, as what an object holds."""
    name: str = ""
    """Its path, the name of its column, or what the format calls it, if anything."""

    @property
    def label(self) -> str:
        """What people know it by."""
        return ", ".join(self.fields) or self.name or "a word"


class Anatomy(NamedTuple):
    """One line, or as much of it as could be told."""

    line: str
    """What was read: the line, without what a wrapper puts around it."""
    parts: Sequence[Part]
    stop: int | None = None
    """Where the line stops being what the format says; None if it does not, or at no one place."""
    expected: str = ""
    """What should be there, in words; if there is no `stop`, what is missing. Empty for a line that fits."""

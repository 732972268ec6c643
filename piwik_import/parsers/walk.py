"""How far a line goes along a pattern.

A line that fits is cut by the pattern's expressions, with a group for each piece. One that does not is walked along
piece by piece, once with and once without each part that may be absent; the way that comes furthest tells where the
line goes wrong, and all that could have followed there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from piwik_import.parsers.parts import Anatomy, Part
from piwik_import.parsers.pattern import REST, shapes_of, split


class Token(NamedTuple):
    """A piece of a pattern that stands for some text."""

    name: str
    strict: str
    lenient: str
    field: str = ""
    """The field that a piece with a name is as well."""

    def part(self, text: str, start: int) -> Part:
        """Return the part of a line that it stands for."""
        if self.name[:1] == "*":
            return Part(text, (self.field,) if self.field else (), start, self.name[1:])
        return Part(text, (self.name,), start)


class Literal(NamedTuple):
    """Text that stands for itself."""

    text: str


class Maybe(NamedTuple):
    """A part of a pattern that a line may lack."""

    items: Sequence[Item]


Item = Token | Literal | Maybe

SIGNS = {" ": Token("a space", " ++", " ++"), "...": Token("...", REST, REST)}
"""Tokens that are no fields."""

END = re.compile(r"\r?\Z")


def anatomy(template: str, line: str) -> Anatomy:
    """Return what of a line is what in a pattern, which must compile."""
    items, tokens = _items(template)
    for way in ("strict", "lenient"):
        if found := _expression(template, way).match(line):
            pairs = zip(tokens, range(1, len(tokens) + 1), strict=True)
            taken = [token.part(found[at], found.start(at)) for token, at in pairs if found[at] is not None]
            return Anatomy(line, _shown(taken))
    ends = [end for way in ("strict", "lenient") for end in _walk(items, line, 0, (), way)]
    furthest = max(end.at for end in ends)
    last = [end for end in ends if end.at == furthest]
    parts, expected = _shown(last[0].parts), " or ".join(dict.fromkeys(end.expected for end in last))
    if (over := parts[-1] if parts else None) and furthest == len(line) and last[0].marks & {*over.text}:
        # It was not the line that ended too early: this piece has run over what should have ended it.
        return Anatomy(line, parts[:-1], over.start, f"{over.label} and then {expected}")
    return Anatomy(line, parts, furthest, f"{expected} after {parts[-1].label}" if parts else expected)


def _shown(parts: Sequence[Part]) -> list[Part]:
    return [part for part in parts if part.fields not in (("a space",), ("...",))]


@lru_cache(maxsize=64)
def _items(template: str) -> tuple[list[Item], list[Token]]:
    """Read a pattern: return its items, and the tokens among them in their order."""
    pieces = split(template.strip("\n"))
    items: list[Item] = []
    tokens: list[Token] = []
    outer: list[Item] = []
    for at, piece in enumerate(pieces):
        if at % 2 == 0:
            items += [Literal(piece)] if piece else []
        elif piece == "(":
            outer, items = items, []
        elif piece == ")":
            items = [*outer, Maybe(items)]
        else:
            name, _, form = piece.partition(":")
            field = form if name[:1] == "*" else ""
            tokens.append(SIGNS.get(piece) or Token(name, *shapes_of(pieces, at), field))
            items.append(tokens[-1])
    return items, tokens


@lru_cache(maxsize=64)
def _expression(template: str, way: str) -> re.Pattern[str]:
    """Return the expression of a whole line, with a group for each token."""

    def text(items: Sequence[Item]) -> str:
        return "".join([one(item) for item in items])

    def one(item: Item) -> str:
        if isinstance(item, Literal):
            return re.escape(item.text)
        return f"(?:{text(item.items)})?" if isinstance(item, Maybe) else f"({getattr(item, way)})"

    return re.compile(text(_items(template)[0]) + END.pattern, re.DOTALL)


class End(NamedTuple):
    """Where a way along a pattern ends."""

    at: int
    expected: str
    parts: tuple[Part, ...]
    marks: frozenset[str] = frozenset()
    """What was still to come besides words and spaces: quotes and brackets, mostly."""


def _walk(items: Sequence[Item], line: str, at: int, parts: tuple[Part, ...], way: str) -> Iterator[End]:
    """Yield where each way along `items` ends, from the place `at` in a line on."""
    for number, item in enumerate(items):
        if isinstance(item, Maybe):
            yield from _walk([*item.items, *items[number + 1 :]], line, at, parts, way)
        elif isinstance(item, Literal):
            right = _same(item.text, line[at : at + len(item.text)])
            at += right
            if right < len(item.text):
                texts = [one.text for one in items[number:] if isinstance(one, Literal)]
                yield End(at, repr(item.text[right:]), parts, frozenset(re.sub(r"[\s\w]", "", "".join(texts))))
                return
        else:
            found = re.compile(getattr(item, way), re.DOTALL).match(line, at)
            if found is None:
                yield End(at, item.part("", at).label, parts)
                return
            parts, at = (*parts, item.part(found[0], at)), found.end()
    if not END.match(line, at):
        yield End(at, "the end of the line", parts)


def _same(text: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    return next((at for at, pair in enumerate(zip(text, other, strict=False)) if len({*pair}) > 1), len(other))

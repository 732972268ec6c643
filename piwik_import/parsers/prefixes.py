"""How far a line goes along a regular expression.

Python's matcher tells that an expression does not match, and not where. So its beginnings are tried, from the longest
on, cut before each element that stands outside of alternatives; the one that matches tells where the line goes wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from piwik_import.errors import FormatStringError
from piwik_import.parsers.fields import FIELDS
from piwik_import.parsers.parts import Anatomy, Part
from piwik_import.parsers.regex import LONGEST, NOTHING, Groups, compiled, fields_by_group

ELEMENT = re.compile(
    r"""(?: (?P<open> \( (?: \? (?: P?<\w+> | <?[=!] | > | [aiLmsux-]*: ) )? )
          | (?P<close> \) )
          | (?P<either> \| )
          | \\. | \[\^?\]?(?:\\.|[^\]\\])*\] | . )
        (?: (?: [*+?] | \{\d*,?\d*\} ) [+?]? )?""",
    re.VERBOSE | re.DOTALL,
)
"""One element of an expression, with how often it may come; or a parenthesis."""

SHOWN = 40
"""Characters of an element that are shown."""


class Cut(NamedTuple):
    """A place where an expression may be cut."""

    at: int
    opened: int
    """How many parentheses are open there."""


def anatomy(regex: str, line: str, told: Groups = NOTHING) -> Anatomy:
    """Return what of a line is what in an expression, which must compile; `told` is what the user says of groups."""
    found = compiled(regex).match(line)
    if found is not None:
        return Anatomy(line, _parts(found, told))
    if len(line) > LONGEST:
        return Anatomy(line, [], None, f"at most {LONGEST >> 10} KiB")
    cuts = [*_cuts(regex)]
    for cut in reversed(cuts):
        try:
            found = compiled(regex[: cut.at] + ")" * cut.opened).match(line)
        except FormatStringError:  # no place to cut after all
            continue
        if found is not None:
            element = _element(regex, cut.at)
            parts = [part for part in _parts(found, told) if part.text]
            return Anatomy(line, parts, found.end(), f"what '{element}' matches")
    return Anatomy(line, [], None, "another line: of such an expression it cannot be told where it stops")


def _parts(found: re.Match[str], told: Groups) -> list[Part]:
    """Return the pieces that the groups of a match hold."""
    places = [(found.start(name), name) for name in found.re.groupindex if found[name] is not None]
    parts = []
    fields = fields_by_group(found.re.pattern, told)
    for start, name in sorted(places):
        field = "time" if name == "timezone" else fields[name][0]
        parts.append(Part(found[name], (field,) if field in FIELDS else (), start, name))
    return parts


def _cuts(regex: str) -> Iterator[Cut]:
    """Yield where an expression may be cut so that its beginning is still one: not within alternatives."""
    opened: list[list[Cut]] = [[]]
    for found in ELEMENT.finditer(regex):
        if found["close"] and len(opened) > 1:
            within = opened.pop()
            opened[-1] += within if within[:1] != [EITHER] else []
        elif found["either"]:
            opened[-1][:] = [EITHER]
        else:
            if opened[-1][:1] != [EITHER]:
                opened[-1].append(Cut(found.start(), len(opened) - 1))
            if found["open"]:
                opened.append([])
    if opened[0][:1] != [EITHER]:
        yield from sorted(opened[0])


EITHER = Cut(-1, 0)
"""Stands for the places in alternatives."""


def _element(regex: str, at: int) -> str:
    """Return the element of an expression that begins at a place; a group with all that is in it."""
    depth = 0
    for found in ELEMENT.finditer(regex, at):
        depth += bool(found["open"]) - bool(found["close"])
        if depth == 0:
            text = regex[at : found.end()]
            return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return regex[at : at + SHOWN]

"""Which wrappers may stand within one another around the lines of a log: two, whichever they are.

A container's runtime puts each line that a syslog daemon wrote into an object of JSON; a collector puts the file of the
runtime into an object of its own. It is looked for only where no single wrapper makes sure what is within.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from piwik_import.parsers.wrappers import Unwrapped, Wrapper, next_layer

SOME = 32
"""Lines by which it is found out what might be around what is around lines: to look at all took 0.2 s."""

MAY_GOVERN = re.compile("#(?:Fields|Date|Software):")
"""What a line holds that is a header of others, whatever is around it."""


def some(lines: Sequence[str]) -> Sequence[str]:
    """Return `SOME` of the lines, from all over them, and with these what may be their headers."""
    step = len(lines) // SOME + 1
    return [line for at, line in enumerate(lines) if at % step == 0 or MAY_GOVERN.search(line)]


def pairs(lines: Sequence[str], wrappers: Sequence[Wrapper], least: float) -> Iterator[Wrapper]:
    """Yield each wrapper with another around it, of which at least so many of `lines` have both."""
    unwraps = [(one, one.compile()) for one in wrappers]
    for outer, held in _telling(((one, map(unwrap, lines)) for one, unwrap in unwraps), least):
        inner = [(one, [next_layer(unwrap, line) for line in held]) for one, unwrap in unwraps if one is not outer]
        yield from (replace(one, outer=outer) for one, _ in _telling(inner, least))


def _telling(
    found: Iterable[tuple[Wrapper, Iterable[Unwrapped | None]]], least: float
) -> Iterator[tuple[Wrapper, list[Unwrapped]]]:
    """Yield the wrappers that enough lines have: of those that hold the same the one that says most besides."""
    best: dict[tuple[str, ...], tuple[tuple[int, int], Wrapper, list[Unwrapped]]] = {}
    for one, lines in found:
        held = [line for line in lines if line is not None]
        messages, rank = tuple([line.message for line in held]), (said(held), -one.detail)
        if len(held) >= least and (messages not in best or rank > best[messages][0]):
            best[messages] = rank, one, held
    yield from ((one, held) for _, one, held in best.values())


def said(unwrapped: Iterable[Unwrapped]) -> int:
    """Count what a wrapper says of lines besides the message."""
    return sum((one.time is not None) + (one.stream is not None) for one in unwrapped)

"""Which wrappers may stand within one another around the lines of a log: two, whichever they are.

A container's runtime puts each line that a syslog daemon wrote into an object of JSON; a collector puts the file of the
runtime into an object of its own. It is looked for only where no single wrapper makes sure what is within.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from piwik_import.parsers import messages
from piwik_import.parsers.messages import Unwrapped, next_layer
from piwik_import.parsers.wrappers import Wrapper

SOME = 32
"""Lines by which it is found out what might be around what is around lines: to look at all took 0.2 s."""

RUN = 8
"""Lines in a row that are looked at."""

MAY_GOVERN = re.compile("#(?:Fields|Date|Software):")
"""What a line holds that is a header of others, whatever is around it."""


def some(lines: Sequence[str]) -> Sequence[str]:
    """Return `SOME` of the lines, from all over them, and with these what may be their headers.

    They are runs of `RUN` lines, so that most messages in parts are there with all their parts.
    """
    step = len(lines) // SOME + 1
    return [line for at, line in enumerate(lines) if at // RUN % step == 0 or MAY_GOVERN.search(line)]


def pairs(lines: Sequence[str], wrappers: Sequence[Wrapper], share: float) -> Iterator[Wrapper]:
    """Yield each wrapper with another around it, of which at least that `share` of `lines`, or messages, have both."""
    unwraps = [(one, one.compile()) for one in wrappers]
    around = ((one, messages.opened(lines, unwrap)[1]) for one, unwrap in unwraps)
    for outer, found in _telling(around, share):
        inner = (
            (one, [line and next_layer(unwrap, line) for line in found]) for one, unwrap in unwraps if one is not outer
        )
        yield from (replace(one, outer=outer) for one, _ in _telling(inner, share))


Found = tuple[Wrapper, Sequence[Unwrapped | None]]
"""A wrapper, and what it has of each line."""


def _telling(found: Iterable[Found], share: float) -> Iterator[Found]:
    """Yield the wrappers that enough lines have: of those that hold the same the one that says most besides."""
    best: dict[tuple[str | None, ...], tuple[tuple[int, int], Found]] = {}
    for one, lines in found:
        held = [line for line in lines if line is not None]
        within, rank = tuple([line and line.message for line in lines]), (said(held), -one.detail)
        if len(held) >= max(1, len(lines) * share) and (within not in best or rank > best[within][0]):
            best[within] = rank, (one, lines)
    yield from (telling for _, telling in best.values())


def said(unwrapped: Iterable[Unwrapped]) -> int:
    """Count what a wrapper says of lines besides the message."""
    return sum((one.time is not None) + (one.stream is not None) for one in unwrapped)

"""How all formats compare on a log: which others fit it, and which come nearest if none does.

`detection` looks for the one that fits best, and has little time; this tells a person why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from piwik_import.errors import FormatError
from piwik_import.parsers import messages
from piwik_import.parsers.anatomy import dissect
from piwik_import.parsers.client_address import HOST_NAME
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.detection import ENOUGH, fit_of
from piwik_import.parsers.encoding import utf8
from piwik_import.parsers.fields import reader
from piwik_import.parsers.glance import Glance
from piwik_import.parsers.headers import Header, is_header
from piwik_import.parsers.parts import Anatomy, Part
from piwik_import.parsers.record import BadLine, OtherLine
from piwik_import.parsers.wrappers import Wrapper


class Share(NamedTuple):
    """What becomes of the lines of a log in a format."""

    fit: int = 0
    other: int = 0
    """Lines that are known to tell of no request."""
    invalid: int = 0

    @property
    def lines(self) -> int:
        return sum(self)


class Contender(NamedTuple):
    """A format, within a wrapper or not, that fits some lines of a log."""

    definition: Definition
    share: Share


def share_of(definition: Definition, lines: Sequence[str]) -> Share:
    """Return what becomes of `lines`, without the directives among them. Raises FormatError."""
    fates = [*definition.records(lines)]
    other = sum(isinstance(one, OtherLine) for one in fates)
    bad = sum(isinstance(one, BadLine) for one in fates) - other
    return Share(len(fates) - other - bad, other, bad)


def contenders(
    lines: Sequence[str], definitions: Sequence[Definition], around: Sequence[Wrapper | None]
) -> list[Contender]:
    """Return the formats that fit any of `lines`, the best first: as `detection` weighs them.

    Those without a time count only if no other fits.
    """
    timed = [one for one in definitions if "time" in one.fields]
    untimed = [one for one in definitions if "time" not in one.fields]
    return _contenders(lines, timed, around) or _contenders(lines, untimed, around)


def _contenders(
    lines: Sequence[str], definitions: Sequence[Definition], around: Sequence[Wrapper | None]
) -> list[Contender]:
    found = []
    for one in _wrapped(lines, definitions, around):
        with suppress(FormatError):
            fit = fit_of(one, lines)
            if fit.lines:
                found.append((fit[:5], Contender(one, share_of(one, lines))))
    return [contender for _, contender in sorted(found, key=lambda pair: pair[0], reverse=True)]


def nearest(
    lines: Sequence[str], definitions: Sequence[Definition], around: Sequence[Wrapper | None]
) -> list[Definition]:
    """Return the formats in the order of how much they read in the first lines of a log, the nearest first."""
    first = [line for line in lines if not is_header(line)][:LOOKED_AT]
    header = Header()
    for line in lines:
        header = header.after(line) if is_header(line) else header
    found = []
    for one in _wrapped(first, definitions, around, strict=False):
        with suppress(FormatError):
            one.under(header).compile()
            points = sum(_points(one, dissect(one.under(header), line).anatomy) for line in one.whole(first))
            found.append((points, one))
    found.sort(key=lambda pair: pair[0], reverse=True)
    return [one for points, one in found if points >= NEAR * len(first)]


LOOKED_AT = 5
"""Lines by which the nearest format is found."""


NEAR = 3.0
"""Points that a line must have on the average, such as those of a time and a status, with some to spare."""


def _wrapped(
    lines: Sequence[str], definitions: Sequence[Definition], around: Sequence[Wrapper | None], *, strict: bool = True
) -> Iterator[Definition]:
    """Yield the formats within each wrapper that enough lines have; if `strict`, only those that might fit."""
    for wrapper in around:
        texts, within = lines, lines
        if wrapper is not None:
            texts, found = messages.opened(lines, wrapper.compile())
            within = [one.message for one in found if one is not None]
        if len(within) < max(1, len(texts) * ENOUGH):
            continue
        glance = Glance(within)
        for one in definitions:
            if not strict or glance.could_fit(one):
                yield one.within(wrapper)


def _points(definition: Definition, anatomy: Anatomy) -> float:
    """Return how many fields of a line a format reads; words that may be anything count little."""
    length = len(anatomy.line) or 1
    reached, parts = length if not anatomy.expected else anatomy.stop or 0, anatomy.parts
    if anatomy.stop is not None and anatomy.stop >= length and parts:  # the last part has run to the line's end
        reached, parts = parts[-1].start or 0, parts[:-1]
    read = sum(map(_worth, parts))
    return NEAR + read if definition.json and parts else read + reached / length


TELLING = {"ip": 2.0, "time": 2.0, "request": 2.0, "method": 1.0, "status": 1.0, "target": 1.0, "path": 1.0}
"""What a field is worth whose text is what it must be; any other is worth `LITTLE`."""
LITTLE = 0.2


def _worth(part: Part) -> float:
    points = 0.0
    for field in part.fields:
        if field == "time" and ":" not in part.text and not part.text.replace(".", "").isdecimal():
            continue  # a day alone
        with suppress(BadLine, KeyError):
            value = reader(field, "any" if field == "time" else "", utf8)(part.text)
            worth = TELLING.get(field, LITTLE)
            if field == "ip" and (value is None or HOST_NAME.fullmatch(value)):
                worth = LITTLE
            if field == "request" and value.problem:
                worth = 0
            points += worth if value is not None else 0
    return points

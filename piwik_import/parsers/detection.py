"""Find the format of a log by trying every format on many of its lines, within every wrapper that they may have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from piwik_import.errors import UnknownFormat
from piwik_import.parsers.client_address import HOST_NAME
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.pattern import TOKEN
from piwik_import.parsers.record import BadLine, OtherLine, Parser
from piwik_import.parsers.wrappers import Unwrap, Wrapper

LINES = 200
"""How many lines are looked at: one odd line among them decides nothing."""

ENOUGH = 0.25
"""Share of the lines that must fit. A log of little but attacks still has more; an error log has none."""

FEW = 0.05
"""The same, of all lines, where the others are known for what they are: another program's, within a wrapper."""


def lines_of(head: bytes) -> list[str]:
    """Return the first whole lines of a log, without the empty ones; the unfinished one if there is no other."""
    lines = [line.strip("\r\0") for line in head.decode("latin-1").split("\n")]
    whole = lines[:-1] if len(lines) > 1 else lines
    return [line for line in whole if line.strip()][:LINES]


class Fit(NamedTuple):
    """How well a format fits some lines; a better one compares greater."""

    points: int = 0
    """A line that parses is worth one, one whose client is an address two."""
    detail: int = 0
    """Fields that had a value, conditions that were met."""
    fields: int = 0
    lines: int = 0
    others: int = 0
    """Lines that are known to tell of no request."""

    def is_enough(self, lines: int) -> bool:
        """Tell whether a log of so many lines may be in this format."""
        return self.lines >= max(1, (lines - self.others) * ENOUGH, lines * FEW)


def recognise(
    name: str, lines: Sequence[str], definitions: Iterable[Definition], wrappers: Iterable[Wrapper | None] = (None,)
) -> Definition:
    """Return the format that fits most of `lines`, the most telling one if several do, within one of `wrappers`.

    None among these stands for lines that nothing is around. Raises UnknownFormat, which shows the first line.
    """
    definitions = list(definitions)
    best, most, found = Fit(), (0, 0), None
    for wrapper in sorted(wrappers, key=lambda one: 0 if one is None else one.detail):
        within = lines if wrapper is None else [*_within(lines, wrapper.compile())]
        if len(within) < len(lines) * ENOUGH:
            continue
        fit, one = _best(definitions, lines, within, wrapper)
        said = 0 if wrapper is None else _said(lines, wrapper.compile())
        if one is not None and (fit.points, said) > most:
            best, most, found = fit, (fit.points, said), one
        if wrapper is None and best.points > len(lines) * SURE:
            break  # nothing is around lines that can be read as they are
    if found is None:
        raise UnknownFormat(name, lines[0] if lines else "", len(definitions))
    return _with_another(found, lines, definitions) if found.wrapper is not None or found.only else found


def _with_another(found: Definition, lines: Sequence[str], definitions: Sequence[Definition]) -> Definition:
    """Return the format with another one that fits lines which it does not, in a log that several programs write."""
    parse = found.compile()
    left = [line for line in lines if not _parses(line, parse)]
    within = left if found.wrapper is None else [*_within(left, found.wrapper.compile())]
    _, another = _best(definitions, left, within, found.wrapper) if within else (None, None)
    return found if another is None else replace(found, also=another.within(None))


def _parses(line: str, parse: Parser) -> bool:
    try:
        parse(line)
    except BadLine:
        return False
    return True


SURE = 1.5
"""Points for a line from which no wrapper is looked for: most lines parse, and their clients are addresses."""


def _best(
    definitions: Iterable[Definition], lines: Sequence[str], within: Sequence[str], wrapper: Wrapper | None
) -> tuple[Fit, Definition | None]:
    """Return the format that fits `lines` best within `wrapper`, if any fits enough of them."""
    best, found = Fit(), None
    for one in definitions:
        if could_fit(one, within):
            wrapped = one.within(wrapper)
            fit = _fit(wrapped, lines, wrapped.compile())
            if fit[:3] > best[:3] and fit.is_enough(len(lines)):
                best, found = fit, wrapped
    return best, found


def _said(lines: Sequence[str], unwrap: Unwrap) -> int:
    """Count what a wrapper says of the lines besides the message: of two that fit alike, the one that says more."""
    found = [one for line in lines if (one := unwrap(line)) is not None]
    return sum((one.time is not None) + (one.stream is not None) for one in found)


def _within(lines: Sequence[str], unwrap: Unwrap) -> Iterator[str]:
    for line in lines:
        if (unwrapped := unwrap(line)) is not None:
            yield unwrapped.message


def could_fit(definition: Definition, lines: Sequence[str]) -> bool:
    """Tell whether any of `lines` might be of a format, by a look that costs a hundredth of compiling its parser."""
    if definition.pattern is not None:
        literals = [piece for piece in TOKEN.split(definition.pattern.strip("\n"))[::2] if piece]
        return any(_holds(line, literals) for line in lines)
    if definition.json:
        return any(line.lstrip("\0 \t").startswith("{") for line in lines)
    return True


def _holds(line: str, literals: Sequence[str]) -> bool:
    """Tell whether a line holds the literals of a pattern in their order."""
    at = 0
    for literal in literals:
        at = line.find(literal, at)
        if at < 0:
            return False
        at += len(literal)
    return True


def _fit(definition: Definition, lines: Sequence[str], parse: Parser) -> Fit:
    """Tell how well a format fits.

    A pattern takes almost any word for a client's host name, so ``www.example.org 192.0.2.1 - -`` would pass as
    a line without a virtual host.
    """
    fit = points = others = detail = 0
    for line in lines:
        try:
            record = parse(line)
        except OtherLine:
            others += 1
            continue
        except BadLine:
            continue
        if definition.json and record.ip is None and record.status is None:
            continue  # any program's log may have a path
        fit += 1
        points += 1 if record.ip is None or HOST_NAME.fullmatch(record.ip) else 2
        detail += sum(value is not None for value in record) + 100 * len(definition.only)
    return Fit(points, detail, len(definition.fields), fit, others)

"""Find the format of a log by trying every format on many of its lines, within every wrapper that they may have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from piwik_import.errors import FormatError, UnknownFormat
from piwik_import.memo import Memo
from piwik_import.parsers import calls, cef, json_lines, nesting
from piwik_import.parsers.client_address import HOST_NAME
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.headers import Header, is_header
from piwik_import.parsers.pattern import literals_of
from piwik_import.parsers.record import BadLine, OtherLine, Parser, Record, Stranger
from piwik_import.parsers.wrappers import Unwrap, Wrapper

LINES = 200
"""How many lines are looked at: one odd line among them decides nothing."""

ENOUGH = 0.25
"""Share of the lines that must fit. A log of little but attacks still has more; an error log has none."""

FEW = 0.05
"""The same, of all lines, where the others are known for what they are: another program's, within a wrapper."""


def lines_of(head: bytes) -> list[str]:
    """Return the first whole lines of a log, without the empty ones; the unfinished one if there is no other.

    Directives are none of the lines that count, but they stay among them; there is nothing if there is nothing else.
    """
    lines = [line.strip("\r\0") for line in head.decode("latin-1").split("\n")]
    whole = lines[:-1] if len(lines) > 1 else lines
    found = [line for line in whole if line.strip()]
    counted = [at for at, line in enumerate(found) if not is_header(line)][:LINES]
    return found[: counted[-1] + 1] if counted else []


class Fit(NamedTuple):
    """How well a format fits some lines; a better one compares greater."""

    points: int = 0
    """Two for a line that parses, two more if its client is an address; one more or less for its host: see `fit_of`."""
    is_meant: bool = False
    """Whether the format is made for a certain kind of header, and it is there."""
    detail: int = 0
    """Fields that had a value, conditions that were met."""
    fields: int = 0
    named: int = 0
    """Text that is passed over, but has a name."""
    lines: int = 0
    others: int = 0
    """Lines that are known to tell of no request."""

    def is_enough(self, lines: int) -> bool:
        """Tell whether a log of so many lines may be in this format."""
        return self.lines >= max(1, (lines - self.others) * ENOUGH, lines * FEW)


def recognise(
    name: str,
    lines: Sequence[str],
    definitions: Iterable[Definition],
    wrappers: Iterable[Wrapper | None] = (None,),
    *,
    given: bool = False,
) -> Definition:
    """Return the format that fits most of `lines`, the most telling one if several do, within one of `wrappers`.

    None among these stands for lines that nothing is around. Raises UnknownFormat, which shows the first line, and
    lists the formats if it was the user who gave them.
    """
    definitions, around = list(definitions), list(wrappers)
    timed = [one for one in definitions if "time" in one.fields]
    if (found := _recognised(lines, timed, around)) is not None:
        return _with_others(found, lines, timed)
    # A line that says no time looks like parts of many that do, so such a format is meant only if no other is.
    untimed = [one for one in definitions if "time" not in one.fields]
    if untimed and (found := _recognised(lines, untimed, around)) is not None:
        return found
    names = [one.name for one in definitions] if given else []
    raise UnknownFormat(name, lines[0] if lines else "", len(definitions), names)


def _recognised(
    lines: Sequence[str], definitions: Sequence[Definition], around: Sequence[Wrapper | None]
) -> Definition | None:
    """Return the format that fits within one of the wrappers, or within two where none makes it sure."""
    parsers: Parsers = Memo(lambda number: definitions[number].compile())
    fit, found = _best_within(lines, definitions, around, parsers)
    if fit.points >= max(1, fit.lines) * FROM_ADDRESSES:
        return found
    some, single = lines[:: len(lines) // SOME + 1], [one for one in around if one is not None]
    nested = [*nesting.pairs(some, single, max(1, len(some) * ENOUGH))]
    more, another = _best_within(some, definitions, nested, parsers)
    return another if more.points * len(lines) > fit.points * len(some) else found


def _best_within(
    lines: Sequence[str], definitions: Sequence[Definition], wrappers: Sequence[Wrapper | None], parsers: Parsers
) -> tuple[Fit, Definition | None]:
    """Return the format that fits most of `lines` within one of `wrappers`, and how well it does."""
    most, best, found = (1, 0), Fit(), None
    # Of two that fit alike the one counts that could say less. The others come first: mostly one of them settles it.
    for wrapper in sorted(wrappers, key=lambda one: 0 if one is None else one.detail)[::-1]:
        messages = _Messages.of(lines, wrapper)
        if len(messages.found) < len(lines) * ENOUGH:
            continue
        sure = len(lines) * SURE
        least = min(most[0], sure) if wrapper is None else most[0]
        fit, one = _best(definitions, lines, messages, wrapper, parsers, least)
        said = 0 if wrapper is None else _said(lines, wrapper.compile())
        # Nothing is around lines that can be read as they are.
        if one is not None and ((fit.points, said) >= most or (wrapper is None and fit.points > sure)):
            most, best, found = (fit.points, said), fit, one
    return best, found


def _with_others(found: Definition, lines: Sequence[str], definitions: Sequence[Definition]) -> Definition:
    """Return the format with others that fit lines which it does not: several programs write, or one changed its mind.

    A line that nothing is around, and that no other program is known to write into, may just be broken: so it takes
    some lines, from addresses, to say that another format is meant. What a header says goes for all lines below it.
    """
    counted = _counted(found, lines)
    left = [line for line, fate in zip(counted, found.records(lines), strict=True) if isinstance(fate, BadLine)]
    few = len(counted) * FEW
    is_shared = found.wrapper is not None or bool(found.only)
    if not is_shared and (len(left) < few or found.columns is not None):
        return found
    messages = _Messages.of(left, found.wrapper)
    # Nothing but a format of calls knows what they mean.
    others = [one for one in definitions if not one.calls and (is_shared or one.columns is None)]
    parsers: Parsers = Memo(lambda number: others[number].compile())
    fit, another = _best(others, left, messages, found.wrapper, parsers) if messages.found else (Fit(), None)
    is_sure = fit.lines >= few and fit.points >= fit.lines * FROM_ADDRESSES
    if another is None or not (is_sure or is_shared):
        return found
    return replace(found, also=_with_others(another, left, definitions).within(None))


def _counted(definition: Definition, lines: Sequence[str]) -> Sequence[str]:
    """Return the lines without the directives that a format has."""
    if definition.columns is None:
        return lines
    return [line for line, text in zip(lines, definition.messages(lines), strict=True) if not is_header(text)]


MOST = 5
"""Points that a line can have."""

FROM_ADDRESSES = 4
"""Points for a line whose client is an address."""

SURE = 3
"""Points for a line from which no wrapper is looked for: most lines parse, and their clients are addresses."""

SOME = 32
"""Lines by which it is found out what might be around what is around lines: to look at all took 0.2 s."""


Parsers = Memo[int, Parser]
"""The parsers of formats, by their number: compiled once, whatever the lines are tried to be within."""


class _Messages(NamedTuple):
    """What is within the lines of a log."""

    found: Sequence[str]
    """Only of those that are wrapped; of all, if nothing is around them."""
    texts: Sequence[str]
    """Of all; a line that is not wrapped stands for itself."""

    @classmethod
    def of(cls, lines: Sequence[str], wrapper: Wrapper | None) -> _Messages:
        if wrapper is None:
            return cls(lines, lines)
        unwrapped = [*map(wrapper.compile(), lines)]
        texts = [line if one is None else one.message for line, one in zip(lines, unwrapped, strict=True)]
        return cls([one.message for one in unwrapped if one is not None], texts)


def _best(
    definitions: Sequence[Definition],
    lines: Sequence[str],
    messages: _Messages,
    wrapper: Wrapper | None,
    parsers: Parsers,
    least: int = 0,
) -> tuple[Fit, Definition | None]:
    """Return the format that fits `lines` best within `wrapper`, if any fits enough of them, and for `least` points."""
    best, found = Fit(), None
    for number, one in enumerate(definitions):
        if could_fit(one, messages.found):
            wrapped = one.within(wrapper)
            try:
                if one.columns is None and ("time" in one.fields or wrapper is None or wrapper.time_form is None):
                    fates = _fates(parsers[number], messages.texts, is_within=wrapper is not None)
                    fit = _weighed(one, fates, len(lines), max(least, best.points))
                else:
                    fit = fit_of(wrapped, lines, max(least, best.points))
            except FormatError:  # what the user says of the fields does not go together with what it has
                continue
            if fit[:5] > best[:5] and fit.is_enough(len(_counted(wrapped, lines))):
                best, found = fit, wrapped
    return best, found


def _fates(parse: Parser, texts: Sequence[str], *, is_within: bool) -> Iterator[Record | BadLine]:
    """Yield what becomes of each text, as `wrappers.around` has it if they are within something."""
    for text in texts:
        try:
            if is_within and not text.strip():
                raise OtherLine("there is nothing within")
            yield parse(text)
        except BadLine as error:
            yield OtherLine(str(error)) if is_within and isinstance(error, Stranger) else error


def _said(lines: Sequence[str], unwrap: Unwrap) -> int:
    """Count what a wrapper says of the lines besides the message: of two that fit alike, the one that says more."""
    return nesting.said([one for line in lines if (one := unwrap(line)) is not None])


def within_of(lines: Sequence[str], unwrap: Unwrap) -> Iterator[str]:
    """Yield what is within the lines that are wrapped."""
    for line in lines:
        if (unwrapped := unwrap(line)) is not None:
            yield unwrapped.message


def could_fit(definition: Definition, lines: Sequence[str]) -> bool:
    """Tell whether any of `lines` might be of a format, by a look that costs a hundredth of compiling its parser."""
    if definition.pattern is not None:
        literals = literals_of(definition.pattern)
        return any(_holds(line, literals) for line in lines)
    if definition.syntax == "cef":
        return any(line.startswith(cef.BEGINNING) for line in lines)
    if definition.json:
        keys = json_lines.keys_of_time(definition.json)
        return any(line.lstrip("\0 \t").startswith("{") and any(key in line for key in keys) for line in lines)
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


def fit_of(definition: Definition, lines: Sequence[str], least: int = 0) -> Fit:
    """Tell how well a format fits; not at all, if it cannot come to `least` points.

    A pattern takes almost any word for a client's host name, so ``www.example.org 192.0.2.1 - -`` would pass as
    a line without a virtual host. And almost any word would pass as a virtual host, so one that looks like none takes
    a point away, as none does where the format has one: what looks like its place is then something else's.
    A header that names columns as another maker does is not this format's.
    """
    columns, fields, is_meant = definition.columns, len(definition.fields), False
    if columns is not None:
        header = Header()
        for line in definition.messages(lines):
            header = header.after(line) if is_header(line) else header
        if not columns.claims(header):
            return Fit()
        fields, is_meant = len(columns.words_under(header)), bool(columns.known_by)
    fit = _weighed(definition, definition.records(lines), len(lines), least)
    return fit._replace(is_meant=is_meant, fields=fields) if fit.lines else fit


def _weighed(definition: Definition, records: Iterator[Record | BadLine], lines: int, least: int) -> Fit:
    """Tell how well a format fits by what becomes of some `lines`; not at all, if it cannot come to `least` points."""
    with_host = "host" in definition.fields
    fit = points = others = detail = 0
    for left, record in zip(range(lines, 0, -1), records, strict=False):
        if points + left * MOST < least:  # so most formats need not look at most lines
            return Fit()
        if isinstance(record, BadLine):
            others += isinstance(record, OtherLine)
            continue
        if calls.is_one(record) < bool(definition.calls):
            continue
        if definition.json and record.ip is None and record.status is None and not definition.calls:
            continue  # any program's log may have a path
        fit += 1
        points += 2 if record.ip is None or HOST_NAME.fullmatch(record.ip) else 4
        if with_host:
            points += 1 if re.search(r"[.:\]]|^localhost$", record.host or "") else -1
        detail += sum(value is not None for value in record) + 100 * len(definition.only)
    return Fit(points, False, detail, len(definition.fields), len(definition.pieces), fit, others)

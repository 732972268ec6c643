"""Find the format of a log by trying every format on many of its lines, within every wrapper that they may have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from piwik_import.errors import FormatError, UnknownFormat
from piwik_import.memo import Memo
from piwik_import.parsers import calls, messages, nesting
from piwik_import.parsers.client_address import HOST_NAME
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.glance import Glance
from piwik_import.parsers.headers import Header, is_header
from piwik_import.parsers.messages import Unwrap
from piwik_import.parsers.record import BadLine, OtherLine, Parser, Record, Stranger
from piwik_import.parsers.wrappers import Wrapper

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
        return found
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
    if fit.points < max(1, fit.lines) * FROM_ADDRESSES:
        some, single = nesting.some(lines), [one for one in around if one is not None]
        nested = [*nesting.pairs(some, single, ENOUGH)]
        more, another = _best_within(some, definitions, nested, parsers)
        if more.points * len(lines) > fit.points * len(some):
            fit, found = more, another
    if found is None or fit.lines == len(lines) or "time" not in found.fields:
        return found
    return _with_others(found, lines, definitions)


def _best_within(
    lines: Sequence[str], definitions: Sequence[Definition], wrappers: Sequence[Wrapper | None], parsers: Parsers
) -> tuple[Fit, Definition | None]:
    """Return the format that fits most of `lines` within one of `wrappers`, and how well it does."""
    # Of two that fit alike the one counts that could say less. The others come first: mostly one of them settles it.
    around = sorted(wrappers, key=lambda one: 0 if one is None else one.detail)[::-1]
    trials = [one for one in (_Trial(definitions, parsers, lines, wrapper) for wrapper in around) if one.is_worth_it]
    # Nobody need look for long at what fits less than the one that promises most.
    promising = max(trials, key=_Trial.promise, default=None)
    outcome = promising.best() if promising is not None else NOTHING
    most, found = (1, 0), NOTHING
    for trial in trials:
        wrapper, sure = trial.wrapper, len(lines) * SURE
        least = max(most[0], outcome[0].points)
        fit, one = outcome if trial is promising else trial.best(least if wrapper is not None else min(least, sure))
        if one is None:
            continue
        said = 0 if wrapper is None or fit.points < most[0] else _said(lines, wrapper.compile())
        # Nothing is around lines that can be read as they are.
        if (fit.points, said) >= most or (wrapper is None and fit.points > sure):
            most, found = (fit.points, said), (fit, one)
    return found


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
    # Nothing but a format of calls knows what they mean.
    others = [one for one in definitions if not one.calls and (is_shared or one.columns is None)]
    parsers: Parsers = Memo(lambda number: others[number].compile())
    fit, another = _Trial(others, parsers, left, found.wrapper).best()
    is_sure = fit.lines >= few and fit.points >= fit.lines * FROM_ADDRESSES
    if another is None or not (is_sure or is_shared):
        return found
    return replace(found, also=_with_others(another, left, definitions).within(None))


def _counted(definition: Definition, lines: Sequence[str]) -> Sequence[str]:
    """Return the lines, or messages, without the directives that a format has."""
    if definition.columns is None:
        return definition.whole(lines)
    return [line for line, text in zip(lines, definition.messages(lines), strict=True) if not is_header(text)]


FROM_ADDRESSES = 4
"""Points for a line whose client is an address: the most there are, but for one more that its host may give."""

SURE = 3
"""Points for a line from which no wrapper is looked for: most lines parse, and their clients are addresses."""


Parsers = Memo[int, Parser]
"""The parsers of formats, by their number: compiled once, whatever the lines are tried to be within."""


class _Trial:
    """All formats, tried on the lines of a log within a wrapper, or within none."""

    def __init__(
        self, definitions: Sequence[Definition], parsers: Parsers, lines: Sequence[str], wrapper: Wrapper | None
    ) -> None:
        self.wrapper = wrapper
        self._definitions = definitions
        self._parsers = parsers
        self._lines = lines
        if wrapper is None:
            self._within = self._texts = lines
            return
        texts, found = messages.opened(lines, wrapper.compile())
        self._within = [one.message for one in found if one is not None]
        # A line that is not wrapped stands for itself.
        self._texts = [line if one is None else one.message for line, one in zip(texts, found, strict=True)]

    @property
    def is_worth_it(self) -> bool:
        """Whether enough of the lines are wrapped."""
        return len(self._within) >= len(self._texts) * ENOUGH

    def promise(self) -> int:
        """Return the points of the format that fits the first lines best."""
        return max(self._first.values(), default=0)

    def best(self, least: int = 0) -> tuple[Fit, Definition | None]:
        """Return the format that fits the lines best, if any fits enough of them, and for `least` points.

        Of several that fit alike it is the first. Once a good one is known most others need not look at many lines: so
        those are tried first that fit the first lines best.
        """
        best, at = NOTHING[0], 0
        for number in sorted(self._first, key=self._first.__getitem__, reverse=True):
            fit = self._fit(number, self._texts, max(least, best.points))
            if (fit[:5], -number) > (best[:5], -at) and fit.is_enough(self._count(number)):
                best, at = fit, number
        return best, self._definitions[at].within(self.wrapper) if best.lines else None

    @cached_property
    def _first(self) -> Mapping[int, int]:
        """The points that each format which might fit has for the first lines; none for one that has to see all."""
        if not self._within:
            return {}
        within, all_of_them = Glance(self._within), Glance(self._texts)  # a header may stand outside
        first = self._texts[:FIRST]
        return {
            number: self._fit(number, first).points if self._is_alone(number) else 0
            for number, one in enumerate(self._definitions)
            if (within if one.columns is None else all_of_them).could_fit(one)
        }

    def _count(self, number: int) -> int:
        """Count the lines, or messages, that a format would have to fit."""
        one = self._definitions[number]
        return len(self._texts if one.columns is None else _counted(one.within(self.wrapper), self._lines))

    def _is_alone(self, number: int) -> bool:
        """Tell whether a format needs nothing but what is within a line: no header above it, no time around it."""
        one, wrapper = self._definitions[number], self.wrapper
        return one.columns is None and ("time" in one.fields or wrapper is None or wrapper.time_form is None)

    def _fit(self, number: int, texts: Sequence[str], least: int = 0) -> Fit:
        one = self._definitions[number]
        try:
            if not self._is_alone(number):
                return fit_of(one.within(self.wrapper), self._lines, least)
            fates = _fates(self._parsers[number], texts, is_within=self.wrapper is not None)
            return _weighed(one, fates, len(texts), least)
        except FormatError:  # what the user says of the fields does not go together with what it has
            return NOTHING[0]


NOTHING: tuple[Fit, Definition | None] = (Fit(), None)
"""How well no format fits."""


FIRST = 5
"""Lines by which it is decided which formats are tried first."""


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
    wants_ip = "ip" in definition.fields and "time" not in definition.fields
    most = FROM_ADDRESSES + with_host
    fit = points = others = detail = 0
    for left, record in zip(range(lines, 0, -1), records, strict=False):
        if points + left * most < least:  # so most formats need not look at most lines
            return Fit()
        if isinstance(record, BadLine):
            others += isinstance(record, OtherLine)
            continue
        if calls.is_one(record) < bool(definition.calls):
            continue
        if definition.json and record.ip is None and record.status is None and not definition.calls:
            continue  # any program's log may have a path
        if wants_ip and record.ip is None:
            continue  # without a time there is too little left that any line might not have
        fit += 1
        points += 2 if record.ip is None or HOST_NAME.fullmatch(record.ip) else 4
        if with_host:
            points += 1 if re.search(r"[.:\]]|^localhost$", record.host or "") else -1
        detail += sum(value is not None for value in record) + 100 * len(definition.only)
    return Fit(points, False, detail, len(definition.fields), len(definition.pieces), fit, others)

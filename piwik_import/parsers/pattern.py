"""Compile a line's pattern, as a format file writes it, into a parser.

    {ip} {*} {user} [{time}] "{request}" {status} {length} "{referrer}" "{user_agent}"

Braces hold a field (`fields.FIELDS`), or ``{*}`` for text that is passed over, ``{*name}`` for such text that may be
asked for by name; all else stands for itself. What a field may hold follows from what stands after it (`shapes`): up
to the quote, the bracket, the space. ``{...}`` at the end allows further fields that nobody reads, ``{(}`` and ``{)}``
enclose a part that may be absent, ``{ }`` is one space or several, ``{{`` and ``}}`` are braces.

The strict expression is tried first, in its quick form where that will do. A line that it refuses may be one whose
server did not escape quotes, so another expression ends each quoted field at the first quote that the rest of the
pattern could follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from piwik_import.memo import Memo
from piwik_import.parsers.escapes import ESCAPES
from piwik_import.parsers.extra import extra_of_texts
from piwik_import.parsers.fields import (
    FIELDS,
    HOST_ALONE,
    NAMES_HOST,
    REQUEST_PARTS,
    REQUESTS,
    behind_reader,
    converter,
    has_usual_forms,
    parts_reader,
    readers,
    two_parts,
)
from piwik_import.parsers.quantities import USUAL_LENGTH
from piwik_import.parsers.record import BadLine, Record, Stranger, Texts
from piwik_import.parsers.regex import AROUND
from piwik_import.parsers.shapes import QUOTED, Surroundings, lenient_shape, shape
from piwik_import.parsers.urls import host_beside_scheme, host_of

TOKEN = re.compile(r"(\{\{|\}\})|\{([^{}]*)\}")
UNESCAPED = '[^"]*+'
"""The same as `QUOTED` in a line without a backslash: any character but one is found in a fifth of the time."""
LONGEST = 1 << 16
"""Characters of a line that is tried in several ways: with 1 MiB that takes 0.1 s, and no server writes so much."""
FORWARDED = "forwarded"
"""The form of a piece ``{*name:forwarded}``: the addresses that the client's proxies were heard from."""
REST = r"(?: .*+)?"
"""What ``{...}`` stands for: further fields, from a space on."""


class Step(NamedTuple):
    """What a part of a pattern may be, as expressions."""

    name: str
    """What it is called where a line lacks it."""
    strict: str
    lenient: str
    """As `strict`, where quotes were not escaped."""
    quick: str
    """As `strict`, for a line without a backslash whose length is as usual."""

    @classmethod
    def always(cls, name: str, text: str) -> Step:
        """Make a step that is the same in all expressions."""
        return cls(name, text, text, text)


def _joined(steps: Sequence[Step]) -> list[str]:
    """Return the three expressions of several steps."""
    return ["".join(texts) for texts in zip(*[step[1:] for step in steps], strict=True)]


class Pattern:
    """The parser of one pattern, which also reads the pieces ``{*name}`` whose names are `wanted`.

    Raises ValueError for a pattern that makes no sense, or that lacks what is wanted.

    Every repetition is possessive or ends at a character that it cannot hold: no line makes the match
    take more than time in proportion to its length.
    """

    def __init__(self, template: str, wanted: Sequence[str] = (), escapes: str = "") -> None:
        self.names: list[str] = []
        self._forms: list[str] = []
        self._wanted: dict[str, str] = {}  # what stands for a wanted piece in the parser's code → its name
        self._plain = ESCAPES[escapes]
        if lacking := set(wanted) - {*pieces_of(template)}:
            raise ValueError(f"no such field: {', '.join(sorted(lacking))}")
        steps: list[Step] = []
        opened: int | None = None
        pieces = split(template.strip("\n"))
        for at, piece in enumerate(pieces):
            if at % 2 == 0:
                steps.append(Step.always(repr(piece), re.escape(piece)))
            elif piece == "...":
                if pieces[at + 1 :] not in ([""], ["", ")", ""]):
                    raise ValueError("{...} stands elsewhere than at its end")
                steps.append(Step.always("further fields", REST))
            elif piece == " ":
                steps.append(Step.always("a space", " ++"))
            elif piece == "(":
                if opened is not None:
                    raise ValueError("{(} stands within {(} and {)}")
                opened = len(steps)
            elif piece == ")":
                if opened is None:
                    raise ValueError("{)} stands without {(}")
                steps[opened:] = [Step("what may be absent", *(f"(?:{text})?" for text in _joined(steps[opened:])))]
                opened = None
            else:
                steps.append(self._field(pieces, at, wanted))
        if opened is not None:
            raise ValueError("{(} stands without {)}")
        self._is_timed = AROUND in template
        self._steps = [step for step in steps if step.strict]
        self._texts = [text + r"\r?\Z" for text in _joined(steps)]
        self._quick = re.compile(self._texts[2], re.DOTALL)
        self.parse = self._compile()

    def _field(self, pieces: Sequence[str], at: int, wanted: Sequence[str]) -> Step:
        """Return the step of a field, or of text that is passed over; note which group of the line is what."""
        name, _, form = pieces[at].partition(":")
        strict, lenient = shapes_of(pieces, at)
        quick = UNESCAPED if strict == QUOTED else strict
        if name == "length" and "(" not in pieces:  # else an unusual one would be taken for an absent part
            quick = USUAL_LENGTH
        if name[:1] == "*" and name[1:] not in wanted and form != FORWARDED:
            return Step(name, strict, lenient, quick)
        word = name
        if name[:1] == "*":
            word = form or f"piece{len(self._wanted)}"
            if name[1:] in wanted:
                self._wanted[word] = name[1:]
        self.names.append(word)
        self._forms.append("" if name[:1] == "*" else form)
        return Step(name, f"({strict})", f"({lenient})", f"({quick})")

    def _compile(self) -> Callable[[str], Record]:
        """Return the function that parses a line: one match, then one look-up a field.

        It is written out for the fields of this pattern and then compiled, as dataclasses do with their methods: a
        loop over the fields would take a quarter longer.
        """
        if len(set(self.names)) + len(set(self._wanted.values())) < len(self.names) + len(self._wanted):
            raise ValueError("a field stands in it twice")
        if unknown := set(self.names) - FIELDS.keys() - self._wanted.keys():
            raise ValueError(f"no such field: {', '.join(sorted(unknown))}")
        if not {*REQUESTS} & set(self.names):
            raise ValueError("it needs one of {request}, {target}, {path}")
        if "time" not in self.names:
            raise ValueError("its lines have no time, and nothing that is around them gives one")
        forms = {name: form for name, form in zip(self.names, self._forms, strict=True) if name not in self._wanted}
        single = {name: form for name, form in forms.items() if "date" not in forms or name not in ("date", "time")}
        memos: dict[str, Any] = {f"{name}_of": converter(name, form, self._plain) for name, form in single.items()}
        values = {name: f"{name}_of[{name}]" if name in forms else "None" for name in Record._fields}
        if FORWARDED in self.names and forms.get("ip"):
            memos["ip_of"], values["ip"] = Memo(behind_reader(forms["ip"], self._plain)), "ip_of[ip, forwarded]"
        if "date" in forms:
            memos["time_of"], values["time"] = two_parts(forms), "time_of[date, time]"
        if "request" not in forms:
            memos["request_of"] = Memo(parts_reader(forms, self._plain))
            parts = ", ".join(name if name in forms else "None" for name in REQUEST_PARTS)
            values["request"] = f"request_of[{parts}]"
        if {"host", "scheme"} <= forms.keys():
            memos["host_of"], values["host"] = Memo(host_beside_scheme(forms, self._plain)), "host_of[host, scheme]"
        for name in ("request", "target"):
            if "host" not in forms and forms.get(name) in HOST_ALONE:
                memos["host_of"] = Memo(host_of(name, forms[name], self._plain))
                values["host"] = f"host_of[{name}]"
        if self._wanted:
            memos["extra_of"] = extra_of_texts([*self._wanted.values()], self._plain)
            values["extra"] = f"extra_of(({', '.join(self._wanted)},))"
        code = (
            "def parse(line):\n"
            "    found = '\\\\' not in line and quick(line) or match_again(line)\n"
            f"    {', '.join(self.names)}, = found.groups()\n"
            f"    return new(Record, ({', '.join(values.values())}))\n"
        )
        names = memos | {"quick": self._quick.match, "match_again": self._match_again}
        names |= {"new": tuple.__new__, "Record": Record}
        exec(code, names)  # made of the names of `FIELDS` alone
        parse: Callable[[str], Record] = names["parse"]
        return parse

    def texts(self) -> Texts:
        """Return the two steps of `parse`, for lines without a backslash."""
        match = self._quick.match

        def cut(line: str) -> tuple[str, ...] | None:
            found = match(line) if "\\" not in line else None
            return None if found is None else found.groups()

        return Texts(self.names, cut, readers(dict(zip(self.names, self._forms, strict=True)), self._plain))

    def _match_again(self, line: str) -> re.Match[str]:
        """Match `line` strictly, then less so, or raise BadLine with the place where it stops being what it should."""
        is_long = len(line) > LONGEST
        if (not is_long or "\\" in line) and (found := self._strict.match(line)):  # `quick` has said no of the others
            return found
        if is_long:
            raise BadLine(f"longer than {LONGEST >> 10} KiB, and not as the lines of its format")
        if found := self._lenient.match(line):
            return found
        right = end = 0
        for step in self._beginning:  # each has but one way to match where the one before it ended
            if (found := step.match(line, end)) is None:
                break
            right, end = right + 1, found.end()
        kind = BadLine if right > self._begun + 1 else Stranger
        expected = self._expected[right]
        if end == len(line):
            raise kind(f"the line ends where {expected} should follow")
        before = line.find(AROUND, 0, end) + 1 if self._is_timed else 0  # is no part of the line
        raise kind(f"column {end - before + 1}: expected {expected}")

    @cached_property
    def _expected(self) -> list[str]:
        """What is called missing where so many steps are right."""
        return [*[step.name for step in self._steps], "the end of the line"]

    @cached_property
    def _begun(self) -> int:
        """The step that says that a line is one of the format: what stands at the beginning may be any word."""
        return min(self._expected.index(name) for name in ("time", *REQUESTS) if name in self._expected[1:])

    @cached_property
    def _strict(self) -> re.Pattern[str]:
        return re.compile(
            self._texts[0], re.DOTALL
        )  # 2 ms that many a log, and a format that does not fit, need not pay

    @cached_property
    def _lenient(self) -> re.Pattern[str]:
        return re.compile(self._texts[1], re.DOTALL)

    @cached_property
    def _beginning(self) -> list[re.Pattern[str]]:
        """The expression of each step; only a broken line has them compiled."""
        return [re.compile(step.strict, re.DOTALL) for step in self._steps]


def shapes_of(pieces: Sequence[str], at: int) -> tuple[str, str]:
    """Return the strict and the lenient expression of the token at `at` in a split pattern. Raises ValueError."""
    name, _, form = pieces[at].partition(":")
    around = Surroundings.of(pieces, at)
    if name in ("date", "time") and "%" not in form and any(piece[:4] == "date" for piece in pieces[1::2]):
        form = "any"  # a time of day and its day have forms of their own: the surroundings tell
    return shape(name, form, around), lenient_shape(name, form, around)


def split(template: str) -> list[str]:
    """Cut a pattern into text, token, text, token … text; a token is what stands between braces."""
    pieces = [""]
    for at, part in enumerate(TOKEN.split(template)):
        if part is None:  # no brace that stands for itself, or no token
            continue
        if at % 3 == 2:
            pieces += [part, ""]
        else:
            pieces[-1] += part[:1] if at % 3 == 1 else part
    return pieces


def fields_of(template: str) -> Iterator[str]:
    """Name the fields of a pattern in their order."""
    for piece in split(template)[1::2]:
        if piece[:1] not in ("*", "(", ")", " ") and piece != "...":
            name, _, form = piece.partition(":")
            yield name
            if form in NAMES_HOST:
                yield "host"


def pieces_of(template: str) -> Iterator[str]:
    """Name the pieces ``{*name}`` of a pattern in their order."""
    for piece in split(template)[1::2]:
        if piece[:1] == "*" and piece != "*":
            yield piece[1:].partition(":")[0]


def is_usual(template: str) -> bool:
    """Tell whether `Pattern.texts` gives of the most lines what `Pattern.parse` does: no part of them may be absent."""
    pieces = split(template)[1::2]
    if any(piece[:1] == "*" and piece.endswith(f":{FORWARDED}") for piece in pieces):
        return False  # whose address it is does not follow from one text
    return "(" not in pieces and has_usual_forms(piece.partition(":")[::2] for piece in pieces)


def literals_of(template: str) -> list[str]:
    """Return the text of a pattern that every line has, in its order: all but that of parts that may be absent."""
    pieces = split(template.strip("\n"))
    found, within = [], False
    for at, piece in enumerate(pieces):
        if at % 2 == 0:
            found += [] if within or not piece else [piece]
        elif piece in ("(", ")"):
            within = piece == "("
    return found

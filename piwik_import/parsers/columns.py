"""Compile the columns that a format knows, under the header of a log, into a parser.

A line of the W3C family is a row of a table; ``#Fields`` names its columns. The format says which of them give which
fields (``c-ip`` the address), so it fits a log whatever columns its server was told to write. How the values are
separated, quoted and encoded differs from server to server, and is the format's to say too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from piwik_import.clock import FORMS, split_form
from piwik_import.memo import Memo
from piwik_import.parsers import request, urls
from piwik_import.parsers.encoding import utf8
from piwik_import.parsers.extra import Extra
from piwik_import.parsers.fields import FIELDS, PEER_WORDS, REQUEST_PARTS, REQUESTS, converter, two_parts
from piwik_import.parsers.headers import Header
from piwik_import.parsers.record import BadLine, Parser, Record, Request
from piwik_import.parsers.rows import QUOTED, SEPARATORS, Cutter, plain_names

ABSENT = frozenset({None, "-", ""})


@dataclass(frozen=True, slots=True)
class Columns:
    """What a format says of its columns. Holds data only."""

    fields_of: Mapping[str, Sequence[str]]
    """Name of a column in lower case → the fields that it gives, as ``field`` or ``field:form``. If several columns
    give one field, the first of them that a line has gives it."""
    separator: str = ""
    """A name of `SEPARATORS`; empty for spaces, or tabs in lines that have some."""
    default: str = ""
    """The columns of a log that does not name them; a line may lack those in brackets at the end."""
    known_by: Sequence[str] = ()
    """Names of columns, or beginnings of ``#Software: …``, of which the header of such a log has one."""
    regexes: Mapping[str, str] = field(default_factory=dict)
    """Name of a column → expression whose named groups are fields too."""
    asked: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Field → names of columns, of which the user says that they give it: a header has one of them."""

    @property
    def words(self) -> tuple[str, ...]:
        """The fields that there may be."""
        return tuple(dict.fromkeys(form.partition(":")[0] for forms in self.fields_of.values() for form in forms))

    def words_under(self, header: Header) -> set[str]:
        """Return the fields that there are under a header."""
        return {form.partition(":")[0] for name in self.names(header) for form in self.fields_of.get(name, ())}

    def names(self, header: Header) -> list[str]:
        """Return the names of the columns under a header."""
        return (header if header.fields else header._replace(fields=self.default)).names

    def lacks(self, headers: Sequence[Header]) -> Iterator[str]:
        """Yield the fields that the user wants of columns of which none is under any of the headers."""
        if self.asked:
            names = {name for header in headers for name in plain_names(self.names(header))}
            yield from (field for field, several in self.asked.items() if names.isdisjoint(several))

    def claims(self, header: Header) -> bool:
        """Tell whether logs with this header are what the format is made for."""
        software, names = f"#software: {header.software}".lower(), {*self.names(header)}
        return not self.known_by or any(
            software.startswith(one) if one.startswith("#") else one in names for one in self.known_by
        )

    def clock(self, header: Header) -> re.Pattern[str] | None:
        """Return what finds the time of day in a line, if there is no date beside it."""
        if not header.date or "date" in self.words_under(header):  # as nearly always
            return None
        picks = pick_fields(self, plain_names(self.names(header)), header)
        if "date" in picks or "time" not in picks or is_whole(picks["time"][0].form):
            return None
        separators = [SEPARATORS[name] for name in ([self.separator] if self.separator else ["tab", "space"])]
        column = picks["time"][0].column
        before = [rf"(?:(?>{QUOTED}|{one.value}){one.text}){{{column}}}+" for one in separators]
        return re.compile(rf'\0*+(?:{"|".join(before)})"?+([\d:]++)')


class Pick(NamedTuple):
    """A column that gives a field."""

    column: int
    form: str
    decode: Callable[[str], str]


def compile_columns(columns: Columns, header: Header, wanted: Sequence[str] = ()) -> Parser:
    """Return the parser of the lines under one header; `wanted` names columns, or groups of `Columns.regexes`.

    If that lacks what every line needs, each of its lines is refused for it. Raises ValueError for a field that does
    not exist and a separator or expression that is none, KeyError for an unknown form.
    """
    if unknown := {*columns.words} - FIELDS.keys():
        raise ValueError(f"no such field: {', '.join(sorted(unknown))}")
    if "time" not in columns.words or not {*REQUESTS} & {*columns.words}:
        raise ValueError("it needs time and one of request, target, path")
    for spec in (spec for specs in columns.fields_of.values() for spec in specs):
        read_form(*spec.partition(":")[::2])
    if columns.separator and columns.separator not in SEPARATORS:
        raise ValueError(f"no such separator: {columns.separator}; known are {', '.join(SEPARATORS)}")
    names = columns.names(header)
    if len(names) > MOST or names.count("[") > DEEPEST:
        return _refuse(f"#Fields names more than {MOST} columns, or has more than {DEEPEST} brackets")
    cutter = Cutter(names, columns.separator)
    picks = pick_fields(columns, cutter.names, header)
    if not cutter.names:
        return _refuse("no #Fields line says what its columns are; --w3c-fields can say it")
    if lacking := [*columns.lacks([header])]:
        return _refuse(f"there is no column {' or '.join(columns.asked[lacking[0]])}, as --field {lacking[0]} has it")
    if "time" not in picks:
        return _refuse("#Fields names no column for the time, and of a time of day alone no #Date says the day")
    if not {*REQUESTS} & picks.keys():
        return _refuse("#Fields names no column for the request: this is no log of a web server")
    return _compile(picks, _further(columns, cutter.names, wanted), cutter, header)


MOST = 256
"""Columns of a log: CloudFront has some 40; the expression of a thousand takes 0.1 s to compile, of a million 70."""
DEEPEST = 16
"""Columns in a row that a line may lack, one more with each: Python's matcher takes some 300."""


def _refuse(reason: str) -> Parser:
    def refuse(_line: str) -> Record:
        raise BadLine(reason)

    return refuse


def read_form(name: str, form: str) -> None:
    """Raise KeyError or ValueError if there is no such form."""
    if name == "time" and not is_whole(form):
        two_parts({"date": "", "time": form})
    else:
        converter(name, form)


def is_whole(form: str) -> bool:
    """Tell whether a form of ``time`` holds the day too."""
    base, _, _ = split_form(form)
    return base in FORMS or "%d" in base or "%s" in base


def pick_fields(columns: Columns, names: Sequence[str], header: Header) -> dict[str, list[Pick]]:
    """Return which of the columns give which field, the foremost first."""
    picks: dict[str, list[Pick]] = {}
    for name, expression in columns.regexes.items():
        for group in re.compile(expression).groupindex if name in names else ():
            word, form = PEER_WORDS.get(group, (group, ""))
            if word in FIELDS:
                picks.setdefault(word, []).append(Pick(names.index(name), form, _group(name, expression, group)))
    for name, specs in columns.fields_of.items():
        for spec in specs if name in names else ():
            word, _, form = spec.partition(":")
            picks.setdefault(word, []).append(Pick(names.index(name), form, utf8))
    times = [one for one in picks.pop("time", ()) if is_whole(one.form) or "date" in picks or header.date]
    if times:
        picks["time"] = times[:1]
        if is_whole(times[0].form):
            picks.pop("date", None)
    return picks


def _group(name: str, expression: str, group: str) -> Callable[[str], str]:
    match = re.compile(expression).fullmatch

    def decode(text: str) -> str:
        found = match(utf8(text))
        if found is None or found[group] is None:
            raise ValueError(f"{name} does not match {expression}")
        return found[group]

    return decode


def _further(columns: Columns, names: Sequence[str], wanted: Sequence[str]) -> dict[str, Pick] | None:
    """Return which columns give what is wanted beside the fields; None if nothing is."""
    found = {name: Pick(names.index(name.lower()), "", utf8) for name in wanted if name.lower() in names}
    for name, expression in columns.regexes.items():
        for group in re.compile(expression).groupindex if name in names else ():
            if group in wanted:
                found[group] = Pick(names.index(name), "", _group(name, expression, group))
    return found if wanted else None


def _extra(picks: Mapping[str, Pick]) -> Callable[[tuple[str | None, ...]], Extra]:
    def extra(texts: tuple[str | None, ...]) -> Extra:
        found = {}
        for (name, pick), text in zip(picks.items(), texts, strict=True):
            if text is not None and text not in ABSENT:
                with suppress(ValueError):  # it does not match, so there is no such group
                    found[name] = pick.decode(text)
        return found

    return extra


def _compile(
    picks: Mapping[str, list[Pick]], further: Mapping[str, Pick] | None, cutter: Cutter, header: Header
) -> Parser:
    """Write the parser out, as `pattern` does: one match, then one look-up a field."""
    picked = [*chain.from_iterable(picks.values()), *(further or {}).values()]
    used = sorted({one.column for one in picked})
    names: dict[str, Any] = {"new": tuple.__new__, "Record": Record, "ABSENT": ABSENT, "day": header.date or None}
    values = dict.fromkeys(Record._fields, "None")
    for word, several in picks.items():
        if word in values and word not in ("time", "request"):
            values[word] = _alternatives(names, word, several)
    if {"host", "scheme"} <= picks.keys():
        names["with_scheme"] = Memo(lambda pair: urls.with_scheme(*pair))
        values["host"] = f"with_scheme[{values['host']}, {_alternatives(names, 'scheme', picks['scheme'])}]"
    time = picks["time"][0]
    if is_whole(time.form):
        values["time"] = _alternatives(names, "time", [time])
    else:
        day = picks["date"][0] if "date" in picks else None
        forms = {"date": day.form if day else "", "time": time.form}
        names["time_of"] = two_parts(forms, (day.decode if day else str, time.decode))
        values["time"] = f"time_of[{f't{day.column}' if day else 'day'}, t{time.column}]"
    if "request" in picks:
        values["request"] = _alternatives(names, "request", picks["request"])
    else:
        first = {word: picks[word][0] for word in REQUEST_PARTS if word in picks}
        names["request_of"] = _request_memo(first)
        values["request"] = f"request_of[{', '.join(_column(first, word) for word in REQUEST_PARTS)}]"
    if further is not None:
        names["extra_of"] = _extra(further)
        values["extra"] = f"extra_of(({''.join(f't{one.column}, ' for one in further.values())}))"
    names["match"], plain = cutter.quick(used)
    names["match_again"] = cutter.lenient(used)
    code = (
        "def parse(line):\n"
        f"    found = match(line) if {plain} else None\n"
        f"    {', '.join(f't{column}' for column in used)}, = match_again(line) if found is None else found.groups()\n"
        f"    return new(Record, ({', '.join(values.values())}))\n"
    )
    exec(code, names)  # made of the names of `FIELDS` and of numbers alone
    parse: Parser = names["parse"]
    return parse


def _alternatives(names: dict[str, Any], word: str, picks: Sequence[Pick]) -> str:
    """Return the expression for a field that the first of several columns gives which is not absent."""
    code = ""
    for number, (column, form, decode) in reversed([*enumerate(picks)]):
        names[f"{word}{number}_of"] = converter(word, form, decode)
        value = f"{word}{number}_of[t{column}]"
        code = f"({value} if t{column} not in ABSENT else {code})" if code else value
    return code


def _column(picks: Mapping[str, Pick], word: str) -> str:
    return f"t{picks[word].column}" if word in picks else "None"


def _request_memo(picks: Mapping[str, Pick]) -> Memo[Any, Any]:
    nothing: dict[str | None, Any] = {None: None}
    memos = [
        converter(word, picks[word].form, picks[word].decode) if word in picks else nothing for word in REQUEST_PARTS
    ]

    def assemble(texts: tuple[str | None, ...]) -> Request:
        method, target, path, query = [memo[text] for memo, text in zip(memos, texts, strict=True)]
        return request.from_parts(method, target or path, query)

    return Memo(assemble)

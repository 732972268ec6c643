"""A regular expression with named groups → a parser.

The names are those of the established importer of this ecosystem, whose users have such expressions in their cron
lines, and the words of `fields`. A group of any other name is read only where somebody asks for it.

An expression of one's own may take time that grows faster than the line (nested repetitions), and Python's matcher
cannot be stopped by a clock. So no line beyond `LONGEST` is tried.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from piwik_import.clock import split_form
from piwik_import.errors import FormatStringError
from piwik_import.memo import Memo
from piwik_import.parsers import request, urls
from piwik_import.parsers.escapes import plain
from piwik_import.parsers.extra import extra_of_texts
from piwik_import.parsers.fields import FIELDS, PEER_WORDS, REQUESTS, converter
from piwik_import.parsers.record import BadLine, Parser, Record

LONGEST = 16 * 1024
"""Characters of a line that is tried: an expression that takes quadratic time takes seconds for it."""

PEER = {"date": ("time", ""), "path": ("target", "")} | PEER_WORDS
"""The other importer's groups, in the expression of a whole line."""

CLF_TIME = "%d/%b/%Y:%H:%M:%S"
"""How the other importer takes a date to be written where nobody says."""


Groups = Mapping[str, str]
"""What the user says that groups are: name → ``field`` or ``field:form``, or nothing for one that shall be no field."""
NOTHING: Groups = {}


AROUND = "\0"
"""Stands for a group whose text is put before a line, up to this sign: the time of what is around lines without one."""


def compile_regex(regex: str, time: str = "", wanted: Sequence[str] = (), told: Groups = NOTHING) -> Parser:
    """Return the parser of the lines that `regex` matches from their beginning on; `wanted` names further groups.

    `time` is the form of the group ``date`` or ``time``: a name of `clock.FORMS` or a pattern of strptime. A group
    ``timezone`` is put behind it. What groups are by their names gives way to what the user has `told`; he may have
    told that the time is `AROUND` the line.

    Raises FormatStringError for what is no regular expression, ValueError for one that lacks a group, KeyError for
    an unknown form.
    """
    match = compiled(regex).match
    groups = fields_by_group(regex, told)
    taken = {field: (name, form) for name, (field, form) in groups.items() if field in FIELDS}
    if "time" not in taken or not {*REQUESTS} & taken.keys():
        reason = "it needs the groups `date` (or `time`) and `path` (or `request`)"
        raise ValueError(f"{reason}; but for the time, if something around the lines has one")
    if lacking := set(wanted) - {*further_groups_of(regex, told)}:
        raise ValueError(f"no such group: {', '.join(sorted(lacking))}")
    extra = extra_of_texts(wanted, plain) if wanted else None
    zoned = "timezone" in groups and AROUND not in told
    base, *zone = split_form(time)
    local = f"@{zone[0]}" if zone[0] else ""
    when = converter("time", f"{base or CLF_TIME} %z" if zoned else time if base else "", plain)
    either = not zoned and not base  # a zone may be there or not
    when_local = converter("time", CLF_TIME + local, plain) if either else when
    values = {field: converter(field, form, plain) for field, (_, form) in taken.items() if field != "time"}
    assembled, with_scheme = "request" not in taken, {"host", "scheme"} <= taken.keys()
    requests: Memo[tuple[str | None, ...], Any] = Memo(lambda parts: request.from_parts(*parts))

    def parse(line: str, around: str | None = None) -> Record:
        if len(line) > LONGEST:
            raise BadLine(f"longer than {LONGEST >> 10} KiB: too long for a regular expression of one's own")
        found = match(line)
        if found is None:
            raise BadLine("the regular expression does not match")
        read: dict[str, Any] = {field: value[found[taken[field][0]]] for field, value in values.items()}
        text = found[taken["time"][0]] if around is None else around
        if zoned:
            text = f"{text} {found['timezone']}"
        read["time"] = when_local[text] if either and " " not in (text or "") else when[text]
        if assembled:
            read["request"] = requests[read.get("method"), read.get("target") or read.get("path"), read.get("query")]
        if with_scheme:
            read["host"] = urls.with_scheme(read["host"], read["scheme"])
        if extra is not None:
            read["extra"] = extra(tuple([found[name] for name in wanted]))
        return Record._make(map(read.get, Record._fields))

    def parse_within(text: str) -> Record:
        around, _, line = text.partition(AROUND)
        return parse(line, around)

    return parse_within if AROUND in told else parse


def compiled(regex: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """Compile `regex`; ``(?<name>`` is taken for Python's ``(?P<name>``. Raises FormatStringError."""
    python = re.sub(r"(?<!\\)\(\?<(?=[A-Za-z_])", "(?P<", regex)
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # [[ may one day mean something else
            return re.compile(python, flags)
    except re.error as error:
        at = error.pos or 0
        at -= python[:at].count("(?P<") - regex[:at].count("(?P<")
        raise FormatStringError(regex, at, f"no regular expression: {error.msg}") from None
    except (OverflowError, RecursionError) as error:
        raise FormatStringError(regex, 0, f"no regular expression: {error}") from None


def fields_by_group(regex: str, told: Groups = NOTHING) -> dict[str, tuple[str, str]]:
    """Return which field each group is, by the name of the group, and in which form."""
    named = {name: PEER.get(name, (name, "")) for name in compiled(regex).groupindex}
    return named | {name: spec.partition(":")[::2] for name, spec in told.items()}


def groups_of(regex: str, told: Groups = NOTHING) -> tuple[str, ...]:
    """Name the fields that a regular expression gives."""
    return tuple(dict.fromkeys(field for field, _ in fields_by_group(regex, told).values() if field in FIELDS))


def further_groups_of(regex: str, told: Groups = NOTHING) -> tuple[str, ...]:
    """Name the groups of a regular expression that are no fields."""
    return tuple(
        name for name, (field, _) in fields_by_group(regex, told).items() if field not in {*FIELDS, "timezone"}
    )

"""A format as the user says that it is to be read.

Zones, trusted proxies and places of fields go into the definition itself, as the form of a field says it: a
definition with them is data like any other, and the parsers know nothing of options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from json import dumps
from typing import TYPE_CHECKING

from piwik_import import clock
from piwik_import.errors import UsageError, printable
from piwik_import.hints import Hints
from piwik_import.parsers import client_address, paths, regex
from piwik_import.parsers.columns import Columns, is_whole, read_form
from piwik_import.parsers.fields import FIELDS
from piwik_import.parsers.headers import Header
from piwik_import.parsers.pattern import FORWARDED, TOKEN
from piwik_import.parsers.record import BadLine, Record

if TYPE_CHECKING:
    from piwik_import.parsers.definition import Definition
    from piwik_import.parsers.wrappers import Wrapper

MARK = regex.AROUND
"""What stands between the time of a wrapper and a line that has none: nothing that a line holds."""
BESIDE = re.compile(r"\{\*((?:http_|proxy_add_)?x[-_]forwarded[-_]for|(?:http_)?forwarded)\}", re.IGNORECASE)
"""A piece of a pattern that trusted proxies have written beside the address: X-Forwarded-For, or Forwarded."""
KEY = "time-of-what-is-around"
"""The key that such a time gets in an object."""


def check(hints: Hints) -> None:
    """Raise UsageError for what no format could be read with."""
    try:
        option = "--timezone"
        if hints.timezone is not None:
            clock.named_zone(hints.timezone)
        option = "--trusted-proxy"
        for name in hints.trusted_proxies:
            client_address.network(name)
        option = "--field"
        if unknown := hints.fields.keys() - FIELDS.keys():
            raise ValueError(f"no such field: {', '.join(sorted(unknown))}; there are {', '.join(FIELDS)}")
        for field, one in [(field, path) for field, several in hints.fields.items() for path in several]:
            _check_form(field, paths.split(one)[1])
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _check_form(field: str, form: str) -> None:
    """Raise ValueError for a form that a field does not have."""
    try:
        read_form(field, form)
    except KeyError:
        raise ValueError(f"{field}: there is no form {form!r}; those that there are: docs/format-files.md") from None


def read_as(definition: Definition, hints: Hints, latest: str) -> Definition:
    """As `Definition.read_as`."""
    check(hints)
    zone, placed = hints.timezone or "", _placed(definition, hints)
    proxies = " ".join(str(client_address.network(name)) for name in hints.trusted_proxies)

    def formed(name: str, form: str) -> str:
        if name == "time" and is_beside_a_day(form):
            return form if "@" in form or "%z" in form or not zone else f"{form}@{zone}"
        if name == "time":
            return _zoned(form or FIELDS[name].form, zone, latest)
        return form or proxies if name == "ip" else form

    def is_beside_a_day(form: str) -> bool:
        return not is_whole(form) if placed.columns is not None else "date" in placed.fields

    def token(found: re.Match[str]) -> str:
        if found[1]:
            return found[0]
        name, _, form = found[2].partition(":")
        return f"{{{_joined(name, formed(name, form))}}}"

    def column(text: str) -> str:
        name, _, form = text.partition(":")
        return _joined(name, formed(name, form))

    def spec(name: str, text: str) -> str:
        form = paths.split(text)[1]
        return _joined(text.removesuffix(f":{form}") if form else text, formed(name, form))

    pattern = None if placed.pattern is None else TOKEN.sub(token, placed.pattern)
    if pattern is not None and proxies and "ip" in placed.fields:
        pattern = BESIDE.sub(rf"{{*\1:{FORWARDED}}}", pattern, count=1)
    json = {
        name: spec(name, specs) if isinstance(specs, str) else [spec(name, one) for one in specs]
        for name, specs in placed.json.items()
    }
    wrapper = _wrapper_as(placed.wrapper, zone, latest)
    also = None if placed.also is None else read_as(placed.also, hints, latest)
    columns = placed.columns
    if columns is not None:
        fields_of = {name: [column(one) for one in specs] for name, specs in columns.fields_of.items()}
        columns = replace(columns, fields_of=fields_of)
    time, groups = placed.time, placed.groups
    if placed.regex is not None:
        time = time if not zone or "@" in time or "%z" in time else f"{time}@{zone}"
        groups = _behind(placed.regex, groups, proxies)
    plugin = placed.plugin
    if plugin is not None and proxies:
        plugin = replace(plugin, trusted=proxies)
    changed = replace(placed, pattern=pattern, json=json, columns=columns, wrapper=wrapper, also=also)
    return replace(changed, time=time, groups=groups, plugin=plugin)


def _wrapper_as(wrapper: Wrapper | None, zone: str, latest: str) -> Wrapper | None:
    """Return what is around the lines, with the zone and the year of its times."""
    if wrapper is None:
        return None
    return replace(wrapper, time=_zoned(wrapper.time, zone, latest), outer=_wrapper_as(wrapper.outer, zone, latest))


def in_zone(wrapper: Wrapper, zone: str) -> Wrapper:
    """Return what is around the lines, with its times of `zone` where they name none."""
    base, _, until = clock.split_form(wrapper.time)
    outer = None if wrapper.outer is None else in_zone(wrapper.outer, zone)
    return replace(wrapper, time=_zoned(f"{base}@@{until}" if until else base, zone, ""), outer=outer)


def _behind(expression: str, groups: regex.Groups, proxies: str) -> regex.Groups:
    """Return the groups of a regular expression with trusted proxies in the form of the address."""
    name = next((name for name in regex.compiled(expression).groupindex if groups.get(name, name) == "ip"), None)
    return {**groups, name: f"ip:{proxies}"} if proxies and name is not None else groups


def _joined(name: str, form: str) -> str:
    return f"{name}:{form}" if form else name


def _zoned(form: str, zone: str, latest: str) -> str:
    """Return a form of times with the zone of those that name none, and the year's end of those that name no year."""
    base, has, until = clock.split_form(form)
    may_lack = base in clock.ZONED or ("%" in base and "%z" not in base and "%Z" not in base)
    if not may_lack or not (zone or (base == "syslog" and latest)):
        return form
    zone = has or zone
    return f"{base}@{zone or 'UTC'}" + (f"@{until or latest}" if base == "syslog" and (until or latest) else "")


def _placed(definition: Definition, hints: Hints) -> Definition:
    """Put the fields where the user says that they lie."""
    if not hints.fields or definition.plugin is not None:
        return definition
    if "time" in hints.fields:  # of which nobody has said that it is that of the end
        definition = replace(definition, time_is="begin")
    if definition.regex is not None:
        return _placed_groups(definition, definition.regex, hints.fields)
    if definition.columns is not None:
        return replace(definition, columns=_placed_columns(definition.columns, hints.fields))
    if definition.pattern is None:
        whole = "time" in hints.fields and "date" not in hints.fields
        own = {name: specs for name, specs in definition.json.items() if name != "date" or not whole}
        return replace(definition, json=own | {name: _formed(name, specs) for name, specs in hints.fields.items()})
    pattern = definition.pattern
    for name, specs in hints.fields.items():
        if (place := _place(pattern, specs)) is not None:
            pattern = re.sub(rf"\{{{name}(:[^{{}}]*)?\}}", "{*}", pattern)
            piece, form = place
            pattern = pattern.replace(f"{{*{piece}}}", f"{{{_joined(name, form)}}}", 1)
    return replace(definition, pattern=pattern)


def check_places(definition: Definition, hints: Hints, lines: Sequence[str] = ()) -> None:
    """Raise UsageError if a field is to lie where a format has nothing, nor has any header among `lines` a column."""
    if definition.columns is not None and hints.fields:
        columns = _placed_columns(definition.columns, hints.fields)
        headers = [section.header for section in definition.sections(Header(), lines)]
        for name in columns.lacks(headers):
            there = dict.fromkeys(one for header in headers for one in columns.names(header) if one not in "[]")
            asked = " or ".join(map(printable, columns.asked[name]))
            raise UsageError(f"--field {name}: the log has no column {asked}; it has {printable(', '.join(there))}.")
    if definition.pattern is None:
        return
    for name, specs in hints.fields.items():
        if _place(definition.pattern, specs) is None:
            asked, pieces = " or ".join(map(printable, specs)), ", ".join(definition.pieces) or "none"
            raise UsageError(f"--field {name}: the format {definition.name} has no piece {asked}; it has {pieces}.")


def _formed(name: str, specs: Sequence[str]) -> Sequence[str]:
    """Read a time in whatever form it comes, where the user says where it lies and not how it is written."""
    return specs if name != "time" else [one if paths.split(one)[1] else f"{one}:any" for one in specs]


def _placed_groups(definition: Definition, expression: str, fields: Mapping[str, Sequence[str]]) -> Definition:
    """Say which groups of a regular expression the fields are: of each the first that there is. Raises UsageError."""
    names = regex.compiled(expression).groupindex
    time, groups = definition.time, {**definition.groups}
    for field, specs in fields.items():
        found = [one.partition(":")[::2] for one in specs if one.partition(":")[0] in names]
        if not found:
            raise UsageError(
                f"--field {field}: the regular expression has no group {' or '.join(map(printable, specs))}."
            )
        (group, form), word = found[0], regex.PEER.get(field, (field,))[0]
        groups |= {name: "" for name in names if regex.PEER.get(name, (name,))[0] == word}
        groups[group] = word if field == "time" else _joined(word, form)
        time = (form or time or "any") if field == "time" else time
    return replace(definition, time=time, groups=groups)


def _placed_columns(columns: Columns, fields: Mapping[str, Sequence[str]]) -> Columns:
    """Put the named columns before those that a format knows for the same fields: the first that a line has counts."""
    placed: dict[str, list[str]] = {}
    for name, specs in fields.items():
        for one in specs:
            column, _, form = one.partition(":")
            placed.setdefault(column.lower(), []).append(_joined(name, form))
    others = {name: specs for name, specs in columns.fields_of.items() if name not in placed}
    asked = {name: [one.partition(":")[0].lower() for one in specs] for name, specs in fields.items()}
    return replace(columns, fields_of=placed | others, asked=asked)


def _place(pattern: str, specs: Sequence[str]) -> tuple[str, str] | None:
    """Return the first of the named pieces that a pattern has, with the form that it shall be read by."""
    for one in specs:
        piece, _, form = one.partition(":")
        if f"{{*{piece}}}" in pattern:
            return piece, form
    return None


def records(definition: Definition, lines: Sequence[str]) -> Iterator[Record | BadLine]:
    """As `Definition.records`, of lines around which nothing is: one that has no time gets that of 1970."""
    if "time" in definition.fields:
        return definition.records(lines)
    with_time = give_time(definition)
    return timed(definition, "epoch").records([with_time("0", line) for line in lines])


def try_out(definition: Definition) -> None:
    """See that a parser can be made of a definition; what is around the lines may give the time. Raises FormatError."""
    (definition if "time" in definition.fields else timed(definition, "iso8601")).compile()


def timed(definition: Definition, form: str) -> Definition:
    """Return the definition of lines with the time before them: what `give_time` makes of lines that have none."""
    if definition.pattern is not None:
        return replace(definition, pattern=f"{{time:{form}}}{MARK}{definition.pattern.strip(chr(10))}")
    if definition.regex is not None:
        return replace(definition, time=form, groups={**definition.groups, regex.AROUND: "time"})
    return replace(definition, json={**definition.json, "time": f'["{KEY}"]:{form}'})


def give_time(definition: Definition) -> Callable[[str, str], str]:
    """Return the function that puts a time before a line that has none."""
    if definition.json == {}:
        return lambda time, line: f"{time}{MARK}{line}"
    if definition.syntax == "cef":
        return lambda time, line: f"{line} {KEY}={time}"
    return lambda time, line: line.replace("{", f'{{"{KEY}":{dumps(time)},', 1)

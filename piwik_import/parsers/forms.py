"""A format as the user says that it is to be read.

Zones, trusted proxies and places of fields go into the definition itself, as the form of a field says it: a
definition with them is data like any other, and the parsers know nothing of options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from piwik_import import clock
from piwik_import.errors import UsageError
from piwik_import.parsers import client_address, paths
from piwik_import.parsers.fields import FIELDS
from piwik_import.parsers.pattern import TOKEN
from piwik_import.reading import Reading

if TYPE_CHECKING:
    from piwik_import.parsers.definition import Definition

MARK = "\0"
"""What stands between the time of a wrapper and a line that has none: nothing that a line holds."""
KEY = "time of what is around"
"""The key that such a time gets in an object."""


def check(reading: Reading) -> None:
    """Raise UsageError for what no format could be read with."""
    try:
        option = "--timezone"
        if reading.timezone is not None:
            clock.named_zone(reading.timezone)
        option = "--trusted-proxy"
        for name in reading.trusted_proxies:
            client_address.network(name)
        option = "--field"
        if unknown := reading.fields.keys() - FIELDS.keys():
            raise ValueError(f"no such field: {', '.join(sorted(unknown))}; there are {', '.join(FIELDS)}")
        for one in [path for several in reading.fields.values() for path in several]:
            paths.split(one)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def read_as(definition: Definition, reading: Reading, latest: str) -> Definition:
    """As `Definition.read_as`."""
    check(reading)
    zone, placed = reading.timezone or "", _placed(definition, reading)
    proxies = " ".join(str(client_address.network(name)) for name in reading.trusted_proxies)

    def formed(name: str, form: str) -> str:
        if name == "time":
            return _zoned(form or FIELDS[name].form, zone, latest)
        return form or proxies if name == "ip" else form

    def token(found: re.Match[str]) -> str:
        name, _, form = found[1].partition(":")
        return f"{{{_joined(name, formed(name, form))}}}"

    def spec(name: str, text: str) -> str:
        form = paths.split(text)[1]
        return _joined(text.removesuffix(f":{form}") if form else text, formed(name, form))

    pattern = None if placed.pattern is None else TOKEN.sub(token, placed.pattern)
    json = {
        name: spec(name, specs) if isinstance(specs, str) else [spec(name, one) for one in specs]
        for name, specs in placed.json.items()
    }
    wrapper = placed.wrapper
    if wrapper is not None:
        wrapper = replace(wrapper, time=_zoned(wrapper.time, zone, latest))
    also = None if placed.also is None else read_as(placed.also, reading, latest)
    return replace(placed, pattern=pattern, json=json, wrapper=wrapper, also=also)


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


def _placed(definition: Definition, reading: Reading) -> Definition:
    """Put the fields where the user says that they lie."""
    if definition.pattern is None:
        return replace(definition, json={**definition.json, **reading.fields})
    pattern = definition.pattern
    for name, specs in reading.fields.items():
        if (place := _place(pattern, specs)) is not None:
            pattern = re.sub(rf"\{{{name}(:[^{{}}]*)?\}}", "{*}", pattern)
            piece, form = place
            pattern = pattern.replace(f"{{*{piece}}}", f"{{{_joined(name, form)}}}", 1)
    return replace(definition, pattern=pattern)


def _place(pattern: str, specs: Sequence[str]) -> tuple[str, str] | None:
    """Return the first of the named pieces that a pattern has, with the form that it shall be read by."""
    for one in specs:
        piece, _, form = one.partition(":")
        if f"{{*{piece}}}" in pattern:
            return piece, form
    return None


def timed(definition: Definition, form: str) -> Definition:
    """Return the definition of lines with the time before them: what `give_time` makes of lines that have none."""
    if definition.pattern is not None:
        return replace(definition, pattern=f"{{time:{form}}}{MARK}{definition.pattern.strip(chr(10))}")
    return replace(definition, json={**definition.json, "time": f'["{KEY}"]:{form}'})


def give_time(definition: Definition) -> Callable[[str, str], str]:
    """Return the function that puts a time before a line that has none."""
    if definition.pattern is not None:
        return lambda time, line: f"{time}{MARK}{line}"
    return lambda time, line: line.replace("{", f'{{"{KEY}":"{time}",', 1)

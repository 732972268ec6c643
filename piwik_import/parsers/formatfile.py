"""A definition → the text of its format file, which reads back as the same definition."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from piwik_import.mapping import HitTable, Rules
from piwik_import.parsers import forms
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.record import BadLine

FIELDS = "ip time method path query problem status length referrer user_agent host user".split()
FIELDS += ["generation_time", "duration"]
"""What a sample may say of its line."""

ENOUGH = 2
"""Samples that a format file needs."""


def text(definition: Definition, samples: Iterable[Mapping[str, Any]] = ()) -> str:
    """Return the format file of `definition` with `samples`."""
    lines = [f"title = {written(definition.title)}", f"source = {written(definition.source)}", ""]
    if definition.pattern is not None:
        lines.append(f"pattern = {written(definition.pattern)}")
    if definition.escapes:
        lines.append(f"escapes = {written(definition.escapes)}")
    if definition.regex is not None:
        lines.append(f"regex = {written(definition.regex)}")
    if definition.time:
        lines.append(f"time = {written(definition.time)}")
    if definition.time_is != "begin":
        lines.append(f"time_is = {written(definition.time_is)}")
    if definition.others:
        lines += ["others = [", *(f"  {written(one)}," for one in definition.others), "]"]
    if definition.json:
        lines += [f"[{definition.syntax}]", *(f"{name} = {written(key)}" for name, key in definition.json.items())]
    lines += hit(definition.hit)
    for sample in samples:
        lines += ["", "[[sample]]", *(f"{name} = {written(value)}" for name, value in sample.items())]
    return "\n".join([*lines, ""])


def samples(definition: Definition, lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield samples made of `lines`, a character a byte: the first two that say different things, or any two."""
    names = [name for name in FIELDS if name != "time" or name in definition.fields]
    seen: set[frozenset[str]] = set()
    alike: list[dict[str, Any]] = []
    for line, record in zip(lines, forms.records(definition, lines), strict=True):
        if isinstance(record, BadLine):
            continue
        with suppress(UnicodeError):
            values = {name: getattr(record, name) for name in names}
            sample = {"line": line.encode("latin-1").decode("utf-8")}
            sample |= {name: value for name, value in values.items() if value not in (None, "")}
            "".join(map(str, sample.values())).encode()  # a text that is no UTF-8 cannot stand in TOML
            if frozenset(sample) in seen:
                alike.append(sample)
                continue
            seen.add(frozenset(sample))
            yield sample
            if len(seen) == ENOUGH:
                return
    if len(seen) == 1:
        yield from alike[:1]


def hit(table: HitTable) -> Iterator[str]:
    """Yield the lines of a ``[hit]`` table, as a format file has them; none if there is nothing in it."""
    if table == HitTable():
        return
    yield "[hit]"
    yield from _rules(table.always)
    for case in table.cases:
        yield ""
        yield "[[hit.case]]"
        yield from _rules(case)


def _rules(rules: Rules) -> Iterator[str]:
    for key, values in ("when", rules.when), ("map", rules.map), ("set", rules.set):
        if values:
            yield f"{key} = {written(values)}"


def written(value: object) -> str:
    """Write a value of TOML: a text between apostrophes where nothing in it needs to be escaped."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(name)} = {written(one)}' for name, one in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if not isinstance(value, str):
        return str(value)
    if "'" not in value and {*'"\\'} & {*value} and not re.search(r"[\x00-\x1f\x7f]", value):
        return f"'{value}'"
    return re.sub("\x7f", r"\\u007f", json.dumps(value, ensure_ascii=False))


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)

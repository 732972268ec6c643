"""A line and a format → what of the line is what, whatever the format is made of."""

from __future__ import annotations

from typing import NamedTuple

from piwik_import.parsers import keyed, only, prefixes, walk
from piwik_import.parsers.definition import LOADERS, Definition
from piwik_import.parsers.encoding import latin1
from piwik_import.parsers.parts import Anatomy, Part
from piwik_import.parsers.record import BadLine
from piwik_import.parsers.wrappers import Wrapper


class Dissected(NamedTuple):
    """A line of a log."""

    anatomy: Anatomy
    around: Part | None = None
    """What a wrapper puts before the line, if one does; its time, where the line has none."""


def dissect(definition: Definition, line: str) -> Dissected:
    """Return what of a line is what in a format, under the header that it has. Raises nothing that `compile` does not.

    The parts of a message that a wrapper has spread over several lines are put together.
    """
    around, message = None, line.replace("\n", "")
    if definition.wrapper is not None:
        around, message = _within(definition.wrapper, line, needs_time="time" not in definition.fields)
    found = _anatomy(definition, message)
    if found.expected and only.is_other(definition.others, message):
        return Dissected(Anatomy(message, []), around)
    if found.expected and definition.also is not None:
        another = _anatomy(definition.also, message)
        found = found if another.expected else another
    return Dissected(found, around)


def _within(wrapper: Wrapper, line: str, *, needs_time: bool) -> tuple[Part | None, str]:
    """Return what is around a line, and what is within; nothing around one that is not wrapped."""
    found = wrapper.compile()(line)
    if found is None:
        return None, line.replace("\n", "")
    message, time = found.message.replace("\n", ""), found.time or ""
    if needs_time and time:
        return Part(time, ("time",), None, wrapper.label), message
    is_text = all(layer.regex is not None for layer in wrapper.layers)
    text = line.removesuffix("\r").removesuffix(message) if is_text and "\n" not in line else time
    return Part(text.strip(), (), None, wrapper.label), message


def _of_plugin(definition: Definition, line: str) -> Anatomy:
    """Return what another's code has found in a line; where, and where it stopped, nobody knows."""
    try:
        record = definition.compile()(line)
    except BadLine:
        return Anatomy(line, [])
    found = {name: getattr(record, name) for name in definition.fields}
    asked = record.request
    found["request"] = f"{asked.method or '-'} {asked.path}" + ("" if asked.query is None else f"?{asked.query}")
    texts = {name: latin1(str(value)) for name, value in found.items() if value is not None}
    return Anatomy(line, [Part(text, (name,)) for name, text in texts.items()])


def _anatomy(definition: Definition, line: str) -> Anatomy:
    if definition.pattern is not None:
        return walk.anatomy(definition.pattern, line)
    if definition.plugin is not None:
        return _of_plugin(definition, line)
    if definition.regex is not None:
        return prefixes.anatomy(definition.regex, line, definition.groups)
    if definition.columns is not None:
        return keyed.of_row(definition.columns, definition.header, line)
    asks, load = not definition.calls, LOADERS.get(definition.syntax)
    return keyed.of_object(definition.json, definition.only, line, asks=asks, load=load)

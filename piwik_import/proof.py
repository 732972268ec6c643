"""Trying a format, or a wrapper, by the samples in its file: what is right, what is wrong and where.

A sample is right if its line becomes what the file says, and if a log of such lines would be recognised as that
format and no other. That the format would also be taken for logs of others is no fault, for it may be meant so, but
it is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from piwik_import.errors import FormatError, UnknownFormat, pointed, printable
from piwik_import.parsers import forms, wrappers
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.detection import lines_of, recognise
from piwik_import.parsers.encoding import utf8
from piwik_import.parsers.formatfile import FIELDS, written
from piwik_import.parsers.glance import Glance
from piwik_import.parsers.record import BadLine, Record
from piwik_import.parsers.registry import Registry
from piwik_import.parsers.wrappers import Wrapper
from piwik_import.shaping import Shaping

MESSAGE = ("message", "time", "stream", "goes_on")
"""What a sample may say of a wrapped line."""


@dataclass(slots=True)
class Proof:
    """What the samples of one file have shown."""

    title: str
    faults: list[list[str]] = field(default_factory=list)
    """Of each sample what is wrong with it, in lines; empty if it is right."""
    places: Sequence[int] = ()
    """The lines of the file in which the samples begin, if it is one."""
    general: list[str] = field(default_factory=list)
    """What is wrong with the format itself."""
    notes: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether there were samples, and nothing is wrong."""
        return bool(self.faults) and not any(self.faults) and not self.general

    def __str__(self) -> str:
        lines = [self.title]
        for number, faults in enumerate(self.faults, 1):
            place = f" (line {self.places[number - 1]})" if self.places else ""
            lines.append(f"  sample {number}{place}: {'wrong' if faults else 'right'}")
            lines += [f"    {line}" for line in faults]
        lines += [f"  wrong: {fault}" for fault in self.general]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def of(one: Definition | Wrapper, registry: Registry) -> Proof:
    """Try a format or a wrapper beside all others that `registry` knows."""
    proof = Proof(f"{one.file or one.name}: {'format' if isinstance(one, Definition) else 'wrapper'} {one.name}")
    if not one.samples:
        proof.general.append("it has no [[sample]], so nothing could be tried: add a line, and what it must become")
    proof.places = _places(one.file, len(one.samples))
    if isinstance(one, Definition):
        _try_format(one, registry, proof)
    else:
        _try_wrapper(one, registry, proof)
    return proof


def _places(file: str, samples: int) -> Sequence[int]:
    """Return the lines in which the samples of a file begin; none if that is not sure."""
    lines = Path(file).read_text("utf-8").splitlines() if file else []
    found = [number for number, line in enumerate(lines, 1) if re.match(r"\s*\[\[\s*sample\s*\]\]", line)]
    return found if len(found) == samples else ()


def _try_format(one: Definition, registry: Registry, proof: Proof) -> None:
    # Those without a time go behind all others, be they read or not.
    others = [other for other in registry.recognisable() if other.name != one.name and "time" in other.fields]
    rivals: dict[str, None] = {}
    for sample in one.samples:
        lines = _lines(sample)
        faults = [*_faults(one, sample, lines)]
        if not faults and one.recognised:
            faults += _mistaken(one, lines, others)
        if not faults and one.recognised and "time" in one.fields:
            rivals |= {other.name: None for other in others if _reads(other, lines)}
        proof.faults.append(faults)
    try:
        Shaping().wanted(one)
    except FormatError as error:
        proof.general.append(f"[hit]: {error.reason}")
    if rivals and proof.is_right:
        proof.notes.append(f"{', '.join(rivals)} would read its samples too, but {one.name} goes before")
    if one.time_is == "end" and not one.span:
        proof.notes.append("its times are those of the end, but no field says how long a request took")
    if one.recognised:
        proof.notes += _spoils(one, others) if "time" in one.fields else [TIMELESS]
    else:
        proof.notes.append("it has to be named with --format (recognised = false)")


TIMELESS = "its lines have no time: it is tried on those of a wrapper that has one, if no format with a time fits"


def _faults(one: Definition, sample: Mapping[str, Any], lines: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with what the line of a sample becomes, with the place where that can be told."""
    results = [*forms.records(one, lines)]
    if len(results) != 1:
        yield f"its `line` holds {len(results)} lines of a log, where there must be one (below its header, if any)"
        return
    (result,) = results
    if isinstance(result, BadLine):
        yield printable(str(result))
        yield from _shown(lines[-1], str(result))
    else:
        yield from _differences(sample, FIELDS, result)


def _shown(line: str, reason: str) -> Iterator[str]:
    """Yield a line of a log, and a mark where it is wrong, if the reason tells where."""
    shown = utf8(line)
    if found := re.search(r"\bcolumn (\d+)", reason):
        at = len(utf8(line[: int(found[1]) - 1]))
    elif "the line ends where" in reason:
        at = len(shown)
    else:
        found = re.search(r": '(.+)' is no ", reason)
        at = shown.find(found[1]) if found else -1
    if at < 0:
        yield f"    {printable(shown)}"
    else:
        yield from pointed(shown, at).splitlines()


def _lines(sample: Mapping[str, Any]) -> list[str]:
    return lines_of(f"{sample['line']}\n".encode())


def _differences(sample: Mapping[str, Any], names: Sequence[str], found: object) -> Iterator[str]:
    """Yield where something is not what a sample says of it."""
    for name, expected in sample.items():
        if name == "line":
            continue
        if name not in names:
            yield f"{printable(name)}: there is no such field; a sample may name {', '.join(names)}"
            continue
        is_so = getattr(found, name)
        if isinstance(is_so, datetime) and isinstance(expected, str):  # as a plug-in may well write it
            expected = _time(expected)
        if is_so != expected or type(is_so) is bool is not type(expected) is bool:
            zone = isinstance(expected, datetime) and expected.tzinfo is None
            hint = "; the time needs a zone: write Z behind it for UTC" if zone else ""
            yield f"{name}: expected {_said(expected)}, found {_said(is_so)}{hint}"


def _time(text: str) -> datetime | str:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def _said(one: object) -> str:
    return "nothing" if one is None else printable(written(one))


def _mistaken(one: Definition, lines: Sequence[str], others: Sequence[Definition]) -> Iterator[str]:
    """Yield a fault if a log of these lines would not be recognised as that format."""
    advice = "if that cannot be helped, say `recognised = false`, and name the format with --format"
    around: list[Wrapper | None] = [None]
    if "time" not in one.fields:
        lines, around = [f"1970-01-01T00:00:00Z {line}" for line in lines], [None, wrappers.known()["timestamped"]]
    try:
        found = recognise("", lines, [one, *others], around)
    except UnknownFormat:
        yield f"it is read, but no log of such lines would be recognised: neither address nor status; {advice}"
        return
    if found.name != one.name:
        yield f"it is read, but a log of such lines would be taken for one in the format {found.name}; {advice}"


def _reads(one: Definition, lines: Sequence[str]) -> bool:
    return Glance(lines).could_fit(one) and any(isinstance(result, Record) for result in forms.records(one, lines))


def _spoils(one: Definition, others: Sequence[Definition]) -> Iterator[str]:
    """Say which other formats have samples that would be taken for this one's."""
    for other in others:
        spoilt = []
        for number, sample in enumerate(other.samples, 1):
            lines = _lines(sample)
            if _reads(one, lines) and recognise("", lines, [one, other]) is one:
                spoilt.append(str(number))
        if spoilt:
            yield f"logs in the format {other.name} would be taken for it, as of its sample {', '.join(spoilt)}"


def _try_wrapper(one: Wrapper, registry: Registry, proof: Proof) -> None:
    unwrap = one.compile()
    around = [one, *(other for other in registry.wrappers.values() if other.name != one.name)]
    for sample in one.samples:
        faults = []
        lines = _lines(sample)
        found = unwrap(lines[0]) if len(lines) == 1 else None
        if len(lines) != 1:
            faults.append(f"its `line` holds {len(lines)} lines of a log; there must be one")
        elif found is None:
            faults += ["nothing of this wrapper is around the line", f"    {printable(utf8(lines[0]))}"]
        else:
            faults += _differences(sample, MESSAGE, found._replace(message=utf8(found.message)))
            faults += [] if faults or found.goes_on else _mistaken_wrapper(one, lines, registry, around)
        proof.faults.append(faults)


def _mistaken_wrapper(
    one: Wrapper, lines: Sequence[str], registry: Registry, around: Sequence[Wrapper]
) -> Iterator[str]:
    """Yield a fault if a log of these lines would be read as if something else were around them."""
    try:
        found = recognise("", lines, registry.recognisable(), [None, *around])
    except UnknownFormat:
        return  # what is within is no line of a known format
    if found.wrapper is not one:
        other = "they were in no wrapper" if found.wrapper is None else f"they were in {found.wrapper.label}"
        yield f"it is read, but a log of such lines would be taken for one in {found.name} as if {other}"

"""Lines as long as a line may be, of every odd shape, and what each format makes of them at what cost.

    python tests/long_lines.py                 the costliest shapes of every format; some minutes
    python tests/long_lines.py combined json   of some

A line goes the whole way, from the parser to the query string. No line may cost more than 50 ms.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from mutations import header_of

from piwik_import.filters import FilterSettings
from piwik_import.hits import HitSettings
from piwik_import.parsers import catalogue
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.detection import lines_of
from piwik_import.source import LINE_LIMIT, Block
from piwik_import.translate import Plan, Translator

PROMISED = 0.05
"""CPU seconds for a line of `LINE_LIMIT` bytes."""

FILLERS = [
    *('"', "\\", '\\"', "\\\\", " ", "[", "]", "{", "}", "(", "|", "0", "/", ",", ";", "=", ":", ".", "+", "-", "?"),
    *("a", "\t", "\r", "\0", "\x01", "\xe9", "\xc3\xa9", "%", "%25", "#22", "\\x22", "\\u00e9", "\\ud800", "T", "//"),
    *("1,", "1, ", ", ", '" ', '"a" ', '" 2', "] ", ']"', '] "', "a.", "1.", ']a', '"a', "}a", "|a", " a", ",a"),
    *("&a=b", "://", "::", '":[', '{"a":', "} {", "10.0.0.1, ", "for=1;"),
]  # fmt: skip
"""What a line is filled with, over and over."""

FEW = ['"', "\\", '\\"', " ", "]", "}", ",a", "1,", "1, ", "\\x22", "\xe9", "%", "+", "a.", '":[']
"""Those that have cost the most."""

JSON_FILLERS = ["a", '"', "\\", "\n", "\xe9", "\ud800", "/", "%", "?&", "0", " ", "1.2.3.4,", "+", "=", ":"]
DEEP = ['{"a":', "[", '{"a":[', '"a",', "1,", "{},", "[],", "1e1,", '{"a":"b"},', '"a":1,']
"""What an object holds besides, or without an end."""


def shapes(definition: Definition, size: int = LINE_LIMIT, *, few: bool = False) -> Iterator[tuple[str, str]]:
    """Yield lines of `size` bytes without their newline, each with its name: the first sample filled up."""
    line = line_of(definition)
    size -= 1
    places = sorted({len(line) * part // 12 for part in ((7,) if few else range(1, 13))})
    for filler in FEW if few else FILLERS:
        filling = filler * (size // len(filler) + 1)
        yield f"{filler!r} alone", filling[:size]
        for at in places:
            yield f"{filler!r} at {at}", line[:at] + filling[: size - len(line)] + line[at:]
    if definition.json and line.startswith("{"):
        yield from objects(line, size, few=few)
    if definition.columns is not None:
        yield "columns", "#Fields: " + "a " * ((size - 9) // 2)


def line_of(definition: Definition) -> str:
    """Return the first line of the first sample that is JSON, if its lines are."""
    lines = [lines_of(sample["line"].encode())[-1] for sample in definition.samples]
    return next((line for line in lines if not definition.json or _is_json(line)), lines[0])


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def objects(line: str, size: int, *, few: bool) -> Iterator[tuple[str, str]]:
    """Yield objects with a huge text in each place, many keys or values, or no end."""
    texts = [*_texts(json.loads(line))]
    for path in texts[:: 3 if few else 1]:
        for filler in JSON_FILLERS[:: 4 if few else 1]:
            room = (size - 2 * len(line)) // len(json.dumps(filler)[1:-1])
            values = json.loads(line)
            holder = values
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = filler * room
            yield f"{filler!r} in {path}", json.dumps(values)
    body = line.rstrip()[:-1]
    room = size - len(line) - 20
    for piece in DEEP:
        yield f"no end of {piece}", f'{body},"z":{piece * (room // len(piece))}'
        yield f"a list of {piece}", f'{body},"z":[{piece * (room // len(piece))}0]}}'
    yield "keys", f"{body},{','.join(f'{chr(34)}k{number:06}{chr(34)}:1' for number in range(room // 13))}}}"
    yield "digits", f'{body},"z":{"1" * room}}}'


def _texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each text and number."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(inner, (*path, key))
    else:
        yield path


def translator(definition: Definition) -> Translator:
    """Return what translates lines of a format, and leaves none out."""
    filters = FilterSettings(bots=True, static=True, errors=True, redirects=True, base_url="https://example.org")
    return Translator(Plan(0, definition, filters, HitSettings(1, "https://example.org")))


def cost(translate: Translator, definition: Definition, line: str, *, enough: float, tries: int = 3) -> float:
    """Return the least CPU seconds that a line took: another process may be in the way of one try.

    Less than `enough` is taken at once.
    """
    data = line.encode("latin-1", "replace") + b"\n"
    block = Block(data, 0, len(data), 1, 1, header=header_of(definition))
    least = float("inf")
    for _ in range(tries):
        began = time.process_time()
        batch = translate(block)
        least = min(least, time.process_time() - began)
        assert len(batch.entries) + len(batch.bad) + batch.filtered.total() == 1
        if least < enough:
            break
    return least


def main() -> None:
    """Print the costliest lines of each format."""
    print(f"{'':22}{'lines':>6}  CPU ms of the costliest, by what fills them")
    for name in sys.argv[1:] or [one.name for one in catalogue.known().values() if "time" in one.fields]:
        definition = catalogue.named(name)
        translate = translator(definition)
        cost(translate, definition, line_of(definition), enough=1.0)
        costs = [(cost(translate, definition, line, enough=PROMISED / 2), what) for what, line in shapes(definition)]
        most = sorted(costs, reverse=True)[:3]
        shown = ", ".join(f"{seconds * 1000:.0f} ({what})" for seconds, what in most)
        print(f"{name:22}{len(costs):6}  {shown}{'  OVER 50 ms' * (most[0][0] > PROMISED)}", flush=True)


if __name__ == "__main__":
    main()

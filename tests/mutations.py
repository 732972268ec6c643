"""Lines of logs, and what may become of them: by accident, by a broken disk, or by a stranger's hand.

Text is a character a byte (Latin-1), as the parsers take it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from piwik_import.parsers.definition import Definition
from piwik_import.parsers.detection import lines_of
from piwik_import.parsers.headers import is_header

BROKEN = [
    *(
        '"',
        "\\",
        '\\"',
        '""',
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "|",
        "<",
        ">",
        ";",
        "#",
        "%",
        "+",
        "-",
        ",",
        ", ",
        ":",
        "=",
    ),
    *(" ", "  ", "\t", "\r", "\0", "\0\0\0", "\x1b[31m", "\x7f", "\x85", "\xa0", "\n", "\r\n", "\v", "\f", "\x1c"),
    *("\xff", "\xc3\xa9", "\xc3", "\xe2\x80\x8b", "\xef\xbb\xbf", "\xed\xa0\x80", "\xf0\x9f\x98\x80", "\xee\x80\x80"),
    *("\\x22", "\\xff", "\\x", "\\u00e9", "\\ud800", "\\udc80", "\\n", "\\\\", "#22", "#0A", "%22", "%zz", "%25", "%"),
    *("-1", "0", "00", "1e999", "NaN", "Infinity", "9" * 20, "9" * 400, "-0.0", "1.5", "0x10", "\u00b2", "1_0", "+1"),
    *(
        "null",
        "true",
        "{}",
        "[]",
        '":',
        '{"a":',
        "[[[[",
        "://",
        "//",
        "/../",
        "?",
        "&",
        "??",
        "*",
        "~",
        "\\d",
        ".*",
        "$",
    ),
    *(
        "0.0.0.0",
        "::",
        "::1%eth0",
        "[::1]:80",
        "1.2.3.4:5",
        "unknown",
        "a.example",
        "for=1.2.3.4",
        "999.1.1.1",
        "1.2.3.*",
    ),
    *("00/Xxx/0000:00:00:00 +0000", "31/Dec/9999:23:59:60 -2359", "01/Jan/0001:00:00:00 +1400", "0001-01-01T00:00:00Z"),
    *("9999-12-31T23:59:60.999999999Z", "2026-02-30", "24:00:00", "T", "Z", "+99:99", "253402300800", "1e18"),
    *("#Fields: ", "#Date: 9999-12-31 23:59:59", "#Software: ", "#Fields: date time", "CONNECT", "OPTIONS *", "PRI *"),
    *("HTTP/", "http://", "HTTP/9.9", "ERROR", "localhost", "xn--", "..", "P", "F", "stdout", "stderr"),
]
"""What is put into lines."""

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e300,
    float("inf"),
    float("nan"),
    10**30,
    "",
    "-",
    " ",
    "\0",
    "é",
    {},
    [],
]
VALUES += [
    "\ud800",
    "\udc80",
    "200",
    "1.2.3.4",
    "/",
    "GET / HTTP/1.1",
    ["a"],
    [[]],
    [{"a": [1]}],
    {"a": None},
    2**64,
    "1" * 500,
]
"""What the values of objects become."""


def made(number: int, key: int) -> list[str]:
    """Return texts that hypothesis makes of what fields hold; the same for the same key."""
    texts: list[str] = []
    paths = st.from_regex(r"/[a-z%.~?&=;+*\[\]]{0,30}", fullmatch=True)
    fields = st.one_of(
        st.text(max_size=40),
        st.binary(max_size=40).map(lambda data: data.decode("latin-1")),
        st.from_regex(r"[A-Z]{0,8} \S{0,20}( HTTP/\d\.\d)?", fullmatch=True),
        paths,
        st.ip_addresses().map(str),
        st.datetimes().map(lambda moment: moment.isoformat()),
        st.integers().map(str),
        st.floats().map(repr),
        st.recursive(st.none() | st.booleans() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)).map(
            json.dumps
        ),
    )

    @seed(key)
    @settings(
        max_examples=number, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    @given(fields)
    def collect(text: str) -> None:
        texts.append(text.encode("utf-8", "surrogatepass").decode("latin-1"))

    collect()
    return texts


def lines_in(definition: Definition) -> list[str]:
    """Return the lines of a format's samples, headers too."""
    return [line for sample in definition.samples for line in lines_of(sample["line"].encode())]


def header_of(definition: Definition) -> bytes:
    """Return the directives that stand above a format's first sample."""
    above = [line for line in definition.samples[0]["line"].split("\n") if is_header(line)]
    return "\n".join(above).encode()


def logs_in(folder: Path) -> list[list[str]]:
    """Return the lines of each log in a folder that is no archive."""
    found = [
        path.read_bytes().decode("latin-1").split("\n")
        for path in sorted(folder.iterdir())
        if path.suffix not in (".gz", ".md")
    ]
    return [[line[:4096] for line in lines if line] for lines in found]


class Mutator:
    """Breaks lines; `odd` are texts that it may put into them."""

    def __init__(self, dice: random.Random, odd: Sequence[str]) -> None:
        self._dice = dice
        self._odd = [*BROKEN, *odd]
        self._ways: list[Callable[[str, Sequence[str]], str]] = [
            self._flipped, self._shorter, self._longer, self._spliced, self._cut, self._with_odd, self._with_odd,
            self._replaced, self._replaced, self._replaced, self._repeated,
        ]  # fmt: skip

    def __call__(self, lines: Sequence[str]) -> str:
        """Return one of `lines`, broken in none or several ways."""
        dice = self._dice
        line = dice.choice(lines)
        if dice.random() < 0.5 and line.lstrip()[:1] == "{":
            line = self._object(line)
        for _ in range(dice.choice((0, 1, 1, 1, 2, 2, 3, 6))):
            line = dice.choice(self._ways)(line, lines)
        return line

    def _span(self, line: str, longest: int = 40) -> tuple[int, int]:
        start = self._dice.randint(0, len(line))
        return start, min(len(line), start + self._dice.randint(1, longest))

    def _flipped(self, line: str, _lines: Sequence[str]) -> str:
        if not line:
            return line
        at = self._dice.randrange(len(line))
        return line[:at] + chr(ord(line[at]) % 256 ^ 1 << self._dice.randrange(8)) + line[at + 1 :]

    def _shorter(self, line: str, _lines: Sequence[str]) -> str:
        start, stop = self._span(line)
        return line[:start] + line[stop:]

    def _longer(self, line: str, _lines: Sequence[str]) -> str:
        start, stop = self._span(line)
        return line[:stop] + line[start:]

    def _spliced(self, line: str, lines: Sequence[str]) -> str:
        other = self._dice.choice(lines)
        return line[: self._dice.randint(0, len(line))] + other[self._dice.randint(0, len(other)) :]

    def _cut(self, line: str, _lines: Sequence[str]) -> str:
        at = self._dice.randint(0, len(line))
        return line[:at] if self._dice.random() < 0.7 else line[at:]

    def _with_odd(self, line: str, _lines: Sequence[str]) -> str:
        at = self._dice.randint(0, len(line))
        return line[:at] + self._dice.choice(self._odd) + line[at:]

    def _replaced(self, line: str, _lines: Sequence[str]) -> str:
        """Put something else in the place of a word."""
        at = self._dice.randint(0, len(line))
        start = max(line.rfind(sign, 0, at) for sign in ' "[\t,|:') + 1
        stops = [stop for sign in ' "]\t,|:' if (stop := line.find(sign, at)) >= 0]
        return line[:start] + self._dice.choice(self._odd) + line[min(stops, default=len(line)) :]

    def _repeated(self, line: str, _lines: Sequence[str]) -> str:
        start, stop = self._span(line, 4)
        times = self._dice.choice((2, 5, 50, 500, 5000) if self._dice.random() < 0.1 else (2, 5, 50))
        return line[:stop] + line[start:stop] * times + line[stop:]

    def _object(self, line: str) -> str:
        """Return an object with a value that is another one, or none, or in a place of its own."""
        try:
            values = json.loads(line.encode("latin-1"))
        except ValueError:
            return line
        for _ in range(self._dice.choice((1, 1, 2, 4))):
            holder: Any = values
            while isinstance(holder, dict | list) and holder:
                key: Any = (
                    self._dice.choice([*holder]) if isinstance(holder, dict) else self._dice.randrange(len(holder))
                )
                if not isinstance(holder[key], dict | list) or self._dice.random() < 0.3:
                    break
                holder = holder[key]
            else:
                continue
            if self._dice.random() < 0.15:
                del holder[key]
            elif self._dice.random() < 0.3:
                holder[key] = (
                    self._dice.choice(self._odd).encode("latin-1", "replace").decode("utf-8", "surrogateescape")
                )
            else:
                holder[key] = deepcopy(self._dice.choice(VALUES))
        text = json.dumps(
            values, ensure_ascii=self._dice.random() < 0.5, separators=self._dice.choice(((",", ":"), (", ", ": ")))
        )
        return text.encode("utf-8", "surrogatepass").decode("latin-1")

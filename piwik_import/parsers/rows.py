"""A line that is a row of a table → the texts in its columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from piwik_import.parsers.record import BadLine

LONGEST = 1 << 16
"""Characters of a line of which it is told where it goes wrong; with 1 MiB that takes as long as reading it."""

QUOTED = r'"[^"]*+(?:""[^"]*+)*+"'


class Separator(NamedTuple):
    """What stands between two values."""

    text: str
    """Itself, as a regular expression."""
    quick: str
    """A value that others follow, in a line without quotes: looking for one character takes a third of the time."""
    value: str
    """A value that is not quoted."""
    end: str = ""
    """What may follow the last value."""


SEPARATORS = {
    "space": Separator(" ++", "[^ ]++", r"[^ \t\r]++", " *+"),
    "tab": Separator(r"\t", r"[^\t]*+", r"[^\t\r]*+"),
    "comma": Separator(", ++", "[^,]*+(?:,(?! )[^,]*+)*+", r"[^,\r]*+(?:,(?! |\r?\Z)[^,\r]*+)*+", ",?+ *+"),
}
"""Of commas only those before a space separate: the address of a page may hold others."""


class Cutter:
    """Cuts lines into the texts of some of their columns.

    Most logs have no quotes, and what cuts their lines is quick. Every repetition is possessive: no line makes a match
    take more than time in proportion to its length, for each column.
    """

    def __init__(self, names: Sequence[str], separator: str) -> None:
        self.names = plain_names(names)
        self._marked = names
        self._separator = SEPARATORS.get(separator or "space", SEPARATORS["space"])
        self._either = not separator
        self._separators = [self._separator, *([SEPARATORS["tab"]] if self._either else [])]

    def quick(self, used: Sequence[int]) -> tuple[Callable[[str], re.Match[str] | None], str]:
        """Return the function that matches most lines; the groups are the columns `used`.

        With it comes the expression that tells whether ``line`` is one of these.
        """
        plain = "'\"' not in line" + (" and '\t' not in line" if self._either else "")
        return self._expression(used, self._separator, self._separator.quick, self._separator.value).match, plain

    def lenient(self, used: Sequence[int]) -> Callable[[str], tuple[str | None, ...]]:
        """Return the function that cuts any other line. It raises BadLine."""
        matches = self._either_way(used)

        def match(line: str) -> tuple[str | None, ...]:
            which = -1 if "\t" in line else 0
            found = matches[which](line) if which or '"' in line else None
            if found is None and len(line) > LONGEST:
                raise BadLine(f"longer than {LONGEST >> 10} KiB, and no row of {len(self.names)} columns")
            if found is None:
                raise BadLine(self._fault(line, self._separators[which]))
            return tuple([_without_quotes(text) for text in found.groups()])

        return match

    def _either_way(self, used: Sequence[int]) -> list[Callable[[str], re.Match[str] | None]]:
        """Return what matches lines with quotes, by each separator that there may be."""
        return [self._expression(used, one, _any(one), _any(one)).match for one in self._separators]

    def _expression(self, used: Sequence[int], separator: Separator, value: str, last: str) -> re.Pattern[str]:
        """Return the expression of a line; `last` is a value that may be the last one."""
        text, column, closing = "", 0, ""
        for name, following in zip(self._marked, [*self._marked[1:], "["], strict=True):
            if name == "[":
                text, closing = text + "(?:", closing + ")?+"
            elif name != "]":
                value_here = last if following in ("[", "]") else value
                text += (separator.text if column else "") + (f"({value_here})" if column in used else value_here)
                column += 1
        return re.compile(text + closing + separator.end + r"\r?\Z")

    def _fault(self, line: str, separator: Separator) -> str:
        """Say where a line is not what the names of its columns say."""
        places, at = self._values(line, separator)
        count = len(places)
        if count < len(self.names):
            return f"the line ends where {self.names[count]} should follow: {count} of {len(self.names)} columns"
        return f"column {at + 1}: the line goes on after {self.names[-1]}, the last of its {len(self.names)} columns"

    def _values(self, line: str, separator: Separator) -> tuple[list[tuple[int, int]], int]:
        """Return where the values of a line lie, at most one more than there are columns, and where the last began."""
        value, between = re.compile(_any(separator)), re.compile(separator.text)
        places: list[tuple[int, int]] = []
        at = 0
        while len(places) <= len(self.names):
            found = value.match(line, at)
            after = between.match(line, found.end()) if found else None
            places += [found.span()] if found else []
            if after is None:
                break
            at = after.end()
        return places, at

    def places(self, line: str) -> tuple[list[tuple[int, int]], int | None, str]:
        """Return where the values of the columns lie in a line; and where it goes wrong, and what it should have there.

        The place is None for a line that is as it should be.
        """
        used, tabs = [*range(len(self.names))], self._either and "\t" in line
        plain = '"' not in line and not tabs
        match = self.quick(used)[0] if plain else self._either_way(used)[-1 if tabs else 0]
        if found := match(line):
            return [found.span(group + 1) for group in used if found[group + 1] is not None], None, ""
        places, at = self._values(line, self._separators[-1 if tabs else 0])
        if len(places) < len(self.names):
            missing = self.names[len(places)]
            end = len(line.removesuffix("\r"))
            return places, end, f"{missing}, column {len(places) + 1} of {len(self.names)}"
        return places[: len(self.names)], at, f"the end of the line: {self.names[-1]} is the last column"


def plain_names(names: Sequence[str]) -> list[str]:
    """Return the names of columns without the brackets around those that a line may lack."""
    return [name for name in names if name not in ("[", "]")]


def _any(separator: Separator) -> str:
    return rf"(?>{QUOTED}(?={separator.text}|{separator.end}\r?\Z)|{separator.value})"


def _without_quotes(text: str | None) -> str | None:
    if text and text[0] == '"' and text[-1] == '"' and len(text) > 1:
        return text[1:-1].replace('""', '"')
    return text

"""Whether lines might be of a format, by a look at all of them that costs a hundredth of compiling its parser.

Most formats are ruled out so: by a text that each of their lines has, a key, a header. What passes may still be none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, cached_property

from piwik_import.memo import Memo
from piwik_import.parsers import cef, json_lines
from piwik_import.parsers.columns import Columns
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.headers import Header, is_header
from piwik_import.parsers.pattern import literals_of


class Glance:
    """Some lines of a log, seen at once: to look for a text in all of them takes no longer than in one."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._text = "\n".join(lines)
        # How often a character stands in any one line: a format with more quotes or slashes than that is none of them.
        self._most: Memo[str, int] = Memo(lambda one: max([line.count(one) for line in lines], default=0))

    def could_fit(self, definition: Definition) -> bool:
        """Tell whether any of the lines might be of a format."""
        if definition.pattern is not None:
            literals, characters = _literals(definition.pattern)
            return (
                all(self._most[one] >= number for one, number in characters.items())
                and all(one in self._text for one in literals)
                and any(_holds(line, literals) for line in self._lines)
            )
        if definition.syntax == "cef":
            return any(line.startswith(cef.BEGINNING) for line in self._lines)
        if definition.json and "time" not in definition.json:
            return bool(self._objects)
        if definition.json:
            keys = json_lines.keys_of_time(definition.json) if self._objects else ()
            found = [key for key in keys if key in self._text]
            return any(key in line for line in self._objects for key in found)
        return definition.columns is None or self._has_header or self._has_rows(definition.columns)

    @cached_property
    def _objects(self) -> Sequence[str]:
        """Those that begin as an object of JSON does."""
        return [line for line in self._lines if line.lstrip("\0 \t").startswith("{")]

    @cached_property
    def _has_header(self) -> bool:
        return "#" in self._text and any(map(is_header, self._lines))

    def _has_rows(self, columns: Columns) -> bool:
        """Tell whether any line has as many columns as a log without a header must have."""
        names = columns.names(Header())
        least = names.index("[") if "[" in names else len(names)
        between = SIGNS.get(columns.separator)
        return least > 0 and (between is None or any(line.count(between) >= least - 1 for line in self._lines))


SIGNS = {"tab": "\t", "comma": ", "}
"""What stands between the columns of a row, where it is always the same."""


@cache
def _literals(pattern: str) -> tuple[Sequence[str], Mapping[str, int]]:
    """Return the literals of a pattern, and how often each character stands in them."""
    literals = literals_of(pattern)
    return literals, Counter("".join(literals))


def _holds(line: str, literals: Sequence[str]) -> bool:
    """Tell whether a line holds the literals of a pattern in their order."""
    at = 0
    for literal in literals:
        at = line.find(literal, at)
        if at < 0:
            return False
        at += len(literal)
    return True

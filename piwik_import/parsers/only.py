"""Which lines of a log tell of requests, where it holds others too.

    only = { logger = "http.log.access*", "request.method" = true }
    others = ['Server \\S+ is .*', 'Connect from .*']

A format names keys of an object, or named pieces of a pattern, and what they must be: a text in which ``*`` stands
for anything, a list of such texts, or ``true`` for whatever is there. An empty text is a key that is not there. Or it
says what else its server writes, in expressions of whole lines. A line that lacks any of the first, or is one of the
second, is no invalid line, but one about something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from piwik_import.parsers import paths, regex
from piwik_import.parsers.pattern import split
from piwik_import.parsers.record import BadLine, OtherLine, Parser, Record
from piwik_import.parsers.shapes import Surroundings, shape

Condition = str | bool | Sequence[str]


def condition(only: Mapping[str, Condition]) -> Callable[[dict[str, Any]], bool]:
    """Return the function that tells whether an object is what `only` asks for. Raises ValueError."""
    tests = [(paths.finder(paths.split(path)[0]), _test(path, wanted)) for path, wanted in only.items()]

    def fits(values: dict[str, Any]) -> bool:
        return all(test(find(values)) for find, test in tests)

    return fits


def _test(path: str, wanted: Condition) -> Callable[[Any], bool]:
    if wanted is True:
        return lambda value: value is not None
    texts = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"`only` asks of {path} what is neither a text nor a list of texts nor true")
    either = "|".join(".*".join(map(re.escape, text.split("*"))) for text in texts)
    fullmatch = re.compile(either, re.DOTALL).fullmatch

    def fits(value: Any) -> bool:
        if isinstance(value, bool):
            value = str(value).lower()
        if value is None:
            return "" in texts
        return isinstance(value, str | int | float) and fullmatch(str(value)[:LONGEST]) is not None

    return fits


LONGEST = 1024
"""Characters of a value that are compared: a pattern with several ``*`` may take the square of that."""


def parser(parse: Parser, template: str, only: Mapping[str, Condition]) -> Parser:
    """Return the parser of a pattern's lines of which some pieces (``{*name}``) must be what `only` asks for.

    Raises ValueError for a piece that the pattern does not have.
    """
    tests = [(_piece(template, name), _test(name, wanted)) for name, wanted in only.items()]

    def parse_some(line: str) -> Record:
        for match, test in tests:
            if (found := match(line)) is not None and not test(found[1]):
                raise OtherLine("the line tells of no request")
        return parse(line)

    return parse_some


def _piece(template: str, wanted: str) -> Callable[[str], re.Match[str] | None]:
    """Return what matches a line up to the piece ``{*wanted}``, with a group that holds it."""
    pieces = split(template.strip("\n"))
    text = ""
    for at, piece in enumerate(pieces):
        if at % 2 == 0:
            text += re.escape(piece)
        elif piece in SIGNS:
            text += SIGNS[piece]
        else:
            name, _, form = piece.partition(":")
            held = shape(name, form, Surroundings.of(pieces, at))
            if name == f"*{wanted}":
                return re.compile(f"{text}({held})", re.DOTALL).match
            text += held
    raise ValueError(f"`only` names {wanted}, but no piece of the pattern is called {{*{wanted}}}")


SIGNS = {"(": "(?:", ")": ")?", " ": " ++", "...": ""}
"""What the tokens of a pattern mean that are no fields."""


@cache
def _matcher(others: Sequence[str]) -> Callable[[str], re.Match[str] | None]:
    for one in others:
        regex.compiled(one)  # so that an error points at the place in the text as it was written
    return regex.compiled("|".join(f"(?:{one})" for one in others)).fullmatch


def is_other(others: Sequence[str], line: str) -> bool:
    """Tell whether a line is one of the `others`. Raises FormatStringError for what is no expression."""
    return bool(others) and len(line) <= regex.LONGEST and _matcher(others)(line.rstrip("\r")) is not None


def besides(parse: Parser, others: Sequence[str]) -> Parser:
    """Return the parser of a log that holds `others` too. Raises FormatStringError for what is no expression."""
    _matcher(others)

    def parse_some(line: str) -> Record:
        try:
            return parse(line)
        except BadLine:
            if is_other(others, line):
                raise OtherLine("the line tells of no request") from None
            raise

    return parse_some

"""Compile a line's pattern, as a format file writes it, into a parser.

    {ip} {*} {user} [{time}] "{request}" {status} {length} "{referrer}" "{user_agent}"

Braces hold a field (`fields.FIELDS`), or ``{*}`` for text that is passed over; all else stands for itself. What
a field may hold follows from what stands after it: up to the quote, the bracket, the space. ``{...}`` at the end
allows further fields that nobody reads.

The strict expression is tried first. A line that it refuses may be one whose server did not escape quotes, so a
second expression ends each quoted field at the first quote that the rest of the pattern could follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from operator import getitem
from typing import Any

from piwik_import.memo import Memo
from piwik_import.parsers import request
from piwik_import.parsers.fields import FIELDS, converter
from piwik_import.parsers.record import BadLine, Record, Request, Stranger

TOKEN = re.compile(r"\{([^{}]*)\}")
QUOTED = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
WORDS = r"\S++(?: (?!\[)\S*+)*+"
"""Words up to `` [``: a user's name may hold spaces."""
REST = r"(?: .*+)?"
"""What ``{...}`` stands for: further fields, from a space on."""
REQUESTS = ("request", "target", "path")
REQUEST_PARTS = ("method", "target", "path", "query")


class Pattern:
    """The parser of one pattern. Raises ValueError for a pattern that makes no sense.

    Every repetition is possessive or ends at a character that it cannot hold: no line makes the match
    take more than time in proportion to its length.
    """

    def __init__(self, template: str) -> None:
        self.names: list[str] = []
        self._forms: list[str] = []
        strict, lenient = [], []
        pieces = TOKEN.split(template.strip("\n"))
        for at, piece in enumerate(pieces):
            if at % 2 == 0:
                literal = re.escape(piece)
                strict.append((repr(piece), literal))
                lenient.append((repr(piece), literal))
                continue
            name, _, form = piece.partition(":")
            if name == "...":
                if pieces[at + 1 :] != [""]:
                    raise ValueError("{...} stands elsewhere than at its end")
                strict.append(("further fields", REST))
                lenient.append(("further fields", REST))
                continue
            before, after = pieces[at - 1], pieces[at + 1]
            following = pieces[at + 2].partition(":")[0] if at + 2 < len(pieces) else ""
            if following == "..." and not after:
                after = " "
            for steps, text in (
                (strict, text_of(name, before, after)),
                (lenient, _lenient(name, before, after, following)),
            ):
                steps.append((name, text if name.startswith("*") else f"({text})"))
            if not name.startswith("*"):
                self.names.append(name)
                self._forms.append(form)
        self._steps = [step for step in strict if step[1]]
        self._strict = re.compile("".join(text for _, text in strict) + r"\r?\Z", re.DOTALL)
        self._lenient = re.compile("".join(text for _, text in lenient) + r"\r?\Z", re.DOTALL)
        self.parse = self._compile()

    def _compile(self) -> Callable[[str], Record]:
        """Return the function that parses a line: one match, then one look-up a field.

        It is written out for the fields of this pattern and then compiled, as dataclasses do with their methods: a
        loop over the fields would take a quarter longer.
        """
        if len(set(self.names)) < len(self.names):
            raise ValueError("a field stands in it twice")
        if unknown := set(self.names) - FIELDS.keys():
            raise ValueError(f"no such field: {', '.join(sorted(unknown))}")
        if "time" not in self.names or not {"request", "target", "path"} & set(self.names):
            raise ValueError("it needs {time} and one of {request}, {target}, {path}")
        forms = dict(zip(self.names, self._forms, strict=True))
        memos: dict[str, Any] = {f"{name}_of": converter(name, form, plain) for name, form in forms.items()}
        values = {name: f"{name}_of[{name}]" if name in forms else "None" for name in Record._fields}
        if "request" not in forms:
            memos["request_of"] = _request_memo({name: forms.get(name, "") for name in REQUEST_PARTS})
            parts = ", ".join(name if name in forms else "None" for name in REQUEST_PARTS)
            values["request"] = f"request_of[{parts}]"
        code = (
            "def parse(line):\n"
            f"    {', '.join(self.names)}, = (match(line) or match_again(line)).groups()\n"
            f"    return new(Record, ({', '.join(values.values())}))\n"
        )
        names = memos | {"match": self._strict.match, "match_again": self._match_again}
        names |= {"new": tuple.__new__, "Record": Record}
        exec(code, names)  # made of the names of `FIELDS` alone
        parse: Callable[[str], Record] = names["parse"]
        return parse

    def _match_again(self, line: str) -> re.Match[str]:
        """Match `line` less strictly, or raise BadLine with the place where it stops being what it should."""
        if found := self._lenient.match(line):
            return found
        found = self._beginning.match(line)
        right = int(found.lastgroup[1:]) if found and found.lastgroup else 0  # so many steps
        end = found.end() if found else 0
        names = [name for name, _ in self._steps]
        # The first of these that is not the first of all: what stands at the beginning may be any word.
        begun = min(names.index(name) for name in ("time", *REQUESTS) if name in names[1:])
        kind = BadLine if right > begun + 1 else Stranger
        expected = [*names, "the end of the line"][right]
        if end == len(line):
            raise kind(f"the line ends where {expected} should follow")
        raise kind(f"column {end + 1}: expected {expected}")

    @cached_property
    def _beginning(self) -> re.Pattern[str]:
        """The expression of as many steps as a line has right, each with a group behind it that tells; always matches.

        Only a broken line has it compiled, and reads it in one go however long it is.
        """
        text = ""
        for number, (_, step) in reversed([*enumerate(self._steps, 1)]):
            text = f"(?:{step}(?P<s{number}>){text})?+"
        return re.compile(text, re.DOTALL)


def text_of(name: str, before: str, after: str) -> str:
    """Return what the field `name` may hold between the literals `before` and `after`."""
    if after.startswith('"') and before.endswith('"'):
        return QUOTED
    if name in FIELDS and (known := FIELDS[name].pattern):
        return known
    if after.startswith(" ["):
        return WORDS
    if not after:
        return ".*+"
    if after[0] == " ":
        return r"\S++"
    return f"[^{re.escape(after[0])}]*+"


def _lenient(name: str, before: str, after: str, following: str) -> str:
    """As `text_of`, but a quoted field ends at the first quote that is followed as the pattern says."""
    if not (after.startswith('"') and before.endswith('"')):
        return text_of(name, before, after)
    if len(after) == 1:  # the last field, or the last before the ones that nobody reads
        return r'(?>.*?(?="(?: ["\d\[-]|\r?\Z)))'
    shape = FIELDS[following].pattern if following in FIELDS else None
    return f"(?>.*?(?={re.escape(after)}{f'(?:{shape})' if shape else ''}))"


def _request_memo(forms: dict[str, str]) -> Memo[Any, Any]:
    memos = [converter(name, forms[name], plain) for name in REQUEST_PARTS]

    def assemble(texts: tuple[str | None, ...]) -> Request:
        method, target, path, query = map(getitem, memos, texts)
        return request.from_parts(method, target or path, query)

    return Memo(assemble)


ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
LONGEST = 1 << 16
"""Characters of a field whose escapes are undone: half a million of them would take half a second."""
CONTROL = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "v": "\v", "f": "\f", "a": "\a"}


def plain(text: str) -> str:
    """Return what a server logged as `text`: escapes undone, then the bytes read as UTF-8.

    Apache writes ``\\"``, ``\\\\``, ``\\n`` and ``\\xhh``; nginx writes ``\\xHH`` for all of them and never a
    backslash that is not one of these, so one rule serves both. Bytes that are not UTF-8 become lone surrogates.
    """
    if "\\" in text and len(text) <= LONGEST:
        text = ESCAPE.sub(lambda e: chr(int(e[1], 16)) if e[1] else CONTROL.get(e[2], e[2]), text)
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def fields_of(template: str) -> Iterator[str]:
    """Name the fields of a pattern in their order."""
    for piece in TOKEN.findall(template):
        if piece != "..." and not piece.startswith("*"):
            yield piece.partition(":")[0]

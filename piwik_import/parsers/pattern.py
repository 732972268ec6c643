"""Compile a line's pattern, as a format file writes it, into a parser.

    {ip} {*} {user} [{time}] "{request}" {status} {length} "{referrer}" "{user_agent}"

Braces hold a field (`fields.FIELDS`), or ``{*}`` or ``{*name}`` for text that is passed over; all else stands for
itself. What a field may hold follows from what stands after it (`shapes`): up to the quote, the bracket, the space.
``{...}`` at the end allows further fields that nobody reads, ``{(}`` and ``{)}`` enclose a part that may be absent,
``{ }`` is one space or several, ``{{`` and ``}}`` are braces.

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
from piwik_import.parsers.fields import ABSOLUTE, FIELDS, NAMES_HOST, converter, host_of
from piwik_import.parsers.record import BadLine, Record, Request
from piwik_import.parsers.shapes import Surroundings, lenient_shape, shape

TOKEN = re.compile(r"(\{\{|\}\})|\{([^{}]*)\}")
REST = r"(?: .*+)?"
"""What ``{...}`` stands for: further fields, from a space on."""
REQUEST_PARTS = ("method", "target", "path", "query")


class Pattern:
    """The parser of one pattern. Raises ValueError for a pattern that makes no sense.

    Every repetition is possessive or ends at a character that it cannot hold: no line makes the match
    take more than time in proportion to its length.
    """

    def __init__(self, template: str, escapes: str = "") -> None:
        self.names: list[str] = []
        self._forms: list[str] = []
        self._plain = ESCAPES[escapes]
        strict: list[tuple[str, str]] = []
        lenient: list[tuple[str, str]] = []
        opened: int | None = None
        pieces = split(template.strip("\n"))
        for at, piece in enumerate(pieces):
            if at % 2 == 0:
                both = repr(piece), re.escape(piece)
            elif piece == "...":
                if pieces[at + 1 :] not in ([""], ["", ")", ""]):
                    raise ValueError("{...} stands elsewhere than at its end")
                both = "further fields", REST
            elif piece == " ":
                both = "a space", " ++"
            elif piece == "(":
                if opened is not None:
                    raise ValueError("{(} stands within {(} and {)}")
                opened = len(strict)
                continue
            elif piece == ")":
                if opened is None:
                    raise ValueError("{)} stands without {(}")
                for steps in (strict, lenient):
                    steps[opened:] = [("what may be absent", f"(?:{''.join(text for _, text in steps[opened:])})?")]
                opened = None
                continue
            else:
                name, _, form = piece.partition(":")
                around = Surroundings.of(pieces, at)
                for steps, text in ((strict, shape(name, form, around)), (lenient, lenient_shape(name, form, around))):
                    steps.append((name, text if name[:1] == "*" else f"({text})"))
                if name[:1] != "*":
                    self.names.append(name)
                    self._forms.append(form)
                continue
            strict.append(both)
            lenient.append(both)
        if opened is not None:
            raise ValueError("{(} stands without {)}")
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
        memos: dict[str, Any] = {f"{name}_of": converter(name, form, self._plain) for name, form in forms.items()}
        values = {name: f"{name}_of[{name}]" if name in forms else "None" for name in Record._fields}
        if "request" not in forms:
            memos["request_of"] = _request_memo({name: forms.get(name, "") for name in REQUEST_PARTS}, self._plain)
            parts = ", ".join(name if name in forms else "None" for name in REQUEST_PARTS)
            values["request"] = f"request_of[{parts}]"
        for name in ("request", "target"):
            if "host" not in forms and forms.get(name) in (*ABSOLUTE, *NAMES_HOST):
                memos["host_of"] = Memo(host_of(name, forms[name], self._plain))
                values["host"] = f"host_of[{name}]"
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
        expected = [*(name for name, _ in self._steps), "the end of the line"][right]
        if end == len(line):
            raise BadLine(f"the line ends where {expected} should follow")
        raise BadLine(f"column {end + 1}: expected {expected}")

    @cached_property
    def _beginning(self) -> re.Pattern[str]:
        """The expression of as many steps as a line has right, each with a group behind it that tells; always matches.

        Only a broken line has it compiled, and reads it in one go however long it is.
        """
        text = ""
        for number, (_, step) in reversed([*enumerate(self._steps, 1)]):
            text = f"(?:{step}(?P<s{number}>){text})?+"
        return re.compile(text, re.DOTALL)


def split(template: str) -> list[str]:
    """Cut a pattern into text, token, text, token … text; a token is what stands between braces."""
    pieces = [""]
    for at, part in enumerate(TOKEN.split(template)):
        if part is None:  # no brace that stands for itself, or no token
            continue
        if at % 3 == 2:
            pieces += [part, ""]
        else:
            pieces[-1] += part[:1] if at % 3 == 1 else part
    return pieces


def _request_memo(forms: dict[str, str], decode: Callable[[str], str]) -> Memo[Any, Any]:
    memos = [converter(name, forms[name], decode) for name in REQUEST_PARTS]

    def assemble(texts: tuple[str | None, ...]) -> Request:
        method, target, path, query = map(getitem, memos, texts)
        return request.from_parts(method, target or path, query)

    return Memo(assemble)


ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u00([0-9A-Fa-f]{2})|(.))", re.DOTALL)
CONTROL = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "v": "\v", "f": "\f", "a": "\a"}


def plain(text: str) -> str:
    """Return what a server logged as `text`: escapes undone, then the bytes read as UTF-8.

    Apache writes ``\\"``, ``\\\\``, ``\\n`` and ``\\xhh``; nginx writes ``\\xHH`` for all of them, or ``\\u00XX``
    (escape=json), and never a backslash that is not one of these, so one rule serves both. Bytes that are not UTF-8
    become lone surrogates.
    """
    if "\\" in text:
        # A function a character takes 0.2 s for a MiB of them. Before a pair of backslashes no other can stand.
        text = text.replace("\\\\", PAIR).replace('\\"', '"')
        if "\\" in text:
            text = ESCAPE.sub(lambda escape: _characters[escape[0]], text)
        text = text.replace(PAIR, "\\")
    return unescaped(text)


PAIR = "\ue000"
"""Stands for two backslashes; no byte is this character."""


def _character(escape: str) -> str:
    found = ESCAPE.fullmatch(escape)
    assert found is not None
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else CONTROL.get(found[3], found[3])


_characters: Memo[str, str] = Memo(_character)


def unescaped(text: str) -> str:
    """Read the bytes of a text as UTF-8: all that there is to do where a server escapes nothing."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def hash_escaped(text: str) -> str:
    """As `plain`, where ``#22`` stands for a quote: HAProxy's way, in which a backslash means nothing."""
    return unescaped(HASH.sub(lambda e: chr(int(e[1], 16)), text) if "#" in text else text)


HASH = re.compile("#([0-9A-Fa-f]{2})")

ESCAPES: dict[str, Callable[[str], str]] = {"": plain, "hash": hash_escaped, "none": unescaped}
"""How a server may write what would break its lines."""


def fields_of(template: str) -> Iterator[str]:
    """Name the fields of a pattern in their order."""
    for piece in split(template)[1::2]:
        if piece[:1] not in ("*", "(", ")", " ") and piece != "...":
            name, _, form = piece.partition(":")
            yield name
            if form in NAMES_HOST:
                yield "host"


def names_of(template: str) -> list[str]:
    """Return the names of the text that a pattern passes over."""
    return [piece[1:] for piece in split(template)[1::2] if piece[:1] == "*" and piece != "*"]

"""What a server does to a text so that it breaks no line, undone."""

from __future__ import annotations

import re
from collections.abc import Callable

from piwik_import.memo import Memo
from piwik_import.parsers.encoding import utf8

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
        if "\\" in text and len(text) <= LONGEST:
            text = ESCAPE.sub(lambda escape: _characters[escape[0]], text)
        text = text.replace(PAIR, "\\")
    return utf8(text)


LONGEST = 1 << 16
"""Characters of a field whose other escapes are undone: those of 1 MiB take 0.1 s, and no server takes so much."""

PAIR = "\ue000"
"""Stands for two backslashes; no byte is this character."""


def _character(escape: str) -> str:
    found = ESCAPE.fullmatch(escape)
    assert found is not None
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else CONTROL.get(found[3], found[3])


_characters: Memo[str, str] = Memo(_character)


def hash_escaped(text: str) -> str:
    """As `plain`, where ``#22`` stands for a quote: HAProxy's way, in which a backslash means nothing."""
    if "#" in text and len(text) <= LONGEST:
        text = HASH.sub(lambda escape: chr(int(escape[1], 16)), text)
    return utf8(text)


HASH = re.compile("#([0-9A-Fa-f]{2})")

ESCAPES: dict[str, Callable[[str], str]] = {"": plain, "hash": hash_escaped, "none": utf8}
"""How a server may write what would break its lines; where it escapes nothing, reading UTF-8 is all there is to do."""

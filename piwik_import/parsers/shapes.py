"""What a field of a pattern may hold, as a regular expression.

That follows from the field itself (a status is three digits) and from what stands around it: a text in quotes goes
on to the quote, a word to the space, any other to the first place where what follows it in the pattern stands.

Every repetition is possessive or ends at a character that it cannot hold, so that a match takes no more than time in
proportion to the line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from piwik_import.parsers import timeform
from piwik_import.parsers.fields import FIELDS

QUOTED = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
WORD = r"\S++(?:(?<=,) \S++| : \S++)*+"
"""A word, or a list of words as nginx writes of its upstreams: ``10.0.0.1:80, 10.0.0.2:80 : 10.0.0.3:80``."""
TO_THE_LAST_COLON = r"(?>\S+(?=:))"
"""An address that a port follows: HAProxy writes ``2001:db8::5:51234``, without brackets."""
NUMBER_NEXT = r"[^ ]*+(?: (?!(?:[\d.]++|-1?)(?: |\r?\Z))[^ ]*+)*+"
"""A text with spaces in it, before a number."""
SPACED = {"user_agent", "referrer", "request", "target", "path", "query", "user"}
"""Fields that may hold spaces, even where nothing encloses them."""


class Surroundings(NamedTuple):
    """What stands around a field in a pattern."""

    before: str
    """The text up to it; empty if another field stands there."""
    after: str
    following: str
    """The token after that text; empty at the end."""
    beyond: str
    """The text after that token."""

    @classmethod
    def of(cls, pieces: Sequence[str], at: int) -> Surroundings:
        """Look around the token at `at` in a pattern that was split into text and tokens."""
        before, behind = pieces[at - 1], at - 2
        while not before and behind > 0 and pieces[behind] in ("(", ")", " "):
            before = " " if pieces[behind] == " " else pieces[behind - 1]
            behind -= 2
        after, ahead = pieces[at + 1], at + 2
        while not after and ahead < len(pieces) and pieces[ahead] in ("(", ")", " ", "..."):
            after = " " if pieces[ahead] in (" ", "...") else pieces[ahead + 1]
            ahead += 2
        following = pieces[ahead] if ahead < len(pieces) else ""
        beyond = pieces[ahead + 1] if ahead + 1 < len(pieces) else ""
        return cls(before, after, following.partition(":")[0], beyond)


def shape(name: str, form: str, around: Surroundings) -> str:
    """Return what the field `name` may hold. Raises ValueError where nothing tells where it ends."""
    before, after, following, _ = around
    if after.startswith('"') and before.endswith('"'):
        return QUOTED
    if name in ("time", "date") and after[:1] not in ("]", '"') and (known := timeform.shape(form)):
        return known
    if name in FIELDS and (known := FIELDS[name].shapes.get(form, FIELDS[name].pattern)):
        return _address(after) if name == "ip" else known
    if name == "host" and after.startswith(":"):
        return TO_THE_LAST_COLON
    if not after:
        return _beside(name, around) if following else ".*+"
    if after == " " and name in SPACED and following in FIELDS and FIELDS[following].pattern and following != "ip":
        return NUMBER_NEXT
    if len(after) > 1 and not after[1].isalnum():
        return _up_to(after)
    if after[0] != " ":
        return f"[^{re.escape(after[0])}]*+"
    if before.endswith("="):
        return r"\S*+"  # key=value: there may be none
    return r"\S++" if name == "*" else WORD


def closed(name: str, form: str) -> bool:
    """Tell whether the text of a field says by itself where it ends."""
    if name in ("time", "date"):
        return timeform.shape(form) is not None
    return name in FIELDS and name != "ip" and bool(FIELDS[name].shapes.get(form, FIELDS[name].pattern))


def lenient_shape(name: str, form: str, around: Surroundings) -> str:
    """As `shape`, but a quoted field ends at the first quote that is followed as the pattern says."""
    before, after, following, _ = around
    if not (after.startswith('"') and before.endswith('"')):
        return shape(name, form, around)
    if len(after) == 1:  # the last field, or the last before the ones that nobody reads
        return r'(?>.*?(?="(?: ["\d\[-]|\r?\Z)))'
    known = FIELDS[following].pattern if following in FIELDS else None
    return f"(?>.*?(?={re.escape(after)}{f'(?:{known})' if known else ''}))"


def _address(after: str) -> str:
    """Return what an address, or a list of them, may be before the text `after`."""
    end = after[:1]
    if end == ":":
        return TO_THE_LAST_COLON
    if end == ",":
        return "[^,]*+"
    word = r"[^\s,]++" if end in ("", " ") else rf"[^\s,{re.escape(end)}]++"
    return rf"{word}(?:, ?+{word})*+"


def _beside(name: str, around: Surroundings) -> str:
    """Return what a field may be that another one follows with nothing between them."""
    following = around.following
    end = re.escape(around.beyond[:1] or " ")
    if name == "path" and following == "query":
        return f"[^?{end}]*+"
    if name == "host" and following in ("path", "target"):
        return f"[^/{end}]*+"
    raise ValueError(f"nothing stands between {{{name}}} and {{{following}}} to tell where the first ends")


def _up_to(text: str) -> str:
    """Return any text up to where `text` stands; words, at least one, if that begins with a space."""
    first, rest = re.escape(text[0]), re.escape(text[1:])
    if text[0] == " ":
        return rf"\S++(?: (?!{rest})\S*+)*+"
    return f"[^{first}]*+(?:{first}(?!{rest})[^{first}]*+)*+"

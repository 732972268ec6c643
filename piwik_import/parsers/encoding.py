"""A line is a character a byte (Latin-1); the text of a field is UTF-8. The way from the one to the other, and back."""

from __future__ import annotations

import re

HALF_PAIR = re.compile("[\\ud800-\\udc7f\\udd00-\\udfff]")


def utf8(text: str) -> str:
    """Return a text whose characters are bytes as UTF-8; bytes that are none become lone surrogates (PEP 383)."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def latin1(text: str) -> str:
    """Return a text as a line holds it, a character a byte; of JSON's halves of surrogate pairs, as `whole` has it."""
    return text if text.isascii() else whole(text).encode("utf-8", "surrogateescape").decode("latin-1")


def whole(text: str) -> str:
    """Replace halves of surrogate pairs: JSON may hold them, but no byte and no character stands behind them."""
    return text if text.isascii() else HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", text)
